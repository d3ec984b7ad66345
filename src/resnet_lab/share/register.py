"""The commands that hand runs on as one file."""

from argparse import Namespace

from resnet_lab.arguments import RUNS, path
from resnet_lab.extras import command, option


@command(
    "use a trained network",
    "write finished runs as one archive: weights, records, tables and a model card",
    "resnet-lab pack runs/quickstart",
    RUNS,
    option("--out FILE", "default: the folder's name with .zip, in the working folder", type=path),
)
def pack(args: Namespace) -> int:
    from resnet_lab.share.pack import pack

    return pack(args.folder, args.out)


@command(
    "use a trained network",
    "turn such an archive into run folders, verifying every checksum",
    "resnet-lab unpack quickstart.zip",
    option("archive FILE", "an archive that resnet-lab pack wrote", type=path),
    option("--out FOLDER", "a new folder; default: the file's name, in the working folder", type=path),
)
def unpack(args: Namespace) -> int:
    from resnet_lab.share.pack import unpack

    return unpack(args.archive, args.out)
