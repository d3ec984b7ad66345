"""Hydra's and OmegaConf's errors as one line that names the key, what is allowed and the nearest. Free of torch."""

import re
import shlex
from dataclasses import fields, is_dataclass
from typing import get_args, get_origin

from hydra.errors import MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from resnet_lab.config.groups import groups
from resnet_lab.config.rules import OURS
from resnet_lab.config.schema import TrainConfig
from resnet_lab.errors import UserError, unknown
from resnet_lab.fields import keys

OTHER_NAMES = {  # what other programs call a key
    **OURS,
    **dict.fromkeys(("learning_rate", "base_lr", "peak_lr", "max_lr"), "recipe.lr"),
    **dict.fromkeys(("num_epochs", "n_epochs", "epoch"), "recipe.epochs"),
    **dict.fromkeys(("batch", "batchsize", "bs", "train_batch_size"), "recipe.batch_size"),
    **dict.fromkeys(("wd", "l2"), "recipe.weight_decay"),
    **dict.fromkeys(("optim", "opt"), "recipe.optimizer"),
    **dict.fromkeys(("lr_scheduler", "scheduler"), "recipe.schedule"),
    **dict.fromkeys(("gpus", "num_gpus", "ngpus", "tpu_cores"), "trainer.devices"),
    **dict.fromkeys(("num_workers", "n_workers"), "data.workers"),
    **dict.fromkeys(("data_dir", "data_root", "dataset_path"), "data.root"),
    **dict.fromkeys(("dataset", "datamodule"), "data"),
    **dict.fromkeys(("arch", "net", "backbone"), "model"),
    **dict.fromkeys(("random_seed", "manual_seed"), "seed"),
    **dict.fromkeys(("output_dir", "out_dir", "save_dir", "log_dir"), "runs_root"),
    **dict.fromkeys(("pretrained", "ckpt_path", "checkpoint"), "model.weights"),
    **dict.fromkeys(("amp", "fp16", "mixed_precision"), "precision"),
}


def one_line(error: Exception) -> UserError:
    """Return the error as a user's mistake."""
    if isinstance(error, MissingConfigException) and error.options is not None:
        asked = str(error.missing_cfg_file)
        for group, options in groups().items():  # an option may lie deeper, as in experiment=he2015/table6
            if asked.startswith(f"{group}/"):
                return unknown(f"option of the group {group!r}:", asked.removeprefix(f"{group}/"), options)
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    message = str(cause).splitlines()[0]
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        if message.startswith("Key "):
            typed = re.search(r"Could not override '([^']+)'", str(error))
            return _unknown_key(cause, typed[1] if typed else None)
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


def meant_by(key: str) -> str | None:
    """Return the key that is meant by somebody who knows it by another program's name, or by its last part alone."""
    last = key.rpartition(".")[2]
    known = [each for each in keys(TrainConfig) if each.rpartition(".")[2] == last and each != key]
    if last in OTHER_NAMES:
        return OTHER_NAMES[last]
    return known[0] if len(known) == 1 or (known and "." not in key) else None


def _unknown_key(error: OmegaConfBaseException, typed: str | None) -> UserError:
    assert error.full_key is not None
    if (meant := meant_by(typed or error.full_key)) is not None:
        return UserError(f"unknown key {typed or error.full_key!r}: did you mean {meant!r}?")
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
            if (meant := meant_by(prefix + str(key))) is not None:
                raise UserError(f"unknown key {prefix + str(key)!r}: did you mean {meant!r}?")
            raise unknown("key", prefix + str(key), [f"{prefix}{name}" for name in allowed])
        if isinstance(value, DictConfig):
            refuse_added_keys(value, f"{prefix}{key!s}.")
