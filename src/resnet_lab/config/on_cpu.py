"""What a CPU cannot do. Free of torch."""

from resnet_lab.config.schema import TrainerConfig
from resnet_lab.errors import UserError


def check(trainer: TrainerConfig, precision: str, devices: int) -> None:
    """Raise UserError for what needs GPUs; `devices`: of all nodes."""
    if precision == "16":  # Lightning computes in bf16 then, without a word
        raise UserError("precision=16 is for GPUs: on a CPU use precision=bf16 or 32")
    if trainer.strategy == "fsdp":
        raise UserError("trainer.strategy=fsdp needs GPUs")
    if trainer.sync_batch_norm and devices > 1:
        raise UserError("trainer.sync_batch_norm needs GPUs: PyTorch has none for the CPU")
