"""What a sweep composes in one go is what Hydra composes of each run alone."""

from functools import cache

import pytest
from omegaconf import DictConfig, OmegaConf

from resnet_lab.config import many
from resnet_lab.config.compose import compose_raw
from resnet_lab.config.groups import groups
from resnet_lab.config.many import Composer
from resnet_lab.config.overrides import read
from resnet_lab.errors import UserError
from swept import expanded

JOBS: dict[str, list[str]] = {
    "keys": ["seed=3", "model.depth=20", "recipe.lr=1e-3", "name=2024_11_25"],
    "a key twice": ["seed=3", "seed=4"],
    "options": ["model=resnet50", "data=cifar10", "recipe=he2015_cifar", "recipe.lr=0.5"],
    "an option after its key": ["recipe.lr=0.5", "recipe=he2015_cifar"],
    "lists": ["recipe.drops=[1,2]", "logger.tags=[a,b]", "recipe.drops=[3]"],
    "dictionaries": ["recipe.optimizer_args={a: 1}", "recipe.optimizer_args={b: 2}"],
    "nothing": ["answers=null", "model.weights=null"],
    "added": ["++model.depth=20"],
    "an interpolation": ["name=of_${seed}", "seed=5"],
    "a part at once": ["callbacks.probe={layer_responses: 2}"],
}


@cache
def alone(*overrides: str) -> DictConfig:
    return compose_raw(list(overrides))


@pytest.mark.parametrize("job", JOBS)
def test_every_kind_of_override_is_set_as_hydra_sets_it(job: str) -> None:
    overrides = read(JOBS[job])
    composer = Composer()
    for each in (["seed=9"], overrides, ["seed=8"], overrides):  # none leaves a trace
        found, expected = composer(each), alone(*each)
        assert found == expected
        assert OmegaConf.is_struct(found) == OmegaConf.is_struct(expected)
        for key in expected:
            assert OmegaConf.get_type(found, key) == OmegaConf.get_type(expected, key)


@pytest.mark.parametrize("experiment", groups()["experiment"])
def test_runs_of_every_experiment_are_what_each_is_alone(experiment: str) -> None:
    jobs = expanded(read([f"experiment={experiment}", "seed=0,1"]))
    assert Composer()(jobs[-1]) == compose_raw(jobs[-1])


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("sede=1", "'seed'"),
        ("model.dpeth=20", "model.depth"),
        ("model.depth=abc", "model.depth"),
        ("model=x", "group"),
    ],
)
def test_mistakes_are_told_in_the_same_words(override: str, told: str) -> None:
    with pytest.raises(UserError) as alone:
        compose_raw([override])
    with pytest.raises(UserError, match=told) as among:
        Composer()([override])
    assert str(among.value) == str(alone.value)


def test_hydra_composes_each_choice_of_options_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(
        many, "compose_raw", lambda job, **more: calls.append(job) or compose_raw(job, **more)
    )
    jobs = [
        [f"model={model}", f"seed={seed}"] for model in ("cifar_resnet", "cifar_plain") for seed in range(5)
    ]
    composer = Composer()
    configs = [composer(job) for job in jobs]
    assert [config.seed for config in configs] == [0, 1, 2, 3, 4] * 2
    assert calls == [["model=cifar_resnet"], ["model=cifar_plain"]]
