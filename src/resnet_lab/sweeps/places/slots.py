"""Slots: what one run occupies while it trains. Free of torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from resnet_lab.cores import SHARE, cores
from resnet_lab.runs.gpus import VISIBLE


@dataclass(frozen=True)
class Slot:
    """The places that a run holds: GPU ids, or numbers of CPU shares."""

    places: tuple[str, ...]
    cores: int  # of the run
    gpu: bool

    def environment(self) -> dict[str, str]:
        """What must be set before the run touches a device."""
        return {SHARE: str(self.cores), VISIBLE: ",".join(self.places) if self.gpu else ""}


class Slots:
    """Places with one or more seats each; a run takes one seat on each of its places."""

    def __init__(
        self, places: Sequence[str], *, seats: int = 1, cores: int = 1, gpu: bool = False, limit: int = 0
    ) -> None:
        """`cores` of each seat; `limit`: at most that many runs at a time, 0: as many as there are seats."""
        self._free = dict.fromkeys(places, seats)
        self._taken = 0
        self._limit = limit or len(places) * seats
        self.cores = cores
        self.gpu = gpu

    def __len__(self) -> int:
        """How many places there are, taken or not."""
        return len(self._free)

    @property
    def places(self) -> list[str]:
        return list(self._free)

    def take(self, count: int) -> Slot | None:
        """A slot of that many places, the emptiest first; None when there is no room now."""
        places = sorted((place for place, seats in self._free.items() if seats), key=lambda p: -self._free[p])
        if len(places) < count or self._taken >= self._limit:
            return None
        for place in places[:count]:
            self._free[place] -= 1
        self._taken += 1
        return Slot(tuple(places[:count]), self.cores * count, self.gpu)

    def give_back(self, slot: Slot) -> None:
        for place in slot.places:
            self._free[place] += 1
        self._taken -= 1


def core_slots(slots: int | None) -> Slots:
    """Equal shares of the CPU, one for each of so many runs at a time; without `slots`, its cores."""
    count = slots or cores()
    return Slots([str(share) for share in range(count)], cores=max(1, cores() // count))


def gpu_slots(gpus: Sequence[str], runs_per_gpu: int, slots: int | None) -> Slots:
    """One place a GPU, with `runs_per_gpu` seats; `slots` bounds how many runs train at a time."""
    share = max(1, cores() // (len(gpus) * runs_per_gpu))
    return Slots(gpus, seats=runs_per_gpu, cores=share, gpu=True, limit=slots or 0)
