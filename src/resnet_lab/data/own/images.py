"""Images and labels of a map-style data set of somebody's own, checked one by one."""

import copy
import operator
import os
import traceback
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Subset

from resnet_lab.data.own.making import draw, drawn
from resnet_lab.errors import UserError

AS_TEST = (
    "train_as_test"  # the part that has the training images, in their order, read as the test images are
)
LOOKED_AT = 8  # images that show whether reading draws anything
AUGMENTING = ("transform", "augment")  # what the attributes that augment are called
OF_TORCHVISION = ("train", "split", "root")  # of its sets: which images they hold, not how they are read

# Images (N, C, H, W), uint8 or float32, and labels: int64 (N,), or tensors (N, ...) that name no class.
Read = tuple[Tensor, Tensor]
Wanted = tuple[str, int]  # what is drawn for an image: of a seed and an epoch; and its index


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
            told = UserError(f"{self.where}: image {index} cannot be had: {type(error).__name__}: {reason}")
            told.add_note(traceback.format_exc())
            raise told from None
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
            f"data.validation: {train.where} may augment its images, and images that are set aside must not be"
            f" augmented ({odd}): give 'val', or {AS_TEST!r}, the training images read as the test images are"
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
