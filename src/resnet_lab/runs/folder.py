"""A run is a folder: where it lies, what is in it, and which state it is in. Free of torch."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from resnet_lab.config.identity import differences, identity
from resnet_lab.config.schema import TrainConfig
from resnet_lab.data.spec import DataConfig
from resnet_lab.errors import UserError
from resnet_lab.files import write_text
from resnet_lab.models.description import label, resolve
from resnet_lab.runs.lock import Lock, held


class RunFolder:
    """The folder of one run. It need not exist: then its state is `new`."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.yaml"
        self.record_file = self.path / "record.json"
        self.history_file = self.path / "history.csv"
        self.log_file = self.path / "log.txt"
        self.lock_file = self.path / "lock"
        self.checkpoints = self.path / "checkpoints"
        self.preprocessing_file = self.path / "preprocessing.json"  # how a file becomes what the net takes
        self.weights_file = self.path / "weights.safetensors"  # as they were tested

    @classmethod
    def create(cls, config: TrainConfig) -> "RunFolder":
        """The folder of a configuration, made when it is not there.

        Raises UserError, and writes nothing, when the folder holds another run; what does not change a
        result (devices, loggers, paths) is brought up to date.
        """
        folder = cls(path_of(config))
        if folder.config_file.exists():
            different = differences(folder.config(), config)
            if different:
                raise UserError(f"{folder.path} holds another run: {'; '.join(different)}")
            if folder.state() in ("running", "finished"):
                return folder
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            head = f"# python -m resnet_lab.runs {folder.path}\n"
            write_text(folder.config_file, head + OmegaConf.to_yaml(OmegaConf.structured(config)))
        except OSError as error:
            raise UserError(f"cannot write {folder.path}: {error.strerror}") from None
        return folder

    def state(self) -> str:
        """new, running, finished, failed or interrupted."""
        if held(self.lock_file):
            return "running"
        record = self.record()
        if record is not None:
            return str(record["state"])
        return "interrupted" if self.lock_file.exists() else "new"

    def config(self) -> TrainConfig:
        """The configuration, typed; UserError when the folder is none of ours or the file was spoilt."""
        return load_config(self.config_file)

    def record(self) -> dict[str, Any] | None:
        """What the run left when it finished or failed, or None."""
        try:
            record = json.loads(self.record_file.read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise UserError(f"{self.record_file} cannot be read: {error}; delete it to run again") from None
        return dict(record)

    def write_record(self, record: dict[str, Any]) -> None:
        write_text(self.record_file, json.dumps(record, indent=2) + "\n")

    def lock(self) -> Lock:
        """The exclusive right to train this run; UserError on entering when another process has it."""
        return Lock(self.lock_file)


def path_of(config: TrainConfig) -> Path:
    """Where a run lies: ``runs_root/name/<label>-s<seed>-<hash>``, unless `run_dir` says otherwise."""
    if config.run_dir is not None:
        return Path(config.run_dir)
    readable = f"{label(config.model)}-s{config.seed}-{identity(config)}"
    return Path(config.runs_root) / config.name / readable


def load_config(path: Path) -> TrainConfig:
    """Read a typed configuration; UserError names the file and the key that is wrong."""
    try:
        loaded = OmegaConf.load(path)
        schema = OmegaConf.structured(TrainConfig)
        if isinstance(loaded, DictConfig) and isinstance(loaded.get("data"), DictConfig):
            schema.data = OmegaConf.structured(_data_class(loaded.data))
        config = OmegaConf.to_object(OmegaConf.merge(schema, loaded))
    except FileNotFoundError:
        raise UserError(f"{path.parent} is not a run folder: it has no {path.name}") from None
    except (OmegaConfBaseException, YAMLError, TypeError, ValueError) as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from None
    assert isinstance(config, TrainConfig)
    return replace(config, model=resolve(config.model))


def _data_class(data: DictConfig) -> type[DataConfig]:
    """The kind of data set whose choices these are: a written configuration names every field."""
    for kind in DataConfig.__subclasses__():
        if set(data) <= {field.name for field in fields(kind)}:
            return kind
    return DataConfig
