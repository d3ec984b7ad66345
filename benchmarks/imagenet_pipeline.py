"""Reading ImageNet-like JPEGs for training, against torchvision's reference pipeline: images per second and memory.

    python benchmarks/imagenet_pipeline.py [--images 768] [--turns 9]

JPEGs of 500x375 pixels cut from scikit-learn's two photographs; batches of 64 random resized crops of 224, flipped at
random, normalised float32 at the end on both sides. The peer: ImageFolder, Pillow transforms and a DataLoader with 2
workers, kept alive between epochs. Ours: 2 threads, from the same folder, and from shards prepared at 256; beside each
what is left where 2 threads do nothing but its views, decoding, crop, resize and flip of bytes that are in memory. Each
pipeline has a process of its own; they take turns, an epoch each. Memory is the peak, in a further turn of each, of
what its processes hold, shared pages counted once. Takes about a minute and a half on 2 cores.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from threading import Event, Thread

from measuring import Claim, leave

BATCH, CROP, WORKERS = 64, 224, 2
LEAST = {"folder": 2.2, "shards": 3.2}  # times the peer
NAMES = {
    "peer": f"torchvision ImageFolder, Pillow, {WORKERS} workers",
    "folder": f"ours, the same folder, {WORKERS} threads",
    "shards": f"ours, shards prepared at 256, {WORKERS} threads",
    "folder views": "the folder's views alone, from memory",
    "shards views": "the shards' views alone, from memory",
}
OF_A_VIEW = 0.8  # what a pipeline is to reach of its views alone


def make_folder(root: Path, images: int) -> None:
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_images

    random = np.random.default_rng(0)
    photographs = load_sample_images()
    for number in range(images):
        which = number % 2
        left, top = random.integers(0, 80), random.integers(0, 7)
        picture = Image.fromarray(photographs.images[which]).resize(
            (500, 375), box=(left, top, left + 560, top + 420)
        )
        for split in ("train", "val") if number < 2 else ("train",):
            folder = root / split / Path(photographs.filenames[which]).stem
            folder.mkdir(parents=True, exist_ok=True)
            picture.save(folder / f"{number:05d}.JPEG", quality=90)


def peer_epochs(root: Path) -> Callable[[int], Iterator]:
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(CROP),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    loader = DataLoader(
        datasets.ImageFolder(root / "train", transform),
        BATCH,
        shuffle=True,
        num_workers=WORKERS,
        persistent_workers=True,
    )
    return lambda epoch: iter(loader)


def our_epochs(name: str, root: Path) -> Callable[[int], Iterator]:
    from resnet_lab.data import ImageFolderConfig, build
    from resnet_lab.data.spec import ShardsConfig

    kind = ShardsConfig if name == "imagenet_shards" else ImageFolderConfig
    config = kind(name=name, root=str(root), crop=CROP, workers=WORKERS)
    data = build(config, batch_size=BATCH, drop_last=False, seed=0)
    data.setup()
    loader = data.train_dataloader()

    def epoch(number: int) -> Iterator:
        loader.set_epoch(number)
        return iter(loader)

    return epoch


def views(name: str, root: Path) -> Callable[[int], Iterator]:
    """Nothing but a view of each image, in threads that share them out; gives how many each thread made."""
    import torch

    from resnet_lab.data import ImageFolderConfig
    from resnet_lab.data.decode import open_picture
    from resnet_lab.data.folders.augment import RandomView
    from resnet_lab.data.folders.images import FolderFiles
    from resnet_lab.data.order import sample_random
    from resnet_lab.data.shards import Prepared
    from resnet_lab.data.shards.shard_files import ShardFiles

    classes = tuple(sorted(folder.name for folder in (root / "train").iterdir() if folder.is_dir()))
    files = (
        ShardFiles(Prepared(str(root)), "train")
        if name == "imagenet_shards"
        else FolderFiles(root / "train", classes)
    )
    data = [files.read(index) for index in range(len(files.labels))]
    view = RandomView(ImageFolderConfig(name="imagenet", crop=CROP))
    pool = ThreadPoolExecutor(WORKERS, initializer=torch.set_num_threads, initargs=(1,))

    def share(number: int, first: int) -> int:
        indices = range(first, len(data), WORKERS)
        for index in indices:
            view(open_picture(data[index]), sample_random(0, number, index))
        return len(indices)

    def epoch(number: int) -> Iterator:
        return pool.map(partial(share, number), range(WORKERS))

    return epoch


def serve(pipeline: str, root: Path, shards: Path) -> None:
    """A child: an epoch for each line that comes in, its images per second out."""
    import torch

    from resnet_lab.runs.numerics import keep_freed

    torch.set_num_threads(WORKERS)
    if pipeline != "peer":
        keep_freed()  # as a run does
    places = {"folder": ("imagenet", root), "shards": ("imagenet_shards", shards)}
    source, _, of_it = pipeline.partition(" ")
    epochs = peer_epochs(root) if source == "peer" else (views if of_it else our_epochs)(*places[source])
    print("ready", flush=True)
    for number, _ in enumerate(sys.stdin):
        start, count = time.perf_counter(), 0
        for batch in epochs(number):
            if of_it:
                count += batch
                continue
            images, labels = batch
            assert images.shape[1:] == (3, CROP, CROP), images.shape
            assert images.dtype == torch.float32, images.dtype
            count += len(labels)
        print(count / (time.perf_counter() - start), flush=True)


class Child:
    """A pipeline in a process of its own."""

    def __init__(self, pipeline: str, root: Path, shards: Path) -> None:
        command = [sys.executable, __file__, "--serve", pipeline, str(root), str(shards)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read()  # ready
        self.turn()  # the first epoch fills caches and starts workers

    def turn(self) -> float:
        """Images per second of one epoch."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self._read())

    def peak_memory(self) -> float:
        """MiB at the most, during one epoch."""
        peak, done = 0.0, Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.05):
                peak = max(peak, held(self.process.pid))

        watcher = Thread(target=watch)
        watcher.start()
        self.turn()
        done.set()
        watcher.join()
        return peak

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args} ended early")
        return line


def held(pid: int) -> float:
    """MiB of a process and its children, pages that several share counted once (PSS)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has just ended
        return 0.0
    own = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return own / 1024 + sum(held(int(child)) for child in children)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=768)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--write", action="store_true", help="into results/benchmarks")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        return serve(given.serve[0], Path(given.serve[1]), Path(given.serve[2]))

    from resnet_lab.data import ImageFolderConfig
    from resnet_lab.data.shards.prepare import prepare

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        root, shards = folder / "images", folder / "shards"
        make_folder(root, given.images)
        prepare(ImageFolderConfig(name="imagenet", root=str(root)), shards, size=256, workers=WORKERS)
        children = {}
        for name in NAMES:
            children[name] = Child(name, root, shards)
            stack.callback(children[name].close)
        speeds: dict[str, list[float]] = {name: [] for name in NAMES}
        for _ in range(given.turns):
            for name, child in children.items():
                speeds[name].append(child.turn())
        memory = {name: child.peak_memory() for name, child in children.items()}

    peer = median(speeds["peer"])
    print(f"\n{'pipeline':48} {'images/s':>9} {'range':>12} {'times':>6} {'peak MiB':>9}")
    for name, title in NAMES.items():
        middle = median(speeds[name])
        spread = f"{min(speeds[name]):.0f}-{max(speeds[name]):.0f}"
        print(f"{title:48} {middle:9.0f} {spread:>12} {middle / peer:6.2f} {memory[name]:9.0f}")
    claims = []
    for name, least in LEAST.items():
        what = f"JPEGs of 500x375, crop {CROP}: {NAMES[name]}"
        peers = {
            "peer": {"against": f"{NAMES['peer']}, from the folder", "least": least},
            f"{name} views": {"against": "its views alone, from memory", "least": OF_A_VIEW},
        }
        claims += [
            Claim.of_turns(what, "images/s", speeds[name], speeds[peer], **said)
            for peer, said in peers.items()
        ]
    leave(__file__, claims)


if __name__ == "__main__":
    main()
