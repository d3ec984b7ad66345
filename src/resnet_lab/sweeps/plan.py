"""What a sweep will cost, before it costs anything: runs, operations, memory and hours. Trains nothing."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import median

from rich.table import Table

from resnet_lab.data import info
from resnet_lab.data.spec import DataConfig
from resnet_lab.errors import UserError, unknown
from resnet_lab.models.description import ModelConfig, kind, label
from resnet_lab.runs.compose import compose
from resnet_lab.runs.folder import RunFolder, path_of
from resnet_lab.runs.schema import TrainConfig
from resnet_lab.sweeps.expand import configurations
from resnet_lab.sweeps.table import lines_console

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
OPERATIONS_A_STEP = (
    1e9  # multiply-adds of a timed forward pass: about a second on one core, forward and backward
)


@dataclass(frozen=True)
class Cost:
    """What one run will take."""

    parameters: int
    multiply_adds: int  # of one image, forward
    memory_bytes: int  # weights, gradients, momentum and the activations kept for the backward pass
    iterations: int
    images: int
    seconds: float


def plan(overrides: list[str], *, multirun: bool, gpu: str | None, efficiency: float) -> int:
    """Print a sweep's runs with their cost and what is already finished; 0 always.

    `gpu` names a row of GPU_PEAKS, of which `efficiency` is reached; without it, a few steps of each
    distinct net are timed on this machine. Raises UserError for an unknown GPU or a mistake in the overrides.
    """
    if gpu is not None and gpu.lower() not in GPU_PEAKS:
        raise unknown("--gpu", gpu, GPU_PEAKS)
    if not 0 < efficiency <= 1:
        raise UserError(f"--efficiency {efficiency}: a share of the peak is needed, above 0 and at most 1")
    configs = configurations(overrides) if multirun else [compose(overrides)]
    console = lines_console()
    with console.status("") as status:
        costs: dict[str, Cost] = {}
        for config in configs:
            status.update(f"estimating {label(config.model)} …")
            key = repr((config.model, config.recipe, config.data, config.precision))
            if key not in costs:
                costs[key] = estimate(config, gpu=gpu, efficiency=efficiency)
    pairs = [
        (config, costs[repr((config.model, config.recipe, config.data, config.precision))])
        for config in configs
    ]
    console.print(_table(pairs))
    todo = [cost for config, cost in pairs if RunFolder(path_of(config)).state() != "finished"]
    where = f"on one {gpu} at {efficiency:.0%} of its peak" if gpu else "on this machine, one run at a time"
    finished, hours = len(pairs) - len(todo), _hours(sum(cost.seconds for cost in todo))
    console.print(f"{len(pairs)} runs, {finished} finished; to do: {hours} {where}", highlight=False)
    return 0


def estimate(config: TrainConfig, *, gpu: str | None = None, efficiency: float = 0.3) -> Cost:
    """The cost of one run, from the built net and its recipe."""
    import torch

    from resnet_lab.models import build
    from resnet_lab.models.counting import count

    facts = info(config.data)
    shape = (facts.channels, facts.height, facts.width)
    with torch.device("meta"):
        model = build(replace(config.model, weights=None))
    counts = count(model, shape)
    iterations = _iterations(config)
    images = iterations * config.recipe.batch_size * config.recipe.accumulate
    if gpu is None:
        seconds = images * _seconds_an_image(
            config.model, shape, counts.multiply_adds, config.trainer.threads
        )
    else:
        peak = GPU_PEAKS[gpu.lower()][config.precision != "32"] * 1e12
        # The backward pass costs twice the forward pass; a multiply-add is two operations.
        seconds = images * counts.multiply_adds * 6 / (peak * efficiency)
    memory = counts.parameters * 4 * 3 + config.recipe.batch_size * _activation_bytes(config.model, shape)
    return Cost(counts.parameters, counts.multiply_adds, memory, iterations, images, seconds)


def _iterations(config: TrainConfig) -> int:
    """Optimiser steps of the whole run."""
    recipe = config.recipe
    if recipe.iterations is not None:
        return recipe.iterations
    assert recipe.epochs is not None
    images = _training_images(config.data)
    batches = images // recipe.batch_size if recipe.drop_last else -(-images // recipe.batch_size)
    return recipe.epochs * -(-batches // recipe.accumulate)


# Training images of the sets whose size is a published fact.
TRAINING_IMAGES = {
    "digits": 1437,
    "cifar10": 50_000,
    "cifar100": 50_000,
    "fashion_mnist": 60_000,
    "imagenet": 1_281_167,
    "imagenet_shards": 1_281_167,
}


def _training_images(data: DataConfig) -> int:
    if data.train_images is not None:
        return data.train_images
    if data.name in TRAINING_IMAGES:
        return TRAINING_IMAGES[data.name] - data.validation
    from resnet_lab.data import build

    module = build(data, batch_size=1, drop_last=False, seed=0)
    module.setup("fit")
    return int(module.sizes["train"])


def _activation_bytes(config: ModelConfig, shape: tuple[int, int, int]) -> int:
    """Bytes kept for the backward pass of one image, as autograd itself saves them. Computes nothing."""
    import torch

    from resnet_lab.models import build

    sizes: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        sizes[id(tensor.untyped_storage())] = tensor.numel() * tensor.element_size()
        kept.append(tensor)
        return tensor

    kept: list[torch.Tensor] = []
    with torch.device("meta"):
        model = build(replace(config, weights=None)).train()
        images = torch.empty(2, *shape)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(images)
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return max(0, sum(sizes.values()) - weights) // len(images)


def _seconds_an_image(
    config: ModelConfig, shape: tuple[int, int, int], multiply_adds: int, threads: int | None
) -> float:
    """Median seconds an image of a few training steps on this machine, with a batch of about a second."""
    import torch
    from torch.nn import functional as F

    from resnet_lab.models import build

    if threads is not None:
        torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch = max(2, min(128, int(OPERATIONS_A_STEP / max(1, multiply_adds))))
    model = build(replace(config, weights=None)).to(device).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9)
    images = torch.randn(batch, *shape, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(batch, dtype=torch.long, device=device)
    seconds = []
    for _ in range(STEPS + 1):
        start = time.perf_counter()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return median(seconds[1:]) / batch


def _table(pairs: Iterable[tuple[TrainConfig, Cost]]) -> Table:
    table = Table(box=None, header_style="bold")
    for name in ("run", "unit", "data", "seed", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("parameters", "multiply-adds", "memory", "iterations", "hours"):
        table.add_column(name, justify="right", no_wrap=True)
    for config, cost in pairs:
        table.add_row(
            label(config.model),
            kind(config.model),
            config.data.name,
            str(config.seed),
            RunFolder(path_of(config)).state(),
            f"{cost.parameters:,}",
            f"{cost.multiply_adds / 1e6:,.1f} M",
            f"{cost.memory_bytes / 2**30:.1f} GiB",
            f"{cost.iterations:,}",
            _hours(cost.seconds),
        )
    return table


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:,.2f} h" if hours < 10 else f"{hours:,.0f} h"
