"""Which project and account W&B is given, and why a run is offline."""

import os
from pathlib import Path

import pytest

from resnet_lab.cli import main
from resnet_lab.config.schema import LoggerConfig
from resnet_lab.extras import registered
from resnet_lab.tracking.account import from_environment, why_offline
from resnet_lab.tracking.wandb_run import id_of, one_line
from swept import composed
from wandb_server import KEY

OPEN = LoggerConfig(name="wandb")
SAID: dict[str, tuple[LoggerConfig, str, dict[str, str], tuple[str, str | None, str]]] = {
    "nothing": (OPEN, "", {}, ("resnet-lab", None, "auto")),
    "by the environment": (
        OPEN,
        "",
        {"WANDB_PROJECT": "p", "WANDB_ENTITY": "e", "WANDB_MODE": "disabled"},
        ("p", "e", "disabled"),
    ),
    "by the file": (
        OPEN,
        "export WANDB_PROJECT=p # a comment\nexport WANDB_ENTITY='e'\nWANDB_MODE=offline\n",
        {},
        ("p", "e", "offline"),
    ),
    "by both": (OPEN, "WANDB_PROJECT=file", {"WANDB_PROJECT": "environment"}, ("environment", None, "auto")),
    "by the keys too": (
        LoggerConfig(name="wandb", project="key", entity="key", mode="online"),
        "",
        {"WANDB_PROJECT": "p", "WANDB_ENTITY": "e", "WANDB_MODE": "disabled"},
        ("key", "key", "online"),
    ),
}


@pytest.mark.parametrize("said", SAID)
def test_keys_come_before_the_environment_and_that_before_the_env_file(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, file, environment, expected = SAID[said]
    (tmp_path / ".env").write_text(file)
    monkeypatch.setattr(os, "environ", {**os.environ, **environment})
    told = from_environment(config)
    assert (told.project, told.entity, told.mode) == expected


@pytest.mark.parametrize(("host", "why"), [("127.0.0.1:9", "cannot reach"), ("wandb.example.org", "no key")])
@pytest.mark.parametrize("noted", ["environment", "settings"])
def test_key_that_wandb_login_wrote_is_found_and_is_for_its_host_alone(
    host: str, why: str, noted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if noted == "environment":
        monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    else:
        (tmp_path / "wandb_home").mkdir()
        (tmp_path / "wandb_home" / "settings").write_text("[default]\nbase_url = http://127.0.0.1:9\n")
    (tmp_path / "netrc").write_text(f"machine {host}\n  login user\n  password {KEY}\n")
    (tmp_path / "netrc").chmod(0o600)
    assert (why_offline("auto") or "").startswith(why)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ('returned error 404: {"data":null,"errors":[{"message":"no such project"}]}', "no such project"),
        (
            "Run initialization has timed out after 2.0 sec.\nPlease try again",
            "Run initialization has timed out after 2.0 sec.",
        ),
        ('returned error 500: {"data": null}', "returned error 500"),
        ("", "ValueError"),
    ],
)
def test_answer_of_the_server_is_one_line_without_json(said: str, line: str) -> None:
    assert one_line(ValueError(said)) == line


@pytest.mark.parametrize(
    ("override", "environment", "said"),
    [
        ("logger.mode=online", {}, "no key: set WANDB_API_KEY"),
        ("logger.project=a/b", {}, "logger.project=a/b: must not have '/' in it"),
        ("", {"WANDB_ENTITY": "a:b"}, "the environment gives logger.entity=a:b: must not have ':' in it"),
        ("", {"WANDB_MODE": "oflfine"}, "unknown WANDB_MODE 'oflfine': did you mean 'offline'?"),
        ("", {"WANDB_INIT_TIMEOUT": "soon"}, "WANDB_INIT_TIMEOUT=soon: must be a number of seconds"),
        ("", {"WANDB_FINISH_TIMEOUT": "-1"}, "WANDB_FINISH_TIMEOUT=-1: must be a number of seconds"),
        ("", {"CAFÉ": "in latin-1"}, ".env cannot be read: it is not UTF-8"),
    ],
)
def test_what_cannot_be_told_wandb_is_a_mistake_before_anything_is_written(
    override: str,
    environment: dict[str, str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment.items():
        if name.isascii():
            monkeypatch.setenv(name, value)
        else:
            Path(".env").write_text(f"{name}={value}\n", "latin-1")
    given = [each for each in (override,) if each]
    assert main(["train", "logger=wandb", *given, f"runs_root={tmp_path / 'runs'}"]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_an_id_belongs_to_a_folder_and_a_new_folder_has_a_new_one(tmp_path: Path) -> None:
    first, again = id_of(tmp_path, "0a1b"), id_of(tmp_path, "0a1b")
    assert first == again
    assert first.startswith("0a1b-")
    note = tmp_path / "wandb.json"
    ids = {first}
    for content in ("", "{", "[]", '{"id": "a/b"}', '{"id": null}'):
        note.write_text(content)
        ids.add(id_of(tmp_path, "0a1b"))
    note.unlink()
    ids.add(id_of(tmp_path, "0a1b"))
    assert len(ids) == 7
    assert id_of(tmp_path, "0a1b") in ids


def test_a_sweep_says_once_that_its_runs_are_offline_and_why() -> None:
    tell = registered("before runs")["wandb"]
    [line] = tell(list(composed(["logger=wandb", "seed=0,1,2", "name=of three"]).values()))
    assert "no key" in line
    assert "resnet-lab sync 'runs/of three'" in line
    assert not list(tell(list(composed(["seed=0,1"]).values())))
