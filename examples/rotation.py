"""Pretraining without labels (1803.07728): which of four ways is an image turned? A LightningModule that takes the net.

cd examples; resnet-lab train experiment=rotation
resnet-lab train -m name=tuned model.depth=8 model.weights=runs/rotation/RUN,null model.head=reset data.train_images=100
"""

import torch
import torch.nn.functional as F
from lightning import LightningModule
from torch import Tensor, nn, optim

Batch = tuple[Tensor, Tensor]  # images (N, C, H, W), and labels (N,), which are not looked at


class Rotation(LightningModule):
    def __init__(self, net: nn.Module, lr: float = 0.05) -> None:
        super().__init__()
        self.net, self.lr = net, lr

    def step(self, batch: Batch, name: str) -> Tensor:
        turns = torch.arange(len(batch[0]), device=self.device) % 4
        pairs = zip(batch[0], turns.tolist(), strict=True)
        images = torch.stack([image.rot90(turn, (1, 2)) for image, turn in pairs])
        scores = self.net(images)[:, :4]
        right = (scores.argmax(1) == turns).float().mean()
        values = {"loss": F.cross_entropy(scores, turns), "turned": 100 * right}
        self.log_dict({f"{name}/{key}": each for key, each in values.items()}, on_step=False, on_epoch=True)
        return values["loss"]

    def training_step(self, batch: Batch) -> Tensor:
        return self.step(batch, "train")

    def validation_step(self, batch: Batch) -> None:
        self.step(batch, "val")

    def test_step(self, batch: Batch) -> None:
        self.step(batch, "test")

    def configure_optimizers(self) -> optim.Optimizer:
        return optim.SGD(self.parameters(), self.lr, momentum=0.9)
