"""Where the configuration files lie, and which choices they offer. Standard library only."""

from collections.abc import Sequence
from pathlib import Path

from resnet_lab.errors import UserError

ROOT = "train"  # configs/train.yaml, the only root

_given: list[Path] = []


def config_dir() -> Path:
    """Return the folder `configs/` of this package: inside it when it is installed, or beside `src/` in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parents[1] / "configs"


def use(folders: Sequence[Path]) -> None:
    """Look for configurations in these folders first (`--config-dir`).

    Raises UserError where one is no folder, or has a root of its own, which would take the place of ours.
    """
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"--config-dir {folder}: no such folder")
        if _has_root(folder):
            raise UserError(
                f"--config-dir {folder}: its {ROOT}.yaml would take the place of this program's own root; an experiment"
                f" of your own is {folder}/experiment/NAME.yaml"
            )
    _given[:] = [folder.resolve() for folder in folders]


def own_dirs() -> list[Path]:
    """Return the user's folders in the order of search: those given, then `configs/` of the working folder.

    A `configs/` with a root of its own is another program's, and left alone.
    """
    here = Path("configs").resolve()
    ours = here.is_dir() and here != config_dir().resolve() and here not in _given and not _has_root(here)
    return [*_given, *([here] if ours else [])]


def _has_root(folder: Path) -> bool:
    return (folder / f"{ROOT}.yaml").exists()


def groups() -> dict[str, list[str]]:
    """Return the options of each group, the user's first, for example ``{"data": ["cifar10", "digits"]}``."""
    options: dict[str, dict[str, None]] = {}
    for root in (*own_dirs(), config_dir()):
        for path in sorted(root.glob("*/**/*.yaml")):
            group, _, rest = path.relative_to(root).with_suffix("").as_posix().partition("/")
            if group == "hydra":
                middle, _, rest = rest.partition("/")
                group = f"hydra/{middle}"
            options.setdefault(group, {})[rest] = None
    return {group: list(names) for group, names in sorted(options.items())}
