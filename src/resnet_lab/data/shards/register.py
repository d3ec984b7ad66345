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
    from resnet_lab.errors import UserError
    from resnet_lab.files import expanded

    given = dict(text.partition("=")[::2] for text in args.overrides)
    own = {
        name: given.get(name, "") for name in ("out", "size", "workers")
    }  # the rest are keys of the configuration
    if not own["out"]:
        raise UserError("out is missing: name the folder to write, for example out=shards/imagenet")
    if "://" in own["out"]:
        local = "shards are written to a local folder; name one and upload it, for example with `aws s3 sync`"
        raise UserError(f"out={own['out']}: {local}")
    for name in ("size", "workers"):
        if own[name] and not own[name].isdecimal():
            raise UserError(f"{name}={own[name]}: a whole number is needed")
    config = compose(
        [text for text in args.overrides if text.partition("=")[0] not in own], trains=False
    ).data
    numbers = {name: int(own[name]) for name in ("size", "workers") if own[name]}
    return prepare(config, expanded(own["out"]), **numbers)
