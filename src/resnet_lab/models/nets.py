"""What a net is, whichever kind it is of: a residual net by its description, or any other. Free of torch.

Nothing of them is open: `resolved` is for what comes from a file, `made.completed` for what was asked for.
"""

from dataclasses import replace
from typing import Any

from resnet_lab.errors import UserError
from resnet_lab.models import description, other
from resnet_lab.models.description import ModelConfig, Net, NetConfig
from resnet_lab.models.other import OtherConfig

KINDS: tuple[type[NetConfig], ...] = (ModelConfig, OtherConfig)


def kind_of(said: Any) -> type[NetConfig]:
    """The kind of net whose choices these are, as a file has them."""
    return OtherConfig if "_target_" in said else ModelConfig


def label(config: NetConfig) -> str:
    """A short readable name of letters, digits, - and _: resnet-20, densenet-drop_rate_0_1."""
    return other.label(config) if isinstance(config, OtherConfig) else description.label(ours(config))


def kind(config: NetConfig) -> str:
    """What a table calls it beside its depth: residual (basic, A), densenet (drop_rate=0.1)."""
    return other.kind(config) if isinstance(config, OtherConfig) else description.kind(ours(config))


def depth(config: NetConfig) -> int | None:
    """Weighted layers as the papers count them; None of a net that no paper of ours counts."""
    return None if isinstance(config, OtherConfig) else int(ours(config).depth)


def resolved(config: NetConfig) -> NetConfig:
    """Return the description with every choice filled in. Raises UserError for an unknown family or block."""
    return config if isinstance(config, OtherConfig) else description.resolve(asked(config))


def without_weights(config: NetConfig) -> NetConfig:
    """Return the description without weights to load."""
    usual: dict[str, Any] = {"reset_head": False} if isinstance(config, OtherConfig) else {"head": "keep"}
    return replace(config, weights=None, **usual)


def begins_trained(config: NetConfig) -> bool:
    """Whether its weights come from somewhere, so that a part of it may stay as it is."""
    if isinstance(config, OtherConfig) and any(config.args.get(key) for key in ("weights", "pretrained")):
        return True
    return config.weights is not None


def head(config: NetConfig) -> str | None:
    """The name of the module that recipe.freeze=backbone trains; None: the last fully connected layer."""
    return config.head if isinstance(config, OtherConfig) else None


def asked(config: NetConfig) -> ModelConfig:
    """What was asked for of a residual net."""
    if not isinstance(config, ModelConfig):
        raise UserError(f"model: {type(config).__name__} is no net")
    return config


def ours(config: NetConfig) -> Net:
    """A residual net."""
    assert isinstance(config, Net)
    return config
