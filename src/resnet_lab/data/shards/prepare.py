"""Writing an image folder as shards: `resnet-lab prepare data=imagenet data.root=… out=…`.

Training images are stored with their shorter side at `size`, as JPEGs of quality 90, in an order that mixes the
classes; those that are JPEGs no larger than that keep their bytes. Validation and test images keep their bytes in
any case, so that an error measured from shards is the error measured from the folder.

A shard appears under its name only when it is whole, and the manifest only after all shards. So a preparation that
was killed, or ran out of disk, goes on where it was when the same command runs again; and nobody takes a part of
a set for the set.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import simplejpeg
import torch
from tqdm import tqdm

from resnet_lab.data.decode import BrokenImage, Jpeg, open_picture, resized
from resnet_lab.data.folders import ClassFolders
from resnet_lab.data.folders.decoder import threads_of_this_process
from resnet_lab.data.folders.images import FolderFiles
from resnet_lab.data.order import generator
from resnet_lab.data.shards import MANIFEST, VERSION
from resnet_lab.data.shards.shard_files import INDEX, LABELS, chunk_labels
from resnet_lab.data.spec import ImageFolderConfig, ShardsConfig
from resnet_lab.errors import UserError, printable
from resnet_lab.files import UNFINISHED, settle, write_bytes

SHARD = 1024  # images: about 30 MB at the default size
QUALITY = 90
PLAN = "plan.json"
PARTIAL = ".partial-"


@dataclass(frozen=True)
class Split:
    """The images of one folder in the order they are stored, and how they are encoded."""

    name: str  # train, val, test
    files: FolderFiles
    order: list[int]
    encode: Callable[[bytes], bytes]

    @property
    def shards(self) -> list[list[int]]:
        return [self.order[first : first + SHARD] for first in range(0, len(self.order), SHARD)]


def prepare(config: ImageFolderConfig, out: Path, *, size: int = 256, workers: int | None = None) -> int:
    """Writes the set that `config` names to `out`, or what is still missing there. Returns 0.

    Raises UserError for a folder that `data=imagenet` would refuse, a broken image (unless data.on_error=skip),
    an `out` that holds another preparation, and a full disk.
    """
    if isinstance(config, ShardsConfig):
        raise UserError(
            "data=imagenet_shards is prepared already: prepare an image folder, for example data=imagenet"
        )
    if size < config.crop:
        raise UserError(f"size={size} is less than data.crop={config.crop}")
    source = ClassFolders(config)
    info, found = source.info(), source.found
    splits = [
        _split(name, FolderFiles(folder, info.class_names), size) for name, folder in found.splits.items()
    ]
    plan = _plan(found.fingerprint, size)
    try:
        if _begin(out, plan):
            print(f"{printable(out)} is prepared already")
            return 0
        _write_shards(splits, out, config.on_error, workers or threads_of_this_process())
        counts = {split.name: _write_index(out / split.name) for split in splits}
        for rest in out.glob(f"*/{PARTIAL}*"):  # of processes that were killed
            shutil.rmtree(rest, ignore_errors=True)
        manifest = {"version": VERSION, "plan": plan, "size": size, "quality": QUALITY}
        manifest |= {"splits": counts, "class_names": info.class_names}
        write_bytes(out / MANIFEST, json.dumps(manifest, indent=1).encode())
    except OSError as error:
        raise UserError(
            f"cannot write to {out}: {error.strerror}; run the same command again to resume"
        ) from error
    broken = sum(len(split.order) for split in splits) - sum(counts.values())
    images = ", ".join(f"{count} {name}" for name, count in counts.items())
    print(f"{printable(out)}: {images} images" + (f", {broken} broken ones left out" if broken else ""))
    return 0


def _split(name: str, files: FolderFiles, size: int) -> Split:
    if name != "train":
        return Split(name, files, list(range(len(files.labels))), whole)
    order = torch.randperm(len(files.labels), generator=generator(0, 0, "shards"))
    return Split(name, files, order.tolist(), partial(smaller, size=size))


def whole(data: bytes) -> bytes:
    """The bytes as they are. Raises BrokenImage."""
    open_picture(data).pixels()
    return data


def smaller(data: bytes, size: int) -> bytes:
    """A JPEG with its shorter side at `size`; the same bytes where they are a JPEG not larger. Raises BrokenImage."""
    picture = open_picture(data)
    pixels = picture.pixels()
    shorter = min(picture.height, picture.width)
    if shorter > size:
        height, width = (round(side * size / shorter) for side in (picture.height, picture.width))
        pixels = np.ascontiguousarray(resized(pixels, height, width))
    elif isinstance(picture, Jpeg):
        return data
    return simplejpeg.encode_jpeg(pixels, QUALITY, colorsubsampling="420")


def _plan(fingerprint: str, size: int) -> str:
    """A digest of all that decides what is written."""
    text = json.dumps([VERSION, size, QUALITY, SHARD, fingerprint])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _begin(out: Path, plan: str) -> bool:
    """Makes `out` the place of this preparation; True where it is finished."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / PLAN
    if path.exists():
        if json.loads(path.read_text()) != plan:
            raise UserError(f"{out} holds shards of other images or of another size: name an empty folder")
    elif any(not entry.match(UNFINISHED) for entry in out.iterdir()):
        raise UserError(f"{out} is not empty: name an empty folder")
    else:
        write_bytes(path, json.dumps(plan).encode())
    return (out / MANIFEST).exists()


def _write_shards(splits: list[Split], out: Path, on_error: str, workers: int) -> None:
    pool = ThreadPoolExecutor(workers, "prepare", torch.set_num_threads, (1,))
    # disable=None: a bar on a terminal only
    with tqdm(total=sum(len(split.order) for split in splits), unit="images", disable=None) as bar:
        try:
            writing = []
            for split in splits:
                (out / split.name).mkdir(exist_ok=True)
                for number, indices in enumerate(split.shards):
                    target = out / split.name / f"chunk-0-{number}.bin"
                    writing.append(pool.submit(_write_shard, split, indices, target, on_error))
            for shard in as_completed(writing):
                bar.update(shard.result())
        finally:
            pool.shutdown(cancel_futures=True)


def _write_shard(split: Split, indices: list[int], target: Path, on_error: str) -> int:
    """Writes one chunk, unless it is there; returns the number of images it was to hold."""
    if target.exists():
        return len(indices)
    with TemporaryDirectory(prefix=PARTIAL, dir=target.parent) as folder:
        writer = _writer(folder)
        count = 0
        for index in indices:
            try:
                item = {
                    "image": split.encode(split.files.read(index)),
                    "label": int(split.files.labels[index]),
                }
            except BrokenImage as error:
                if on_error != "skip":
                    where = split.files.where(index)
                    raise UserError(
                        f"broken image {where}: {error} (data.on_error=skip would leave it out)"
                    ) from error
                continue
            writer[count] = item
            count += 1
        for path in writer.done():
            settle(Path(path), target)
    return len(indices)


def _write_index(folder: Path) -> int:
    """Writes litdata's index of the chunks of a folder, and their labels; returns the number of images."""
    writer = _writer(folder)
    writer.serialize({"image": b"", "label": 0})
    paths = sorted(folder.glob("chunk-*.bin"), key=lambda path: int(path.stem.split("-")[-1]))
    labels = [chunk_labels(path) for path in paths]
    chunks = [
        {"filename": path.name, "chunk_bytes": path.stat().st_size, "chunk_size": len(held), "dim": None}
        for path, held in zip(paths, labels, strict=True)
    ]
    if not chunks:
        raise UserError(f"no image of {folder.name} could be read")
    everything = BytesIO()
    np.save(everything, np.concatenate(labels))
    write_bytes(folder / LABELS, everything.getvalue())
    index = {"chunks": chunks, "config": writer.get_config(), "updated_at": "0"}
    write_bytes(folder / INDEX, json.dumps(index, sort_keys=True).encode())
    return sum(map(len, labels))


def _writer(folder: Path | str) -> Any:
    """litdata's writer of one chunk."""
    try:
        from litdata.streaming.writer import BinaryWriter
    except ImportError:
        raise UserError("prepare needs litdata: pip install 'resnet-lab[imagenet]'") from None
    return BinaryWriter(str(folder), chunk_size=SHARD)
