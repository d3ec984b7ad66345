"""Map-style data sets of one's own: images and labels checked one by one, read by processes or in this one.

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

# Images (N, C, H, W), uint8 or float32, and labels: int64 (N,), or tensors (N, ...) that name no class.
Read = tuple[Tensor, Tensor]
Wanted = tuple[str, int]  # what is drawn for an image: of a seed and an epoch; and its index
Finish = Callable[[Tensor], Tensor]  # images (N, C, H, W) to what a net takes, on its device


class OwnSets(Images):
    """The parts of a set, by index."""

    normal: tuple[Tensor, Tensor] | None = None  # mean and std of each channel, where they are measured

    def __init__(self, config: OwnConfig, given: Any, info: DataInfo | None = None) -> None:
        """`given`: what the target gave; without `info` it is only looked at. UserError for what has no parts."""
        self.config, self.info = config, info
        what = f"{TARGET}={config._target_}"
        if not isinstance(given, Mapping):
            raise UserError(
                f"{what} gives {type(given).__name__}: data sets of (image, label) as {{'train': …, 'test': …}}, or a"
                " LightningDataModule, are needed"
            )
        for name in given:
            if name not in PARTS:
                raise unknown(f"part of {what}", str(name), PARTS)
        self.parts: dict[str, OwnImages] = {}
        for name in PARTS:
            images = given.get(name)
            if images is None:
                if name in ("train", "test"):
                    raise UserError(f"{what} does not return {name!r}: train and test are needed")
                continue
            map_style = hasattr(images, "__getitem__") and hasattr(images, "__len__")
            if not map_style or isinstance(images, IterableDataset):
                raise UserError(
                    f"{what}: {name} is {type(images).__name__}: a map-style data set, with __getitem__ and __len__,"
                    " is needed"
                )
            self.parts[name] = OwnImages(
                images, f"{name} of {config._target_}", info.classes if info else None
            )
        self.counts = {name: len(images) for name, images in self.parts.items() if name != AS_TEST}
        self.labels = {}

    def first(self) -> First:
        """Return what the first image shows. Raises UserError where parts or images do not fit together."""
        image, label = self.parts["train"].first()
        for name, images in self.parts.items():
            if name != "train" and (other := images.first()[0]).shape != image.shape:
                raise UserError(
                    f"{images.where}: image 0 has the shape {tuple(other.shape)}, and of train {tuple(image.shape)}"
                )
        if self.config.fold is not None or (self.config.validation and "val" not in self.parts):
            assert len(self._plain)  # it is refused where nobody knows how to read them
        channels, height, width = image.shape
        return First(
            (channels, height, width), label, class_names_of(self.parts["train"].images), self.counts
        )

    def choose(self, config: DataConfig) -> None:
        for name in self.counts:
            labels = known_labels(self.parts[name])
            if labels is not None:
                self.labels[name] = labels
        by_class = self.info is not None and self.info.target_shape is None
        if config.holds_out and "train" not in self.labels and by_class:
            self.labels["train"] = self._every_label(self._plain)
        super().choose(config)
        if self.config.mean == "auto":
            part, chosen = self.chosen["train"]
            try:
                images = self._plain
            except UserError:  # nobody knows how to read them without augmentation
                images = self.parts[part]
            self.normal = mean_and_std(
                read for read, _ in self._all(images, chosen[:: len(chosen) // MEASURED + 1])
            )

    def train_reader(self, seed: int) -> Reader:
        return self._reader("train", lambda epoch: f"{seed}/{epoch}")

    def eval_reader(self, name: str) -> Reader:
        return self._reader(name, lambda _: "evaluation")

    def preprocessing(self) -> Preprocessing:
        assert self.info is not None
        seen = preprocessing(self.config, self.info)
        return (
            replace(seen, mean=by_channel(self.normal[0]), std=by_channel(self.normal[1]))
            if self.normal
            else seen
        )

    @cached_property
    def _plain(self) -> "OwnImages":
        """The training images, read as the test images are."""
        return as_tested(self.parts["train"], self.parts["test"], self.parts.get(AS_TEST))

    def _reader(self, name: str, draws: Callable[[int], str]) -> Reader:
        part, chosen = self.chosen[name]
        images = self._plain if name != "train" and part == "train" else self.parts[part]
        seen, device = self.preprocessing(), self.device
        mean, std = seen.mean.to(device), seen.std.to(device)

        def finish(images: Tensor) -> Tensor:
            """uint8 or float32 (N, C, H, W) to what a net takes: on its device, in [0, 1], less mean, over std."""
            return ((unit(images.to(device, non_blocking=True)) - mean) / std).contiguous(
                memory_format=torch.channels_last
            )

        return OwnReader(images, chosen, processes(self.config.workers), draws, finish)

    def _every_label(self, images: "OwnImages") -> Tensor:
        """The label of every image, for want of a list of them."""
        return torch.cat([labels for _, labels in self._all(images, torch.arange(len(images)))])

    def _all(self, images: "OwnImages", chosen: Tensor) -> Iterator[Batch]:
        reader = OwnReader(images, chosen, processes(self.config.workers), lambda _: "evaluation", unit)
        yield from reader.batches(0, iter(torch.arange(len(chosen)).split(AT_A_TIME)))


def unit(images: Tensor) -> Tensor:
    """uint8 images as float32 from 0 to 1; others as they are."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


def preprocessing(config: OwnConfig, info: DataInfo) -> Preprocessing:
    """Return how a file becomes what the net takes, as far as the configuration tells."""
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
        self.images, self.where = images, where  # as "train of my_data.make"
        self.classes = classes  # labels are below it; None: it is not known yet

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, wanted: Sequence[Wanted]) -> Read | UserError:
        """The batch, or what is wrong with it: an exception of another process would come as a page of text."""
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
        for number, each in enumerate(tensors):
            if each.shape != tensors[0].shape:
                one, other = wanted[0][1], wanted[number][1]
                raise UserError(
                    f"{self.where}: {what} {other} has the shape {tuple(each.shape)}, {what} {one} has"
                    f" {tuple(tensors[0].shape)}: all must be of one size"
                )

    def read(self, drawn_for: str, index: int) -> tuple[Tensor, int | Tensor]:
        """An image (C, H, W), uint8 or float32, and its label. Sets the global generators. Raises UserError."""
        draw(f"{drawn_for}/{index}")
        try:
            item = self.images[index]
        except Exception as error:
            reason = " ".join(str(error).split())
            failure = UserError(
                f"{self.where}: image {index} cannot be read: {type(error).__name__}: {reason}"
            )
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
        try:
            found = operator.index(label)
        except TypeError:
            try:
                tensor = torch.as_tensor(label)
            except (TypeError, ValueError, RuntimeError):
                raise UserError(
                    f"{self.where}: the label of image {index} is {label!r}: a whole number, from 0 on, or a tensor is"
                    " needed"
                ) from None
            return tensor.float() if tensor.is_floating_point() else tensor.long()
        if found < 0 or (self.classes is not None and found >= self.classes):
            allowed = "0 on" if self.classes is None else f"0 to {self.classes - 1}"
            raise UserError(f"{self.where}: the label of image {index} is {found}: allowed is {allowed}")
        return found

    def first(self) -> tuple[Tensor, int | Tensor]:
        """Image 0 and its label. Raises UserError where there is none, or chance that nobody can repeat decides it."""
        if not len(self.images):
            raise UserError(f"{self.where} has no images")
        with drawn():
            image, label = self.read("first", 0)
            again, _ = self.read("first", 0)
        if image.shape != again.shape or not torch.equal(image, again):
            raise UserError(
                f"{self.where} draws from a generator of its own, so that no run could be repeated or resumed: draw"
                " from random's, numpy.random's or torch's global one, which are set for each image"
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
    """A copy of a training set with the transforms of its test set, and in what else they differ."""
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
    """Whether a value may decide how an image is read, rather than which images there are."""
    return (
        isinstance(value, bool | None) or callable(value) or (isinstance(value, str) and os.sep not in value)
    )


def known_labels(images: OwnImages) -> Tensor | None:
    """The labels (N,) as torchvision's sets list them, in `targets`; None where images must be read for them."""
    found, places = images.images, None
    while isinstance(found, Subset):
        inner = torch.as_tensor(found.indices)
        found, places = found.dataset, inner if places is None else inner[places]
    try:
        labels = torch.as_tensor(found.targets)
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return None
    if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex() or (labels < 0).any():
        return None
    labels = labels.long() if places is None else labels.long()[places]
    return labels if len(labels) == len(images) else None


def processes(workers: int | None) -> int:
    """How many read beside a run: as many as asked for, or as the cores of its slot; of one core none."""
    if workers is not None:
        return workers
    return share() if share() > 1 else 0


class OwnReader(Reader):
    """Reads batches; the processes live as long as it does, and are asked for one iteration at a time."""

    def __init__(
        self, images: OwnImages, chosen: Tensor, workers: int, draws: Callable[[int], str], finish: Finish
    ) -> None:
        """`draws` names what is drawn in an epoch; `finish` takes images to the device."""
        self.images, self.chosen, self.draws, self.finish = images, chosen, draws, finish
        self.workers = workers
        self._plan = _Plan()
        self._loader: DataLoader[Any] | None = None

    def batches(self, epoch: int, indices: Iterator[Tensor]) -> Iterator[Batch]:
        chosen, drawn_for = self.chosen, self.draws(epoch)
        self._plan.batches = ([(drawn_for, int(index)) for index in chosen[batch]] for batch in indices)
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
            # The collector would close the queues of a loader in a cycle before its processes are asked to end, and
            # wait 5 s for each of them: so it never finds the loader, which goes when the reader has gone.
            weakref.finalize(self, _let_go, self._loader).atexit = False
        yield from self._loader


class _Plan:
    """The batches of one iteration after the other."""

    batches: Iterator[list[Wanted]] = iter(())

    def __iter__(self) -> Iterator[list[Wanted]]:
        return self.batches


def _let_go(_: Any) -> None:
    """The last reference."""


def _as_it_is(batch: Any) -> Any:
    return batch


def _end_with_parent(_: int) -> None:
    """A reader that outlived its run would hold the run's lock; signals are the run's to act on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
