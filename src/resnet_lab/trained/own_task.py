"""Testing a run whose module has figures of its own: the module tests itself again."""

import warnings
from collections.abc import Callable

import torch
from lightning import Trainer

from resnet_lab import models
from resnet_lab.config.own_code import check_from_file
from resnet_lab.data.datamodule import DataModule
from resnet_lab.errors import UserError
from resnet_lab.runs.checkpoints import newest_sound
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.logs import quieten
from resnet_lab.trained.network import Trained
from resnet_lab.training import Classifier
from resnet_lab.training import module as modules
from resnet_lab.training.recipes import loader_batch_size


def is_own_task(net: Trained) -> bool:
    """Return whether a net is of a run whose module tests itself. Raises UserError if its folder may not name it."""
    if net.run is None or net.path is None or not net.run.module._target_:
        return False
    for group in ("module", "recipe"):
        check_from_file(getattr(net.run, group), net.run.sources, f"{group}.", net.path, trust=net.trust)
    return modules.is_own_task(net.run.module._target_)


def measured_by_itself(net: Trained, opened: Callable[..., DataModule]) -> dict[str, float]:
    """Return what the module of a run logs of the test images, with the weights of its last checkpoint.

    `opened` gives the images for a batch size and a seed. Raises UserError if there is no checkpoint.
    """
    run, path = net.run, net.path
    assert run is not None
    assert path is not None
    target = run.module._target_
    checkpoint = path if path.is_file() else newest_sound(RunFolder(path).checkpoints, run)
    if checkpoint is None:
        raise UserError(f"{path} has no checkpoint, in which the weights of {target} are")
    images = opened(batch_size=loader_batch_size(run.recipe), drop_last=False, seed=run.seed)
    bare = models.build(run.model.without_weights())
    module = modules.build(target, run.module.args, bare, run.recipe, images.info.classes, seed=run.seed)
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    module.load_state_dict(state, strict=module.strict_loading)
    governed = [] if isinstance(module, Classifier) else [modules.Governed(run.recipe, run.seed)]
    quieten()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Lightning's, which are for who trains
        trainer = Trainer(
            devices=1,
            callbacks=list(governed),
            use_distributed_sampler=False,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        found = trainer.test(module, datamodule=images, verbose=False)
    return {name: float(value) for each in found for name, value in each.items()}
