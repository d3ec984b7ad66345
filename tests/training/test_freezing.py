"""A frozen backbone: only the classifier learns, and nothing else moves."""

import pytest
import torch
from torch import nn

import toy_training as toy
from resnet_lab.errors import UserError
from resnet_lab.training import Classifier
from resnet_lab.training.averaging import MovingAverage
from resnet_lab.training.freezing import head_of

HEAD = ("9.weight", "9.bias")


def moved(module: Classifier, before: nn.Module) -> set[str]:
    after = module.backbone.state_dict()
    return {name for name, value in before.state_dict().items() if not torch.equal(after[name], value)}


def test_only_the_classifier_moves_and_batch_norm_keeps_its_statistics() -> None:
    module, trainer = toy.fit(toy.recipe(freeze="backbone", weight_decay=0.01))
    assert moved(module, toy.net()) == set(HEAD)
    gradients = {name for name, value in module.backbone.named_parameters() if value.grad is not None}
    assert gradients <= set(HEAD)
    optimizer = trainer.optimizers[0]
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(optimizer.state) == 2


def test_a_full_run_moves_every_layer() -> None:
    module, _ = toy.fit(toy.recipe())
    assert moved(module, toy.net()) == set(toy.net().state_dict())


def test_a_frozen_backbone_sees_in_training_what_it_sees_in_a_test() -> None:
    module = Classifier(toy.net(dropout=0.5), toy.recipe(freeze="backbone"), toy.CLASSES)
    images, _ = toy.images(6)
    expected = module.eval()(images)
    assert torch.equal(module.train()(images), expected)
    assert module.training


def test_the_average_of_a_frozen_backbone_is_the_backbone() -> None:
    module, _ = toy.fit(toy.recipe(freeze="backbone", ema=0.9), MovingAverage(0.9))
    assert moved(module, toy.net()) - {"1.num_batches_tracked", "4.num_batches_tracked"} == set(HEAD)


def test_the_head_is_the_last_fully_connected_layer_and_a_net_without_one_is_told() -> None:
    net = toy.net()
    assert head_of(net) is net[9]
    with pytest.raises(UserError, match="this net has none"):
        Classifier(nn.Sequential(nn.Conv2d(1, 6, 8), nn.Flatten()), toy.recipe(freeze="backbone"), 6)
