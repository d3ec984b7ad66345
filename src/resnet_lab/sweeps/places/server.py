"""The process from which runs are forked: it has imported everything and touched no device.

`python -m resnet_lab.sweeps.places.server DESCRIPTOR MODULE…` imports the modules, then forks a run for each request
that comes through the connection. A fork starts in 0.05 s what takes 8 s to import: torch, lightning, torchvision.

It ends when it is asked to, or the connection ends, and stops the runs first, so that a sweep that is killed leaves
nothing behind; a run whose server was killed notices it (`signals.end_with`) and stops.

Python's own `multiprocessing` has a forkserver, which starts runs as fast. It has no hook after its imports for
`gc.freeze`, without which each run copies 140 MiB (3 MiB with it); it serves all sweeps of a program, with the
environment of the first, and only a private function ends it; an import that fails is passed over; and a script without
``if __name__ == "__main__"`` that calls `resnet_lab.sweep` would be run again in each run.
"""

import gc
import importlib
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from resnet_lab.errors import lacking
from resnet_lab.runs.signals import GRACE, end_with

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK = 0.05  # seconds between two looks at which runs ended


class Server:
    """Forks a process for each request and tells its pid, and its exit code when it ends."""

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        self._connection = connection
        os.set_inheritable(connection.fileno(), False)
        os.dup2(2, 1)  # what a library prints while it is imported
        # When to end is the sweep's business. What it ignored from the start, as under nohup, so do the runs.
        self._heard = [n for n in ENDING if signal.signal(n, signal.SIG_IGN) != signal.SIG_IGN]
        self._children: dict[int, str] = {}

    def load(self, modules: list[str]) -> None:
        for module in modules:
            importlib.import_module(module)
        gc.collect()
        gc.freeze()  # or a collection in a run would copy the shared pages
        self.tell(ready=True)

    def serve(self) -> None:
        """Answer requests until there are no more, then stop the runs."""
        with suppress(EOFError, ConnectionResetError):  # the sweep was killed
            while True:
                self._reap()
                if self._connection.poll(LOOK):
                    if (request := self._connection.recv()) is None:
                        break
                    self._fork(request)
        for pid in self._children:
            terminate(pid)
        deadline = time.monotonic() + GRACE
        while self._children and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.02)
        for pid in self._children:
            kill(pid)

    def _fork(self, request: dict[str, Any]) -> None:
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            self._connection.close()
            _become(request, parent, self._heard)
        self._children[pid] = request["name"]
        self.tell(name=request["name"], pid=pid)

    def _reap(self) -> None:
        """Tell the exit codes of the children that ended; a negative code is the signal that ended one."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)  # whatever it started ends with it
                self.tell(name=self._children.pop(pid), code=os.waitstatus_to_exitcode(status))

    def tell(self, **answer: Any) -> None:
        with suppress(OSError):  # nobody listens any more: the end of the requests follows
            self._connection.send(answer)


def terminate(pid: int) -> None:
    """Ask a run to stop: it tells its own processes, and leaves a checkpoint."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def kill(pid: int) -> None:
    """End a run and every process that it started: they are of one group."""
    for end in (os.killpg, os.kill):  # it leads its group only once it has got that far
        with suppress(ProcessLookupError):
            end(pid, signal.SIGKILL)


def _become(request: dict[str, Any], parent: int, heard: list[signal.Signals]) -> NoReturn:
    """Turn the forked process into the program that the request names; its output goes to the log."""
    code = 1
    try:
        os.setsid()
        for number in heard:
            interrupt = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if interrupt else signal.SIG_DFL)
        end_with(parent)
        null = os.open(os.devnull, os.O_RDONLY)  # never a prompt
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        os.environ.update(request["environment"])
        program = importlib.import_module(request["program"])
        sys.argv = [str(program.__file__), *request["arguments"]]  # which trackers show
        code = program.main(request["arguments"])
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError):  # a full disk must not hide the exit code
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def main(_: list[str]) -> int:
    """Print how many GPUs PyTorch sees: asked for in a fork, so that the server itself touches none."""
    import torch

    print(torch.cuda.device_count())
    return 0


if __name__ == "__main__":
    server = Server(Connection(int(sys.argv[1])))
    try:
        server.load(sys.argv[2:])
    except (MemoryError, ImportError, OSError) as error:
        if lacking(error) is None:
            raise
        server.tell(lacking=str(error))
        sys.exit(1)
    server.serve()
