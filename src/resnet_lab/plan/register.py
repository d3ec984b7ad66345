"""The command that plans a sweep."""

from argparse import Namespace

from resnet_lab.arguments import MULTIRUN, OVERRIDES
from resnet_lab.extras import command, option


@command(
    "train and compare",
    "list what a sweep would run and cost, without running it",
    "resnet-lab plan -m experiment=he2015/table6 --gpu a100",
    MULTIRUN,
    option("--gpu NAME", "estimate for this GPU instead of this machine, for example a100"),
    option(
        "--efficiency SHARE",
        "share of the GPU's peak that is reached, by default 0.3; narrow networks reach a few per cent",
        type=float,
        default=0.3,
    ),
    option("--faster", "measure once what would train faster here, and by how much"),
    *OVERRIDES,
)
def plan(args: Namespace) -> int:
    from resnet_lab.plan.plan_table import plan

    return plan(
        args.overrides, multirun=args.multirun, gpu=args.gpu, efficiency=args.efficiency, measure=args.faster
    )
