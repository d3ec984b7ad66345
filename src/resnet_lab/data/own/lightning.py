"""The adapter of a `LightningDataModule` of your own: its loaders and its hooks, unchanged.

Its batches are (images, labels): float32 (N, C, H, W), and int64 (N,) or tensors that name no class; or anything else,
for a LightningModule of your own that takes it, such as a dictionary or images alone. What it draws from
`random`, NumPy's and torch's global generators in this process is a function of (seed, epoch, batch), so that a resumed
epoch repeats its order where nothing else decides it: which cannot be known.
"""

import logging
from collections.abc import Iterator
from typing import Any

import torch
from lightning import LightningDataModule, Trainer
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.utils._pytree import tree_leaves

from resnet_lab.data.datamodule import Images
from resnet_lab.data.order import CPU, Batch, Reader, drawn, images_in
from resnet_lab.data.own import TARGET, First
from resnet_lab.data.own.sets import class_names_of, preprocessing
from resnet_lab.data.preprocessing import Preprocessing
from resnet_lab.data.spec import DataInfo, OwnConfig
from resnet_lab.errors import UserError
from resnet_lab.targets import called

log = logging.getLogger(__name__)


class LightningImages(Images):
    """The sets of a LightningDataModule, which keeps its own order and its own workers."""

    batch_size = 0  # of the recipe, where they are trained on

    def __init__(self, config: OwnConfig, given: LightningDataModule, info: DataInfo | None = None) -> None:
        """Without `info` the module is only looked at."""
        self.config, self.given, self.info = config, given, info
        self.labels = {}
        self.not_promised = (
            f"data={config.name} is a LightningDataModule of your own: that a run which is resumed within an epoch ends"
            " in the same weights cannot be promised"
        )

    def first(self) -> First:
        """Return what the first image shows. Raises UserError where there is none."""
        self._load()
        loader = self.loaders["train"]
        with drawn("first"):
            batch = self._hooked(next(iter(loader), None), CPU)
        names = class_names_of(self.given) or class_names_of(getattr(loader, "dataset", None))
        if not is_pair(batch):
            return First(self._shape(batch), None, class_names_of(self.given), self.counts, own_module=True)
        images, labels = batch
        if images.ndim != 4 or not len(images):
            shape = tuple(images.shape)
            raise UserError(f"{self.config._target_} gives images {shape}: (N, C, H, W) is needed")
        named = labels.ndim == 1 and not labels.is_floating_point()
        label = int(labels[0]) if named else labels[0]
        return First(self._shape(images), label, names, self.counts, own_module=True)

    def begin(self, trainer: Trainer | None) -> None:
        super().begin(trainer)
        if trainer is not None:
            if trainer.world_size > 1:
                devices = f"trainer.devices={trainer.world_size}"
                raise UserError(f"{devices}: a LightningDataModule trains on one, data sets on several")
            self.given.trainer = trainer
            log.warning(self.not_promised)
        self._load()

    def order(self, batch_size: int, drop_last: bool, seed: int) -> "Numbers":  # noqa: ARG002
        self.batch_size = batch_size
        return Numbers(len(self.loaders["train"]))

    def eval_order(self, name: str, batch_size: int) -> "Numbers":  # noqa: ARG002
        return Numbers(len(self.loaders[name]))

    def train_reader(self, seed: int) -> Reader:
        return TheirReader(self, "train", seed)

    def eval_reader(self, name: str) -> Reader:
        return TheirReader(self, name)

    def preprocessing(self) -> Preprocessing:
        assert self.info is not None
        return preprocessing(self.config, self.info)

    def end(self) -> None:
        self.given.teardown("fit")

    def state_dict(self) -> dict[str, object]:
        return self.given.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.given.load_state_dict(state)

    def on_the_device(self, batch: Any) -> Any:
        """Return a batch as the module's hooks make it. Raises UserError for one that differs from the first."""
        assert self.info is not None
        info, target = self.info, self.config._target_
        found = self._hooked(batch, self.device)
        if info.own_batches:
            return found
        if not is_pair(found):
            raise UserError(f"{target} gives a batch of another kind after some of (images, labels)")
        images, labels = found
        shape = info.channels, info.height, info.width
        if images.shape[1:] != shape:
            raise UserError(f"{target} gives images {tuple(images.shape[1:])} after some of {shape}")
        images = images.contiguous(memory_format=torch.channels_last)
        if info.target_shape is not None:
            return images, labels
        # The labels that the loader gave where there are any: looking at those on a GPU would wait for it.
        pair = isinstance(batch, tuple | list) and len(batch) == 2 and isinstance(batch[1], Tensor)
        low, high = (int(each) for each in (batch[1] if pair else labels).aminmax())
        if low < 0 or high >= info.classes:
            raise UserError(f"{target} gives labels from {low} to {high}: allowed is 0 to {info.classes - 1}")
        return images, labels.long()

    def _shape(self, batch: Any) -> tuple[int, int, int]:
        """Return the shape of the images in a batch of any kind, or else the one that the configuration has."""
        for each in tree_leaves(batch):
            if isinstance(each, Tensor) and each.ndim == 4:
                return each.shape[1], each.shape[2], each.shape[3]
        channels, height, width = self.config.channels, self.config.height, self.config.width
        if channels is None or height is None or width is None:
            raise UserError(
                f"data.channels, data.height and data.width are needed: a batch of {self.config._target_} holds no"
                " images of shape (N, C, H, W)"
            )
        return channels, height, width

    def _load(self) -> None:
        """Make the loaders of train, test and, where it has both, val. Raises UserError for what is missing."""
        given, what = self.given, f"{TARGET}={self.config._target_}"
        has = [
            name
            for name in ("train", "val", "test")
            if is_overridden(f"{name}_dataloader", given, LightningDataModule)
        ]
        if "train" not in has or len(has) == 1:
            raise UserError(f"{what} has no {'test' if 'train' in has else 'train'}_dataloader")

        def loaders() -> dict[str, Any]:
            given.prepare_data()
            given.setup("fit")
            if "test" in has:
                given.setup("test")
            return {name: getattr(given, f"{name}_dataloader")() for name in has}

        with drawn("data"):
            self.loaders = called(what, loaders)
        if "test" not in has:
            self.loaders["test"] = self.loaders.pop("val")  # the only error that there is to report
        self.counts = {}
        for name, loader in self.loaders.items():
            try:
                len(loader)
                self.counts[name] = len(loader.dataset)
            except (TypeError, AttributeError):
                kind = f"{name}_dataloader gives {type(loader).__name__}"
                raise UserError(f"{what}: {kind}: it and its data set need a length") from None

    def _hooked(self, batch: Any, device: torch.device) -> Any:
        """Return a batch as the module's hooks make it; images of (images, labels) as float32."""
        given = self.given
        batch = given.transfer_batch_to_device(given.on_before_batch_transfer(batch, 0), device, 0)
        batch = given.on_after_batch_transfer(batch, 0)
        return (batch[0].float(), batch[1]) if is_pair(batch) else batch


def is_pair(batch: Any) -> bool:
    """Return whether a batch is (images, labels): a float tensor, and a tensor of the same length."""
    return (
        isinstance(batch, tuple | list)
        and len(batch) == 2
        and all(isinstance(each, Tensor) for each in batch)
        and batch[0].is_floating_point()
        and len(batch[0]) == len(batch[1])
    )


class Numbers:
    """The numbers of the batches of a loader that composes them itself."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def batches(self, epoch: int, start: int, device: torch.device) -> Iterator[Tensor]:  # noqa: ARG002
        yield from torch.arange(start, self.count).split(1)


class TheirReader(Reader):
    """Batches of one of the module's loaders, by number: those before the first are read too, and left out."""

    def __init__(self, images: LightningImages, name: str, seed: int | None = None) -> None:
        """`seed` is that of a run that trains on them; None: they are only evaluated."""
        self.images, self.loader, self.seed = images, images.loaders[name], seed

    def batches(self, epoch: int, indices: Iterator[Tensor]) -> Iterator[Batch]:
        loader, trains = self.loader, self.seed is not None
        drawn_for = f"{self.seed}/{epoch}" if trains else "evaluation"
        for name in ("sampler", "batch_sampler"):
            set_theirs = getattr(getattr(loader, name, None), "set_epoch", None)
            if callable(set_theirs) and trains:
                set_theirs(epoch)
        start = next(indices, None)
        if start is None:
            return
        with drawn(f"{drawn_for}/start"):
            batches = iter(loader)
        for number in range(len(loader)):
            with drawn(f"{drawn_for}/{number}"):
                try:
                    batch = next(batches)
                except StopIteration:
                    return
            if number < int(start):
                continue
            found = self.images.on_the_device(batch)
            asked, count = self.images.batch_size, images_in(found)
            if trains and not number and len(loader) > 1 and count != asked:
                first = f"the first batch of {self.images.config._target_} has {count} images"
                raise UserError(f"recipe.batch_size={asked}: {first}; it can take an argument batch_size")
            yield found
