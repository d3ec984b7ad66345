"""The command line: quick, helpful, and one line for each mistake."""

import resource
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from folders import make
from resnet_lab.cli import main
from resnet_lab.cli.parser import parsed
from resnet_lab.extras import GROUPS, commands

TORCH_FREE = [
    "resnet_lab.api",
    "resnet_lab.cli",
    "resnet_lab.sweeps.printed",
    "resnet_lab.share.pack",
    "resnet_lab.models",
    "resnet_lab.models.description",
    "resnet_lab.data",
    "resnet_lab.data.spec",
    "resnet_lab.training",
    "resnet_lab.training.recipes",
    "resnet_lab.runs",
    "resnet_lab.config.schema",
    "resnet_lab.config.compose",
    "resnet_lab.config.identity",
    "resnet_lab.runs.folder",
    "resnet_lab.sweeps",
    "resnet_lab.config.request",
    "resnet_lab.report",
    "resnet_lab.reference",
]

MISTAKES = {
    "misspelt key": (["model.dpeth=20"], "model.depth"),
    "misspelt key, added": (["+model.dpeth=20"], "model.depth"),
    "misspelt top-level key": (["sede=1"], "seed"),
    "added top-level key": (["+sede=1"], "seed"),
    "unknown group": (["modle=resnet50"], "model"),
    "unknown model": (["model=resnet51"], "resnet50"),
    "unknown data set": (["data=cifar11"], "cifar10"),
    "unknown experiment": (["experiment=quickstrat"], "quickstart"),
    "unknown table": (["experiment=he2015/tabel6"], "he2015/table6"),
    "unknown launcher": (["hydra/launcher=lcoal"], "local"),
    "depth that is not 6n+2": (["model.depth=21"], "20 and 26"),
    "wrong type": (["model.depth=abc"], "model.depth"),
    "no class": (["model.num_classes=0"], "num_classes"),
    "unknown block": (["model.block=basicc"], "basic"),
    "unknown shortcut": (["model.shortcut=D"], "A, B, C"),
    "unknown order": (["model.order=full_preactivaton"], "full_preactivation"),
    "input too small": (["model=resnet50", "data=digits"], "8"),
    "missing folder": (["data=image_folder", "data.root=nowhere/at/all"], "nowhere/at/all"),
    "not an override": (["depth"], "key=value"),
    "no key": (["=3"], "key=value"),
    "a value outside the grammar": (["model.weights=/x/epoch=1.ckpt"], "'model.weights=\"/x/epoch=1.ckpt\"'"),
    "a quote that does not end": (["name='a"], "quotes"),
    "a list that does not end": (["recipe.drops=[1,2"], "recipe.drops"),
    "no model": (["model=null"], "resnet18"),
    "no logger": (["logger=null"], "csv"),
    "no logger, deleted": (["~logger"], "logger=csv"),
    "no launcher": (["hydra/launcher=null"], "local"),
    "unknown option of the launcher": (["hydra.launcher.slot=2"], "'hydra.launcher.slots'"),
    "unknown option of the sweeper": (["hydra.sweeper.parms=2"], "'hydra.sweeper.params'"),
    "Hydra's folder of a run": (["hydra.run.dir=here"], "run_dir="),
    "Hydra's folder of a sweep": (["hydra.sweep.dir=here"], "runs_root="),
    "Hydra's working folder": (["hydra.job.chdir=true"], "working folder"),
    "Hydra's verbosity": (["hydra.verbose=true"], "log.txt"),
    "unknown key of Hydra": (["hydra.luncher=local"], "hydra.launcher"),
    "unknown precision": (["precision=33"], "32"),
    "unknown protocol": (["protocol=tencrop"], "ten_crop"),
    "unknown table to answer": (["answers=he2015/tabel6"], "he2015/table6"),
    "unknown accelerator": (["trainer.accelerator=cuda"], "gpu"),
    "unknown mode of W&B": (["logger.mode=onlin"], "online"),
    "negative learning rate": (["recipe.lr=-1"], "recipe.lr"),
    "negative seed": (["seed=-1"], "seed=-1: must be at least 0"),
    "seed of 33 bits": (["seed=4294967296"], "at most 4294967295"),
    "no device": (["trainer.devices=0"], "must be at least 1, or -1"),
    "no node": (["trainer.num_nodes=0"], "at least 1"),
    "no thread": (["trainer.threads=0"], "at least 1"),
    "no checkpoint kept": (["callbacks.checkpoint.keep=0"], "at least 1"),
    "checkpoints without end": (["callbacks.checkpoint.every_minutes=0"], "greater than 0"),
    "negative interval": (["callbacks.checkpoint.every_iterations=-5"], "at least 1"),
    "negative probe": (["callbacks.probe.gradient_norms=-1"], "at least 0"),
    "fp16 on a CPU": (["precision=16", "trainer.accelerator=cpu"], "precision=bf16"),
    "fp16 and two steps on a batch": (["precision=16", "recipe.sam=0.05"], "recipe.sam does not go with"),
    "FSDP on a CPU": (["trainer=fsdp", "trainer.accelerator=cpu"], "needs GPUs"),
    "synchronised batch norm on CPUs": (
        ["trainer.sync_batch_norm=true", "trainer.devices=2", "trainer.accelerator=cpu"],
        "needs GPUs",
    ),
    "ten crops of small images": (["protocol=ten_crop"], "protocol=single_view"),
    "a name above the root": (["name=../../etc"], "name=../../etc"),
    "a name from the root of the disk": (["name=/abs"], "name=/abs"),
    "an empty name": (["name="], "name is empty"),
    "a name of 300 letters": ([f"name={'x' * 300}"], "at most 120 bytes"),
    "a name of two lines": (["name='a\nb'"], "line break"),
    "a name with a bell": (["name='a\a'"], "control character"),
    "the disk as run_dir": (["run_dir=/"], "holds other files"),
    "an empty run_dir": (["run_dir="], "run_dir is empty"),
    "an empty runs_root": (["runs_root="], "runs_root is empty"),
    "a file as runs_root": (["runs_root=/dev/null"], "not a folder"),
    "one image on a map of 1x1": (["data.size=4", "recipe.batch_size=1"], "2 is the least"),
    "one last image on a map of 1x1": (
        ["data.size=4", "data.train_images=65", "recipe.batch_size=32"],
        "drop_last",
    ),
    "not UTF-8": (["logger.project=\udcff"], "UTF-8"),
    "a number for a group": (["model=5"], "option of the group 'model'"),
    "a list in a list for a group": (["metrics=[[1]]"], "option of the group 'metrics'"),
    "a list in a list for the logger": (["logger=[[1]]"], "option of the group 'logger'"),
    "brackets without end": (["trainer.extra=" + "{a:" * 5000 + "1" + "}" * 5000], "at most 32"),
    "a number for a truth": (["data.flip=7"], "data.flip=7: must be true or false"),
    "a length that never ends": (["recipe.epochs=100000000000000000000"], "at most 1000000"),
    "threads without number": (["trainer.threads=100000"], "at most 1024"),
    "brackets in a name": (
        ["recipe.lr_scale={layer[123].*: 0.1}"],
        r"'recipe.lr_scale={layer\[123\].*: 0.1}'",
    ),
    "no parameter of that name": (["recipe.lr_scale={nothing.*: 0.1}"], "'conv1.*'"),
    "one training image": (["data.train_images=1"], "the training set has only 1 image"),
    "a batch larger than the set": (["recipe.batch_size=100000"], "the training set has only 1437 images"),
    "a last image that two devices share": (
        ["data.train_images=65", "trainer.devices=2", "trainer.accelerator=cpu"],
        "the last batch of 65 images has 1 for 2 devices",
    ),
    "no batch of an epoch": (["trainer.extra={limit_train_batches: 0}"], "limit_train_batches=0"),
    "no epoch that is evaluated": (
        ["trainer.extra={check_val_every_n_epoch: 0}"],
        "check_val_every_n_epoch=0",
    ),
}

OF_A_SWEEP = {
    "no value": ("seed=range(0,0)", "no value"),
    "no step": ("seed=range(0,10,0)", "must not be zero"),
    "no option fits": ("model=glob(cifer_*)", "no value"),
    "an interval": ("recipe.lr=interval(0,1)", "hydra/sweeper=optuna"),
    "all devices for each run": ("trainer.devices=auto,1", "say how many"),
    "one bad value": ("model.depth=20,21", "20 and 26"),
    "no configuration to exclude": ("hydra.sweeper.exclude=[20]", "a list of partial configurations"),
    "rows that are a number": ("hydra.sweeper.rows=5", "a list is needed"),
    "rows of numbers": ("hydra.sweeper.rows=[1]", "a list is needed"),
    "rows that are a mapping": ("hydra.sweeper.rows={a:1}", "a list is needed"),
    "params that are a list": ("hydra.sweeper.params=[1]", "{model.depth: '20,32', seed: '0,1'}"),
    "neither true nor false": ("hydra.sweeper.skip_invalid=maybe", "true or false"),
}
WITHOUT_M = {
    "two values": "model.depth=20,32",
    "two groups": "data=cifar10,digits",
    "a glob": "model=glob(cifar_*)",
}


def resnet_lab(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "resnet_lab", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=60,
    )


@pytest.fixture
def told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """The one line that a command in this process tells of a mistake; fails where it writes or says more."""
    monkeypatch.chdir(tmp_path)

    def line(*arguments: str) -> str:
        assert main(arguments) == 2
        shown = capsys.readouterr()
        assert shown.err.count("\n") == 1, shown.err
        assert not shown.out
        assert not list(tmp_path.iterdir())
        return shown.err

    return line


@pytest.mark.parametrize("command", ["train", "plan -m"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_with_the_right_choice_and_nothing_is_written(
    mistake: str, command: str, told: Callable[..., str]
) -> None:
    overrides, expected = MISTAKES[mistake]
    assert expected in told(*command.split(), *overrides)


SLIPS = {
    "lr=0.1": "recipe.lr",
    "+lr=0.1": "recipe.lr",
    "learning_rate=0.1": "recipe.lr",
    "train.lr=0.1": "recipe.lr",
    "optimizer.lr=0.1": "recipe.lr",
    "epochs=2": "recipe.epochs",
    "max_epochs=2": "recipe.epochs",
    "trainer.max_epochs=2": "recipe.epochs",
    "batch_size=8": "recipe.batch_size",
    "data.batch_size=8": "recipe.batch_size",
    "trainer.gpus=1": "trainer.devices",
    "num_workers=2": "data.workers",
    "depth=20": "model.depth",
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_key_by_another_programs_name_leads_to_ours(slip: str, told: Callable[..., str]) -> None:
    line = told("train", slip)
    assert f"did you mean '{SLIPS[slip]}'?" in line
    assert "allowed" not in line


def test_at_most_ten_choices_are_named(told: Callable[..., str]) -> None:
    assert told("train", "model=zzzzzzzz").count(",") <= 11
    assert "in all)" in told("train", "model=zzzzzzzz")


@pytest.mark.parametrize("command", ["train -m", "plan -m", "train -m --cfg"])
@pytest.mark.parametrize("mistake", OF_A_SWEEP)
def test_a_sweep_with_a_mistake_starts_none_of_its_runs(
    mistake: str, command: str, told: Callable[..., str]
) -> None:
    override, expected = OF_A_SWEEP[mistake]
    assert expected in told(*command.split(), override)


@pytest.mark.parametrize("most", ["0", "-1", "nan", "true"])
def test_a_number_of_failures_that_is_none_starts_no_run(most: str, told: Callable[..., str]) -> None:
    assert "hydra.launcher.max_failures" in told(
        "train", "-m", "seed=0,1", f"hydra.launcher.max_failures={most}"
    )


def test_a_place_that_is_not_installed_is_told_before_a_folder_is_made(
    told: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "resnet-lab[ray]" in told("train", "-m", "seed=0,1", "hydra/launcher=ray")
    monkeypatch.setenv("PATH", "")
    assert "no sbatch" in told("train", "-m", "seed=0,1", "hydra/launcher=slurm")


@pytest.mark.parametrize("mistake", WITHOUT_M)
def test_several_values_without_m_ask_for_it(mistake: str, told: Callable[..., str]) -> None:
    assert "add -m" in told("train", WITHOUT_M[mistake])


def test_a_text_with_a_comma_is_shown_in_quotes(told: Callable[..., str]) -> None:
    assert "write 'data.root=\"a,b\"' for one text" in told("train", "data.root=a,b")


def test_a_mistake_from_a_shell_exits_with_2_and_one_line(tmp_path: Path) -> None:
    done = resnet_lab("train", "model.dpeth=20", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_configuration_error_takes_less_than_two_seconds_of_processor(tmp_path: Path) -> None:
    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        resnet_lab("train", "model.dpeth=20", cwd=tmp_path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    assert any(seconds() < 2 for _ in range(3))  # whatever else the machine does


@pytest.mark.parametrize("command", [["report"], ["predict", "a.png", "--run"], ["export"]])
def test_tilde_is_the_home_in_the_paths_of_every_command(
    command: list[str],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    told: Callable[..., str],
) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    assert f"{home}/none" in told(*command, "~/none")


def test_what_must_be_quick_imports_no_torch() -> None:
    code = f"""
import importlib, sys
for module in {TORCH_FREE}:
    importlib.import_module(module)
    if slow := {{"torch", "lightning"}} & set(sys.modules):
        sys.exit(f"{{module}} imports {{slow}}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def helped(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit, match="0"):
        main([*arguments, "--help"])
    return capsys.readouterr().out


def test_help_lists_the_commands_in_groups_with_an_example_each_and_the_exit_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = helped(capsys)
    flat = " ".join(text.replace("\\\n", " ").split())
    for group in GROUPS:
        assert f"\n{group}:\n" in text
    for command in commands().values():
        assert f"{command.name} {command.help}" in flat
        assert f"$ {command.example}" in flat
    assert all(f"\n  {code} " in text for code in (0, 1, 2, 130))


@pytest.mark.parametrize("command", ["", *commands()])
def test_help_fits_80_columns_describes_every_argument_and_begins_with_the_command(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for columns in ("200", "80"):
        monkeypatch.setenv("COLUMNS", columns)
        text = helped(capsys, *command.split())
        assert max(map(len, text.splitlines())) <= 80
        assert text.startswith(f"usage: resnet-lab {command or 'COMMAND ...'}")
    for each in commands()[command].options if command else ():
        assert each.given["help"]


def test_help_of_a_command_has_its_example_and_lists_every_group(capsys: pytest.CaptureFixture[str]) -> None:
    text = helped(capsys, "train")
    for group in ("data=", "model=", "recipe=", "trainer=", "logger=", "experiment=", "hydra/launcher="):
        assert group in text
    assert commands()["train"].example in text


@pytest.mark.parametrize("command", commands())
def test_every_example_is_what_its_command_takes(command: str) -> None:
    words = shlex.split(commands()[command].example.removeprefix('eval "$(').removesuffix(')"'))
    assert words[0] == "resnet-lab"
    assert parsed(words[1:]).command == words[1] == command


TYPED = {
    "a command": (["trian"], "did you mean 'train'?"),
    "an option": (["train", "--fersh"], "did you mean '--fresh'?"),
    "an option that is none": (["status", "runs", "--zzz"], "status --help"),
    "a word too many": (["new", "a", "b"], "new does not take 'b'"),
    "no command": ([], "COMMAND"),
    "no number": (["predict", "a.png", "--top", "x"], "--top"),
    "no value": (["report", "runs", "--rows"], "--rows"),
    "an empty path": (["pack", "runs", "--out", ""], "a path is needed"),
    "an empty file": (["export", "resnet18", "--out", ""], "a path is needed"),
    "an option of one value twice": (
        ["report", "runs", "--columns", "A", "--columns", "B"],
        "--columns is given twice: A and B",
    ),
    "another option of one value twice": (
        ["predict", "a.png", "--top", "1", "--top", "2"],
        "--top is given twice",
    ),
    "a file twice": (["export", "resnet18", "--out", "a", "--out", "b"], "--out is given twice: a and b"),
}


@pytest.mark.parametrize("mistake", TYPED)
def test_a_mistake_in_the_command_itself_is_one_line(mistake: str, told: Callable[..., str]) -> None:
    words, expected = TYPED[mistake]
    assert expected in told(*words)


def test_words_may_follow_an_option() -> None:
    args = parsed(["report", "runs/a", "--out", "x", "runs/b"])
    assert args.folder == [Path("runs/a"), Path("runs/b")]
    assert parsed(["train", "seed=0", "-m", "model.depth=20,32"]).overrides == ["seed=0", "model.depth=20,32"]


def test_cfg_prints_the_composed_configuration(tmp_path: Path) -> None:
    done = resnet_lab("train", "--cfg", "experiment=quickstart", "model.depth=32", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "depth: 32" in done.stdout
    assert "name: quickstart" in done.stdout
    assert not list(tmp_path.iterdir())


def test_cfg_of_a_sweep_prints_the_configuration_of_each_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "-m", "--cfg", "seed=0,1", "model.depth=8"]) == 0
    seeds = [OmegaConf.create(text).seed for text in capsys.readouterr().out.split("---\n")]
    assert seeds == [0, 1]


def test_help_imports_nothing_that_only_one_option_needs() -> None:
    code = "import sys, resnet_lab.cli.parser as a; a.build(); sys.exit('importlib.metadata' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"resnet-lab {metadata.version('resnet-lab')}\n"


def test_shards_are_not_prepared_at_a_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["prepare", "data=imagenet", "data.root=x", "out=s3://bucket/x"]) == 2
    assert "out=s3://bucket/x: shards are written to a local folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_set_smaller_than_a_batch_is_shown_and_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = make(tmp_path / "images", images=2)
    assert main(["show", "data=image_folder", f"data.root={root}", "--out", str(tmp_path)]) == 0
    assert main(["prepare", "data=imagenet", f"data.root={root}", f"out={tmp_path / 'shards'}"]) == 0
    assert main(["train", "data=image_folder", f"data.root={root}"]) == 2


def test_a_run_says_at_once_what_it_trains_and_for_how_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("resnet_lab.runs.__main__.main", lambda _: 1)
    assert main(["train", "data=digits", "model.depth=8", "recipe.epochs=2"]) == 1
    line = capsys.readouterr().err
    assert line.startswith("runs/scratch/resnet-8-s0-")
    assert "training resnet-8 on digits for 2 epochs" in line


def test_interrupt_while_the_program_is_imported_ends_it_in_one_line(tmp_path: Path) -> None:
    stop = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    (tmp_path / "yaml.py").write_text(stop)  # one of the first that a command imports
    program = "import sys; from resnet_lab.__main__ import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "train", "model.depth=8"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.startswith("resnet-lab: interrupted")
    assert done.stderr.count("\n") == 1
