"""The results of a sweep as a run of W&B's of type `report`: its tables, made again as often as one likes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_lab.config.schema import LoggerConfig
from resnet_lab.tracking.wandb_run import ABSENT, Begun, begin, clear, id_of

Rows = tuple[Sequence[str], Sequence[Sequence[Any]]]  # columns, and a row each


@dataclass(frozen=True)
class Results:
    """The results of one experiment, as a W&B run shows them."""

    name: str
    tables: Mapping[str, Rows]
    said: Mapping[str, str]  # in words


def tell(results: Results, config: LoggerConfig, folder: Path, place: Path) -> Begun:
    """Bring the run level whose id the sweep's `folder` notes; W&B's files go to `place`/wandb.

    Raises whatever W&B raises, where it takes no run.
    """
    import wandb

    given = id_of(folder, "report")
    clear(given, folder, place)
    facts = {
        "id": given,
        "resume": "allow",
        "group": results.name[:128],
        "name": f"results of {results.name}"[:128],
        "job_type": "report",
        "tags": ["report"],
    }
    begun = begin(config, place, facts, ABSENT, lambda: clear(given, folder, place))
    tables = {
        name: wandb.Table(columns=list(columns), data=[list(row) for row in rows])
        for name, (columns, rows) in results.tables.items()
    }
    begun.run.summary.update({**results.said, **tables})
    begun.run.finish()
    return begun
