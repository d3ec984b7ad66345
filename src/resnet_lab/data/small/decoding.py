"""Files of small images to one array a part, in threads: all of one size, grey where all of them are."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from resnet_lab.cores import cores
from resnet_lab.data.decode import BrokenImage, Pixels, averaged, open_picture
from resnet_lab.data.folders.fingerprint import FolderImages
from resnet_lab.data.folders.images import FolderFiles
from resnet_lab.data.spec import SmallFolderConfig
from resnet_lab.errors import UserError, printable

PIECE = 64  # images that a thread decodes at a time
COPIES = 3  # of the images, where they are mirrored for training

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]  # images (N, H, W, C) and labels (N,)


def decoded(config: SmallFolderConfig, found: FolderImages) -> tuple[dict[str, Part], list[str]]:
    """The sound images of each part, and what is wrong with the others; a bar on a terminal.

    Raises UserError where a size differs and `config.size` does not say one, for the first broken image unless
    it is to be skipped, where no sound image is left in a part, and where memory would not hold them.
    """
    parts: dict[str, Part] = {}
    broken: list[str] = []
    grey = True
    sized: _Sized | None = None
    with tqdm(
        total=sum(found.counts.values()), desc="decoding", unit="images", disable=None, leave=False
    ) as bar:
        for part, folder in found.splits.items():
            files = FolderFiles(folder, found.class_names)
            sized = sized or _Sized.of(config, files)
            sized.check_memory(sum(found.counts.values()))
            images = np.empty((len(files.labels), *sized.shape), np.uint8)
            sound = np.ones(len(files.labels), bool)
            for indices, wrong, all_grey in _filled(config, files, images, sized):
                bar.update(len(indices))
                grey = grey and all_grey
                sound[list(wrong)] = False
                broken += wrong.values()
            if not sound.any():
                raise UserError(f"every image of {folder} is broken, for example {broken[-1]}")
            labels = files.labels.numpy()
            parts[part] = (images, labels) if sound.all() else (images[sound], labels[sound])
    if grey and config.channels is None:
        parts = {
            part: (np.ascontiguousarray(images[..., :1]), labels) for part, (images, labels) in parts.items()
        }
    return parts, broken


class _Sized:
    """The shape that all images have, and the file that says so."""

    def __init__(self, shape: tuple[int, int, int], where: str) -> None:
        self.shape, self.where = shape, where

    @classmethod
    def of(cls, config: SmallFolderConfig, files: FolderFiles) -> "_Sized":
        """Take the size and channels from `config`, or else from the first image that can be read."""
        channels = config.channels or 3
        if config.size is not None:
            return cls((config.size, config.size, channels), "")
        for index in range(len(files.labels)):
            try:
                picture = open_picture(files.read(index))
                return cls((picture.height, picture.width, channels), files.where(index))
            except BrokenImage as error:
                if config.on_error != "skip":
                    raise _broken(files.where(index), error) from error
        raise UserError(f"every image of {files.folder} is broken")

    def check_memory(self, count: int) -> None:
        wanted = COPIES * count * int(np.prod(self.shape))
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if wanted > there:
            raise UserError(
                f"{count:,} images of {self.shape[0]}x{self.shape[1]} pixels take {wanted / 1e9:.0f} GB of memory, of"
                f" {there / 1e9:.0f}: data.size=… makes them smaller, data=image_folder reads them as they are needed"
            )


def _filled(
    config: SmallFolderConfig, files: FolderFiles, images: NDArray[np.uint8], sized: _Sized
) -> Iterator[tuple[range, dict[int, str], bool]]:
    """Fills the images a piece at a time: its places, what is wrong with some, and whether the others are grey."""

    def fill(first: int) -> tuple[range, dict[int, str], bool]:
        indices = range(first, min(first + PIECE, len(images)))
        wrong, grey = {}, True
        for index in indices:
            try:
                pixels = _seen(config, files, index, sized)
            except BrokenImage as error:
                if config.on_error != "skip":
                    raise _broken(files.where(index), error) from error
                wrong[index] = printable(f"{files.where(index)}: {error}")
                continue
            images[index] = pixels
            grey = grey and bool((pixels == pixels[..., :1]).all())
        return indices, wrong, grey

    pool = ThreadPoolExecutor(config.workers or cores(), "decode", torch.set_num_threads, (1,))
    try:
        yield from pool.map(fill, range(0, len(images), PIECE))
    finally:
        pool.shutdown(cancel_futures=True)


def _seen(config: SmallFolderConfig, files: FolderFiles, index: int, sized: _Sized) -> Pixels:
    """One image as `sized` has it. Raises BrokenImage, and UserError for one of another size."""
    pixels = open_picture(files.read(index)).pixels()
    if config.size is not None:
        pixels = averaged(pixels, config.size)
    if pixels.shape[:2] != sized.shape[:2]:
        here, there = (f"{shape[1]}x{shape[0]}" for shape in (pixels.shape, sized.shape))
        raise UserError(
            f"{files.where(index)} has {here} pixels, and {Path(sized.where).name} has {there}: data.size="
            f"{min(sized.shape[:2])} makes them all of one size, data=image_folder takes them as they are"
        )
    if sized.shape[2] == 1:
        return np.array(Image.fromarray(pixels).convert("L"))[..., None]
    return pixels


def _broken(where: str, error: BrokenImage) -> UserError:
    return UserError(f"broken image {where}: {error} (data.on_error=skip would leave it out)")
