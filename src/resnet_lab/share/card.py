"""The model card of an archive: what lies in it, how well it does, how to use it, how it was made. Free of torch."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from resnet_lab.errors import several
from resnet_lab.report import FoundRun
from resnet_lab.report.publish import parts_of, rule_of


def card(title: str, runs: Mapping[str, FoundRun], folder: Path) -> str:
    """Return README.md in Markdown, with the head that model hubs read.

    `runs` by their folders in the archive; `folder` holds its tables and pictures.
    """
    data = sorted({str(run.choices["data.name"]) for run in runs.values()})
    head = {
        "library_name": "resnet-lab",
        "pipeline_tag": "image-classification",
        "tags": ["resnet", *sorted({run.label for run in runs.values()})],
        "datasets": data,
    }
    first = next(iter(runs))
    parts = parts_of(list(runs.values()))
    tables = "\n\n".join(
        f"{f'## {part.title}' if part.name else ''}\n\n{part.table.markdown()}".strip() for part in parts
    )
    pictures = [f"![{path.stem}]({path.name})" for path in sorted(folder.glob("*.png"))]
    return f"""\
---
{yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip()}
---

# {title}

{several(len(runs), "run")} trained with resnet-lab on {", ".join(data)}. {rule_of()}

{tables}

{chr(10).join(pictures)}

## Use

```sh
resnet-lab report .
resnet-lab evaluate --run {first}
resnet-lab predict IMAGE.png --run {first}
```

Each folder holds a run:

- `weights.safetensors`: under torchvision's names; it says itself of which net it is
- `preprocessing.json`: how an image becomes what the net takes
- `config.yaml`: everything that was chosen; `python -m resnet_lab.runs` on a folder of the same name with this
  file alone trains it again
- `record.json`: what it scored, and with which versions; `history.csv`: a row an epoch

## How they were made

{chr(10).join(_made(runs.values()))}

## Limits

The errors are those on the test images of {", ".join(data)}: on other images they say little.
"""


def _made(runs: Iterable[FoundRun]) -> list[str]:
    lines: dict[str, list[int]] = {}
    for run in runs:
        of = run.choices
        length = (
            f"{of['recipe.iterations']} iterations"
            if of["recipe.iterations"]
            else f"{of['recipe.epochs']} epochs"
        )
        line = (
            f"{run.label} ({run.kind}): recipe {of['recipe.name']}, {length}, batch {of['recipe.batch_size']}"
        )
        lines.setdefault(line, []).append(run.seed)
    return [f"- {line}, seeds {', '.join(map(str, sorted(set(seeds))))}" for line, seeds in lines.items()]
