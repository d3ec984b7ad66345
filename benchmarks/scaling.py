"""How a training step grows, in time and memory, with depth 20 to 1202 and with the batch; what checkpointing saves.

    python benchmarks/scaling.py

`cifar_resnet` at 32x32, channels-last, on one thread, each size in a process of its own, whose malloc gives freed
tensors back to the system: the peak is of what is alive at once. Times are of the processor. Growth is linear where a
straight line explains its variance. With `model.checkpointing` the units of a stage are kept a square root of their
number at a time: of the memory beyond weights and gradients little is left. About two minutes on an idle core.
"""

import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np

from measuring import Claim, leave

DEPTHS = (20, 56, 110, 302, 602, 1202)
BATCH = 4  # of the depths
BATCHES = (8, 16, 32, 64)
DEPTH = 20  # of the batches
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(2**16)}


def measure(depth: int, batch: int, checkpointing: bool) -> None:
    """A child: prints processor seconds of a step, bytes more than with a tiny net, those of weights and gradients."""
    import resource

    import torch
    from torch import nn

    from resnet_lab.models import create_model

    torch.set_num_threads(1)

    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 2**10)

    def train(net: nn.Module, images: int) -> float:
        pixels = torch.randn(images, 3, 32, 32).to(memory_format=torch.channels_last)
        began = time.process_time()
        nn.functional.cross_entropy(net(pixels), torch.zeros(images, dtype=torch.int64)).backward()
        return time.process_time() - began

    # Loads what PyTorch loads on first use.
    train(create_model("cifar_resnet20", depth=8, checkpointing=checkpointing), 1)
    before = peak()
    net = create_model("cifar_resnet20", depth=depth, checkpointing=checkpointing)
    net.to(memory_format=torch.channels_last)
    took = [train(net, batch) for _ in range(3)]
    kept = sum(4 * 2 * parameter.numel() for parameter in net.parameters())  # bytes of weights and gradients
    print(json.dumps([min(took[1:]), peak() - before, kept]))


def measured(depth: int, batch: int, *, checkpointing: bool = False) -> tuple[float, float, float]:
    words = [sys.executable, __file__, "--measure", str(depth), str(batch), str(int(checkpointing))]
    told = subprocess.run(words, env=os.environ | MALLOC, check=True, stdout=subprocess.PIPE, text=True)
    seconds, memory, kept = json.loads(told.stdout.splitlines()[-1])
    return seconds, memory / 2**20, kept / 2**20


def explained(x: tuple[int, ...], y: list[float]) -> float:
    """The share of the variance that a straight line explains."""
    return float(np.corrcoef(x, y)[0, 1] ** 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", type=int, nargs="+", default=DEPTHS)
    parser.add_argument("--write", action="store_true", help="into results/benchmarks")
    parser.add_argument("--measure", type=int, nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        return measure(*args.measure[:2], bool(args.measure[2]))

    depths = tuple(args.depths)
    plain = [measured(depth, BATCH) for depth in depths]
    saved = [measured(depth, BATCH, checkpointing=True) for depth in depths]
    wide = [measured(DEPTH, batch) for batch in BATCHES]
    print(f"{'depth':>6} {'CPU s':>8} {'MiB':>8} {'checkpointed CPU s':>20} {'MiB':>8}   (batch {BATCH})")
    for depth, (seconds, memory, _), (more, less, _) in zip(depths, plain, saved, strict=True):
        print(f"{depth:>6} {seconds:>8.3f} {memory:>8.0f} {more:>20.3f} {less:>8.0f}")
    print(f"{'batch':>6} {'CPU s':>8} {'MiB':>8}   (depth {DEPTH})")
    for batch, (seconds, memory, _) in zip(BATCHES, wide, strict=True):
        print(f"{batch:>6} {seconds:>8.3f} {memory:>8.0f}")

    line, span = "of the variance explained by a line", f"depth {depths[0]} to {depths[-1]}"
    claims = []
    for what, sizes, found in ((span, depths, plain), ("the batch", BATCHES, wide)):
        for number, kind in enumerate(("time", "memory")):
            growth = explained(sizes, [each[number] for each in found])
            claims.append(Claim(f"{kind} of a step over {what}", line, growth, least=0.98))
    (seconds, memory, kept), (more, less, _) = plain[-1], saved[-1]
    claims += [
        Claim(
            f"{depths[-1]} layers with checkpointing: memory beyond weights and gradients",
            "MiB",
            less - kept,
            memory - kept,
            against="without",
            ratio=(less - kept) / (memory - kept),
            most=0.3,
        ),
        Claim(
            f"{depths[-1]} layers with checkpointing: time of a step",
            "s of the processor",
            more,
            seconds,
            against="without",
            ratio=more / seconds,
            most=1.5,
        ),
    ]
    leave(__file__, claims)


if __name__ == "__main__":
    main()
