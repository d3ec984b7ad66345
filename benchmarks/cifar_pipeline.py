"""CIFAR's training pipeline (pad 4, crop, flip, normalise, batch 128): one gather against a loader and a loop.

    python benchmarks/cifar_pipeline.py

Each pipeline has a process of its own, so that its peak memory is its own; they take turns, one at a time. The images
are drawn at random, 50,000 of 32x32x3: nothing here depends on what they show. The peer is torchvision's
DataLoader at its better number of workers.
"""

import argparse
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from measuring import Claim, leave

SIDE, PAD, BATCH = 32, 4, 128
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)

Pipeline = Callable[[int], Iterator[tuple[Tensor, Tensor]]]  # the batches of an epoch


def ours(pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> Pipeline:
    from resnet_lab.data.order import TrainLoader, TrainOrder
    from resnet_lab.data.small.memory import Augmentation, CropReader, Normalisation

    mean, std = torch.tensor(MEAN).expand(SIDE, SIDE, 3), torch.tensor(STD)
    images, choices = torch.from_numpy(pixels), Augmentation(PAD, flip=True)
    reader = CropReader(images, torch.from_numpy(labels), Normalisation(mean, std), choices, seed=0)
    loader = TrainLoader(TrainOrder(len(labels), BATCH, drop_last=True, seed=0), reader)

    def epoch(number: int) -> Iterator[tuple[Tensor, Tensor]]:
        loader.set_epoch(number)
        return iter(loader)

    return epoch


def python_loop(pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> Pipeline:
    """Slices of a padded uint8 tensor, image by image; normalised a batch at a time."""
    images = torch.nn.functional.pad(torch.from_numpy(pixels).permute(0, 3, 1, 2), (PAD,) * 4)
    targets = torch.from_numpy(labels)
    mean, std = 255 * torch.tensor(MEAN)[:, None, None], 255 * torch.tensor(STD)[:, None, None]

    def epoch(_number: int) -> Iterator[tuple[Tensor, Tensor]]:
        for index in torch.randperm(len(targets)).split(BATCH)[:-1]:
            offsets = torch.randint(0, 2 * PAD + 1, (BATCH, 2)).tolist()
            mirrored = (torch.rand(BATCH) < 0.5).tolist()
            batch = torch.empty(BATCH, 3, SIDE, SIDE, dtype=torch.uint8)
            for place, image in enumerate(index.tolist()):
                top, left = offsets[place]
                crop = images[image, :, top : top + SIDE, left : left + SIDE]
                batch[place] = crop.flip(2) if mirrored[place] else crop
            yield batch.float().sub_(mean).div_(std), targets[index]

    return epoch


def torchvision_loader(pixels: NDArray[np.uint8], labels: NDArray[np.int64], workers: int) -> Pipeline:
    """The usual one: a Pillow image from the array, torchvision's transforms, collated by a DataLoader."""
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import CIFAR10

    transform = transforms.Compose(
        [
            transforms.RandomCrop(SIDE, padding=PAD),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    dataset = CIFAR10.__new__(CIFAR10)  # its __getitem__ and __len__, without its files
    dataset.data, dataset.targets = pixels, labels.tolist()
    dataset.transform, dataset.target_transform = transform, None
    loader = DataLoader(
        dataset, BATCH, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
    )
    return lambda _number: iter(loader)


PIPELINES: dict[str, Callable[[NDArray[np.uint8], NDArray[np.int64]], Pipeline]] = {
    "resnet_lab": ours,
    "python loop": python_loop,
    "torchvision, 0 workers": lambda pixels, labels: torchvision_loader(pixels, labels, 0),
    "torchvision, 2 workers": lambda pixels, labels: torchvision_loader(pixels, labels, 2),
}


def serve(name: str, images: int, turns: Connection) -> None:
    """Builds one pipeline; each number of seconds received is answered by images/s, a last 0 by MiB of memory."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (images, SIDE, SIDE, 3), dtype=np.uint8)
    epoch = PIPELINES[name](pixels, random.integers(0, 10, images))
    number = 0
    while seconds := turns.recv():
        # Epoch after epoch; the start of the first one, which wakes workers, is not timed.
        iterator = epoch(number)
        next(iterator)
        batches, started = 0, time.perf_counter()
        while (passed := time.perf_counter() - started) < seconds:
            if next(iterator, None) is None:
                number += 1
                iterator = epoch(number)
            else:
                batches += 1
        turns.send(batches * BATCH / passed)
        number += 1
        del iterator
    # The whole process, and a worker as large as the largest: Linux counts both in KiB, macOS in bytes.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    turns.send(own / unit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000, help="images of the set")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each pipeline")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn")
    parser.add_argument("--write", action="store_true", help="into results/benchmarks")
    args = parser.parse_args()

    context = multiprocessing.get_context("spawn")
    pipelines = {}
    for name in PIPELINES:
        here, there = context.Pipe()
        process = context.Process(target=serve, args=(name, args.images, there))
        process.start()
        pipelines[name] = (process, here)

    speeds: dict[str, list[float]] = {name: [] for name in pipelines}
    for round_ in range(args.rounds + 1):
        for name, (_, turns) in pipelines.items():
            turns.send(args.seconds)
            speed = turns.recv()
            if round_:  # the first one warms up
                speeds[name].append(speed)

    print(f"{args.images} images, batch {BATCH}, {torch.get_num_threads()} threads, median of {args.rounds}")
    print(f"{'pipeline':<24} {'images/s':>10} {'lowest':>10} {'highest':>10} {'peak MiB':>9}")
    median = {}
    for name, (process, turns) in pipelines.items():
        turns.send(0)
        memory = turns.recv()
        process.join()
        median[name] = statistics.median(speeds[name])
        low, high = min(speeds[name]), max(speeds[name])
        print(f"{name:<24} {median[name]:>10,.0f} {low:>10,.0f} {high:>10,.0f} {memory:>9,.0f}")
    what = f"CIFAR: pad {PAD}, crop, flip, normalise, batch {BATCH}"
    torchvision = max(("torchvision, 0 workers", "torchvision, 2 workers"), key=median.__getitem__)
    peers = {
        torchvision: f"{torchvision}: a DataLoader with Pillow",
        "python loop": "a loop over a uint8 tensor",
    }
    leave(
        __file__,
        [
            Claim.of_turns(what, "images/s", speeds["resnet_lab"], speeds[peer], against=against, least=least)
            for (peer, against), least in zip(peers.items(), (20, 1), strict=True)
        ],
    )


if __name__ == "__main__":
    main()
