"""Testing a net, or several together, under a protocol."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.backends import cudnn
from torchvision.transforms.v2 import functional as views

from resnet_lab.errors import UserError
from resnet_lab.training.answering import Answering
from resnet_lab.training.metrics import Metrics
from resnet_lab.training.protocols import Protocol
from resnet_lab.training.sums import Sums, rates

Images = Tensor | list[Tensor]  # (N, C, H, W), or N times (C, H, W) where whole images differ in shape
Loader = Iterable[tuple[Images, Tensor]]


class Ensemble(nn.Module):
    """Several nets as one: its scores (N, K) are the log of their mean softmax output (he2015 Table 5)."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([model(images).float().softmax(1) for model in self.models]).mean(0).log()


def evaluate(
    model: nn.Module,
    loaders: Sequence[Loader],
    protocol: Protocol,
    device: torch.device,
    metrics: Metrics | None = None,
    answering: Answering | None = None,
) -> dict[str, float]:
    """Mean loss, `error` and `top5_error` (per cent), what `metrics` add, and the number of images, over all ranks.

    `answering` receives the network's answer to each image.
    One loader for each of `protocol.scales`, all in the same order and batches. Raises UserError where the
    images are too small for the protocol's views.
    """
    was_training = model.training
    model.to(device).eval()
    sums = Sums()
    if metrics:
        metrics.start(device)
    with torch.inference_mode(), _untimed():
        for batches in zip(*loaders, strict=True):
            labels = batches[0][1]
            if not all(torch.equal(labels, other) for _, other in batches):
                raise ValueError("the loaders of a protocol's scales differ in their images or their order")
            scales = [probabilities(model, images, protocol, device) for images, _ in batches]
            mean = torch.stack(scales).mean(0)
            labels = labels.to(device)
            log_mean = mean.clamp_min(torch.finfo(mean.dtype).tiny).log()
            sums.add(F.nll_loss(log_mean, labels, reduction="sum"), mean, labels)
            if metrics:
                metrics.add(mean, labels)
            if answering:
                answering.add(batches[0][0], mean, labels)
    model.train(was_training)
    totals = sums.reduced(device)
    further = metrics.computed() if metrics else {}
    return rates(totals) | further | {"images": totals["images"]}


@contextmanager
def _untimed() -> Iterator[None]:
    """cuDNN takes the algorithms it knows to be good: to time them anew for each shape of whole images takes hours."""
    before, cudnn.benchmark = cudnn.benchmark, False
    try:
        yield
    finally:
        cudnn.benchmark = before


def probabilities(model: nn.Module, images: Images, protocol: Protocol, device: torch.device) -> Tensor:
    """Return the softmax outputs (N, K), averaged over the protocol's views of each image."""
    if isinstance(images, Tensor):
        return _mean_over_views(model, images.to(device), protocol)
    outputs: dict[int, Tensor] = {}
    for indices, batch in _by_shape(images):
        outputs.update(zip(indices, _mean_over_views(model, batch.to(device), protocol), strict=True))
    return torch.stack([outputs[index] for index in range(len(images))])


def _mean_over_views(model: nn.Module, images: Tensor, protocol: Protocol) -> Tensor:
    if protocol.ten_crop is None:
        return model(images).float().softmax(1)
    side = protocol.ten_crop
    if min(images.shape[-2:]) < side:
        shape = "x".join(map(str, images.shape[-2:]))
        raise UserError(f"protocol {protocol.name!r}: no crops of {side} pixels in images of {shape}")
    # One view at a time: ten at once would need ten times the memory of a plain test.
    outputs = [model(view).float().softmax(1) for view in views.ten_crop(images, [side, side])]
    return torch.stack(outputs).mean(0)


def _by_shape(images: list[Tensor]) -> Iterator[tuple[list[int], Tensor]]:
    """Yield images of equal shape as one batch, with their places in the list."""
    indices: dict[torch.Size, list[int]] = {}
    for index, image in enumerate(images):
        indices.setdefault(image.shape, []).append(index)
    for group in indices.values():
        yield group, torch.stack([images[index] for index in group])
