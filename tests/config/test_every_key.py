"""Every key of a configuration changes the result, is refused where nothing reads it, or is local."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import folders
from resnet_lab.config.identity import identity
from resnet_lab.config.request import compose
from resnet_lab.config.schema import TrainConfig
from resnet_lab.errors import UserError
from resnet_lab.fields import keys
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from swept import composed

TINY = [
    *(
        "recipe=digits",
        "recipe.epochs=2",
        "recipe.batch_size=32",
        "data.train_images=70",
        "data.test_images=50",
    ),
    *("recipe.lr=0.1", "recipe.schedule=constant", "trainer.progress=false", "trainer.threads=1"),
    "trainer.accelerator=cpu",
]
DIGITS = ["data=digits", "model=cifar_resnet", "model.depth=8", "model.width=4"]
FOLDER = [
    *(
        "data=image_folder",
        "data.root=images",
        "data.crop=16",
        "data.resize=24",
    ),
    *("data.train_images=10", "data.test_images=5", "recipe.batch_size=5"),
    *("model=cifar_resnet", "model.depth=8", "model.width=4"),
]
JITTER = [*FOLDER, "data.augmentation=scale_jitter", "data.scale_min=30", "data.scale_max=40"]
OTHER = ["model=mine"]
MINE = ["data=mine", "data.classes=10", "data.train_images=null", "data.test_images=null"]
NET = """
import torch
from lightning import Callback
from torch import nn
from torch.utils.data import TensorDataset
from resnet_lab.training import Classifier

class Net(nn.Sequential):
    def __init__(self, outputs: int = 10, labels: int = 10, width: int = 8, planes: int = 1, layers: int = 2) -> None:
        super().__init__(nn.Flatten(), *(nn.Linear(64, 64) for _ in range(layers)), nn.Linear(64, max(outputs, labels)))

class Wide(Net):
    def __init__(self, outputs: int) -> None:
        super().__init__(outputs, layers=3)

class Shift(Callback):
    def on_train_start(self, trainer, module):
        with torch.no_grad():
            module.backbone.fc.bias.add_(1.0)

class Slower(Classifier):
    def __init__(self, *given, factor: float = 0.5, **more):
        super().__init__(*given, **more)
        self.factor = factor

    def training_loss(self, images, targets):
        loss, scores = super().training_loss(images, targets)
        return self.factor * loss, scores

def images(count: int = 60):
    draws = torch.Generator().manual_seed(count)
    images = (torch.rand(count, 1, 8, 8, generator=draws) * 255).byte()
    parts = TensorDataset(images, torch.arange(count) % 10)
    return {"train": parts, "test": parts}

def loss(scores, labels, gamma: float = 0.0):
    return nn.functional.cross_entropy(scores, labels, label_smoothing=gamma)
"""
FILES = {
    "mine.py": NET,
    "configs/model/mine.yaml": "defaults: [other_schema, _self_]\n_target_: mine.Net\nclasses_as: outputs\n",
    "configs/data/mine.yaml": "defaults: [own_schema, _self_]\n_target_: mine.images\nmean: [0.5]\nstd: [0.5]\n",
}

# A value of each key, and the choices with which something reads it.
READ: dict[str, tuple[Any, list[str]]] = {
    "seed": (1, []),
    "precision": ("bf16", []),
    "debug": ("limit", []),
    "protocol": ("ten_crop", FOLDER),
    "test_with": ("best", ["data.validation=20", "callbacks.checkpoint.best=val/loss", "recipe.epochs=4"]),
    "trainer.extra": ("{limit_train_batches: 1}", []),
    "module._target_": ("mine.Slower", []),
    "module.args": ("{factor: 0.1}", ["module._target_=mine.Slower"]),
    "callbacks.extra": ("{shift: {_target_: mine.Shift}}", []),
    "data.validation": (10, []),
    "data.train_images": (60, []),
    "data.test_images": (40, []),
    "data.fold": (1, []),
    "data.folds": (4, ["data.fold=1"]),
    "data.size": (4, ["data.pad=1"]),
    "data.pad": (2, []),
    "data.flip": ("true", ["data.pad=0"]),
    "data.cutout": (2, []),
    "data.mean": ("pixel", []),
    "data.divide_by_std": ("false", []),
    "data.test_share": (0.4, [*FOLDER, "data.root=whole", "data.train_images=null", "data.test_images=null"]),
    "data.transform": ("{_target_: torchvision.transforms.v2.RandomInvert, p: 1.0}", []),
    "data.crop": (12, FOLDER),
    "data.resize": (20, FOLDER),
    "data.test_crop": (12, FOLDER),
    "data.augmentation": ("scale_jitter", FOLDER),
    "data.scale_min": (20, JITTER),
    "data.scale_max": (50, JITTER),
    "data.pca_noise": (0.5, FOLDER),
    "data.colour_jitter": (0.5, FOLDER),
    "data.trivial_augment": ("true", FOLDER),
    "data.random_erasing": (0.9, FOLDER),
    "data.args": ("{count: 40}", MINE),
    "data.std": ("[0.3]", MINE),
    "model.num_classes": (12, []),
    "model.weights": ("weights.pth", ["model.zero_channels=append"]),
    "model.family": ("imagenet", ["model.block=single", "model.depth=35", "model.stem=3x3"]),
    "model.depth": (14, []),
    "model.block": ("se_basic", []),
    "model.shortcut": ("B", []),
    "model.order": ("full_preactivation", []),
    "model.stem": ("deep", FOLDER),
    "model.width": (6, []),
    "model.stride_on": ("3x3", ["model.block=bottleneck", "model.depth=11"]),
    "model.zero_channels": ("split", []),
    "model.shared_preactivation": ("first_and_changes", ["model.order=full_preactivation"]),
    "model.downsample": ("pool", ["model.shortcut=B"]),
    "model.groups": (2, ["model.block=bottleneck", "model.depth=11"]),
    "model.width_factor": (2.0, []),
    "model.init_fan": ("fan_in", []),
    "model.zero_init_gamma": ("true", []),
    "model.batch_norm": ("false", []),
    "model.shortcut_scale": (0.25, ["model.shortcut=constant_scaling"]),
    "model.branch_scale": (0.25, ["model.shortcut=constant_scaling"]),
    "model.gate_bias": (-1, ["model.shortcut=exclusive_gating"]),
    "model.shortcut_dropout": (0.1, ["model.shortcut=dropout"]),
    "model.branch_dropout": (0.5, []),
    "model.drop_path": (0.5, []),
    "model.head": ("reset", ["model.weights=weights.pth", "model.zero_channels=append"]),
    "model._target_": ("mine.Wide", OTHER),
    "model.args": ("{layers: 3}", OTHER),
    "model.classes_as": ("labels", [*OTHER, "model.args={outputs: 12}"]),
    "model.channels_as": ("layers", OTHER),
    "model.reset_head": ("true", [*OTHER, "model.weights=other.pth", "model.head='2'"]),
    "recipe.optimizer": ("adamw", []),
    "recipe.optimizer_args": ("{dampening: 0.5}", []),
    "recipe.lr": (0.2, []),
    "recipe.lr_scale": ("{layer1.*: 0.1}", []),
    "recipe.momentum": (0.5, []),
    "recipe.nesterov": ("true", []),
    "recipe.weight_decay": (0.1, []),
    "recipe.weight_decay_scope": ("conv", ["recipe.weight_decay=0.1"]),
    "recipe.sam": (0.5, []),
    "recipe.batch_size": (16, []),
    "recipe.drop_last": ("true", []),
    "recipe.iterations": (4, ["recipe.epochs=null", "recipe.iterations=3"]),
    "recipe.epochs": (1, []),
    "recipe.shorten": (2, []),
    "recipe.schedule": ("cosine", []),
    "recipe.drops": ("[1]", ["recipe.schedule=step"]),
    "recipe.drop_factor": (0.5, ["recipe.schedule=step", "recipe.drops=[1]"]),
    "recipe.peak_at": (0.6, ["recipe.schedule=one_cycle"]),
    "recipe.warmup_iterations": (2, []),
    "recipe.warmup_lr": (0.05, ["recipe.warmup_iterations=2"]),
    "recipe.warmup_shape": ("linear", ["recipe.warmup_iterations=2"]),
    "recipe.loss": ("binary_cross_entropy", []),
    "recipe.loss_args": ("{gamma: 0.5}", ["recipe.loss=mine.loss"]),
    "recipe.label_smoothing": (0.1, []),
    "recipe.mixup": (0.5, []),
    "recipe.cutmix": (0.5, []),
    "recipe.ema": (0.5, []),
    "recipe.clip": (0.1, []),
    "recipe.accumulate": (2, []),
    "recipe.scale_lr": ("true", []),
    "recipe.base_batch_size": (64, ["recipe.scale_lr=true"]),
    "recipe.freeze": ("backbone", ["model.weights=weights.pth", "model.zero_channels=append"]),
    "recipe.recompute_bn": ("true", []),
}

CHOICES = {
    context[0]
    for _, context in READ.values()
    if context and context[0].startswith(("model.", "module.", "recipe."))
}
# What no two values of are tried: names, which tell what the rest is, and what is filled in when composed.
NAMES = {"recipe.name", "sources", "data.fingerprint", "data._target_", "trainer.sync_batch_norm"}
NAMES |= {"extends", "callbacks.checkpoint.best"}  # filled in; read by test_with
CHECKED = {"model.in_channels"}  # refused where it is not the images' own


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, weights, and a net and images of one's own."""
    from resnet_lab.models import build, create_model
    from resnet_lab.models.other import OtherConfig

    here = tmp_path_factory.mktemp("project")
    for name, content in FILES.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(content)
    folders.make(here / "images", images=5)
    folders.make(here / "whole", splits=("",), images=10)
    torch.manual_seed(5)
    net = create_model("cifar_resnet20", depth=8, width=4, in_channels=1)
    torch.save(net.state_dict(), here / "weights.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.syspath_prepend(here)
        other = build(OtherConfig(1, 10, _target_="mine.Net", classes_as="outputs"))
    torch.save(other.state_dict(), here / "other.pth")
    return here


@pytest.fixture
def tried(project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[str]], tuple[str, str]]:
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(project)
    return outcome


@cache
def trained(run_dir: str) -> str:
    record = execute(run_dir)
    weights = load_file(Path(run_dir) / "weights.safetensors")
    digest = sum(float(value.double().abs().sum()) for value in weights.values())
    sizes = {name: getattr(record.data, name) for name in ("train", "val", "test")}
    return json.dumps([digest, record.last, sizes], default=str)


def outcome(overrides: Sequence[str]) -> tuple[str, str]:
    """The identity of a run, and what came out of it."""
    chosen = {each.partition("=")[0] for each in overrides}
    usual = [each for each in (*TINY, *DIGITS) if each.partition("=")[0] not in chosen]
    if "model=mine" in overrides:
        usual = [each for each in usual if not each.startswith("model.")]
    config: TrainConfig = compose([*usual, *overrides])
    return identity(config), trained(str(RunFolder.create(config).path))


@pytest.mark.slow
@pytest.mark.parametrize("key", READ)
def test_a_key_that_makes_another_run_changes_what_comes_out(key: str, tried: Callable[..., Any]) -> None:
    value, context = READ[key]
    others = [each for each in context if each.partition("=")[0] != key]
    (before, result), (after, other) = tried(context), tried([*others, f"{key}={value}"])
    assert before != after, "it makes no other run"
    assert result != other, "it makes another run, which ends as the first did"


@pytest.mark.parametrize(
    "key", [key for key, (_, context) in READ.items() if context and context[0] in CHOICES]
)
def test_a_key_that_nothing_reads_is_refused_or_makes_no_other_run(
    key: str, tried: Callable[..., Any]
) -> None:
    before, result = tried([])
    try:
        after, other = tried([f"{key}={READ[key][0]}"])
    except UserError:
        return
    assert (before == after) == (result == other)


def test_every_key_that_is_not_local_is_tried() -> None:
    known = {key for key, each in keys(TrainConfig).items() if not each.local}
    assert known == {*READ, *NAMES, *CHECKED}


@pytest.mark.parametrize("name", ["lr", "weight_decay", "momentum", "nesterov", "params"])
def test_an_argument_of_the_optimiser_that_a_key_decides_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=rf"recipe.optimizer_args.{name}: recipe\.\w+ decides it"):
        compose([f"recipe.optimizer_args={{{name}: 3}}"])


def test_what_nothing_reads_may_stand_in_a_recipes_file() -> None:
    assert (
        compose(["recipe=large_batch", "recipe.warmup_iterations=0", "recipe.batch_size=64"]).recipe.warmup_lr
        == 0.1
    )


def test_a_sweep_over_what_nothing_reads_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"recipe.peak_at=0.2 has no effect here: it is for recipe.schedule=one_cycle"
    ):
        composed(["recipe.schedule=cosine", "recipe.peak_at=0.2,0.4"])
