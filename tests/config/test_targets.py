"""A configuration may name what Hydra's own `instantiate` would call, but for what runs files, and nothing else."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from resnet_lab.config.identity import identity
from resnet_lab.config.own_code import authorised, check_sources
from resnet_lab.config.request import compose
from resnet_lab.errors import UserError

REFUSED = {
    "os.system": "is refused",
    "logging.os.system": "is refused",
    "builtins.exec": "is refused",
    "subprocess.Popen": "is refused",
    "pickle.loads": "is refused",
    "collections.abc": "cannot be called: it is",
    "math.pi": "cannot be called: it is",
    "math.pie": "did you mean math.pi?",
    "torch.load": "is refused",
    "torch.hub.load": "is refused",
    "torch.jit.load": "is refused",
    "torch.utils.cpp_extension.load_inline": "is refused",
    "torch.ops.load_library": "is refused",
    "numpy.load": "is refused",
    "hydra.utils.instantiate": "is refused",
    "builtins.open": "is refused",
    "builtins.getattr": "is refused",
    "urllib.request.urlretrieve": "is refused",
    "asyncio.create_subprocess_shell": "is refused",
    "multiprocessing.Process": "is refused",
    "pathlib.Path.unlink": "is refused",
}


@pytest.mark.parametrize("path", REFUSED)
def test_what_runs_anything_or_is_no_callable_is_refused_in_one_line(path: str) -> None:
    with pytest.raises(UserError) as error:
        authorised(path, "recipe.loss")
    assert REFUSED[path] in str(error.value)
    assert str(error.value).startswith(f"recipe.loss={path}")
    assert "\n" not in str(error.value)


def test_a_class_or_function_is_given_as_it_is() -> None:
    assert authorised("datetime.timedelta", "k").__name__ == "timedelta"
    assert authorised("math.sqrt", "k")(4) == 2
    for path in ("torch.nn.functional.cross_entropy", "torchvision.models.densenet121"):
        assert callable(authorised(path, "k"))


@pytest.fixture
def own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "own_rate.py").write_text("def half(iteration, total): return 0.5\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "own_rate.py"
    sys.modules.pop("own_rate", None)


def test_edited_code_of_ones_own_is_another_run_and_never_goes_on_with_the_old_one(own_code: Path) -> None:
    before = compose(["recipe.schedule=own_rate.half"])
    check_sources(before)
    own_code.write_text("def half(iteration, total): return 0.4\n")
    with pytest.raises(UserError, match=r"the code of own_rate\.half was edited"):
        check_sources(before)
    assert identity(compose(["recipe.schedule=own_rate.half"])) != identity(before)


def test_installed_code_and_none_leave_the_identity_alone() -> None:
    assert compose([]).sources == compose(["recipe.loss=torch.nn.CrossEntropyLoss"]).sources == {}


def test_arguments_of_ones_own_are_keys_like_any_other() -> None:
    config = compose(["recipe.optimizer=torch.optim.RAdam", "recipe.optimizer_args.betas=[0.8,0.9]"])
    assert config.recipe.optimizer_args == {"betas": [0.8, 0.9]}
    with pytest.raises(UserError, match="unexpected keyword argument 'beta'"):
        compose(["recipe.optimizer=torch.optim.RAdam", "recipe.optimizer_args={beta: 1}"])
