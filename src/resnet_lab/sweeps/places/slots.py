"""Slots: what one run occupies while it trains. Free of torch."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Every library that starts threads of its own reads one of these when it loads.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Slot:
    """The places that a run holds: GPU ids, or numbers of CPU shares."""

    places: tuple[str, ...]
    threads: int  # of each process of the run
    gpu: bool

    def environment(self) -> dict[str, str]:
        """What must be set before the run touches a device."""
        threads = dict.fromkeys(THREAD_VARIABLES, str(self.threads))
        return {**threads, "CUDA_VISIBLE_DEVICES": ",".join(self.places) if self.gpu else ""}


class Slots:
    """Places with one or more seats each; a run takes one seat on each of its places."""

    def __init__(
        self, places: Sequence[str], *, seats: int = 1, threads: int = 1, gpu: bool = False, limit: int = 0
    ) -> None:
        """`limit`: at most that many runs at a time; 0: as many as there are seats."""
        self._free = dict.fromkeys(places, seats)
        self._taken = 0
        self._limit = limit or len(places) * seats
        self.threads = threads
        self.gpu = gpu

    def __len__(self) -> int:
        """How many places there are, taken or not."""
        return len(self._free)

    def take(self, count: int) -> Slot | None:
        """A slot of that many places, the emptiest first; None when there is no room now."""
        places = sorted((place for place, seats in self._free.items() if seats), key=lambda p: -self._free[p])
        if len(places) < count or self._taken >= self._limit:
            return None
        for place in places[:count]:
            self._free[place] -= 1
        self._taken += 1
        return Slot(tuple(places[:count]), self.threads, self.gpu)

    def give_back(self, slot: Slot) -> None:
        for place in slot.places:
            self._free[place] += 1
        self._taken -= 1


def core_slots(runs: int, slots: int | None) -> Slots:
    """Equal shares of the CPU cores; without `slots`, one core for each of the runs while there are enough.

    Small nets gain nothing from a second thread: two runs side by side beat one run on two cores.
    """
    count = slots or max(1, min(runs, cores()))
    return Slots([str(share) for share in range(count)], threads=max(1, cores() // count))


def gpu_slots(gpus: Sequence[str], runs_per_gpu: int, slots: int | None) -> Slots:
    """One place a GPU, with `runs_per_gpu` seats; `slots` bounds how many runs train at a time."""
    threads = max(1, cores() // (len(gpus) * runs_per_gpu))
    return Slots(gpus, seats=runs_per_gpu, threads=threads, gpu=True, limit=slots or 0)


def gpu_names(count: int) -> list[str]:
    """The ids of the `count` GPUs that torch sees, as CUDA_VISIBLE_DEVICES names them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [name.strip() for name in given.split(",")][:count] if given else [str(i) for i in range(count)]


def cores() -> int:
    """CPU cores that this process may use: its affinity and its container's quota counted."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return usable
    return usable if quota == "max" else max(1, min(usable, int(quota) // int(period)))
