"""What a run occupies while it trains."""

import pytest

from resnet_lab.sweeps.places import slots
from resnet_lab.sweeps.places.slots import core_slots, gpu_names, gpu_slots


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "cores", lambda: 8)


def test_cores_are_divided_equally_among_the_runs_at_a_time() -> None:
    assert [core_slots(runs, None).threads for runs in (1, 2, 3, 20)] == [8, 4, 2, 1]
    assert [len(core_slots(runs, None)) for runs in (1, 2, 3, 20)] == [1, 2, 3, 8]
    assert core_slots(20, 2).threads == 4


def test_run_on_cores_sees_no_gpu_and_every_library_is_told_its_threads() -> None:
    slot = core_slots(4, None).take(1)
    assert slot is not None
    assert slot.environment()["CUDA_VISIBLE_DEVICES"] == ""
    assert {slot.environment()[name] for name in slots.THREAD_VARIABLES} == {"2"}


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
    assert there.threads == 2


def test_slots_bound_the_runs_at_a_time() -> None:
    there = gpu_slots(["0", "1", "2"], 2, 1)
    assert there.take(1) is not None
    assert there.take(1) is None


def test_gpus_that_the_sweep_may_not_see_are_given_to_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-5f")
    assert gpu_names(2) == ["3", "GPU-5f"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert gpu_names(2) == ["0", "1"]
