"""Which combinations of a grid are no runs: `hydra.sweeper.exclude` and `hydra.sweeper.skip_invalid`. Free of torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from resnet_lab.config.groups import groups
from resnet_lab.config.many import Composer
from resnet_lab.errors import UserError, unknown
from resnet_lab.fields import flatten


@dataclass(frozen=True)
class Rules:
    """What a sweeper leaves out."""

    exclude: tuple[Mapping[str, Any], ...] = ()  # partial configurations by dotted key
    skip_invalid: bool = False

    @classmethod
    def of(cls, sweeper: Any) -> "Rules":
        """What the options of hydra/sweeper=grid say; UserError where they say it wrongly."""
        exclude = OmegaConf.to_container(OmegaConf.create({"it": sweeper.get("exclude")}))["it"]  # type: ignore[index, call-overload]
        parts = [] if exclude is None else exclude
        if not isinstance(parts, list) or not all(isinstance(part, dict) and part for part in parts):
            raise UserError(
                "hydra.sweeper.exclude: a list of partial configurations is needed, for example"
                " 'hydra.sweeper.exclude=[{model.depth:110,recipe.lr:0.1}]'"
            )
        skip = sweeper.get("skip_invalid", False)
        if not isinstance(skip, bool):
            raise UserError(f"hydra.sweeper.skip_invalid={skip}: true or false is needed")
        return cls(tuple(map(flatten, parts)), skip)

    def match(
        self, composed: DictConfig, values: Mapping[str, Any], job: Sequence[str], composer: Composer
    ) -> bool:
        """Whether a run is to be left out, whose configuration is `composed`; `values` by dotted key may tell more.

        Raises UserError for a key that no run has.
        """
        return any(
            all(_is(_value(key, composed, values, job, composer), wanted) for key, wanted in part.items())
            for part in self.exclude
        )


def _value(
    key: str, composed: DictConfig, values: Mapping[str, Any], job: Sequence[str], composer: Composer
) -> Any:
    if key in groups():
        return composer.choices(job).get(key)
    if key in values:
        return values[key]
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(composed, parent) if parent else composed
    if not isinstance(node, DictConfig) or (name not in node and is_dataclass(OmegaConf.get_type(node))):
        raise unknown("key of hydra.sweeper.exclude", key, [*values, *groups()])
    return node.get(name)


def _is(value: Any, wanted: Any) -> bool:
    """Equal as it is typed; several wanted values, in a list or with commas, are alternatives."""
    if value == wanted or _word(value) == _word(wanted):
        return True
    others = wanted.split(",") if isinstance(wanted, str) and "," in wanted else wanted
    return (
        isinstance(others, list) and not isinstance(value, list) and any(_is(value, each) for each in others)
    )


def _word(value: Any) -> str:
    word = str(value).strip()
    return {"None": "null", "True": "true", "False": "false"}.get(word, word)
