"""Contact sheets, as pictures that can be opened."""

from pathlib import Path

import pytest
from PIL import Image

from folders import config, make
from resnet_lab.data.show import show
from resnet_lab.data.spec import DataConfig, SmallImagesConfig
from resnet_lab.errors import UserError


@pytest.mark.parametrize("kind", ["digits", "image_folder"])
def test_a_sheet_of_augmented_and_one_of_test_images_are_written(kind: str, tmp_path: Path) -> None:
    chosen: DataConfig = SmallImagesConfig(name="digits", pad=1)
    if kind == "image_folder":
        chosen = config(make(tmp_path / "images"))
    paths = show(chosen, tmp_path / "sheets")
    assert [path.name for path in paths] == [f"{kind}-train.png", f"{kind}-test.png"]
    for path in paths:
        with Image.open(path) as sheet:
            assert min(sheet.size) > 500
            assert len(sheet.convert("L").getcolors()) > 16, "there is something on it"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        show(SmallImagesConfig(name="digits", pad=1), tmp_path / "file" / "sheets")
