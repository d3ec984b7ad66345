"""trainer.extra: what Lightning's Trainer takes beside what a run decides itself."""

import inspect

import pytest
from lightning import Trainer

from resnet_lab.config.identity import identity
from resnet_lab.config.request import compose
from resnet_lab.config.rules import OURS, REFUSED
from resnet_lab.config.schema import HARMLESS
from resnet_lab.errors import UserError
from resnet_lab.report.choices import but_for_the_seed, complete

MISTAKES = {
    "max_epochs=3": "trainer.extra.max_epochs: recipe.epochs decides it",
    "precision=16": "trainer.extra.precision: precision decides it",
    "callbacks=[]": "trainer.extra.callbacks: callbacks.extra decides it",
    "max_time=00:01:00:00": "trainer.extra.max_time is not taken: runs that end by the clock",
    "limit_test_batches=3": "data.test_images takes fewer",
    "limit_train_batchs=3": "did you mean 'limit_train_batches'",
    "limit_train_batches=-3": "trainer.extra: limit_train_batches=-3:",
    "profiler=simpel": "trainer.extra: profiler=simpel:",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_is_not_to_be_handed_on_is_one_line_that_names_the_right_key(mistake: str) -> None:
    name, _, value = mistake.partition("=")
    with pytest.raises(UserError) as error:
        compose([f"trainer.extra.{name}='{value}'" if ":" in value else f"trainer.extra.{mistake}"])
    assert MISTAKES[mistake] in str(error.value)
    assert "\n" not in str(error.value)


def test_every_argument_that_is_named_here_is_one_of_lightning() -> None:
    assert {*OURS, *REFUSED, *HARMLESS} <= inspect.signature(Trainer).parameters.keys()
    assert not OURS.keys() & REFUSED.keys()


def test_what_can_change_a_result_makes_another_run() -> None:
    plain = identity(compose([]))
    assert identity(compose(["trainer.extra.limit_train_batches=3"])) != plain
    assert identity(compose(["trainer.extra={profiler: simple, detect_anomaly: true}"])) == plain


def test_a_report_pools_what_makes_no_other_run() -> None:
    plain, harmless, other = (
        but_for_the_seed(
            complete({"data": {}, "model": {"depth": 20}, "seed": 0, "trainer": {"extra": extra}})
        )
        for extra in ({}, {"profiler": "simple"}, {"limit_train_batches": 3})
    )
    assert plain == harmless
    assert plain != other
