"""The walk of CONTRIBUTING.md, "Adding a block type": the file it shows is all that a block needs."""

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from resnet_lab.errors import UserError
from resnet_lab.models import blocks, create_model

ROOT = Path(__file__).parents[2]


@pytest.fixture
def triple(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The walk's code, as a file of a folder that the package `blocks` also looks into."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    code = re.search(r"blocks/triple\.py`:\n\n\s*```python\n(.*?)```", text, re.S)
    assert code, "CONTRIBUTING.md no longer shows blocks/triple.py"
    (tmp_path / "triple.py").write_text(textwrap.dedent(code[1]), encoding="utf-8")
    monkeypatch.setattr(blocks, "__path__", [*blocks.__path__, str(tmp_path)])
    blocks._file.cache_clear()
    yield tmp_path
    blocks._file.cache_clear()
    sys.modules.pop("resnet_lab.models.blocks.triple", None)


def test_the_block_of_the_walk_builds_and_learns_and_its_depths_have_its_own_form(triple: Path) -> None:
    assert "triple" in blocks.names()
    net = create_model("cifar_resnet20", block="triple", depth=29)
    net(torch.randn(2, 3, 32, 32)).sum().backward()
    assert [unit.conv3.kernel_size for stage in (net.layer1, net.layer3) for unit in stage] == [(3, 3)] * 6
    with pytest.raises(UserError, match="20 and 29"):
        create_model("cifar_resnet20", block="triple", depth=28)


def test_without_the_file_there_is_no_such_block() -> None:
    with pytest.raises(UserError, match="bottleneck"):
        create_model("cifar_resnet20", block="triple")
