"""What one run will take: operations, memory, iterations and seconds. Trains nothing; torch loads on use."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from resnet_lab.config.precision import PRECISIONS
from resnet_lab.config.schema import TrainConfig
from resnet_lab.data import info, published
from resnet_lab.data.spec import DataConfig
from resnet_lab.models.description import NetConfig
from resnet_lab.models.made import outline
from resnet_lab.models.nets import without_weights
from resnet_lab.training.recipes import loader_batch_size, total_iterations

# Peak operations a second of a GPU's matrix units without sparsity, as its maker states them: TFLOP/s in
# (32: TF32 where the GPU has it, 16: bf16 or fp16).
GPU_PEAKS = {
    "v100": (15.7, 125.0),
    "t4": (8.1, 65.0),
    "a10": (62.5, 125.0),
    "a100": (156.0, 312.0),
    "rtx3090": (35.6, 71.0),
    "rtx4090": (82.6, 165.2),
    "l4": (60.0, 121.0),
    "l40s": (183.0, 362.0),
    "h100": (494.0, 989.0),
    "h200": (494.0, 989.0),
}
STEPS = 3  # timed steps of each distinct net, after one to warm up
STEP_WORK = 2e9  # multiply-adds of a timed forward pass: a second or less on one core, forward and backward
SMALLEST_BATCH = 4  # below it a step's time says little of an image's

# Training images of the sets whose size is a published fact.
TRAINING_IMAGES = {
    "digits": 1437,
    "cifar10": 50_000,
    "cifar100": 50_000,
    "fashion_mnist": 60_000,
    "imagenet": 1_281_167,
    "imagenet_shards": 1_281_167,
}

Shape = tuple[int, int, int]  # (C, H, W)
# A net, what it sees, its multiply-adds of one image and the precision, to the seconds that an image trains.
Clock = Callable[[NetConfig, Shape, int, str], float]


@dataclass(frozen=True)
class Cost:
    """What one run will take."""

    parameters: int
    multiply_adds: int  # of one image, forward
    memory_bytes: int  # weights, gradients, momentum and the activations kept for the backward pass
    iterations: int
    seconds: float  # of training, without evaluations


def estimate(config: TrainConfig, clock: Clock) -> Cost:
    """The cost of one run; `clock` gives the training seconds an image."""
    from resnet_lab.models.counting import count

    facts = published(config.data) or info(config.data)
    shape = (facts.channels, facts.height, facts.width)
    net = without_weights(config.model)
    counts = count(outline(net, shape), shape)
    iterations = _iterations(config)
    seconds = (
        iterations * config.recipe.batch_size * clock(net, shape, counts.multiply_adds, config.precision)
    )
    memory = counts.parameters * 4 * 3 + loader_batch_size(config.recipe) * _activation_bytes(net, shape)
    return Cost(counts.parameters, counts.multiply_adds, memory, iterations, seconds)


def on_gpu(name: str, efficiency: float) -> Clock:
    """The seconds an image on a named GPU that reaches this share of its peak."""

    def seconds(_net: NetConfig, _shape: Shape, multiply_adds: int, precision: str) -> float:
        peak = GPU_PEAKS[name][PRECISIONS[precision].autocast is not None] * 1e12
        # The backward pass costs twice the forward pass; a multiply-add is two operations.
        return multiply_adds * 6 / (peak * efficiency)

    return seconds


def here(net: NetConfig, shape: Shape, multiply_adds: int, precision: str) -> float:
    """Median seconds an image of a few training steps on this machine: of its GPU, or of one core.

    A core's own time is counted, so that whatever else runs there does not lengthen the plan.
    """
    import torch
    from torch.nn import functional as F

    from resnet_lab.models import build

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    batch = max(SMALLEST_BATCH, min(128, int(STEP_WORK / max(1, multiply_adds))))
    model = build(net).to(device).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9)
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
            optimizer.step()
            optimizer.zero_grad()
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(clock() - began)
    finally:
        torch.set_num_threads(threads)
    return median(seconds[1:]) / batch


def _iterations(config: TrainConfig) -> int:
    """Optimiser steps of the whole run."""
    batch = loader_batch_size(config.recipe)
    images = 0 if config.recipe.iterations else _training_images(config.data)
    return total_iterations(
        config.recipe, images // batch if config.recipe.drop_last else -(-images // batch)
    )


def _training_images(data: DataConfig) -> int:
    if data.train_images is not None:
        return data.train_images
    if published(data) is None and (known := info(data).training) is not None:
        return known
    if data.name in TRAINING_IMAGES:
        return TRAINING_IMAGES[data.name] - data.validation
    from resnet_lab.data import build

    module = build(data, batch_size=1, drop_last=False, seed=0)
    module.setup("fit")
    return int(module.sizes["train"])


def _activation_bytes(net: NetConfig, shape: Shape) -> int:
    """Bytes kept for the backward pass of one image, as autograd itself saves them. Computes nothing."""
    import torch

    sizes: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        sizes[id(tensor.untyped_storage())] = tensor.numel() * tensor.element_size()
        kept.append(tensor)
        return tensor

    kept: list[torch.Tensor] = []
    model = outline(net, shape).train()
    images = torch.empty(2, *shape, device=next(model.parameters()).device)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(images)
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return max(0, sum(sizes.values()) - weights) // len(images)
