"""Train, sweep and use trained networks from Python: what the command line calls, too. Free of torch at import."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Quote, QuotedString

from resnet_lab.config.groups import groups
from resnet_lab.config.request import Request
from resnet_lab.config.schema import TrainConfig
from resnet_lab.files import expanded
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.history import read_columns
from resnet_lab.runs.record import Failure, Record, State

if TYPE_CHECKING:
    from torch import nn

    from resnet_lab.trained.network import Trained
    from resnet_lab.trained.predict import Prediction

Overrides = Sequence[str] | Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """One run: a configuration and a seed, in a folder of its own."""

    folder: Path
    trust: bool = field(default=False, compare=False, repr=False)

    @property
    def state(self) -> State:
        """Return new, running, finished, failed or interrupted; it equals its text: `run.state == "finished"`."""
        return RunFolder(self.folder).state()

    @property
    def config(self) -> TrainConfig:
        """Return the configuration as dataclasses, for example `run.config.recipe.lr`."""
        return RunFolder(self.folder).config()

    @property
    def record(self) -> Record | None:
        """Return what the run left: `record.last["test/error"]` in per cent, `cost`, `environment`, `error`."""
        return RunFolder(self.folder).record()

    def history(self) -> dict[str, list[float]]:
        """Return the columns of history.csv, one value per epoch; NaN where an epoch has none."""
        return read_columns(RunFolder(self.folder).history_file)

    def model(self) -> "nn.Module":
        """Return the tested network on the CPU, in eval mode; of an unfinished run that of its last checkpoint.

        Raises UserError where there is none yet, or the folder names code that it may not (see `load`).
        """
        return self._trained().load()

    def evaluate(self, *overrides: str, protocol: str | None = None) -> dict[str, float]:
        """Test the network again: `error` and `top5_error` (per cent), `loss`, the number of `images`, and metrics.

        On its own test images, or as `data.…=…` says; `protocol` as `resnet-lab evaluate --protocol`. Raises UserError.
        """
        from resnet_lab.trained.evaluate import evaluate
        from resnet_lab.trained.keys import Pairs

        found = evaluate([self._trained()], Pairs("evaluate", overrides, "metrics", "data"), protocol)
        (figures,) = found.figures.values()
        return figures

    def predict(self, *images: Path | str) -> "list[Prediction]":
        """Classify image files, or all pictures below folders. Raises UserError for a folder without a picture."""
        from resnet_lab.trained.predict import predict
        from resnet_lab.trained.seen import Given, known

        net = self._trained()
        return list(predict(net, known(net, Given()), map(expanded, images)))

    def _trained(self) -> "Trained":
        from resnet_lab.trained.network import of_run

        return of_run(self.folder, trust=self.trust)


def train(overrides: Overrides = (), *, fresh: bool = False) -> Run:
    """Train one run to its end in this process, or return it if it is finished; an interrupted one is resumed.

    `overrides` are those of the command line, as text (`["data=digits", "model.depth=8"]`) or as a mapping
    (`{"data": "digits", "model": {"depth": 8}}`); `fresh` trains a finished run again, in a folder beside it.
    Raises UserError for a mistake in them, before anything is written, and RuntimeError where the run fails.
    """
    from resnet_lab.sweeps import start

    folder, code = start.run(Request(as_overrides(overrides)), fresh=fresh)
    if code == 130:
        raise KeyboardInterrupt
    if code:
        record = folder.record()
        error = (record and record.error) or Failure("failed", f"exit code {code}")
        raise RuntimeError(f"{folder.path}: {error.kind}: {error.message}")
    return Run(folder.path)


def sweep(overrides: Overrides = (), *, fresh: bool = False) -> list[Run]:
    """Bring every run of a sweep to its end and return them, the failed ones too: each has its `state`.

    As `train`, with a list in a mapping for the values to sweep over: `{"model.depth": [20, 56], "seed": [0, 1, 2]}`.
    """
    from resnet_lab.sweeps import start

    return [
        Run(job.folder.path)
        for job in start.sweep(Request(as_overrides(overrides, swept=True), multirun=True), fresh=fresh)
    ]


def load(path: Path | str, *, trust: bool = False) -> Run:
    """Return the run in a folder. Raises UserError where it holds none.

    `trust` lets a folder from somebody else name code of any installed package: it can then do what you can.
    """
    folder = RunFolder(expanded(path))
    folder.config()
    return Run(folder.path, trust)


def as_overrides(given: Overrides, *, swept: bool = False) -> list[str]:
    """Return overrides in Hydra's grammar; `swept`: lists in a mapping are values to sweep over."""
    if isinstance(given, str):
        raise TypeError(f"a list of overrides is needed, such as [{given!r}]")
    if not isinstance(given, Mapping):
        return list(given)
    found = []
    for key, value in given.items():
        if isinstance(value, Mapping) and key in groups():
            inner = {f"{key}.{name}": each for name, each in value.items()}
            found += as_overrides(inner, swept=swept)
        elif swept and isinstance(value, list | tuple):
            found.append(f"{key}={','.join(map(_written, value))}")
        else:
            found.append(f"{key}={_written(value)}")
    return found


def _written(value: Any) -> str:
    """Write a value as Hydra reads it."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_written, value)) + "]"
    text = str(value)
    word = re.fullmatch(r"[A-Za-z_][\w./-]*", text)
    if word and text.lower() not in ("null", "true", "false", "nan", "inf"):
        return text
    return QuotedString(text, Quote.single).with_quotes()
