"""Turn an image file into what a network takes, without augmentation; write and read how."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from resnet_lab.data.decode import Picture, Pixels, open_picture, resized


@dataclass(frozen=True)
class Preprocessing:
    """What a network was tested on: a view of the image, its normalisation, and the names of the outputs."""

    channels: int  # 1: grey, 3: RGB
    size: tuple[int, int]  # height and width that the network takes, in pixels
    resize: int | None  # the shorter side before the centre crop; None: the middle square, scaled to `size`
    mean: Tensor  # of values from 0 to 1: (C, 1, 1), or (C, H, W) where it is subtracted per pixel
    std: Tensor  # (C, 1, 1)
    class_names: tuple[str, ...] = ()  # in the order of the outputs; empty: not known

    def to_json(self) -> str:
        """Return one line of ASCII, whatever the class names are made of."""
        cropped = {"resize": self.resize, "crop": self.size[0]}
        facts: dict[str, Any] = {"channels": self.channels}
        facts |= {"size": self.size} if self.resize is None else cropped
        if self.unbounded:
            facts["unbounded"] = True
        facts["mean"] = self.mean.tolist() if self.per_pixel else self.mean.flatten().tolist()
        return json.dumps(facts | {"std": self.std.flatten().tolist(), "class_names": self.class_names})

    @classmethod
    def from_json(cls, text: str) -> "Preprocessing":
        """Raises ValueError where `to_json` did not write the text."""
        try:
            facts: dict[str, Any] = json.loads(text)
            channels, resize = int(facts["channels"]), facts.get("resize")
            size = (facts["crop"], facts["crop"]) if "crop" in facts else facts["size"]
            read = cls(
                channels,
                (int(size[0]), int(size[1])),
                None if resize is None else int(resize),
                by_channel(facts["mean"]),
                by_channel(facts["std"]),
                tuple(map(str, facts["class_names"])),
            )
            read.std.expand(channels, 1, 1)
            read.mean.expand(channels, *(read.size if read.per_pixel else (1, 1)))
            if not (read.mean.isfinite().all() and read.std.isfinite().all() and (read.std > 0).all()):
                raise ValueError("mean and std must be finite, and std above 0")
            if min(channels, *read.size, 1 if read.resize is None else read.resize) < 1:
                raise ValueError("no side or channel may be 0")
            if read.unbounded > bool(facts.get("unbounded")):
                raise ValueError("mean must be from 0 to 1")
        except (KeyError, TypeError, IndexError, RuntimeError, ValueError) as error:
            raise ValueError(f"not a preprocessing: {type(error).__name__} {error}") from error
        return read

    @property
    def unbounded(self) -> bool:
        """Whether the mean is of values beyond 0 to 1, as your own images may have."""
        return not bool(((self.mean >= 0) & (self.mean <= 1)).all())

    @property
    def per_pixel(self) -> bool:
        """Whether the mean differs from pixel to pixel."""
        return self.mean.shape[-2:] != (1, 1)

    def view(self, picture: Picture) -> Pixels:
        """Return what the network takes of a picture, before normalisation: uint8 (H, W, C)."""
        if self.resize is not None:
            pixels = CentreView(self.resize, self.size[0])(picture)
        else:
            pixels = picture.pixels()
            if pixels.shape[:2] != self.size:  # a set's own images need not be square
                side = min(pixels.shape[:2])
                top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
                pixels = pixels[top : top + side, left : left + side]
        if self.channels == 1:
            pixels = np.array(Image.fromarray(pixels).convert("L"))[..., None]
        return pixels if self.resize is not None else resized(pixels, *self.size)

    def __call__(self, data: bytes) -> Tensor:
        """Return the image in a file's bytes as float32 (C, H, W). Raises BrokenImage."""
        pixels = torch.from_numpy(np.ascontiguousarray(self.view(open_picture(data))))
        return (pixels.permute(2, 0, 1).float() / 255 - self.mean) / self.std


class CentreView:
    """The middle of the image: shorter side at `resize`, then a centre crop; the whole image where `crop` is None."""

    def __init__(self, resize: int, crop: int | None) -> None:
        self.resize, self.crop = resize, crop

    def __call__(self, picture: Picture) -> Pixels:
        """Return pixels (crop, crop, 3), equal to those of torchvision's Resize and CenterCrop."""
        shorter = min(picture.height, picture.width)
        height, width = (int(self.resize * side / shorter) for side in (picture.height, picture.width))
        pixels = resized(picture.pixels(), height, width)
        if self.crop is None:
            return pixels
        top, left = round((height - self.crop) / 2), round((width - self.crop) / 2)
        return pixels[top : top + self.crop, left : left + self.crop]


def mean_and_std(batches: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Measure mean and deviation (1 where it is 0) of each channel of images (N, C, H, W): float32 (C,), (C,)."""
    count, total, squares = 0, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for images in batches:
        values = images.double()
        count += values[:, 0].numel()
        total, squares = total + values.sum((0, 2, 3)), squares + values.square().sum((0, 2, 3))
    std = (squares / count - (total / count).square()).clamp(min=0).sqrt()
    return (total / count).float(), torch.where(std > 0, std, 1.0).float()


def by_channel(values: Any) -> Tensor:
    """Return numbers of each channel as float32 (C, 1, 1); those of each pixel stay (C, H, W)."""
    numbers = torch.as_tensor(values, dtype=torch.float32)
    return numbers if numbers.ndim == 3 else numbers.reshape(-1, 1, 1)
