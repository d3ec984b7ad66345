"""Runs in a forked process, so that they can die as runs die: the imports are paid once."""

import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from resnet_lab.runs import checkpoints
from resnet_lab.runs.checkpoints import Checkpoints, written
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder


def forked(action: Callable[[], Any]) -> int:
    """Start the action in a process of its own, and return its pid."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            action()
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def ended(pid: int) -> int:
    """The exit code of a forked process, once it has ended; of a signal, its number below 0."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed(folder: RunFolder, moment: str, iteration: int) -> None:
    """Train in a forked process that dies by SIGKILL: `before`, `within` or `after` the write of a checkpoint."""

    def train() -> None:
        die_at(moment, iteration)
        execute(folder.path)

    assert ended(forked(train)) == -signal.SIGKILL
    assert folder.state() == "interrupted"


def die_at(moment: str, iteration: int) -> None:
    """Let this process kill itself around the checkpoint of that iteration."""
    write = Checkpoints.write

    def writing(self: Checkpoints, trainer: Any) -> None:
        if trainer.global_step == iteration and moment == "before":
            die()
        if trainer.global_step == iteration and moment == "within":
            checkpoints.torch = Half()  # type: ignore[attr-defined]
        write(self, trainer)
        if trainer.global_step == iteration and moment == "after":
            die()

    Checkpoints.write = writing  # type: ignore[method-assign]


class Half:
    """`torch` as the module of checkpoints sees it, whose `save` does not live to its end."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def save(self, checkpoint: Any, file: Any) -> None:
        torch.save(checkpoint, file)
        file.truncate(file.tell() // 2)
        die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def on_batch(monkeypatch: Any, action: Callable[[Any], None]) -> None:
    """Call the action with the trainer at the end of each batch."""
    original = Checkpoints.on_train_batch_end

    def batch_end(self: Checkpoints, trainer: Any, *arguments: Any) -> None:
        action(trainer)
        original(self, trainer, *arguments)

    monkeypatch.setattr(Checkpoints, "on_train_batch_end", batch_end)


def iterations(folder: RunFolder) -> list[int]:
    """Of the checkpoints that lie there, newest first."""
    return [int(path.stem) for path in written(folder.checkpoints)]


def restored(folder: RunFolder) -> list[int]:
    """The iterations from which the run went on, as its log tells."""
    lines = folder.log_file.read_text().splitlines()
    return [int(Path(line).stem) for line in lines if "Restored all states from the checkpoint at" in line]
