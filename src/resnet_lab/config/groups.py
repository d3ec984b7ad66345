"""Where the configuration files lie, and which choices they offer. Standard library only."""

from pathlib import Path


def config_dir() -> Path:
    """The folder `configs/`: inside an installed package, or beside `src/` in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parents[1] / "configs"


def groups() -> dict[str, list[str]]:
    """The options of each group, as in ``{"data": ["cifar10", "digits"]}``."""
    root = config_dir()
    options: dict[str, list[str]] = {}
    for path in sorted(root.glob("*/**/*.yaml")):
        group, _, rest = path.relative_to(root).with_suffix("").as_posix().partition("/")
        if group == "hydra":
            middle, _, rest = rest.partition("/")
            group = f"hydra/{middle}"
        options.setdefault(group, []).append(rest)
    return options
