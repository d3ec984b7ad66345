"""What one run will take: operations, memory, iterations and seconds. Trains nothing; torch loads on use."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from resnet_lab.config.schema import PRECISIONS, TrainConfig
from resnet_lab.data import info, published
from resnet_lab.models.build import build
from resnet_lab.models.net_config import NetConfig
from resnet_lab.plan.cache import Kept
from resnet_lab.plan.timing import Shape, seconds_an_image
from resnet_lab.training.recipes import RecipeConfig, loader_batch_size, total_iterations

if TYPE_CHECKING:
    from torch import nn

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
# Seconds in which PyTorch starts one operation on a GPU, and operations of a training step for each layer that has
# weights: forward, two backward, and normalisation, activation and update. No step of a small net is quicker than that.
LAUNCH, OPERATIONS = 1e-5, 12
FEW = 3  # units a stage of the net that is timed for all deeper ones
SIZED, TIMED = "counts", "seconds"  # what is kept

# A net, what it sees, its multiply-adds of one image and the precision, to the seconds that an image trains.
Clock = Callable[[NetConfig, Shape, int, str], float]


@dataclass(frozen=True)
class Sizes:
    """What can be counted of a net."""

    parameters: int
    multiply_adds: int  # of one image, forward
    activation_bytes: int  # kept for the backward pass of one image
    layers: int  # with weights, normalisations left out


@dataclass(frozen=True)
class Estimate:
    """What one run will take."""

    parameters: int
    multiply_adds: int  # of one image, forward
    memory_bytes: int  # weights, gradients, momentum and the activations kept for the backward pass
    iterations: int
    seconds: float  # of training, without evaluations


def estimate(config: TrainConfig, clock: Clock, kept: Kept, launch: float = 0.0) -> Estimate:
    """Return the cost of one run.

    `clock` gives the training seconds an image, `launch` the seconds in which a GPU's operation is started: a step
    takes the longer of the two.
    """
    shape = _shape(config)
    net = config.model.without_weights()
    size = sizes(net, shape, kept)
    iterations = _iterations(config.recipe, (published(config.data) or info(config.data)).training)
    step = config.recipe.batch_size * clock(net, shape, size.multiply_adds, config.precision)
    seconds = iterations * max(step, config.recipe.accumulate * size.layers * OPERATIONS * launch)
    memory = size.parameters * 4 * 3 + loader_batch_size(config.recipe) * size.activation_bytes
    return Estimate(size.parameters, size.multiply_adds, memory, iterations, seconds)


def on_gpu(name: str, efficiency: float) -> Clock:
    """Return what gives the seconds per image on a named GPU that reaches this share of its peak."""

    def seconds(_net: NetConfig, _shape: Shape, multiply_adds: int, precision: str) -> float:
        peak = GPU_PEAKS[name][PRECISIONS[precision].autocast is not None] * 1e12
        # The backward pass costs twice the forward pass; a multiply-add is two operations.
        return multiply_adds * 6 / (peak * efficiency)

    return seconds


def here(kept: Kept) -> Clock:
    """Return what gives the seconds per image on this machine: of its GPU, or of one core.

    Of nets that differ only in depth, one of at most FEW units per stage is timed and the others follow by their
    multiply-adds: a deeper one would be timed with fewer images a step than it trains with.
    """

    def seconds(net: NetConfig, shape: Shape, multiply_adds: int, precision: str) -> float:
        timed = _with_units(net, FEW) or net
        work = sizes(timed, shape, kept).multiply_adds
        found = kept.or_measured(_timer(timed, shape, precision, kept), TIMED, timed, shape, precision)
        return float(found["seconds"]) * multiply_adds / max(work, 1)

    return seconds


def faster(
    config: TrainConfig, kept: Kept, *, measure: bool, at_once: Sequence[int] = ()
) -> dict[str, float]:
    """Return how many times as fast runs like this one train here, by what else to say; `measure`: also what is new.

    `at_once`: how many runs a GPU may hold.
    """
    shape, net, precision = _shape(config), config.model.without_weights(), config.precision
    timed = _with_units(net, FEW) or net
    base = kept.get(TIMED, timed, shape, precision)
    if base is None:
        return {}
    narrow, eager = PRECISIONS[precision].autocast is None, not config.trainer.compile
    ways: dict[str, tuple[str, bool, int]] = {}
    if narrow:
        ways["precision=bf16"] = ("bf16", False, 1)
    if eager:
        ways["trainer.compile=true"] = (precision, True, 1)
    if narrow and eager:
        ways["precision=bf16 trainer.compile=true"] = ("bf16", True, 1)
    for runs in at_once:
        ways[f"hydra.launcher.runs_per_gpu={runs}"] = (precision, False, runs)
    found = {}
    for words, (other, compiled, runs) in ways.items():
        key = [shape, other, *["compiled"] * compiled, *[f"{runs} at once"] * (runs > 1)]
        if measure:
            kept.or_measured(_timer(timed, shape, other, kept, compiled, runs), TIMED, timed, *key)
        if (figures := kept.get(TIMED, timed, *key)) is not None:
            found[words] = float(base["seconds"]) / float(figures["seconds"])
    return found


def _timer(
    net: NetConfig, shape: Shape, precision: str, kept: Kept, compiled: bool = False, at_once: int = 1
) -> Callable[[], dict[str, float]]:
    def measure() -> dict[str, float]:
        work = sizes(net, shape, kept).multiply_adds
        return {"seconds": seconds_an_image(net, shape, work, precision, compiled=compiled, at_once=at_once)}

    return measure


def _shape(config: TrainConfig) -> Shape:
    facts = published(config.data) or info(config.data)
    return facts.channels, facts.height, facts.width


def sizes(net: NetConfig, shape: Shape, kept: Kept) -> Sizes:
    """Return counts, of a deep net of equal units from two shallow ones, to the byte; kept for later plans."""

    def measure() -> dict[str, int]:
        few, more = _with_units(net, 2), _with_units(net, 3)
        if few is None or more is None:
            return asdict(counted(net, shape))
        first, second = sizes(few, shape, kept), sizes(more, shape, kept)
        steps = net.alike_stages - 2
        return {
            name: value + steps * (getattr(second, name) - value) for name, value in asdict(first).items()
        }

    return Sizes(**kept.or_measured(measure, SIZED, net, shape))


def counted(net: NetConfig, shape: Shape) -> Sizes:
    from resnet_lab.models.counting import count

    # A small net is sooner built than PyTorch has loaded what computes shapes alone.
    model = build(net) if 0 < net.alike_stages <= FEW else net.outline(shape)
    counts = count(model, shape)
    layers = sum(parameter.dim() > 1 for parameter in model.parameters())
    return Sizes(counts.parameters, counts.multiply_adds, _activation_bytes(model, shape), layers)


def _with_units(net: NetConfig, units: int) -> NetConfig | None:
    """Return the description with `units` units per stage; None if it has no more, or if its stages differ."""
    return net.with_stages(units) if net.alike_stages > units else None


def _iterations(recipe: RecipeConfig, images: int) -> int:
    """Return the optimiser steps of the whole run."""
    batch = loader_batch_size(recipe)
    return total_iterations(recipe, images // batch if recipe.drop_last else -(-images // batch))


def _activation_bytes(model: "nn.Module", shape: Shape) -> int:
    """Return the bytes kept for the backward pass of one image, as autograd itself saves them. Computes nothing."""
    import torch

    sizes: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        sizes[id(tensor.untyped_storage())] = tensor.numel() * tensor.element_size()
        kept.append(tensor)
        return tensor

    kept: list[torch.Tensor] = []
    model.train()
    images = torch.empty(2, *shape, device=next(model.parameters()).device)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(images)
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return max(0, sum(sizes.values()) - weights) // len(images)
