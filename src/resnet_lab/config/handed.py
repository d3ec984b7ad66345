"""What `trainer.extra` hands to Lightning's Trainer, and what other keys decide. Free of torch at import."""

import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from resnet_lab.errors import UserError, unknown

OURS = {  # argument of Trainer -> the key that decides it
    "accelerator": "trainer.accelerator",
    "accumulate_grad_batches": "recipe.accumulate",
    "benchmark": "trainer.deterministic",
    "callbacks": "callbacks.extra",
    "default_root_dir": "runs_root",
    "deterministic": "trainer.deterministic",
    "devices": "trainer.devices",
    "enable_checkpointing": "callbacks.checkpoint",
    "enable_progress_bar": "trainer.progress",
    "fast_dev_run": "debug",
    "gradient_clip_algorithm": "recipe.clip",
    "gradient_clip_val": "recipe.clip",
    "logger": "logger",
    "max_epochs": "recipe.epochs",
    "max_steps": "recipe.iterations",
    "min_epochs": "recipe.epochs",
    "min_steps": "recipe.iterations",
    "num_nodes": "trainer.num_nodes",
    "overfit_batches": "data.train_images",
    "precision": "precision",
    "strategy": "trainer.strategy",
    "sync_batchnorm": "trainer.sync_batch_norm",
}
REFUSED = {  # argument of Trainer -> why no key decides it
    "barebones": "a run has its history and its checkpoints",
    "enable_model_summary": "resnet-lab models NAME --layers shows a net",
    "limit_predict_batches": "a run predicts nothing",
    "limit_test_batches": "the final test takes each image once; data.test_images takes fewer",
    "max_time": "a run that the clock ends is no other run's equal; one that is stopped goes on with the same command",
    "model_registry": "the run's folder holds its weights",
    "num_sanity_val_steps": "each part is tried before anything is written",
    "plugins": "they write the checkpoints and start the processes of a run",
    "reload_dataloaders_every_n_epochs": "the loaders know the epoch",
    "use_distributed_sampler": "the loaders give each process its share",
}
COUNTS = ("limit_train_batches", "check_val_every_n_epoch", "val_check_interval", "log_every_n_steps")


def check(extra: Mapping[str, Any]) -> None:
    """Raise UserError for an argument that Lightning's Trainer does not take, or that is not to be given here."""
    if not extra:
        return
    from lightning import Trainer

    allowed = [name for name in inspect.signature(Trainer).parameters if name not in {*OURS, *REFUSED}]
    for name in extra:
        if name in OURS:
            raise UserError(f"trainer.extra.{name}: {OURS[name]} decides it")
        if name in REFUSED:
            raise UserError(f"trainer.extra.{name} is not taken: {REFUSED[name]}")
        if name not in allowed:
            raise unknown("key of trainer.extra", name, allowed)
        if name in COUNTS and isinstance(extra[name], int | float) and not extra[name] > 0:
            raise UserError(f"trainer.extra: {name}={extra[name]}: must be greater than 0")
    ornaments: dict[str, Any] = {"enable_checkpointing": False, "enable_progress_bar": False}
    try:
        with _quiet():
            Trainer(accelerator="cpu", logger=False, enable_model_summary=False, **ornaments, **extra)
    except Exception as error:  # Lightning has errors of many kinds for a value that it does not take
        given = ", ".join(f"{name}={value}" for name, value in extra.items())
        raise UserError(f"trainer.extra: {given}: {' '.join(str(error).split())}") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what a Trainer says of the machine."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
