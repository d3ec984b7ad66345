"""Which targets a configuration may name: no more than Hydra's own `instantiate` would call. Free of torch."""

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from resnet_lab.errors import UserError
from resnet_lab.targets import locate


def authorised(path: str, key: str) -> Any:
    """The class or function that a dotted path names; nothing is called.

    Hydra's rule is asked before anything is imported, and of what the name turns out to be. Raises UserError,
    which names the configuration's `key`, for what is refused, cannot be imported, is not there or is no callable.
    """
    try:
        instantiate({"_target_": path, "_partial_": True})
    except InstantiationException as error:
        if error.__cause__ is None:  # not for want of the target: for what it is
            reason = " ".join(str(error).split())
            raise UserError(f"{key}={path} is refused: {reason}") from None
    return locate(path, key)
