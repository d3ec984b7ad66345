"""The user's Lightning callbacks: how they are made, and what is looked at before training."""

import io
import logging
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.model_helpers import is_overridden

from resnet_lab.errors import UserError, unknown
from resnet_lab.targets import instance

log = logging.getLogger(__name__)

# Callbacks of Lightning's that fail once training begins -> what does the same.
ELSEWHERE = {
    "LearningRateFinder": "debug=lr_range finds a learning rate",
    "BatchSizeFinder": "debug=batch finds the largest batch that fits",
    "GradientAccumulationScheduler": "recipe.accumulate says how many batches make a step",
    "ProgressBar": "trainer.progress=false hides the bar of this program",
    "ModelPruning": "its masks do not take the channels-last weights of a run",
}
TRAINED = ("loss", "error")
VALIDATED = (*TRAINED, "top5_error")


def made(
    chosen: Mapping[str, Any], *, validated: bool, metrics: Sequence[str] | None = ()
) -> dict[str, Callback]:
    """Return the callbacks of ``{name: {_target_: a.dotted.Path, argument: value}}``.

    `validated`: whether images are set aside; `metrics`: the further ones of an evaluation, None: any. Raises
    UserError, which names the callback, for what is none, what monitors a figure that no run logs, and a state that no
    checkpoint takes.
    """
    found: dict[str, Callback] = {}
    for name, spec in chosen.items():
        key = f"callbacks.extra.{name}"
        if isinstance(spec, Mapping):
            spec = {each: value for each, value in spec.items() if each != "identity"}
        callback = instance(spec, key)
        if not isinstance(callback, Callback):
            raise UserError(f"{key} gives {type(callback).__name__}: a lightning.pytorch.Callback is needed")
        for base in type(callback).__mro__:
            if base.__module__.startswith("lightning.") and base.__name__ in ELSEWHERE:
                raise UserError(f"{key}: {base.__name__} does not work here: {ELSEWHERE[base.__name__]}")
        _check_monitor(callback, key, validated=validated, metrics=metrics)
        _check_state(callback, key)
        for other, before in found.items():
            if before.state_key == callback.state_key and keeps_state(callback):
                raise UserError(
                    f"{key} and callbacks.extra.{other} keep their states under one name, {callback.state_key}:"
                    " give their class a state_key that tells them apart"
                )
        found[name] = callback
    return found


def keeps_state(callback: Callback) -> bool:
    return any(
        is_overridden(hook, callback, parent=Callback) for hook in ("state_dict", "on_save_checkpoint")
    )


def without_state(callbacks: Mapping[str, Callback]) -> list[str]:
    """Return the names of callbacks with a state that no checkpoint keeps; each costs a line of the log."""
    names = [name for name, each in callbacks.items() if vars(each) and not keeps_state(each)]
    for name in names:
        log.warning(
            "callbacks.extra.%s has no state_dict: what it counts, a run that is killed and goes on begins anew",
            name,
        )
    return names


def _check_monitor(callback: Callback, key: str, *, validated: bool, metrics: Sequence[str] | None) -> None:
    monitor = getattr(callback, "monitor", None)
    if monitor is None:
        return
    logged = [f"train/{name}" for name in TRAINED]
    validation = [f"val/{name}" for name in (*VALIDATED, *(metrics or ()))]
    if validated:
        logged += validation
    elif monitor in validation:
        raise UserError(f"{key}.monitor={monitor}: no images are set aside for it: set data.validation")
    if str(monitor).startswith("test/"):
        raise UserError(
            f"{key}.monitor={monitor}: nothing is chosen on the test images: set data.validation, and monitor val/…"
        )
    if monitor not in logged and metrics is not None:
        raise unknown(f"{key}.monitor", str(monitor), logged)


def _check_state(callback: Callback, key: str) -> None:
    """A checkpoint is read without executing anything of it: plain values and tensors alone."""
    file = io.BytesIO()
    try:
        torch.save(callback.state_dict(), file)
        torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    except (pickle.UnpicklingError, pickle.PicklingError, AttributeError, TypeError):
        raise UserError(
            f"{key} has a state that no checkpoint takes: its state_dict may hold numbers, words, tensors,"
            " and lists and dicts of them"
        ) from None
