"""Compose the many configurations of a sweep at the price of a few. Free of torch."""

import pickle
from collections.abc import Mapping, Sequence
from functools import cache

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from resnet_lab.config.compose import compose_raw
from resnet_lab.config.groups import groups
from resnet_lab.config.overrides import parse


class Composer:
    """`compose_raw` of one list of overrides, which were read, after another, each together with those of `hydra`.

    Hydra looks for files by the options of groups alone, and sets single keys last of all: so it composes each
    combination of options once, and the keys are set here, as it would set them.
    """

    def __init__(self, hydra: Sequence[str] = ()) -> None:
        self._hydra = tuple(hydra)
        self._groups = frozenset(groups())
        self._wholes: dict[tuple[str, ...], DictConfig] = {}
        self._bases: dict[tuple[str, ...], bytes] = {}  # pickled: six times quicker to copy than by deepcopy

    def __call__(self, job: Sequence[str]) -> DictConfig:
        keys = [each for each in map(_parsed, job) if self._sets_a_key(each)]
        options = self._options(job)
        try:
            if options not in self._bases:
                base = pickle.loads(pickle.dumps(self._whole(options)))
                with open_dict(base):
                    del base["hydra"]
                self._bases[options] = pickle.dumps(base)
            config: DictConfig = pickle.loads(self._bases[options])
            for override in keys:
                OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
            return config
        except (HydraException, OmegaConfBaseException):
            return compose_raw([*self._hydra, *job])  # which finds the words for it

    def whole(self, job: Sequence[str]) -> DictConfig:
        """Return what Hydra composes of these overrides but for the keys that they set, its own node included."""
        return self._whole(self._options(job))

    def hydra(self, job: Sequence[str]) -> DictConfig:
        """Hydra's own node of a run with these overrides, but for the keys that they set: its sweeper, say."""
        node: DictConfig = self.whole(job).hydra
        return node

    def choices(self, job: Sequence[str]) -> Mapping[str, str | None]:
        """Return the option of each group, of a run with these overrides."""
        return dict(self.hydra(job).runtime.choices)

    def _options(self, job: Sequence[str]) -> tuple[str, ...]:
        return tuple(text for text in job if not self._sets_a_key(_parsed(text)))

    def _whole(self, options: tuple[str, ...]) -> DictConfig:
        if options not in self._wholes:
            self._wholes[options] = compose_raw([*self._hydra, *options], with_hydra=True)
        return self._wholes[options]

    def _sets_a_key(self, override: Override) -> bool:
        """Return whether it sets one key that is there, and chooses no file."""
        plain = not (override.is_add() or override.is_force_add() or override.is_delete())
        key = override.key_or_group
        return plain and override.package is None and "/" not in key and key not in self._groups


@cache
def _parsed(text: str) -> Override:
    [override] = parse([text])
    return override
