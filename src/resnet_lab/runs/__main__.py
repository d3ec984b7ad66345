"""Execute a run folder: ``python -m resnet_lab.runs RUN_DIR``. The same again resumes, or returns at once."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from resnet_lab.errors import REPORTED, reported
from resnet_lab.runs.execute import execute
from resnet_lab.runs.signals import end_with_named_parent
from resnet_lab.streams import sturdy
from resnet_lab.targets import working_folder_last


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0: finished; 1: failed, the record says why; 2: a mistake in what was asked; 128 + n: signal n."""
    parser = argparse.ArgumentParser(prog="python -m resnet_lab.runs", description=__doc__)
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    working_folder_last()
    end_with_named_parent()
    run_dir = parser.parse_args(arguments).run_dir
    with sturdy():
        try:
            record = execute(run_dir)
        except REPORTED as error:
            return reported(error)
        except KeyboardInterrupt:
            return 130
    if record is None or record.error is None:
        return 0
    return 2 if record.error.kind == "user_error" else 1


if __name__ == "__main__":
    sys.exit(main())
