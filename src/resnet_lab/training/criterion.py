"""A loss of the user's: what it is given, and what its parameters mean."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from resnet_lab.errors import UserError
from resnet_lab.targets import called, locate, made, takes
from resnet_lab.training.recipes import RecipeConfig


class Criterion(nn.Module):
    """The loss that `recipe.loss` names, of (scores, targets), and of `images` and `net` if it names them.

    Its parameters are trained with the net and kept in the checkpoints. A module in it whose parameters need no
    gradient, such as a teacher, is neither trained nor kept. Raises UserError if the loss cannot be made.
    """

    def __init__(self, recipe: RecipeConfig) -> None:
        super().__init__()
        self.what = f"recipe.loss={recipe.loss}"
        target = locate(recipe.loss, "recipe.loss")
        arguments = made(recipe.loss_args, "recipe.loss_args")
        if isinstance(target, type):
            self.loss = called(self.what, target, **arguments)
            named = takes(self.loss.forward if isinstance(self.loss, nn.Module) else self.loss)
        else:
            self.loss = partial(target, **arguments)
            named = tuple(name for name in takes(target) if name not in arguments)
        self.also = [name for name in ("images", "net") if name in named[2:]]

    def forward(self, scores: Tensor, targets: Tensor, images: Tensor, net: nn.Module) -> Tensor:
        """Return the loss of a batch: its mean (), or a loss for each image (N,)."""
        given = {"images": images, "net": net}
        loss: Tensor = self.loss(scores, targets, **{name: given[name] for name in self.also})
        return loss


def summed(loss: Any, images: int, what: str) -> Tensor:
    """Return the loss summed over a batch, of its mean () or a loss for each image (N,). Raises UserError."""
    if isinstance(loss, Tensor) and loss.shape == ():
        return loss * images
    if isinstance(loss, Tensor) and loss.shape == (images,):
        return loss.sum()
    gives = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
    raise UserError(f"{what} gives {gives}: the mean () or a loss for each image ({images},)")


def frozen_parts(module: nn.Module, apart: nn.Module) -> tuple[str, ...]:
    """Return the names of the outermost modules, outside `apart`, that have parameters and train none of them."""
    found: list[str] = []

    def look(within: nn.Module, prefix: str) -> None:
        for name, child in within.named_children():
            needs = [parameter.requires_grad for parameter in child.parameters()]
            if child is not apart and needs and not any(needs):
                found.append(f"{prefix}{name}")
            elif child is not apart:
                look(child, f"{prefix}{name}.")

    look(module, "")
    return tuple(found)


def keep_frozen_out(module: nn.Module, apart: str) -> None:
    """Leave the frozen parts of a module, but for its part `apart`, out of what is saved and loaded."""

    def saved(of: nn.Module, state: dict[str, object], prefix: str, _: Mapping[str, Any]) -> None:
        parts = tuple(f"{prefix}{name}." for name in frozen_parts(of, of.get_submodule(apart)))
        for name in [name for name in state if name.startswith(parts)] if parts else []:
            del state[name]

    def loaded(of: nn.Module, keys: Any) -> None:
        parts = [f".{name}." for name in frozen_parts(of, of.get_submodule(apart))]
        keys.missing_keys[:] = [
            name for name in keys.missing_keys if not any(part in f".{name}" for part in parts)
        ]

    module.register_state_dict_post_hook(saved)
    module.register_load_state_dict_post_hook(loaded)
