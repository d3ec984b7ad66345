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
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from resnet_lab.data.folders.fingerprint import FolderImages, look
from resnet_lab.data.small import check_augmentation
from resnet_lab.data.source import Source, broken_image
from resnet_lab.data.spec import DataInfo, SmallFolderConfig
from resnet_lab.errors import UserError
from resnet_lab.files import UNFINISHED, cache_folder, expanded, replacing

if TYPE_CHECKING:
    from resnet_lab.data.small.memory import InMemory, Part

log = logging.getLogger(__name__)

VERSION = 3  # of the file, and of our own steps from a file's bytes to pixels
DECODERS = ("pillow", "simplejpeg")


@dataclass(frozen=True)
class Decoded:
    """The facts about decoded images that lie in a file."""

    shape: list[int]  # height, width, channels
    counts: dict[str, int]  # sound images of each part
    broken: list[str]  # what is wrong with the others
    sums: dict[str, int]  # the checksum of each array


class SmallFolder(Source[SmallFolderConfig]):
    """Class folders of small image files."""

    names = ("small_folder",)

    def __init__(self, config: SmallFolderConfig, batch_size: int = 2) -> None:
        super().__init__(config, batch_size)
        if config.channels not in (None, 1, 3):
            raise UserError(f"data.channels={config.channels}: allowed are 1 (grey), 3 (RGB) and null")
        check_augmentation(config, config.size or 2**16)

    @cached_property
    def files(self) -> FolderImages:
        return look(expanded(self.root))

    @cached_property
    def cached(self) -> Path:
        """The file of the decoded images, which need not be there."""
        config, found = self.config, self.files
        pixels = [VERSION, found.written, config.size, config.channels, [version(name) for name in DECODERS]]
        digest = hashlib.sha256(json.dumps(pixels).encode()).hexdigest()[:8]
        return cache_folder() / "small_folder" / f"{found.fingerprint}-{digest}.safetensors"

    @cached_property
    def held(self) -> Decoded:
        """What the file says, made first where it is not there.

        Raises UserError for images that cannot be held together, for broken ones, and where nothing can be written.
        """
        try:
            known = _facts(self.cached) or self._make()
        except (OSError, SafetensorError) as error:
            reason = (error.strerror if isinstance(error, OSError) else "") or str(error).rpartition(
                "error: "
            )[2]
            what = f"cannot keep the decoded images in {self.cached.parent}"
            raise UserError(f"{what}: {reason}; XDG_CACHE_HOME names another cache") from None
        if known.broken and self.config.on_error != "skip":
            raise broken_image(known.broken[0])
        return known

    def info(self) -> DataInfo:
        height, width, channels = self.held.shape
        check_augmentation(self.config, min(height, width))
        return self.facts((channels, height, width), self.files.class_names, self.files.fingerprint)

    def counts(self) -> dict[str, int]:
        return self.held.counts

    def open(self) -> "InMemory":
        from resnet_lab.data.small.memory import InMemory

        self.files.tell_others()
        if broken := self.held.broken:
            log.warning("left out %d broken images, for example %s", len(broken), broken[0])
        parts = self._load()
        if parts is None:
            self.cached.unlink(missing_ok=True)
            del self.held
            parts = self._load()
        assert parts is not None
        return InMemory(self.config, self.info(), parts)

    def _load(self) -> "dict[str, Part] | None":
        """Return the images and labels of each part, mapped into memory; None if the file is damaged."""
        from safetensors.torch import load_file

        known = self.held
        tensors = load_file(self.cached)
        if any(zlib.crc32(tensor.numpy().data) != known.sums[name] for name, tensor in tensors.items()):
            return None
        return {part: (tensors[f"{part}.images"], tensors[f"{part}.labels"]) for part in known.counts}

    def _make(self) -> Decoded:
        from safetensors.numpy import save_file

        from resnet_lab.data.small.decoding import decoded

        folder = self.cached.parent
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if known := _facts(self.cached):  # another process made it meanwhile
                return known
            for unfinished in folder.glob(UNFINISHED):  # of processes that were killed: the lock is ours
                unfinished.unlink(missing_ok=True)
            parts, broken = decoded(self.config, self.files)
            arrays: dict[str, Any] = {}
            for part, (images, labels) in parts.items():
                arrays |= {f"{part}.images": images, f"{part}.labels": labels}
            counts = {part: len(labels) for part, (_, labels) in parts.items()}
            sums = {name: zlib.crc32(array) for name, array in arrays.items()}
            known = Decoded(list(arrays["train.images"].shape[1:]), counts, broken, sums)
            with replacing(self.cached) as temporary:
                save_file(arrays, temporary, {"facts": json.dumps(asdict(known))})
        return known


def _facts(file: Path) -> Decoded | None:
    """Return what a complete file says of itself; its pixels are not read."""
    try:
        with safe_open(file, framework="numpy") as opened:
            return Decoded(**json.loads(opened.metadata()["facts"]))
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        return None
