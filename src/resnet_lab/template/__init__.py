"""The small project that `resnet-lab new FOLDER` writes: parts of your own, and an experiment that sweeps them."""

import shutil
from pathlib import Path

from resnet_lab.errors import UserError

PROJECT = Path(__file__).with_name("project")


def new(folder: Path) -> int:
    """Write the project into a folder that is empty or not there yet; returns 0.

    Raises UserError where something lies there already, or it cannot be written.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder} is there already, and not empty: name a new folder")
        shutil.copytree(PROJECT, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "gitignore").rename(
            folder / ".gitignore"
        )  # one that git heeds would hide files from the package
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror}") from None
    print(f"{folder}: cd {folder} && resnet-lab train -m experiment=first")
    return 0
