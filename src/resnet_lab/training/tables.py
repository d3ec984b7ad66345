"""CSV files that grow during a run and are sound at every moment: each change replaces the file at once."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from resnet_lab.files import write_text

Row = Mapping[str, object]


def append_rows(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Add rows; a column that a row lacks stays empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    if path.exists():
        text.write(path.read_text())
    else:
        writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def keep_rows(path: Path, keep: Callable[[dict[str, str]], bool]) -> None:
    """Drop the rows that a resumed run is going to write again."""
    if not path.exists():
        return
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        columns, rows = reader.fieldnames or [], list(reader)
    kept = [row for row in rows if keep(row)]
    if len(kept) < len(rows):
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        write_text(path, text.getvalue())
