"""A program that ends with the number of GPUs it sees, so that the one who asks touches none itself."""


def main(_: list[str]) -> int:
    """The exit code is the count."""
    import torch

    return torch.cuda.device_count()
