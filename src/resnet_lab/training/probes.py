"""Measurements of a net's layers while it trains, one CSV row a layer."""

# ruff: noqa: ARG002 (Lightning names the arguments of its hooks)

from pathlib import Path
from typing import Any, cast

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from resnet_lab.training.csv_file import CsvFile

COLUMNS = ("epoch", "layer_index", "layer", "value")  # epochs and layers are counted from 1


class _Probe(Callback):
    """Writes its measurements after every n-th epoch and after the last."""

    def __init__(self, path: Path, every: int = 1) -> None:
        self._file = CsvFile(path, COLUMNS)
        self.every = every

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        state = checkpoint["callbacks"].get(self.state_key)
        if state is not None or self._file.path.exists():  # else it was asked for since
            self._file.restore(state or {}, checkpoint["global_step"], write=trainer.is_global_zero)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            self._file.begin()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if trainer.is_global_zero and (epoch % self.every == 0 or trainer.should_stop):
            rows = enumerate(self.measure(trainer, pl_module).items(), start=1)
            named = ((epoch, index, layer, f"{value:.6g}") for index, (layer, value) in rows)
            self._file.append(dict(zip(COLUMNS, row, strict=True)) for row in named)

    def state_dict(self) -> dict[str, object]:
        return self._file.state()

    def measure(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, float]:
        """Return the measured layers by name, in the order of depth."""
        raise NotImplementedError


class LayerResponses(_Probe):
    """Standard deviation of each 3x3 layer's response, as in Figure 7 of he2015.

    Measured on the first batch of the first evaluation loader, in evaluation mode.
    """

    def measure(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, float]:
        loaders = trainer.val_dataloaders
        assert loaders is not None
        batch = next(iter(loaders[0] if isinstance(loaders, list) else loaders))
        images, _ = trainer.strategy.batch_to_device(batch, pl_module.device)
        return layer_responses(_backbone(pl_module), images)


class GradientNorms(_Probe):
    """Norm of the loss's gradient for each convolution and linear weight, averaged over an epoch's steps.

    Steps that fp16 skips, whose gradients overflowed, count for nothing.
    """

    def __init__(self, path: Path, every: int = 1) -> None:
        super().__init__(path, every)
        self._sum: Tensor | None = None
        self._steps: Tensor | int = 0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._sum, self._steps = None, 0

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        weights = _weights(_backbone(pl_module)).values()
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        norms = torch.stack(torch._foreach_norm(gradients))
        taken = norms.isfinite().all()
        norms = torch.where(taken, norms, 0)
        self._sum = norms if self._sum is None else self._sum.to(norms) + norms
        self._steps = self._steps + taken  # a tensor on the device, for which no step waits

    def measure(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, float]:
        if self._sum is None:
            return {}
        means = (self._sum / self._steps).tolist()
        return dict(zip(_weights(_backbone(pl_module)), means, strict=True))

    def state_dict(self) -> dict[str, object]:
        return super().state_dict() | {"sum": self._sum, "steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._sum, self._steps = state_dict["sum"], state_dict["steps"]


def layer_responses(backbone: nn.Module, images: Tensor) -> dict[str, float]:
    """Standard deviation of each 3x3 convolution's response to images (N, C, H, W), in order of execution.

    The response is what leaves the batch norm that directly follows the convolution, before any
    nonlinearity or addition; without such a batch norm, what leaves the convolution.
    """
    names = {module: name for name, module in backbone.named_modules()}
    responses: dict[str, float] = {}
    newest: tuple[str, Tensor] | None = None  # the last 3x3 convolution and its very output

    def after(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal newest
        if isinstance(module, _ConvNd):
            if module.kernel_size == (3, 3):
                newest = names[module], output
                responses[names[module]] = float(output.float().std(correction=0))
        elif newest is not None and inputs[0] is newest[1]:
            responses[newest[0]] = float(output.float().std(correction=0))

    watched = [m for m in backbone.modules() if isinstance(m, _ConvNd | _BatchNorm)]
    hooks = [module.register_forward_hook(after) for module in watched]
    was_training = backbone.training
    backbone.eval()
    try:
        with torch.no_grad():
            backbone.forward(images)  # not __call__: a compiled net would run past the hooks
    finally:
        backbone.train(was_training)
        for hook in hooks:
            hook.remove()
    return responses


def _weights(backbone: nn.Module) -> dict[str, Tensor]:
    """Trained weights of convolutions and linear layers by layer name, in the model's order."""
    layers = ((n, m) for n, m in backbone.named_modules() if isinstance(m, _ConvNd | nn.Linear))
    return {name: layer.weight for name, layer in layers if layer.weight.requires_grad}


def _backbone(pl_module: LightningModule) -> nn.Module:
    return cast(nn.Module, pl_module.backbone)
