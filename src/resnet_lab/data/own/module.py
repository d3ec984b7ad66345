"""Data sets of somebody's own for a run: which images train, validate and test, and how they become batches."""

import torch
from lightning import LightningDataModule
from torch import Tensor

from resnet_lab.data.module import DataModule
from resnet_lab.data.order import EvalOrder, TrainOrder, rank_and_world
from resnet_lab.data.own.as_it_is import OwnModule
from resnet_lab.data.own.choices import info, sets
from resnet_lab.data.own.facts import preprocessing
from resnet_lab.data.own.images import AS_TEST, OwnImages, as_tested, known_labels
from resnet_lab.data.own.loader import OwnEvalLoader, OwnTrainLoader, Reader, processes
from resnet_lab.data.own.making import make
from resnet_lab.data.preprocessing import Preprocessing
from resnet_lab.data.spec import DataInfo, OwnConfig
from resnet_lab.data.subsets import shared_out

READ = 64  # images at a time, where every label is looked up

Chosen = tuple[OwnImages, Tensor]  # a part, and the indices of the images that are used


class OwnData(DataModule):
    """Data sets of (image, label) as training, validation and test batches."""

    config: OwnConfig

    def __init__(
        self,
        config: OwnConfig,
        info: DataInfo,
        parts: dict[str, OwnImages],
        *,
        batch_size: int,
        drop_last: bool,
        seed: int,
    ) -> None:
        super().__init__()
        self.config, self.info, self._parts = config, info, parts
        self.batch_size, self.drop_last, self.seed = batch_size, drop_last, seed
        self._splits: dict[str, Chosen] = {}

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 (Lightning's signature)
        if not self._splits:
            self._splits = _shared_out(self.config, self._parts, by_class=self.info.target_shape is None)
            self.test_images_there = len(self._parts["test"])
            self.sizes = {name: len(chosen) for name, (_, chosen) in self._splits.items()}
            self.eval_names = tuple(name for name in ("val", "test") if name in self._splits)

    def train_dataloader(self) -> OwnTrainLoader:
        order = TrainOrder(self.sizes["train"], self.batch_size, self.drop_last, self.seed, *rank_and_world())
        return OwnTrainLoader(order, self._reader("train"))

    def val_dataloader(self) -> list[OwnEvalLoader]:
        return [self._eval_loader(name) for name in self.eval_names]

    def test_dataloader(self) -> OwnEvalLoader:
        return self._eval_loader("test")

    def preprocessing(self) -> Preprocessing:
        return preprocessing(self.config, self.info)

    def _eval_loader(self, name: str) -> OwnEvalLoader:
        rank, world = rank_and_world()
        order = EvalOrder(self.sizes[name], max(self.batch_size // world, 1), rank, world)
        return OwnEvalLoader(order, self._reader(name))

    def _reader(self, name: str) -> Reader:
        seen = self.preprocessing()
        device = self.device
        mean, std = seen.mean.to(device), seen.std.to(device)

        def finish(images: Tensor) -> Tensor:
            """uint8 or float32 (N, C, H, W) to what a net takes: on its device, in [0, 1], less mean, over std."""
            there = images.to(device, non_blocking=True)
            values = there.float() / 255 if there.dtype == torch.uint8 else there
            return ((values - mean) / std).contiguous(memory_format=torch.channels_last)

        return Reader(*self._splits[name], processes(self.config.workers), finish)


def build(config: OwnConfig, *, batch_size: int, drop_last: bool, seed: int) -> DataModule:
    """The data of a run. Raises UserError as `info` does."""
    known = info(config)
    given = make(config, batch_size)
    if isinstance(given, LightningDataModule):
        return OwnModule(config, known, given, batch_size=batch_size, seed=seed)
    parts = sets(config, given, known.classes)
    return OwnData(config, known, parts, batch_size=batch_size, drop_last=drop_last, seed=seed)


def _shared_out(config: OwnConfig, parts: dict[str, OwnImages], *, by_class: bool) -> dict[str, Chosen]:
    """Which images train, validate and test; those set aside are never read with the augmentation of training."""
    sets = {name: images for name, images in parts.items() if name != AS_TEST}
    labels = {name: known_labels(images) for name, images in sets.items()}
    plain = as_tested(sets["train"], sets["test"], parts.get(AS_TEST)) if config.validation else None
    if plain is not None and labels["train"] is None and by_class:
        labels["train"] = _read_labels(config, plain)
    counted = {
        name: torch.zeros(len(sets[name]), dtype=torch.int64) if found is None else found
        for name, found in labels.items()
    }
    shared = shared_out(config, counted)
    splits = {name: (sets[part], chosen) for name, (part, chosen) in shared.items()}
    if plain is not None:
        splits["val"] = plain, splits["val"][1]
    return splits


def _read_labels(config: OwnConfig, images: OwnImages) -> Tensor:
    """The label of every image, for want of a list of them."""
    reader = Reader(images, torch.arange(len(images)), processes(config.workers), lambda read: read)
    batches = reader.batches("evaluation", iter(torch.arange(len(images)).split(READ)))
    return torch.cat([labels for _, labels in batches])
