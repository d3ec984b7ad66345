"""`resnet-lab models`: the named nets, or the layers of one. Free of torch until layers are asked for."""

from rich.console import Console
from rich.table import Table

from resnet_lab.errors import UserError, unknown
from resnet_lab.models.named import NAMED, entry, list_models, recorded
from resnet_lab.models.net_config import NetConfig, Shape
from resnet_lab.models.other import OtherConfig
from resnet_lab.targets import locate, takes

# Images and names of arguments that a net of the user's is tried with.
IMAGES = ((3, 32, 32), (3, 224, 224), (1, 28, 28), (1, 8, 8))
CLASSES = ("num_classes", "classes", "n_classes", "num_labels", "outputs")
CHANNELS = ("in_channels", "channels", "in_chans", "num_channels")
PIPED_WIDTH = 200  # columns where nobody looks: lines stay whole for grep and files


def print_models(pattern: str | None, layers: bool) -> int:
    """Print the nets that match the pattern, or with `layers` the layers of the one that does; 0.

    A dotted path is a net of the user's, of which the layers are shown.
    """
    if pattern is not None and "." in pattern:
        return print_layers(*guessed(pattern))
    names = list_models(pattern)
    if not names:
        raise unknown("model", pattern, NAMED)
    if layers and len(names) > 1:
        few = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
        raise UserError(f"--layers shows one model, and {pattern or 'no pattern'} means {len(names)}: {few}")
    if layers:
        net, size = entry(names[0]), entry(names[0]).size
        return print_layers(net.config.check(), (3, size, size), names[0])
    table = _table("model", "depth", "layers", "parameters", "multiply-adds", "image", "source")
    for name in names:
        net, counts = entry(name), recorded()[name]
        numbers = (f"{counts.parameters:,}", f"{counts.multiply_adds:,}", f"{net.size}x{net.size}")
        table.add_row(name, str(net.config.depth), str(counts.layers), *numbers, net.source)
    return _print(table)


def print_layers(net: NetConfig, shape: Shape, name: str | None = None) -> int:
    """Print the layers of a net for an image of this shape, (C, H, W), in the order of the forward pass; 0."""
    table = _table("layer", "output", "parameters", "multiply-adds", "kind")
    found = net.layers(shape)
    for layer in found:
        output = "x".join(map(str, layer.output))
        table.add_row(layer.name, output, f"{layer.parameters:,}", f"{layer.multiply_adds:,}", layer.kind)
    table.add_section()
    parameters, cost = sum(layer.parameters for layer in found), sum(layer.multiply_adds for layer in found)
    title = f"{name or net.label} on {'x'.join(map(str, shape))}"
    table.add_row(title, "", f"{parameters:,}", f"{cost:,}", "")
    return _print(table)


def guessed(path: str) -> tuple[NetConfig, Shape]:
    """Return the net that a dotted path names, for the first of the usual images that it takes.

    Raises UserError where it takes none.
    """
    names = takes(locate(path, "model._target_"))
    classes, channels = (next((name for name in each if name in names), None) for each in (CLASSES, CHANNELS))
    net = OtherConfig(_target_=path, classes_as=classes, channels_as=channels)
    errors = []
    for shape in IMAGES:
        try:
            return net.check(shape, 10 if classes else 1), shape
        except UserError as error:
            errors.append(error)
    raise UserError(f"{errors[0]}; model=NAME data=NAME instead of the path give it its arguments and images")


def _table(first: str, *others: str) -> Table:
    """Return a table without lines, of numbers between its first column and its last."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(first, no_wrap=True)
    for number in others[:-1]:
        table.add_column(number, justify="right", no_wrap=True)
    table.add_column(others[-1])
    return table


def _print(table: Table) -> int:
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    console.print(table)
    return 0
