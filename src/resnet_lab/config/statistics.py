"""Whether batch norm ever sees a single value, of which there is no variance. Free of torch."""

from resnet_lab.config.schema import ALL, TrainConfig
from resnet_lab.data.spec import DataInfo
from resnet_lab.models.checks import stride
from resnet_lab.models.description import Net
from resnet_lab.training.recipes import check_statistics


def check(config: TrainConfig, facts: DataInfo, devices: int | None = None) -> None:
    """Raise UserError where one of the devices (None: those of the configuration) trains one image on a map of 1x1."""
    net, trainer = config.model, config.trainer
    if not isinstance(net, Net) or not net.batch_norm or config.recipe.freeze == "backbone":
        return
    if max(facts.height, facts.width) > stride(net):
        return
    if devices is None:
        devices = 1 if trainer.devices == ALL else trainer.devices * trainer.num_nodes
    check_statistics(config.recipe, facts.training, 1 if trainer.sync_batch_norm else devices)
