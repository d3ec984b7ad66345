"""What a run costs: processor time, memory, and whether others had its cores meanwhile."""

import math
import time
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from resnet_lab.runs import cost
from resnet_lab.runs.cost import CostMeter
from resnet_lab.runs.record import Cost

GPU = torch.device("cuda", 0)


def facts_of(found: CostMeter) -> Cost:
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    found.setup(SimpleNamespace(strategy=strategy, world_size=1), None, "fit")  # type: ignore[arg-type]
    return found.facts()


@pytest.mark.parametrize(("waited", "shared"), [(0.1, False), (6.0, True), (math.nan, None)])
def test_a_run_that_waited_for_its_cores_shared_them(
    waited: float, shared: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = [(100.0, 50.0, 3.0), (110.0, 60.0, 3.0 + waited)]
    monkeypatch.setattr(cost, "_clocks", lambda: clocks.pop(0))
    found = CostMeter()
    found.on_train_start(None, None)  # type: ignore[arg-type]
    found.on_train_end(None, None)  # type: ignore[arg-type]
    told = facts_of(found)
    assert (told.train_seconds, told.processor_seconds, told.shared_cores) == (10.0, 10.0, shared)
    assert told.waited_seconds == (None if shared is None else waited)


def test_the_clocks_count_what_the_processor_did() -> None:
    began = cost._clocks()
    while time.process_time() < began[1] + 0.2:
        pass
    ended = cost._clocks()
    assert 0.2 <= ended[1] - began[1] < 0.4
    assert ended[0] - began[0] >= 0.2


def test_an_earlier_checkpoint_says_nothing_of_waiting() -> None:
    found = CostMeter()
    found.load_state_dict({"images": 5, "train_seconds": 2.0, "total_seconds": 3.0, "waited_seconds": None})
    told = facts_of(found)
    assert (told.waited_seconds, told.shared_cores) == (None, None)


def test_peak_memory_of_a_gpu_is_that_of_steps_after_the_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    used = {"most": 0.0}
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: used["most"])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: used.update(most=0.0))
    found = CostMeter()
    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(root_device=GPU), world_size=1)
    # MiB: trials, steps, trials of the last batch's shape.
    for needed in (900, 900, 70, 70, 70, 70, 800, 800):
        used["most"] = max(used["most"], needed * 2**20)
        found.on_train_batch_end(trainer, None, None, torch.zeros(1), 0)  # type: ignore[arg-type]
    assert found._peak_mib(GPU) == 70
