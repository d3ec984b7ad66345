"""Class folders of small images: decoded once, and kept as one file in the user's cache for later runs.

The file is named by the images' fingerprint, by when each was written, and by all that decides pixels: the choices and
the versions of the decoders. It is written atomically by one process, and rebuilt if its content does not match. Free
of torch if the file is there.
"""

import fcntl
import hashlib
import json
import logging
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from resnet_lab.data.folders.fingerprint import FolderImages, look
from resnet_lab.data.small import check_augmentation
from resnet_lab.data.source import Source
from resnet_lab.data.spec import DataInfo, SmallFolderConfig
from resnet_lab.errors import UserError
from resnet_lab.files import UNFINISHED, cache_folder, expanded, replacing

if TYPE_CHECKING:
    from torch import Tensor

    from resnet_lab.data.small.memory import InMemory

log = logging.getLogger(__name__)

VERSION = 2  # of the file, and of our own steps from a file's bytes to pixels
DECODERS = ("pillow", "simplejpeg")


class SmallFolder(Source[SmallFolderConfig]):
    """Class folders of small image files, which are decoded where nobody did it before."""

    names = ("small_folder",)

    def __init__(self, config: SmallFolderConfig, batch_size: int = 2) -> None:
        super().__init__(config, batch_size)
        if config.channels not in (None, 1, 3):
            raise UserError(f"data.channels={config.channels}: allowed are 1 (grey), 3 (RGB) and null")
        check_augmentation(config, config.size or 2**16)

    @cached_property
    def files(self) -> FolderImages:
        """The files in the folders."""
        found = look(expanded(self.root))
        self.check_fingerprint(found.fingerprint)
        return found

    @cached_property
    def held(self) -> "DecodedImages":
        """The images, decoded."""
        return held(self.config, self.files)

    def info(self) -> DataInfo:
        images, files = self.held, self.files
        training = self.training_images()
        check_augmentation(self.config, min(images.height, images.width))
        shape = images.channels, images.height, images.width
        self.check_transform(*shape)
        return DataInfo(*shape, files.class_names, training, files.fingerprint, "val" in files.splits)

    def counts(self) -> dict[str, int]:
        return self.held.counts

    def open(self) -> "InMemory":
        from resnet_lab.data.small.memory import InMemory

        self.files.tell_others()
        if broken := self.held.broken:
            log.warning("left out %d broken images, for example %s", len(broken), broken[0])
        return InMemory(self.config, self.info(), loaded(self.config, self.files))


@dataclass(frozen=True)
class DecodedImages:
    """Decoded images that lie in a file."""

    file: Path
    height: int  # pixels
    width: int
    channels: int
    counts: dict[str, int]  # sound images of each part
    broken: list[str]  # what is wrong with the others

    def load(self) -> "dict[str, tuple[Tensor, Tensor]] | None":
        """uint8 images (N, H, W, C) and int64 labels (N,) of each part, mapped; None where the file is damaged."""
        from safetensors.torch import load_file

        try:
            with safe_open(self.file, framework="numpy") as file:
                sums = json.loads(file.metadata()["sums"])
            tensors = load_file(self.file)
        except (OSError, SafetensorError, KeyError, ValueError, TypeError):
            return None
        if {name: zlib.crc32(tensor.numpy().data) for name, tensor in tensors.items()} != sums:
            return None
        return {part: (tensors[f"{part}.images"], tensors[f"{part}.labels"]) for part in self.counts}


def held(config: SmallFolderConfig, found: FolderImages) -> DecodedImages:
    """The decoded images of a folder, from the cache where they are there.

    Raises UserError for images that cannot be held together, for broken ones, and where nothing can be written.
    """
    file = _file(config, found)
    known = _opened(file)
    if known is None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                _remove_unfinished(file)
                known = _opened(file) or _made(file, config, found)
        except (OSError, SafetensorError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error).rpartition(
                "error: "
            )[2]
            raise UserError(
                f"cannot keep the decoded images in {file.parent}: {reason}; XDG_CACHE_HOME names another"
                " folder for the cache"
            ) from None
    if known.broken and config.on_error != "skip":
        raise UserError(f"broken image {known.broken[0]} (data.on_error=skip would leave it out)")
    return known


def _remove_unfinished(file: Path) -> None:
    """Remove what processes that were killed left of this file, whose lock is ours, and of those that nobody locks."""
    for path in file.parent.glob(UNFINISHED):
        name = path.name[1:].partition(".")[0]
        with file.with_name(f"{name}.lock").open("w") as lock, suppress(BlockingIOError):
            if name != file.stem:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)


def loaded(config: SmallFolderConfig, found: FolderImages) -> "dict[str, tuple[Tensor, Tensor]]":
    """The images and labels of each part; decoded anew where the file was damaged. Raises UserError as `held`."""
    images = held(config, found).load()
    if images is None:
        _file(config, found).unlink(missing_ok=True)
        images = held(config, found).load()
    assert images is not None
    return images


def _file(config: SmallFolderConfig, found: FolderImages) -> Path:
    pixels = [VERSION, found.written, config.size, config.channels, [version(name) for name in DECODERS]]
    digest = hashlib.sha256(json.dumps(pixels).encode()).hexdigest()[:8]
    return cache_folder() / "small_folder" / f"{found.fingerprint}-{digest}.safetensors"


def _opened(file: Path) -> DecodedImages | None:
    """What a file says of itself, if it is whole; its pixels are not read."""
    try:
        with safe_open(file, framework="numpy") as opened:
            facts: dict[str, Any] = json.loads(opened.metadata()["held"])
            counts = {part: opened.get_slice(f"{part}.images").get_shape()[0] for part in facts["parts"]}
        return DecodedImages(
            file, facts["height"], facts["width"], facts["channels"], counts, facts["broken"]
        )
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        return None


def _made(file: Path, config: SmallFolderConfig, found: FolderImages) -> DecodedImages:
    from safetensors.numpy import save_file

    from resnet_lab.data.small.decoding import decoded

    parts, broken = decoded(config, found)
    arrays: dict[str, Any] = {}
    for part, (images, labels) in parts.items():
        arrays |= {f"{part}.images": images, f"{part}.labels": labels}
    height, width, channels = arrays["train.images"].shape[1:]
    facts = {
        "height": height,
        "width": width,
        "channels": channels,
        "parts": list(parts),
        "broken": broken,
    }
    sums = {name: zlib.crc32(array) for name, array in arrays.items()}
    with replacing(file) as temporary:
        save_file(arrays, temporary, {"held": json.dumps(facts), "sums": json.dumps(sums)})
    made = _opened(file)
    assert made is not None
    return made
