"""A run is a folder: where it lies, what is in it, and which state it is in. Free of torch."""

import io
import os
import re
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from resnet_lab.config.identity import chosen, differences, edited, hash_of, identity, path_of
from resnet_lab.config.schema import TrainConfig
from resnet_lab.cores import cores as usable_cores
from resnet_lab.data.spec import data_kind
from resnet_lab.errors import UserError
from resnet_lab.files import Watched, bounded, digest_of, read_text, write_text
from resnet_lab.models.other import kind_of
from resnet_lab.runs.lock import Lock, held
from resnet_lab.runs.record import Record, State

CHOSEN = "# what makes it this run: "
NAMED = re.compile(r"-s\d+-([0-9a-f]{8})(?:-\d+)?$")  # the name of a run's folder


class RunFolder:
    """The folder of one run. It need not exist: then its state is `new`."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.yaml"
        self.record_file = self.path / "record.json"
        self.history_file = self.path / "history.csv"
        self.log_file = self.path / "log.txt"
        self.lock_file = self.path / "lock"
        self.title_file = self.path / "title.txt"  # the run's name among the others of its sweep
        self.checkpoints = self.path / "checkpoints"
        self.preprocessing_file = self.path / "preprocessing.json"  # how a file becomes what the net takes
        self.weights_file = self.path / "weights.safetensors"  # as they were tested
        self._left = Watched(self._read_record, self.record_file, self.config_file)
        self.made: TrainConfig | None = None  # what `create` wrote, its threads with it

    @classmethod
    def create(cls, config: TrainConfig, cores: int | None = None) -> "RunFolder":
        """Return the folder of a configuration, made when it is not there; `cores` of its run, None: this machine's.

        Raises UserError, and writes nothing, when the folder holds another run; what does not change a
        result (devices, loggers, paths) is brought up to date, and the threads stay what they were.
        """
        folder = cls(path_of(config))
        threads = None
        if os.path.lexists(folder.config_file):  # which a folder without permission answers with no
            text = folder._config_text()
            if _chosen_of(text) == chosen(config) and folder.state() == State.FINISHED:
                return folder  # its record tells what it was
            before = folder._typed(text)
            if different := differences(before, config):
                raise UserError(f"{folder.path} holds another run: {'; '.join(different)}")
            if folder.state() in (State.RUNNING, State.FINISHED):
                return folder
            if folder.state() != State.NEW:
                threads = before.trainer.threads
        asked = config.trainer.threads
        if threads is not None and asked not in (None, threads):
            raise UserError(
                f"trainer.threads={asked}: {folder.path} was started with {threads}, and another number rounds"
                " differently: omit it to resume, or delete the folder"
            )
        config = replace(
            config, trainer=replace(config.trainer, threads=threads or threads_of(config, cores))
        )
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            write_text(folder.config_file, _text_of(config, folder.path))
        except OSError as error:
            raise UserError(f"cannot write {folder.path}: {error.strerror}") from None
        folder.made = config
        return folder

    def title(self) -> str:
        """Return what the run is called among the others of its sweep; empty where no sweep has named it."""
        return read_text(self.title_file).strip() if self.title_file.is_file() else ""

    def state(self) -> State:
        """Return the state; UserError where a damaged file leaves it open."""
        return self.state_and_record()[0]

    def state_and_record(self) -> tuple[State, Record | None]:
        """Return both from one look at the record; None for a run that is running, or has left none."""
        if held(self.lock_file):
            return State.RUNNING, None
        record = self.record()
        if record is not None:
            return record.state, record
        return State.INTERRUPTED if self.lock_file.exists() else State.NEW, None

    def config(self) -> TrainConfig:
        """Return the configuration.

        Raises UserError when the folder is none of ours, or the file was spoilt, or edited to be another run.
        """
        text = self._config_text()
        config = self._typed(text)
        self._refuse_edited(config, _chosen_of(text))
        return config

    def record(self) -> Record | None:
        """Return what the run left when it finished or failed, or None; UserError for what is no record.

        It is read again only once it, or the configuration that it is held against, has changed.
        """
        return self._left.now()

    def _read_record(self) -> Record | None:
        try:
            record = Record.from_json(read_text(self.record_file))
            if record.hash is not None and (own := self._hash()) not in (None, record.hash):
                raise ValueError(f"it is of the run {record.hash}, this folder of {own}")
            return record
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error).splitlines()[0]
            raise UserError(
                f"{self.record_file} cannot be read ({reason}): remove it, and the same command makes it again"
                " from the last checkpoint"
            ) from None

    def check_left(self, *paths: Path, record: Record | None = None) -> None:
        """Raise UserError where one of these files is no longer what the run left when it finished."""
        record = record or self.record()
        for path in paths:
            left = record.files.get(path.name) if record else None
            try:
                same = left is None or digest_of(path) == left
            except OSError as error:
                raise UserError(f"{path} cannot be read: {error.strerror}") from None
            if not same:
                raise UserError(
                    f"{path} is not what the run left: it is damaged, or of another run; without"
                    f" {self.record_file.name} the same command makes it again from the last checkpoint"
                )

    def _hash(self) -> str | None:
        """Return the identity of the run whose folder this is, as its configuration or its name has it."""
        try:
            written = _chosen_of(read_text(self.config_file))
        except (OSError, ValueError):
            written = None
        if written is not None:
            return hash_of(written)
        named = NAMED.search(self.path.resolve().name)
        return named[1] if named else None

    def check(self) -> None:
        """Raise UserError where a run could not write what it leaves, because something else lies there."""
        files = (self.lock_file, self.log_file, self.record_file, self.weights_file, self.preprocessing_file)
        for path in (self.config_file, *files, *self.path.glob("*.csv")):
            if os.path.lexists(path) and not path.is_file():
                raise UserError(f"{path} is not a file: remove it to train this run")
        if os.path.lexists(self.checkpoints) and not self.checkpoints.is_dir():
            raise UserError(f"{self.checkpoints} is not a folder: remove it to train this run")

    def _config_text(self) -> str:
        try:
            return read_text(self.config_file)
        except FileNotFoundError:
            raise UserError(f"{self.path} is not a run folder: it has no {self.config_file.name}") from None
        except OSError as error:
            raise UserError(f"{self.config_file} cannot be read: {error.strerror}") from None
        except ValueError:
            raise UserError(f"{self.config_file} is not a text file") from None

    def _typed(self, text: str) -> TrainConfig:
        """Return the configuration in a text; UserError names the file and the key that is wrong."""
        try:
            loaded = OmegaConf.load(io.StringIO(bounded(text)))
            schema = OmegaConf.structured(TrainConfig)
            parts = loaded if isinstance(loaded, DictConfig) else {}
            if isinstance(parts.get("data"), DictConfig):
                schema.data = OmegaConf.structured(data_kind([str(key) for key in parts["data"]]))
            if isinstance(parts.get("model"), DictConfig):
                schema.model = OmegaConf.structured(kind_of(parts["model"]))
            config = OmegaConf.to_object(OmegaConf.merge(schema, loaded))
        except (OmegaConfBaseException, YAMLError, OSError, TypeError, ValueError) as error:
            raise UserError(f"{self.config_file}: {str(error).splitlines()[0]}") from None
        except RecursionError:
            raise UserError(f"{self.config_file}: it is nested too deeply") from None
        assert isinstance(config, TrainConfig)
        return replace(config, model=config.model.resolved())

    def _refuse_edited(self, config: TrainConfig, written: str | None) -> None:
        """Raise UserError for a configuration of another run: going on with it would mix both."""
        way = "undo the edit, or train what it says as a run of its own, with resnet-lab train key=value"
        if written is not None and written != chosen(config):
            try:
                found = edited(config, written)
                more = [f"and {len(found) - 3} more"] if len(found) > 3 else []
                keys = "; ".join([*found[:3], *more])
            except (ValueError, RecursionError):
                keys = "its last line"
            raise UserError(f"{self.config_file} was edited ({keys}): {way}")
        named = NAMED.search(self.path.resolve().name)
        if config.run_dir is None and named and named[1] != identity(config):
            raise UserError(
                f"{self.config_file} is of the run {identity(config)}, its folder of {named[1]}: {way}"
            )

    def write_record(self, record: Record) -> None:
        write_text(self.record_file, record.to_json())

    def lock(self) -> Lock:
        """Return the exclusive right to train this run; UserError on entering when another process has it."""
        return Lock(self.lock_file)


def _text_of(config: TrainConfig, path: Path) -> str:
    """Return config.yaml: how it is run, all choices, and the line that an edited one is compared with."""
    text = OmegaConf.to_yaml(OmegaConf.structured(config))
    readable = str(path).encode(errors="backslashreplace").decode()
    return f"# python -m resnet_lab.runs {readable}\n{text}{CHOSEN}{chosen(config)}\n"


def _chosen_of(text: str) -> str | None:
    """Return the choices in the last line of a config.yaml; None in one of an earlier version, or of another hand."""
    last = text.rstrip().rpartition("\n")[2]
    return last.removeprefix(CHOSEN) if last.startswith(CHOSEN) else None


def threads_of(config: TrainConfig, share: int | None = None) -> int:
    """Return the threads of each process of a run that has this `share` of the cores; None: all of them.

    Another number rounds differently, so it follows from the configuration and from what a launcher gave the run,
    never from what else waits, and is fixed with the folder.
    """
    if config.trainer.threads is not None:
        return config.trainer.threads
    if config.data.is_small:
        return 1
    return max(1, (share or usable_cores()) // max(1, config.trainer.devices))
