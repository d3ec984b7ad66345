"""Shards as a kind of images, and the command that writes them."""

from argparse import Namespace
from typing import Any

from resnet_lab.arguments import OVERRIDES
from resnet_lab.extras import command, register


@register("images", "shards")
def shards(*given: Any) -> Any:
    from resnet_lab.data.shards import Shards

    return Shards(*given)


@command(
    "look and prepare",
    "write an image folder as shards with a smaller shorter side",
    "resnet-lab prepare data=imagenet data.root=/data/imagenet out=shards/imagenet",
    *OVERRIDES,
    notes="out=FOLDER is needed; size=256 is the shorter side in pixels; workers=N, by default one per core.",
)
def prepare(args: Namespace) -> int:
    from resnet_lab.config.request import compose
    from resnet_lab.data.shards.prepare import prepare
    from resnet_lab.data.spec import ImageFolderConfig
    from resnet_lab.errors import UserError
    from resnet_lab.files import expanded

    own = ("out", "size", "workers")  # the rest are keys of the configuration
    given = dict(text.partition("=")[::2] for text in args.overrides)
    if not given.get("out"):
        raise UserError("out is missing: name the folder to write, for example out=shards/imagenet")
    if "://" in given["out"]:
        raise UserError(
            f"out={given['out']}: shards are written to a local folder; name one and upload it, for example with"
            " `aws s3 sync`"
        )
    for name in ("size", "workers"):
        if given.get(name) and not given[name].isdecimal():
            raise UserError(f"{name}={given[name]}: a whole number is needed")
    keys = [text for text in args.overrides if text.partition("=")[0] not in own]
    config = compose(keys, trains=False).data
    if not isinstance(config, ImageFolderConfig):
        raise UserError(
            f"data={config.name} is held in memory: only image folders are prepared, for example data=imagenet"
        )
    workers = int(given["workers"]) if given.get("workers") else None
    return prepare(config, expanded(given["out"]), size=int(given.get("size") or 256), workers=workers)
