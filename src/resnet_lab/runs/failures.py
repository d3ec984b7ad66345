"""Names for what ends a run before its time, and one clear line for each."""

import errno
from collections.abc import Iterator

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from resnet_lab.errors import NamedFailure, UserError, lacking
from resnet_lab.models.stored import checkpoints_in
from resnet_lab.runs.checkpoints import NonFiniteWeights, UnreadableCheckpoint
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.lock import LostLock
from resnet_lab.runs.record import Failure
from resnet_lab.runs.recording import with_its_code
from resnet_lab.training import NonFiniteLoss
from resnet_lab.training.csv_file import SpoiltFile


def describe(error: BaseException, folder: RunFolder) -> Failure:
    """Return the record's ``error``: its kind, and a message of one line that says what to do where that is known.

    Kinds: nonfinite_loss, not_by_heart, pruned, out_of_memory, disk_full, system_limit, unreadable_checkpoint,
    spoilt_history, lost_lock, user_error, other.
    """
    for cause in _chain(error):
        found = _named(cause, folder)
        if found is not None:
            kind, message = found
            break
    else:
        kind, message = "other", f"{type(error).__name__}: {error}"
    return Failure(kind, " ".join(message.split()))


def _named(error: BaseException, folder: RunFolder) -> tuple[str, str] | None:
    match error:
        case NonFiniteLoss() | NonFiniteWeights():
            kept = next(iter(checkpoints_in(folder.checkpoints)), None)
            last = f"checkpoints/{kept.name} is the last finite one" if kept else "there was none before"
            return "nonfinite_loss", f"{error}; {last}; a lower recipe.lr or a warm-up may help"
        case NamedFailure():
            return error.kind, str(error)
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return "disk_full", f"no space left for {folder.path}: free some, then run again to go on"
        case UnreadableCheckpoint():
            return "unreadable_checkpoint", str(error)
        case SpoiltFile():
            return "spoilt_history", str(error)
        case LostLock():
            return "lost_lock", f"{error}: another process may be training here, so this one stopped"
        case UserError():
            return "user_error", str(with_its_code(error, folder))
        case MisconfigurationException():
            return "user_error", str(error)
    if _is_out_of_memory(error):
        return "out_of_memory", (
            f"{_first_line(error)}: recipe.accumulate=2 halves the images in memory at the same"
            " recipe.batch_size; model.checkpointing=true and precision=bf16 save more; or lower"
            " recipe.batch_size"
        )
    if (line := lacking(error)) is not None:
        return "system_limit", line
    return None


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # PyTorch's allocator for the CPU has no exception of its own.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].split(". ")[0]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and what led to it: libraries wrap what the system said."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
