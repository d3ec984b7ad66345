"""Whether batch norm ever sees a single value, of which there is no variance. Free of torch."""

from resnet_lab.config.schema import ALL, TrainConfig
from resnet_lab.data.small.sets import SETS
from resnet_lab.data.spec import DataInfo, SmallImagesConfig
from resnet_lab.models.checks import stride
from resnet_lab.models.description import ModelConfig
from resnet_lab.training.recipes import check_statistics


def check(
    config: TrainConfig, facts: DataInfo, images: int | None = None, devices: int | None = None
) -> None:
    """Raise UserError where a device would train one image on a map of 1x1.

    `images` of training and `devices`, None: as far as the configuration tells; what it does not is checked later.
    """
    net, trainer = config.model, config.trainer
    if not isinstance(net, ModelConfig) or not net.batch_norm or config.recipe.freeze == "backbone":
        return
    if max(facts.height, facts.width) > stride(net):
        return
    if images is None:
        images = facts.training or _training_images(config)
    if devices is None:
        devices = 1 if trainer.devices == ALL else trainer.devices * trainer.num_nodes
    if images is not None:
        check_statistics(config.recipe, images, 1 if trainer.sync_batch_norm else devices)


def _training_images(config: TrainConfig) -> int | None:
    data = config.data
    if isinstance(data, SmallImagesConfig) and data.name in SETS:
        return data.train_images or SETS[data.name].train - data.validation
    return None
