"""The net: stem, stages of units, head."""

from typing import Any

from torch import Tensor, nn

from resnet_lab.models import orders
from resnet_lab.models.checkpointing import CheckpointedStage
from resnet_lab.models.layers import norm, stem
from resnet_lab.models.units import Unit


class ResNet(nn.Module):
    """A residual or plain net; the names of its parameters and children are torchvision's.

    Children are registered in the order of the forward pass and none is used twice, so that the net can be cut:
    `nn.Sequential(*list(net.children())[:-1])` gives what enters the classifier, as (N, C, 1, 1).
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        stages, order = net.plan(), orders.find(net.order)
        first, last = stages[0][0], stages[-1][-1]
        bare = order.activates_first and not first.activated  # the first unit does it for itself
        self.conv1 = stem(net, net.in_channels, first.width_in)
        self.bn1 = nn.Identity() if bare and order.norm_first else norm(net, first.width_in)
        self.relu = nn.Identity() if bare else nn.ReLU()
        self.maxpool = nn.Identity() if net.stem == "3x3" else nn.MaxPool2d(3, stride=2, padding=1)
        self.body = [f"layer{number}" for number in range(1, len(stages) + 1)]
        for name, units in zip(tuple(self.body), stages, strict=True):
            # The last stage has the smallest activations, a seventh on CIFAR, and its backward pass comes first:
            # to keep them costs little memory and saves as much time as with any other stage.
            checkpointed = net.checkpointing and units is not stages[-1]
            make_stage = CheckpointedStage if checkpointed else nn.Sequential
            self.add_module(name, make_stage(*(Unit(net, unit) for unit in units)))
        # Orders that activate at the start of a unit leave the last unit's sum to be activated here.
        if order.norm_first:
            self.bn_last = norm(net, last.width_out)
            self.body.append("bn_last")
        if order.activates_first:
            self.relu_last = nn.ReLU()
            self.body.append("relu_last")
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(last.width_out, net.num_classes)
        self.inplanes = last.width_out  # what torchvision's builders of detectors read

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for name in self.body:
            x = getattr(self, name)(x)
        return self.fc(self.avgpool(x).flatten(1))
