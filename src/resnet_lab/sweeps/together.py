"""A function in several fresh processes that begin together; each answers in time, or all are ended."""

import multiprocessing
import queue
import time
import warnings
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from typing import Any

Work = Callable[[Barrier], Any]  # picklable; it waits at the barrier once it is warm


def together(work: Work, count: int, deadline: float) -> tuple[list[Any], str]:
    """Return the answers of so many processes, or why one of them gave none; `deadline` by ``time.monotonic``."""
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(count), context.Queue()
    processes = [context.Process(target=_answer, args=(work, start, answers)) for _ in range(count)]
    for process in processes:
        process.start()
    found: list[Any] = []
    error = ""
    while len(found) < count and not error:
        ended = [process.exitcode for process in processes if process.exitcode]
        try:
            answer, error = answers.get(timeout=1)
            found.append(answer)
        except queue.Empty:
            if ended:
                error = f"a process ended with exit code {ended[0]}"
            elif time.monotonic() > deadline:
                error = "not done in time"
    for process in processes:
        process.join(0 if error else 10)
        process.kill()  # one that hangs would take the device from what is measured next
        process.join()
    return found, error


def _answer(work: Work, start: Barrier, answers: Any) -> None:
    warnings.simplefilter("ignore")
    try:
        answers.put((work(start), ""))
    except Exception as error:
        start.abort()
        answers.put((None, f"{type(error).__name__}: {error}"))
