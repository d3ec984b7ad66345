"""Mixup and CutMix on the device, and randomness that is a function of where a run stands."""

from collections.abc import Callable
from hashlib import blake2b

import torch
from torch import Tensor
from torchvision.transforms import v2

from resnet_lab.training.recipes import RecipeConfig

Mix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def mixing(recipe: RecipeConfig, classes: int) -> Mix | None:
    """(N, C, H, W) and (N,) to mixed images and (N, K) targets; None where the recipe mixes nothing.

    With both, each batch takes one of them, evenly. Mixup: 1710.09412; CutMix: 1905.04899.
    """
    kinds: list[torch.nn.Module] = []
    if recipe.mixup:
        kinds.append(v2.MixUp(alpha=recipe.mixup, num_classes=classes))
    if recipe.cutmix:
        kinds.append(v2.CutMix(alpha=recipe.cutmix, num_classes=classes))
    return v2.RandomChoice(kinds) if kinds else None


def seed_device(device: torch.device, *key: int) -> None:
    """Set the generators that a training step draws from by a key alone, as (seed, epoch, batch).

    What was drawn before then never matters: not a test, a resume or another number of workers.
    """
    seed = int.from_bytes(blake2b(repr(key).encode(), digest_size=7).digest())
    torch.default_generator.manual_seed(seed)  # torch.manual_seed visits every backend: 0.2 ms
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
