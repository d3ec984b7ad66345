"""The exponential moving average of weights that is tested and kept in place of the last weights."""

from itertools import chain
from typing import Any

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class MovingAverage(WeightAveraging):
    """Averages weights and batch norm statistics step by step; a checkpoint's `state_dict` is the average."""

    def __init__(self, decay: float) -> None:
        super().__init__()
        self._decay = decay

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        if stage == "fit":  # the net is moved only after this: the average goes where it will be
            self._average_model = Average(pl_module, self._decay, trainer.strategy.root_device)

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        if trainer.validating and self._average_model is not None:  # the two have changed places
            checkpoint |= {
                "state_dict": checkpoint["current_model_state"],
                "current_model_state": checkpoint["state_dict"],
            }

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        # A run resumed after its last iteration trains no more, so that Lightning's own hand-over, at the
        # end of training, never comes.
        if self._average_model is not None:
            self._copy_average_to_current(pl_module)


class Average(AveragedModel):
    """A copy of a model that follows it on its device, in one operation a step for which nothing waits."""

    def __init__(self, model: nn.Module, decay: float, device: torch.device) -> None:
        super().__init__(model, use_buffers=True)
        self.module.to(device)  # without `n_averaged`, at which each step looks
        self.decay = decay
        self._pairs: list[tuple[list[Tensor], list[Tensor]]] = []  # ours and the model's: numbers, counts

    def update_parameters(self, model: nn.Module) -> None:
        """One step; the first takes the model as it is, as each does with its counts of batches."""
        if not self._pairs:  # once it is clear where the model lies
            self._pairs = [_pair(self.module, model, numbers) for numbers in (True, False)]
        for (averaged, current), numbers in zip(self._pairs, (True, False), strict=True):
            if numbers and self.n_averaged:
                torch._foreach_lerp_(averaged, current, 1 - self.decay)
            elif averaged:
                torch._foreach_copy_(averaged, current)
        self.n_averaged += 1


def _pair(ours: nn.Module, model: nn.Module, numbers: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Return the parameters and buffers of both, in order: those of floating-point numbers, or the others."""
    mine, theirs = (
        [
            value.detach()
            for value in chain(each.parameters(), each.buffers())
            if value.is_floating_point() == numbers
        ]
        for each in (ours, model)
    )
    return mine, theirs
