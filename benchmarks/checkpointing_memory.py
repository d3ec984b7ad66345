"""The 1202-layer net of he2015 with activation checkpointing against without: memory and time of a training step.

    python benchmarks/checkpointing_memory.py

Batch 128, which the paper trains with, needs about 11 GiB without checkpointing. So memory is measured at two smaller
batches, each way in a fresh process, and their difference tells the bytes that a further image adds, and with them
the memory at batch 128. In those processes malloc gives each freed tensor back to the system, so that the peak is
of what is alive at once. Times are taken in two other processes, which take turns step by step and keep freed memory
for the next tensor, as PyTorch does on a GPU: otherwise both ways pay for clearing pages.
Memory counts weights, gradients and activations, not the libraries. The same seed must give the same gradients and
running statistics, bit for bit, or the script fails. The last two lines are the ratios, with over without; where
other programs share the cores, the ratio of processor seconds above them is the steadier one.
"""

import argparse
import hashlib
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import torch
from torch import Tensor, nn

from measuring import Claim, leave

WAYS = {"without": False, "checkpointing": True}
PAPERS_BATCH = 128
MIB = 2**20

Times = tuple[float, float]  # seconds of a step, and of all processors that worked on it
# glibc: memory of MMAP bytes or more goes back to the system when it is freed; other memory once TRIM bytes are free.
MMAP, TRIM = "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"
RETURNING = {MMAP: 2**16}
KEEPING = {MMAP: 2**25, TRIM: 2**36}


def serve(depth: int, checkpointing: bool, turns: Connection) -> None:
    """Answers each batch size with a step's (times, peak bytes so far, digest); ends with a batch of 0."""
    from resnet_lab.models import create_model

    small = create_model("cifar_resnet20", checkpointing=checkpointing)
    train(small, batch=1)  # loads what PyTorch loads on first use
    before = peak()
    torch.manual_seed(0)
    net = create_model("cifar_resnet1202", depth=depth, checkpointing=checkpointing)
    net.to(memory_format=torch.channels_last)
    turns.send(None)
    while batch := turns.recv():
        times = train(net, batch)
        turns.send((times, peak() - before, digest(net)))


def train(net: nn.Module, batch: int) -> Times:
    """Leaves the gradients of one batch in the net."""
    images, labels = data(batch)
    net.zero_grad()
    started, worked = time.perf_counter(), time.process_time()
    nn.functional.cross_entropy(net(images), labels).backward()
    return time.perf_counter() - started, time.process_time() - worked


def data(batch: int) -> tuple[Tensor, Tensor]:
    """Images (N, 3, 32, 32) and labels (N,): the same for every step of this batch."""
    generator = torch.Generator().manual_seed(batch)
    images = torch.randn(batch, 3, 32, 32, generator=generator)
    return images.to(memory_format=torch.channels_last), torch.randint(0, 10, (batch,), generator=generator)


def digest(net: nn.Module) -> str:
    """Of all gradients and running statistics."""
    found = hashlib.sha256()
    for value in (*(parameter.grad for parameter in net.parameters()), *net.buffers()):
        assert value is not None
        found.update(value.detach().contiguous().numpy().tobytes())
    return found.hexdigest()


def peak() -> int:
    """Bytes of this process, at most so far. Linux counts in KiB, macOS in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 2**10)


@contextmanager
def process(depth: int, checkpointing: bool, malloc: dict[str, int]) -> Iterator[Connection]:
    """A fresh process with these settings of malloc, ready for its first step."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    started: BaseProcess = context.Process(target=serve, args=(depth, checkpointing, there), daemon=True)
    usual = dict(os.environ)
    os.environ.update({name: str(size) for name, size in malloc.items()})
    started.start()
    os.environ.clear()
    os.environ.update(usual)
    here.recv()
    yield here
    here.send(0)
    started.join()


def step(turns: Connection, batch: int) -> tuple[Times, int, str]:
    turns.send(batch)
    return turns.recv()


def measure_memory(depth: int, batches: list[int]) -> tuple[dict[str, list[int]], dict[str, list[str]]]:
    """Peak bytes after each of the rising batch sizes, and the digests, each way."""
    peaks, digests = {}, {}
    for way, checkpointing in WAYS.items():
        with process(depth, checkpointing, RETURNING) as turns:
            _, peaks[way], digests[way] = map(list, zip(*(step(turns, b) for b in batches), strict=True))
    return peaks, digests


def measure_time(depth: int, batch: int, rounds: int) -> dict[str, list[Times]]:
    """Times of each step, each way; the two ways take turns."""
    times: dict[str, list[Times]] = {way: [] for way in WAYS}
    with process(depth, False, KEEPING) as without, process(depth, True, KEEPING) as checkpointing:
        for round_ in range(rounds + 1):
            for way, turns in zip(WAYS, (without, checkpointing), strict=True):
                taken = step(turns, batch)[0]
                if round_:  # the first one warms up
                    times[way].append(taken)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, default=1202, help="6n+2")
    parser.add_argument(
        "--batch", type=int, default=32, help="images of a step; half of them as well for memory"
    )
    parser.add_argument("--rounds", type=int, default=5, help="timed steps each way")
    parser.add_argument("--write", action="store_true", help="into results/benchmarks")
    args = parser.parse_args()
    half = args.batch // 2
    if half < 1:
        parser.error("--batch: at least 2 are needed")

    peaks, digests = measure_memory(args.depth, [half, args.batch])
    times = measure_time(args.depth, args.batch, args.rounds)

    print(
        f"cifar_resnet{args.depth}, one step, {torch.get_num_threads()} threads, median of {args.rounds} times"
    )
    head = f"{'MiB at batch':>14} {half:>8} {args.batch:>8} {PAPERS_BATCH:>8} {'an image':>10}"
    print(f"{head} {'seconds':>9} {'lowest':>8} {'highest':>8} {'CPU s':>8}")
    whole, median, work = {}, {}, {}
    for way in WAYS:
        small, large = peaks[way]
        image = (large - small) / (args.batch - half)
        whole[way] = large + (PAPERS_BATCH - args.batch) * image
        seconds, worked = zip(*times[way], strict=True)
        median[way], work[way] = statistics.median(seconds), statistics.median(worked)
        sizes = " ".join(f"{size / MIB:>8,.0f}" for size in (small, large, whole[way]))
        spread = f"{median[way]:>9.2f} {min(seconds):>8.2f} {max(seconds):>8.2f} {work[way]:>8.2f}"
        print(f"{way:>14} {sizes} {image / MIB:>10.1f} {spread}")
    same = digests["without"] == digests["checkpointing"]
    print(f"gradients and running statistics {'identical, bit for bit' if same else 'DIFFER'}")
    with_, without = "checkpointing", "without"
    print(f"memory ratio at batch {args.batch} {peaks[with_][1] / peaks[without][1]:.3f}")
    print(f"ratio of processor seconds {work[with_] / work[without]:.2f}")
    leave(
        __file__,
        [
            Claim(
                f"{args.depth} layers with checkpointing at batch {PAPERS_BATCH}",
                "MiB",
                whole[with_] / MIB,
                whole[without] / MIB,
                ratio=whole[with_] / whole[without],
                against="without",
                most=0.25,
            ),
            Claim.of_turns(
                f"the same, a step of batch {args.batch}",
                "s of the processor",
                [worked for _, worked in times[with_]],
                [worked for _, worked in times[without]],
                against="without",
                most=1.5,
            ),
        ],
    )
    if not same:
        sys.exit(1)


if __name__ == "__main__":
    main()
