"""Class folders of images (data=imagenet, data=image_folder). Free of torch until they are opened.

The folders: root/train/CLASS and root/val/CLASS, as torchvision has them, with root/test/CLASS where there is one;
or root/CLASS alone, of which a fixed share is held out. Classes are named after their folders.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from resnet_lab.data.folders.fingerprint import FolderImages, look
from resnet_lab.data.source import Source
from resnet_lab.data.spec import DataInfo, ImageFolderConfig
from resnet_lab.errors import UserError
from resnet_lab.files import expanded

if TYPE_CHECKING:
    from resnet_lab.data.folders.images import EncodedImages


class Found(Protocol):
    """Images where the configuration says, whole or in shards."""

    @property
    def splits(self) -> Mapping[str, Any]: ...

    @property
    def counts(self) -> Mapping[str, int]: ...

    @property
    def class_names(self) -> tuple[str, ...]: ...

    @property
    def fingerprint(self) -> str: ...


class EncodedSource(Source[ImageFolderConfig]):
    """Files of images of any size, wherever they lie."""

    def __init__(self, config: ImageFolderConfig, batch_size: int = 2) -> None:
        super().__init__(config, batch_size)
        if config.crop > config.resize:
            raise UserError(f"data.crop={config.crop}: allowed are 1 to data.resize={config.resize}")
        if config.test_crop is not None and config.test_crop > config.resize:
            raise UserError(
                f"data.test_crop={config.test_crop}: allowed are 1 to data.resize={config.resize}, or null"
            )
        if not config.crop <= config.scale_min <= config.scale_max:
            raise UserError(
                f"data.scale_min={config.scale_min}, data.scale_max={config.scale_max}: they must rise from "
                f"data.crop={config.crop}"
            )

    @property
    def found(self) -> Found:
        """What lies there."""
        raise NotImplementedError

    def info(self) -> DataInfo:
        config, found = self.config, self.found
        self.check_fingerprint(found.fingerprint)
        self.check_transform(3, config.crop, config.crop)
        training, validated = self.training_images(), "val" in found.splits
        return DataInfo(
            3, config.crop, config.crop, found.class_names, training, found.fingerprint, validated
        )

    def counts(self) -> Mapping[str, int]:
        return self.found.counts


class ClassFolders(EncodedSource):
    """Files in class folders."""

    names = ("imagenet", "image_folder")

    @cached_property
    def found(self) -> FolderImages:
        return look(expanded(self.root))

    def open(self) -> "EncodedImages":
        from resnet_lab.data.folders.images import EncodedImages, FolderFiles

        found = self.found
        found.tell_others()
        files = {part: FolderFiles(folder, found.class_names) for part, folder in found.splits.items()}
        return EncodedImages(self.config, self.info(), files)
