"""Prepared shards (data=imagenet_shards): a local folder, or a URL whose files are kept here. Torch-free until open."""

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, Any

from resnet_lab.data.folders import EncodedSource
from resnet_lab.data.folders.fingerprint import fingerprint_of
from resnet_lab.data.spec import ShardsConfig
from resnet_lab.errors import UserError
from resnet_lab.files import cache_folder, expanded

if TYPE_CHECKING:
    from resnet_lab.data.folders.images import EncodedImages

MANIFEST = "dataset.json"  # written last: a folder without it is not finished
VERSION = 1


class Shards(EncodedSource):
    """Shards that `resnet-lab prepare` wrote."""

    names = ("imagenet_shards",)
    config: ShardsConfig

    @cached_property
    def found(self) -> "Prepared":
        return Prepared(self.root, self.config.cache, self.config.cache_gb)

    def open(self) -> "EncodedImages":
        from resnet_lab.data.folders.images import EncodedImages
        from resnet_lab.data.shards.shard_files import ShardFiles

        files = {part: ShardFiles(self.found, part) for part in self.found.counts}
        return EncodedImages(self.config, self.info(), files)


class Prepared:
    """A prepared set: what its manifest says, and its files. Those of a URL are downloaded once, with litdata."""

    def __init__(self, root: str, cache: str | None = None, cache_gb: float | None = None) -> None:
        """Raises UserError where there is no complete set.

        `cache` is where files of a URL are kept (None: the user's cache), `cache_gb` how much of them (None: all).
        """
        self.root, self.cache_gb, self.remote = root, cache_gb, "://" in root
        self._locks: dict[str, Lock] = defaultdict(Lock)
        if self.remote:
            usual = cache_folder() / hashlib.sha256(root.encode()).hexdigest()[:16]
            folder = expanded(cache) if cache is not None else usual
            self._downloader = _downloader(root.rstrip("/"), folder)
            with TemporaryDirectory() as temporary:
                path = Path(temporary) / MANIFEST
                self._download(MANIFEST, path)
                manifest = _read_manifest(path, root)
            self.folder = folder / manifest["plan"]  # where files are once `file` has returned
        else:
            self.folder = expanded(root)
            manifest = _read_manifest(self.folder / MANIFEST, root)
        self.plan: str = manifest["plan"]  # a digest of what was prepared, and how
        self.class_names = tuple(manifest["class_names"])
        self.counts: dict[str, int] = manifest["splits"]  # images of train, val, test

    @property
    def fingerprint(self) -> str:
        text = json.dumps([self.plan, self.class_names, self.counts], sort_keys=True)
        return fingerprint_of(sum(self.counts.values()), text.encode())

    def file(self, name: str, size: int | None = None) -> Path:
        """Return the local copy, of that many bytes, of a file such as train/chunk-0-7.bin.

        Each file is downloaded once, however many threads and processes ask for it. Raises UserError where there is
        none.
        """
        path = self.folder / name
        if self.remote:
            with self._locks[name]:
                if path.is_file() and size not in (None, path.stat().st_size):
                    path.unlink(
                        missing_ok=True
                    )  # left by a power cut, say: a download appears when it is complete
                path.parent.mkdir(parents=True, exist_ok=True)
                while not path.is_file():
                    self._download(name, path)
                    if not path.is_file():  # another process is at it
                        time.sleep(0.1)
        try:
            found = path.stat().st_size
        except OSError as error:
            raise UserError(f"cannot read the shards: {path}: {error.strerror}") from None
        if size not in (None, found):
            raise UserError(f"{path} has {found} bytes, not {size}: copy it again, or prepare again")
        return path

    def make_room(self, needed: Collection[str]) -> None:
        """Delete the shards that came first until the rest is within the limit, those that are needed apart."""
        if self.cache_gb is None:
            return
        stats = sorted(
            (path.stat().st_mtime, path.stat().st_size, path) for path in self.folder.glob("*/*.bin")
        )
        total = sum(size for _, size, _ in stats)
        for _, size, path in stats:
            if total <= self.cache_gb * 1e9:
                return
            if f"{path.parent.name}/{path.name}" not in needed:
                total -= size
                path.unlink(missing_ok=True)

    def _download(self, name: str, path: Path) -> None:
        url = f"{self.root.rstrip('/')}/{name}"
        try:
            self._downloader.download_file(url, str(path))
        except Exception as error:  # each kind of storage has its own
            raise UserError(f"cannot download {url}: {' '.join(str(error).split())}") from error


def _downloader(url: str, folder: Path) -> Any:
    try:
        from litdata.streaming.downloader import get_downloader
    except ImportError:
        raise UserError("shards of a URL need litdata: pip install 'resnet-lab[imagenet]'") from None
    options: dict[str, object] = {}
    if url.startswith("s3://"):
        from botocore.config import Config

        # litdata would try 1,000 times.
        options["config"] = Config(retries={"max_attempts": 8, "mode": "adaptive"})
    return get_downloader(url, str(folder), [], options)


def _read_manifest(path: Path, root: str) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        missing = f"data.root={root} holds no prepared set, or its preparation did not finish (no {MANIFEST})"
        raise UserError(f"{missing}: resnet-lab prepare data=imagenet data.root=… out=FOLDER") from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {root}/{MANIFEST}: {error}") from None
    if manifest.get("version") != VERSION:
        raise UserError(f"{root} was prepared by another version of resnet-lab: prepare it again")
    return manifest
