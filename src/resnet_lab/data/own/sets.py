"""Map-style data sets of your own: images and labels checked one by one, read by processes or in this one.

Which images a batch holds and what is drawn for each is fixed before anything is read, so that the number of processes
changes nothing.
"""

import copy
import ctypes
import operator
import os
import signal
import traceback
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from resnet_lab.cores import share
from resnet_lab.data.datamodule import Images
from resnet_lab.data.order import Batch, Reader, draw, drawn
from resnet_lab.data.own import TARGET, First
from resnet_lab.data.preprocessing import Preprocessing, by_channel, mean_and_std
from resnet_lab.data.spec import DataConfig, DataInfo, OwnConfig
from resnet_lab.errors import UserError, unknown

AS_TEST = (
    "train_as_test"  # the part that has the training images, in their order, read as the test images are
)
PARTS = ("train", "val", "test", AS_TEST)
LOOKED_AT = 8  # images that show whether reading draws anything
AUGMENTING = ("transform", "augment")  # what the attributes that augment are called
OF_TORCHVISION = ("train", "split", "root")  # of its sets: which images they hold, not how they are read
AT_A_TIME = 64  # images, where every label is looked up or the mean is measured
MEASURED = 10_000  # images at most that data.mean=auto is measured on, evenly among those of training
PR_SET_PDEATHSIG = 1  # prctl(2): the signal that a process gets when its parent ends
EVALUATION = "evaluation"  # what random numbers are drawn for, where it is not a seed and an epoch

# Images (N, C, H, W), uint8 or float32, and labels: int64 (N,), or tensors (N, ...) that name no class.
Read = tuple[Tensor, Tensor]
Wanted = tuple[str, int]  # what random numbers are drawn for, and the image's index


class OwnSets(Images):
    """The parts of a set, by index."""

    normal: tuple[Tensor, Tensor] | None = None  # mean and std of each channel, where they are measured

    def __init__(self, config: OwnConfig, given: Any, info: DataInfo | None = None) -> None:
        """`given` is what the target returned; without `info` it is only looked at.

        Raises UserError where it does not have the parts.
        """
        self.config, self.info = config, info
        what = f"{TARGET}={config._target_}"
        if not isinstance(given, Mapping):
            needed = (
                "data sets of (image, label) as {'train': …, 'test': …}, or a LightningDataModule, are needed"
            )
            raise UserError(f"{what} gives {type(given).__name__}: {needed}")
        for name in given:
            if name not in PARTS:
                raise unknown(f"part of {what}", str(name), PARTS)
        for name in ("train", "test"):
            if given.get(name) is None:
                raise UserError(f"{what} does not return {name!r}: train and test are needed")
        classes = info.classes if info else None
        self.parts = {
            name: OwnImages(given[name], f"{name} of {config._target_}", classes)
            for name in PARTS
            if given.get(name) is not None
        }
        self.counts = {name: len(images) for name, images in self.parts.items() if name != AS_TEST}

    def first(self) -> First:
        """Return what the first image shows. Raises UserError where parts or images do not fit together."""
        image, label = self.parts["train"].first()
        for name, images in self.parts.items():
            if name != "train" and (other := images.first()[0]).shape != image.shape:
                shape = f"image 0 has the shape {tuple(other.shape)}"
                raise UserError(f"{images.where}: {shape}, and of train {tuple(image.shape)}")
        if self.config.fold is not None or (self.config.validation and "val" not in self.parts):
            assert len(self._plain)  # it is refused where nobody knows how to read them
        channels, height, width = image.shape
        names = class_names_of(self.parts["train"].images)
        return First((channels, height, width), label, names, self.counts)

    def choose(self, config: DataConfig) -> None:
        known = {name: known_labels(self.parts[name]) for name in self.counts}
        self.labels = {name: labels for name, labels in known.items() if labels is not None}
        by_class = self.info is not None and self.info.target_shape is None
        if config.holds_out and "train" not in self.labels and by_class:
            every = torch.arange(self.counts["train"])
            self.labels["train"] = torch.cat([labels for _, labels in self._all(self._plain, every)])
        super().choose(config)
        if self.config.mean == "auto":
            part, chosen = self.chosen["train"]
            try:
                images = self._plain
            except UserError:  # nobody knows how to read them without augmentation
                images = self.parts[part]
            some = chosen[:: len(chosen) // MEASURED + 1]
            self.normal = mean_and_std(read for read, _ in self._all(images, some))

    def train_reader(self, seed: int) -> Reader:
        return self._reader("train", seed)

    def eval_reader(self, name: str) -> Reader:
        return self._reader(name)

    def preprocessing(self) -> Preprocessing:
        assert self.info is not None
        seen = preprocessing(self.config, self.info)
        if self.normal:
            seen = replace(seen, mean=by_channel(self.normal[0]), std=by_channel(self.normal[1]))
        return seen

    @cached_property
    def _plain(self) -> "OwnImages":
        """The training images, read as the test images are."""
        return as_tested(self.parts["train"], self.parts["test"], self.parts.get(AS_TEST))

    def _reader(self, name: str, seed: int | None = None) -> Reader:
        part, chosen = self.chosen[name]
        images = self._plain if name != "train" and part == "train" else self.parts[part]
        seen, device = self.preprocessing(), self.device
        mean, std = seen.mean.to(device), seen.std.to(device)

        def finish(images: Tensor) -> Tensor:
            """Return images as a net takes them: on its device, in [0, 1], less mean, over std."""
            values = (unit(images.to(device, non_blocking=True)) - mean) / std
            return values.contiguous(memory_format=torch.channels_last)

        return OwnReader(images, chosen, self.config.workers, finish, seed)

    def _all(self, images: "OwnImages", chosen: Tensor) -> Iterator[Batch]:
        reader = OwnReader(images, chosen, self.config.workers, unit)
        return reader.batches(0, iter(torch.arange(len(chosen)).split(AT_A_TIME)))


def unit(images: Tensor) -> Tensor:
    """Return uint8 images as float32 from 0 to 1; others as they are."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


def preprocessing(config: OwnConfig, info: DataInfo) -> Preprocessing:
    """Return how a file becomes what the net takes, as far as the configuration says it."""
    measured = not config.mean or config.mean == "auto"
    mean = by_channel([0.0] * info.channels if measured else config.mean)
    std = by_channel(config.std or [1.0] * info.channels)
    return Preprocessing(info.channels, (info.height, info.width), None, mean, std, info.class_names)


def class_names_of(images: Any) -> tuple[str, ...] | None:
    """Return the class names that a data set has in torchvision's attribute `classes`."""
    names = getattr(images, "classes", None)
    listed = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return tuple(names) if names and listed else None


class OwnImages:
    """One part of a set, by index; read from any number of processes."""

    def __init__(self, images: Any, where: str, classes: int | None = None) -> None:
        """`where` names the part in messages; labels are below `classes`, None: it is not known yet."""
        self.images, self.where, self.classes = images, where, classes
        map_style = hasattr(images, "__getitem__") and hasattr(images, "__len__")
        if not map_style or isinstance(images, IterableDataset):
            needed = "a map-style data set, with __getitem__ and __len__, is needed"
            raise UserError(f"{where} is {type(images).__name__}: {needed}")

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, wanted: Sequence[Wanted]) -> Read | UserError:
        """Return a batch, or what is wrong with it: an exception of another process would come as a page of text."""
        try:
            images, labels = zip(*(self.read(*each) for each in wanted), strict=True)
            self._check_shapes("image", images, wanted)
            if not any(isinstance(label, Tensor) for label in labels):
                return torch.stack(images), torch.tensor(labels)
            tensors = [torch.as_tensor(label) for label in labels]
            self._check_shapes("the label of image", tensors, wanted)
            return torch.stack(images), torch.stack(tensors)
        except UserError as error:
            return error

    def _check_shapes(self, what: str, tensors: Sequence[Tensor], wanted: Sequence[Wanted]) -> None:
        for (_, index), each in zip(wanted, tensors, strict=True):
            if each.shape != tensors[0].shape:
                shape, first = tuple(each.shape), f"{what} {wanted[0][1]} has {tuple(tensors[0].shape)}"
                raise UserError(f"{self.where}: {what} {index} has the shape {shape}, {first}")

    def read(self, drawn_for: str, index: int) -> tuple[Tensor, int | Tensor]:
        """Return an image (C, H, W), uint8 or float32, and its label. Sets the global generators. Raises UserError."""
        draw(f"{drawn_for}/{index}")
        try:
            item = self.images[index]
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            failure = UserError(f"{self.where}: image {index} cannot be read: {reason}")
            failure.add_note(traceback.format_exc())
            raise failure from None
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise UserError(f"{self.where} gives {type(item).__name__}: (image, label) is needed")
        return self._pixels(item[0], index), self._label(item[1], index)

    def _pixels(self, image: Any, index: int) -> Tensor:
        if isinstance(image, Image.Image):
            image = np.array(image if image.mode in ("L", "RGB") else image.convert("RGB"))
        if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim in (2, 3):
            whole = image if image.ndim == 3 else image[..., None]
            return torch.from_numpy(np.ascontiguousarray(whole.transpose(2, 0, 1)))
        if isinstance(image, Tensor) and image.ndim == 3:
            if image.dtype == torch.uint8:
                return image.as_subclass(Tensor)
            if image.is_floating_point():
                return image.as_subclass(Tensor).float()
        kind = type(image).__name__
        if isinstance(image, np.ndarray | Tensor):
            kind = f"{kind} of {image.dtype}, {tuple(image.shape)}"
        raise UserError(
            f"{self.where}: image {index} is {kind}: a PIL image, a uint8 array (H, W, C) or a tensor (C, H, W) of"
            " uint8 or float is needed"
        )

    def _label(self, label: Any, index: int) -> int | Tensor:
        what = f"{self.where}: the label of image {index} is"
        try:
            found = operator.index(label)
        except TypeError:
            try:
                tensor = torch.as_tensor(label)
            except (TypeError, ValueError, RuntimeError):
                raise UserError(f"{what} {label!r}: a whole number or a tensor is needed") from None
            return tensor.float() if tensor.is_floating_point() else tensor.long()
        if found < 0 or (self.classes is not None and found >= self.classes):
            allowed = "0 on" if self.classes is None else f"0 to {self.classes - 1}"
            raise UserError(f"{what} {found}: allowed is {allowed}")
        return found

    def first(self) -> tuple[Tensor, int | Tensor]:
        """Return image 0 and its label. Raises UserError where there is none, or where it cannot be repeated."""
        if not len(self.images):
            raise UserError(f"{self.where} has no images")
        with drawn():
            image, label = self.read("first", 0)
            again, _ = self.read("first", 0)
        if not torch.equal(image, again):
            raise UserError(
                f"{self.where} draws from a generator of its own, so that no run could be repeated: draw from the"
                " global ones of random, numpy.random or torch, which are set for each image"
            )
        return image, label

    def draws(self) -> bool:
        """Return whether reading an image again with other random numbers gives other pixels."""
        with drawn():
            return any(
                not torch.equal(self.read("one", index)[0], self.read("another", index)[0])
                for index in range(0, len(self), max(len(self) // LOOKED_AT, 1))
            )


def as_tested(train: OwnImages, test: OwnImages, given: OwnImages | None = None) -> OwnImages:
    """Return the training images, read as the test images are: `given`, or the same set with the test set's transforms.

    Raises UserError where nobody can say that they would be read without augmentation.
    """
    if given is not None:
        if len(given) != len(train):
            raise UserError(f"{given.where} has {len(given)} images, and {train.where} has {len(train)}")
        return given
    plain, odd = _as_tested(train.images, test.images)
    images = OwnImages(plain, train.where, train.classes)
    if not odd and images.draws() and not test.draws():
        odd = "random numbers change the training images alone"
    if odd:
        raise UserError(
            f"data.validation, data.fold: {train.where} may augment its images, and images that are set aside must"
            f" not be augmented ({odd}): give 'val', or {AS_TEST!r}, the training images read as the test images are"
        )
    return images


def _as_tested(train: Any, test: Any) -> tuple[Any, str]:
    """Return a copy of a training set with the transforms of its test set, and what else they differ in."""
    while isinstance(test, Subset) and not isinstance(train, Subset):
        test = test.dataset
    if isinstance(train, Subset) and not isinstance(test, Subset):
        plain, odd = _as_tested(train.dataset, test)
        return Subset(plain, train.indices), odd
    if type(train) is not type(test):
        return train, f"{type(train).__name__} and {type(test).__name__}"
    plain = copy.copy(train)
    theirs = getattr(test, "__dict__", {})
    known = OF_TORCHVISION if type(train).__module__.startswith("torchvision.") else ()
    for name, value in getattr(train, "__dict__", {}).items():
        other = theirs.get(name)
        if any(word in name.lower() for word in AUGMENTING):
            setattr(plain, name, other)
        elif isinstance(value, Dataset):
            inner, odd = _as_tested(value, other)
            setattr(plain, name, inner)
            if odd:
                return plain, odd
        elif name not in known and _is_setting(value) and value != other:
            return plain, f"{name}={value} and {other}"
    return plain, ""


def _is_setting(value: Any) -> bool:
    """Return whether a value may decide how an image is read, rather than which images there are."""
    return (
        isinstance(value, bool | None) or callable(value) or (isinstance(value, str) and os.sep not in value)
    )


def known_labels(images: OwnImages) -> Tensor | None:
    """Return the labels (N,) that torchvision's sets list in `targets`; None where images must be read for them."""
    found, places = images.images, torch.arange(len(images))
    while isinstance(found, Subset):
        places, found = torch.as_tensor(found.indices)[places], found.dataset
    try:
        labels = torch.as_tensor(found.targets)
        if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex() or (labels < 0).any():
            return None
        return labels.long()[places] if len(labels) == len(found) else None
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return None


class OwnReader(Reader):
    """Reads batches, in processes that live as long as it does; they are asked for one iteration at a time."""

    def __init__(
        self,
        images: OwnImages,
        chosen: Tensor,
        workers: int | None,
        finish: Callable[[Tensor], Tensor],
        seed: int | None = None,
    ) -> None:
        """`finish` takes images (N, C, H, W) to the device; `seed` is that of training, None: they are evaluated.

        Without `workers` there are as many processes as cores of the run's slot, and none for a single core.
        """
        self.images, self.chosen, self.finish, self.seed = images, chosen, finish, seed
        cores = share()
        self.workers = workers if workers is not None else cores if cores > 1 else 0
        self._plan = _Plan()
        self._loader: DataLoader[Any] | None = None

    def batches(self, epoch: int, indices: Iterator[Tensor]) -> Iterator[Batch]:
        drawn_for = EVALUATION if self.seed is None else f"{self.seed}/{epoch}"
        self._plan.batches = (
            [(drawn_for, index) for index in self.chosen[batch].tolist()] for batch in indices
        )
        for batch in self._read():
            if isinstance(batch, UserError):
                raise batch
            images, labels = batch
            yield self.finish(images), labels

    def _read(self) -> Iterator[Read | UserError]:
        if not self.workers:
            for wanted in self._plan:
                with drawn():
                    batch = self.images.__getitems__(wanted)
                yield batch
            return
        if self._loader is None:
            self._loader = DataLoader(
                self.images,  # type: ignore[arg-type]  # any object of indices will do
                batch_sampler=self._plan,
                num_workers=self.workers,
                collate_fn=_as_it_is,
                persistent_workers=True,
                worker_init_fn=_end_with_parent,
                generator=torch.Generator(),  # whatever it draws, it draws for nobody
            )
            # If the garbage collector found the loader in a cycle, it would close its queues before its processes end,
            # and wait 5 s for each of them. This reference keeps the loader until the reader is gone.
            weakref.finalize(self, _let_go, self._loader).atexit = False
        yield from self._loader


class _Plan:
    """The batches of the present iteration."""

    batches: Iterator[list[Wanted]] = iter(())

    def __iter__(self) -> Iterator[list[Wanted]]:
        return self.batches


def _let_go(_: Any) -> None:
    """The last reference."""


def _as_it_is(batch: Any) -> Any:
    return batch


def _end_with_parent(_: int) -> None:
    """End a reader with its run, whose lock it would hold; signals are for the run to act on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
