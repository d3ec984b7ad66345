"""Where the runs below a folder lie, links followed. Free of torch."""

import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

OF_WANDB = re.compile(r"(offline-)?run-\d{8}_\d{6}-|latest-run$")  # its folders have a config.yaml too


def run_folders(folder: Path, warn: Callable[[str], None]) -> Iterator[Path]:
    """The folders with a run's files, without looking further into them; each once, however many links lead there.

    What is reached without a link goes before what only a link leads to, so that runs keep their own paths. A link
    that leads back to a folder around it, or nowhere, costs one line to `warn`.
    """
    seen: set[tuple[int, int]] = set()
    waiting = deque([folder])
    while waiting:
        for here, children, files in os.walk(waiting.popleft(), onerror=lambda error: warn(_left_out(error))):
            path = Path(here)
            try:
                status = path.stat()
            except OSError as error:  # removed since
                warn(_left_out(error))
                continue
            if (status.st_dev, status.st_ino) in seen:
                if path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve()):
                    warn(f"left out {path}: it leads back to {path.resolve()}")
                children.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            if "config.yaml" in files or "record.json" in files:
                children.clear()
                yield path
                continue
            children[:] = [child for child in children if not OF_WANDB.match(child)]
            waiting += [path / child for child in sorted(children) if (path / child).is_symlink()]
            for name in sorted(files):
                if (path / name).is_symlink() and not (path / name).exists():
                    warn(f"left out {path / name}: the link leads nowhere")


def _left_out(error: OSError) -> str:
    return f"left out {error.filename}: {error.strerror}"
