"""What each choice changes while all others are equal."""

from pathlib import Path

import pytest
from scipy import stats

from resnet_lab.report import collect, summarise
from resnet_lab.report.effects import effects, effects_table
from run_folders import group

RECIPE = Path(__file__).parents[2] / "results" / "digits_recipe"


def test_an_effect_is_paired_over_settings_and_seeds() -> None:
    ours, theirs = [1.0, 1.4, 1.1, 3.0, 3.6, 3.2], [2.0, 2.1, 2.3, 3.9, 4.8, 4.1]
    groups = [
        group(20, "A", *ours[:3], **{"recipe.lr": 0.1}),
        group(56, "A", *ours[3:], **{"recipe.lr": 0.1}),
        group(20, "A", *theirs[:3], **{"recipe.lr": 0.3}),
        group(56, "A", *theirs[3:], **{"recipe.lr": 0.3}),
        group(110, "A", 50.0, **{"recipe.lr": 0.3}),  # at a depth that the other rate was not tried at
    ]
    (rate,) = [effect for effect in effects(groups) if effect.key == "recipe.lr"]
    expected = stats.ttest_rel(theirs, ours).confidence_interval(0.95)
    assert (rate.difference.low, rate.difference.high) == pytest.approx(tuple(expected))
    assert (rate.base, rate.value, rate.pairs, rate.settings) == (0.1, 0.3, 6, 2)


def test_effects_of_the_committed_recipe_are_at_equal_settings() -> None:
    """Channel against pixel means is +1.20 at equal settings; the average over all runs has the other sign."""
    found = {(effect.key, effect.value): effect for effect in effects(summarise(collect(RECIPE)))}
    mean = found["data.mean", "pixel"]
    assert (mean.base, mean.pairs, mean.settings) == ("channel", 6, 2)
    assert mean.difference.low > 0
    table = effects_table(summarise(collect(RECIPE)))
    assert table is not None
    assert ("mean", "channel", "pixel") in [row[:3] for row in table.rows]


def test_one_choice_alone_needs_no_table_of_effects() -> None:
    assert effects_table([group(20, "A", 1.0, 2.0), group(56, "A", 2.0, 3.0)]) is None
    assert effects([group(20, "A", 1.0, 2.0), group(56, "A", diverged=2)]) == []
