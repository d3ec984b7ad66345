"""CSV files that grow during a run, are sound at every moment, and lie in its checkpoints too."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from resnet_lab.files import write_text


class SpoiltFile(RuntimeError):
    """A run cannot go on as it was: its checkpoint does not hold what a file of it had by then."""


class CsvFile:
    """A CSV file that is replaced as a whole with each change, by what memory holds of it.

    What became of the file meanwhile (cut, emptied, removed) therefore does not matter.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = list(columns)
        self._text = ""
        self._restored = self._unwritten = False

    def append(self, rows: Iterable[Mapping[str, object]], *, write: bool = True) -> None:
        """Add rows, and `write` them now or with the next call of `write`.

        A column that a row lacks stays empty, one that is new is added at the end.
        """
        rows = list(rows)
        new = [name for row in rows for name in row if name not in self.columns]
        if new:
            self.columns += dict.fromkeys(new)
            self._text = self._with_all_columns(self._text) if self._text else ""
        self._text += self._written(rows, header=not self._text)
        self._unwritten = True
        if write:
            self.write()

    def write(self) -> None:
        """Write what was added."""
        if self._unwritten:
            write_text(self.path, self._text)
        self._unwritten = False

    def begin(self) -> None:
        """Remove what an earlier start left, unless this one goes on from a checkpoint."""
        if not self._restored:
            self.path.unlink(missing_ok=True)

    def _with_all_columns(self, text: str) -> str:
        """Return the rows of an earlier start, which may have fewer columns, or others."""
        rows = csv.DictReader(io.StringIO(text))
        before = list(rows.fieldnames or self.columns)
        if before == self.columns:
            return text
        self.columns = [*self.columns, *(name for name in before if name not in self.columns)]
        return self._written(rows, header=True)

    def _written(self, rows: Iterable[Mapping[str, object]], *, header: bool) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, restval="", lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def state(self) -> dict[str, object]:
        """For the checkpoint: the whole text, some hundred bytes a row."""
        return {"table": self._text}

    def restore(self, state: Mapping[str, Any], iteration: int, *, write: bool) -> None:
        """Restore the file as it was when the checkpoint of that iteration was written, from its `state`.

        Raises SpoiltFile where the checkpoint holds none.
        """
        if "table" not in state:
            raise SpoiltFile(
                f"the checkpoint of iteration {iteration} does not hold the rows of {self.path}, so it cannot go on:"
                f" delete {self.path.parent / 'checkpoints'} to train from the start"
            )
        self._text, self._restored = self._with_all_columns(str(state["table"])), True
        if not write:
            return
        if self._text:
            write_text(self.path, self._text)
        else:
            self.path.unlink(missing_ok=True)
