"""A small image folder for `debug=true`: crops of scikit-learn's two photographs, in torchvision's layout."""

import shutil
from pathlib import Path

IMAGES = {"train": 48, "val": 16}  # images of each class
SHAPE = (80, 96)  # pixels: height, width


def make(root: Path) -> Path:
    """root/{train,val}/{china,flower}/*.jpg, made once; returns root."""
    if root.is_dir():
        return root
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_images

    photographs = load_sample_images()
    random = np.random.default_rng(0)
    partial = root.with_name(f"{root.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for split, images in IMAGES.items():
        for name, photograph in zip(photographs.filenames, photographs.images, strict=True):
            folder = partial / split / Path(name).stem
            folder.mkdir(parents=True)
            for number in range(images):
                top = random.integers(photograph.shape[0] - SHAPE[0])
                left = random.integers(photograph.shape[1] - SHAPE[1])
                crop = photograph[top : top + SHAPE[0], left : left + SHAPE[1]]
                Image.fromarray(crop).save(folder / f"{number:02d}.jpg", quality=90)
    partial.rename(root)
    return root
