"""debug=lr_range: at which learning rate does the loss fall fastest? (Smith, 1506.01186)"""

# ruff: noqa: ARG002 (Lightning names the arguments of its hooks)

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from resnet_lab.training.csv_file import CsvFile

LOWEST, HIGHEST = 1e-5, 10.0  # rates between which the test rises; modes.py sets the highest
SMOOTHING = 0.9  # of the loss, as a moving average
DIVERGED = 3.0  # times the lowest smoothed loss, at which the test ends
WARM_UP = 10  # iterations whose smoothed loss says nothing yet


def rising(iteration: int, total: int) -> float:
    """Return the factor of HIGHEST: the rate rises by the same factor with each iteration."""
    return float((LOWEST / HIGHEST) ** (1 - iteration / max(total - 1, 1)))


class LrRange(Checkpoint):
    """Follows loss and rate, ends training when the loss has risen, and leaves lr_range.csv, a figure and a line."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._average = 0.0
        self.rates: list[float] = []
        self.losses: list[float] = []  # smoothed

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        own = outputs["loss"] if isinstance(outputs, dict) else outputs
        loss = float(
            trainer.strategy.reduce(own.detach(), reduce_op="mean")
        )  # all ranks end at one iteration
        self._average = SMOOTHING * self._average + (1 - SMOOTHING) * loss
        self.rates.append(float(trainer.optimizers[0].param_groups[0]["lr"]))
        self.losses.append(self._average / (1 - SMOOTHING ** (len(self.losses) + 1)))
        if len(self.losses) > WARM_UP and self.losses[-1] > DIVERGED * min(self.losses[WARM_UP:]):
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        rows = zip(self.rates, self.losses, strict=True)
        CsvFile(self._folder / "lr_range.csv", ["lr", "loss"]).append(
            [{"lr": f"{rate:.6g}", "loss": f"{loss:.6g}"} for rate, loss in rows]
        )
        best = suggestion(self.rates, self.losses)
        if best is None:
            print(f"{self._folder}: the loss falls at no learning rate; lr_range.csv has it", flush=True)
            return
        draw(self._folder / "lr_range.png", self.rates, self.losses, best)
        lowest = self.rates[self.losses.index(min(self.losses))]
        print(
            f"{self._folder}: the loss falls fastest at recipe.lr={best:.2g} and is lowest at {lowest:.2g}: see"
            " lr_range.png",
            flush=True,
        )


def suggestion(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """Return the rate at which the loss falls fastest against the logarithm of the rate; None if it never falls."""
    steps = range(WARM_UP, len(losses) - 1)
    slopes = {
        step: (losses[step + 1] - losses[step - 1]) / math.log(rates[step + 1] / rates[step - 1])
        for step in steps
    }
    steepest = min(slopes, key=slopes.__getitem__, default=None)
    return None if steepest is None or slopes[steepest] >= 0 else rates[steepest]


def draw(path: Path, rates: Sequence[float], losses: Sequence[float], best: float) -> None:
    """Write the curve, with the suggestion as a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.add_subplot()
    axes.semilogx(rates, losses)
    axes.axvline(best, linestyle="--", color="0.5", label=f"{best:.2g}")
    axes.set(xlabel="learning rate", ylabel="training loss, smoothed")
    axes.legend()
    figure.savefig(path, dpi=150)
