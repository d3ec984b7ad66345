"""A program that prints the number of GPUs it sees, so that the one who asks touches none itself."""


def main(_: list[str]) -> int:
    import torch

    print(torch.cuda.device_count())
    return 0
