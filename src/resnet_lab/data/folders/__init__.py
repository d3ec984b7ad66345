"""Class folders of images (data=imagenet, data=image_folder). Free of torch until they are opened.

The folders: root/train/CLASS and root/val/CLASS, as torchvision has them, with root/test/CLASS where there is one;
or root/CLASS alone, of which a fixed share is held out. Classes are named after their folders.
"""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from resnet_lab.data.folders.fingerprint import FolderImages, look
from resnet_lab.data.source import Source
from resnet_lab.data.spec import DataInfo, ImageFolderConfig
from resnet_lab.errors import UserError
from resnet_lab.files import expanded

if TYPE_CHECKING:
    from resnet_lab.data.folders.images import EncodedImages


class Found(Protocol):
    """The images that lie where the configuration says, in folders or in shards."""

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
        for key, side in (("crop", config.crop), ("test_crop", config.test_crop or 0)):
            if side > config.resize:
                raise UserError(f"data.{key}={side}: allowed are 1 to data.resize={config.resize}")
        if not config.crop <= config.scale_min <= config.scale_max:
            scales = f"data.scale_min={config.scale_min}, data.scale_max={config.scale_max}"
            raise UserError(f"{scales}: they must rise from data.crop={config.crop}")

    @property
    @abstractmethod
    def found(self) -> Found: ...

    def info(self) -> DataInfo:
        crop, found = self.config.crop, self.found
        return self.facts((3, crop, crop), found.class_names, found.fingerprint)

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
