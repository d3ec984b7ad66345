"""The net: stem, stages of units, head."""

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.functional import relu

from resnet_lab.models.checkpointing import CheckpointedStage
from resnet_lab.models.description import ModelConfig
from resnet_lab.models.layers import norm, stem
from resnet_lab.models.stages import plan
from resnet_lab.models.units import ORDERS


class ResNet(nn.Module):
    """A residual or plain net; parameter names are torchvision's."""

    def __init__(self, config: ModelConfig, in_channels: int, num_classes: int) -> None:
        super().__init__()
        stages = plan(config)
        width_stem, width_out = stages[0][0].width_in, stages[-1][-1].width_out
        self.conv1 = stem(config, in_channels, width_stem)
        self.bn1 = norm(config, width_stem)
        self.maxpool = nn.Identity() if config.stem == "3x3" else nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = [f"layer{number}" for number in range(1, len(stages) + 1)]
        make_unit = ORDERS[config.order]
        for name, units in zip(self.stages, stages, strict=True):
            # The last stage has the smallest activations, a seventh on CIFAR, and its backward pass comes first:
            # to keep them costs little memory and saves as much time as with any other stage.
            checkpointed = config.checkpointing and name != self.stages[-1]
            make_stage = CheckpointedStage if checkpointed else nn.Sequential
            self.add_module(name, make_stage(*(make_unit(config, unit) for unit in units)))
        # Orders that activate at the start of a unit leave the last unit's sum to be activated here.
        self.bn_last = norm(config, width_out) if config.order == "full_preactivation" else nn.Identity()
        self.activate_last = config.order.endswith("preactivation")
        self.fc = nn.Linear(width_out, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(relu(self.bn1(self.conv1(x))))
        for stage in self.stages:
            x = getattr(self, stage)(x)
        if self.activate_last:
            x = relu(self.bn_last(x))
        x = F.adaptive_avg_pool2d(x, 1).flatten(1)
        return self.fc(x)
