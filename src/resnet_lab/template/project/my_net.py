"""Your own network: configs/model/mine.yaml names it."""

from itertools import pairwise

from torch import Tensor, nn


class Net(nn.Module):
    """Three 3x3 convolutions, the mean over the image, and a head: (N, channels, H, W) -> (N, classes)."""

    def __init__(self, classes: int, channels: int, width: int = 16) -> None:
        super().__init__()
        widths = (channels, width, width, 2 * width)
        self.features = nn.Sequential(*(_layer(*pair) for pair in pairwise(widths)))
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images).mean((2, 3)))


def _layer(inputs: int, outputs: int) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())
