"""Tables one can paste and data one can load: `report` with --rows, --by, --where, --baseline, --format, --figures."""

import csv
import io
import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_lab.cli import main
from resnet_lab.report import compare, compare_runs
from run_folders import configured, failed, finished, interrupted, quickstart

DEPTH = Path(__file__).parents[2] / "results" / "claims" / "depth"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main(["report", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main(["report", *map(str, arguments)]) == 2
    out, said = capsys.readouterr()
    assert not out
    assert said.count("\n") == 1
    return said


def processor_seconds() -> float:
    """Of the processes that this one started, and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def cells(table: str) -> list[list[str]]:
    """The cells of a table in Markdown, without its headings."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def typeset(latex: str) -> list[list[str]]:
    """The cells of a table in booktabs form, as a reader sees them; fails for what LaTeX would not read."""
    (body,) = re.findall(
        r"\\begin\{tabular\}\{(.*?)\}\n\\toprule\n(.*)\\bottomrule\n\\end\{tabular\}\}", latex, re.S
    )
    align, inside = body
    align = re.sub(r"S\[[^]]*\]", "S", align)
    rows = [row.strip() for row in inside.replace("\\midrule\n", "").split("\\\\\n") if row.strip()]
    for ours, theirs in ((" \\pm ", " ± "), ("~$\\pm$~", " ± "), ("$-$", "-"), ("\\bfseries ", "")):
        rows = [row.replace(ours, theirs) for row in rows]
    found = [[re.sub(r"^\{(.*)\}$", r"\1", cell) for cell in row.split(" & ")] for row in rows]
    assert all(len(row) == len(align) for row in found)
    assert not re.search(r"(?<!\\)[%#_]", latex)
    assert latex.count("{") == latex.count("}")
    return found


def test_a_pivot_in_latex_has_the_figures_of_its_csv(capsys: pytest.CaptureFixture[str]) -> None:
    asked = (DEPTH, "--rows", "model.depth", "--columns", "model.shortcut")
    figures = lines(printed(capsys, *asked, "--format", "csv"))
    (_, *heads), *rows = typeset(printed(capsys, *asked, "--format", "latex"))
    assert heads == ["residual (A)", "plain"]
    shortcuts = {"residual (A)": "A", "plain": "none"}
    told = {
        (depth, shortcuts[head]): cell for depth, *row in rows for head, cell in zip(heads, row, strict=True)
    }
    assert told == {
        (each["model.depth"], each["model.shortcut"]): (
            f"{float(each['test_error_mean']):.2f} ± {float(each['test_error_std']):.2f}"
        )
        for each in figures
    }
    assert len(told) == 8
    caption = printed(capsys, *asked, "--format", "md").splitlines()[-1]
    assert "taken over seed; n = 3 in each cell" in caption


def test_a_pivot_averages_over_everything_else_and_marks_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for rate, error in ((0.1, 4.0), (0.2, 8.0)):
        finished(configured(tmp_path, 20, **{"recipe.lr": rate}), error)
        finished(configured(tmp_path, 56, "none", **{"recipe.lr": rate}), 2 * error)
    failed(configured(tmp_path, 20, "none"))
    interrupted(configured(tmp_path, 32, "none"))
    asked = (tmp_path, "--rows", "model.depth", "--columns", "model.shortcut", "--format", "md")
    table, _, caption = printed(capsys, *asked).rpartition("\n\n")
    assert cells(table) == [
        ["20", "6.00 ± 2.83 (2)", "1 failed: nonfinite_loss"],
        ["32", "–", "1 interrupted"],
        ["56", "–", "12.00 ± 5.66 (2)"],
    ]
    assert "taken over learning rate, seed" in caption


def test_runs_of_other_conditions_are_never_averaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for threads, error in ((1, 4.0), (2, 8.0)):
        finished(configured(tmp_path / str(threads), **{"trainer.threads": threads}), error)
    rows = lines(printed(capsys, tmp_path, "--by", "model.depth", "--format", "csv"))
    assert [(row["trainer.threads"], row["test_error_mean"]) for row in rows] == [("1", "4"), ("2", "8")]


def test_a_run_in_two_folders_counts_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in ("one", "two"):
        finished(configured(tmp_path / place), 4.0)
    finished(configured(tmp_path / "two", seed=1), 6.0)
    out = printed(capsys, tmp_path / "one", tmp_path / "two", tmp_path / "two", "--by", "model.depth")
    assert "quickstart: 3 runs" in out
    assert "5.00 ± 1.41" in out


def test_several_folders_are_one_comparison_that_is_written_where_they_lie(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished(configured(tmp_path, 20, name="one"), 4.0)
    finished(configured(tmp_path, 56, name="two"), 6.0)
    assert "one, two: 2 runs" in printed(capsys, tmp_path / "one", tmp_path / "two")
    assert [row["depth"] for row in lines((tmp_path / "table.csv").read_text())] == ["20", "56"]
    assert not (tmp_path / "one" / "table.csv").exists()


@pytest.mark.parametrize(
    ("where", "left"),
    [
        (["model.depth=56"], 6),
        (["model.depth=20,56"], 12),
        (["model.depth=56", "model.shortcut!=none"], 3),
        (["recipe.lr=0.5e-1", "seed=0"], 8),
        (["data.flip=false"], 24),
        (["kind=plain", "state=finished"], 12),
    ],
)
def test_where_keeps_the_runs_that_are_like_that(
    where: list[str], left: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in DEPTH.iterdir()}
    asked = [word for each in where for word in ("--where", each)]
    assert f"claims/depth: {left} runs, {left} finished" in printed(capsys, DEPTH, *asked)
    # a part of a sweep does not replace its report
    assert {path: path.stat().st_mtime_ns for path in DEPTH.iterdir()} == before


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--where", "depth=3"], "unknown --where 'depth': did you mean 'model.depth'?"),
        (["--where", "model.depth=3"], "no run matches; available: model.depth is 20, 32, 44, 56"),
        (["--where", "model.depth"], "key=value or key!=value is needed"),
        (["--by", "model.dpeth"], "did you mean 'model.depth'?"),
        (["--by", "seed"], "--by seed: it makes no other group of runs"),
        (["--by", "logger.name"], "--by logger.name: it makes no other group"),
        (["--rows", "model.depth"], "--rows and --columns go together"),
        (["--rows", "model.depth", "--columns", "model.depth"], "two different choices"),
        (["--rows", "model.depth", "--columns", "kind", "--by", "kind"], "two tables"),
        (["--baseline", "model.shortcut=B"], "no row matches"),
        (["--all-runs"], "--all-runs goes with --by"),
        (
            ["--rows", "model.depth", "--columns", "kind", "--show", "median"],
            "--show adds columns to a table",
        ),
        (["--show", "train_eror"], "did you mean 'train_error'?"),
        (["--format", "mdd"], "did you mean 'md'?"),
        (["--format", "md", "--out", "x"], "redirect it"),
        (["--page", "--by", "model.depth"], "--page and --serve show every table"),
        (["--figures", "jpg"], "allowed: png, svg, pdf"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    asked: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in mistake(capsys, DEPTH, *asked)


def plain_and_residual(folder: Path, *depths: int) -> None:
    """Three seeds of a plain net of the first depth, and of residual ones of each."""
    for seed, (plain, residual) in enumerate(((4.0, 3.0), (6.0, 4.5), (5.0, 4.0))):
        finished(configured(folder, depths[0], "none", seed), plain)
        for depth in depths:
            finished(configured(folder, depth, "A", seed), residual)


def test_baseline_gives_each_line_its_difference_paired_where_seeds_are_shared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain_and_residual(tmp_path, 20)
    base, other = lines(printed(capsys, tmp_path, "--baseline", "model.shortcut=none", "--format", "csv"))
    assert (base["difference"], base["difference_note"]) == ("", "the baseline")
    assert (other["difference"], other["difference_note"]) == ("-1.16667", "paired over 3 seeds")
    assert float(other["interval_low"]) == pytest.approx(-1.8838, abs=1e-3)
    table = printed(capsys, tmp_path, "--baseline", "model.shortcut=none", "--format", "md")
    assert "-1.88 to -0.45" in table


def test_baseline_says_what_else_differs_and_compares_no_other_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished(configured(tmp_path, 20), 4.0)
    finished(configured(tmp_path, 56, **{"recipe.warmup_iterations": 400}), 5.0)
    finished(configured(tmp_path, 56, **{"data.name": "fashion_mnist"}), 5.0)
    rows = lines(printed(capsys, tmp_path, "--baseline", "model.depth=20", "--format", "csv"))
    assert {(row["part"], row["difference_note"]) for row in rows} == {
        ("digits", "the baseline"),
        ("digits", "also differs in recipe.warmup_iterations; one seed has no spread"),
        ("fashion_mnist", ""),
    }


def test_a_pivot_beside_a_baseline_has_differences_within_a_row_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain_and_residual(tmp_path, 20, 32)
    asked = ("--rows", "model.depth", "--columns", "model.shortcut", "--baseline", "model.shortcut=none")
    table, _, caption = printed(capsys, tmp_path, *asked, "--format", "md").rpartition("\n\n")
    assert cells(table) == [
        ["20", "-1.17 (-1.88 to -0.45)", "5.00 ± 1.00"],
        ["32", "3.83 ± 0.76; no baseline", "–"],
    ]
    assert "the difference to model.shortcut=none and its 95 % interval" in caption


def test_json_has_each_seeds_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quickstart(tmp_path)
    plain, *_ = json.loads(printed(capsys, tmp_path, "--format", "json"))
    assert plain["seeds"] == [0, 1]
    assert plain["test_error_of_seeds"] == [1.2, 1.6]
    assert plain["val_error_mean"] is None


def test_runs_csv_has_a_line_a_run_whatever_its_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished(configured(tmp_path, seed=0), 4.0)
    finished(configured(tmp_path / "again", seed=0), 5.0)
    failed(configured(tmp_path, seed=1), "out_of_memory")
    interrupted(configured(tmp_path, 56, seed=0))
    printed(capsys, tmp_path, tmp_path / "again")
    rows = lines((tmp_path / "runs.csv").read_text())
    told = [(row["model.depth"], row["seed"], row["state"], row["error"], row["counted"]) for row in rows]
    assert sorted(told) == [
        ("20", "0", "finished", "", "False"),
        ("20", "0", "finished", "", "True"),
        ("20", "1", "failed", "out_of_memory", "True"),
        ("56", "0", "interrupted", "", "True"),
    ]
    assert {row["last_test_error"] for row in rows} == {"4", "5", ""}


def test_a_notebook_gets_the_figures_of_the_tables_as_rows_without_pandas(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pandas = pytest.importorskip("pandas")
    folder = quickstart(tmp_path)
    table = lines(printed(capsys, folder, "--format", "csv"))
    frame, runs = compare(folder), compare_runs([folder], where=["model.depth=56"])
    assert isinstance(frame, pandas.DataFrame)
    for name in ("depth", "test_error_mean", "test_error_std", "train_seconds_mean"):
        told = [float(row[name]) for row in table]
        assert frame[name].tolist() == pytest.approx(told, rel=1e-5)
    assert runs["last_test_error"].tolist() == [64.0, 82.0, 0.6, 1.0]
    assert compare(str(folder), by=["model.depth"])["n"].tolist() == [4, 4]
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert [row["depth"] for row in compare(folder)] == [20, 56, 20, 56]


def test_a_report_is_the_same_bytes_in_another_process_which_takes_no_torch_and_little_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another, as what is drawn at random differs between processes."""
    folder, pictures = quickstart(tmp_path), ("--figures", "png,svg,pdf")
    printed(capsys, folder, "--out", tmp_path / "one", *pictures)
    code = (
        "import sys; from resnet_lab.cli import main; main(sys.argv[1:]);"
        "sys.exit(' '.join({'torch', 'lightning', 'torchvision', 'hydra'} & set(sys.modules)) or 0)"
    )
    command = [sys.executable, "-c", code, "report", folder, "--out", tmp_path / "two", *pictures]
    before = processor_seconds()
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert processor_seconds() - before < 10  # 2 s on a fast core
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / place).iterdir()} for place in ("one", "two")
    )
    assert {"curves.png", "curves.svg", "curves.pdf", "table.md", "runs.csv"} <= one.keys()
    assert [name for name in one if one[name] != two.get(name)] == []
    assert b"Software" not in one["curves.png"]


def test_he2016_is_told_in_its_own_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for shortcut in ("A", "C", "constant_scaling", "dropout"):
        finished(configured(tmp_path, 56, shortcut, answers="he2016/table1"), 6.6)
    kinds = {row["kind"] for row in lines(printed(capsys, tmp_path, "--format", "csv"))}
    assert kinds == {
        f"residual (basic, {words})"
        for words in ("original", "1x1 conv shortcut", "constant scaling", "dropout shortcut")
    }


def test_names_that_mean_something_to_latex_or_markdown_are_told_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("100%_&|{x}", "plain"):
        finished(configured(tmp_path, **{"recipe.name": name}), 4.0)
    asked = (tmp_path, "--by", "recipe.name", "--format")
    rows = typeset(printed(capsys, *asked, "latex"))
    assert rows[1][0] == r"100\%\_\&\textbar{}\{x\}"
    assert "100%_&\\|{x}" in printed(capsys, *asked, "md")


RECIPE = DEPTH.parents[1] / "digits_recipe"


def test_a_table_by_one_choice_averages_over_the_settings_that_its_rows_share(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """At equal settings channel wins; the plain average of all runs says the opposite."""
    asked = (RECIPE, "--by", "data.mean", "--format")
    rows = {row["data.mean"]: row for row in lines(printed(capsys, *asked, "csv"))}
    alike = lines(
        printed(capsys, RECIPE, "--where", "recipe.lr=0.05", "--where", "recipe.epochs=30", "--format", "csv")
    )
    for kind, row in rows.items():
        members = [
            float(value)
            for each in alike
            if each["data.mean"] == kind and each["data.divide_by_std"] == "True"
            for value in each["test_error_of_seeds"].split()
        ]
        assert float(row["test_error_mean"]) == pytest.approx(sum(members) / 6, rel=1e-5)
        assert row["n"] == "6"
    assert float(rows["channel"]["test_error_mean"]) < float(rows["pixel"]["test_error_mean"])
    caption = printed(capsys, *asked, "md").splitlines()[-1]
    assert "at the 2 settings that all share" in caption
    assert "depth 20, 56" in caption
    assert "48 of 60 runs are left out" in caption
    plain = {row["data.mean"]: row for row in lines(printed(capsys, *asked, "csv", "--all-runs"))}
    assert {kind: row["n"] for kind, row in plain.items()} == {"channel": "48", "pixel": "12"}
    assert float(plain["channel"]["test_error_mean"]) > float(plain["pixel"]["test_error_mean"])


def test_cells_without_a_setting_in_common_are_said_to_be_no_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for depth, rate, epochs in ((20, 0.1, 12), (20, 0.2, 12), (56, 0.2, 24), (56, 0.4, 24), (56, 0.4, 12)):
        finished(configured(tmp_path, depth, **{"recipe.lr": rate, "recipe.epochs": epochs}), 4.0)
    said = printed(capsys, tmp_path, "--by", "model.depth", "--format", "md")
    assert "no setting of these is shared by all, so the cells cannot be compared" in said


def test_a_seed_that_one_cell_lacks_does_not_weigh_one_setting_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for depth, rate, seeds in ((20, 0.1, 3), (20, 0.2, 1), (56, 0.1, 3), (56, 0.2, 3)):
        for seed in range(seeds):
            finished(configured(tmp_path, depth, seed=seed, **{"recipe.lr": rate}), 100 * rate)
    rows = lines(printed(capsys, tmp_path, "--by", "model.depth", "--format", "csv"))
    assert [(row["n"], row["test_error_mean"]) for row in rows] == [("4", "12.5"), ("4", "12.5")]


def test_unlike_runs_have_a_table_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for depth in (20, 56):
        finished(configured(tmp_path, depth, name="one"), 4.0)
        finished(configured(tmp_path, depth, name="two", **{"data.name": "fashion_mnist"}), 40.0)
        finished(configured(tmp_path, depth, name="two", protocol="ten_crop"), 3.0)
    said = printed(capsys, tmp_path / "one", tmp_path / "two", "--out", tmp_path / "out")
    parts = [f"digits, protocol {protocol}" for protocol in ("single_view", "ten_crop")]
    parts.append("fashion_mnist, protocol single_view")
    text = (tmp_path / "out" / "table.md").read_text()
    for part in parts:
        assert f"## {part}: " in text
    assert "-36.00" not in said
    assert "+36.00" not in said
    rows = lines((tmp_path / "out" / "table.csv").read_text())
    assert [row["part"] for row in rows] == [part for part in sorted(parts) for _ in range(2)]
    assert {row["part"] for row in lines((tmp_path / "out" / "runs.csv").read_text())} == set(parts)
    assert (tmp_path / "out" / "depth-fashion-mnist-protocol-single-view.png").exists()


def test_a_table_has_five_columns_of_choices_and_names_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = ["recipe.lr", "recipe.momentum", "recipe.weight_decay", "recipe.label_smoothing", "recipe.mixup"]
    for index, key in enumerate(keys):
        finished(configured(tmp_path, 20, **{key: 0.125 * (index + 1)}), 4.0)
        finished(configured(tmp_path, 56, "none", **{key: 0.125 * (index + 1)}), 5.0)
    printed(capsys, tmp_path)
    text = (tmp_path / "quickstart" / "table.md").read_text()
    (head,) = [line for line in text.splitlines() if line.startswith("| depth")]
    assert len(head[: head.index("test error")].split("|")) - 2 == 5
    assert "Also differs, in runs.csv: " in text
    assert "mixup" in text
    assert "recipe.mixup" in (tmp_path / "quickstart" / "runs.csv").read_text()


def test_further_columns_are_asked_for_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    table = printed(capsys, DEPTH, "--show", "train_error", "--show", "median")
    assert " training error (%) " in table
    assert " median " in table


def judged(folder: Path, metric: str, mode: str, figures: dict[float, tuple[float, ...]]) -> None:
    """Runs at these learning rates, whose records have figures of a metric of the user's own."""
    for rate, values in figures.items():
        for seed, value in enumerate(values):
            more = {"recipe.lr": rate, "objective.metric": metric, "objective.mode": mode}
            run = finished(configured(folder, seed=seed, **more), 100 * (1 - value))
            record = run.record()
            record.last |= {metric: value, "test/error": None}
            run.write_record(record)


def test_what_runs_are_judged_by_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged(tmp_path, "test/iou", "max", {0.1: (0.41, 0.42, 0.44), 0.2: (0.61, 0.64, 0.62)})
    said = printed(capsys, tmp_path)
    assert " test iou |" in said
    assert "test error" not in said
    assert (
        "resnet-20 lr=0.2 is best by test iou, with 0.6233 ± 0.0153: resnet-20 lr=0.1 is worse by -0.2"
        in said
    )
    assert (tmp_path / "quickstart" / "depth.png").exists()
    assert r"\bfseries 0.6233" in (tmp_path / "quickstart" / "table.tex").read_text()
    rows = lines(printed(capsys, tmp_path, "--baseline", "recipe.lr=0.1", "--format", "csv"))
    assert [row["test_iou_mean"] for row in rows] == ["0.423333", "0.623333"]
    assert rows[1]["difference"] == "0.2"
    finished(configured(tmp_path / "two"), 4.0)  # judged by other figures: apart
    rows = lines(printed(capsys, tmp_path, "--format", "csv"))
    assert {row["part"] for row in rows} == {"digits, metric test/iou", "digits, metric test/error"}
