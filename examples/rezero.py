"""ReZero: x + a F(x), where each unit learns a number a, which begins at 0 (2003.04887)."""

from torch import nn, zeros

from resnet_lab.models import Identity


class ReZero(Identity):
    """Identity's `x`, padded where dimensions change, and the scaled branch."""

    def layers(self):
        return {**super().layers(), "scale": nn.Parameter(zeros(1))}

    def add(self, own, x, branch):
        return own.identity(x) + own.scale * branch
