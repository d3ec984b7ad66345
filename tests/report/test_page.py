"""The page as a file: what is in it, that it is the same each time, and that no text of a run becomes markup."""

import csv
import json
import re
import shutil
import socket
import struct
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from browser import served
from resnet_lab.cli import main
from resnet_lab.errors import UserError
from resnet_lab.report.page.data import named_sweeps, page_data
from resnet_lab.report.page.html import write_page
from resnet_lab.report.page.live import serve
from resnet_lab.report.publish import gathered
from resnet_lab.runs.folder import RunFolder
from run_folders import COLUMNS, configured, failed, finished, interrupted, measure, quickstart, started

RESULTS = Path(__file__).parents[2] / "results"
SWEEPS = [RESULTS / "quickstart", RESULTS / "claims" / "depth"]
MOST = 500_000  # bytes


def shown(*folders: Path) -> dict[str, Any]:
    return page_data(named_sweeps(folders, gathered(folders)))


def data_of(page: str) -> Any:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    return json.loads(text)


def test_the_page_of_committed_sweeps_is_small_the_same_twice_and_has_every_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("one", "two"):
        assert main(["report", *map(str, SWEEPS), "--page", "--out", str(tmp_path / place)]) == 0
    page = (tmp_path / "one" / "page.html").read_bytes()
    assert page == (tmp_path / "two" / "page.html").read_bytes()
    assert len(page) < MOST
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["page.html"]
    assert not re.findall(
        rb"(?:src|href)=[\"'](?!data:)", page
    )  # nothing from the network, and no other script
    assert b"default-src 'none'" in page
    assert b"script-src 'sha256-" in page
    told = re.sub(r"[\s\"]+", " ", page.decode())
    for sweep in SWEEPS:
        with (sweep / "table.csv").open(newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row[1:]][1:]
        numbers = {number for cell in cells for number in cell.split() if re.fullmatch(r"[\d.e+-]+", number)}
        assert len(numbers) > 20
        assert not {number for number in numbers if number not in told}


def test_the_page_says_what_the_report_says(capsys: pytest.CaptureFixture[str]) -> None:
    folder = SWEEPS[0]
    assert main(["report", str(folder), "--where", "state=finished"]) == 0  # and draws no figure
    report = capsys.readouterr().out
    (view,) = shown(folder)["views"]
    assert view["title"] in report
    assert view["conclusion"] in report
    assert all(group["shown"] in report for group in view["groups"])
    assert view["command"] == "resnet-lab train -m experiment=quickstart"
    assert view["question"].startswith("Does depth alone help")


def rewrite(folder: RunFolder, **parts: Any) -> None:
    """Change parts of a record as its file has them."""
    record = json.loads(folder.record_file.read_text())
    del record["digest"]
    for part, new in parts.items():
        record[part] = {**record[part], **new} if isinstance(record.get(part), dict) else new
    folder.record_file.write_text(json.dumps(record))


def test_no_text_of_a_run_folder_becomes_markup(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>&amp;"
    folder = failed(configured(tmp_path, **{"data.name": evil}), evil)
    evils = {"git_commit": evil, evil: evil}
    rewrite(folder, label=evil, model={"kind": evil}, error={"message": evil}, environment=evils)
    folder.log_file.write_text(f"{evil}\n")
    place = folder.path.with_name("<b>name")
    shutil.move(folder.path, place)
    write_page([tmp_path / "quickstart"])
    page = (tmp_path / "quickstart" / "page.html").read_text()
    assert page.count("<script") == page.count("</script>") == 2
    assert "<img" not in page
    assert "<b>" not in page
    (run,) = data_of(page)["runs"]
    assert (run["message"], run["log"], run["folder"]) == (evil, evil, "<b>name")
    place.rename(place.with_name("caf\udce9"))  # not UTF-8
    assert write_page([tmp_path / "quickstart"]) == 0


def test_every_state_is_shown_with_its_last_words(tmp_path: Path) -> None:
    finished(configured(tmp_path, seed=0), 3.0)
    failed(configured(tmp_path, seed=1), "out_of_memory").log_file.write_text("one\n\ntwo\n")
    interrupted(configured(tmp_path, seed=2))
    data = shown(tmp_path / "quickstart")
    assert data["views"][0]["states"] == {"failed": 1, "finished": 1, "interrupted": 1}
    lost = next(run for run in data["runs"] if run["state"] == "failed")
    assert (lost["error"], lost["log"]) == ("out_of_memory", "one\ntwo")
    assert all("curves" in run for run in data["runs"])


def test_a_group_keeps_its_id_while_its_runs_go_on_and_other_conditions_have_their_own(
    tmp_path: Path,
) -> None:
    """An open row stays open by it; how a run is computed is known once it has ended."""
    config = configured(tmp_path / "one")
    before, _ = started(config), finished(configured(tmp_path / "two", 56), 3.0)
    (first, *_) = shown(tmp_path)["views"][0]["groups"]
    for place, threads in (("one", 2), ("three", 4)):
        rewrite(finished(configured(tmp_path / place), 3.0), cost={"threads": threads, "accelerator": "cpu"})
    ids = [group["id"] for group in shown(tmp_path)["views"][0]["groups"]]
    assert before.state() == "finished"
    assert first["id"] in ids
    assert len(set(ids)) == len(ids) == 3


def test_differences_to_each_baseline_are_those_of_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    folder = SWEEPS[0]
    (view,) = shown(folder)["views"]
    figures = [group["figures"] for group in view["groups"]]
    place = {(each["kind"], each["depth"]): at for at, each in enumerate(figures)}
    main(["report", str(folder), "--baseline", "model.shortcut=none", "--format", "json"])
    for line in json.loads(capsys.readouterr().out):
        base, at = place["plain", line["depth"]], place[line["kind"], line["depth"]]
        mean, half, _ = view["differences"][str(base)][at]
        if line["difference"] is None:
            assert (mean, half) == (None, None)  # the baseline itself
        else:
            assert mean == pytest.approx(line["difference"], rel=1e-5)
            assert mean - half == pytest.approx(line["interval_low"], rel=1e-4)


def test_the_heat_map_pools_as_a_pivot_does_and_marks_what_diverged(tmp_path: Path) -> None:
    folder = quickstart(tmp_path)
    failed(configured(tmp_path, 56, "none", 2))
    (view,) = shown(folder)["views"]
    found = view["heat"]["pairs"]["model.depth model.shortcut"]
    cells = {tuple(where): (words, lost) for where, words, _, lost in found["cells"]}
    assert cells[56, "none"] == ("73.00 ± 12.73 (2); 1 diverged", 1)
    assert cells[20, "A"] == ("0.80 ± 0.14 (2)", 0)


def test_what_was_measured_in_the_layers_and_which_classes_were_taken_for_which_is_there(
    tmp_path: Path,
) -> None:
    for seed in range(2):
        folder = finished(configured(tmp_path, seed=seed), 3.0)
        measure(folder, "gradient_norms", {1: (1.0, 2.0 + seed), 4: (0.5, 0.25)})
        (folder.path / "confusion.csv").write_text("label,cat,dog\ncat,3,1\ndog,0,4\n")
    (group,) = shown(tmp_path / "quickstart")["views"][0]["groups"]
    assert group["measured"]["gradient_norms"] == {"first": [[1, 2], [1, 2.5]], "last": [[1, 2], [0.5, 0.25]]}
    assert group["measured"]["confusion"]["counts"] == [[6, 2], [0, 8]]


def test_many_runs_are_thinned_and_keep_their_last_point(tmp_path: Path) -> None:
    folder = finished(configured(tmp_path), 3.0)
    rows = "".join(f"{epoch},{22 * epoch},0.1,0.5,9,,,0.6,{epoch},,1\n" for epoch in range(1, 2001))
    folder.history_file.write_text(f"{COLUMNS}\n{rows}")
    assert "steps" not in shown(tmp_path)["runs"][0]
    steps = [f"{n},{n / 100},{128 * n},{1 / n},0.1,900\n" for n in range(1, 1001)]
    header = "iteration,epoch,images,train/loss,lr,images_per_second"
    (folder.path / "steps.csv").write_text(f"{header}\n{''.join(steps)}")
    (run,) = shown(tmp_path / "quickstart")["runs"]
    assert 200 < len(run["curves"]["iteration"]) <= 301
    assert run["curves"]["test/error"][-1] == 2000
    assert run["curves"]["seconds"][-1] == 2000
    assert "val/error" not in run["curves"]
    assert set(run["steps"]) == {*header.split(",")}
    assert 200 <= len(run["steps"]["iteration"]) <= 300
    assert run["steps"]["images"][-1] == 128_000


def asked(url: str, **headers: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read().decode(), answer.headers.get("ETag", "")
    except urllib.error.HTTPError as error:
        return error.code, "", ""


def test_a_served_page_tells_what_is_new_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_lab.report.page.live.FRESH", 0.0)
    monkeypatch.setattr("resnet_lab.report.page.live.SHARE", 0.0)
    finished(configured(tmp_path), 3.0)
    with served(tmp_path / "quickstart") as url:
        status, page, _ = asked(f"{url}/")
        assert (status, "data-live" in page) == (200, True)
        status, text, tag = asked(f"{url}/data.json")
        assert json.loads(text) == data_of(page)
        assert asked(f"{url}/data.json", **{"If-None-Match": tag})[0] == 304
        finished(configured(tmp_path, seed=1), 4.0)
        status, text, _ = asked(f"{url}/data.json", **{"If-None-Match": tag})
        assert (status, len(json.loads(text)["runs"])) == (200, 2)
        shutil.rmtree(tmp_path / "quickstart")
        assert asked(f"{url}/data.json")[0] == 200  # what was known of it stays


def test_a_served_page_is_for_this_machine_alone_and_a_client_that_leaves_costs_no_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    finished(configured(tmp_path), 3.0)
    with served(tmp_path) as url:
        leaving = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
        leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        leaving.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n")
        leaving.close()
        assert asked(f"{url}/")[0] == 200
        assert asked(f"{url}/", Host="elsewhere.example:80")[0] == 403
        assert asked(f"{url}/../config.yaml")[0] == 404
    assert capfd.readouterr().err == ""


def test_a_port_that_is_taken_or_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run"):
        serve([tmp_path])
    finished(configured(tmp_path), 3.0)
    with served(tmp_path) as url, pytest.raises(UserError, match=r"--serve \d+: Address already in use"):
        serve([tmp_path], port=int(url.rpartition(":")[2]))
    with pytest.raises(UserError, match="ports go from 0 to 65535"):
        serve([tmp_path], port=70_000)
