"""What W&B and TensorBoard get of a run: facts and rows, made level again as often as one likes. Free of torch."""

from resnet_lab.tracking.facts import Facts
from resnet_lab.tracking.rows import Row, all_rows, read_rows
from resnet_lab.tracking.telling import Teller, telling

__all__ = ["Facts", "Row", "Teller", "all_rows", "read_rows", "telling"]
