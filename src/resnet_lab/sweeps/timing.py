"""The seconds of a few training steps on this machine. Torch loads on use."""

import time
from statistics import median

from resnet_lab.config.precision import PRECISIONS
from resnet_lab.models.description import NetConfig

Shape = tuple[int, int, int]  # (C, H, W)

STEPS = 3  # timed steps of each net, after one to warm up
# Multiply-adds of a timed forward pass: half a second or less on one core, forward and backward.
STEP_WORK = 1e9
SMALLEST_BATCH = 4  # below it a step's time says little of an image's


def seconds_an_image(
    net: NetConfig, shape: Shape, multiply_adds: int, precision: str, *, compiled: bool = False
) -> float:
    """Median of a few training steps: of the GPU, or of one core.

    A core's own time is counted, so that whatever else runs there does not lengthen the plan.
    """
    import torch
    from torch.nn import functional as F

    from resnet_lab.models import build

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    batch = max(SMALLEST_BATCH, min(128, int(STEP_WORK / max(1, multiply_adds))))
    model = build(net).to(device).to(memory_format=torch.channels_last).train()
    if compiled:
        from resnet_lab.runs.compiled import compile_in_place

        compile_in_place(model)
    weights: list[torch.Tensor] = list(model.parameters())
    momentum = [torch.zeros_like(weight) for weight in weights]
    images = torch.randn(batch, *shape, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(batch, dtype=torch.long, device=device)
    narrow = PRECISIONS[precision].autocast
    low = getattr(torch, narrow) if narrow else None
    threads, seconds = torch.get_num_threads(), []
    torch.set_num_threads(1)
    try:
        for _ in range(1 + STEPS):
            began = clock()
            with torch.autocast(device.type, low, enabled=low is not None):
                loss = F.cross_entropy(model(images), labels)
            loss.backward()
            # What torch.optim.SGD computes; loading that takes longer than all that is timed here.
            with torch.no_grad():
                torch._foreach_mul_(momentum, 0.9)
                grads = [w.grad if w.grad is not None else torch.zeros_like(w) for w in weights]
                torch._foreach_add_(momentum, grads)
                torch._foreach_add_(weights, momentum, alpha=0.0)
            for weight in weights:
                weight.grad = None
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(clock() - began)
    finally:
        torch.set_num_threads(threads)
    return median(seconds[1:]) / batch
