"""torch.compile of a run's net."""

from torch import nn

from resnet_lab.cores import share


def compile_in_place(net: nn.Module) -> None:
    """Compile when it is first called, by as many processes as the run has cores; its parameters keep their names."""
    from torch._inductor import config

    config.compile_threads = share()  # else the machine's cores, up to 32, for each run beside another
    # A graph for each shape: after the last, smaller batch of an epoch all others would run a slower one for any.
    net.compile(dynamic=False)
