"""FSDP: what needs whole weights is refused when the configuration is composed."""

import subprocess
import sys

import pytest

from resnet_lab.config.request import compose
from resnet_lab.errors import UserError

FSDP = ["trainer=fsdp"]


@pytest.mark.parametrize(
    "choice",
    [
        "recipe.optimizer=lars",
        "recipe.optimizer=lamb",
        "recipe.sam=0.05",
        "recipe.clip=1.0",
        "recipe.ema=0.9",
        "recipe.momentum=0.0",
        "trainer.compile=true",
        "callbacks.probe.layer_responses=1",
        "callbacks.probe.gradient_norms=1",
    ],
)
def test_choice_that_needs_whole_layers_is_refused_with_fsdp_alone(choice: str) -> None:
    overrides = ["recipe.nesterov=false", choice]
    compose(overrides)
    with pytest.raises(
        UserError, match=r"^trainer\.strategy=fsdp does not go with .* use trainer=ddp$"
    ) as told:
        compose([*FSDP, *overrides])
    assert choice.partition("=")[0] in str(told.value)


def test_fsdp_with_weight_decay_is_taken() -> None:
    assert compose([*FSDP, "recipe.weight_decay_scope=weights"]).trainer.strategy == "fsdp"


def test_fsdp_refusal_of_a_plan_loads_no_torch() -> None:
    """Which alone would take seconds."""
    program = (
        "import sys; from resnet_lab.cli import main\n"
        "try: code = main(['plan', 'trainer=fsdp', 'recipe.ema=0.9'])\n"
        "finally: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "does not go with recipe.ema=0.9" in done.stderr
    assert done.stdout.strip() == "False"
