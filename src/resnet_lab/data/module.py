"""What every data set offers a run, beyond what Lightning asks of a data module."""

from abc import abstractmethod
from typing import Any

from lightning import LightningDataModule

from resnet_lab.data.order import place
from resnet_lab.data.preprocessing import Preprocessing
from resnet_lab.data.spec import DataInfo


class DataModule(LightningDataModule):
    """Batches are (images, labels): float32 (N, C, H, W), channels-last and normalised, and int64 (N,)."""

    info: DataInfo
    sizes: dict[str, int]  # after setup: images of train, val and test over all devices
    test_images_there: int  # after setup: the images of which the tested ones may be a part
    tests_a_share: bool = False  # where they are all the images, for want of test images of their own
    not_promised: str | None = None  # in one line, what a run of these images is not sure of
    eval_names: tuple[str, ...]  # what val_dataloader() lists, in order: val where images are set aside, test

    @abstractmethod
    def preprocessing(self) -> Preprocessing:
        """All that is needed to treat a file as a test image. Valid after setup."""

    @abstractmethod
    def test_views(self, resize: int | None, crop: int | None) -> Any:
        """A loader of the test images with the shorter side at `resize` pixels, then the centre square of `crop`.

        Without `resize` the usual test images. Raises UserError where the set has no other sizes.
        """

    def tested(self, loader: Any) -> list[tuple[int, str]]:  # noqa: ARG002
        """Of each image that this rank's last pass over a test loader gave: its place in the test set, and its name."""
        rank, world = place()
        return [(each, str(each)) for each in range(rank, self.sizes["test"], world)]
