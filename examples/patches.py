"""A small network: an image is cut into patches, which are mixed as an MLP-Mixer mixes them (2105.01601)."""

from torch import Tensor, nn


class Patches(nn.Module):
    """(N, channels, size, size) -> (N, classes)."""

    def __init__(
        self,
        classes: int,
        channels: int,
        size: int = 8,
        patch: int = 2,
        width: int = 16,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        count = (size // patch) ** 2
        self.cut = nn.Conv2d(channels, width, patch, stride=patch)
        self.across = nn.Sequential(
            nn.LayerNorm(count), nn.Linear(count, count), nn.GELU(), nn.Dropout(dropout)
        )
        self.within = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout)
        )
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.cut(images).flatten(2)  # (N, width, count)
        patches = patches + self.across(patches)
        patches = patches.transpose(1, 2)
        patches = patches + self.within(patches)
        return self.head(patches.mean(1))
