"""The commands of the core: help, an example, arguments and what each does. Free of torch."""

from argparse import Namespace
from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING

from resnet_lab.arguments import (
    EVERYTHING,
    GIVEN,
    MODEL_KEYS,
    MULTIRUN,
    OVERRIDES,
    RUN,
    SEVERAL,
    model,
    networks,
    path,
    protocols,
)
from resnet_lab.errors import UserError, printable
from resnet_lab.extras import command, option

if TYPE_CHECKING:
    from resnet_lab.trained.seen import Given

TABLE = "one table, printed alone, averaged over all choices but those named"


def _parts() -> Iterable[str]:
    from resnet_lab.config.schema import TrainConfig

    return (each.name for each in fields(TrainConfig))


@command(
    "train and compare",
    "train one run, or a sweep with -m; again: resume, or return what is finished",
    "resnet-lab train -m experiment=quickstart seed=0,1,2",
    MULTIRUN,
    option("--fresh", "train what is finished again, in a folder beside it"),
    option(
        "--extend RUN",
        "train a finished run for longer, from its last checkpoint, as a run of its own: --extend RUN"
        " recipe.epochs=20",
        type=path,
    ),
    option("--retry-failed", "with -m: also train the runs again that diverged"),
    option(
        "--cfg [PART]",
        "print the composed configuration and stop, with the file that set each key; of it only a PART, for"
        " example recipe or recipe.lr",
        const=EVERYTHING,
        choices=_parts,
    ),
    *OVERRIDES,
)
def train(args: Namespace) -> int:
    if args.cfg:
        from resnet_lab.sweeps.printed import print_configurations

        part = None if args.cfg == EVERYTHING else args.cfg
        return print_configurations(args.overrides, part, multirun=args.multirun)
    from resnet_lab.sweeps.start import extend, train

    if args.extend:
        if args.multirun or args.fresh:
            raise UserError("train --extend is for one run: it goes with neither -m nor --fresh")
        return extend(args.extend, args.overrides)
    return train(args.overrides, multirun=args.multirun, fresh=args.fresh, retry_failed=args.retry_failed)


@command(
    "train and compare",
    "print a sweep's table beside the paper's; write tables, figures and runs.csv",
    "resnet-lab report runs/quickstart",
    SEVERAL,
    option("--out FOLDER", "where to write; default: beside the runs", type=path),
    option("--figures png|svg|pdf", "default: png; several with commas", default="png"),
    option("--width column|page", "draw the figures for a paper, as wide as its column or its page"),
    option(
        "--where key=value...",
        "keep only matching runs; model.depth=20,56 matches either, model.shortcut!=none any other",
    ),
    option("--format md|csv|latex|json", "how it is printed", group=TABLE),
    option("--rows KEY", "a row for each value, for example model.depth", group=TABLE),
    option("--columns KEY", "a column for each value, for example model.shortcut", group=TABLE),
    option("--by KEY...", "a line for each value", group=TABLE),
    option(
        "--baseline key=value...",
        "differences to the network with this choice, with their 95 %% interval",
        group=TABLE,
    ),
    option(
        "--show COLUMN...",
        "a further column, for example train_error, median or images_per_second",
        group=TABLE,
    ),
    option(
        "--all-runs",
        "average all runs, also where the rows differ in the settings that they average over",
        group=TABLE,
    ),
)
def report(args: Namespace) -> int:
    from resnet_lab.report.publish import Asked, report
    from resnet_lab.report.view import Question, show

    question = Question(
        args.by, args.rows, args.columns, args.baseline, args.show, args.all_runs, args.format
    )
    if not question.asked:
        return report(args.folder, asked=Asked(args.where, args.out, args.figures.split(","), args.width))
    if args.out:
        raise UserError("--out is for a whole report: a table that is asked for is printed, so redirect it")
    return show(args.folder, args.where, question)


@command(
    "train and compare",
    "show the progress of a running sweep, runs likely to fail, and the time left",
    "resnet-lab status runs/quickstart",
    SEVERAL,
)
def status(args: Namespace) -> int:
    from resnet_lab.report.status import status

    return status(args.folder)


@command(
    "use a trained network",
    "test trained networks again: another protocol, other data, an ensemble",
    "resnet-lab evaluate --model resnet50 --weights imagenet --protocol ten_crop data=imagenet",
    option("--run RUN_DIR...", f"{RUN}; can be repeated", type=path),
    model(action="append", default=[]),
    option("--weights WEIGHTS...", "of each --model: imagenet, another name, or a file"),
    option(
        "--protocol PROTOCOL",
        "single_view, center_crop, center_crop_320, ten_crop or multi_scale",
        choices=protocols,
    ),
    option(
        "--details",
        "write predictions.csv, confusion.csv, per_class.csv and mistakes.png, and for several networks how"
        " often they agree",
    ),
    option("--out FOLDER", "where to write details; default: each run's folder", type=path),
    *GIVEN,
    *OVERRIDES,
    notes="Several --run or --model are tested one by one and as an ensemble (He et al. 2015, Table 5).",
)
def evaluate(args: Namespace) -> int:
    from resnet_lab.trained.evaluate import evaluate, show
    from resnet_lab.trained.keys import Pairs
    from resnet_lab.trained.network import named_ones

    if args.out is not None and not args.details:
        raise UserError("--out goes with --details: it says where they are written")
    pairs = Pairs("evaluate", args.overrides, "model", "metrics", "data")
    nets = named_ones(args.run, args.model, args.weights, pairs.model, trust=args.trust)
    show(evaluate(nets, pairs, args.protocol, _given(args), details=args.details, out=args.out))
    return 0


@command(
    "use a trained network",
    "classify images, or folders of them, with probabilities",
    "resnet-lab predict cat.jpg --model resnet50 --weights imagenet",
    option("images IMAGE_OR_FOLDER+", "an image file, or a folder of them", type=path),
    option("--run RUN_DIR", RUN, type=path),
    model(),
    option("--weights WEIGHTS", "of --model: imagenet, IMAGENET1K_V1, ... or a file"),
    option("--top N", "how many classes to print for each image; default: 5", type=int),
    option(
        "--format text|csv|json",
        "default: text; the others have every class's probability",
        default="text",
    ),
    *GIVEN,
    notes=MODEL_KEYS,
)
def predict(args: Namespace) -> int:
    from resnet_lab.trained.keys import Pairs
    from resnet_lab.trained.network import named_ones
    from resnet_lab.trained.predict import predict, show
    from resnet_lab.trained.seen import known

    # Among image files, key=value is a key unless there is such a file.
    keys = [str(each) for each in args.images if "=" in str(each) and not each.exists()]
    images = [each for each in args.images if str(each) not in keys]
    pairs = Pairs("predict", keys, "model")
    runs, models, weights = ([] if each is None else [each] for each in (args.run, args.model, args.weights))
    if len(runs) + len(models) != 1:
        raise UserError("name one net: --run RUN_DIR, or --model NAME --weights WEIGHTS")
    (net,) = named_ones(runs, models, weights, pairs.model, trust=args.trust)
    return show(predict(net, known(net, _given(args)), images), args.format, args.top)


@command(
    "use a trained network",
    "write a trained network as a file for other programs",
    "resnet-lab export resnet50 --weights imagenet --format torch-export",
    option("source RUN_OR_MODEL", f"{RUN}, or the name of a network", type=path, choices=networks),
    option("--format safetensors|torch|torch-export|onnx", "default: safetensors", default="safetensors"),
    option("--weights WEIGHTS", "of a network's name: imagenet, IMAGENET1K_V1, ... or a file"),
    option("--out FILE", "default: RUN_OR_MODEL's name, in the working folder", type=path),
    option("overrides model.key=value*", MODEL_KEYS),
    *GIVEN,
)
def export(args: Namespace) -> int:
    from resnet_lab.trained.export import export

    return export(
        str(args.source), args.format, args.out, args.weights, _given(args), args.overrides, trust=args.trust
    )


def _given(args: Namespace) -> "Given":
    from resnet_lab.trained.seen import Given

    return Given.of(args.mean, args.std, args.size, args.resize, args.classes)


@command(
    "look and prepare",
    "list the networks: depth, parameters, multiply-adds, source",
    "resnet-lab models 'cifar_*'",
    option(
        "pattern NAME*",
        "a name, a pattern with * and ?, your own network (a dotted path, or a file in configs/model), or model=…",
        choices=networks,
    ),
    option("--layers", "print the layers with their output shapes"),
)
def models(args: Namespace) -> int:
    from resnet_lab.config.groups import groups
    from resnet_lab.models.listing import print_layers, print_models

    if args.pattern and args.pattern[0] not in networks() and args.pattern[0] in groups()["model"]:
        args.pattern[0] = f"model={args.pattern[0]}"
    if any("=" in each for each in args.pattern):
        from resnet_lab.config.request import compose
        from resnet_lab.data import info

        config = compose(args.pattern, trains=False)
        facts = info(config.data)
        return print_layers(config.model, (facts.channels, facts.height, facts.width))
    if len(args.pattern) > 1:
        raise UserError(f"one name or pattern at a time, not {len(args.pattern)}: {' '.join(args.pattern)}")
    pattern = args.pattern[0] if args.pattern else None
    if pattern is not None and "." in pattern:
        from resnet_lab.config.own_code import authorised

        authorised(pattern, "model._target_")
    return print_models(pattern, args.layers)


@command(
    "look and prepare",
    "write contact sheets of augmented training images and of test images",
    "resnet-lab show data=digits --out sheets",
    option("--out FOLDER", "the folder to write; default: the working folder", type=path),
    *OVERRIDES,
)
def show(args: Namespace) -> int:
    from resnet_lab.config.request import compose
    from resnet_lab.data.show import show

    for each in show(compose(args.overrides, trains=False).data, args.out):
        print(printable(each))
    return 0
