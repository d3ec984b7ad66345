"""Where a published data set lies, its unpacking and its download: once, whole or not at all."""

import fcntl
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from resnet_lab.data.spec import SmallImagesConfig
from resnet_lab.errors import UserError
from resnet_lab.files import cache_folder, expanded

DEFAULT_ROOT = Path("data")  # in the working folder, beside runs/


@dataclass(frozen=True)
class Published:
    """A set as it is published."""

    folder: str  # that its archive holds
    file: str  # one that lies in this folder
    fetch: Callable[[str], object]  # fills a folder; an archive that lies there is not downloaded again
    archive: str | None = None
    is_published: Callable[[Path], bool] = Path.is_file  # whether a file is the archive, by its checksum


def fetched(config: SmallImagesConfig, published: Published) -> Path:
    """The set's folder: data.root itself, or in it; where it is absent, its archive there is unpacked, or downloaded.

    A folder beside it is filled and then renamed, so that what is there is whole, and runs that start together
    fetch it once. What lies in a root that cannot be written is unpacked in the user's cache. Raises UserError where
    that fails.
    """
    root = expanded(config.root) if config.root is not None else DEFAULT_ROOT
    if (root / published.file).is_file():
        return root
    if (root / published.folder).is_dir():
        return root / published.folder
    archive = root / published.archive if published.archive else None
    if archive is not None and archive.is_file():
        home = root if os.access(root, os.W_OK) else cache_folder()
    elif config.download:
        archive, home = None, root
    else:
        raise UserError(
            f"no {published.folder} in {root} (data.root), and data.download=false forbids to fetch it"
        )
    try:
        return _filled(home, published, archive)
    except (OSError, RuntimeError) as error:  # torchvision raises both
        reason = " ".join(str(error).split())
        raise UserError(
            f"cannot fetch {config.name} into {home}: {reason}; data.root=FOLDER names an existing copy"
        ) from None


def _filled(home: Path, published: Published, archive: Path | None) -> Path:
    """home/folder, of the archive where there is one. Raises UserError for another archive than the published one."""
    folder = home / published.folder
    home.mkdir(parents=True, exist_ok=True)
    with (home / f".{published.folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        for rest in home.glob(f".{published.folder}-*"):  # of a process that was killed
            shutil.rmtree(rest, ignore_errors=True)
        with TemporaryDirectory(prefix=f".{published.folder}-", dir=home) as partial:
            if archive is not None:
                if not published.is_published(archive):
                    raise UserError(f"{archive} is not the published file (wrong checksum): fetch it again")
                (Path(partial) / archive.name).symlink_to(archive.resolve())
            published.fetch(partial)
            (Path(partial) / published.folder).rename(folder)
    return folder
