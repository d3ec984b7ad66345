"""What does not go with a net whose weights are divided among devices (FSDP). Free of torch."""

from resnet_lab.config.schema import TrainConfig
from resnet_lab.errors import UserError


def check(config: TrainConfig) -> None:
    """Raise UserError for a choice that needs whole weights or gradients where a device has a part of each."""
    if config.trainer.strategy != "fsdp":
        return
    recipe, probe = config.recipe, config.callbacks.probe
    needs = {
        f"recipe.optimizer={recipe.optimizer}": (
            recipe.optimizer in ("lars", "lamb"),
            "compares whole layers",
        ),
        f"recipe.sam={recipe.sam}": (recipe.sam, "takes the norm of all gradients"),
        f"recipe.clip={recipe.clip}": (recipe.clip, "takes the norm of all gradients"),
        f"recipe.ema={recipe.ema}": (recipe.ema, "averages whole weights"),
        f"recipe.momentum={recipe.momentum}": (
            recipe.optimizer == "sgd" and not recipe.momentum,
            "leaves the optimiser without a state, from which no sharded run resumes",
        ),
        "trainer.compile=true": (config.trainer.compile, "makes one graph of the whole net"),
        "callbacks.probe.layer_responses": (probe.layer_responses, "measures whole layers"),
        "callbacks.probe.gradient_norms": (probe.gradient_norms, "measures whole layers"),
    }
    for choice, (chosen, what) in needs.items():
        if chosen:
            raise UserError(
                f"trainer.strategy=fsdp does not go with {choice}, which {what}: a residual net fits a GPU,"
                " use trainer=ddp"
            )
