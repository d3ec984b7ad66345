"""The seconds of a few training steps on this machine. Torch loads on use."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.synchronize import Barrier
from statistics import median
from typing import NamedTuple

from resnet_lab.config.schema import PRECISIONS
from resnet_lab.models.net_config import NetConfig
from resnet_lab.sweeps.together import together

Shape = tuple[int, int, int]  # (C, H, W)

STEPS = 3  # timed steps of each net, after one to warm up
# Multiply-adds of a timed forward pass: half a second or less on one core, forward and backward.
STEP_WORK = {"cpu": 1e9, "cuda": 1e11}
SMALLEST_BATCH = 4  # below it a step's time says little of an image's
TOGETHER = 3.0  # seconds that processes are timed for beside each other
PATIENCE = 180.0 + TOGETHER  # seconds until the slowest of them is done


class _Training(NamedTuple):
    """A net that can be trained."""

    step: Callable[[], None]  # returns once it is computed
    images: int  # of a step
    # A core's own time, so that whatever else runs there does not lengthen the plan.
    clock: Callable[[], float]


def seconds_an_image(
    net: NetConfig,
    shape: Shape,
    multiply_adds: int,
    precision: str,
    *,
    compiled: bool = False,
    at_once: int = 1,
) -> float:
    """Return the seconds per image, the median of a few training steps: of the GPU, or of one core.

    `at_once`: of so many processes together, on the one GPU or each on a core; infinite where they do not fit.
    """
    if at_once > 1:
        work = partial(_images_a_second, net, shape, multiply_adds, precision)
        speeds, error = together(work, at_once, time.monotonic() + PATIENCE)
        return math.inf if error else 1 / sum(speeds)
    with _one_thread():
        step, images, clock = _training(net, shape, multiply_adds, precision, compiled=compiled)
        seconds = []
        for _ in range(1 + STEPS):
            began = clock()
            step()
            seconds.append(clock() - began)
    return median(seconds[1:]) / images


def _images_a_second(
    net: NetConfig, shape: Shape, multiply_adds: int, precision: str, ready: Barrier
) -> float:
    """Return the images per second of this process, measured once all the others are ready."""
    with _one_thread():
        step, images, _ = _training(net, shape, multiply_adds, precision)
        step()
        ready.wait()
        began, done = time.perf_counter(), 0
        while (took := time.perf_counter() - began) < TOGETHER:
            step()
            done += images
    return done / took


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _training(
    net: NetConfig, shape: Shape, multiply_adds: int, precision: str, *, compiled: bool = False
) -> _Training:
    import torch
    from torch.utils._pytree import tree_leaves

    from resnet_lab.models import build
    from resnet_lab.training.layout import memory_format

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch = max(SMALLEST_BATCH, min(128, int(STEP_WORK[device.type] / max(1, multiply_adds))))
    model = build(net)
    layout = memory_format(model)
    model = model.to(device).to(memory_format=layout).train()
    if compiled:
        from resnet_lab.runs.numerics import compile_in_place

        compile_in_place(model)
    weights: list[torch.Tensor] = list(model.parameters())
    momentum = [torch.zeros_like(weight) for weight in weights]
    images = torch.randn(batch, *shape, device=device).contiguous(memory_format=layout)
    narrow = PRECISIONS[precision].autocast
    low = getattr(torch, narrow) if narrow else None

    def step() -> None:
        with torch.autocast(device.type, low, enabled=low is not None):
            leaves = tree_leaves(model(images))  # whatever a network of a user's task gives
            loss = torch.stack([each.float().square().mean() for each in leaves]).sum()
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

    return _Training(step, batch, time.perf_counter if device.type == "cuda" else time.process_time)
