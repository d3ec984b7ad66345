"""Hydra's and OmegaConf's errors as one line that names the key, what is allowed and the nearest. Free of torch."""

import shlex
from dataclasses import fields, is_dataclass
from typing import get_args, get_origin

from hydra.errors import MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from resnet_lab.config.groups import groups
from resnet_lab.config.schema import TrainConfig
from resnet_lab.errors import UserError, unknown
from resnet_lab.fields import keys


def one_line(error: Exception) -> UserError:
    """The error as a user's mistake."""
    if isinstance(error, MissingConfigException) and error.options is not None:
        asked = str(error.missing_cfg_file)
        for group, options in groups().items():  # an option may lie deeper, as in experiment=he2015/table6
            if asked.startswith(f"{group}/"):
                return unknown(f"option of the group {group!r}:", asked.removeprefix(f"{group}/"), options)
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    message = str(cause).splitlines()[0]
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        if message.startswith("Key "):
            return _unknown_key(cause)
        return UserError(f"{cause.full_key}: {message[0].lower()}{message[1:]}")
    if message.startswith(("Ambiguous value", "Sweep parameters")):
        asked = message.partition("'")[2].partition("'")[0]
        key, _, value = asked.partition("=")
        hint = keys(TrainConfig)[key].hint if key in keys(TrainConfig) else None
        text = str in (hint, *get_args(hint)) and get_origin(hint) is not list
        quoted = shlex.quote(f'{key}="{value}"')
        other = f"write {quoted} for one text" if text else "write [a,b] for a list"
        return UserError(f"{asked}: add -m to sweep over the values, or {other}")
    return UserError(" ".join(str(error).split()))


def _unknown_key(error: OmegaConfBaseException) -> UserError:
    assert error.full_key is not None
    prefix = error.full_key.rpartition(".")[0]
    node = error.parent_node
    if is_dataclass(error.object_type):
        names = [field.name for field in fields(error.object_type)]
    elif prefix and isinstance(node, DictConfig):  # an option file without a schema, as hydra.launcher
        names = [str(name) for name in node if name != "_target_"]
    else:
        names = [field.name for field in fields(TrainConfig)]
    allowed = [f"{prefix}.{name}".lstrip(".") for name in names]
    return unknown("key", error.full_key, [*allowed, *([] if prefix else ["experiment"])])


def refuse_added_keys(node: DictConfig, prefix: str = "") -> None:
    """Raise UserError for keys that no schema knows: Hydra lets `+key=value` add them."""
    schema = OmegaConf.get_type(node)
    if not is_dataclass(schema):
        return
    allowed = [field.name for field in fields(schema)]
    for key, value in node.items_ex(resolve=False):
        if key not in allowed:
            raise unknown("key", prefix + str(key), [f"{prefix}{name}" for name in allowed])
        if isinstance(value, DictConfig):
            refuse_added_keys(value, f"{prefix}{key!s}.")
