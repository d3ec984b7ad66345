"""Which operations reach a device: what a CPU can show of a step on a GPU."""

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = {
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "equal",
    "unique_dim",
    "_unique2",
}  # for the device


class Dispatched(TorchDispatchMode):
    """Counts the operations that PyTorch dispatches inside, by name and device."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, set[str], Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        found = func(*args, **(kwargs or {}))
        made = [leaf for leaf in tree_leaves(found) if isinstance(leaf, torch.Tensor)]
        name = func.overloadpacket.__name__
        self.calls.append((name, {each.device.type for each in (*given, *made)}, (given, made)))
        return found

    def on(self, device: str) -> dict[str, int]:
        """How often each operation had to do with the device; views and detached tensors cost it nothing."""
        names = (name for name, devices, _ in self.calls if device in devices)
        return dict(Counter(name for name in names if name not in ("detach", "alias", "view")))

    def waits(self) -> list[str]:
        """Operations after which the host goes on only once the device has got there."""
        return [name for name, _, _ in self.calls if name in WAITS]

    def crossings(self) -> list[str]:
        """Copies from one device to another."""
        return [name for name, devices, _ in self.calls if len(devices) > 1 and "copy" in name]
