"""Data sets and data modules of one's own: what an item may be, what is drawn for it, and how batches come of it."""

import gc
import multiprocessing
import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from lightning import LightningDataModule
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, Subset

from resnet_lab.data import build, info
from resnet_lab.data.datamodule import DataModule
from resnet_lab.data.own.sets import OwnImages
from resnet_lab.data.spec import OwnConfig
from resnet_lab.errors import UserError

GREY = np.arange(20, dtype=np.uint8).reshape(4, 5)


class Drawn:
    """Images (1, 4, 5) that hold what was drawn for them from each of the global generators."""

    classes = ("even", "odd")

    def __init__(self, count: int = 10) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = torch.full((1, 4, 5), float(index))
        image[0, 0, :3] = torch.tensor([random.random(), np.random.random(), float(torch.rand(()))])  # noqa: NPY002
        return image, index % 2


class Listed(list[Any]):
    classes = ("a", "b")


class Stateful(Drawn):
    own = random.Random(0)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return super().__getitem__(index)[0] + self.own.random(), 0


class Streamed(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(())


class Module(LightningDataModule):
    def __init__(self, batch_size: int = 4, images: Any = None) -> None:
        super().__init__()
        self.batch_size, self.images = batch_size, images or Drawn()

    def train_dataloader(self) -> Any:
        return DataLoader(self.images, self.batch_size, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(Drawn(6), self.batch_size)


class Untested(LightningDataModule):
    def train_dataloader(self) -> Any:
        return DataLoader(Drawn(), 4)


class OnTheDevice(Module):
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch[0] + 100, batch[1]


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Names what it is given as my_images.made."""
    module = ModuleType("my_images")
    monkeypatch.setitem(sys.modules, "my_images", module)

    def name(made: Any, **choices: Any) -> OwnConfig:
        module.made = made if isinstance(made, type) else lambda **_: made  # type: ignore[attr-defined]
        return OwnConfig(name="mine", _target_="my_images.made", **{"workers": 0, **choices})

    return name


def data_of(config: OwnConfig, seed: int = 0) -> DataModule:
    data = build(config, batch_size=4, drop_last=False, seed=seed)
    data.setup()
    return data


def epoch(data: DataModule, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    loader = data.train_dataloader()
    loader.set_epoch(number)
    images, labels = zip(*loader, strict=True)
    return torch.cat(images), torch.cat(labels)


@pytest.mark.parametrize(
    ("image", "shape", "largest"),
    [
        (Image.fromarray(GREY), (1, 4, 5), 19 / 255),
        (Image.fromarray(GREY).convert("RGB"), (3, 4, 5), 19 / 255),
        (Image.fromarray(GREY).convert("RGBA"), (3, 4, 5), 19 / 255),
        (GREY, (1, 4, 5), 19 / 255),
        (np.stack([GREY] * 3, axis=2), (3, 4, 5), 19 / 255),
        (torch.from_numpy(GREY)[None], (1, 4, 5), 19 / 255),
        (torch.linspace(-2, 7, 40).reshape(2, 4, 5), (2, 4, 5), 7.0),
        (torch.linspace(-2, 7, 40).double().reshape(2, 4, 5), (2, 4, 5), 7.0),
    ],
)
def test_an_image_may_be_of_several_kinds(
    image: Any, shape: tuple[int, ...], largest: float, target: Any
) -> None:
    sets = {"train": Listed([(image, 0)] * 4), "test": Listed([(image, np.int64(1))])}
    config = target(sets)
    facts = info(config)
    assert (facts.channels, facts.height, facts.width) == shape
    ((images, labels),) = data_of(config).test_dataloader()
    assert images.dtype == torch.float32
    assert float(images.max()) == pytest.approx(largest)
    assert labels.tolist() == [1]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (GREY, "gives ndarray: .image, label. is needed"),
        ((GREY.astype(float), 0), r"image 0 is ndarray of float64, \(4, 5\)"),
        (("file.png", 0), "image 0 is str"),
        ((GREY, "cat"), "the label of image 0 is 'cat': a whole number"),
        ((GREY, -1), "the label of image 0 is -1"),
        ((GREY, 2), "has the label 2, and there are 2 classes"),
    ],
)
def test_an_item_that_is_none_is_told(item: Any, message: str, target: Any) -> None:
    with pytest.raises(UserError, match=message):
        info(target({"train": Listed([item]), "test": Listed([item])}))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ([], "gives list: data sets of"),
        ({"train": Drawn()}, "does not return 'test'"),
        ({"train": Drawn(), "tests": Drawn()}, "did you mean 'test'"),
        ({"train": Streamed(), "test": Drawn()}, "train of my_images.made is Streamed: a map-style data set"),
        ({"train": Drawn(0), "test": Drawn()}, "train of my_images.made has no images"),
        ({"train": [(GREY, 0)], "test": [(GREY, 0)]}, r"data.classes=… is needed"),
        (
            {"train": Drawn(), "test": Listed([(GREY.T, 0)])},
            r"image 0 has the shape \(1, 5, 4\), and of train",
        ),
        ({"train": Stateful(), "test": Drawn()}, "draws from a generator of its own"),
        (Untested, "has no test_dataloader"),
    ],
)
def test_sets_that_no_run_could_use_are_told(made: Any, message: str, target: Any) -> None:
    with pytest.raises(UserError, match=message):
        info(target(made))


def test_what_is_drawn_is_a_function_of_seed_epoch_and_index_alone(target: Any) -> None:
    config = target({"train": Drawn(), "test": Drawn()})
    data = data_of(config)
    images, labels = epoch(data, 0)
    assert sorted(images[:, 0, 1, 0].tolist()) == list(range(10))
    assert torch.equal(labels, images[:, 0, 1, 0].long() % 2)
    again, _ = epoch(data_of(config), 0)
    assert torch.equal(again, images)
    apart = [images, epoch(data, 1)[0], epoch(data_of(config, seed=1), 0)[0]]
    drawn = [each[each[:, 0, 1, 0].argsort()][:, 0, 0, :3] for each in apart]
    assert not any((drawn[0] == other).any() for other in drawn[1:])
    assert len(drawn[0].unique()) == drawn[0].numel()


def test_reading_leaves_the_generators_of_a_run_as_they_were(target: Any) -> None:
    config = target({"train": Drawn(), "test": Drawn()})
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]  # noqa: NPY002
    info(config)
    epoch(data_of(config), 0)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]  # noqa: NPY002
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])


def test_processes_read_the_same_and_an_iteration_may_be_left_and_taken_up(target: Any) -> None:
    sets = {"train": Drawn(), "test": Drawn()}
    whole, _ = epoch(data_of(target(sets)), 0)
    data = data_of(target(sets, workers=2))
    loader = data.train_dataloader()
    next(iter(loader))
    state = loader.state_dict()
    loader.load_state_dict(state)
    rest = torch.cat([images for images, _ in loader])
    assert torch.equal(rest, whole[4:])
    loader.set_epoch(1)
    assert torch.equal(torch.cat([images for images, _ in loader]), epoch(data_of(target(sets)), 1)[0])


def test_processes_that_the_collector_finds_end_by_themselves(target: Any) -> None:
    loader = data_of(target({"train": Drawn(), "test": Drawn()}, workers=1)).train_dataloader()
    list(loader)
    loader.itself = loader  # type: ignore[attr-defined]  # as what a run leaves refers to itself
    [process] = multiprocessing.active_children()
    del loader
    gc.collect()
    assert process.exitcode == 0  # and not of SIGTERM, after 5 s in vain


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_item_is_one_line_that_names_it(workers: int, target: Any) -> None:
    class Broken(Drawn):
        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            if index == 7:
                raise OSError("no such file")
            return super().__getitem__(index)

    data = data_of(target({"train": Drawn(), "test": Broken()}, workers=workers))
    with pytest.raises(UserError) as told:
        list(data.test_dataloader())
    assert str(told.value) == "test of my_images.made: image 7 cannot be read: OSError: no such file"
    assert "in __getitem__" in told.value.__notes__[0]


def test_images_and_labels_that_differ_later_on_are_named() -> None:
    sizes = OwnImages(Listed([(GREY, 0), (GREY.T, 0)]), "train", 2)
    told = sizes.__getitems__([("0/0", 0), ("0/0", 1)])
    assert "image 1 has the shape (1, 5, 4), image 0 has (1, 4, 5)" in str(told)
    told = OwnImages(Listed([(GREY, 0), (GREY, 2)]), "train", 2).__getitems__([("0/0", 1)])
    assert "the label of image 1 is 2: allowed is 0 to 1" in str(told)


def test_images_are_chosen_by_a_fixed_seed_and_each_once(target: Any) -> None:
    sets = {"train": Drawn(), "test": Drawn(8)}
    config = target(sets, validation=3, train_images=5, test_images=6)
    data = data_of(config)
    assert (data.sizes, data.eval_names) == ({"train": 5, "val": 3, "test": 6}, ("val", "test"))
    aside, _ = zip(*data.val_dataloader()[0], strict=True)
    trained, _ = epoch(data, 0)
    seen = torch.cat([*aside, trained])[:, 0, 1, 0].tolist()
    assert len(set(seen)) == len(seen) == 8
    assert not info(config).validated
    assert info(target({**sets, "val": Drawn()})).validated


def test_mean_and_std_are_subtracted_and_told(target: Any) -> None:
    config = target({"train": Listed([(GREY, 0)] * 4), "test": Listed([(GREY, 1)])}, mean=[0.1], std=[0.5])
    data = data_of(config)
    ((images, _),) = data.test_dataloader()
    assert float(images.max()) == pytest.approx((19 / 255 - 0.1) / 0.5)
    seen = data.preprocessing()
    assert (seen.mean.tolist(), seen.std.tolist(), seen.size) == ([[[pytest.approx(0.1)]]], [[[0.5]]], (4, 5))


def test_a_module_keeps_its_loaders_and_hooks_and_repeats_an_epoch(target: Any) -> None:
    data = data_of(target(OnTheDevice))
    assert (data.sizes, data.eval_names) == ({"train": 10, "test": 6}, ("test",))
    images, _ = epoch(data, 0)
    assert sorted(images[:, 0, 1, 0].tolist()) == list(range(100, 110))
    loader = data.train_dataloader()
    next(iter(loader))
    state = loader.state_dict()
    assert state == {"epoch": 0, "batch": 1}
    later = data_of(target(OnTheDevice)).train_dataloader()
    later.load_state_dict(state)
    assert torch.equal(torch.cat([images for images, _ in later]), images[4:])
    assert not torch.equal(epoch(data, 1)[0], images)
    assert data.not_promised is not None


def test_a_module_with_batches_of_another_size_is_told(target: Any) -> None:
    data = data_of(target(Module, args={"batch_size": 5}))
    with pytest.raises(
        UserError, match=r"recipe.batch_size=4: the first batch of my_images.made has 5 images"
    ):
        epoch(data, 0)


def test_batches_of_another_kind_are_handed_on_as_they_are(target: Any) -> None:
    with pytest.raises(UserError, match=r"data\.channels, data\.height and data\.width are needed"):
        info(target(Module(images=Listed([{"label": 0}] * 9))))
    images = Listed([{"one": torch.zeros(1, 4, 5)}] * 9)
    config = target(Module(images=images), classes=3)
    facts = info(config)
    assert (facts.channels, facts.height, facts.width, facts.classes, facts.own_batches) == (1, 4, 5, 3, True)
    assert list(next(iter(data_of(config).train_dataloader()))) == ["one"]


def test_a_root_is_handed_on_and_no_part_of_what_tells_images_apart(tmp_path: Path, target: Any) -> None:
    class Rooted:
        def __new__(cls, root: str) -> Any:
            assert Path(root) == tmp_path
            return {"train": Drawn(), "test": Drawn()}

    assert (
        info(target(Rooted, root=str(tmp_path))).fingerprint
        == info(target({"train": Drawn(), "test": Drawn()})).fingerprint
    )


class Marked:
    """Ten images that training marks with their label, as no test image is marked."""

    classes = ("a", "b")

    def __init__(self, count: int, **settings: Any) -> None:
        self.count = count
        vars(self).update(settings)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = torch.full((1, 4, 5), float(index))
        if any(vars(self).get(name) for name in ("transform", "train")):
            image[0, 0, 0] = 1000 + index % 5 // 4
        return image, index % 5 // 4


@pytest.mark.parametrize(
    "sets",
    [
        {"train": Marked(20, transform=abs), "test": Marked(8, transform=None)},
        {"train": Subset(Marked(20, augment=True, transform=abs), range(20)), "test": Marked(8)},
        {"train": Marked(20, train=True), "test": Marked(8), "train_as_test": Marked(20)},
    ],
)
def test_images_set_aside_are_in_proportion_and_not_augmented(sets: dict[str, Any], target: Any) -> None:
    data = data_of(target(sets, validation=5, classes=2, class_names=["a", "b"]))
    images, labels = zip(*data.val_dataloader()[0], strict=True)
    assert sorted(torch.cat(labels).tolist()) == [0, 0, 0, 0, 1]
    assert float(torch.cat(images).max()) < 20
    trained, labels_ = epoch(data, 0)
    assert float(trained.min(0).values.max()) >= 1000
    assert labels_.sum() == 3
    seen = [*torch.cat(images)[:, 0, 1, 0].tolist(), *trained[:, 0, 1, 0].tolist()]
    assert sorted(seen) == list(range(20))


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({"train": Marked(20, train=True), "test": Marked(8, train=False)}, r"\(train=True and False\)"),
        ({"train": Marked(20, kind="train"), "test": Marked(8, kind="test")}, r"\(kind=train and test\)"),
        ({"train": Drawn(), "test": Marked(8)}, r"\(Drawn and Marked\)"),
        (
            {"train": Marked(20), "test": Marked(8), "train_as_test": Marked(9)},
            "has 9 images, and train of my_images.made has 20",
        ),
    ],
)
def test_images_that_may_be_augmented_are_not_set_aside(
    sets: dict[str, Any], message: str, target: Any
) -> None:
    assert info(target(sets)).training
    with pytest.raises(UserError, match=message):
        info(target(sets, validation=5))


def test_labels_that_a_set_lists_are_not_read(target: Any) -> None:
    class Listing(Marked):
        targets = torch.arange(20) % 5 // 4

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            assert index in (0, 2, 4, 6, 8, 10, 12, 14, 16, 18), "only a few images are looked at"
            return super().__getitem__(index)

    data = data_of(target({"train": Listing(20), "test": Marked(8)}, train_images=10))
    assert data.sizes["train"] == 10
