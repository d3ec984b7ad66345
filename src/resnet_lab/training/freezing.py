"""Fine-tuning the classifier alone: everything before it stays as its weights have it."""

from torch import nn

from resnet_lab.errors import UserError


def head_of(net: nn.Module, name: str | None = None) -> nn.Module:
    """Return the classifier of a net: the module of this name, or its last fully connected layer.

    Raises UserError where it has none.
    """
    if name is not None:
        return net.get_submodule(name)
    layers = [module for module in net.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise UserError("recipe.freeze=backbone trains a last fully connected layer, and this net has none")
    return layers[-1]


def freeze(net: nn.Module, name: str | None = None) -> None:
    """Gradients for the head alone: the optimiser hears of nothing else. Raises UserError as `head_of` does."""
    head = head_of(net, name)
    net.requires_grad_(False)
    head.requires_grad_(True)
    hold(net)


def hold(net: nn.Module) -> None:
    """Batch norm reads its running statistics and dropout rests, as in a test; to be repeated after `train()`."""
    net.eval()
