"""What a run costs: processor time, and whether others had its cores meanwhile."""

import time

import pytest

from resnet_lab.runs import cost
from resnet_lab.runs.cost import CostMeter


def trained(seconds: float, waited: float | None, monkeypatch: pytest.MonkeyPatch) -> CostMeter:
    """A cost after so many seconds of training, of which a thread waited some for a core."""
    clocks = [(100.0, 50.0, None if waited is None else 3.0)]
    clocks.append((100.0 + seconds, 50.0 + seconds, None if waited is None else 3.0 + waited))
    monkeypatch.setattr(cost, "_clocks", lambda: clocks.pop(0))
    found = CostMeter()
    found.on_train_start(None, None)  # type: ignore[arg-type]
    found._pause()
    return found


@pytest.mark.parametrize(("waited", "shared"), [(0.1, False), (6.0, True), (None, None)])
def test_a_run_that_waited_for_its_cores_shared_them(
    waited: float | None, shared: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = trained(10.0, waited, monkeypatch)
    assert (found.train_seconds, found.processor_seconds, found.waited_seconds) == (
        10.0,
        10.0,
        pytest.approx(waited),
    )
    assert found.shared_cores == shared


def test_the_clocks_count_what_the_processor_did() -> None:
    began = cost._clocks()
    while time.process_time() < began[1] + 0.2:
        pass
    ended = cost._clocks()
    assert 0.2 <= ended[1] - began[1] < 0.4
    assert ended[0] - began[0] >= 0.2


def test_an_earlier_checkpoint_says_nothing_of_waiting() -> None:
    found = CostMeter()
    found.load_state_dict({"images": 5, "train_seconds": 2.0, "total_seconds": 3.0})
    assert (found.waited_seconds, found.shared_cores) == (None, None)
