"""Training on a GPU beside a bare loop of torchvision's net, in one call: images a second, and several runs a GPU.

    python benchmarks/gpu.py                  # at most 10 minutes, into results/gpu/NAME-OF-THE-GPU.json
    python benchmarks/gpu.py --debug          # the same code on the CPU, tiny nets, nothing kept
    python benchmarks/gpu.py --only cifar     # the cases whose names hold this word, nothing kept

Each case is a process of its own, or several at a time that begin together; a rate is of SECONDS of steps after a
warm-up. `ours` is Lightning's Trainer with this package's module, recipe and, for small images, its loader of crops;
`bare` a plain loop over one batch that lies on the device, with PyTorch's fused SGD: of torchvision's net at 224
pixels, of ours at 32, which torchvision has not. The targets were worked out for one H100 before one was seen; a ratio
is ours over bare, or several runs over one. The file is written after each case.
"""

import argparse
import json
import platform
import re
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resnet_lab.sweeps.together import together

RESULTS = Path(__file__).resolve().parents[1] / "results" / "gpu"
SECONDS, WARM_UP = 10.0, 30  # of a measurement; steps before it
LIMIT = 590.0  # seconds of all cases: what is not begun or done by then is left out
TARGETS = {  # images a second on one H100, and ratios, from arithmetic
    "resnet50 ours": (2800, 3500),
    "resnet50 ours over bare": (0.97, None),
    "resnet50 ours compiled over eager": (1.1, None),
    "cifar ours": (32_000, 42_000),
    "cifar ours compiled": (60_000, 85_000),
    "cifar bare graphs": (110_000, None),
    "cifar ema over none": (0.97, None),
    "cifar two runs over one": (1.7, None),
    "cifar four runs over one": (2.3, None),
}


@dataclass(frozen=True)
class Case:
    name: str
    who: str  # ours or bare
    net: str
    batch: int
    side: int  # pixels
    classes: int
    precision: str = "32"
    mode: str = "eager"  # or compiled, or graphs: compiled, and launched as a CUDA graph
    ema: float = 0.0
    together: int = 1  # processes at a time

    @property
    def label(self) -> str:
        more = ["ema"] * bool(self.ema) + [f"{self.together} runs"] * (self.together > 1)
        return " ".join([self.name, self.who, *([] if self.mode == "eager" else [self.mode]), *more])


def cases() -> list[Case]:
    large = Case("resnet50", "ours", "resnet50", 256, 224, 1000, "bf16")
    small = Case("cifar", "ours", "cifar_resnet20", 128, 32, 10)
    return [
        large,
        replace(large, who="bare"),
        replace(large, mode="compiled"),
        replace(large, who="bare", mode="compiled"),
        small,
        replace(small, who="bare"),
        replace(small, ema=0.999),
        replace(small, mode="compiled"),
        replace(small, who="bare", mode="compiled"),
        replace(small, who="bare", mode="graphs"),
        replace(small, together=2),
        replace(small, together=4),
    ]


def tiny(case: Case) -> Case:
    """The same in a second or two on a core."""
    if case.name == "cifar":
        return replace(case, batch=4, side=8, together=min(case.together, 2))
    return replace(case, net="resnet18", batch=2, side=32, classes=10)


class Clock:
    """Counts steps after a warm-up until the time is over; the device is waited for at both ends alone."""

    def __init__(self, seconds: float, warm_up: int, start: Barrier) -> None:
        self.seconds, self.warm_up, self.start = seconds, warm_up, start
        self.steps, self.began = 0, 0.0

    def tick(self) -> bool:
        """After each step: whether it was the last."""
        self.steps += 1
        if self.steps == self.warm_up:
            wait()
            if torch.cuda.is_available():
                torch.cuda.reset_peak_memory_stats()
            self.start.wait()
            self.began = time.perf_counter()
        return self.steps > self.warm_up and time.perf_counter() - self.began >= self.seconds

    def seconds_a_step(self) -> float:
        wait()
        return (time.perf_counter() - self.began) / (self.steps - self.warm_up)


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def batches(case: Case, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """One batch on the device, again and again."""
    images = torch.randn(case.batch, 3, case.side, case.side, device=device)
    labels = torch.randint(0, case.classes, (case.batch,), device=device)
    while True:
        yield images.contiguous(memory_format=torch.channels_last), labels


class Repeated:
    """A loader of batches without end."""

    def __init__(self, case: Case, device: torch.device) -> None:
        self.case, self.device = case, device

    def __len__(self) -> int:
        return 1_000_000

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return batches(self.case, self.device)


def crops(case: Case, device: torch.device) -> Any:
    """Our loader over as many noisy images as CIFAR-10 has."""
    from resnet_lab.data.order import TrainLoader, TrainOrder
    from resnet_lab.data.small.memory import Augmentation, CropReader, Normalisation

    images = torch.randint(0, 256, (50_000, case.side, case.side, 3), dtype=torch.uint8, device=device)
    labels = torch.randint(0, case.classes, (50_000,), device=device)
    normalise = Normalisation(torch.full((case.side, case.side, 3), 0.5), torch.ones(3)).to(device)
    order = TrainOrder(50_000, case.batch, drop_last=True, seed=0)
    return TrainLoader(order, CropReader(images, labels, normalise, Augmentation(pad=4, flip=True), seed=0))


def ours(case: Case, clock: Clock, device: torch.device) -> None:
    from lightning import Trainer
    from lightning.pytorch.callbacks import Callback

    from resnet_lab.config.schema import PRECISIONS
    from resnet_lab.models import create_model
    from resnet_lab.runs.logs import quieten
    from resnet_lab.runs.numerics import compile_in_place
    from resnet_lab.training import Classifier, RecipeConfig
    from resnet_lab.training.averaging import MovingAverage

    class Ticking(Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            trainer.should_stop |= clock.tick()

    quieten()
    recipe = RecipeConfig(
        "benchmark", batch_size=case.batch, iterations=10**9, schedule="constant", ema=case.ema
    )
    net = create_model(case.net, num_classes=case.classes)
    module = Classifier(net, recipe, case.classes, eval_names=())
    if case.mode != "eager":
        compile_in_place(net)
    trainer = Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        precision=PRECISIONS[case.precision].lightning,  # type: ignore[arg-type]
        benchmark=True,
        callbacks=[*([MovingAverage(case.ema)] if case.ema else []), Ticking()],
        max_epochs=10**6,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, crops(case, device) if case.name == "cifar" else Repeated(case, device))


def bare(case: Case, clock: Clock, device: torch.device) -> None:
    import torchvision

    from resnet_lab.models import create_model

    torch.backends.cudnn.benchmark = True
    make: Any = create_model if case.name == "cifar" else torchvision.models.get_model
    net: nn.Module = make(case.net, num_classes=case.classes)
    net.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=1e-4, fused=True)
    if case.mode != "eager":
        net.compile(dynamic=False, mode="reduce-overhead" if case.mode == "graphs" else None)
    low = torch.autocast(device.type, torch.bfloat16) if case.precision == "bf16" else nullcontext()
    for images, labels in batches(case, device):
        with low:
            loss = nn.functional.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if clock.tick():
            return


def serve(case: Case, seconds: float, warm_up: int, start: Barrier) -> dict[str, Any]:
    """One process of a case: the seconds of a step and the peak memory (MiB)."""
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    clock = Clock(seconds, warm_up, start)
    (ours if case.who == "ours" else bare)(case, clock, device)
    second = clock.seconds_a_step()
    memory = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else None
    return {"seconds_a_step": second, "memory_mib": memory}


def measure(case: Case, seconds: float, warm_up: int, deadline: float) -> dict[str, Any]:
    found, error = together(partial(serve, case, seconds, warm_up), case.together, deadline)
    told: dict[str, Any] = {"label": case.label, **asdict(case)}
    if error:
        return told | {"error": error}
    steps = [each["seconds_a_step"] for each in found]
    rate = sum(case.batch / each for each in steps)
    memory = found[0]["memory_mib"]
    return told | {"images_per_second": round(rate, 1), "seconds_a_step": steps, "memory_mib": memory}


def ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """What is compared, of the cases that were measured."""
    rate = {row["label"]: row["images_per_second"] for row in rows if "images_per_second" in row}
    pairs = {
        "resnet50 ours over bare": ("resnet50 ours", "resnet50 bare"),
        "resnet50 compiled ours over bare": ("resnet50 ours compiled", "resnet50 bare compiled"),
        "resnet50 ours compiled over eager": ("resnet50 ours compiled", "resnet50 ours"),
        "cifar ours over bare": ("cifar ours", "cifar bare"),
        "cifar ours compiled over eager": ("cifar ours compiled", "cifar ours"),
        "cifar bare graphs over compiled": ("cifar bare graphs", "cifar bare compiled"),
        "cifar ema over none": ("cifar ours ema", "cifar ours"),
        "cifar two runs over one": ("cifar ours 2 runs", "cifar ours"),
        "cifar four runs over one": ("cifar ours 4 runs", "cifar ours"),
    }
    return {
        name: round(rate[above] / rate[below], 3)
        for name, (above, below) in pairs.items()
        if above in rate and below in rate
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--debug", action="store_true", help="tiny nets, a moment each; nothing is kept")
    parser.add_argument(
        "--only", default="", metavar="WORD", help="the cases whose names hold it; nothing is kept"
    )
    parser.add_argument("--out", type=Path, help="the JSON file, in place of one in results/gpu")
    given = parser.parse_args()
    gpu = torch.cuda.is_available()
    if not gpu and not given.debug:
        print("no GPU is visible here: --debug runs the same code on the CPU")
        return 0
    device = torch.cuda.get_device_name(0) if gpu else "cpu"
    out = given.out or (None if given.debug or given.only else RESULTS / f"{file_name(device)}.json")
    deadline, rows = time.monotonic() + LIMIT, list[dict[str, Any]]()
    for case in (each for each in cases() if given.only in each.label):
        if given.debug and case.mode != "eager":
            print(f"{case.label:28} left out with --debug: it compiles for a minute", flush=True)
            continue
        length = (0.2, 3) if given.debug else (SECONDS, WARM_UP)
        row = measure(tiny(case) if given.debug else case, *length, deadline)
        row["label"] = case.label
        rows.append(row)
        said = row.get("error") or f"{row['images_per_second']:>10,.1f} images/s"
        print(f"{case.label:28} {said}", flush=True)
        if out is not None:
            write(out, device, rows)
    for name, ratio in ratios(rows).items():
        print(f"{name:36} {ratio:.3f}")
    if out is not None:
        print(out)
    return int(any("error" in row for row in rows))


def file_name(device: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")


def write(out: Path, device: str, rows: list[dict[str, Any]]) -> None:
    versions = {"python": platform.python_version(), "torch": torch.__version__, "cuda": torch.version.cuda}
    told = {"command": "python benchmarks/gpu.py", "device": device, **versions, "seconds": SECONDS}
    told |= {"cases": rows, "ratios": ratios(rows), "targets_of_an_h100": TARGETS}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
