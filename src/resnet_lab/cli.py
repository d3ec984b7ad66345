"""The command line, thin: each command hands over to the room that does the work. Free of torch."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from resnet_lab.arguments import EVERYTHING, parsed
from resnet_lab.data.spec import ImageFolderConfig
from resnet_lab.errors import UserError, lacking, printable
from resnet_lab.files import expanded
from resnet_lab.streams import sturdy

if TYPE_CHECKING:
    from resnet_lab.trained.seen import Given


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0: done, 1: something failed, 2: a mistake in what was asked, told in one line."""
    with sturdy() as output:
        try:
            args = parsed(arguments)
        except UserError as error:
            print(f"resnet-lab: {error}", file=sys.stderr)
            return 2
        code = _run(args)
        lost = output.lost_for_good()
        if lost is None or isinstance(lost, BrokenPipeError):  # the reader, as in `| head`, has seen enough
            return code
        print(f"resnet-lab: standard output: {lost.strerror}", file=sys.stderr)
        trains = args.command == "train" and not args.cfg
        return code if trains else code or 1  # what other commands have to give is what they print


def _run(args: argparse.Namespace) -> int:
    try:
        return COMMANDS[args.command](args)
    except UserError as error:
        print(f"resnet-lab: {error}", file=sys.stderr)
        return 2
    except (MemoryError, ImportError, OSError, RuntimeError) as error:
        if (line := lacking(error)) is None:
            raise
        print(f"resnet-lab: {line}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("resnet-lab: interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _train(args: argparse.Namespace) -> int:
    if args.cfg:
        from resnet_lab.sweeps.printed import print_configurations

        return print_configurations(
            args.overrides, None if args.cfg == EVERYTHING else args.cfg, multirun=args.multirun
        )
    from resnet_lab.sweeps.start import train

    return train(args.overrides, multirun=args.multirun, fresh=args.fresh)


def _plan(args: argparse.Namespace) -> int:
    from resnet_lab.sweeps.plan import plan

    return plan(
        args.overrides, multirun=args.multirun, gpu=args.gpu, efficiency=args.efficiency, measure=args.faster
    )


def _report(args: argparse.Namespace) -> int:
    from resnet_lab.report.publish import Asked, report
    from resnet_lab.report.view import Question, show

    question = Question(
        args.by, args.rows, args.columns, args.baseline, args.show, args.all_runs, args.format
    )
    if args.page or args.serve is not None:
        from resnet_lab.report.page import serve, write_page

        if question.asked:
            raise UserError("--page and --serve show every table: leave out what asks for one")
        if args.serve is not None:
            return serve(args.folder, args.where, args.serve)
        return write_page(args.folder, args.out, args.where)
    if not question.asked:
        return report(args.folder, asked=Asked(args.where, args.out, args.figures.split(","), args.width))
    if args.out:
        raise UserError("--out is for a whole report: a table that is asked for is printed, so redirect it")
    return show(args.folder, args.where, question)


def _status(args: argparse.Namespace) -> int:
    from resnet_lab.report.status import status

    return status(args.folder)


def _sync(args: argparse.Namespace) -> int:
    from resnet_lab.report.sync import Target, sync

    return sync(Target(args.folder, args.project, args.entity, args.workspace, args.dry_run))


def _evaluate(args: argparse.Namespace) -> int:
    from resnet_lab.trained.details import Wanted
    from resnet_lab.trained.evaluate import evaluate, show
    from resnet_lab.trained.keys import Pairs
    from resnet_lab.trained.source import named_ones

    if args.out is not None and not args.details:
        raise UserError("--out goes with --details: it says where they are written")
    pairs = Pairs("evaluate", args.overrides, "model", "metrics", "data")
    nets = named_ones(args.run, args.model, args.weights, pairs.model, trust=args.trust)
    show(evaluate(nets, pairs, args.protocol, _given(args), Wanted(args.out) if args.details else None))
    return 0


def _predict(args: argparse.Namespace) -> int:
    from resnet_lab.trained.keys import Pairs
    from resnet_lab.trained.predict import predict, show
    from resnet_lab.trained.seen import known
    from resnet_lab.trained.source import named_ones

    # Among image files, key=value is a key unless there is such a file.
    keys = [str(path) for path in args.images if "=" in str(path) and not path.exists()]
    images = [path for path in args.images if str(path) not in keys]
    pairs = Pairs("predict", [*keys, *args.overrides], "model")
    if (args.run is None) == (args.model is None):
        raise UserError("name one net: --run RUN_DIR, or --model NAME --weights WEIGHTS")
    if args.run is not None and args.weights is not None:
        raise UserError(f"{args.run} knows its net and weights: --weights goes with --model")
    if args.model is not None and args.weights is None:
        raise UserError(f"{args.model} knows nothing without weights: --weights imagenet, or a file")
    runs, models, weights = ([] if each is None else [each] for each in (args.run, args.model, args.weights))
    (net,) = named_ones(runs, models, weights, pairs.model, trust=args.trust)
    return show(predict(net, known(net, _given(args)), images), args.format, args.top)


def _export(args: argparse.Namespace) -> int:
    from resnet_lab.trained.export import export

    return export(
        str(args.source), args.format, args.out, args.weights, _given(args), args.overrides, trust=args.trust
    )


def _pack(args: argparse.Namespace) -> int:
    from resnet_lab.share.pack import pack

    return pack(args.folder, args.out)


def _unpack(args: argparse.Namespace) -> int:
    from resnet_lab.share.pack import unpack

    return unpack(args.archive, args.out)


def _given(args: argparse.Namespace) -> "Given":
    from resnet_lab.trained.seen import Given

    return Given.of(args.mean, args.std, args.size, args.resize, args.classes)


def _new(args: argparse.Namespace) -> int:
    from resnet_lab.template import new

    return new(args.folder)


def _models(args: argparse.Namespace) -> int:
    from resnet_lab.models.listing import print_models

    return print_models(args.pattern, args.layers)


def _prepare(args: argparse.Namespace) -> int:
    from resnet_lab.config.compose import compose
    from resnet_lab.data.shards.prepare import prepare

    own = ("out", "size", "workers")  # the rest are keys of the configuration
    given = dict(text.partition("=")[::2] for text in args.overrides)
    if not given.get("out"):
        raise UserError("out is missing: name the folder to write, as in out=shards/imagenet")
    if "://" in given["out"]:
        raise UserError(
            f"out={given['out']}: shards are written to a local folder; name one and upload it, for example with"
            " `aws s3 sync`"
        )
    for name in ("size", "workers"):
        if given.get(name) and not given[name].isdecimal():
            raise UserError(f"{name}={given[name]}: a whole number is needed")
    config = compose(
        [text for text in args.overrides if text.partition("=")[0] not in own], trains=False
    ).data
    if not isinstance(config, ImageFolderConfig):
        raise UserError(
            f"data={config.name} is held in memory: only image folders are prepared, as data=imagenet"
        )
    workers = int(given["workers"]) if given.get("workers") else None
    return prepare(config, expanded(given["out"]), size=int(given.get("size") or 256), workers=workers)


def _show(args: argparse.Namespace) -> int:
    from resnet_lab.config.compose import compose
    from resnet_lab.data.show import show

    for path in show(compose(args.overrides, trains=False).data, args.out):
        print(printable(path))
    return 0


def _completion(args: argparse.Namespace) -> int:
    from resnet_lab.completion import complete, script

    print(script(args.shell) if args.of is None else complete(args.of), end="")
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "train": _train,
    "plan": _plan,
    "report": _report,
    "status": _status,
    "sync": _sync,
    "evaluate": _evaluate,
    "predict": _predict,
    "export": _export,
    "pack": _pack,
    "unpack": _unpack,
    "models": _models,
    "show": _show,
    "prepare": _prepare,
    "new": _new,
    "completion": _completion,
}


if __name__ == "__main__":
    sys.exit(main())
