"""Which further metrics a test of trained nets computes: those of the first run, and what metrics.… asks for."""

from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from resnet_lab.config.compose import compose_raw
from resnet_lab.config.overrides import read
from resnet_lab.config.schema import TrainConfig
from resnet_lab.config.targets import authorise
from resnet_lab.errors import UserError
from resnet_lab.trained.classes import Match
from resnet_lab.training.metrics import Metrics


def chosen(run: TrainConfig | None, overrides: list[str]) -> dict[str, Any]:
    """Metrics by name: the run's, changed by metrics.NAME=…, or, where metrics=GROUP is given, those of the group.

    Raises UserError for a target that may not be named or is not there.
    """
    anew = any(text.startswith("metrics=") for text in overrides)
    given = compose_raw(read(overrides)).metrics if overrides else {}
    try:
        merged = OmegaConf.merge({} if anew or run is None else run.metrics, given)
    except OmegaConfBaseException as error:
        raise UserError(f"metrics: {str(error).splitlines()[0]}") from None
    found: Any = OmegaConf.to_container(merged, resolve=True)
    authorise(found, "metrics.")
    return dict(found)


def of_net(metrics: dict[str, Any], found: Match, classes: Sequence[str]) -> Metrics | None:
    """The same for a net of so many outputs, of which `found` tells which stands for which of the data's classes.

    A class of the net that the data have not is named "". Raises UserError, as Metrics does.
    """
    names = [""] * (max(found.outputs) + 1)
    for output, name in zip(found.outputs, classes, strict=True):
        names[output] = name
    return Metrics(metrics, names, found.of) if metrics else None
