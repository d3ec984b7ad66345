"""Images and labels of a map-style data set of somebody's own, checked one by one."""

import operator
import traceback
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from resnet_lab.data.own.making import draw, drawn
from resnet_lab.errors import UserError

Read = tuple[Tensor, Tensor]  # images (N, C, H, W), uint8 or float32, and int64 labels (N,)
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
            odd = next(
                (number for number, image in enumerate(images) if image.shape != images[0].shape), None
            )
            if odd is not None:
                one, other = wanted[0][1], wanted[odd][1]
                raise UserError(
                    f"{self.where}: image {other} has the shape {tuple(images[odd].shape)}, image {one} has"
                    f" {tuple(images[0].shape)}: all must be of one size"
                )
            return torch.stack(images), torch.tensor(labels)
        except UserError as error:
            return error

    def read(self, drawn_for: str, index: int) -> tuple[Tensor, int]:
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

    def _label(self, label: Any, index: int) -> int:
        try:
            found = operator.index(label)
        except TypeError:
            raise UserError(
                f"{self.where}: the label of image {index} is {label!r}: a whole number, from 0 on, is needed"
            ) from None
        if found < 0 or (self.classes is not None and found >= self.classes):
            allowed = "0 on" if self.classes is None else f"0 to {self.classes - 1}"
            raise UserError(f"{self.where}: the label of image {index} is {found}: allowed is {allowed}")
        return found

    def first(self) -> tuple[Tensor, int]:
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
