"""A claim, what was measured for it, and the file that holds it: results/benchmarks/NAME.json."""

import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Any

FOLDER = Path(__file__).parents[2] / "results" / "benchmarks"
WRITE = "--write"  # any benchmark takes it: leave the results in results/benchmarks
# Those that decide the speed of a net.
INSTRUCTIONS = ("amx_tile", "amx_bf16", "avx512_bf16", "avx512f", "avx2")


@dataclass(frozen=True)
class Claim:
    """Two ways of the same work, with what each took; or one number with its bound."""

    what: str
    unit: str
    ours: float
    peer: float | None = None
    against: str = ""  # what the peer is
    ratio: float | None = None
    low: float | None = None  # the middle half of the turns' ratios
    high: float | None = None
    turns: int = 1
    least: float | None = None  # of the ratio; of ours, where there is no peer
    most: float | None = None

    @classmethod
    def of_turns(
        cls, what: str, unit: str, ours: Sequence[float], peer: Sequence[float], **said: Any
    ) -> "Claim":
        """Ours over the peer's, turn by turn."""
        ratios = [one / other for one, other in zip(ours, peer, strict=True)]
        low, _, high = quantiles(ratios, n=4) if len(ratios) > 1 else (ratios[0],) * 3
        return cls(
            what,
            unit,
            median(ours),
            median(peer),
            ratio=median(ratios),
            low=low,
            high=high,
            turns=len(ratios),
            **said,
        )

    @property
    def judged(self) -> float:
        return self.ours if self.ratio is None else self.ratio

    @property
    def holds(self) -> bool:
        """Whether what is asked for is reached."""
        return (self.least is None or self.judged >= self.least) and (
            self.most is None or self.judged <= self.most
        )

    def __str__(self) -> str:
        asked = [
            f"at {word} {bound:g}{'' if self.holds else ', MISSED'}"
            for word, bound in (("least", self.least), ("most", self.most))
            if bound is not None
        ]
        peer = "" if self.peer is None else f", {self.against} {number(self.peer)}"
        ratio = "" if self.ratio is None else f", ratio {self.ratio:.3g}"
        spread = "" if self.low is None or self.turns < 2 else f" ({self.low:.3g} to {self.high:.3g})"
        told = f" [{'; '.join(asked)}]" if asked else ""
        return f"{self.what}: {number(self.ours)} {self.unit}{peer}{ratio}{spread}{told}"


def leave(file: str, claims: Sequence[Claim]) -> None:
    """Print the claims of a benchmark's `__file__`, and with --write keep them as a result."""
    for claim in claims:
        print(claim)
    if WRITE not in sys.argv:
        return
    name = Path(file).stem
    told = {
        "command": f"python benchmarks/{name}.py",
        "machine": machine(),
        "claims": [{key: _rounded(value) for key, value in asdict(claim).items()} for claim in claims],
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    from resnet_lab.cores import cores

    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    facts = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))
    }
    flags = facts.get("flags", "").split()
    return {
        "cpu": facts.get("model name", platform.processor() or platform.machine()),
        "cores": cores(),
        "instructions": [name for name in INSTRUCTIONS if name in flags],
        "python": platform.python_version(),
        "torch": version("torch"),
        "lightning": version("lightning"),
    }


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def number(value: float) -> str:
    """With three digits, or whole."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
