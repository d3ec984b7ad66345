"""Where a run may lie: inside its root, in a folder of its own, under a name that every disk takes. Free of torch."""

from pathlib import Path

from resnet_lab.config.schema import TrainConfig
from resnet_lab.errors import UserError

LONGEST = 120  # bytes of one part of a name: the disk's 255, less what a run's label and hash need


def check(config: TrainConfig) -> None:
    """Raise UserError for a `name`, a `runs_root` or a `run_dir` that leads elsewhere or cannot be a folder."""
    _check_text("name", config.name, LONGEST)
    parts = config.name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise UserError(f"name={config.name}: must be words and slashes between them, as claims/batch_norm")
    _check_text("runs_root", config.runs_root)
    if Path(config.runs_root).exists() and not Path(config.runs_root).is_dir():
        raise UserError(f"runs_root={config.runs_root} is not a folder")
    if config.run_dir is not None:
        _check_text("run_dir", config.run_dir)
        _check_free(Path(config.run_dir))


def _check_text(key: str, text: str, longest: int = 255) -> None:
    if not text.strip():
        raise UserError(f"{key} is empty: name a folder")
    if not text.isprintable():
        raise UserError(f"{key}={text!a}: a line break or another control character is in it")
    if any(len(part.encode()) > longest for part in text.split("/")):
        raise UserError(f"{key}={text[:20]}…: must be at most {longest} bytes between two slashes")


def _check_free(folder: Path) -> None:
    """A run has its folder to itself."""
    try:
        if folder.exists() and not folder.is_dir():
            raise UserError(f"run_dir={folder} is not a folder")
        if folder.is_dir() and any(folder.iterdir()) and not (folder / "config.yaml").exists():
            raise UserError(f"run_dir={folder} holds other files, and no run: name a folder of the run's own")
    except OSError as error:
        raise UserError(f"run_dir={folder}: {error.strerror}") from None
