"""debug=profile: where the time of an iteration goes, as a table and as a trace."""

from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch.profiler import ProfilerActivity, profile, schedule

from resnet_lab.files import write_text

ROWS = 25
SKIPPED, WARM, LOOKED_AT = 2, 2, 6  # iterations


class Profile(Callback):
    """Writes profile.txt, the slowest operators, and trace.json, for chrome://tracing or Perfetto, into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        activities = [ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(ProfilerActivity.CUDA)
        steps = schedule(wait=SKIPPED, warmup=WARM, active=LOOKED_AT, repeat=1)
        self._profile = profile(activities=activities, schedule=steps, on_trace_ready=self._write)
        self._profile.start()

    def on_train_batch_end(self, *_: Any) -> None:
        self._profile.step()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self._profile.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        self._profile.stop()

    def _write(self, profiled: Any) -> None:
        by = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        table = profiled.key_averages().table(sort_by=by, row_limit=ROWS, max_name_column_width=50)
        said = f"{LOOKED_AT} iterations, the slowest operators first\n{table}\n"
        write_text(self._folder / "profile.txt", said)
        profiled.export_chrome_trace(str(self._folder / "trace.json"))
        print(f"{said}{self._folder / 'profile.txt'}\n{self._folder / 'trace.json'}")
