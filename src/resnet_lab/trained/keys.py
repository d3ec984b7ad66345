"""The key=value pairs of the commands on trained networks: read once, and refused where nothing reads them.

Free of torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from resnet_lab.config.compose import compose_raw
from resnet_lab.config.overrides import parse, read
from resnet_lab.config.own_code import authorise, sources_of
from resnet_lab.config.request import Request
from resnet_lab.config.schema import TrainConfig
from resnet_lab.data.spec import DataConfig
from resnet_lab.errors import UserError, unknown
from resnet_lab.models.description import ModelConfig

Values = Mapping[str, Any]  # by key

# What only training reads of a data set.
TRAINING = (
    *("validation", "train_images", "pad", "flip", "cutout", "augmentation"),
    *("pca_noise", "colour_jitter", "trivial_augment", "random_erasing", "scale_min", "scale_max"),
)
SINGLE_VIEW = ("resize", "test_crop")  # the sizes of every other protocol follow from the crop
NORMALISATION = ("mean", "divide_by_std")  # read only for a net that does not know its own


class Pairs:
    """What was typed as key=value, by group: model, data and metrics; parsed and composed once, here."""

    def __init__(self, command: str, given: Sequence[str], *groups: str) -> None:
        """Raise UserError for a pair of none of the groups that the command reads, and for what makes no sense."""
        # The pairs of each group, with the key in it.
        of: dict[str, dict[str, str]] = {"model": {}, "data": {}, "metrics": {}}
        for text in given:
            group, _, key = text.partition("=")[0].partition(".")
            if "=" not in text or group not in groups:
                allowed = " and ".join(f"{group}.…" for group in groups)
                raise UserError(f"{text}: {command} reads {allowed} alone, as {groups[-1]}.key=value")
            if group == "data" and key in TRAINING:
                raise UserError(f"{text}: only training reads it")
            of[group][text] = key
        self.model = _model(of["model"])  # changes of the description that a net's name stands for
        self.data_keys = frozenset(of["data"].values())
        self.normalisation = not self.data_keys.isdisjoint(NORMALISATION)  # is said of the data
        self._data = of["data"]
        named = "" in self.data_keys  # an option of the group, as by data=cifar10
        self._named = Request(list(self._data)).run(trains=False).data if named else None
        self._changes = {} if named else _parsed("data", self._data)
        pairs = [*of["metrics"]]
        self._metrics: Values = compose_raw(read(pairs)).metrics if pairs else {}
        self._metrics_anew = "" in of["metrics"].values()

    def data(self, run: TrainConfig | None, how: str, *, all_known: bool) -> DataConfig:
        """Return the data that were named, or those of the `run` with the changes.

        Raises UserError for a key that a test under the protocol `how` does not read, for a normalisation where that
        is `all_known`, and where no data are named.
        """
        for text, key in self._data.items():
            if key in SINGLE_VIEW and how != "single_view":
                said = f"only --protocol single_view reads it; the sizes of {how} follow data.crop"
                raise UserError(f"{text}: {said}")
            if key in NORMALISATION and all_known:
                raise UserError(f"{text}: the net knows its own normalisation, and is tested with it")
        if self._named is not None:
            return self._named
        if run is None:
            raise UserError("name the images: data=cifar10, or data=imagenet data.root=FOLDER")
        changes = _values(run.data, "data", self._changes)
        if "root" in changes:  # other images: of what was chosen of the former, only the test matters
            changes = {**run.data.elsewhere(), **changes}
        changed = replace(run.data, **changes)
        sources_of(changed, "data.")  # nothing is called that may not be
        return changed

    def metrics(self, run: TrainConfig | None) -> Values:
        """Return metrics by name: the run's, changed by metrics.NAME=…, or with metrics=GROUP those of the group.

        Raises UserError for a target that may not be named or is not there.
        """
        try:
            merged = OmegaConf.merge({} if self._metrics_anew or run is None else run.metrics, self._metrics)
        except OmegaConfBaseException as error:
            raise UserError(f"metrics: {str(error).splitlines()[0]}") from None
        found: Any = OmegaConf.to_container(merged, resolve=True)
        authorise(found, "metrics.")
        return dict(found)


def _model(pairs: Mapping[str, str]) -> Values:
    for text, key in pairs.items():
        if not key:
            raise UserError(f"{text}: the net is named by --model")
        if key in ("weights", "head"):
            raise UserError(f"{text}: the weights are named by --weights")
    return _values(ModelConfig(), "model", _parsed("model", pairs))


def _parsed(group: str, pairs: Iterable[str]) -> Values:
    """Return the values of a group's pairs by their keys without the group. Raises UserError."""
    found = {}
    for override in parse(read([*pairs])):
        if override.is_sweep_override():
            raise UserError(f"{override.input_line}: one value is needed")
        found[override.key_or_group.removeprefix(f"{group}.")] = override.value()
    return found


def _values(config: Any, group: str, given: Values) -> Values:
    """Return the given values of a dataclass by field, as its types have them. Raises UserError."""
    of_any_keys = [field.name for field in fields(config) if isinstance(getattr(config, field.name), dict)]
    allowed = [field.name for field in fields(config)]
    merged = OmegaConf.structured(config)
    for key, value in given.items():
        if key not in allowed and key.partition(".")[0] not in of_any_keys:
            raise unknown("key", f"{group}.{key}", [f"{group}.{name}" for name in allowed])
        try:
            OmegaConf.update(merged, key, value, force_add=True)
        except OmegaConfBaseException as error:
            raise UserError(f"{group}.{key}: {str(error).splitlines()[0]}") from None
    values: Any = OmegaConf.to_container(merged)
    return {name: values[name] for name in {key.partition(".")[0] for key in given}}
