"""TensorBoard's event files, by its own writer, and the choices of a run for its HParams page. Free of torch."""

from collections.abc import Sequence
from pathlib import Path

from resnet_lab.columns import COLUMNS
from resnet_lab.config.schema import LoggerConfig
from resnet_lab.fields import flatten
from resnet_lab.tracking.facts import Facts
from resnet_lab.tracking.rows import Row, seconds_after_start, seconds_of

FOLDER = "tensorboard"


class TensorBoard:
    """Scalars against the iteration, in a file that each start writes anew, so that no row is there twice."""

    offline = None

    def __init__(self, config: LoggerConfig, facts: Facts, folder: Path, pid: int) -> None:  # noqa: ARG002
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.summary import Writer
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        place = folder / FOLDER
        for old in place.glob("events.out.tfevents.*"):
            old.unlink()
        self._started = seconds_of(facts.started)
        choices = {
            key: value if isinstance(value, bool | int | float) else str(value)
            for key, value in flatten(facts.config).items()
            if value is not None
        }
        begun = hparams_pb(choices, trial_id=facts.hash, start_time_secs=self._started)
        first = EventFileWriter(str(place))
        first.add_event(Event(wall_time=self._started, step=0, summary=begun))
        first.close()
        self._writer = Writer(str(place))
        self._sent = self._iteration = 0

    def level(self, rows: Sequence[Row]) -> int:
        """Write the rows that the file lacks; how many that were."""
        lacking = list(zip(rows, seconds_after_start(rows), strict=True))[self._sent :]
        for row, end in lacking:
            self._iteration = int(row["iteration"])
            for name in row.keys() - {"iteration"}:
                self._writer.add_scalar(name, row[name], self._iteration, wall_time=self._started + end)
        self._sent += len(lacking)
        self._writer.flush()
        return len(lacking)

    def finish(self, facts: Facts) -> None:
        """Write the final figures, which HParams compares."""
        figures = (column.key for column in COLUMNS.values() if column.part == "last")
        for key in figures:
            if key in facts.summary:
                self._writer.add_scalar(f"final/{key}", facts.summary[key], self._iteration)
        self._writer.close()
