"""Further metrics of each evaluation by name: torchmetrics' own, and the user's.

A metric is ``{_target_: torchmetrics.classification.MulticlassF1Score, average: macro}``: a class or function that
gives a torchmetrics Metric, and its arguments. `num_classes` and `task` are filled in where it takes them.
"""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from resnet_lab.errors import UserError
from resnet_lab.targets import instance
from resnet_lab.training.sums import world_size

BUILT_IN = ("loss", "error", "top5_error")
TRIAL = 16  # images of each of the two batches of a trial, at most


class Metrics:
    """Metrics of softmax outputs (N, K) and labels (N,), over all ranks.

    Each gives a number, or one for each of the K classes (a column each, for example ``accuracy/cat``), or numbers by
    name. Made, and tried on two batches, at once: raises UserError, which names the metric, for what is none or fails.
    """

    def __init__(
        self, chosen: Mapping[str, Any], class_names: Sequence[str], outputs: int | None = None
    ) -> None:
        """`outputs`: K, where the net has more of them than the data set has classes."""
        self._class_names = tuple(class_names)
        self._outputs = max(outputs or 0, len(class_names))
        self._metrics = {name: self._made(name, spec) for name, spec in chosen.items()}
        self.columns = self._tried()  # as in accuracy/cat

    def start(self, device: torch.device) -> None:
        """Forget the images so far; what follows lies on that device."""
        for name, metric in self._metrics.items():
            self._asked(name, lambda metric=metric: metric.to(device).reset())  # type: ignore[misc]

    def add(self, probabilities: Tensor, labels: Tensor) -> None:
        """Count one batch: softmax outputs (N, K) and labels (N,), on the device of `start`."""
        for name, metric in self._metrics.items():
            self._asked(name, lambda metric=metric: metric.update(probabilities, labels))  # type: ignore[misc]

    def computed(self) -> dict[str, float]:
        """Return a value for each of `columns`, nan where it is not defined; all ranks must call this."""
        values: dict[str, float] = {}
        for name, metric in self._metrics.items():
            with warnings.catch_warnings():  # of classes without an image, which are nan or 0
                warnings.simplefilter("ignore")
                values |= self._by_column(name, self._asked(name, metric.compute))
        return values

    def _made(self, name: str, spec: Any) -> Metric | MetricCollection:
        key = f"metrics.{name}"
        if name in BUILT_IN or not re.fullmatch(r"[\w-]+", name):
            raise UserError(f"{key}: a name of letters, digits, _ and -, other than {', '.join(BUILT_IN)}")
        usual = {"num_classes": self._outputs, "task": "multiclass"}
        metric = instance(spec, key, usual)
        if not isinstance(metric, Metric | MetricCollection):
            raise UserError(f"{key} gives {type(metric).__name__}: a torchmetrics Metric is needed")
        return metric

    def _tried(self) -> tuple[str, ...]:
        """Return the columns, from two batches that belong to no run."""
        cpu = torch.device("cpu")
        self.start(cpu)
        for first in (0, TRIAL):
            labels = torch.arange(first, first + min(self._outputs, TRIAL)) % len(self._class_names)
            self.add(torch.nn.functional.one_hot(labels, self._outputs).float().softmax(1), labels)
        columns = tuple(self.computed())
        self.start(cpu)
        return columns

    def _by_column(self, name: str, found: Any) -> dict[str, float]:
        if isinstance(found, Mapping):
            return {
                column: value
                for key, each in found.items()
                for column, value in self._by_column(f"{name}/{key}", each).items()
            }
        if isinstance(found, Tensor) and found.numel() == 1:
            return {name: float(found)}
        if isinstance(found, Tensor) and found.shape == (self._outputs,):
            known = len(self._class_names)  # of a wider net's other outputs there are no images
            return {
                f"{name}/{each}": value
                for each, value in zip(self._class_names, found[:known].tolist(), strict=True)
            }
        given = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise UserError(
            f"metrics.{name.partition('/')[0]} gives {given}: a number, one for each of the {self._outputs} classes,"
            " or numbers by name are needed"
        )

    @staticmethod
    def _asked(name: str, action: Callable[[], Any]) -> Any:
        """Return the action's result; an error of the metric's own becomes one line that names it."""
        try:
            return action()
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:
            if world_size() > 1 and isinstance(error, RuntimeError):
                raise  # it may be another rank that failed
            raise UserError(
                f"metrics.{name} fails: {type(error).__name__}: {' '.join(str(error).split())}"
            ) from error
