"""Compose a typed configuration from Hydra overrides, and tell every mistake in one line. Free of torch."""

from collections.abc import Collection
from copy import deepcopy
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from resnet_lab.config import rules
from resnet_lab.config.groups import ROOT, config_dir, own_dirs
from resnet_lab.config.hydra_errors import one_line, refuse_added_keys
from resnet_lab.config.machine import with_local_data
from resnet_lab.config.own_code import authorise, targets, with_sources
from resnet_lab.config.schema import CallbacksConfig, LoggerConfig, TrainConfig, TrainerConfig
from resnet_lab.data import info, published
from resnet_lab.data.spec import (
    DataConfig,
    DataInfo,
    ImageFolderConfig,
    OwnConfig,
    ShardsConfig,
    SmallFolderConfig,
    SmallImagesConfig,
)
from resnet_lab.errors import UserError
from resnet_lab.extras import registered
from resnet_lab.fields import at_home
from resnet_lab.fields import check as check_fields
from resnet_lab.models.build import build
from resnet_lab.models.build import completed as completed_net
from resnet_lab.models.description import ModelConfig
from resnet_lab.models.other import OtherConfig
from resnet_lab.training import recipes
from resnet_lab.training.recipes import RecipeConfig, shortened
from resnet_lab.training.recipes import check as check_recipe

SCHEMAS: dict[str, type] = {
    "schema": TrainConfig,
    "model/schema": ModelConfig,
    "model/other_schema": OtherConfig,
    "recipe/schema": RecipeConfig,
    "data/small_images_schema": SmallImagesConfig,
    "data/small_folder_schema": SmallFolderConfig,
    "data/image_folder_schema": ImageFolderConfig,
    "data/shards_schema": ShardsConfig,
    "data/own_schema": OwnConfig,
    "trainer/schema": TrainerConfig,
    "logger/schema": LoggerConfig,
    "callbacks/schema": CallbacksConfig,
}


class OwnConfigurations(SearchPathPlugin):
    """Registered by hand, so that other programs of the environment are left alone."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in reversed(own_dirs()):
            search_path.prepend("own", f"file://{folder}")


@cache
def register_schemas() -> None:
    """Make the typed schemas known to Hydra, under the names that the YAML files use, and the user's folders."""
    Plugins.instance().register(OwnConfigurations)
    store = ConfigStore.instance()
    for path, node in SCHEMAS.items():
        group, _, name = path.rpartition("/")
        store.store(group=group or None, name=name, node=node)
        stored = store.repo[group] if group else store.repo
        _open_dictionaries(stored[f"{name}.yaml"].node)


def _open_dictionaries(node: DictConfig) -> None:
    """Let the fields of a schema that have any keys, for example recipe.optimizer_args, take new ones without a +."""
    for key in node:
        child = None if OmegaConf.is_missing(node, key) else node[key]
        if isinstance(child, DictConfig) and is_dataclass(OmegaConf.get_type(child)):
            _open_dictionaries(child)
        elif isinstance(child, DictConfig):
            OmegaConf.set_struct(child, False)


def refuse_unread(config: TrainConfig, said: Collection[str]) -> None:
    """Raise UserError for a key that was `said` and that nothing reads with the other choices: the run would be equal.

    What a file says may stay unread there: a recipe keeps its warm-up's rate when the warm-up is switched off.
    """
    if config.debug:  # it switches off what would read them
        return
    of_recipe = recipes.unread(config.recipe)
    if config.module._target_:
        from resnet_lab.training.module import unread_recipe

        of_recipe = unread_recipe(config.module._target_) or of_recipe
    for group, unread in (("recipe", of_recipe), ("data", config.data.unread())):
        part = getattr(config, group)
        usual = {each.name: each.default for each in fields(part)}
        for name, reader in unread.items():
            value = getattr(part, name)
            if f"{group}.{name}" in said and value != usual[name]:
                raise UserError(f"{group}.{name}={value} has no effect here: it is for {reader}")


def compose_raw(overrides: list[str], *, with_hydra: bool = False) -> DictConfig:
    """Return what Hydra composes from overrides that were read, not yet checked; `with_hydra` keeps its own node."""
    register_schemas()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            composed = hydra_compose(ROOT, overrides, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise one_line(error) from None

    return _with_names(composed, keep_hydra=with_hydra)


def _with_names(composed: DictConfig, *, keep_hydra: bool = False) -> DictConfig:
    """Name a user's own model and data set after their YAML files, which only Hydra knows."""
    with open_dict(composed):
        for group, kind in (("model", OtherConfig), ("data", OwnConfig)):
            if OmegaConf.get_type(composed[group]) is kind and not composed[group].name:
                composed[group].name = composed.hydra.runtime.choices.get(group)
        if not keep_hydra:
            del composed["hydra"]
    return composed


def config_loader() -> ConfigLoader:
    """Return what knows the options of each group, for a glob over them."""
    register_schemas()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return GlobalHydra.instance().config_loader()


def typed(composed: DictConfig, *, planned: bool = False, trains: bool = True) -> TrainConfig:
    """Return a composed configuration as dataclasses, completed from its data set and checked."""
    if "hydra" in composed:
        composed = _with_names(deepcopy(composed))
    refuse_added_keys(composed)
    try:
        config = OmegaConf.to_object(composed)
    except OmegaConfBaseException as error:
        raise one_line(error) from None
    assert isinstance(config, TrainConfig)
    return completed(config, planned=planned, trains=trains)


def completed(config: TrainConfig, *, planned: bool = False, trains: bool = True) -> TrainConfig:
    """Return the configuration with what its data set decides filled in; UserError where it makes no sense."""
    config = at_home(replace(config, data=with_local_data(config.data)))
    check_fields(config)
    rules.check_alone(config)
    config = replace(config, recipe=shortened(config.recipe))
    authorise(config)  # before any of them is called
    if config.debug:
        changed = registered("debug").get("configuration")
        if changed is None:
            raise UserError(f"debug={config.debug}: resnet_lab/debug is not installed")
        config = changed(config)
    facts = (published(config.data) if planned else None) or info(config.data)
    config = replace(config, data=_with_fingerprint(config.data, facts))
    asked = config.model
    if isinstance(asked, OtherConfig):  # what only its file tells
        asked = replace(asked, told=_changed_arguments(asked))
    free = _is_own_task(config, facts)
    model = completed_net(asked, (facts.channels, facts.height, facts.width), facts.classes, free=free)
    check_recipe(config.recipe)
    config = with_sources(replace(config, model=model))
    rules.check_with_data(config, facts, trains=trains, own_task=free)
    if config.recipe.lr_scale:
        from resnet_lab.training.optimizers import parameter_groups

        parameter_groups(config.recipe, model.outline((facts.channels, facts.height, facts.width)), ())
    if config.recipe.optimizer_args or any(targets(config.recipe)):
        from resnet_lab.training.trial import try_out

        try_out(config.recipe, model.num_classes or facts.classes)
    _try_own(config, facts, free=free)
    return config


def _is_own_task(config: TrainConfig, facts: DataInfo) -> bool:
    """Return whether the run's module has figures of its own. Raises UserError if the labels need it."""
    task = False
    if config.module._target_:
        from resnet_lab.training.module import is_own_task

        task = is_own_task(config.module._target_)
    if facts.own_batches:
        _check_own_batches(config)
    if facts.target_shape is not None and not task:
        raise UserError(
            f"labels of {config.data.name} are tensors {facts.target_shape}, which name no class: module._target_ names"
            " a module that measures them"
        )
    if facts.target_shape is not None and (config.recipe.mixup or config.recipe.cutmix):
        raise UserError("recipe.mixup and recipe.cutmix mix classes, and these labels are tensors")
    if task and config.metrics:
        names = ", ".join(config.metrics)
        raise UserError(
            f"metrics={names}: they are for classes; {config.module._target_} logs its own figures"
        )
    return task


def _check_own_batches(config: TrainConfig) -> None:
    """Raise UserError where something but a LightningModule of the user's would read the batches."""
    from resnet_lab.targets import locate
    from resnet_lab.training.module import is_classifier

    target, needs = config.module._target_, "needs batches of (images, labels)"
    if not target or is_classifier(locate(target, "module._target_")):
        raise UserError(
            f"batches of {config.data.name} are not (images, labels), float (N, C, H, W) and (N, ...): module._target_"
            " names a LightningModule that takes them"
        )
    if config.recipe.recompute_bn:
        raise UserError(f"recipe.recompute_bn {needs}")
    if config.callbacks.probe.layer_responses:
        raise UserError(f"callbacks.probe.layer_responses {needs}")


def _try_own(config: TrainConfig, facts: DataInfo, *, free: bool) -> None:
    """Raise UserError for a metric or a callback that cannot be made, or is none."""
    metrics: tuple[str, ...] = ()
    if config.metrics:
        from resnet_lab.training.metrics import Metrics

        metrics = Metrics(config.metrics, facts.class_names, config.model.num_classes).columns
    if config.module.args and not config.module._target_:
        raise UserError(
            f"module.args={config.module.args}: they are for module._target_, which names no module"
        )
    if config.module._target_ or "." in config.recipe.loss:
        from resnet_lab.training.trial import try_module

        bare, shape = config.model.without_weights(), (facts.channels, facts.height, facts.width)
        parts = config.module._target_, config.module.args, config.recipe
        try_module(*parts, lambda: build(bare), shape, facts.classes)
    if config.logger.extra:
        from resnet_lab.training.run_logger import own_loggers

        own_loggers(config.logger.extra)
    if config.callbacks.extra:
        from resnet_lab.training import extra

        validated = config.data.validation > 0 or facts.validated
        extra.made(config.callbacks.extra, validated=validated, metrics=None if free else metrics)


def _with_fingerprint(data: DataConfig, facts: DataInfo) -> DataConfig:
    """Distinguish the data from others of the same name. Raises UserError for a single class."""
    if facts.classes < 2 and facts.target_shape is None and not facts.own_batches:
        only = ", ".join(facts.class_names)
        raise UserError(f"data.root={data.root} holds one class ({only}): two classes are needed")
    return data.identified(facts)


def _changed_arguments(net: OtherConfig) -> list[str]:
    """Return the arguments that are not as the net's file has them."""
    places = (root / "model" / f"{net.name}.yaml" for root in (*own_dirs(), config_dir()))
    file = next((path for path in places if path.is_file()), None)
    content: Any = OmegaConf.load(file) if file else {}
    usual = content.get("args") or {}
    return [key for key, value in net.args.items() if key not in usual or usual[key] != value]
