"""The adapter of a `LightningDataModule` of one's own: its loaders and its hooks, unchanged.

Its batches are (images, labels): float32 (N, C, H, W), and int64 (N,) or tensors that name no class; or anything else,
for a LightningModule of one's own that takes it, such as a dictionary or images alone. What it draws from
`random`, NumPy's and torch's global generators in this process is a function of (seed, epoch, batch), so that an epoch
that is taken up again repeats its order where nothing else decides it: which cannot be known.
"""

import logging
from collections.abc import Callable, Iterator
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

log = logging.getLogger(__name__)


class LightningImages(Images):
    """The sets of a LightningDataModule, which keeps its own order and its own workers."""

    def __init__(self, config: OwnConfig, given: LightningDataModule, info: DataInfo | None = None) -> None:
        """Without `info` the module is only looked at."""
        self.config, self.given, self.info = config, given, info
        self.labels = {}
        self.not_promised = (
            f"data={config.name} is a LightningDataModule of your own: that a run which is resumed within an epoch ends"
            " in the same weights cannot be promised"
        )

    def first(self) -> First:
        """Return what the first image shows. Raises UserError for what has none."""
        self._load()
        with drawn("first"):
            batch = self._handed_over(next(iter(self.loaders["train"]), None), CPU)
        if not is_pair(batch):
            return First(self._shape(batch), None, class_names_of(self.given), self.counts, own_module=True)
        images, labels = batch
        if images.ndim != 4 or not len(images):
            raise UserError(
                f"{self.config._target_} gives images of shape {tuple(images.shape)}: (N, C, H, W) is needed"
            )
        names_there = class_names_of(self.given) or class_names_of(
            getattr(self.loaders["train"], "dataset", None)
        )
        channels, height, width = images.shape[1:]
        label = int(labels[0]) if labels.ndim == 1 and not labels.is_floating_point() else labels[0]
        return First((channels, height, width), label, names_there, self.counts, own_module=True)

    def begin(self, trainer: Trainer | None) -> None:
        super().begin(trainer)
        if trainer is not None:
            if trainer.world_size > 1:
                raise UserError(
                    f"trainer.devices={trainer.world_size}: a LightningDataModule of your own trains on one"
                    " device; data sets ({'train': …, 'test': …}) are split between several"
                )
            self.given.trainer = trainer
            log.warning(self.not_promised)
        self._load()

    def order(self, batch_size: int, drop_last: bool, seed: int) -> "Numbers":  # noqa: ARG002
        self.batch_size = batch_size
        return Numbers(len(self.loaders["train"]))

    def eval_order(self, name: str, batch_size: int) -> "Numbers":  # noqa: ARG002
        return Numbers(len(self.loaders[name]))

    def train_reader(self, seed: int) -> Reader:
        return TheirReader(self, "train", lambda epoch: f"{seed}/{epoch}", self.batch_size)

    def eval_reader(self, name: str) -> Reader:
        return TheirReader(self, name, lambda _: "evaluation")

    def preprocessing(self) -> Preprocessing:
        assert self.info is not None
        return preprocessing(self.config, self.info)

    def end(self) -> None:
        self.given.teardown("fit")

    def state_dict(self) -> dict[str, object]:
        return self.given.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.given.load_state_dict(state)

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

    def on_the_device(self, batch: Any) -> Any:
        """Return a batch as the module's hooks hand it over. Raises UserError for labels that name no class."""
        assert self.info is not None
        found = self._handed_over(batch, self.device)
        if self.info.own_batches:
            return found
        if not is_pair(found):
            raise UserError(
                f"{self.config._target_} gives a batch of another kind after some of (images, labels)"
            )
        images, labels = found
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

    def _load(self) -> None:
        """Make the loaders of train, test and, where it has both, val. Raises UserError for what is missing."""
        given, what = self.given, f"{TARGET}={self.config._target_}"
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
                self.loaders = {name: getattr(given, f"{name}_dataloader")() for name in has if has[name]}
        except UserError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{what} fails: {type(error).__name__}: {reason}") from error
        if not has["test"]:
            self.loaders["test"] = self.loaders.pop("val")  # an error on it is what there is to tell
        self.counts = {name: self._count(name, loader) for name, loader in self.loaders.items()}

    def _count(self, name: str, loader: Any) -> int:
        """How many images a loader has. Raises UserError where it does not know."""
        try:
            len(loader)
            return len(loader.dataset)
        except (TypeError, AttributeError):
            raise UserError(
                f"{TARGET}={self.config._target_}: its {name}_dataloader gives {type(loader).__name__}: a loader with a"
                " length, of a data set with a length, is needed"
            ) from None

    def _handed_over(self, batch: Any, device: torch.device) -> Any:
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
    """Batches of one of the module's loaders, by number: those before the first are read, too, and left out."""

    def __init__(
        self, images: LightningImages, name: str, draws: Callable[[int], str], batch_size: int | None = None
    ) -> None:
        """`batch_size`: that of the recipe, which the first batch must have."""
        self.images, self.loader = images, images.loaders[name]
        self.draws, self.batch_size = draws, batch_size

    def batches(self, epoch: int, indices: Iterator[Tensor]) -> Iterator[Batch]:
        loader, drawn_for = self.loader, self.draws(epoch)
        for name in ("sampler", "batch_sampler"):
            set_theirs = getattr(getattr(loader, name, None), "set_epoch", None)
            if callable(set_theirs) and self.batch_size:
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
            count = images_in(found)
            if self.batch_size and not number and len(loader) > 1 and count != self.batch_size:
                raise UserError(
                    f"recipe.batch_size={self.batch_size}: the first batch of {self.images.config._target_} has"
                    f" {count} images: let it take an argument batch_size, or say in the recipe what it does"
                )
            yield found
