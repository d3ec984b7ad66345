"""Decode files of small images to one array per part, in threads: all of one size, grey where all of them are."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from resnet_lab.cores import cores
from resnet_lab.data.decode import BrokenImage, averaged, open_picture
from resnet_lab.data.folders.fingerprint import FolderImages
from resnet_lab.data.folders.images import FolderFiles
from resnet_lab.data.source import broken_image
from resnet_lab.data.spec import SmallFolderConfig
from resnet_lab.errors import UserError, printable

PIECE = 64  # images that a thread decodes at a time
COPIES = 3  # of the images, where they are mirrored for training

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]  # images (N, H, W, C) and labels (N,)
Size = tuple[int, int, str]  # height and width of every image, and the file that has them


def decoded(config: SmallFolderConfig, found: FolderImages) -> tuple[dict[str, Part], list[str]]:
    """Return the sound images of each part, and what is wrong with the others; shows a bar on a terminal.

    Raises UserError where a size differs and `config.size` does not say one, for the first broken image unless
    it is to be skipped, where no sound image is left in a part, and where memory would not hold them.
    """
    parts: dict[str, Part] = {}
    broken: list[str] = []
    size = None if config.size is None else (config.size, config.size, "")
    for part, folder in found.splits.items():
        files = FolderFiles(folder, found.class_names)
        labels, size = files.labels.numpy(), size or _first_size(config, files)
        shape = (*size[:2], config.channels or 3)
        _check_memory(sum(found.counts.values()), *shape)
        images, sound = np.empty((len(labels), *shape), np.uint8), np.ones(len(labels), bool)
        pieces = range(0, len(labels), PIECE)
        with ThreadPoolExecutor(config.workers or cores(), "decode", torch.set_num_threads, (1,)) as pool:
            filled = pool.map(partial(_fill, config, files, size, images), pieces)
            bar = tqdm(filled, f"decoding {part}", len(pieces), leave=False, disable=None, unit_scale=PIECE)
            for wrong in bar:
                sound[list(wrong)] = False
                broken += wrong.values()
        if not sound.any():
            raise UserError(f"every image of {folder} is broken, for example {broken[-1]}")
        parts[part] = (images, labels) if sound.all() else (images[sound], labels[sound])
    if config.channels is None and all((each[..., :1] == each).all() for each, _ in parts.values()):
        parts = {
            part: (np.ascontiguousarray(each[..., :1]), labels) for part, (each, labels) in parts.items()
        }
    return parts, broken


def _first_size(config: SmallFolderConfig, files: FolderFiles) -> Size:
    for index in range(len(files.labels)):
        try:
            picture = open_picture(files.read(index))
            return picture.height, picture.width, Path(files.where(index)).name
        except BrokenImage as error:
            if config.on_error != "skip":
                raise broken_image(f"{files.where(index)}: {error}") from error
    raise UserError(f"every image of {files.folder} is broken")


def _check_memory(count: int, height: int, width: int, channels: int) -> None:
    needed = COPIES * count * height * width * channels
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise UserError(
            f"{count:,} images of {height}x{width} pixels take {needed / 1e9:.0f} GB of memory, of"
            f" {there / 1e9:.0f}: data.size=… makes them smaller, data=image_folder reads them as they are needed"
        )


def _fill(
    config: SmallFolderConfig, files: FolderFiles, size: Size, images: NDArray[np.uint8], first: int
) -> dict[int, str]:
    """Decode a piece of the images into their places; return what is wrong with the broken ones."""
    wrong = {}
    for index in range(first, min(first + PIECE, len(images))):
        try:
            pixels = open_picture(files.read(index)).pixels()
        except BrokenImage as error:
            wrong[index] = printable(f"{files.where(index)}: {error}")
            if config.on_error != "skip":
                raise broken_image(wrong[index]) from error
            continue
        if config.size is not None:
            pixels = averaged(pixels, config.size)
        if pixels.shape[:2] != size[:2]:
            raise UserError(
                f"{files.where(index)} has {pixels.shape[1]}x{pixels.shape[0]} pixels, and {size[2]} has"
                f" {size[1]}x{size[0]}: data.size={min(size[:2])} scales them, data=image_folder takes any size"
            )
        grey = images.shape[3] == 1
        images[index] = np.array(Image.fromarray(pixels).convert("L"))[..., None] if grey else pixels
    return wrong
