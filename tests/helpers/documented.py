"""The blocks of a page, and its commands: what README and docs share.

A page is a session. A block with a title, ```` ```python title="my_net.py" ````, is a file of it; each line of an
```sh block is a command; in a ```console block a command stands after ``$``, and what it prints below (… is anything).
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/*.md"))]
FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^`\n]*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is where it starts."""

    line: int
    language: str
    file: str | None
    text: str


@dataclass(frozen=True)
class Command:
    """One command and what the page says it prints; None where it says nothing."""

    line: int
    words: tuple[str, ...]
    prints: str | None = None

    def __str__(self) -> str:
        return f"line {self.line}: {' '.join(self.words)}"


def blocks(page: str) -> Iterator[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        language, _, rest = found["info"].strip().partition(" ")
        title = re.search(r'title="([^"]+)"', rest)
        indent = len(found["indent"])
        code = "\n".join(line[indent:] for line in found["text"].splitlines())
        yield Block(text[: found.start()].count("\n") + 1, language, title and title[1], code)


def commands(page: str) -> Iterator[Command]:
    for block in blocks(page):
        if block.file is None and block.language in ("sh", "bash", ""):
            for number, line in _logical_lines(block.text):
                if block.language or line.startswith(("resnet-lab ", "make ", "python ", "torchrun ")):
                    yield Command(block.line + number, _words(line))
        elif block.language == "console":
            yield from _session(block)


def files(page: str) -> dict[str, str]:
    return {block.file: block.text for block in blocks(page) if block.file is not None}


def _session(block: Block) -> Iterator[Command]:
    """The commands of a console block, each with what is printed below it."""
    line = block.line
    for part in re.split(r"^(?=\$ )", block.text, flags=re.MULTILINE):
        if part.startswith("$ "):
            typed = re.match(r"(.*\\\n)*.*", part[2:])
            assert typed is not None
            (_, command), *_ = _logical_lines(typed[0])
            yield Command(line + 1, _words(command), part[2 + typed.end() :].strip())
        line += part.count("\n")


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Line number within the block and line, those that end in a backslash joined; no comment, no empty one."""
    begun, whole = 1, ""
    for number, line in enumerate(text.splitlines(), 1):
        begun = begun if whole else number
        whole += line
        if whole.endswith("\\"):
            whole = whole[:-1]
            continue
        if whole.strip() and not whole.startswith("#"):
            yield begun, whole
        whole = ""


def _words(line: str) -> tuple[str, ...]:
    return tuple(shlex.split(line, comments=True))
