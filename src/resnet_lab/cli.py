"""The command line, thin: each command hands over to the room that does the work. Free of torch."""

import argparse
import sys
import textwrap
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from resnet_lab.config.groups import groups, use
from resnet_lab.data.spec import ImageFolderConfig
from resnet_lab.errors import UserError, lacking_memory, printable
from resnet_lab.files import expanded
from resnet_lab.streams import sturdy

if TYPE_CHECKING:
    from resnet_lab.trained.given import Given

RUN = "a run folder, or a file that resnet-lab export wrote"
MODEL_KEYS = "model.key=value changes what --model's name stands for, as model.zero_channels=split"
OVERRIDES = "key=value, group=option; the groups and their options are listed below"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0: done, 1: something failed, 2: a mistake in what was asked, told in one line."""
    with sturdy() as output:
        try:
            args = _parsed(arguments)
        except UserError as error:
            print(f"resnet-lab: {error}", file=sys.stderr)
            return 2
        code = _run(args)
        lost = output.lost_for_good()
        if lost is None or isinstance(lost, BrokenPipeError):  # the reader, as in `| head`, has seen enough
            return code
        print(f"resnet-lab: standard output: {lost.strerror}", file=sys.stderr)
        trains = args.command is _train and not args.cfg
        return code if trains else code or 1  # what other commands have to give is what they print


def _run(args: argparse.Namespace) -> int:
    command: Callable[[argparse.Namespace], int] = args.command
    try:
        return command(args)
    except UserError as error:
        print(f"resnet-lab: {error}", file=sys.stderr)
        return 2
    except (MemoryError, ImportError, OSError) as error:
        if (line := lacking_memory(error)) is None:
            raise
        print(f"resnet-lab: {line}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("resnet-lab: interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _add_config_dir(early)
    use(early.parse_known_args(arguments)[0].config_dir)  # what the help lists lies there, too
    parser = _parser()
    args, rest = parser.parse_known_args(arguments)
    if any(text.startswith("-") for text in rest) or (rest and not hasattr(args, "overrides")):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:  # key=value after an option, as in `train seed=0 -m model.depth=20,32`
        args.overrides += rest
    return args


def _train(args: argparse.Namespace) -> int:
    if args.cfg:
        return _print_configurations(args)
    from resnet_lab.sweeps.start import train

    return train(args.overrides, multirun=args.multirun, fresh=args.fresh)


def _print_configurations(args: argparse.Namespace) -> int:
    from omegaconf import OmegaConf

    from resnet_lab.config.compose import compose
    from resnet_lab.sweeps.expand import configurations

    one = not args.multirun
    configs = [compose(args.overrides, planned=True)] if one else configurations(args.overrides, planned=True)
    print("---\n".join(OmegaConf.to_yaml(OmegaConf.structured(config)) for config in configs), end="")
    return 0


def _plan(args: argparse.Namespace) -> int:
    from resnet_lab.sweeps.plan import plan

    return plan(args.overrides, multirun=args.multirun, gpu=args.gpu, efficiency=args.efficiency)


def _report(args: argparse.Namespace) -> int:
    from resnet_lab.report.publish import Asked, report
    from resnet_lab.report.view import Question, show

    question = Question(args.by, args.rows, args.columns, args.baseline, args.format)
    if not question.asked:
        return report(args.folder, asked=Asked(args.where, args.out, args.figures.split(",")))
    if args.out:
        raise UserError("--out is for a whole report: a table that is asked for is printed, so redirect it")
    return show(args.folder, args.where, question)


def _sync(args: argparse.Namespace) -> int:
    from resnet_lab.report.sync import Target, sync

    return sync(Target(args.folder, args.project, args.entity))


def _evaluate(args: argparse.Namespace) -> int:
    from resnet_lab.trained.evaluate import evaluate

    return evaluate(args.run, args.model, args.weights, args.protocol, args.overrides, _given(args))


def _predict(args: argparse.Namespace) -> int:
    from resnet_lab.trained.predict import predict

    # Among image files, key=value is a key unless there is such a file.
    keys = [str(path) for path in args.images if "=" in str(path) and not path.exists()]
    images = [path for path in args.images if str(path) not in keys]
    return predict(
        images, args.run, args.model, args.weights, args.top, _given(args), [*keys, *args.overrides]
    )


def _export(args: argparse.Namespace) -> int:
    from resnet_lab.trained.export import export

    return export(str(args.source), args.format, args.out, args.weights, _given(args), args.overrides)


def _given(args: argparse.Namespace) -> "Given":
    from resnet_lab.trained.given import Given

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
    for name in ("size", "workers"):
        if given.get(name) and not given[name].isdecimal():
            raise UserError(f"{name}={given[name]}: a whole number is needed")
    config = compose([text for text in args.overrides if text.partition("=")[0] not in own]).data
    if not isinstance(config, ImageFolderConfig):
        raise UserError(
            f"data={config.name} is held in memory: only image folders are prepared, as data=imagenet"
        )
    workers = int(given["workers"]) if given.get("workers") else None
    return prepare(config, expanded(given["out"]), size=int(given.get("size") or 256), workers=workers)


def _show(args: argparse.Namespace) -> int:
    from resnet_lab.config.compose import compose
    from resnet_lab.data.show import show

    for path in show(compose(args.overrides).data, args.out):
        print(printable(path))
    return 0


def _add_config_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config-dir",
        type=expanded,
        action="append",
        default=[],
        metavar="DIR",
        help="look there first for configurations, then in ./configs; may be repeated",
    )


def _choices() -> str:
    """The configuration groups and their options, for the end of a command's help."""
    lines = []
    for group, options in groups().items():
        text = textwrap.fill(" ".join(options), 100, initial_indent=f"  {group}=", subsequent_indent="      ")
        lines.append(text)
    return "groups and their options:\n" + "\n".join(lines) + "\n\nevery key: resnet-lab train --cfg"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="resnet-lab",
        description="Deep residual networks as experiments: a run is a folder, a sweep is many.",
    )
    parser.add_argument("--version", action="version", version=f"resnet-lab {version('resnet-lab')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name, help=text, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        sub.set_defaults(command=command)
        return sub

    def add_overrides(sub: argparse.ArgumentParser) -> None:
        _add_config_dir(sub)
        sub.add_argument("overrides", nargs="*", metavar="key=value", help=OVERRIDES)
        sub.epilog = f"{sub.epilog or ''}\n\n{_choices()}".strip()

    def add_given(sub: argparse.ArgumentParser) -> None:
        told = sub.add_argument_group("what the weights of another program do not tell of their net")
        told.add_argument("--mean", metavar="R,G,B", help="of its training images, of values from 0 to 1")
        told.add_argument("--std", metavar="R,G,B")
        told.add_argument("--size", type=int, metavar="PIXELS", help="side of the images that it sees")
        told.add_argument(
            "--resize", type=int, metavar="PIXELS", help="shorter side before they are cut out of the middle"
        )
        told.add_argument(
            "--classes",
            type=expanded,
            metavar="FILE",
            help="its classes in order: one a line, or a folder of class folders",
        )

    train = add(
        "train", _train, "train one run, or with -m a sweep; again: resume, or return what is finished"
    )
    train.add_argument("-m", "--multirun", action="store_true", help="sweep over values given as key=a,b,c")
    train.add_argument(
        "--fresh", action="store_true", help="train what is finished anew, in a folder beside it"
    )
    train.add_argument("--cfg", action="store_true", help="print the composed configuration and stop")
    add_overrides(train)

    plan = add("plan", _plan, "list what a sweep would run and cost, without running it")
    plan.add_argument("-m", "--multirun", action="store_true", help="sweep over values given as key=a,b,c")
    plan.add_argument("--gpu", help="estimate for this GPU instead of this machine")
    plan.add_argument(
        "--efficiency",
        type=float,
        default=0.3,
        help="share of the GPU's peak that is reached; narrow nets reach a few per cent",
    )
    add_overrides(plan)

    report = add(
        "report",
        _report,
        "print a sweep's table beside the paper's; write table.md, .csv and .tex, runs.csv, curves",
    )
    report.add_argument(
        "folder", nargs="+", type=expanded, help="a folder of runs, as runs/quickstart; several are compared"
    )
    report.add_argument("--out", type=expanded, help="where to write; default: beside the runs")
    report.add_argument("--figures", default="png", help="png (default), svg, pdf, or several with commas")
    report.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="key=value",
        help="only runs like that; model.depth=20,56 is either, model.shortcut!=none is another",
    )
    asked = report.add_argument_group("one table, printed alone, averaged over all choices but those named")
    asked.add_argument("--format", help="md, csv, latex or json")
    asked.add_argument("--rows", metavar="KEY", help="a row for each value, as model.depth")
    asked.add_argument("--columns", metavar="KEY", help="a column for each value, as model.shortcut")
    asked.add_argument("--by", action="append", default=[], metavar="KEY", help="a line for each value")
    asked.add_argument(
        "--baseline",
        action="append",
        default=[],
        metavar="key=value",
        help="differences to the net with this choice, with their 95 %% interval",
    )

    sync = add(
        "sync",
        _sync,
        "send W&B what it lacks of the runs below a folder; without a key, write its files there",
    )
    sync.add_argument("folder", type=expanded, help="a folder of runs, as runs/quickstart, or one run")
    sync.add_argument("--project", help="default: each run's logger.project, or WANDB_PROJECT, or resnet-lab")
    sync.add_argument("--entity", help="default: each run's logger.entity, or WANDB_ENTITY, or W&B's default")

    evaluate = add(
        "evaluate", _evaluate, "test trained nets again: another protocol, other data, an ensemble"
    )
    evaluate.add_argument("--run", type=expanded, action="append", default=[], metavar="RUN_DIR", help=RUN)
    evaluate.add_argument("--model", action="append", default=[], metavar="NAME")
    evaluate.add_argument("--weights", action="append", default=[], help="of each --model: a name or a file")
    evaluate.add_argument(
        "--protocol", help="single_view, center_crop, center_crop_320, ten_crop or multi_scale"
    )
    evaluate.epilog = "several --run or --model are tested one by one and as an ensemble (he2015 Table 5)"
    add_given(evaluate)
    add_overrides(evaluate)

    predict = add("predict", _predict, "print the most probable classes of image files")
    predict.add_argument("images", nargs="+", type=expanded, metavar="IMAGE")
    predict.add_argument("--run", type=expanded, metavar="RUN_DIR", help=RUN)
    predict.add_argument("--model", metavar="NAME")
    predict.add_argument("--weights", help="of --model: imagenet, IMAGENET1K_V1, ... or a file")
    predict.add_argument("--top", type=int, default=5, help="classes to print; default: 5")
    predict.epilog = MODEL_KEYS
    predict.set_defaults(overrides=[])
    add_given(predict)

    export = add("export", _export, "write a trained net as a file for other programs")
    export.add_argument("source", type=expanded, metavar="RUN_OR_MODEL")
    export.add_argument(
        "--format", default="safetensors", help="safetensors (default), torch or torch-export"
    )
    export.add_argument("--weights", help="of a model: imagenet, IMAGENET1K_V1, ... or a file")
    export.add_argument("--out", type=expanded, help="default: RUN_OR_MODEL's name, here")
    export.add_argument("overrides", nargs="*", metavar="model.key=value", help=MODEL_KEYS)
    add_given(export)

    new = add("new", _new, "write a small project: parts of your own, and an experiment that sweeps them")
    new.add_argument("folder", type=expanded, metavar="FOLDER")

    models = add("models", _models, "list the networks: depth, parameters, multiply-adds, source")
    models.add_argument("pattern", nargs="?", help="a name, or a part with * and ?")
    models.add_argument("--layers", action="store_true", help="print the layers with their output shapes")

    prepare = add("prepare", _prepare, "write an image folder as shards with a smaller shorter side")
    prepare.epilog = (
        "out=FOLDER is needed; size=256 is the shorter side in pixels; workers=N, default: the cores"
    )
    add_overrides(prepare)

    show = add("show", _show, "write contact sheets of augmented training images and of test images")
    show.add_argument("--out", type=expanded, help="the folder to write; default: here")
    add_overrides(show)
    return parser


if __name__ == "__main__":
    sys.exit(main())
