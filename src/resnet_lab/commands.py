"""The commands: what each does and an example, in groups; and what they end with. Free of everything."""

# group: name: what it does, and an example
COMMANDS = {
    "train and compare": {
        "train": (
            "train one run, or with -m a sweep; again: resume, or return what is finished",
            "resnet-lab train -m experiment=quickstart seed=0,1,2",
        ),
        "plan": (
            "list what a sweep would run and cost, without running it",
            "resnet-lab plan -m experiment=he2015/table6 --gpu a100",
        ),
        "report": (
            "print a sweep's table beside the paper's; write table.md, .csv and .tex, runs.csv, curves",
            "resnet-lab report runs/quickstart",
        ),
        "status": (
            "tell how far a sweep is that runs elsewhere, what will fail, and how long the rest takes",
            "resnet-lab status runs/quickstart",
        ),
        "sync": (
            "send W&B what it lacks of the runs below a folder; without a key, write its files there",
            "resnet-lab sync runs/quickstart",
        ),
    },
    "use a trained net": {
        "evaluate": (
            "test trained nets again: another protocol, other data, an ensemble",
            "resnet-lab evaluate --model resnet50 --weights imagenet --protocol ten_crop",
        ),
        "predict": (
            "classify images, or folders of them, with probabilities",
            "resnet-lab predict cat.jpg --model resnet50 --weights imagenet",
        ),
        "export": (
            "write a trained net as a file for other programs",
            "resnet-lab export resnet50 --weights imagenet --format torch-export",
        ),
        "pack": (
            "write finished runs as one archive: weights, records, tables and a model card",
            "resnet-lab pack runs/quickstart",
        ),
        "unpack": (
            "turn such an archive into run folders, each file held against its digest",
            "resnet-lab unpack quickstart.zip",
        ),
    },
    "look and prepare": {
        "models": (
            "list the networks: depth, parameters, multiply-adds, source",
            "resnet-lab models 'cifar_*'",
        ),
        "show": (
            "write contact sheets of augmented training images and of test images",
            "resnet-lab show data=digits --out sheets",
        ),
        "prepare": (
            "write an image folder as shards with a smaller shorter side",
            "resnet-lab prepare data=imagenet data.root=/data/imagenet out=shards/imagenet",
        ),
    },
    "set up": {
        "new": (
            "write a small project: parts of your own, and an experiment that sweeps them",
            "resnet-lab new my-project",
        ),
        "completion": (
            "print what makes bash, zsh or fish complete commands, options, groups and keys",
            'eval "$(resnet-lab completion bash)"',
        ),
    },
}
EXIT_CODES = """\
exit codes:
  0    done; of train: every run is finished
  1    something failed: a run, or what was to be written found no room
  2    a mistake in what was asked, told in one line; nothing was trained
  130  interrupted by Ctrl-C (128 + the signal's number): the same command goes on from there"""
