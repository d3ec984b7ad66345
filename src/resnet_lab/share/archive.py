"""An archive of files that are held against their digests. Free of torch.

A zip file whose `manifest.json` tells the bytes and the SHA-256 of each of its files. The same files make the same
archive, byte for byte. Taking one apart writes below one new folder, and executes nothing.
"""

import hashlib
import json
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from resnet_lab.errors import UserError, printable
from resnet_lab.files import MOST, open_file, replacing

MANIFEST = "manifest.json"
FORMAT = 1  # counted up when a reader of older archives would misunderstand a newer one
SUFFIXES = (".yaml", ".json", ".csv", ".md", ".tex", ".html", ".png", ".svg", ".pdf", ".safetensors")
PACKED = (".png", ".pdf", ".safetensors")  # deflating them gains nothing
CHUNK = 2**20  # bytes
MOST_TIMES = (
    50  # as large as its archive: pictures and weights do not get smaller, and text hardly more than tenfold
)
EARLIEST = (1980, 1, 1, 0, 0, 0)


def write(path: Path, files: Mapping[str, Path], facts: Mapping[str, Any]) -> str:
    """Write the archive of these files, by their names in it, and return its SHA-256; `facts` go into the manifest."""
    listed: dict[str, dict[str, object]] = {}
    with replacing(path) as temporary:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name, file in sorted(files.items()):
                digest, size = hashlib.sha256(), 0
                with _opened(file) as source, archive.open(_entry(name), "w", force_zip64=True) as target:
                    while data := source.read(CHUNK):
                        digest.update(data)
                        size += len(data)
                        target.write(data)
                listed[name] = {"bytes": size, "sha256": digest.hexdigest()}
            manifest = {"format": FORMAT, **facts, "files": listed}
            archive.writestr(_entry(MANIFEST), json.dumps(manifest, indent=2) + "\n")
        with temporary.open("rb") as written:
            whole = hashlib.file_digest(written, "sha256").hexdigest()
    return whole


def extract(path: Path, folder: Path) -> dict[str, Any]:
    """Take an archive apart into a new folder, and return its manifest.

    Raises UserError, and leaves nothing behind, for what is no archive of ours, has a name that would lead out of the
    folder or that none of ours has, a file that the manifest does not tell of, or one that is not what was packed; and
    writes nothing where it would become far larger than runs do, or than the disk has room for.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already, and not empty: --out names another folder")
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _manifest(archive, path)
            entries = _checked(archive, manifest["files"], path)
            _check_size(manifest["files"], path, folder)
            for name, facts in manifest["files"].items():
                _extract(archive, entries[name], facts, beside / name, path)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
    except OSError as error:
        raise UserError(f"{error.filename or path}: {error.strerror or error}") from None
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise UserError(f"{path} is not a complete archive: {printable(error)}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return manifest


def _opened(file: Path) -> BinaryIO:
    try:
        return os.fdopen(open_file(file), "rb")
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from None


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EARLIEST)
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    entry.compress_type = zipfile.ZIP_STORED if name.endswith(PACKED) else zipfile.ZIP_DEFLATED
    entry.create_system = 3  # as on Linux, wherever it is written
    return entry


def _manifest(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    no_manifest = UserError(f"{path} was not written by resnet-lab pack: it has no valid {MANIFEST}")
    try:
        with archive.open(MANIFEST) as file:
            manifest = json.loads(file.read(MOST))
        if manifest["format"] != FORMAT:
            raise UserError(f"{path} is of format {manifest['format']}, and this program reads {FORMAT}")
        for facts in manifest["files"].values():
            if type(facts["bytes"]) is not int or facts["bytes"] < 0 or len(facts["sha256"]) != 64:
                raise no_manifest
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise no_manifest from None
    return dict(manifest)


def _checked(archive: zipfile.ZipFile, facts: Mapping[str, Any], path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the entries by name, each safe to write, and exactly those that the manifest tells of."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = entry.orig_filename
        mode = entry.external_attr >> 16
        if not _safe(name) or name in entries or (mode and not stat.S_ISREG(mode)):
            raise UserError(f"{path} is not to be trusted: it has the file {printable(name)!r}")
        entries[name] = entry
    if different := {*entries, *facts} - {MANIFEST} - ({*entries} & {*facts}):
        name = printable(min(different))
        raise UserError(f"{path} is not whole: {name} is not both in it and in its {MANIFEST}")
    return entries


def _check_size(facts: Mapping[str, Any], path: Path, folder: Path) -> None:
    size, packed = sum(each["bytes"] for each in facts.values()), path.stat().st_size
    if size > max(MOST, MOST_TIMES * packed):
        raise UserError(
            f"{path} is not to be trusted: its {packed:,} bytes would become {size:,},"
            f" more than {MOST_TIMES} times as many"
        )
    there = next(each for each in folder.resolve().parents if each.exists())
    if size > (free := shutil.disk_usage(there).free):
        raise UserError(
            f"{path} needs {size:,} bytes, and {there} has {free:,} left: --out names another folder"
        )


def _safe(name: str) -> bool:
    """Return whether it is the name of a file below the folder, of a kind that we write, on every system."""
    parts = PurePosixPath(name).parts
    plain = all(part not in (".", "..") and not part.endswith((" ", ".")) for part in parts)
    return (
        plain
        and "/".join(parts) == name  # neither absolute nor with an empty part
        and name.endswith(SUFFIXES)
        and not re.search(r'[\\:*?"<>|\x00-\x1f]', name)
    )


def _extract(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, facts: Mapping[str, Any], target: Path, path: Path
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, left = hashlib.sha256(), facts["bytes"]
    with archive.open(entry) as source, target.open("xb") as file:
        while left >= 0 and (data := source.read(min(CHUNK, left + 1))):  # never more than is stated
            digest.update(data)
            left -= len(data)
            file.write(data)
    if left or digest.hexdigest() != facts["sha256"]:
        raise UserError(f"{path}: {printable(entry.filename)} is not what was packed: get the archive again")
