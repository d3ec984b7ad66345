"""What the command line takes: the commands in groups, each with an example, and their options. Free of torch."""

import argparse
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from resnet_lab.commands import COMMANDS, EXIT_CODES
from resnet_lab.config.groups import groups, use
from resnet_lab.files import expanded

RUN = "a run folder, or a file that resnet-lab export wrote"
MODEL_KEYS = "model.key=value changes what --model's name stands for, as model.zero_channels=split"
OVERRIDES = "key=value, group=option; the groups and their options are listed below"
EVERYTHING = "everything"  # --cfg without a part


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was typed, its command as `command`; UserError, or an exit with 2, for what no command takes."""
    known_dirs(arguments)
    parser = build()
    args, rest = parser.parse_known_args(arguments)
    if any(text.startswith("-") for text in rest) or (rest and not hasattr(args, "overrides")):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if "=" in (getattr(args, "cfg", None) or ""):  # `--cfg key=value` asks for all of it
        rest, args.cfg = [args.cfg, *rest], EVERYTHING
    if rest:  # key=value after an option, as in `train seed=0 -m model.depth=20,32`
        args.overrides += rest
    return args


def known_dirs(arguments: Sequence[str] | None) -> None:
    """Look where --config-dir says, before anything else is read: what the help lists lies there, too."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _add_config_dir(early)
    use(early.parse_known_args(arguments)[0].config_dir)


class _Version(argparse.Action):
    """The package's version, looked up when it is asked for: what looks it up takes as long as all else here."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"resnet-lab {version('resnet-lab')}")
        parser.exit()


def build() -> argparse.ArgumentParser:
    """The parser of everything."""
    parser = argparse.ArgumentParser(
        prog="resnet-lab",
        usage="resnet-lab COMMAND ...",
        description="Deep residual networks as experiments: a run is a folder, a sweep is many.",
        epilog=f"{_commands()}\n\nresnet-lab COMMAND --help tells more of one.\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="show the version and exit"
    )
    _add_config_dir(parser)
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, help="one of those below"
    )
    for kind in COMMANDS.values():
        for name, (text, example) in kind.items():
            sub = commands.add_parser(
                name,
                description=text,
                epilog=f"example:\n  {example}",
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
            ADD[name](sub)
    return parser


def _commands() -> str:
    """The commands in groups, for the end of the help."""
    lines: list[str] = []
    for kind, commands in COMMANDS.items():
        lines += ["", f"{kind}:"]
        for name, (text, example) in commands.items():
            lines += [f"  {name:<11}{text}", f"  {'':<11}$ {example}"]
    return "\n".join(lines).strip()


def _add_train(train: argparse.ArgumentParser) -> None:
    _add_multirun(train)
    train.add_argument(
        "--fresh", action="store_true", help="train what is finished anew, in a folder beside it"
    )
    train.add_argument(
        "--cfg",
        nargs="?",
        const=EVERYTHING,
        metavar="PART",
        help="print the composed configuration, or a part as recipe or recipe.lr, with the file that set each key,"
        " and stop",
    )
    _add_overrides(train)


def _add_plan(plan: argparse.ArgumentParser) -> None:
    _add_multirun(plan)
    plan.add_argument("--gpu", help="estimate for this GPU instead of this machine")
    plan.add_argument(
        "--efficiency",
        type=float,
        default=0.3,
        help="share of the GPU's peak that is reached; narrow nets reach a few per cent",
    )
    plan.add_argument(
        "--faster", action="store_true", help="measure, once, what would train faster here and by how much"
    )
    _add_overrides(plan)


def _add_report(report: argparse.ArgumentParser) -> None:
    report.add_argument(
        "folder", nargs="+", type=expanded, help="a folder of runs, as runs/quickstart; several are compared"
    )
    report.add_argument("--out", type=expanded, help="where to write; default: beside the runs")
    report.add_argument("--figures", default="png", help="png (default), svg, pdf, or several with commas")
    report.add_argument("--width", help="draw the figures for a paper: as wide as its column, or its page")
    report.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="key=value",
        help="only runs like that; model.depth=20,56 is either, model.shortcut!=none is another",
    )
    report.add_argument(
        "--page", action="store_true", help="write page.html instead: all of it, to click through"
    )
    report.add_argument(
        "--serve",
        nargs="?",
        type=int,
        const=0,
        metavar="PORT",
        help="show that page on this machine alone, live while a sweep runs, until Ctrl-C",
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
    asked.add_argument(
        "--show",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a further column, for example train_error, median or images_per_second",
    )
    asked.add_argument(
        "--all-runs",
        action="store_true",
        help="average all runs, also where the rows differ in the settings that they average over",
    )


def _add_status(status: argparse.ArgumentParser) -> None:
    status.add_argument("folder", nargs="+", type=expanded, help="a folder of runs, as runs/quickstart")


def _add_sync(sync: argparse.ArgumentParser) -> None:
    sync.add_argument("folder", type=expanded, help="a folder of runs, as runs/quickstart, or one run")
    sync.add_argument("--project", help="default: each run's logger.project, or WANDB_PROJECT, or resnet-lab")
    sync.add_argument("--entity", help="default: each run's logger.entity, or WANDB_ENTITY, or W&B's default")
    sync.add_argument(
        "--workspace", action="store_true", help="save a view of the sweep in W&B, too; again: in its place"
    )
    sync.add_argument(
        "--dry-run", action="store_true", help="with --workspace: print the view, and send nothing"
    )


def _add_evaluate(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument("--run", type=expanded, action="append", default=[], metavar="RUN_DIR", help=RUN)
    evaluate.add_argument("--model", action="append", default=[], metavar="NAME")
    evaluate.add_argument("--weights", action="append", default=[], help="of each --model: a name or a file")
    evaluate.add_argument(
        "--protocol", help="single_view, center_crop, center_crop_320, ten_crop or multi_scale"
    )
    evaluate.add_argument(
        "--details",
        action="store_true",
        help="write predictions.csv, confusion.csv, per_class.csv and mistakes.png; of several nets, their agreement",
    )
    evaluate.add_argument("--out", type=expanded, help="where to write details; default: each run's folder")
    _say(evaluate, "several --run or --model are tested one by one and as an ensemble (he2015 Table 5)")
    _add_given(evaluate)
    _add_overrides(evaluate)


def _add_predict(predict: argparse.ArgumentParser) -> None:
    predict.add_argument("images", nargs="+", type=expanded, metavar="IMAGE_OR_FOLDER")
    predict.add_argument("--run", type=expanded, metavar="RUN_DIR", help=RUN)
    predict.add_argument("--model", metavar="NAME")
    predict.add_argument("--weights", help="of --model: imagenet, IMAGENET1K_V1, ... or a file")
    predict.add_argument("--top", type=int, help="classes to print of each image; default: 5")
    predict.add_argument(
        "--format", default="text", help="text (default), csv or json, which have every class's probability"
    )
    _say(predict, MODEL_KEYS)
    predict.set_defaults(overrides=[])
    _add_given(predict)


def _add_export(export: argparse.ArgumentParser) -> None:
    export.add_argument("source", type=expanded, metavar="RUN_OR_MODEL")
    export.add_argument(
        "--format", default="safetensors", help="safetensors (default), torch, torch-export or onnx"
    )
    export.add_argument("--weights", help="of a model: imagenet, IMAGENET1K_V1, ... or a file")
    export.add_argument("--out", type=expanded, help="default: RUN_OR_MODEL's name, here")
    export.add_argument("overrides", nargs="*", metavar="model.key=value", help=MODEL_KEYS)
    _add_given(export)


def _add_pack(pack: argparse.ArgumentParser) -> None:
    pack.add_argument("folder", type=expanded, help="a folder of runs, as runs/quickstart, or one run")
    pack.add_argument(
        "--out", type=expanded, metavar="FILE", help="default: the folder's name with .zip, here"
    )


def _add_unpack(unpack: argparse.ArgumentParser) -> None:
    unpack.add_argument("archive", type=expanded, metavar="FILE")
    unpack.add_argument("--out", type=expanded, metavar="FOLDER", help="default: the file's name, here")


def _add_models(models: argparse.ArgumentParser) -> None:
    models.add_argument("pattern", nargs="?", help="a name, or a part with * and ?")
    models.add_argument("--layers", action="store_true", help="print the layers with their output shapes")


def _add_show(show: argparse.ArgumentParser) -> None:
    show.add_argument("--out", type=expanded, help="the folder to write; default: here")
    _add_overrides(show)


def _add_prepare(prepare: argparse.ArgumentParser) -> None:
    _say(
        prepare,
        "out=FOLDER is needed; size=256 is the shorter side in pixels; workers=N, default: the cores",
    )
    _add_overrides(prepare)


def _add_new(new: argparse.ArgumentParser) -> None:
    new.add_argument("folder", type=expanded, metavar="FOLDER")


def _add_completion(completion: argparse.ArgumentParser) -> None:
    completion.add_argument("shell", metavar="bash|zsh|fish")
    completion.add_argument("--of", metavar="LINE", help=argparse.SUPPRESS)  # what the shells ask


def _add_multirun(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("-m", "--multirun", action="store_true", help="sweep over values given as key=a,b,c")


def _add_overrides(sub: argparse.ArgumentParser) -> None:
    _add_config_dir(sub)
    sub.add_argument("overrides", nargs="*", metavar="key=value", help=OVERRIDES)
    _say(sub, _choices())


def _add_config_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config-dir",
        type=expanded,
        action="append",
        default=[],
        metavar="DIR",
        help="look there first for configurations, then in ./configs; may be repeated",
    )


def _add_given(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--trust",
        action="store_true",
        help="let a run folder or a file of weights name code from any installed package: it can then do what you can",
    )
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


def _say(sub: argparse.ArgumentParser, text: str) -> None:
    sub.epilog = f"{sub.epilog}\n\n{text}"


def _choices() -> str:
    """The configuration groups and their options, for the end of a command's help."""
    lines = []
    for group, options in groups().items():
        text = textwrap.fill(" ".join(options), 100, initial_indent=f"  {group}=", subsequent_indent="      ")
        lines.append(text)
    return "groups and their options:\n" + "\n".join(lines) + "\n\nevery key: resnet-lab train --cfg"


ADD: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "train": _add_train,
    "plan": _add_plan,
    "report": _add_report,
    "status": _add_status,
    "sync": _add_sync,
    "evaluate": _add_evaluate,
    "predict": _add_predict,
    "export": _add_export,
    "pack": _add_pack,
    "unpack": _add_unpack,
    "models": _add_models,
    "show": _add_show,
    "prepare": _add_prepare,
    "new": _add_new,
    "completion": _add_completion,
}
