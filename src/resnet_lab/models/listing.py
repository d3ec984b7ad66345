"""`resnet-lab models`: the named nets, or the layers of one. Free of torch until layers are asked for."""

from rich.console import Console
from rich.table import Table

from resnet_lab.errors import UserError, unknown
from resnet_lab.models.build import create_model
from resnet_lab.models.counts import Counts, recorded
from resnet_lab.models.names import NAMED, entry, list_models

PIPED_WIDTH = 200  # columns where nobody looks: lines stay whole for grep and files


def print_models(pattern: str | None, layers: bool) -> int:
    """Print the nets that match the pattern, or with `layers` the layers of the one that does; 0."""
    names = list_models(pattern)
    if not names:
        raise unknown("model", pattern, NAMED)
    if layers and len(names) > 1:
        few = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
        raise UserError(f"--layers shows one model, and {pattern or 'no pattern'} means {len(names)}: {few}")
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    console.print(layer_table(names[0]) if layers else model_table(names))
    return 0


def model_table(names: list[str]) -> Table:
    """A row for each net: what it is, what it costs for one image, and where it comes from."""
    table = _table("model", "source", ["depth", "layers", "parameters", "multiply-adds", "image"])
    for name in names:
        net, counts = entry(name), _counts(name)
        table.add_row(
            name,
            str(net.config.depth),
            str(counts.layers),
            f"{counts.parameters:,}",
            f"{counts.multiply_adds:,}",
            f"{net.size}x{net.size}",
            net.source,
        )
    return table


def _counts(name: str) -> Counts:
    """From the file, or counted where the file does not have the name yet."""
    if name in recorded():
        return recorded()[name]
    from resnet_lab.models.counting import counted

    return counted(name)


def layer_table(name: str) -> Table:
    """A row for each layer, in the order of the forward pass."""
    import torch

    from resnet_lab.models.counting import layers

    with torch.device("meta"):
        model = create_model(name)
    size = entry(name).size
    table = _table("layer", "kind", ["output", "parameters", "multiply-adds"])
    found = layers(model, (3, size, size))
    for layer in found:
        shape = "x".join(map(str, layer.output))
        table.add_row(layer.name, shape, f"{layer.parameters:,}", f"{layer.multiply_adds:,}", layer.kind)
    table.add_section()
    parameters, cost = (
        sum(getattr(layer, key) for layer in found) for key in ("parameters", "multiply_adds")
    )
    table.add_row(f"{name} on 3x{size}x{size}", "", f"{parameters:,}", f"{cost:,}", "")
    return table


def _table(first: str, last: str, numbers: list[str]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(first, no_wrap=True)
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True)
    table.add_column(last)
    return table
