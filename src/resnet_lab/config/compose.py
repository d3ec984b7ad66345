"""Compose a typed configuration from Hydra overrides, and tell every mistake in one line. Free of torch."""

from copy import deepcopy
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from resnet_lab.config.groups import config_dir, groups
from resnet_lab.config.schema import CallbacksConfig, LoggerConfig, TrainConfig, TrainerConfig
from resnet_lab.config.targets import targets_of, with_sources
from resnet_lab.data import debug_images, info, published
from resnet_lab.data.spec import DataConfig, DataInfo, ImageFolderConfig, ShardsConfig, SmallImagesConfig
from resnet_lab.errors import UserError, unknown
from resnet_lab.fields import at_home
from resnet_lab.fields import check as check_fields
from resnet_lab.models.checks import check as check_model
from resnet_lab.models.description import ModelConfig
from resnet_lab.models.published import variant
from resnet_lab.training.recipes import RecipeConfig
from resnet_lab.training.recipes import check as check_recipe

ROOT = "train"  # configs/train.yaml, the only root

DEBUG_ITERATIONS = 6  # of debug=true

SCHEMAS: dict[str, type] = {
    "schema": TrainConfig,
    "model/schema": ModelConfig,
    "recipe/schema": RecipeConfig,
    "data/small_images_schema": SmallImagesConfig,
    "data/image_folder_schema": ImageFolderConfig,
    "data/shards_schema": ShardsConfig,
    "trainer/schema": TrainerConfig,
    "logger/schema": LoggerConfig,
    "callbacks/schema": CallbacksConfig,
}


def register_schemas() -> None:
    """Make the typed schemas known to Hydra under the names that the YAML files use."""
    store = ConfigStore.instance()
    for path, node in SCHEMAS.items():
        group, _, name = path.rpartition("/")
        store.store(group=group or None, name=name, node=_open_dictionaries(OmegaConf.structured(node)))


def _open_dictionaries(node: DictConfig) -> DictConfig:
    """The schema, whose fields of any keys, as recipe.optimizer_args, take new ones without a +."""
    for key in node:
        child = None if OmegaConf.is_missing(node, key) else node[key]
        if isinstance(child, DictConfig) and is_dataclass(OmegaConf.get_type(child)):
            _open_dictionaries(child)
        elif isinstance(child, DictConfig):
            OmegaConf.set_struct(child, False)
    return node


def compose(overrides: list[str], *, planned: bool = False) -> TrainConfig:
    """The configuration that the overrides ask for, typed and checked; `planned`: ImageNet may be elsewhere.

    Raises UserError for an unknown key, group or option, a wrong type, or a combination that makes no sense.
    """
    return typed(compose_raw(overrides), planned=planned)


def compose_raw(overrides: list[str], *, with_hydra: bool = False) -> DictConfig:
    """What Hydra composes from the overrides, not yet checked; `with_hydra` keeps its own node."""
    register_schemas()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            return hydra_compose(ROOT, overrides, return_hydra_config=with_hydra)
    except (HydraException, OmegaConfBaseException) as error:
        raise _one_line(error) from None


def typed(composed: DictConfig, *, planned: bool = False) -> TrainConfig:
    """A composed configuration as dataclasses, completed from its data set and checked."""
    composed = deepcopy(composed)
    with open_dict(composed):
        composed.pop("hydra", None)
    _refuse_added_keys(composed)
    try:
        config = OmegaConf.to_object(composed)
    except OmegaConfBaseException as error:
        raise _one_line(error) from None
    assert isinstance(config, TrainConfig)
    return completed(config, planned=planned)


def completed(config: TrainConfig, *, planned: bool = False) -> TrainConfig:
    """The configuration with what its data set decides filled in; UserError where it makes no sense."""
    config = at_home(config)
    check_fields(config)
    _check_frozen(config)
    if config.debug:
        config = shortened(config)
    facts = (published(config.data) if planned else None) or info(config.data)
    config = replace(config, data=_with_fingerprint(config.data, facts))
    net = check_model(config.model, facts.height, facts.width)
    channels, classes = config.model.in_channels, config.model.num_classes
    model = replace(
        net,
        in_channels=facts.channels if channels is None else channels,
        num_classes=facts.classes if classes is None else classes,
    )
    if model.in_channels != facts.channels:
        raise UserError(
            f"model.in_channels={model.in_channels}: images of {config.data.name} have {facts.channels}"
        )
    if model.num_classes is not None and model.num_classes < facts.classes:
        raise UserError(
            f"model.num_classes={model.num_classes}: {config.data.name} has {facts.classes} classes"
        )
    check_recipe(config.recipe)
    config = with_sources(replace(config, model=model))
    if config.recipe.optimizer_args or any(key.startswith("recipe.") for key in targets_of(config)):
        from resnet_lab.training.trial import try_out

        try_out(config.recipe, model.num_classes or facts.classes)
    return config


def shortened(config: TrainConfig) -> TrainConfig:
    """The same run within a minute on a CPU: a few iterations on embedded images, its schedule in proportion.

    Sets of small images become the digits, and image folders crops of two photographs. Published weights, which
    may need a network, are left out; those of a file load.
    """
    recipe, iterations = config.recipe, DEBUG_ITERATIONS
    scale = iterations / (recipe.iterations or recipe.epochs or iterations)
    recipe = replace(
        recipe,
        iterations=iterations,
        epochs=None,
        drops=[max(1, round(drop * scale)) for drop in recipe.drops],
        warmup_iterations=min(recipe.warmup_iterations, 1),
        batch_size=min(recipe.batch_size, 8),
        accumulate=1,
    )
    data = config.data
    few: dict[str, Any] = {"validation": 0, "train_images": 32, "test_images": 16}
    if isinstance(data, SmallImagesConfig):
        data = replace(data, name="digits", root=None, size=None, pad=1, flip=False, **few)
    elif isinstance(data, ImageFolderConfig):
        root = debug_images.make(Path(config.runs_root) / "debug-images")
        sizes: dict[str, Any] = {
            "crop": 64,
            "test_crop": None,
            "resize": 72,
            "scale_min": 72,
            "scale_max": 80,
        }
        data = replace(data, name="image_folder", root=str(root), fingerprint=None, **sizes, **few)
    model = config.model
    if model.weights is not None and variant(model) is not None:
        model = replace(model, weights=None, head="keep")
    # A folder of its own, so that no report takes it for the experiment.
    return replace(config, name=f"debug/{config.name}", model=model, recipe=recipe, data=data)


def _with_fingerprint(data: DataConfig, facts: DataInfo) -> DataConfig:
    """The data, told apart from others of their name; UserError where they have one class alone."""
    if facts.classes < 2:
        only = ", ".join(facts.class_names)
        raise UserError(f"data.root={data.root} holds one class ({only}): to be told apart, two are needed")
    if isinstance(data, ImageFolderConfig) and facts.fingerprint is not None:
        return replace(data, fingerprint=facts.fingerprint)
    return data


def _check_frozen(config: TrainConfig) -> None:
    if config.recipe.freeze == "backbone" and config.model.weights is None:
        raise UserError(
            "recipe.freeze=backbone keeps the backbone as its weights have it: name them, as model.weights=imagenet"
        )


def _refuse_added_keys(node: DictConfig, prefix: str = "") -> None:
    """Refuse keys that no schema knows: Hydra lets `+key=value` add them."""
    schema = OmegaConf.get_type(node)
    if not is_dataclass(schema):
        return
    allowed = [field.name for field in fields(schema)]
    for key, value in node.items_ex(resolve=False):
        if key not in allowed:
            raise unknown("key", prefix + str(key), [f"{prefix}{name}" for name in allowed])
        if isinstance(value, DictConfig):
            _refuse_added_keys(value, f"{prefix}{key!s}.")


def _one_line(error: Exception) -> UserError:
    """Hydra's and OmegaConf's errors as one line that names the key, what is allowed and the nearest."""
    if isinstance(error, MissingConfigException) and error.options is not None:
        asked = str(error.missing_cfg_file)
        for group, options in groups().items():  # an option may lie deeper, as in experiment=he2015/table6
            if asked.startswith(f"{group}/"):
                return unknown(f"option of the group {group!r}:", asked.removeprefix(f"{group}/"), options)
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    message = str(cause).splitlines()[0]
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        if message.startswith("Key ") and " not in " in message:
            schema = cause.object_type if is_dataclass(cause.object_type) else TrainConfig
            prefix = cause.full_key.rpartition(".")[0]
            allowed = [f"{prefix}.{field.name}".lstrip(".") for field in fields(schema)]
            return unknown("key", cause.full_key, [*allowed, *([] if prefix else ["experiment"])])
        return UserError(f"{cause.full_key}: {message[0].lower()}{message[1:]}")
    if message.startswith("Ambiguous value"):
        return UserError(f"{message}: add -m to sweep over the values, or write [a,b] for a list")
    if isinstance(error, OverrideParseException):
        return UserError(
            f"{error.override!r} is no override: write key=value or group=option, as model.depth=32"
        )
    return UserError(" ".join(str(error).split()))
