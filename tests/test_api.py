"""From Python: train, sweep and load give runs, which know their folder, record, history and network."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import resnet_lab
from forked import forked_server
from resnet_lab.api import as_overrides
from resnet_lab.config.overrides import parse
from resnet_lab.errors import UserError
from resnet_lab.sweeps.places import local
from run_folders import finished
from swept import configurations

SMALL: dict[str, Any] = {
    "data": "digits",
    "data.train_images": 96,
    "data.test_images": 40,
    "model": {"depth": 8, "width": 4},
    "recipe": {"name": "digits", "epochs": 1, "batch_size": 32},
    "trainer": {"accelerator": "cpu", "threads": 1, "progress": False},
}


def test_a_run_is_trained_and_again_returned_with_what_it_left(tmp_path: Path) -> None:
    run = resnet_lab.train({**SMALL, "runs_root": tmp_path})
    assert run.state == "finished"
    assert run.record is not None
    assert run.history()["test/error"][-1] == run.record.last["test/error"]
    assert run.config.model.depth == 8
    assert run.model()(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert resnet_lab.train([*as_overrides(SMALL), f"runs_root={tmp_path}"]) == run
    assert resnet_lab.load(str(run.folder)) == run
    tested = run.evaluate()
    assert (tested["error"], tested["images"]) == (run.record.last["test/error"], 40)
    assert run.evaluate("data.test_images=20")["images"] == 20
    Image.fromarray((load_digits().images[0] * 15).astype("uint8")).save(tmp_path / "digit.png")
    (seen,) = run.predict(str(tmp_path / "digit.png"))
    assert len(seen.probabilities) == 10
    assert sum(seen.probabilities) == pytest.approx(1)
    assert seen.top()[0][1] == max(seen.probabilities)


def test_a_sweep_gives_its_runs(tmp_path: Path) -> None:
    asked = {"experiment": "quickstart", "seed": [0, 1], "runs_root": tmp_path}
    there = [finished(config, 1.0) for config in configurations(as_overrides(asked, swept=True))]
    assert [run.folder for run in resnet_lab.sweep(asked)] == [folder.path for folder in there]


@pytest.mark.slow
def test_a_sweep_trains_a_run_for_each_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "server_process", forked_server)
    runs = resnet_lab.sweep({**SMALL, "seed": [0, 1], "runs_root": tmp_path})
    assert [(run.config.seed, run.state) for run in runs] == [(0, "finished"), (1, "finished")]


def test_a_mistake_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"did you mean 'model\.depth'"):
        resnet_lab.train({**SMALL, "model.deph": 8, "runs_root": tmp_path})
    with pytest.raises(TypeError, match="a list of overrides"):
        resnet_lab.train("data=digits")
    with pytest.raises(UserError, match="not a run folder"):
        resnet_lab.load(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_that_fails_raises_what_its_record_says(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="nonfinite_loss"):
        resnet_lab.train({**SMALL, "recipe.lr": 1e30, "recipe.schedule": "constant", "runs_root": tmp_path})


@pytest.mark.parametrize(
    "value",
    ["it's", "a,b", "C:\\x\\", "1e3", "true", "", "a b", "[x]", 0.1, None, [1, "a b"], {"a": {"b": "c d"}}],
)
def test_any_value_reaches_hydra_as_it_is(value: Any) -> None:
    [override] = parse(as_overrides({"name": value}))
    assert override.value() == value


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'hydra', 'numpy'} & set(sys.modules)"
    code = f"import sys, resnet_lab; dir(resnet_lab); sys.exit(' '.join({heavy}) or 0)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_the_code_of_the_page_in_docs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "server_process", forked_server)
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[1] / "docs" / "python.md").read_text()
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    exec(code, {})
    for module, names in re.findall(r"^\| `(resnet_lab[\w.]*)\.(\w+(?:`, `\w+)*)`", page, re.MULTILINE):
        for name in names.split("`, `"):
            assert hasattr(import_module(module), name), (module, name)
