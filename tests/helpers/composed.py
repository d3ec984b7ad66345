"""What Hydra composes of this package alone it composes once: a tenth of a second each, and many tests ask the same."""

import functools
import pickle
from collections.abc import Callable, Sequence

from omegaconf import DictConfig

from resnet_lab.config.groups import own_dirs


def once(compose: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """`hydra.compose`, which looks the overrides up that it was given before; a user's own files it reads anew."""
    known: dict[tuple[str, ...], bytes] = {}

    @functools.wraps(compose)
    def composed(root: str, overrides: Sequence[str], *, return_hydra_config: bool) -> DictConfig:
        if own_dirs():
            return compose(root, list(overrides), return_hydra_config=return_hydra_config)
        asked = tuple(overrides)
        if asked not in known:
            known[asked] = pickle.dumps(
                compose(root, list(overrides), return_hydra_config=return_hydra_config)
            )
        config: DictConfig = pickle.loads(known[asked])
        return config

    return composed
