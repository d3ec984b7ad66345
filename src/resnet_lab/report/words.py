"""he2016's own words for what its tables compare. Free of torch."""

# he2016 Table 1 and Table 2; its 1x1 convolution on every unit is he2015's option C.
SHORTCUTS = {
    "C": "1x1 conv shortcut",
    "conv": "1x1 conv shortcut",
    "constant_scaling": "constant scaling",
    "exclusive_gating": "exclusive gating",
    "shortcut_only_gating": "shortcut-only gating",
    "dropout": "dropout shortcut",
}
ORDERS = {
    "bn_after_addition": "BN after addition",
    "relu_before_addition": "ReLU before addition",
    "relu_only_preactivation": "ReLU-only pre-activation",
    "full_preactivation": "full pre-activation",
}
WORDS = SHORTCUTS | ORDERS
COMPARES_SHORTCUTS = "he2016/table1"  # where the identity is what the others are held against


def as_the_paper_says(kind: str, answers: str | None) -> str:
    """A kind of unit in the words of the table that its run answers: residual (basic, 1x1 conv shortcut)."""
    if answers is None or not answers.startswith("he2016/") or not kind.endswith(")"):
        return kind
    words = WORDS | {"A": "original"} if answers == COMPARES_SHORTCUTS else WORDS
    unit, _, said = kind[:-1].partition(" (")
    return f"{unit} ({', '.join(words.get(each, each) for each in said.split(', '))})"
