"""A configuration may name what Hydra's own `instantiate` would call, and nothing else."""

import pytest

from resnet_lab.config.targets import authorised
from resnet_lab.errors import UserError

REFUSED = {
    "os.system": "is refused",
    "logging.os.system": "is refused",
    "builtins.exec": "is refused",
    "subprocess.Popen": "is refused",
    "pickle.loads": "is refused",
    "collections.abc": "is refused: Expected a callable target",
    "math.pi": "is refused: Expected a callable target",
    "math.pie": "did you mean math.pi?",
}


@pytest.mark.parametrize("path", REFUSED)
def test_what_runs_anything_or_is_no_callable_is_refused_in_one_line(path: str) -> None:
    with pytest.raises(UserError) as error:
        authorised(path, "recipe.loss")
    assert REFUSED[path] in str(error.value)
    assert str(error.value).startswith(f"recipe.loss={path}")
    assert "\n" not in str(error.value)


def test_a_class_or_function_is_given_as_it_is() -> None:
    assert authorised("fractions.Fraction", "k").__name__ == "Fraction"
    assert authorised("math.sqrt", "k")(4) == 2
