"""The key=value pairs of the commands on trained nets: typed, and refused where nothing reads them. Free of torch."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from resnet_lab.data.spec import FINGERPRINTED, DataConfig
from resnet_lab.errors import UserError, unknown
from resnet_lab.models.description import ModelConfig

Config = TypeVar("Config")

# What only training reads of a data set.
TRAINING = (
    *("validation", "train_images", "pad", "flip", "cutout", "augmentation"),
    *("pca_noise", "colour_jitter", "trivial_augment", "random_erasing", "scale_min", "scale_max"),
)
SINGLE_VIEW = ("resize", "test_crop")  # the sizes of every other protocol follow from the crop
NORMALISATION = ("mean", "divide_by_std")  # read only for a net that does not know its own


def of_group(group: str, given: Sequence[str]) -> list[str]:
    """The pairs of a group, as data=cifar10 and data.root=…"""
    return [text for text in given if text.startswith((f"{group}=", f"{group}."))]


def refuse_others(command: str, given: Sequence[str], *groups: str) -> None:
    """Raises UserError for the first pair of none of the groups."""
    for text in given:
        key = text.partition("=")[0]
        if "=" not in text or not any(key == group or key.startswith(f"{group}.") for group in groups):
            read = " and ".join(f"{group}.…" for group in groups)
            raise UserError(f"{text}: {command} reads {read} alone, as {groups[-1]}.key=value")


def model_choices(given: Sequence[str]) -> dict[str, Any]:
    """What the model.… pairs say, typed. Raises UserError."""
    for text in given:
        if text.startswith("model="):
            raise UserError(f"{text}: the net is named by --model")
        if text.partition("=")[0] in ("model.weights", "model.head"):
            raise UserError(f"{text}: the weights are named by --weights")
    return _values(ModelConfig(), "model", given)


def changed_data(config: DataConfig, given: Sequence[str]) -> DataConfig:
    """The data set with what the data.… pairs say. Raises UserError."""
    changes = _values(config, "data", given)
    if "root" in changes:  # other images, on purpose: of what was chosen of the former, only the test matters
        changes = {"train_images": None, "validation": 0, **changes}
        if isinstance(config, FINGERPRINTED):
            changes = {"fingerprint": None, **changes}
    return replace(config, **changes)


def refuse_unread_data(given: Sequence[str], *, normalisation: bool, how: str) -> None:
    """Raises UserError for a key of the data that testing under the protocol `how` does not read."""
    for text in given:
        key = text.partition("=")[0].removeprefix("data.")
        if key in TRAINING:
            raise UserError(f"{text}: only training reads it")
        if key in SINGLE_VIEW and how != "single_view":
            raise UserError(
                f"{text}: only --protocol single_view reads it; the sizes of {how} follow data.crop"
            )
        if key in NORMALISATION and not normalisation:
            raise UserError(f"{text}: the net knows its own normalisation, and is tested with it")


def _values(config: Any, group: str, given: Sequence[str]) -> dict[str, Any]:
    """The changed values of a dataclass by field, as its types have them."""
    allowed = [f"{group}.{field.name}" for field in fields(config)]
    of_any_keys = tuple(
        f"{group}.{field.name}." for field in fields(config) if isinstance(getattr(config, field.name), dict)
    )
    names = [text.partition("=")[0] for text in given]
    for name in names:
        if name not in allowed and not name.startswith(of_any_keys):
            raise unknown("key", name, allowed)
    changes = OmegaConf.from_dotlist([text.removeprefix(f"{group}.") for text in given])
    try:
        merged: Any = OmegaConf.merge(OmegaConf.structured(config), changes)
    except OmegaConfBaseException as error:
        raise UserError(f"{group}.{error.full_key}: {str(error).splitlines()[0]}") from None
    changed = {name.split(".")[1] for name in names}
    values: Any = OmegaConf.to_container(merged)
    return {name: values[name] for name in changed}
