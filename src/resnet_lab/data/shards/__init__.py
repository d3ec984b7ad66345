"""Prepared shards (data=imagenet_shards): a local folder, or a URL whose files are kept here. Torch-free until open."""

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from resnet_lab.data.folders import EncodedSource
from resnet_lab.data.folders.fingerprint import fingerprint_of
from resnet_lab.data.spec import ShardsConfig
from resnet_lab.errors import UserError
from resnet_lab.files import cache_folder, expanded

if TYPE_CHECKING:
    from resnet_lab.data.folders.images import EncodedImages

MANIFEST = "dataset.json"  # written last: a folder without it is not finished
VERSION = 1


class Store(Protocol):
    """Files by name, such as train/chunk-0-7.bin."""

    folder: Path  # where they are once `file` has returned

    def file(self, name: str, size: int | None = None) -> Path:
        """A local copy of that many bytes. Raises UserError where there is none."""
        ...

    def make_room(self, needed: Collection[str]) -> None:
        """Told before more files are asked for: which ones are in use."""
        ...


@dataclass(frozen=True)
class Prepared:
    """A prepared set: what its manifest says, and where its files are."""

    store: Store
    remote: bool
    class_names: tuple[str, ...]
    splits: dict[str, int]  # train, val, test: images
    plan: str  # what was prepared, and how

    @property
    def counts(self) -> dict[str, int]:
        return self.splits

    @property
    def fingerprint(self) -> str:
        text = json.dumps([self.plan, self.class_names, self.splits], sort_keys=True)
        return fingerprint_of(sum(self.splits.values()), text.encode())


class Shards(EncodedSource):
    """Shards that `resnet-lab prepare` wrote."""

    names = ("imagenet_shards",)
    config: ShardsConfig

    @cached_property
    def found(self) -> Prepared:
        return open_prepared(self.root, self.config.cache, self.config.cache_gb)

    def open(self) -> "EncodedImages":
        from resnet_lab.data.folders.images import EncodedImages
        from resnet_lab.data.shards.shard_files import ShardFiles

        files = {part: ShardFiles(self.found, part) for part in self.found.splits}
        return EncodedImages(self.config, self.info(), files)


def open_prepared(root: str, cache: str | None = None, cache_gb: float | None = None) -> Prepared:
    """The prepared set at a folder or URL. Raises UserError where there is none, or only a part of one.

    `cache`: where files of a URL are kept; `cache_gb`: how much of them at most, None for all.
    """
    remote = "://" in root
    if remote:
        manifest = _remote_manifest(root)
        store: Store = RemoteStore(root, _cache_folder(cache, root) / manifest["plan"], cache_gb)
    else:
        store = LocalStore(expanded(root))
        manifest = _read_manifest(store.folder / MANIFEST, root)
    return Prepared(store, remote, tuple(manifest["class_names"]), manifest["splits"], manifest["plan"])


class LocalStore:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, name: str, size: int | None = None) -> Path:
        path = self.folder / name
        try:
            found = path.stat().st_size
        except OSError as error:
            raise UserError(f"cannot read the shards: {path}: {error.strerror}") from None
        if size is not None and found != size:
            raise UserError(f"{path} has {found} bytes, not {size}: copy it again, or prepare again")
        return path

    def make_room(self, needed: Collection[str]) -> None:
        pass


class RemoteStore:
    """Downloads with litdata; each file once, whatever number of threads and processes ask for it."""

    def __init__(self, url: str, folder: Path, limit_gb: float | None) -> None:
        self.url, self.folder, self.limit_gb = url.rstrip("/"), folder, limit_gb
        self._locks: dict[str, Lock] = defaultdict(Lock)
        self._downloader = _downloader(self.url, folder)

    def file(self, name: str, size: int | None = None) -> Path:
        path = self.folder / name
        with self._locks[name]:
            if path.is_file() and size not in (None, path.stat().st_size):
                path.unlink(missing_ok=True)  # left by a power cut, say: the download itself appears at once
            path.parent.mkdir(parents=True, exist_ok=True)
            while not path.is_file():
                _download(self._downloader, f"{self.url}/{name}", path)
                if not path.is_file():  # another process is at it
                    time.sleep(0.1)
        return path

    def make_room(self, needed: Collection[str]) -> None:
        """Deletes the shards that came first until the rest, and as much again, is within the limit."""
        if self.limit_gb is None:
            return
        spare = sorted(
            (path for path in self.folder.glob("*/*.bin") if f"{path.parent.name}/{path.name}" not in needed),
            key=lambda path: path.stat().st_mtime,
        )
        total = sum(path.stat().st_size for path in self.folder.glob("*/*.bin"))
        for path in spare:
            if total <= self.limit_gb * 1e9:
                return
            total -= path.stat().st_size
            path.unlink(missing_ok=True)


def _downloader(url: str, folder: Path) -> Any:
    try:
        from litdata.streaming.downloader import get_downloader
    except ImportError:
        raise UserError("shards of a URL need litdata: pip install 'resnet-lab[imagenet]'") from None
    options: dict[str, object] = {}
    if url.startswith("s3://"):
        from botocore.config import Config

        options["config"] = Config(
            retries={"max_attempts": 8, "mode": "adaptive"}
        )  # litdata would try 1,000 times
    return get_downloader(url, str(folder), [], options)


def _download(downloader: Any, url: str, path: Path) -> None:
    try:
        downloader.download_file(url, str(path))
    except Exception as error:  # each kind of storage has its own
        raise UserError(f"cannot download {url}: {str(error).splitlines()[0]}") from error


def _remote_manifest(root: str) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / MANIFEST
        _download(_downloader(root, Path(folder)), f"{root.rstrip('/')}/{MANIFEST}", path)
        return _read_manifest(path, root)


def _read_manifest(path: Path, root: str) -> dict[str, object]:
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(
            f"data.root={root} holds no prepared set, or one whose preparation did not finish ({MANIFEST} is missing): "
            "resnet-lab prepare data=imagenet data.root=… out=FOLDER"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {root}/{MANIFEST}: {error}") from None
    if manifest.get("version") != VERSION:
        raise UserError(f"{root} was prepared by another version of resnet-lab: prepare it again")
    return manifest


def _cache_folder(cache: str | None, root: str) -> Path:
    if cache is not None:
        return expanded(cache)
    return cache_folder() / hashlib.sha256(root.encode()).hexdigest()[:16]
