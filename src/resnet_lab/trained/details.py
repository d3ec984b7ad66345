"""What each net answers to each image, written into its folder; extras compare the answers of several."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from resnet_lab.config.identity import identity
from resnet_lab.data.spec import DataConfig
from resnet_lab.errors import UserError, printable
from resnet_lab.extras import registered
from resnet_lab.trained.classes import Match
from resnet_lab.trained.network import Trained
from resnet_lab.training import surest_mistakes
from resnet_lab.training.answering import Answering
from resnet_lab.training.answers import Answers
from resnet_lab.training.protocols import Protocol

ENSEMBLE = "ensemble"


@dataclass
class Details:
    """The details of one evaluation: where each row's files go, and what has been answered so far."""

    folders: list[Path | None]  # of each row of the table; None: nowhere
    common: Path  # for what is of several nets
    known: list[tuple[str, ...]]  # the classes that each row's net names
    _answers: dict[str, Answers] = field(default_factory=dict)  # by the name of the row

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
        row = len(self._answers)
        names = _names(found, classes, self.known[row])
        answers, images = answering.answers(tested, classes, names)
        self._answers[name] = answers
        folder = self.folders[row]
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            surest_mistakes.leave(folder, answers, images)
        except OSError as error:
            raise UserError(f"cannot write {error.filename or folder}: {error.strerror}") from None

    def close(self, console: Console) -> None:
        """Print what the extras say of several nets, and where the files lie."""
        paths = [folder for folder in self.folders if folder is not None]
        if len(self.folders) > 1:
            nets = dict(list(self._answers.items())[:-1])  # the last is the ensemble
            for comparison in registered("comparison of answers").values():
                paths += comparison()(nets, self.common, console)
        for path in paths:
            console.print(f"details: {printable(path)}", markup=False, soft_wrap=True)


def _own(net: Trained, config: DataConfig, way: Protocol) -> Path:
    """Return the run folder if the test is the run's own, else a folder in it: the run's own answers stay."""
    assert net.run is not None
    assert net.path is not None
    tested = replace(net.run, data=config, protocol=way.name)
    return net.path if identity(tested) == identity(net.run) else net.path / f"{config.name}-{way.name}"


def _apart(trained: Sequence[Trained]) -> list[str]:
    """Return a name of a folder for each net."""
    names = [ENSEMBLE]
    for net in trained:
        name = net.path.resolve().name if net.path else net.name.replace("/", "-").replace(" ", "-")
        numbered = (f"{name}-{number}" for number in itertools.count(2))
        names.append(next(each for each in itertools.chain([name], numbered) if each not in names))
    return names[1:]


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
