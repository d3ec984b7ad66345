"""he2016's own words for what its tables compare. Free of torch."""

from resnet_lab.models.orders import ORDERS
from resnet_lab.models.shortcuts import SHORTCUTS

WORDS = {name: kind.in_he2016 for name, kind in (SHORTCUTS | ORDERS).items() if kind.in_he2016}
COMPARES_SHORTCUTS = "he2016/table1"  # where the identity is what the others are held against


def as_the_paper_says(kind: str, answers: str | None) -> str:
    """A kind of unit in the words of the table that its run answers: residual (basic, 1x1 conv shortcut)."""
    if answers is None or not answers.startswith("he2016/") or not kind.endswith(")"):
        return kind
    words = WORDS | {"A": "original"} if answers == COMPARES_SHORTCUTS else WORDS
    unit, _, said = kind[:-1].partition(" (")
    return f"{unit} ({', '.join(words.get(each, each) for each in said.split(', '))})"
