"""The papers' figures, as the rest of the project reads them."""

import subprocess
import sys

import pytest

from resnet_lab import reference
from resnet_lab.errors import UserError


def test_every_named_table_has_rows_with_the_same_columns() -> None:
    assert {"he2015/table6", "he2015/fig7", "he2016/table1"} <= set(reference.names())
    for name in reference.names():
        rows = reference.table(name)
        assert len(rows) > 1
        assert all(row.keys() == rows[0].keys() and None not in row for row in rows)


def test_table_6_of_he2015_reads_as_printed() -> None:
    rows = {row["layers"]: row for row in reference.table("he2015/table6") if row["method"] == "ResNet"}
    assert [rows[depth]["test_err"] for depth in (20, 32, 44, 56, 110, 1202)] == [
        8.75,
        7.51,
        7.17,
        6.97,
        6.43,
        7.93,
    ]
    assert (rows[110]["mean_err"], rows[110]["std_err"]) == (6.61, 0.16)
    assert rows[20]["mean_err"] is None


def test_wrong_name_is_told_with_the_nearest_right_one() -> None:
    with pytest.raises(UserError, match=r"he2015/tabel6.*did you mean 'he2015/table6'"):
        reference.table("he2015/tabel6")


def test_exact_counts_hold_75_architectures_with_whole_numbers() -> None:
    rows = reference.exact_counts()
    assert len(rows) == len({row["name"] for row in rows}) == 75
    assert all(isinstance(row["params_total"], int) and isinstance(row["macs"], int) for row in rows)
    assert all(row["macs"] == row["macs_conv"] + row["macs_fc"] for row in rows if row["depth"] != 16)


def test_community_rows_name_a_source_a_net_and_an_error() -> None:
    rows = reference.community()
    assert all(row["source"] and row["depth"] and row["shortcut"] and 0 < row["error"] < 50 for row in rows)
    reruns = [row["error"] for row in rows if row["source"].endswith("issue #18")]
    assert (min(reruns), max(reruns), len(reruns)) == (6.89, 8.42, 6)


def test_recipes_state_iterations_and_drops() -> None:
    lr = reference.recipes()["p1_cifar10"]["lr"]
    assert (lr["initial"], lr["drops_at_iterations"], lr["stop_iteration"]) == (0.1, [32000, 48000], 64000)


def test_rows_are_the_callers_own() -> None:
    reference.table("he2015/table2")[0]["depth"] = 0
    assert reference.table("he2015/table2")[0]["depth"] == 18


def test_reading_a_table_loads_no_torch() -> None:
    code = "import sys; from resnet_lab import reference as r; r.recipes(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
