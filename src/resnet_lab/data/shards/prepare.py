"""Write an image folder as shards: `resnet-lab prepare data=imagenet data.root=… out=…`.

Training images are stored with their shorter side at `size`, as JPEGs of quality 90, in an order that mixes the
classes; JPEGs that are no larger keep their bytes. Validation and test images always keep their bytes, so that an
error measured from shards is the error measured from the folder.

A shard appears under its name only when it is complete, and the manifest only after all shards. So a preparation that
was killed, or ran out of disk, resumes when the same command runs again, and nobody takes a part of a set for the set.
"""

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
from resnet_lab.data.source import broken_image
from resnet_lab.data.spec import DataConfig, ImageFolderConfig, ShardsConfig
from resnet_lab.errors import UserError, printable
from resnet_lab.files import UNFINISHED, settle, write_bytes

SHARD = 1024  # images: about 30 MB at the default size
QUALITY = 90
PLAN = "plan.json"
PARTIAL = ".partial-"


@dataclass(frozen=True)
class Split:
    """The images of one folder, and how they are stored."""

    name: str  # train, val, test
    files: FolderFiles
    order: list[int]
    size: int | None  # shorter side of larger images; None: all keep their bytes


def prepare(config: DataConfig, out: Path, *, size: int = 256, workers: int | None = None) -> int:
    """Write the set that `config` names to `out`, or what is still missing there. Returns 0.

    Raises UserError for a folder that `data=imagenet` would refuse, a broken image (unless data.on_error=skip),
    an `out` that holds another preparation, and a full disk.
    """
    if not isinstance(config, ImageFolderConfig) or isinstance(config, ShardsConfig):
        raise UserError(f"data={config.name}: only image folders are prepared, for example data=imagenet")
    if size < config.crop:
        raise UserError(f"size={size} is less than data.crop={config.crop}")
    source = ClassFolders(config)
    info, found = source.info(), source.found
    splits = [_split(part, FolderFiles(path, info.class_names), size) for part, path in found.splits.items()]
    # What decides the content of the shards.
    decisive = json.dumps([VERSION, size, QUALITY, SHARD, found.fingerprint])
    plan = hashlib.sha256(decisive.encode()).hexdigest()[:16]
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
        reason = f"{error.strerror}; run the same command again to resume"
        raise UserError(f"cannot write to {out}: {reason}") from error
    broken = sum(len(split.order) for split in splits) - sum(counts.values())
    images = ", ".join(f"{count} {name}" for name, count in counts.items())
    print(f"{printable(out)}: {images} images" + (f", {broken} broken ones left out" if broken else ""))
    return 0


def _split(name: str, files: FolderFiles, size: int) -> Split:
    if name != "train":
        return Split(name, files, list(range(len(files.labels))), None)
    order = torch.randperm(len(files.labels), generator=generator(0, 0, "shards"))
    return Split(name, files, order.tolist(), size)


def _begin(out: Path, plan: str) -> bool:
    """Make `out` the place of this preparation; return whether it is finished."""
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
    shards = []
    for split in splits:
        folder, firsts = out / split.name, range(0, len(split.order), SHARD)
        folder.mkdir(exist_ok=True)
        shards += [
            (split, first, folder / f"chunk-0-{number}.bin", on_error) for number, first in enumerate(firsts)
        ]
    images = sum(len(split.order) for split in splits)
    with (
        ThreadPoolExecutor(workers, "prepare", torch.set_num_threads, (1,)) as pool,
        tqdm(total=images, unit="images", disable=None) as bar,  # None: a bar on a terminal only
    ):
        for count in pool.map(lambda shard: _write_shard(*shard), shards):
            bar.update(count)


def _write_shard(split: Split, first: int, target: Path, on_error: str) -> int:
    """Write one chunk, unless it is there; return the number of images it was to hold."""
    indices = split.order[first : first + SHARD]
    if target.exists():
        return len(indices)
    with TemporaryDirectory(prefix=PARTIAL, dir=target.parent) as folder:
        writer, count = _writer(folder), 0
        for index in indices:
            try:
                image = _encoded(split.files.read(index), split.size)
            except BrokenImage as error:
                if on_error != "skip":
                    raise broken_image(f"{split.files.where(index)}: {error}") from error
                continue
            writer[count] = {"image": image, "label": int(split.files.labels[index])}
            count += 1
        for path in writer.done():
            settle(Path(path), target)
    return len(indices)


def _encoded(data: bytes, size: int | None) -> bytes:
    """Return a JPEG with its shorter side at `size`, or the bytes of a smaller JPEG. Raises BrokenImage."""
    picture = open_picture(data)
    pixels = picture.pixels()
    shorter = min(picture.height, picture.width)
    if size is None or (isinstance(picture, Jpeg) and shorter <= size):
        return data
    if shorter > size:
        height, width = (round(side * size / shorter) for side in (picture.height, picture.width))
        pixels = np.ascontiguousarray(resized(pixels, height, width))
    return simplejpeg.encode_jpeg(pixels, QUALITY, colorsubsampling="420")


def _write_index(folder: Path) -> int:
    """Write litdata's index of the chunks of a folder, and their labels; return the number of images."""
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
    """Return litdata's writer of one chunk."""
    try:
        from litdata.streaming.writer import BinaryWriter
    except ImportError:
        raise UserError("prepare needs litdata: pip install 'resnet-lab[imagenet]'") from None
    return BinaryWriter(str(folder), chunk_size=SHARD)
