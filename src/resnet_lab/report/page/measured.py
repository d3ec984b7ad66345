"""Read what one group measured in each layer, and which classes it took for which. Free of torch."""

import csv
from base64 import b64encode

from resnet_lab.files import read_bytes, read_text
from resnet_lab.report.collect import UNREADABLE, FoundRun
from resnet_lab.report.compare import Group
from resnet_lab.report.draw_layers import measured

CLASSES = 40  # beyond which a confusion matrix is not drawn
PICTURE = 100_000  # bytes of an image in the page, at most
PROBES = ("layer_responses", "gradient_norms")


def measured_in(group: Group) -> dict[str, object]:
    """Profiles over the layers at the first and the last measured epoch, and the confusion matrix of all seeds."""
    found: dict[str, object] = {}
    for what in PROBES:
        if not any((run.path / f"{what}.csv").exists() for run in group.runs):
            continue
        profiles = {
            "first": measured(group, what, last=False),
            "last": measured(group, what),
        }
        found[what] = {when: [list(profile), list(profile.values())] for when, profile in profiles.items()}
    if confusion := _confusion(group):
        found["confusion"] = confusion
    if pictures := _pictures(group):
        found["pictures"] = pictures
    return found


def _pictures(group: Group) -> str | None:
    """Return the first finished seed's surest mistakes as an image that a page can hold; None where they are large."""
    for run in group.finished:
        try:
            data = read_bytes(run.path / "mistakes.png")
        except OSError:
            continue
        return f"data:image/png;base64,{b64encode(data).decode()}" if len(data) <= PICTURE else None
    return None


def _confusion(group: Group) -> dict[str, object] | None:
    """Counts of the seeds added up: a row a class, a column an answer; None where no run has recorded them."""
    tables = [table for run in group.finished if (table := _read(run))]
    if not tables or any(table[0] != tables[0][0] for table in tables):
        return None
    (columns, labels), _ = tables[0]
    counts = [
        [sum(cells) for cells in zip(*rows, strict=True)]
        for rows in zip(*(t[1] for t in tables), strict=True)
    ]
    return {"columns": columns, "labels": labels, "counts": counts}


def _read(run: FoundRun) -> tuple[tuple[list[str], list[str]], list[list[int]]] | None:
    path = run.path / "confusion.csv"
    if not path.exists():
        return None
    try:
        header, *rows = csv.reader(read_text(path).splitlines())
        if len(rows) > CLASSES or len(header) > 2 * CLASSES or any(len(row) != len(header) for row in rows):
            return None
        return (header[1:], [row[0] for row in rows]), [[int(cell) for cell in row[1:]] for row in rows]
    except UNREADABLE:
        return None
