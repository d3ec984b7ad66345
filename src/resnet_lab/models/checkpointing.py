"""A stage that keeps few activations and computes the others again in the backward pass: 1604.06174."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from math import isqrt

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


class CheckpointedStage(nn.Sequential):
    """Units in segments of about the square root of their number: only what enters a segment is kept.

    Dropout draws the same again, and running statistics see each batch once: gradients and statistics are those
    of a stage that keeps everything, bit for bit.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        units = list(self)
        length = isqrt(len(units))
        for start in range(0, len(units), length):
            segment = units[start : start + length]
            contexts = partial(_contexts, segment)  # for the forward pass, and for the recomputation
            x = checkpoint(_run, segment, x, use_reentrant=False, context_fn=contexts)
        return x


def _run(units: list[nn.Module], x: Tensor) -> Tensor:
    for unit in units:
        x = unit(x)
    return x


def _contexts(units: list[nn.Module]) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _statistics_kept(units)


@contextmanager
def _statistics_kept(units: list[nn.Module]) -> Iterator[None]:
    """The second pass sees the same batch again, which must not count twice in the running statistics."""
    norms = [module for unit in units for module in unit.modules() if isinstance(module, _BatchNorm)]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, counter) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counter
