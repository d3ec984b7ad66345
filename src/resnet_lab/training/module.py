"""What trains a run: our Classifier, a subclass of it, or any other LightningModule."""

# ruff: noqa: ARG002 (Lightning names the arguments of its hooks)

import inspect
import random
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor, nn

from resnet_lab.errors import UserError
from resnet_lab.targets import called, locate, made, takes
from resnet_lab.training.classifier import Classifier, exact_length
from resnet_lab.training.mixing import seed_device
from resnet_lab.training.recipes import RecipeConfig, total_iterations
from resnet_lab.training.sums import rank, world_size

LOGGED = "logged"  # in a checkpoint: sums of what the module has logged of an epoch that is under way
LENGTH = ("name", "iterations", "epochs", "shorten", "batch_size", "drop_last", "accumulate")
READ_FOR_ANY = (*LENGTH, "ema", "recompute_bn")  # fields of the recipe that apply to any LightningModule
NEEDED = ("training_step", "configure_optimizers", "test_step")


def build(
    target: str,
    args: Mapping[str, Any],
    net: nn.Module,
    recipe: RecipeConfig,
    classes: int,
    *,
    seed: int,
    **more: Any,
) -> LightningModule:
    """Return the module that `target` names, made with `args`; "": Classifier.

    A subclass of Classifier is called as Classifier is, `more` included. Any other module gets `net`, `recipe`,
    `classes` and `seed` if it names them. Raises UserError for what is no LightningModule or cannot be made.
    """
    if not target:
        return Classifier(net, recipe, classes, seed=seed, **more)
    what = f"module._target_={target}"
    found = locate(target, "module._target_")
    given = made(dict(args), "module.args")
    if is_classifier(found):
        module = called(what, found, net, recipe, classes, seed=seed, **more, **given)
    else:
        usual = {"net": net, "recipe": recipe, "classes": classes, "seed": seed}
        module = called(what, found, **{name: usual[name] for name in takes(found) if name in usual} | given)
    if not isinstance(module, LightningModule):
        raise UserError(f"{what} gives {type(module).__name__}: a LightningModule is needed")
    for hook in NEEDED:
        if not is_overridden(hook, module, LightningModule):
            raise UserError(
                f"{what} has no {hook}: training_step, configure_optimizers and test_step are needed"
            )
    return module


def is_classifier(target: Any) -> bool:
    """Return whether a target is Classifier or a subclass of it."""
    return inspect.isclass(target) and issubclass(target, Classifier)


def unread_recipe(target: str) -> dict[str, str]:
    """Return the recipe's fields that the module of `target` does not read, and what would. Raises UserError."""
    found = locate(target, "module._target_")
    if is_classifier(found) or "recipe" in takes(found):
        return {}
    reader = f"a Classifier, or a module that takes an argument recipe, which {target} does not"
    return {each.name: reader for each in fields(RecipeConfig) if each.name not in READ_FOR_ANY}


def is_own_task(target: str) -> bool:
    """Return whether the class has its own `measure` or `test_step`: then the final test is the module's own."""
    found = locate(target, "module._target_")
    own = ("measure", "test_step")
    return not is_classifier(found) or any(
        getattr(found, name) is not getattr(Classifier, name) for name in own
    )


def place_of(module: nn.Module, net: nn.Module) -> str | None:
    """Return the name under which a module holds the net of `model=`; None if it does not."""
    return next((name for name, each in module.named_modules() if each is net), None)


def tests_itself(module: LightningModule) -> bool:
    """Return whether the final test is the module's own, not that of a classifier under a protocol."""
    own = not isinstance(module, Classifier) or type(module).test_step is not Classifier.test_step
    return bool(own or module.measures)


def _log_over_ranks(module: Any) -> None:
    """Let what the module logs of an epoch or an evaluation be that of all ranks, as it is with one device."""
    log = module.log

    def over_ranks(*given: Any, **named: Any) -> None:
        whole = named.get("on_epoch") or not module.trainer.training
        log(*given, **named | ({"sync_dist": True} if whole and not named.get("rank_zero_only") else {}))

    if not getattr(log, "over_ranks", False):
        over_ranks.over_ranks = True  # type: ignore[attr-defined]
        module.log = over_ranks


class Governed(Callback):
    """Let a LightningModule that is not a Classifier end at the recipe's length and be repeatable.

    It evaluates on validation images alone, and seeds the generators from (seed, epoch, batch), so that a run that is
    killed and resumed ends with the same weights.
    """

    def __init__(self, recipe: RecipeConfig, seed: int) -> None:
        self._recipe, self._seed = recipe, seed
        self._within = False  # an epoch
        self._logged: dict[str, dict[str, Tensor]] = {}  # of this epoch, before the run was resumed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.world_size > 1:
            _log_over_ranks(pl_module)
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        data.eval_names = tuple(name for name in data.eval_names if name == "val")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        batches = int(trainer.num_training_batches)
        exact_length(trainer, self._recipe, batches)
        # With manual optimisation we cannot know what the module counts as an iteration.
        counted = pl_module.automatic_optimization or self._recipe.iterations
        module: Any = pl_module
        module.total_iterations = total_iterations(self._recipe, batches) if counted else 0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._draw(trainer, batch_idx)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._within = True
        for name, sums in self._logged.items():
            for each, value in sums.items():
                item = trainer.fit_loop._results[name]
                setattr(item, each, value.to(item.value.device) + getattr(item, each))
        self._logged = {}
        if 0 < pl_module.total_iterations <= trainer.global_step:  # type: ignore[operator]
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._within = False

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the sums of what is logged once an epoch, which Lightning forgets."""
        if self._within and trainer.world_size == 1:
            checkpoint[LOGGED] = {
                name: {each: getattr(item, each) for each in ("value", "cumulated_batch_size")}
                for name, item in trainer.fit_loop._results.items()
                if item.is_tensor and item.meta.on_epoch and item.meta.is_mean_reduction
            }

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._logged = checkpoint.get(LOGGED, {})

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._draw(trainer, -1)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._draw(trainer, -2)

    def _draw(self, trainer: Trainer, batch_idx: int) -> None:
        where = (self._seed, trainer.current_epoch, batch_idx, *((rank(),) if world_size() > 1 else ()))
        seed_device(trainer.strategy.root_device, *where)
        number = hash(where) % 2**32  # of whole numbers alone: the same in every process
        random.seed(number)
        np.random.seed(number)  # noqa: NPY002 (the generator that modules draw from)
