"""What one pass over a data set adds up to, kept on the device and shared between ranks once."""

from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if world_size() > 1 else 0


class Sums:
    """Summed loss, wrong answers, answers not among the top five, and images of one pass.

    Nothing here waits for the device until `reduced` is called.
    """

    FIELDS = ("loss", "wrong", "wrong5", "images")

    def __init__(self, *, top5: bool = True) -> None:
        self.top5 = top5
        self._sums: Tensor | None = None

    def reset(self) -> None:
        self._sums = None

    def add(self, loss: Tensor, scores: Tensor, labels: Tensor) -> None:
        """Count one batch: its summed loss (), scores (N, K) and labels (N,)."""
        scores = scores.detach()
        wrong = wrong5 = (scores.argmax(1) != labels).sum()
        if self.top5:
            five = scores.topk(min(5, scores.shape[1]), 1).indices
            wrong5 = len(labels) - (five == labels[:, None]).sum()
        images = torch.full_like(wrong, len(labels))
        batch = torch.stack([x.to(_dtype(loss.device)) for x in (loss.detach(), wrong, wrong5, images)])
        self._sums = batch if self._sums is None else self._sums + batch

    def finite(self) -> Tensor:
        """Return whether every loss so far was finite: a bool () on the device, after something was added."""
        assert self._sums is not None
        return self._sums[0].isfinite()

    def reduced(self, device: torch.device) -> dict[str, float]:
        """Return the sums over all ranks, which must all call this; zeros where nothing was added."""
        sums = torch.zeros(len(self.FIELDS), dtype=_dtype(device), device=device)
        if self._sums is not None:
            sums += self._sums
        if world_size() > 1:
            dist.all_reduce(sums)
        return dict(zip(self.FIELDS, sums.tolist(), strict=True))

    def load(self, sums: dict[str, float], device: torch.device) -> None:
        """Go on from the sums of all ranks; one rank carries them, so that they are counted once."""
        values = [sums[name] for name in self.FIELDS]
        self._sums = torch.tensor(values, dtype=_dtype(device), device=device) if rank() == 0 else None


def _dtype(device: torch.device) -> torch.dtype:
    """float64 counts exactly, far beyond any data set; Apple's GPUs lack it and count to 16 million."""
    return torch.float32 if device.type == "mps" else torch.float64


def rates(sums: dict[str, float]) -> dict[str, float]:
    """Mean loss, and errors in per cent."""
    images = max(sums["images"], 1.0)
    return {
        "loss": sums["loss"] / images,
        "error": 100 * sums["wrong"] / images,
        "top5_error": 100 * sums["wrong5"] / images,
    }


class Means:
    """What figures of each image add up to over one pass, by name; as `Sums`, for a task of the user's."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}

    def reset(self) -> None:
        self._sums = {}

    def add(self, figures: Mapping[str, Tensor], images: int) -> None:
        """Count one batch of this many images: of each figure its sum (), or a value for each image (N,)."""
        for name, values in {**figures, "images": torch.tensor(float(images))}.items():
            added = values.detach().to(_dtype(values.device)).sum()
            self._sums[name] = self._sums[name] + added if name in self._sums else added

    def finite(self) -> Tensor:
        """Return whether every loss so far was finite: a bool () on the device, after something was added."""
        return self._sums["loss"].isfinite()

    def reduced(self, device: torch.device) -> dict[str, float]:
        """Return the sums over all ranks, which must all call this; a rank may have had no batch."""
        names: list[list[str]] = [list(self._sums)]
        if world_size() > 1:
            names = [[]] * world_size()
            dist.all_gather_object(names, list(self._sums))
        named = list(dict.fromkeys(name for each in names for name in each))
        zero = torch.zeros((), dtype=_dtype(device), device=device)
        sums = torch.stack([zero, *(self._sums.get(name, zero).to(device) for name in named)])
        if world_size() > 1:
            dist.all_reduce(sums)
        return dict(zip(named, sums[1:].tolist(), strict=True))

    def load(self, sums: dict[str, float], device: torch.device) -> None:
        """Go on from the sums of all ranks; one rank carries them, so that they are counted once."""
        if rank() == 0:
            values = {
                name: torch.tensor(value, dtype=_dtype(device), device=device) for name, value in sums.items()
            }
            self._sums = values


def means(sums: Mapping[str, float]) -> dict[str, float]:
    """Return the mean of each figure over the images."""
    images = max(sums.get("images", 0.0), 1.0)
    return {name: value / images for name, value in sums.items() if name != "images"}
