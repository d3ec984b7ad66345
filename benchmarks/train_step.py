"""What a CPU gains in a training step: the layout and optimiser that are the default, trainer.compile, precision=bf16.

    python benchmarks/train_step.py

`cifar_resnet20` at 32x32 with he2015's batch of 128, and `resnet50` at 224 with 16, on one thread. The peer is a plain
loop: the net in PyTorch's usual layout, SGD and malloc as they come. Each way has a process of its own, and times are
of the processor. bf16 is measured where the processor multiplies in it (AMX or AVX512-BF16); elsewhere it is slower,
for each product is emulated. Then the convolutions, by PyTorch's profiler, are held against a product of two matrices;
the last lines tell what compiling costs a first process, and one that finds what another has left in PyTorch's cache,
as the runs of a sweep do. About six minutes on an idle core, half of them compiling.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from statistics import median

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from measuring import Claim, interleaved, leave, machine
from resnet_lab.models import create_model
from resnet_lab.runs.numerics import compile_in_place, keep_freed

# Batch and side. Of fewer than 16 images PyTorch takes a single thread's 1x1 convolutions another, older way.
NETS = {"cifar_resnet20": (128, 32), "resnet50": (16, 224)}
LEAST = {"by default": 1.2, "compiled": 1.5, "bf16": 2.5, "bf16, compiled": 2.5}
BF16 = {"amx_bf16", "avx512_bf16"}
SPAWN = multiprocessing.get_context("spawn")

Step = Callable[[], None]


def step_of(name: str, way: str) -> Step:
    """One step of training, its net warm."""
    batch, side = NETS[name]
    torch.manual_seed(0)
    net, images = create_model(name).train(), torch.randn(batch, 3, side, side)
    labels = torch.randint(0, net.fc.out_features, (batch,))
    ours = way != "plain"
    if ours:
        net, images = net.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    # What `training/optimizers.py` asks for.
    optimizer = torch.optim.SGD(
        net.parameters(), 0.01, momentum=0.9, weight_decay=1e-4, fused=True if ours else None
    )
    if "compiled" in way:
        compile_in_place(net)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in way):
            loss = nn.functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step()
    return step


def seconds(work: Step) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def serve(name: str, way: str, asked: Connection) -> None:
    """A process: a step for each name of a measurement that comes in, what it measured out, until there is none."""
    torch.set_num_threads(1)
    if way != "plain":
        keep_freed()
    step = step_of(name, way)
    measurements = {"step": partial(seconds, step), "convolutions": partial(convolutions, step)}
    while what := asked.recv():
        asked.send(measurements[what]())


class Child:
    """A way of training in a process of its own, for what it asks of the memory's allocator is the process's."""

    def __init__(self, name: str, way: str) -> None:
        self._end, other = SPAWN.Pipe()
        self._process = SPAWN.Process(target=serve, args=(name, way, other), daemon=True)
        self._process.start()

    def measured(self, what: str = "step") -> float:
        self._end.send(what)
        return float(self._end.recv())

    def close(self) -> None:
        self._end.send("")
        self._process.join()


def convolutions(step: Step) -> float:
    """Processor seconds of a step's convolutions, forward and backward."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        step()
    told = ("aten::convolution", "aten::convolution_backward")
    return sum(each.cpu_time_total for each in seen.key_averages() if each.key in told) / 1e6


def product_rate(dtype: torch.dtype = torch.float32, size: int = 1024) -> float:
    """Operations a second of a product of two square matrices."""
    one, other = torch.randn(2, size, size, dtype=dtype)
    return 2 * size**3 / median(seconds(partial(torch.mm, one, other)) for _ in range(5))


def operations(name: str) -> float:
    """Of the convolutions in a step: a multiplication and an addition, forward and twice backward."""
    from resnet_lab.models.counting import count

    batch, side = NETS[name]
    return 3 * 2 * batch * count(create_model(name), (3, side, side)).multiply_adds


def until_first_step(name: str, way: str, cache: str) -> float:
    """Processor seconds of a process, and of those that compile for it, from its start to the end of a first step."""
    before = os.times()
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
    subprocess.run([sys.executable, __file__, "--first-step", name, way], env=environment, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def compiling(name: str) -> Claim:
    """What a first process and a next one pay for it."""
    with tempfile.TemporaryDirectory(prefix="train_step-") as cache:
        none, first, later = (
            until_first_step(name, way, cache) for way in ("by default", "compiled", "compiled")
        )
    what = f"{name}: compiling, with what an earlier process left in the cache"
    return Claim(
        what, "s of the processor", later - none, first - none, "the first", (later - none) / (first - none)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--net", choices=NETS, action="append", help="only this one")
    parser.add_argument("--write", action="store_true", help="into results/benchmarks")
    parser.add_argument("--first-step", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()

    torch.set_num_threads(1)
    if args.first_step:
        step_of(*args.first_step)
        return
    claims = []
    fast = BF16.intersection(machine()["instructions"])
    for name in args.net or NETS:
        ways = ["plain", *LEAST] if fast else ["plain", "by default", "compiled"]
        children = {way: Child(name, way) for way in ways}
        took = interleaved({way: child.measured for way, child in children.items()}, args.turns)
        batch, side = NETS[name]
        rates = {way: [batch / each for each in took[way]] for way in ways}
        for way in ways[1:]:
            asked = {"against": "a plain loop", "least": LEAST[way]}
            what = f"{name} at {side}, batch {batch}, {way}"
            claims.append(Claim.of_turns(what, "images a core-second", rates[way], rates["plain"], **asked))
        spent = [(children["by default"].measured("convolutions"), product_rate()) for _ in range(3)]
        for child in children.values():
            child.close()
        reached = [operations(name) / each / 1e9 for each, _ in spent]
        products = [rate / 1e9 for _, rate in spent]
        claims.append(
            Claim.of_turns(
                f"{name} at {side}: its convolutions in float32",
                "GFLOP/s a core",
                reached,
                products,
                against="a matrix product of 1,024",
                least=0.6,
            )
        )
    leave(__file__, [*claims, *map(compiling, args.net or NETS)])


if __name__ == "__main__":
    main()
