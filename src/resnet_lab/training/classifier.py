"""The default LightningModule: any backbone, trained and tested as the recipe says."""

# ruff: noqa: ARG002 (Lightning names the arguments of its hooks)

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Self

import torch
import torch.distributed as dist
import torch.nn.functional as F
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from resnet_lab.errors import UserError
from resnet_lab.training import freezing, optimizers
from resnet_lab.training.batch_norm import frozen_statistics
from resnet_lab.training.criterion import Criterion, frozen_parts, keep_frozen_out, summed
from resnet_lab.training.layout import memory_format
from resnet_lab.training.metrics import Metrics
from resnet_lab.training.mixing import mixing, seed_device
from resnet_lab.training.recipes import RecipeConfig, check_scaled, total_iterations
from resnet_lab.training.schedules import learning_rate
from resnet_lab.training.sums import Means, Sums, means, rank, rates, world_size

CHECK_EVERY = 50  # steps between looks at the loss where a look makes the GPU, or the other ranks, wait


class NonFiniteLoss(ArithmeticError):
    """The training loss became infinite or NaN; `iteration` is the step at which this was seen, from 1."""

    def __init__(self, iteration: int) -> None:
        super().__init__(f"the training loss was not finite at iteration {iteration}")
        self.iteration = iteration


def exact_length(trainer: Trainer, recipe: RecipeConfig, batches: int) -> None:
    """Set the epochs of a run that is counted in iterations, for this many batches an epoch."""
    if recipe.iterations is not None:
        epochs = math.ceil(recipe.iterations / math.ceil(batches / recipe.accumulate))
        trainer.fit_loop.max_epochs = min(epochs, trainer.max_epochs or epochs)


class Classifier(LightningModule):
    """Any `backbone` that maps (N, C, H, W) to scores (N, num_classes), under a recipe.

    A batch is such images, and labels (N,). Logs once an epoch, over all devices: `train/loss` and `train/error` (as
    training ran), and for each validation loader, named by `eval_names` in order, `/loss`, `/error` and `/top5_error`
    (per cent), and what `metrics` add. `Trainer.test` logs the same as `test/…`. Whatever training draws at random is a
    function of `seed` and of where the run stands.
    """

    def __init__(
        self,
        backbone: nn.Module,
        recipe: RecipeConfig,
        num_classes: int,
        eval_names: Sequence[str] = ("val", "test"),
        seed: int = 0,
        metrics: Metrics | None = None,
        head: str | None = None,
    ) -> None:
        super().__init__()
        self._layout = memory_format(backbone)
        self.backbone = backbone.to(memory_format=self._layout)
        self.recipe = recipe
        self.seed = seed
        self.eval_names = tuple(eval_names)
        self._further = metrics
        self.total_iterations = 0  # known when training starts
        self._mix = mixing(recipe, num_classes)
        self.criterion = Criterion(recipe) if "." in recipe.loss else None
        self.loss_name = self.criterion.what if self.criterion else f"{type(self).__name__}.training_loss"
        keep_frozen_out(self, apart="backbone")
        self._train = Means() if self.measures else Sums(top5=False)
        self._eval: dict[str, Sums | Means] = {}  # of this evaluation, by the names of its loaders
        # Kept out of the modules, whose states a checkpoint holds: each evaluation begins anew.
        self._metrics: dict[str, Metrics] = {}
        self._counted = False  # SAM looks at a batch twice; it counts once
        self._passed = False  # whether batch norm has seen this batch
        if recipe.freeze == "backbone":
            freezing.freeze(self.backbone, head)
        self._decayed = optimizers.decayed(recipe, self.backbone)  # before a strategy shards it

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores (N, K) of images (N, C, H, W).

        Only the first pass of a training step counts in the running statistics of batch norm.
        """
        with frozen_statistics(self.backbone, when=self.training and self._passed):
            self._passed = True
            return self.backbone(images)

    # Training

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.recipe.freeze == "backbone":
            freezing.hold(self.backbone)
        return self

    def configure_optimizers(self) -> Optimizer:
        if scaled := self.trainer.precision == "16-mixed":
            check_scaled(self.recipe)
        further = {name: each for name, each in self.named_parameters() if not name.startswith("backbone.")}
        covered = self._decayed | (optimizers.decayed(self.recipe, self) & further.keys())
        return optimizers.build(self.recipe, self.backbone, covered, further=further, scaled=scaled)

    def configure_gradient_clipping(self, optimizer: Optimizer, *_: Any, **__: Any) -> None:
        if self.recipe.clip:
            self.clip_gradients(optimizer, self.recipe.clip, "norm")

    def on_train_start(self) -> None:
        batches = int(self.trainer.num_training_batches)
        self.total_iterations = total_iterations(self.recipe, batches)
        exact_length(self.trainer, self.recipe, batches)
        if isinstance(parallel := self.trainer.strategy.model, DistributedDataParallel):
            # An evaluation broadcasts them once. DDP would at each batch, and ranks whose shares differ in
            # their number of batches would then wait for one another for ever.
            parallel.broadcast_buffers = False

    def on_train_epoch_start(self) -> None:
        self._train.reset()
        for name in frozen_parts(self, self.backbone):
            self.get_submodule(name).eval()

    def on_train_batch_start(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._counted = self._passed = False
        rate = learning_rate(self.trainer.global_step, self.recipe, self.total_iterations)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)

    def training_loss(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch, its mean () or a loss for each image (N,), and the scores (N, K).

        Targets are labels (N,) or, if the recipe mixes images, probabilities (N, K). To be overridden: everything
        around it stays as it is.
        """
        scores = self(images)
        if self.criterion is not None:
            # Passes of the loss's own leave no trace in the statistics.
            with frozen_statistics(self.backbone, when="net" in self.criterion.also):
                return self.criterion(scores, targets, images, self.backbone), scores
        if self.recipe.loss == "cross_entropy":
            smoothing = self.recipe.label_smoothing
            return F.cross_entropy(scores, targets, reduction="none", label_smoothing=smoothing), scores
        if targets.ndim == 1:
            targets = F.one_hot(targets, scores.shape[1])
        # Any share of a class counts as the class, as in 2110.00476.
        present = (targets > 0).to(scores.dtype)
        return F.binary_cross_entropy_with_logits(scores, present, reduction="none").mean(1), scores

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        shared = None
        if world_size() > 1:
            total = torch.full((), len(labels), dtype=torch.float32, device=images.device)
            shared = dist.all_reduce(total, async_op=True)

        where = (self.seed, self.current_epoch, batch_idx)
        seed_device(self.device, *where)
        targets = labels
        if self._mix is not None:
            images, targets = self._mix(images, labels)
        images = images.contiguous(memory_format=self._layout)  # which mixup, too, rolls out of
        if world_size() > 1:
            seed_device(self.device, *where, rank())
        loss, scores = self.training_loss(images, targets)
        loss = summed(loss, len(labels), self.loss_name)
        if not self._counted:
            if isinstance(self._train, Means):
                self._train.add(self.measure(scores, labels) | {"loss": loss}, len(labels))
            else:
                self._train.add(loss, scores, labels)
            self._counted = True
            self._refuse_non_finite()

        scale = self._group_scale(batch_idx)
        if shared is None:
            return loss * (scale / len(labels))
        shared.wait()
        # Ranks average their gradients: times the world, over the global batch, is its plain mean,
        # however uneven the ranks' slices are.
        return loss * (scale * world_size()) / total

    def on_train_batch_end(self, outputs: Any, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        # A run counted in iterations may end within an epoch: stopping this way evaluates that epoch too.
        if self.trainer.global_step >= self.total_iterations:
            self.trainer.should_stop = True

    def on_train_epoch_end(self) -> None:
        sums = self._train.reduced(self.device)
        if not math.isfinite(sums["loss"]):
            raise NonFiniteLoss(self.trainer.global_step)
        values = means(sums) if self.measures else rates(sums)
        values.pop("top5_error", None)
        self._log({f"train/{name}": value for name, value in values.items()})

    def _group_scale(self, batch_idx: int) -> float:
        """Lightning divides by `accumulate` even where an epoch ends with fewer batches to sum."""
        size = self.recipe.accumulate
        left = self.trainer.num_training_batches - batch_idx // size * size
        return size / min(size, left)

    def _refuse_non_finite(self) -> None:
        """Raise NonFiniteLoss: on the CPU before the step is taken, elsewhere soon after, on all ranks."""
        iteration = self.trainer.global_step + 1
        alone_on_cpu = self.device.type == "cpu" and world_size() == 1
        if not alone_on_cpu and iteration % CHECK_EVERY:
            return
        finite = self._train.finite()
        if world_size() > 1:
            dist.all_reduce(finite := finite.int(), dist.ReduceOp.MIN)
        if not finite:
            raise NonFiniteLoss(iteration)

    # Evaluation

    def measure(self, scores: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return figures of each image by name, (N,) each; their means over a set are logged, as `val/error`.

        To be overridden where a task has other figures than `loss`, `error` and `top5_error` (per cent). Targets are
        those of the batch, not mixed; in training, `loss` is that of `training_loss`.
        """
        wrong5 = (scores.topk(min(5, scores.shape[1]), 1).indices != targets[:, None]).all(1)
        return {
            "loss": F.cross_entropy(scores, targets, reduction="none"),
            "error": 100.0 * (scores.argmax(1) != targets),
            "top5_error": 100.0 * wrong5,
        }

    @property
    def measures(self) -> bool:
        """Return whether it has figures of its own."""
        return type(self).measure is not Classifier.measure

    def setup(self, stage: str) -> None:
        # A data module of ours says which sets its loaders read; the loaders of others are named in order.
        module = getattr(self.trainer, "datamodule", None)
        self.eval_names = tuple(getattr(module, "eval_names", self.eval_names))

    def on_validation_epoch_start(self) -> None:
        given, names = len(self.trainer.num_val_batches), self.eval_names
        if given > len(names):
            raise UserError(f"{given} validation loaders, but eval_names are {', '.join(names)}")
        self._begin_evaluation(names[:given])
        if world_size() > 1:
            # Each rank has averaged its own batch statistics; the checkpoint, and so the test, is rank 0's.
            for buffer in self.backbone.buffers():
                dist.broadcast(buffer, src=0)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        self._evaluate(list(self._eval)[dataloader_idx], batch)

    def on_validation_epoch_end(self) -> None:
        for name in self._eval:
            self._finish_evaluation(name)

    def on_test_epoch_start(self) -> None:
        self._begin_evaluation(["test"])

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._evaluate("test", batch)

    def on_test_epoch_end(self) -> None:
        self._finish_evaluation("test")

    def _begin_evaluation(self, names: Sequence[str]) -> None:
        self._eval = {name: Means() if self.measures else Sums() for name in names}
        if self._further is not None:
            self._metrics = {name: deepcopy(self._further) for name in names}
        for metrics in self._metrics.values():
            metrics.start(self.device)

    def _evaluate(self, name: str, batch: tuple[Tensor, Tensor]) -> None:
        images, labels = batch
        scores = self(images)
        if isinstance(sums := self._eval[name], Means):
            sums.add(self.measure(scores, labels), len(labels))
        else:
            sums.add(F.cross_entropy(scores, labels, reduction="sum"), scores, labels)
        if self._metrics:
            self._metrics[name].add(scores.float().softmax(1), labels)

    def _finish_evaluation(self, name: str) -> None:
        sums = self._eval[name].reduced(self.device)
        values = means(sums) if self.measures else rates(sums)
        if self._metrics:
            values |= self._metrics[name].computed()
        self._log({f"{name}/{key}": value for key, value in values.items()})

    def _log(self, values: dict[str, float]) -> None:
        """Log what is already the same on every rank."""
        for name, value in values.items():
            self.log(name, value, prog_bar=name.endswith("/error"))

    # Checkpoints: a run resumed within an epoch counts the whole epoch

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["train_sums"] = self._train.reduced(self.device)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if "train_sums" in checkpoint:
            self._train.load(checkpoint["train_sums"], self.device)
