"""The page in a browser: no complaint in the console, and everything that can be clicked does what it says.

Pictures at both widths, light and dark, are left in the folder that RESNET_LAB_PICTURES names, if it names one.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from browser import CHROMIUM, DRIVER, MISSING, Browser, browser, served
from processes import wait_for
from resnet_lab.report.page.html import write_page
from run_folders import configured, failed, finished, interrupted, measure

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)]

RESULTS = Path(__file__).parents[2] / "results"
CELLS = "[...{}].map(cell => cell.textContent.trim())"
ROWS = (
    f"return [...document.querySelectorAll('#groups tr[data-group]')].map(row => {CELLS.format('row.cells')})"
)
HEADS = "return " + CELLS.format("document.querySelectorAll('#groups > thead th')")


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a page with the eight groups of two committed sweeps."""
    place = tmp_path_factory.mktemp("page")
    write_page([RESULTS / "quickstart", RESULTS / "claims" / "depth"], place)
    return (place / "page.html").as_uri()


@pytest.fixture
def page(tab: Browser, address: str) -> Iterator[Browser]:
    tab.look(1280)
    tab.open(address)
    yield tab
    assert tab.complaints() == []


def column(tab: Browser, name: str) -> list[str]:
    place = tab.js(HEADS).index(name)
    return [row[place] for row in tab.js(ROWS)]


def text(tab: Browser, selector: str) -> str:
    return str(tab.js("return document.querySelector(arguments[0]).textContent", selector))


def show(tab: Browser, folder: Path) -> None:
    """Write the page of a sweep and open it."""
    write_page([folder], folder)
    tab.look(1280)
    tab.open((folder / "page.html").as_uri())


def lines(tab: Browser) -> int:
    return int(tab.js("return document.querySelectorAll('#curves-plot polyline').length"))


def choose(tab: Browser, select: str, value: str) -> None:
    script = "const box = document.querySelector(arguments[0]); box.value = arguments[1]"
    tab.js(f"{script}; box.dispatchEvent(new Event('change'))", select, value)


def test_sorting_by_a_column_and_back(page: Browser) -> None:
    def errors(mark: str) -> list[float]:
        return [float(cell.split()[0]) for cell in column(page, f"test error (%){mark}")]

    before = sorted(errors(""))
    page.click("#sort-test")
    assert errors(" ▴") == before
    page.click("#sort-test")
    assert errors(" ▾") == before[::-1]
    assert page.js("return document.querySelector('#sort-test').closest('th').ariaSort") == "descending"


def test_the_filter_keeps_the_groups_and_the_caret(page: Browser) -> None:
    page.type("#filter", "56 plain")
    assert column(page, "net") == ["plain"]
    assert column(page, "depth") == ["56"]
    assert page.js("return document.activeElement.id") == "filter"


def test_the_best_group_is_the_baseline_and_what_cannot_be_told_from_it_is_marked(page: Browser) -> None:
    errors = [float(cell.split()[0]) for cell in column(page, "test error (%)")]
    best, judged = errors.index(min(errors)), column(page, "beside the best")
    assert judged[best] == "the best"
    assert set(judged) == {"the best", "cannot tell"}
    assert "none of the 7 others can be told from it" in text(page, ".answer")
    assert all("to" in interval for interval in column(page, "95 % interval") if interval)
    assert page.js("return document.querySelectorAll('tr.alike').length") == judged.count("cannot tell")


def test_another_baseline_changes_the_differences_and_none_takes_them_away(page: Browser) -> None:
    other = page.js("return document.querySelector('#baseline').options[4].value")
    choose(page, "#baseline", other)
    assert column(page, "minus baseline")[2] == ""
    assert page.js("return document.querySelectorAll('#groups tr[data-group]')[2].dataset.group") == other
    choose(page, "#baseline", "none")
    assert "minus baseline" not in page.js(HEADS)


def test_columns_are_chosen(page: Browser) -> None:
    page.click("#columns summary")
    for button, there in (("column-parameters", True), ("columns-usual", False)):
        assert ("parameters" in page.js(HEADS)) is not there
        page.click(f"#{button}")
        assert ("parameters" in page.js(HEADS)) is there


def test_a_link_shows_the_same_view(page: Browser, tab: Browser) -> None:
    choose(page, "#view", "1")
    page.type("#filter", "plain")
    page.click("#sort-test")
    choose(page, "#curves-x", "images")
    page.click("#groups tr[data-group]:nth-child(1) input")
    before = (page.js(ROWS), text(page, "h1"))
    link = page.js("return location.href")
    tab.open("about:blank")
    tab.open(link)
    assert (page.js(ROWS), text(page, "h1")) == before
    assert page.js("return document.querySelector('#curves-x').value") == "images"
    assert page.js("return document.querySelectorAll('#differs').length") == 1
    tab.open(link.partition("#")[0] + "#sort=%&curves.zoom=3&columns={&view=none")  # broken in every part
    tab.js("location.reload()")
    wait_for(lambda: len(page.js(ROWS)) == 8, 10)


def test_a_group_has_one_colour_everywhere(page: Browser) -> None:
    name = page.js("return document.querySelector('#groups tr[data-group]').dataset.group")
    colours = page.js(
        "const of = (id) => document.querySelector(id).getAttribute('fill');"
        "return [of('#groups tr[data-group] svg path'), of(`[id='line-${arguments[0]}'] svg path`)]",
        name,
    )
    assert len(set(colours)) == 1
    used = page.js(
        "return ['#main-plot', '#cost-plot', '#curves-plot'].map(id => "
        "[...document.querySelectorAll(`${id} [clip-path] path`)].map(e => e.getAttribute('fill')))"
    )
    assert all(colours[0] in each for each in used)


def test_a_hair_lists_every_value_by_pointer_and_by_keyboard(page: Browser) -> None:
    def read() -> str:
        return text(page, ".readings")

    end = read()
    assert end.count("plain-") + end.count("resnet-") == 8
    move = (
        "const plot = document.querySelector('#curves-plot'), box = plot.getBoundingClientRect();"
        "plot.dispatchEvent(new PointerEvent('pointermove', {clientX: box.left + box.width / 2, clientY: box.top}))"
    )
    page.js(move)
    middle = read()
    assert middle != end
    page.js("document.querySelector('#curves-plot').focus()")
    page.type("#curves-plot", "\ue014")  # arrow to the right
    assert read() != middle
    page.type("#main-plot", "\ue014")
    assert "%" in text(page, "#main-figure .readout")


def test_what_is_seen_is_saved(page: Browser) -> None:
    page.type("#filter", "plain")
    csv = page.js("const v = data.views[state.view]; return tableAsCsv(columnsOf(v), shownGroups(v))")
    assert csv.splitlines()[0].startswith("depth,net,")
    assert len(csv.splitlines()) == 1 + len(page.js(ROWS))
    tex = page.js(
        "const v = data.views[state.view]; return tableAsLatex(columnsOf(v), v.groups, v.groups[v.best])"
    )
    assert tex.startswith("\\begin{tabular}")
    assert tex.count("\\textbf{") == 1
    assert "\\%" in tex
    drawing = page.js("return drawingAsSvg(document.querySelector('#main-plot'))")
    assert "var(" not in drawing
    assert 'xmlns="http://www.w3.org/2000/svg"' in drawing
    page.click("#table-csv")


@pytest.mark.parametrize("dark", [False, True])
def test_lines_stand_out_from_the_ground(dark: bool, page: Browser) -> None:
    page.look(1280, dark=dark)
    script = """
const luminance = (text) => text.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
  .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
const node = document.body.appendChild(document.createElement("i"));
const of = (name) => { node.style.color = `var(${name})`; return luminance(getComputedStyle(node).color); };
const ground = of("--ground");
return ["--c0", "--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--faint"].map(of)
  .map((v) => (Math.max(v, ground) + 0.05) / (Math.min(v, ground) + 0.05));
"""
    assert min(page.js(script)) >= 3


def test_the_mistakes_of_two_nets_are_side_by_side(tab: Browser, tmp_path: Path) -> None:
    for depth, error in ((20, 3.0), (56, 9.0)):
        folder = finished(configured(tmp_path, depth), error)
        (folder.path / "confusion.csv").write_text(f"label,cat,dog\ncat,{depth},1\ndog,0,4\n")
        Image.new("RGB", (20, 10)).save(folder.path / "mistakes.png")
    show(tab, tmp_path / "quickstart")
    cells = tab.js(
        "return [...document.querySelectorAll('#mistakes tbody td:first-of-type')].map(e => e.textContent)"
    )
    assert cells == ["20", "", "56", ""]
    assert tab.js("return [...document.images].map(image => image.naturalWidth)") == [20, 20]
    first = tab.js("return document.querySelector('#mistakes-one').value")
    choose(tab, "#mistakes-other", first)
    assert tab.js("return document.querySelectorAll('#mistakes tbody td')[4].textContent") == "20"
    assert tab.complaints() == []


def test_a_row_opens_to_its_seeds_by_keyboard(page: Browser) -> None:
    page.js("document.querySelector('#groups tbody button').focus()")
    page.type("#groups tbody button", "\ue007")  # Enter
    opened = text(page, "td.open")
    assert all(word in opened for word in ("seed", "finished", "configuration of", "recipe.lr: "))
    assert page.js("return document.activeElement.getAttribute('aria-expanded')") == "true"


def test_curves_are_switched_off_by_depth_unit_and_seed(page: Browser) -> None:
    every = lines(page)
    assert every == 16  # eight nets, training and test
    page.click("[id='chip-depth 20']")
    assert lines(page) == 12
    page.click("[id='chip-unit plain']")
    assert lines(page) == 6
    before = page.js("return document.querySelector('#curves-plot polyline').getAttribute('points')")
    page.click("[id='chip-seed 0']")
    assert page.js("return document.querySelector('#curves-plot polyline').getAttribute('points')") != before
    page.click("#curves-start")
    assert lines(page) == every


def test_curves_zoom_by_keyboard_and_buttons_and_show_other_axes(page: Browser) -> None:
    def ticks() -> str:
        script = "return [...document.querySelectorAll('#curves-plot text')].map(e => e.textContent).join()"
        return str(page.js(script))

    before = ticks()
    page.js("document.querySelector('#curves-plot').dispatchEvent(new KeyboardEvent('keydown', {key: '+'}))")
    assert ticks() != before
    page.click("#curves-all")
    assert ticks() == before
    page.click("#curves-in")  # for fingers
    assert ticks() != before
    page.click("#curves-out")
    for x, y, label in (("epoch", "loss", "epochs,loss"), ("seconds", "lr", "learning rate")):
        choose(page, "#curves-x", x)
        choose(page, "#curves-y", y)
        assert label in ticks()
        assert lines(page)


def test_what_differs_between_two_nets_is_shown_alone(page: Browser) -> None:
    page.click("#groups tr[data-group]:nth-child(1) input")
    page.click("#groups tr[data-group]:nth-child(2) input")
    keys = page.js("return [...document.querySelectorAll('#differences tbody th')].map(e => e.textContent)")
    assert "model.depth" in keys
    assert "recipe.lr" not in keys


def test_each_sweep_has_its_question_and_command_and_a_view_of_its_own_that_fits_one_screen(
    page: Browser,
) -> None:
    said = text(page, "#summary")
    for name, question in (("quickstart", "Does depth alone help"), ("claims/depth", "with shortcuts")):
        assert f"experiment={name}" in said
        assert question in said
    choose(page, "#view", "1")
    assert "quickstart: " in text(page, "h1")
    assert len(page.js(ROWS)) == 4
    ends = page.js(
        "return ['#summary', '#groups', '#main-plot'].map(id => document.querySelector(id).getBoundingClientRect())"
        ".map(box => [box.right, box.bottom])"
    )
    assert all(right <= 1280 and bottom <= 900 for right, bottom in ends), ends
    assert page.js("const box = document.querySelector('.rows'); return box.scrollWidth <= box.clientWidth")


@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_the_width_and_is_readable_in_both_colours(
    page: Browser, width: int, dark: bool, tmp_path: Path
) -> None:
    page.look(width, dark=dark)
    assert page.js("return document.documentElement.scrollWidth") <= width
    ink, ground = (
        sum(map(int, re.findall(r"\d+", page.js(f"return getComputedStyle(document.body).{name}"))[:3]))
        for name in ("color", "backgroundColor")
    )
    assert (ink > ground) is dark
    assert abs(ink - ground) > 500
    page.picture(pictures(tmp_path) / f"page-{width}-{'dark' if dark else 'light'}.png")


def test_on_paper_the_table_is_whole_and_nothing_is_to_be_clicked(page: Browser) -> None:
    page.look(720, dark=True, paper=True)
    assert page.js("return document.documentElement.scrollWidth") <= 760
    seen = page.js(
        "return [...document.querySelectorAll(arguments[0])].filter(e => e.offsetWidth)",
        "#theme, #filter, #curves-in, .first, #columns",
    )
    assert seen == []
    assert page.js("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_the_button_sets_the_colours_whatever_the_system_prefers(page: Browser) -> None:
    grounds = []
    for _ in range(3):
        grounds.append(page.js("return getComputedStyle(document.body).backgroundColor"))
        page.click("#theme")
    assert grounds[0] == grounds[1] != grounds[2]


def test_a_sweep_with_every_sad_state_and_hostile_names_is_shown(tab: Browser, tmp_path: Path) -> None:
    evil = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
    paper: dict[str, Any] = {"name": "he2015/table6", "answers": "he2015/table6"}
    for seed, error in enumerate((8.2, 8.9)):
        folder = finished(configured(tmp_path, 20, seed=seed, **paper), error)
        measure(folder, "layer_responses", {1: (1.0, 2.0), 3: (0.5, 0.25)})
        names = evil.replace('"', "'")
        (folder.path / "confusion.csv").write_text(f'label,cat,"{names}"\ncat,3,1\ndog,0,4\n')
    for depth, kind in ((32, "nonfinite_loss"), (44, evil)):
        failed(configured(tmp_path, depth, **paper), kind).log_file.write_text(f"{evil}\n")
    interrupted(configured(tmp_path, 56, **paper))
    show(tab, tmp_path / "he2015" / "table6")
    for number in range(4):
        tab.js("document.querySelectorAll('#groups tr[data-group] button')[arguments[0]].click()", number)
    axis = tab.js(
        "return [...document.querySelectorAll('#main-plot text[text-anchor=end]')].map(e => Number(e.textContent))"
    )
    assert 100 not in axis  # what diverged is a cross at the edge, and leaves the others their scale
    assert tab.js("return document.querySelectorAll('#main-plot path[d*=\"l10 10\"]').length") == 1
    assert tab.js("return document.title") != "taken"
    assert tab.js("return document.images.length") == 0
    for words in (
        "1 failed: nonfinite_loss",
        evil,
        "not comparable",
        "1 interrupted",
        "interrupted, epoch 1",
    ):
        assert words in text(tab, "body")
    tab.picture(pictures(tmp_path) / "sad.png")
    assert tab.complaints() == []


def test_a_running_sweep_is_followed_and_what_was_opened_stays(
    tab: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_lab.report.page.live.FRESH", 0.0)
    finished(configured(tmp_path), 3.0)
    interrupted(configured(tmp_path, 56))
    with served(tmp_path) as url:
        tab.open(url)
        tab.click("#groups tbody button")
        tab.type("#filter", "20")
        finished(configured(tmp_path, seed=1), 4.0)
        wait_for(lambda: "3 runs" in text(tab, "h1"), 20)
        assert column(tab, "n") == ["2"]
        assert "resnet-20 s1" in text(tab, "td.open")
        assert tab.complaints() == []
        tab.open("about:blank")


def test_a_thousand_runs_stay_usable(tab: Browser, tmp_path: Path) -> None:
    """Rows are drawn as they are scrolled to, curves thinned, lines limited."""
    first = finished(configured(tmp_path), 3.0)
    record, history = json.loads(first.record_file.read_text()), first.history_file.read_text()
    for number in range(1, 1000):
        record.pop("digest", None)
        record["config"]["recipe"]["lr"] = 0.001 * (1 + number // 4)
        record["seed"] = record["config"]["seed"] = number % 4
        folder = tmp_path / "quickstart" / f"{number}"
        folder.mkdir()
        (folder / "record.json").write_text(json.dumps(record))
        (folder / "history.csv").write_text(history)
    show(tab, tmp_path / "quickstart")
    assert (tmp_path / "quickstart" / "page.html").stat().st_size < 4_000_000
    assert len(tab.js(ROWS)) == 100
    assert lines(tab) <= 80
    took = tab.js("const began = performance.now(); render(); return performance.now() - began")
    assert took < 2000  # 0.2 s on an idle core
    tab.js("document.querySelector('#more').scrollIntoView()")
    wait_for(lambda: len(tab.js(ROWS)) > 100, 10)
    assert tab.complaints() == []


def pictures(otherwise: Path) -> Path:
    return Path(os.environ.get("RESNET_LAB_PICTURES") or otherwise)


def test_a_page_is_of_what_its_runs_are_judged_by(tab: Browser, tmp_path: Path) -> None:
    asked = {"objective.metric": "test/iou", "objective.mode": "max"}
    for depth, iou, step in ((20, 0.61, 0.01), (56, 0.92, -0.02)):
        for seed in range(3):
            folder = finished(configured(tmp_path, depth, seed=seed, **asked), 3.0)
            rows = re.sub("(test|train)/error", r"\1/iou", folder.history_file.read_text())
            folder.history_file.write_text(rows)
            record = folder.record()
            assert record is not None
            record.last = {"epoch": 11, "iteration": 264, "test/iou": iou + step * seed}
            folder.write_record(record)
    show(tab, tmp_path / "quickstart")
    assert column(tab, "test iou") == ["0.62 ± 0.01", "0.9 ± 0.0"]
    assert column(tab, "beside the best") == ["worse", "the best"]
    assert "Test iou against depth" in text(tab, "#main-figure h2")
    assert tab.js("return document.querySelector('#curves-y').value") == "iou"
    assert lines(tab) == 4
    assert "%" not in text(tab, "#main-plot")
    assert tab.complaints() == []


def test_steps_are_drawn_where_they_are_asked_for_and_the_result_stands_before_many_choices(
    tab: Browser, tmp_path: Path
) -> None:
    rows = "".join(f"{n},{n / 100},{128 * n},{1 / n},0.1,900\n" for n in range(1, 101))
    for seed, lr in enumerate((0.1, 0.2)):
        varied = {f"recipe.{key}": lr for key in ("lr", "weight_decay", "momentum")}
        folder = finished(configured(tmp_path, seed=seed, **varied, **{"recipe.batch_size": 64 + seed}), 3.0)
        heads = "iteration,epoch,images,train/loss,lr,images_per_second"
        (folder.path / "steps.csv").write_text(f"{heads}\n{rows}")
    show(tab, tmp_path / "quickstart")
    heads = tab.js(HEADS)
    assert heads.index("test error (%)") < heads.index("learning rate")
    points = (
        "return document.querySelector('#curves-plot polyline')?.getAttribute('points').split(' ').length"
    )
    choose(tab, "#curves-y", "lr")
    before = tab.js(points)
    tab.click("#curves-dense")
    assert tab.js(points) == 100 > (before or 0)
    choose(tab, "#curves-y", "images_per_second")
    assert tab.js(points) == 100
    assert tab.complaints() == []
