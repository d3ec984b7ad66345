"""What a run occupies while it trains."""

import pytest

from resnet_lab.cores import SHARE
from resnet_lab.sweeps.places import slots
from resnet_lab.sweeps.places.slots import core_slots, gpu_slots


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "cores", lambda: 8)


def test_run_takes_the_cores_that_it_computes_with_or_an_equal_share_of_them() -> None:
    there = core_slots(None)
    taken = [there.take(count) for count in (1, 4, 4, 3)]
    assert [slot and slot.cores for slot in taken] == [1, 4, None, 3]
    assert [(len(core_slots(count)), core_slots(count).cores) for count in (2, 3, 20)] == [
        (2, 4), (3, 2), (20, 1),
    ]  # fmt: skip


def test_run_on_cores_sees_no_gpu_and_is_told_its_share_of_the_cores() -> None:
    slot = core_slots(2).take(1)
    assert slot is not None
    assert slot.environment() == {"CUDA_VISIBLE_DEVICES": "", SHARE: "4"}


def test_run_has_gpus_of_its_own() -> None:
    there = gpu_slots(["0", "1", "2", "3"], 1, None)
    taken = [there.take(2), there.take(2)]
    assert [slot.environment()["CUDA_VISIBLE_DEVICES"] for slot in taken if slot] == ["0,1", "2,3"]
    assert there.take(1) is None
    assert taken[0] is not None
    there.give_back(taken[0])
    assert there.take(1) is not None


def test_small_nets_share_a_gpu_the_emptiest_first() -> None:
    there = gpu_slots(["0", "1"], 2, None)
    assert [slot.places if (slot := there.take(1)) else None for _ in range(5)] == [
        ("0",), ("1",), ("0",), ("1",), None,
    ]  # fmt: skip
    assert there.cores == 2


def test_slots_bound_the_runs_at_a_time() -> None:
    there = gpu_slots(["0", "1", "2"], 2, 1)
    assert there.take(1) is not None
    assert there.take(1) is None
