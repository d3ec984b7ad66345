"""Runs in processes of their own, so that they can die as runs die: the imports are paid once.

A server that has imported everything and computed nothing forks each of them, so that any test can follow any other:
PyTorch computes no gradients in the fork of a process whose autograd has started threads, and OpenMP's do not survive
one. An action goes there by value; it finds this process's environment, working folder and output, and nothing that
was patched here: what it needs patched, it patches itself.
"""

import functools
import gc
import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Client, Connection, Listener, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import torch

from resnet_lab.models.stored import checkpoints_in
from resnet_lab.runs import checkpoints
from resnet_lab.runs.checkpoints import Checkpoints
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.sweeps.places.local import PRELOADED
from resnet_lab.sweeps.places.server import Server

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([*PRELOADED, "cloudpickle", "pytest"])
PROCESSES: dict[int, BaseProcess] = {}


class Output:
    """Stdout and stderr of the process that pickles it, for the one that unpickles it to write to."""

    def __reduce__(self) -> Any:
        return Output.taken, (DupFd(1), DupFd(2))

    @staticmethod
    def taken(*given: Any) -> None:
        for descriptor, each in enumerate(given, start=1):
            os.dup2(each.detach(), descriptor)


def act(action: bytes, environment: dict[str, str], folder: Path, _: None) -> None:
    gc.freeze()  # or its first collection would copy all that the server has imported: 0.3 s
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # What it starts, it starts as a program of its own would: from a server, workers would import everything anew.
    multiprocessing.set_start_method(None, force=True)
    pickle.loads(action)()


def forked(action: Callable[[], Any]) -> int:
    """Start the action in a process of its own, in the working folder of this one, and return its pid."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        cloudpickle.register_pickle_by_value(sys.modules[name])  # pytest's to import, nobody else's
    arguments = (cloudpickle.dumps(action), dict(os.environ), Path.cwd(), Output())
    process = FORKS.Process(target=act, args=arguments, name="forked")
    process.start()
    assert process.pid is not None
    PROCESSES[process.pid] = process
    return process.pid


def forked_server(
    preloaded: Sequence[str], environment: Mapping[str, str]
) -> "tuple[ForkedServer, Connection[Any, Any]]":
    """What `Local` starts its runs from, in place of `server_process`; forked, so that nothing is imported."""
    with Listener(family="AF_UNIX") as listener:
        address = str(listener.address)

        def serve() -> None:
            os.setsid()
            os.environ.clear()
            os.environ.update(environment)
            sys.path.insert(0, str(Path.cwd()))  # as `python -m` has it
            server = Server(Client(address))
            server.load(list(preloaded))
            server.serve()

        return ForkedServer(PROCESSES.pop(forked(serve))), listener.accept()


class ForkedServer:
    """A forked process with what `Local` uses of `subprocess.Popen`."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float | None = None) -> None:
        self._process.join(timeout)
        if self._process.is_alive():
            raise subprocess.TimeoutExpired("server", timeout or 0)


def running(pid: int) -> bool:
    """Whether a forked process has not ended."""
    return PROCESSES[pid].is_alive()


def ended(pid: int) -> int:
    """The exit code of a forked process, once it has ended; of a signal, its number below 0."""
    process = PROCESSES.pop(pid)
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def in_a_process_of_its_own(test: Callable[..., None]) -> Callable[..., None]:
    """Decorates a test that forks processes which compute: it becomes their parent, and computes nothing itself."""

    @functools.wraps(test)
    def forking(**fixtures: Any) -> None:
        def alone() -> None:
            # The fork of a process that computed with more waits for threads that it has not.
            torch.set_num_threads(1)
            test(**fixtures)

        assert ended(forked(alone)) == 0

    return forking


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


def on_batch(patch: pytest.MonkeyPatch, action: Callable[[Any], None]) -> None:
    """Call the action with the trainer at the end of each batch."""
    original = Checkpoints.on_train_batch_end

    def batch_end(self: Checkpoints, trainer: Any, *arguments: Any) -> None:
        action(trainer)
        original(self, trainer, *arguments)

    patch.setattr(Checkpoints, "on_train_batch_end", batch_end)


def spoil_scores(trainer: Any) -> None:
    """From its next batch on, the net gives scores that are not finite."""
    trainer.lightning_module.backbone.register_forward_hook(lambda net, given, scores: scores * float("inf"))


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
    left = {PROCESSES[pid].sentinel: PROCESSES[pid] for pid in pids}
    while left:
        for sentinel in wait(left):
            process = left.pop(sentinel)
            process.join()
            if process.exitcode:
                time.sleep(1)  # for what the others have to say
                for other in left.values():
                    other.kill()
    return [ended(pid) for pid in pids]


def iterations(folder: RunFolder) -> list[int]:
    """Of the checkpoints that lie there, newest first."""
    return [int(path.stem) for path in checkpoints_in(folder.checkpoints)]


def restored(folder: RunFolder) -> list[int]:
    """The iterations from which the run went on, as its record tells."""
    return list(folder.record().resumed_from)
