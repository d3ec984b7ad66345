"""What a run folder or a file of weights from somebody else may name; nothing of it runs before that is asked."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from resnet_lab.cli import main
from resnet_lab.config.own_code import authorised, check_from_file
from resnet_lab.config.request import compose
from resnet_lab.errors import UserError
from resnet_lab.models.other import OtherConfig
from resnet_lab.runs.folder import RunFolder
from resnet_lab.targets import digest, own_sources

# Callables of installed packages that run a command, load a pickle, fetch or write a file, directly or in a round-about
# way. None may be named by a file, and the first not by a user either.
# fmt: off
REFUSED = (
    "os.system", "subprocess.Popen", "builtins.exec", "builtins.__import__", "pickle.loads", "marshal.loads",
    "runpy.run_path", "shutil.rmtree", "importlib.import_module", "functools.partial", "logging.config.dictConfig",
    "multiprocessing.Process", "asyncio.create_subprocess_shell", "webbrowser.open", "ctypes.CDLL", "torch.load",
    "torch.hub.load", "torch.jit.load", "torch.package.PackageImporter", "torch.ops.load_library",
    "torch.utils.collect_env.run", "torch.utils.collect_env.run_and_read_all",
    "torch.utils.cpp_extension.load_inline", "torch.utils.cpp_extension.subprocess.check_output",
    "torch.distributed.run.main", "torch.distributed.launcher.api.launch_agent",
    "torch.distributed.launcher.api.elastic_launch", "torch.multiprocessing.spawn",
    "torch.multiprocessing.start_processes", "torch.nn.modules.module.functools.partial",
    "torch.nn.functional.importlib.import_module", "torchvision.models._api.load_state_dict_from_url",
    "torchvision.models.feature_extraction.create_feature_extractor", "lightning.fabric.utilities.cloud_io._load",
    "lightning.pytorch.cli.LightningCLI", "numpy.load", "numpy.f2py.run_main",
    "numpy.testing._private.utils.runstring", "joblib.load", "cloudpickle.loads",
    "submitit.helpers.CommandFunction", "hydra.utils.instantiate", "resnet_lab.files.write_text",
    "resnet_lab.targets.locate", "resnet_lab.share.pack.unpack", "resnet_lab.cli.main",
)
FREE = (
    "torch.save", "torch.nn.Module.load_state_dict", "torch.nn.utils.parametrize.register_parametrization",
    "torch.optim.Optimizer.register_step_pre_hook", "torchvision.datasets.utils.download_url",
    "torchvision.io.write_file", "torchmetrics.text.CHRFScore", "torchmetrics.Metric.plot",
)
PARTS = (
    "torch.nn.Linear", "torch.nn.BatchNorm2d", "torch.nn.functional.relu", "torch.optim.RAdam",
    "torchvision.models.densenet121", "torchvision.models.VisionTransformer", "torchvision.ops.FrozenBatchNorm2d",
    "torchmetrics.AUROC", "torchmetrics.classification.MulticlassAccuracy", "resnet_lab.models.create_model",
    "lightning.pytorch.callbacks.EarlyStopping",
)
# fmt: on


def from_file(path: str, *, trust: bool = False, sources: dict[str, str] | None = None) -> None:
    check_from_file({"x": {"_target_": path}}, sources or {}, "model.args.", "theirs", trust=trust)


@pytest.mark.parametrize("path", REFUSED + FREE)
def test_a_file_may_name_nothing_that_starts_programs_or_reads_or_writes_files(path: str) -> None:
    with pytest.raises(UserError) as error:
        from_file(path)
    assert str(error.value).startswith(f"theirs: model.args.x._target_={path}")
    assert "--trust" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", REFUSED)
def test_what_starts_programs_is_refused_of_users_too(path: str) -> None:
    with pytest.raises(UserError):
        authorised(path, "model._target_")
    with pytest.raises(UserError):
        from_file(path, trust=True)


@pytest.mark.parametrize("path", PARTS)
def test_a_file_may_name_the_parts_that_nets_metrics_and_recipes_are_made_of(path: str) -> None:
    from_file(path)


def test_the_trust_option_allows_what_a_user_could_type() -> None:
    from_file("torchvision.datasets.FakeData", trust=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with a net of one's own, and a stranger's beside it that would leave a file called ran."""
    own = "from torch import nn\nclass Net(nn.Module):\n    pass\ndef clean():\n    pass\n"
    (tmp_path / "trusted_net.py").write_text(own)
    evil = tmp_path / "theirs/run1"
    evil.mkdir(parents=True)
    (evil / "evil.py").write_text(f"open('ran', 'w')\n{own}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("trusted_net", "theirs")]:
        del sys.modules[name]


def test_code_of_ones_own_project_is_taken_as_it_was_and_an_edited_one_is_not_imported(project: Path) -> None:
    was = {"trusted_net.Net": digest(own_sources("trusted_net.Net"))}
    from_file("trusted_net.Net", sources=was)
    from_file("trusted_net.Net")
    with pytest.raises(UserError, match="--trust"):
        from_file("trusted_net.clean")  # no net, and the file does not say which code it means
    (project / "trusted_net.py").write_text("open('ran', 'w')\n")
    del sys.modules["trusted_net"]
    with pytest.raises(UserError, match="was edited"):
        from_file("trusted_net.Net", sources=was, trust=True)
    assert not (project / "ran").exists()


@pytest.mark.parametrize("marker", ["config.yaml", "record.json"])
@pytest.mark.parametrize("trust", [False, True])
def test_code_is_never_taken_from_a_run_folder(project: Path, marker: str, trust: bool) -> None:
    (project / "theirs/run1" / marker).write_text("")
    found = {"theirs.run1.evil.Net": digest(own_sources("theirs.run1.evil.Net"))}
    with pytest.raises(UserError, match="code is never taken from there"):
        from_file("theirs.run1.evil.Net", sources=found, trust=trust)
    assert not (project / "ran").exists()


COMMANDS = [
    *("evaluate --run theirs", "predict --run theirs x.png", "export theirs --out out.safetensors"),
    *("evaluate --run theirs.safetensors data=digits", "predict --run theirs.safetensors x.png"),
    "export theirs.safetensors --out out.safetensors",
]


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder and a file of weights that would write a file called ran."""
    monkeypatch.chdir(tmp_path)
    args = {
        "x": {"_target_": "torchvision.io.write_file", "filename": "ran", "data": {"_target_": "torch.zeros"}}
    }
    net = OtherConfig(_target_="torch.nn.Linear", args=args)
    RunFolder.create(replace(compose([]), model=net, run_dir="theirs"))
    told = {"model": json.dumps({"_target_": net._target_, "args": args})}
    save_file({"weight": torch.zeros(1)}, tmp_path / "theirs.safetensors", told)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_on_trained_nets_asks_before_anything_of_a_strangers_is_called(
    command: str, theirs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command.split()) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "model.args.x" in line
    assert "--trust" in line
    assert not (theirs / "ran").exists()


def test_sys_exit_anywhere_in_a_users_code_is_never_a_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("resnet_lab.sweeps.start.Request", lambda *_, **__: sys.exit())
    assert main(["train"]) == 1
    assert "sys.exit()" in capsys.readouterr().err


def test_sys_exit_in_a_target_is_a_mistake_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "leaving.py").write_text("import sys\ndef net(**_): sys.exit(0)\n")
    (tmp_path / "left.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "configs/model").mkdir(parents=True)
    for target in ("leaving.net", "left.net"):
        file = tmp_path / "configs/model/own.yaml"
        file.write_text(f"defaults: [other_schema, _self_]\n_target_: {target}\n")
        assert main(["train", "model=own"]) == 2
        assert "SystemExit" in capsys.readouterr().err


PAIRS = list(zip("abcdefgh", "bcdefghi", strict=True))
BOMBS = {
    "aliases": "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in PAIRS),
    "interpolations": "a: x\n" + "".join(f"{name}: ${{{before}}}${{{before}}}\n" for before, name in PAIRS),
    "brackets": "a: " + "[" * 20_000 + "]" * 20_000 + "\n",
    "length": f"a: {'x' * 2_000_000}\n",
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize(
    "command", [["evaluate", "--run"], ["predict", "x.png", "--run"], ["report"], ["status"]]
)
def test_a_configuration_that_would_never_be_read_to_its_end_is_refused_at_once(
    bomb: str, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "runs/bomb"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(BOMBS[bomb])
    main([*command, str(folder)])
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    assert any(word in told.err + told.out for word in ("written out", "too deeply", "longer than"))


def test_pipes_and_devices_in_place_of_files_are_refused_and_not_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "pipe.safetensors"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        assert main(["predict", "x.png", "--run", str(path)]) == 2
        assert main(["evaluate", "--model", "resnet18", "--weights", str(path), "data=digits"]) == 2
        assert main(["export", "resnet18", "--weights", str(path), "--out", str(tmp_path / "x.pth")]) == 2
        assert main(["predict", str(path), "--model", "resnet18", "--weights", str(path)]) == 2
        for line in capsys.readouterr().err.splitlines():
            assert line.startswith("resnet-lab: ")
