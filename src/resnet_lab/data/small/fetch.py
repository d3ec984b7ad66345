"""Where a published data set lies, and its download: once, whole or not at all."""

import fcntl
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from resnet_lab.data.spec import SmallImagesConfig
from resnet_lab.errors import UserError

DEFAULT_ROOT = Path("data")  # in the working folder, beside runs/


def fetched(config: SmallImagesConfig, name: str, download: Callable[[str], object]) -> Path:
    """The folder root/name; where it is absent, `download` fills a folder beside it, which is then renamed.

    So what is there is whole, and runs that start together fetch it once. Raises UserError where that fails.
    """
    root = Path(config.root).expanduser() if config.root is not None else DEFAULT_ROOT
    folder = root / name
    if folder.is_dir():
        return folder
    if not config.download:
        raise UserError(f"no {name} in {root} (data.root), and data.download=false forbids to fetch it")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with (root / f".{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                with TemporaryDirectory(prefix=f".{name}-", dir=root) as partial:
                    download(partial)
                    (Path(partial) / name).rename(folder)
    except (OSError, RuntimeError) as error:  # torchvision raises both
        reason = " ".join(str(error).split())
        raise UserError(
            f"cannot fetch {config.name} into {root}: {reason}; data.root=FOLDER names an existing copy"
        ) from None
    return folder
