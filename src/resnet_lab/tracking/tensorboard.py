"""TensorBoard's event files, made again from the rows with each start, and its HParams page. Free of torch."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from resnet_lab.fields import flatten
from resnet_lab.tracking.facts import Facts
from resnet_lab.tracking.rows import Row, seconds_after_start

FOLDER = "tensorboard"
FINAL = ("test/error", "test/loss", "train/error", "val/error")  # the columns of HParams, as final/…


class TensorBoard:
    """Scalars against the iteration, from an event file of its own with each start: no row is there twice."""

    def __init__(self, facts: Facts, folder: Path) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        place = folder / FOLDER
        for old in place.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer = EventFileWriter(str(place))
        self._started = datetime.fromisoformat(facts.started).timestamp() if facts.started else time.time()
        self._told = 0
        self._iteration = 0
        for name, data in _hyper_parameters(facts, self._started).items():
            self._write(_hparams(name, data), self._started, 0)

    def level(self, rows: Sequence[Row]) -> int:
        """Write the rows that the file lacks; how many that were."""
        lacking = list(zip(rows, seconds_after_start(rows), strict=True))[self._told :]
        for row, end in lacking:
            self._iteration = int(row["iteration"])
            values = {name: value for name, value in row.items() if name != "iteration"}
            self._write(_scalars(values), self._started + end, self._iteration)
        self._told += len(lacking)
        self._writer.flush()
        return len(lacking)

    def finish(self, facts: Facts) -> None:
        """The final figures, and how it ended."""
        from tensorboard.plugins.hparams import api_pb2
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

        now = time.time()
        figures = {f"final/{name}": facts.summary[name] for name in FINAL if name in facts.summary}
        self._write(_scalars(figures), now, self._iteration)
        status = api_pb2.STATUS_SUCCESS if facts.error is None else api_pb2.STATUS_FAILURE
        ended = HParamsPluginData(
            session_end_info=SessionEndInfo(status=status, end_time_secs=now), version=0
        )
        self._write(_hparams("_hparams_/session_end_info", ended), now, self._iteration)
        self._writer.close()

    def _write(self, summary: Any, when: float, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.add_event(Event(wall_time=when, step=step, summary=summary))


def _scalars(values: Mapping[str, Any]) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=name, simple_value=float(each)) for name, each in values.items()])


def _hyper_parameters(facts: Facts, started: float) -> dict[str, Any]:
    """What the HParams page reads: its columns, and this run's choices."""
    from tensorboard.plugins.hparams.api_pb2 import Experiment, HParamInfo, MetricInfo, MetricName
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    choices = {key: value for key, value in flatten(facts.config).items() if value is not None}
    metrics = [MetricInfo(name=MetricName(tag=f"final/{name}")) for name in FINAL]
    begun = SessionStartInfo(group_name=facts.hash, start_time_secs=started)
    for key, value in choices.items():
        if isinstance(value, bool):
            begun.hparams[key].bool_value = value
        elif isinstance(value, int | float):
            begun.hparams[key].number_value = value
        else:
            begun.hparams[key].string_value = str(value)
    columns = Experiment(hparam_infos=[HParamInfo(name=key) for key in choices], metric_infos=metrics)
    return {
        "_hparams_/experiment": HParamsPluginData(experiment=columns, version=0),
        "_hparams_/session_start_info": HParamsPluginData(session_start_info=begun, version=0),
    }


def _hparams(tag: str, data: Any) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata

    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=data.SerializeToString())
    return Summary(value=[Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin))])
