"""A `LightningDataModule` of somebody's own as the data of a run: its loaders and its hooks, as they are.

Its batches are (images, labels): float32 (N, C, H, W), and int64 (N,) or tensors that name no class.
What it draws from `random`, NumPy's and torch's
global generators in this process is a function of (seed, epoch, batch), so that an epoch that is taken up again repeats
its order where nothing else decides it: which cannot be known.
"""

import logging
from collections.abc import Iterator
from typing import Any

import torch
from lightning import LightningDataModule
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor

from resnet_lab.data.module import DataModule
from resnet_lab.data.order import CPU, Batch, Resumable
from resnet_lab.data.own.facts import First, class_names_of, preprocessing
from resnet_lab.data.own.making import TARGET, drawn
from resnet_lab.data.preprocessing import Preprocessing
from resnet_lab.data.spec import DataInfo, OwnConfig
from resnet_lab.errors import UserError

log = logging.getLogger(__name__)


def look_at(config: OwnConfig, given: LightningDataModule) -> First:
    """Its first training image and the sizes of its sets. Raises UserError for what has none."""
    loaders = _loaders(config, given)
    with drawn("first"):
        images, labels = _handed_over(config, given, next(iter(loaders["train"]), None), CPU)
    if images.ndim != 4 or not len(images):
        raise UserError(
            f"{config._target_} gives images of shape {tuple(images.shape)}: (N, C, H, W) is needed"
        )
    told = class_names_of(given) or class_names_of(getattr(loaders["train"], "dataset", None))
    sizes = {name: _images(config, name, loader) for name, loader in loaders.items()}
    return First(
        (images.shape[1], images.shape[2], images.shape[3]),
        int(labels[0]) if labels.ndim == 1 and not labels.is_floating_point() else labels[0],
        told,
        sizes,
        own_module=True,
    )


class OwnModule(DataModule):
    """The sets of a LightningDataModule, which keeps its own order and its own workers."""

    config: OwnConfig

    def __init__(
        self, config: OwnConfig, info: DataInfo, given: LightningDataModule, *, batch_size: int, seed: int
    ) -> None:
        super().__init__()
        self.config, self.info, self.given = config, info, given
        self.batch_size, self.seed = batch_size, seed
        self._loaders: dict[str, Any] = {}
        self.not_promised = (
            f"data={config.name} is a LightningDataModule of your own: that a run which is resumed within an epoch ends"
            " in the same weights cannot be promised"
        )

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 (Lightning's signature)
        if self._loaders:
            return
        if self.trainer is not None:
            if self.trainer.world_size > 1:
                raise UserError(
                    f"trainer.devices={self.trainer.world_size}: a LightningDataModule of your own trains on one"
                    " device; data sets, as {'train': …, 'test': …}, are split between several"
                )
            self.given.trainer = self.trainer
            log.warning(self.not_promised)
        self._loaders = _loaders(self.config, self.given)
        self.sizes = {name: _images(self.config, name, loader) for name, loader in self._loaders.items()}
        self.test_images_there = self.sizes["test"]
        self.eval_names = tuple(name for name in ("val", "test") if name in self._loaders)

    def train_dataloader(self) -> "TheirTrainLoader":
        return TheirTrainLoader(self, self._loaders["train"])

    def val_dataloader(self) -> list["TheirLoader"]:
        return [TheirLoader(self, self._loaders[name], "evaluation") for name in self.eval_names]

    def test_dataloader(self) -> "TheirLoader":
        return TheirLoader(self, self._loaders["test"], "evaluation")

    def preprocessing(self) -> Preprocessing:
        return preprocessing(self.config, self.info)

    def teardown(self, stage: str) -> None:
        self.given.teardown(stage)

    def state_dict(self) -> dict[str, Any]:
        return self.given.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.given.load_state_dict(state_dict)

    def on_the_device(self, batch: Any) -> Batch:
        """A batch as the module's hooks hand it over. Raises UserError for what is none."""
        images, labels = _handed_over(self.config, self.given, batch, self.device)
        if images.shape[1:] != (self.info.channels, self.info.height, self.info.width):
            raise UserError(
                f"{self.config._target_} gives images {tuple(images.shape[1:])} after some of"
                f" {(self.info.channels, self.info.height, self.info.width)}: all must be of one size"
            )
        images = images.contiguous(memory_format=torch.channels_last)
        if self.info.target_shape is not None:
            return images, labels
        # As its loader gave them where they are there: to look at a GPU's would be to wait for it.
        pair = isinstance(batch, tuple | list) and len(batch) == 2 and isinstance(batch[1], Tensor)
        low, high = (int(each) for each in (batch[1] if pair else labels).aminmax())
        if low < 0 or high >= self.info.classes:
            raise UserError(
                f"{self.config._target_} gives labels from {low} to {high}: allowed is 0 to {self.info.classes - 1}"
            )
        return images, labels.long()


class TheirLoader:
    """A loader of the module's, batch after batch."""

    def __init__(self, data: OwnModule, loader: Any, drawn_for: str) -> None:
        self.data, self.loader, self.drawn_for = data, loader, drawn_for

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        return self._batches(self.drawn_for, 0)

    def _batches(self, drawn_for: str, start: int) -> Iterator[Batch]:
        """Those from number `start` on: the ones before are read, too, and left out."""
        with drawn(f"{drawn_for}/start"):
            batches = iter(self.loader)
        for number in range(len(self.loader)):
            with drawn(f"{drawn_for}/{number}"):
                try:
                    batch = next(batches)
                except StopIteration:
                    return
            if number >= start:
                yield self.data.on_the_device(batch)


class TheirTrainLoader(Resumable, TheirLoader):
    """Its training loader; taken up within an epoch it reads that epoch from its start."""

    def __init__(self, data: OwnModule, loader: Any) -> None:
        Resumable.__init__(self)
        TheirLoader.__init__(self, data, loader, f"{data.seed}")
        self.batch_size = data.batch_size

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        for images, labels in self._batches(f"{self.drawn_for}/{epoch}", start):
            if not self._given and len(self.loader) > 1 and len(labels) != self.batch_size:
                raise UserError(
                    f"recipe.batch_size={self.batch_size}: the first batch of {self.data.config._target_} has"
                    f" {len(labels)} images: let it take an argument batch_size, or say in the recipe what it does"
                )
            yield images, labels

    def set_epoch(self, epoch: int) -> None:
        super().set_epoch(epoch)
        for name in ("sampler", "batch_sampler"):
            set_theirs = getattr(getattr(self.loader, name, None), "set_epoch", None)
            if callable(set_theirs):
                set_theirs(epoch)


def _loaders(config: OwnConfig, given: LightningDataModule) -> dict[str, Any]:
    """Those of train, test and, where it has both, val. Raises UserError for what is missing or fails."""
    what = f"{TARGET}={config._target_}"
    has = {
        name: is_overridden(f"{name}_dataloader", given, LightningDataModule)
        for name in ("train", "val", "test")
    }
    if not has["train"] or not (has["val"] or has["test"]):
        missing = "train" if not has["train"] else "test"
        raise UserError(f"{what} has no {missing}_dataloader")
    try:
        with drawn("data"):
            given.prepare_data()
            given.setup("fit")
            if has["test"]:
                given.setup("test")
            loaders = {name: getattr(given, f"{name}_dataloader")() for name in has if has[name]}
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{what} fails: {type(error).__name__}: {reason}") from error
    if not has["test"]:
        loaders["test"] = loaders.pop("val")  # an error on it is what there is to tell
    return loaders


def _images(config: OwnConfig, name: str, loader: Any) -> int:
    """How many images a loader has. Raises UserError where it does not know."""
    try:
        len(loader)
        return len(loader.dataset)
    except (TypeError, AttributeError):
        raise UserError(
            f"{TARGET}={config._target_}: its {name}_dataloader gives {type(loader).__name__}: a loader with a length,"
            " of a data set with a length, is needed"
        ) from None


def _handed_over(config: OwnConfig, given: LightningDataModule, batch: Any, device: torch.device) -> Batch:
    """Images and labels, as the module's hooks make them. Raises UserError for a batch of any other kind."""
    batch = given.transfer_batch_to_device(given.on_before_batch_transfer(batch, 0), device, 0)
    batch = given.on_after_batch_transfer(batch, 0)
    pair = (
        isinstance(batch, tuple | list)
        and len(batch) == 2
        and all(isinstance(each, Tensor) for each in batch)
    )
    if not pair or not batch[0].is_floating_point() or len(batch[0]) != len(batch[1]):
        told = (
            " and ".join(f"{each.dtype} {tuple(each.shape)}" for each in batch)
            if pair
            else type(batch).__name__
        )
        raise UserError(
            f"{TARGET}={config._target_} gives a batch of {told}: (images, labels), float (N, C, H, W) and whole"
            " numbers (N,), or other tensors (N, ...), are needed"
        )
    return batch[0].float(), batch[1]
