"""Start from a finished run: a longer one that goes on from it, or the same trained anew beside it.

Runs of the same choices lie beside one another, in the folder of the first and in its -2, -3, …
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from resnet_lab.config.identity import chosen, path_of
from resnet_lab.config.overrides import parse
from resnet_lab.config.schema import TrainConfig
from resnet_lab.errors import UserError
from resnet_lab.fields import check
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import Record, State
from resnet_lab.runs.recording import of_this_code
from resnet_lab.training.recipes import RecipeConfig
from resnet_lab.training.schedules import learning_rate

LENGTH = ("recipe.epochs", "recipe.iterations")
PLACE = ("name", "runs_root")


def extended(path: Path, overrides: Sequence[str]) -> tuple[RunFolder, str]:
    """Make the folder of a longer run that goes on from a finished one, and return it with a line about it.

    It begins with the weights, the optimiser and the counters of the last checkpoint, and says in its identity and
    its record which run that is of. Raises UserError, and writes nothing, where that run is not finished, has no
    checkpoint of its end, or the overrides change more than the length.
    """
    origin = RunFolder(path)
    config, (state, record) = origin.config(), origin.state_and_record()
    if state != State.FINISHED or record is None:
        raise UserError(
            f"{path} is {state}: train --extend goes on from a finished run; train resumes others"
        )
    done, epochs = int(record.last["iteration"] or 0), int(record.last.get("epoch") or 0)
    longer = _longer(config, overrides, record)
    longer = replace(longer, extends=f"{record.hash}@{done}", run_dir=None)
    check(longer)
    folder = RunFolder.create(longer)
    if folder.state() == State.NEW:
        _begin(origin, config, folder, longer, done)
    total = longer.recipe.iterations or (longer.recipe.epochs or 0) * done // epochs
    before, after = (
        learning_rate(iteration, recipe, length)
        for iteration, recipe, length in ((done - 1, config.recipe, done), (done, longer.recipe, total))
    )
    line = f"{folder.path} goes on from iteration {done} of {path}"
    if longer.recipe.schedule != "constant":
        line += (
            f"; recipe.schedule={longer.recipe.schedule} is that of {total} iterations from there:"
            f" the learning rate was {before:.3g} and goes on at {after:.3g}"
        )
    return folder, line


def _longer(config: TrainConfig, overrides: Sequence[str], record: Record) -> TrainConfig:
    """Return the configuration with the length that the overrides ask for."""
    given: Mapping[str, Any] = {each.key_or_group: each.value() for each in parse(overrides)}
    if other := sorted(given.keys() - {*LENGTH, *PLACE}):
        raise UserError(
            f"train --extend changes the length alone, by {' or '.join(LENGTH)}; {other[0]} would make another run:"
            " model.weights=RUN starts one from its weights"
        )
    lengths = {key.removeprefix("recipe."): given[key] for key in LENGTH if given.get(key) is not None}
    if len(lengths) != 1 or any(type(value) is not int for value in lengths.values()):
        raise UserError("train --extend needs the new length of the whole run: recipe.epochs=20, for example")
    ((name, value),) = lengths.items()
    done = record.last["epoch" if name == "epochs" else "iteration"] or 0
    if value <= done:
        raise UserError(f"recipe.{name}={value}: the run has {done:.0f} already; ask for more of them")
    recipe: RecipeConfig = replace(config.recipe, **{"epochs": None, "iterations": None, **lengths})
    place: dict[str, Any] = {key: str(given[key]) for key in PLACE if key in given}
    return replace(config, recipe=recipe, **place)


def _begin(origin: RunFolder, config: TrainConfig, folder: RunFolder, longer: TrainConfig, done: int) -> None:
    """Put the last checkpoint of a run into the folder of the one that goes on from it, as one of its own."""
    import torch

    from resnet_lab.runs.checkpoints import RUN, AtomicFiles, newest_sound

    last = newest_sound(origin.checkpoints, config)
    if last is None or int(last.stem) != done:
        raise UserError(
            f"{origin.path} has no checkpoint of its last iteration, {done}: it cannot be extended"
        )
    checkpoint = torch.load(last, map_location="cpu", weights_only=True)
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    if not progress["is_last_batch"]:
        raise UserError(f"{origin.path} ended within an epoch, from which no run goes on exactly")
    checkpoint[RUN] |= {"chosen": chosen(longer), "stopped_early_at": None}
    folder.checkpoints.mkdir(exist_ok=True)
    AtomicFiles().save_checkpoint(checkpoint, folder.checkpoints / last.name)


def fresh(configs: Sequence[TrainConfig]) -> list[TrainConfig]:
    """Return the configurations to train once more, next to the runs that are finished.

    Each gets one more finished run of this package's present code than the one of them that has the fewest: so all
    begin, and where they were stopped the same call goes on. Raises UserError for a folder that cannot be read.
    """
    finished = [list(_finished(path_of(config))) for config in configs]
    counts = [sum(of_this_code(folder.record()) for folder in folders) for folders in finished]
    chosen = []
    for config, folders, count in zip(configs, finished, counts, strict=True):
        first = path_of(config)
        path = (_beside(first, len(folders) + 1) if count == min(counts) else folders[-1]).path
        chosen.append(config if path == first else replace(config, run_dir=str(path)))
    return chosen


def of_other_code(folder: RunFolder) -> str:
    """Return what to do about a finished run that this package's present code would make otherwise; "" where it did."""
    if of_this_code(folder.record()):
        return ""
    number = len(list(_finished(folder.path)))
    newer = number > 1 and of_this_code(_beside(folder.path, number).record())
    way = f"that of this code has -{number}" if newer else "train --fresh trains it anew beside it"
    return f"finished by other code of this package; {way}"


def _finished(first: Path) -> Iterator[RunFolder]:
    """Yield the finished ones, up to the first that is not."""
    number = 1
    while (folder := _beside(first, number)).state() == State.FINISHED:
        yield folder
        number += 1


def _beside(first: Path, number: int) -> RunFolder:
    return RunFolder(first if number == 1 else first.with_name(f"{first.name}-{number}"))
