"""How far several nets agree on the same images: a table, a line and agreement.csv. Free of torch."""

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from resnet_lab.errors import printable
from resnet_lab.files import write_text
from resnet_lab.training.answers import Answers, as_csv

FILE = "agreement.csv"


@dataclass(frozen=True)
class Agreement:
    """How far two networks agree on the same images, in per cent."""

    same: float  # answers
    wrong: tuple[float, float]  # of each net
    both_wrong: float
    by_chance: float  # both wrong, if the mistakes of one said nothing of those of the other
    same_mistake: float  # the same wrong answer, of the images that both get wrong; nan without any

    @property
    def consistency(self) -> float:
        """Error consistency, Cohen's kappa of right and wrong (Geirhos et al. 2020): 1 the same images, 0 chance."""
        alike = (100 - sum(self.wrong) + 2 * self.both_wrong) / 100
        expected = (100 - sum(self.wrong) + 2 * self.by_chance) / 100
        return (alike - expected) / (1 - expected) if expected < 1 else float("nan")


def agreement(ours: Answers, theirs: Answers) -> Agreement:
    """Return the agreement of two networks that were tested on the same images in the same order."""
    pairs = list(zip(ours.given, theirs.given, strict=True))
    assert all(a.image == b.image for a, b in pairs)
    share = 100 / max(len(pairs), 1)
    both = [(a, b) for a, b in pairs if not a.right and not b.right]
    equal = sum(a.prediction == b.prediction for a, b in both)
    return Agreement(
        same=share * sum(a.prediction == b.prediction for a, b in pairs),
        wrong=(ours.error, theirs.error),
        both_wrong=share * len(both),
        by_chance=ours.error * theirs.error / 100,
        same_mistake=100 * equal / len(both) if both else float("nan"),
    )


def compare(nets: Mapping[str, Answers], folder: Path, console: Console) -> list[Path]:
    """Print how far several nets agree, and write agreement.csv, whose path is returned."""
    table = Table(box=None, title="agreement (%)", title_justify="left")
    for name in ("net", "and"):
        table.add_column(name, overflow="fold")
    for name in ("same answer", "both wrong", "by chance", "same mistake", "consistency"):
        table.add_column(name, justify="right")
    rows, same = [], []
    for one, other in itertools.combinations(nets, 2):
        found = agreement(nets[one], nets[other])
        numbers = [found.both_wrong, found.by_chance, found.same_mistake, found.consistency]
        cells = ("–" if math.isnan(value) else f"{value:.2f}" for value in (found.same, *numbers))
        table.add_row(printable(one), printable(other), *cells)
        rows.append([one, other, found.same, *found.wrong, *numbers])
        same.append(found.same)
    console.print(table)
    spread = f" (lowest {min(same):.2f}, of {len(same)} pairs)" if len(same) > 1 else ""
    wrong = Counter(
        sum(not each.right for each in image)
        for image in zip(*(net.given for net in nets.values()), strict=True)
    )
    counts = ", ".join(f"{count:,} by {number}" for number, count in sorted(wrong.items()))
    for line in (
        f"two nets give the same answer to {statistics.fmean(same):.2f} % of the images{spread}",
        f"images that are taken for another class: {counts} of the {len(nets)} nets",
    ):
        console.print(line, markup=False, soft_wrap=True)
    header = (
        "net",
        "other",
        "same_answer",
        "wrong",
        "other_wrong",
        "both_wrong",
        "by_chance",
        "same_mistake",
    )
    write_text(folder / FILE, as_csv([*header, "consistency"], rows))
    return [folder / FILE]
