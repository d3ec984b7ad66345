"""Runs in a forked process, so that they can die as runs die: the imports are paid once.

PyTorch computes no gradients in the fork of a process that has done so itself. So pytest gets a process for each file
that imports this one, which `make test` sees to.
"""

import os
import signal
import socket
import time
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


def killed_when(folder: RunFolder, owner: Any, name: str, call: int = 1) -> None:
    """Train in a forked process that dies by SIGKILL at the n-th call of `owner.name`."""

    def train() -> None:
        original, calls = getattr(owner, name), [0]

        def last_call(*arguments: Any, **named: Any) -> Any:
            calls[0] += 1
            if calls[0] == call:
                die()
            return original(*arguments, **named)

        setattr(owner, name, last_call)
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


def as_torchrun(action: Callable[[], Any], world: int = 2) -> list[int]:
    """Do the same in forked processes, each with the environment that torchrun gives; their exit codes by rank.

    A process that a collective would leave waiting for a dead one is killed, as torchrun does it.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def ranked(rank: int) -> None:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0"}
        os.environ |= {
            "WORLD_SIZE": str(world),
            "LOCAL_WORLD_SIZE": str(world),
            "TORCHELASTIC_RUN_ID": "test",
        }
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
        action()

    pids = [forked(lambda rank=rank: ranked(rank)) for rank in range(world)]  # type: ignore[misc]
    codes: dict[int, int] = {}
    while len(codes) < world:
        pid, status = os.wait()
        if pid not in pids:
            continue
        codes[pid] = os.waitstatus_to_exitcode(status)
        if codes[pid]:
            for other in set(pids) - set(codes):
                time.sleep(1)  # for what it has to say
                os.kill(other, signal.SIGKILL)
    return [codes[pid] for pid in pids]


def iterations(folder: RunFolder) -> list[int]:
    """Of the checkpoints that lie there, newest first."""
    return [int(path.stem) for path in written(folder.checkpoints)]


def restored(folder: RunFolder) -> list[int]:
    """The iterations from which the run went on, as its log tells."""
    lines = folder.log_file.read_text().splitlines()
    return [int(Path(line).stem) for line in lines if "Restored all states from the checkpoint at" in line]
