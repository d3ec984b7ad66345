"""What the program says of mistakes, in one file to review. `python tests/helpers/mistakes.py` renews it.

A further mistake is a further line that begins with ``$``, above any line or none.
"""

import os
import shlex
import tempfile
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

from resnet_lab.cli import main

PATH = Path(__file__).with_name("golden_mistakes.txt")
PROMPT = "$ resnet-lab"


def mistakes() -> dict[str, str]:
    """Return what was typed behind `resnet-lab`, and the line that the program says."""
    lines = PATH.read_text(encoding="utf-8").splitlines()
    typed = [index for index, line in enumerate(lines) if line.startswith(PROMPT)]
    return {
        lines[index].removeprefix(PROMPT).strip(): "\n".join(lines[index + 1 : index + 2]) for index in typed
    }


def said(typed: str) -> str:
    """Return what the program says of a mistake, in a folder in which it may write nothing."""
    with redirect_stderr(StringIO()) as output:
        code = main(shlex.split(typed))
    assert code == 2, f"{typed}: {code}, {output.getvalue()}"
    assert not list(Path.cwd().iterdir()), typed
    return output.getvalue().removesuffix("\n")


if __name__ == "__main__":
    known = mistakes()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        PATH.write_text(
            "".join(f"{PROMPT} {typed}".rstrip() + f"\n{said(typed)}\n" for typed in known), encoding="utf-8"
        )
