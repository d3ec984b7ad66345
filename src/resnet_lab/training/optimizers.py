"""Optimisers of a recipe, and which parameters weight decay covers."""

from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Any

from torch import nn, optim
from torch.nn.modules.conv import _ConvNd

from resnet_lab.errors import UserError, nearest
from resnet_lab.targets import called, locate
from resnet_lab.training.recipes import RecipeConfig, peak_lr

SHARDED = "_fsdp_wrapped_module."  # what FSDP puts before the names of what it wraps


def build(
    recipe: RecipeConfig,
    model: nn.Module,
    covered: Collection[str] | None = None,
    *,
    further: Mapping[str, nn.Parameter] | None = None,
    scaled: bool = False,
) -> optim.Optimizer:
    """Return the optimiser of the recipe over the parameters of the model, and `further` ones, that need a gradient.

    `covered` is what `decayed` gave before the model was sharded, if it is; `scaled`: gradients are, as for fp16.
    Raises UserError where it needs the extra `optim` and that is not installed.
    """
    groups = parameter_groups(recipe, model, decayed(recipe, model) if covered is None else covered, further)
    on = {parameter.device.type for group in groups for parameter in group["params"]}
    sharded = any(SHARDED in name for name, _ in model.named_parameters())
    kind, options = _kind(recipe, fused=may_fuse(on, scaled=scaled, sharded=sharded))
    options |= {"lr": peak_lr(recipe), **recipe.optimizer_args}
    if recipe.sam:
        return _sharpness_aware()(groups, kind, rho=recipe.sam, **options)
    optimizer = called(f"recipe.optimizer={recipe.optimizer}", kind, groups, **options)
    if not isinstance(optimizer, optim.Optimizer):
        raise UserError(
            f"recipe.optimizer={recipe.optimizer} returns {type(optimizer).__name__}, not an Optimizer"
        )
    return optimizer


def may_fuse(devices: set[str], *, scaled: bool, sharded: bool) -> bool:
    """Return whether one kernel may do a step: on the CPU 0.2 against 1.5 ms for 60 small tensors.

    Not with scaled gradients, which Lightning then neither unscales for others to see nor clips; a shard may be empty.
    """
    return not sharded and (devices == {"cpu"} or (devices == {"cuda"} and not scaled))


def decayed(recipe: RecipeConfig, model: nn.Module) -> frozenset[str]:
    """Return the names of the parameters that weight decay covers, which the papers leave open.

    Of a net that is whole: the parameters of a sharded one are flat, and tell no weight from a bias.
    """
    convolutions = {id(module.weight) for module in model.modules() if isinstance(module, _ConvNd)}
    covers: dict[str, Callable[[nn.Parameter], bool]] = {
        "all": lambda _: True,
        "weights": lambda parameter: parameter.ndim > 1,
        "conv": lambda parameter: id(parameter) in convolutions,
    }
    covered = covers[recipe.weight_decay_scope]
    return frozenset(name for name, parameter in model.named_parameters() if covered(parameter))


def parameter_groups(
    recipe: RecipeConfig,
    model: nn.Module,
    covered: Collection[str],
    further: Mapping[str, nn.Parameter] | None = None,
) -> list[dict[str, Any]]:
    """Return the parameters with weight decay, whose names are `covered`, and those without, each in the model's order.

    Parameters that `recipe.lr_scale` names have groups of their own, whose `lr_scale` multiplies the schedule's rate.
    Raises UserError for a pattern that no parameter matches.
    """
    named = {name.replace(SHARDED, ""): parameter for name, parameter in model.named_parameters()}
    named |= further or {}
    trained = {name: parameter for name, parameter in named.items() if parameter.requires_grad}
    scales = _scales(recipe, named)
    groups: list[dict[str, object]] = []
    for scale in dict.fromkeys([1.0, *recipe.lr_scale.values()]):
        scaled = {name: p for name, p in trained.items() if scales.get(name, 1.0) == scale}
        own = {"lr_scale": scale} if scale != 1.0 else {}
        groups += [
            {
                "params": [p for name, p in scaled.items() if name in covered],
                "weight_decay": recipe.weight_decay,
                **own,
            },
            {"params": [p for name, p in scaled.items() if name not in covered], "weight_decay": 0.0, **own},
        ]
        if recipe.optimizer == "lamb":
            groups[-1]["adam"] = True  # no trust ratio for biases and norms, as is common practice
    return [group for group in groups if group["params"]]


def _scales(recipe: RecipeConfig, names: Collection[str]) -> dict[str, float]:
    """Return the factor of each parameter that a pattern names; the last pattern that fits counts."""
    scales: dict[str, float] = {}
    for pattern, scale in recipe.lr_scale.items():
        fitting = [name for name in names if fnmatchcase(name, pattern)]
        if not fitting:
            close = nearest(pattern, [*names, *{f"{name.partition('.')[0]}.*" for name in names}])
            hint = f"; did you mean {close!r}?" if close else ""
            raise UserError(f"recipe.lr_scale: no parameter is named {pattern!r}{hint}")
        scales |= dict.fromkeys(fitting, scale)
    return scales


def _kind(recipe: RecipeConfig, *, fused: bool) -> tuple[Callable[..., optim.Optimizer], dict[str, Any]]:
    momentum = {"momentum": recipe.momentum, "nesterov": recipe.nesterov}
    match recipe.optimizer:
        case "sgd":
            return optim.SGD, momentum | {"fused": fused or None}
        case "adamw":
            return optim.AdamW, {"fused": fused or None}
        case "lars":
            return _library("recipe.optimizer=lars").LARS, momentum
        case "lamb":
            # Decay inside the trust ratio, and no debiasing of a normalised step: LAMB as 1904.00962 has it.
            options = {"weight_decouple": False, "adam_debias": True}
            return _library("recipe.optimizer=lamb").Lamb, options
    return locate(recipe.optimizer, "recipe.optimizer"), {}


def _library(asked: str) -> Any:
    try:
        return import_module("pytorch_optimizer")
    except ImportError:
        raise UserError(f"{asked} needs pytorch-optimizer: pip install 'resnet-lab[optim]'") from None


def _sharpness_aware() -> Callable[..., optim.Optimizer]:
    """SAM (2010.01412) that evaluates the closure for both of its gradients, as Lightning's loop needs."""
    library = _library("recipe.sam")

    class SharpnessAware(library.SAM):  # type: ignore[name-defined]
        def step(self, closure: Callable[[], Any]) -> Any:
            loss = closure()
            super().step(closure)
            return loss

    return SharpnessAware
