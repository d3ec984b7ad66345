"""What Hydra composes of this package alone it composes once: a tenth of a second each, and many tests ask the same."""

import functools
import pickle
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig

from resnet_lab.config.groups import own_dirs


def once(compose: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """`hydra.compose`, which looks up what it was asked before; a user's own files it reads anew."""

    @functools.cache
    def known(root: str, overrides: tuple[str, ...], **named: Any) -> bytes:
        return pickle.dumps(compose(root, list(overrides), **named))

    def composed(root: str, overrides: list[str], **named: Any) -> DictConfig:
        if own_dirs():
            return compose(root, overrides, **named)
        config: DictConfig = pickle.loads(known(root, tuple(overrides), **named))
        return config

    return composed
