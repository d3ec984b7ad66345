"""What each net answers to each image, written into its folder, and how far several nets agree."""

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from resnet_lab.config.identity import identity
from resnet_lab.data.spec import DataConfig
from resnet_lab.errors import UserError, printable
from resnet_lab.files import write_text
from resnet_lab.trained.classes import Match
from resnet_lab.trained.source import Trained
from resnet_lab.training import mistakes
from resnet_lab.training.answering import Answering
from resnet_lab.training.answers import Agreement, Answers, agreement, as_csv
from resnet_lab.training.protocols import Protocol

AGREEMENT = "agreement.csv"
ENSEMBLE = "ensemble"

Pairs = dict[tuple[str, str], Agreement]


@dataclass(frozen=True)
class Wanted:
    """What `--details` asks for."""

    out: Path | None = None  # where they go; None: into each run folder


@dataclass
class Details:
    """The details of one evaluation: where each row's files go, and what has been answered so far."""

    folders: list[Path | None]  # of each row of the table; None: nowhere
    common: Path  # for what is of several nets
    known: list[tuple[str, ...]]  # the classes that each row's net names
    _told: dict[str, Answers] = field(default_factory=dict)

    @classmethod
    def of(cls, out: Path | None, trained: Sequence[Trained], config: DataConfig, way: Protocol) -> "Details":
        """`out`, with a folder in it for each of several nets, or each net's own run folder.

        Raises UserError where a net has no folder, or one cannot be made.
        """
        known = [net.seen.class_names if net.seen else () for net in trained]
        if out is None:
            lost = next((net for net in trained if net.run is None or net.path is None), None)
            if lost is not None:
                raise UserError(f"{lost.name} has no run folder: --out FOLDER says where its details go")
            folders = [_own(net, config, way) for net in trained]
            common = folders[0].parent if len(folders) > 1 else folders[0]
        else:
            folders, common = [out], out
            if len(trained) > 1:
                folders = [out / name for name in _apart(trained)]
        several = [None if out is None else out / ENSEMBLE] if len(trained) > 1 else []
        return cls([*folders, *several], common, [*known, *known[:1]])

    def take(
        self,
        name: str,
        answering: Answering,
        tested: Sequence[tuple[int, str]],
        classes: Sequence[str],
        found: Match,
    ) -> None:
        """Write what the next row's net answered; raises UserError where that cannot be written."""
        row = len(self._told)
        names = _names(found, classes, self.known[row])
        answers, images = answering.answers(tested, classes, names)
        self._told[name] = answers
        folder = self.folders[row]
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            mistakes.leave(folder, answers, images)
        except OSError as error:
            raise UserError(f"cannot write {error.filename or folder}: {error.strerror}") from None

    def close(self, console: Console) -> None:
        """Print how far the nets agree, and where the files lie."""
        nets = dict(itertools.islice(self._told.items(), len(self.folders) - (len(self.folders) > 1)))
        if len(nets) > 1:
            pairs: Pairs = {
                (one, other): agreement(nets[one], nets[other])
                for one, other in itertools.combinations(nets, 2)
            }
            console.print(_table(pairs))
            for line in (_mean(pairs), _wrong_by(list(nets.values()))):
                console.print(line, markup=False, soft_wrap=True)
            write_text(self.common / AGREEMENT, _csv(pairs))
        paths = [folder for folder in self.folders if folder is not None]
        for path in [*paths, *([self.common / AGREEMENT] if len(nets) > 1 else [])]:
            console.print(f"details: {printable(path)}", markup=False, soft_wrap=True)


def _own(net: Trained, config: DataConfig, way: Protocol) -> Path:
    """The run folder, where the test is the run's own; else a folder in it, so that the run's own answers stay."""
    assert net.run is not None
    assert net.path is not None
    tested = replace(net.run, data=config, protocol=way.name)
    return net.path if identity(tested) == identity(net.run) else net.path / f"{config.name}-{way.name}"


def _apart(trained: Sequence[Trained]) -> list[str]:
    """A name of a folder for each net."""
    names: list[str] = []
    for net in trained:
        name = net.path.resolve().name if net.path else net.name.replace("/", "-").replace(" ", "-")
        numbered = (f"{name}-{number}" for number in itertools.count(2))
        taken = {*names, ENSEMBLE}
        names.append(next(each for each in itertools.chain([name], numbered) if each not in taken))
    return names


def _names(found: Match, classes: Sequence[str], known: Sequence[str]) -> dict[int, str]:
    """Return the name of each output: the data's class if they match, otherwise the network's own."""
    names: dict[int, str] = {}
    for output, name in zip(found.outputs, classes, strict=True):
        names.setdefault(output, name)
    taken = {*classes}
    for output in range(found.of):
        if output not in names:
            name = known[output] if output < len(known) else f"output {output}"
            names[output] = f"{name} (output {output})" if name in taken else name
            taken.add(names[output])
    return names


def _table(pairs: Pairs) -> Table:
    table = Table(box=None, title="agreement (%)", title_justify="left")
    for name in ("net", "and"):
        table.add_column(name, overflow="fold")
    for name in ("same answer", "both wrong", "by chance", "same mistake", "consistency"):
        table.add_column(name, justify="right")
    for (one, other), each in pairs.items():
        numbers = (each.same, each.both_wrong, each.by_chance, each.same_mistake)
        table.add_row(printable(one), printable(other), *map(_two, numbers), _two(each.consistency))
    return table


def _mean(pairs: Pairs) -> str:
    same = [each.same for each in pairs.values()]
    spread = f" (lowest {min(same):.2f}, of {len(same)} pairs)" if len(same) > 1 else ""
    return f"two nets give the same answer to {statistics.fmean(same):.2f} % of the images{spread}"


def _wrong_by(nets: Sequence[Answers]) -> str:
    """How many images how many nets get wrong."""
    wrong = Counter(
        sum(not each.right for each in image) for image in zip(*(net.given for net in nets), strict=True)
    )
    said = ", ".join(f"{count:,} by {number}" for number, count in sorted(wrong.items()))
    return f"images that are taken for another class: {said} of the {len(nets)} nets"


def _two(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _csv(pairs: Pairs) -> str:
    figures = (
        "same_answer",
        "wrong",
        "other_wrong",
        "both_wrong",
        "by_chance",
        "same_mistake",
        "consistency",
    )
    rows = (
        [*pair, each.same, *each.wrong, each.both_wrong, each.by_chance, each.same_mistake, each.consistency]
        for pair, each in pairs.items()
    )
    return as_csv(["net", "other", *figures], rows)
