"use strict";
// The page: what is chosen lives in `state`, what is measured in `data`; `render` draws one from both.

let data = JSON.parse(document.getElementById("data").textContent);
const state = {
  view: 0, filter: "", sort: null, baseline: "", open: new Set(), picked: new Set(), off: new Set(), keep: 0, drawn: 0,
  depth: { x: "depth", log: null }, heat: { rows: null, columns: null }, cost: { x: "parameters", log: true },
  curves: { x: "iteration", y: "error", log: true, zoom: [null, null] }, layers: { what: null, when: "last", order: "in order", group: null },
};
const main = document.getElementById("main");
const PLOTTED = 40; // lines in one plot
const distinct = (values) => [...new Set(values)];
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const finishedRuns = (group) => group.runs.map((at) => data.runs[at]).filter((run) => run.state === "finished");
const kindsOf = (view) => (view.kinds ??= distinct(view.groups.map((g) => g.figures.kind)));
const depthsOf = (view) => (view.depths ??= distinct(view.groups.map((g) => g.figures.depth)));
// A group in the words that tell it from the others: its kind and depth, where they do.
const nameOf = (group, view) => [kindsOf(view).length > 1 ? group.net : group.net.replace(/^.*, (?=\d+ layers$)/, ""), ...view.keys.map((key) => `${key.split(".").pop()} ${said(group.figures[key])}`)].join(", ");
const lookOfKind = (view, kind) => look(Math.max(0, kindsOf(view).indexOf(kind)));

function select(id, label, options, value, change) {
  const box = el("select", { id, change: (event) => change(event.target.value) },
    options.map(([key, words]) => el("option", { value: key, selected: String(key) === String(value) }, words)));
  return el("label", {}, label, box);
}
const check = (id, label, value, change) => {
  const box = el("input", { type: "checkbox", id, change: (event) => change(event.target.checked) });
  box.checked = value;
  return el("label", {}, box, label);
};
const change = (part, name) => (value) => { state[part][name] = value; render(); };
const section = (id, title, ...children) => el("section", { id }, el("h2", {}, title), ...children);

const asked = (view) => [view.question ? el("p", {}, view.question) : null, view.command ? el("p", {}, el("code", {}, view.command)) : null];

function summary(view) {
  const total = Object.values(view.states).reduce((a, b) => a + b, 0);
  const order = ["finished", "running", "interrupted", "failed", "new"];
  return el("section", { id: "summary" },
    asked(view), el("p", {}, el("strong", {}, view.conclusion)),
    state.view === 0 && data.views.length > 1 ? el("details", { id: "sweeps", open: data.views.length < 5 }, el("summary", {}, `${data.views.length - 1} sweeps, each by itself`),
      data.views.slice(1).map((each) => [el("h3", {}, each.title), asked(each), each.conclusion === view.conclusion ? null : el("p", {}, each.conclusion)])) : null,
    el("div", { class: "bar", role: "img", "aria-label": view.title },
      order.filter((name) => view.states[name]).map((name) => {
        const part = el("span", { class: name });
        part.style.width = `${(100 * view.states[name]) / total}%`;
        return part;
      })),
    el("p", { class: "faint" }, order.filter((name) => view.states[name]).map((name) => `${view.states[name]} ${name}`).join(", "),
      ` of ${total} run${total === 1 ? "" : "s"}`));
}

function tableSection(view) {
  const bases = view.groups.slice(0, view.differences.length).map((g) => [g.id, nameOf(g, view)]);
  return section("table", "Groups: runs that differ only in their seed",
    el("div", { class: "controls" },
      el("label", {}, "filter", el("input", {
        type: "search", id: "filter", value: state.filter, placeholder: "56 plain",
        input: (event) => { state.filter = event.target.value; render(); },
      })),
      select("baseline", "baseline", [["", "none"], ...bases], state.baseline, (value) => { state.baseline = value; render(); })),
    groupTable(view), el("p", { class: "faint" }, data.rules.statistics));
}

function axisChoices(view) {
  const values = (key) => new Set(view.groups.map((g) => g.choices[key]).filter((v) => v !== undefined));
  const keys = distinct(view.groups.flatMap((g) => Object.keys(g.choices))).filter((key) => key !== "model.depth" && values(key).size > 1);
  return [...(depthsOf(view).length > 1 || !keys.length ? ["depth"] : []), ...keys];
}

function depthSection(view) {
  const choices = axisChoices(view);
  if (!choices.includes(state.depth.x)) state.depth.x = choices[0];
  const key = state.depth.x, of = (g) => (key === "depth" ? g.figures.depth : g.choices[key]);
  const groups = shownGroups(view), lines = new Map();
  for (const group of groups) {
    const rest = view.keys.filter((name) => name !== key).map((name) => `${name.split(".").pop()} ${said(group.figures[name])}`);
    const depth = key !== "depth" && depthsOf(view).length > 1 ? [`${group.figures.depth} layers`] : [];
    const kind = kindsOf(view).length > 1 || !(depth.length + rest.length) ? [group.figures.kind] : [];
    const name = [...kind, ...depth, ...rest].join(", ");
    if (!lines.has(name)) lines.set(name, []);
    lines.get(name).push(group);
  }
  const paper = key === "depth" && view.paper ? view.paper.points.filter((p) => p.depth) : [];
  const xs = [...groups.map(of), ...paper.map((p) => p.depth)].filter(Number.isFinite), far = Math.max(...xs) > 20 * Math.min(...xs.filter((v) => v > 0));
  const errors = groups.map((g) => g.figures.test_error_mean).filter((v) => v > 0);
  const log = state.depth.log ?? Math.max(...errors) > 8 * Math.min(...errors);
  const series = [], names = [...lines.keys()].slice(0, PLOTTED);
  const more = [paper.length ? "hollow: the paper's figures" : "", paper.some((p) => !p.kind) ? "grey: nets that did not run" : "",
    groups.some((g) => g.lost) ? "a cross at the upper edge: diverged" : ""].filter(Boolean).join("; ");
  names.forEach((name, place) => {
    const style = look(place), members = lines.get(name).sort((a, b) => of(a) - of(b));
    const seeds = members.flatMap((g) => finishedRuns(g).map((run) => [of(g), run.last?.["test/error"], `${run.name}: ${two(run.last?.["test/error"])} %`]));
    const means = members.filter((g) => g.figures.test_error_mean !== undefined).map((g) => [of(g), g.figures.test_error_mean, `${nameOf(g, view)}: ${g.test} %, n = ${g.figures.n}`]);
    series.push({ name, ...style, points: means, line: true }, { name, ...style, points: seeds, dots: true });
    const lost = members.filter((g) => g.lost).map((g) => [of(g), 100, `${nameOf(g, view)}: ${g.lost} diverged`]);
    if (lost.length) series.push({ name, ...style, points: lost, cross: true });
  });
  for (const kind of distinct(paper.map((p) => p.kind))) {
    const style = kind ? lookOfKind(view, kind) : { colour: "var(--faint)", marker: 0 };
    series.push({ name: "paper", ...style, hollow: true, dots: true, size: 5,
      points: paper.filter((p) => p.kind === kind).map((p) => [p.depth, p.error, `${view.paper.name}, ${p.label}: ${p.error}`]) });
  }
  if (!series.some((each) => each.points.length)) return null; // nothing has finished
  return section("depth", `Test error against ${key}`,
    el("div", { class: "controls" }, select("depth-x", "x", choices.map((c) => [c, c]), key, change("depth", "x")),
      check("depth-log", "logarithmic", log, change("depth", "log"))),
    legend(names.map((name, place) => [name, look(place)]), more),
    plot({ id: "depth-plot", label: `test error against ${key}: ${view.conclusion}`, series,
      x: { label: key === "depth" ? "depth (weighted layers)" : key, log: far, whole: key === "depth" }, y: { label: "test error (%)", log, zero: true } }, width()),
    view.paper && view.paper.rows.length ? paperTable(view.paper) : null);
}

const legend = (entries, more) => el("p", { class: "faint legend" }, entries.map(([name, style]) => el("span", { class: "entry" }, sample(style), name)), more);

function paperTable(paper) {
  return [el("h3", {}, `Beside ${paper.name}`), el("div", { class: "wide" }, el("table", {},
    el("thead", {}, el("tr", {}, paper.columns.map((name) => el("th", { class: paper.numbers.includes(name) ? "number" : null }, name)))),
    el("tbody", {}, paper.rows.map((row) => el("tr", {}, row.map((cell, at) => el("td", { class: paper.numbers.includes(paper.columns[at]) ? "number" : null }, cell))))))),
  el("p", { class: "faint" }, data.rules.paper)];
}

function heatSection(view) {
  const { keys, pairs } = view.heat;
  if (keys.length < 2) return null;
  let { rows, columns } = state.heat;
  if (!keys.includes(rows)) rows = keys.includes("model.depth") ? "model.depth" : keys[0];
  if (!keys.includes(columns) || columns === rows) columns = keys.find((key) => key !== rows);
  const turned = !pairs[`${rows} ${columns}`];
  const found = pairs[turned ? `${columns} ${rows}` : `${rows} ${columns}`];
  const places = [found.keys.indexOf(rows), found.keys.indexOf(columns)];
  const rest = found.keys.map((_, at) => at).filter((at) => !places.includes(at));
  const rowOf = (where) => [where[places[0]], ...rest.map((at) => where[at])];
  const bySize = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  const across = distinct(found.cells.map(([where]) => where[places[1]])).sort(bySize);
  const down = new Map(found.cells.map(([where]) => [JSON.stringify(rowOf(where)), rowOf(where)]));
  const lines = [...down.values()].sort((a, b) => bySize(a[0], b[0]));
  const figures = found.cells.map(([, , error]) => error).filter((error) => error !== null && error > 0).map(Math.log);
  const low = Math.min(...figures), high = Math.max(...figures);
  const cellOf = (line, head) => {
    const cell = found.cells.find(([where]) => JSON.stringify(rowOf(where)) === JSON.stringify(line) && where[places[1]] === head);
    if (!cell) return el("td", { class: "cell none", title: "no run" }, "–");
    const [, words, error, lost] = cell;
    const node = el("td", { class: `cell${error === null ? " none" : ""}${lost || /failed/.test(words) ? " lost" : ""}` }, words);
    if (error !== null) {
      const share = error > 0 && high > low ? (Math.log(error) - low) / (high - low) : 0;
      node.style.background = `color-mix(in srgb, var(--c1) ${Math.round(6 + 44 * share)}%, var(--ground))`;
    }
    return node;
  };
  const options = keys.map((key) => [key, key]);
  return section("heat", "Two choices at a time",
    el("div", { class: "controls" }, select("heat-rows", "rows", options, rows, change("heat", "rows")),
      select("heat-columns", "columns", options, columns, change("heat", "columns"))),
    el("div", { class: "wide heat" }, el("table", {},
      el("thead", {}, el("tr", {}, el("th", {}, rows), rest.map((at) => el("th", {}, found.keys[at])), across.map((head) => el("th", { scope: "col" }, `${columns}=${said(head)}`)))),
      el("tbody", {}, lines.map((line) => el("tr", {}, line.map((value) => el("th", { scope: "row" }, said(value))), across.map((head) => cellOf(line, head))))))),
    el("p", { class: "faint" }, "test error (%), mean ± standard deviation (n) over all runs of a cell; hatched: no figure; underlined: a run failed or diverged; darker: higher, on a logarithmic scale"));
}

function chips(view) {
  const groups = view.groups;
  const kinds = [["depth", "depth", (g) => g.figures.depth], ["unit", "unit", (g) => g.figures.kind],
    ...view.keys.map((key) => [key, key.split(".").pop(), (g) => said(g.figures[key])])];
  const rows = kinds.map(([key, label, of]) => [key, label, distinct(groups.map(of))]);
  rows.push(["seed", "seed", distinct(groups.flatMap((g) => g.runs.map((at) => data.runs[at].seed))).sort((a, b) => a - b)]);
  const toggle = (id) => () => { state.off.has(id) ? state.off.delete(id) : state.off.add(id); render(); };
  return rows.filter(([, , values]) => values.length > 1).map(([key, label, values]) => el("div", { class: "controls", role: "group", "aria-label": label },
    el("span", { class: "faint" }, label), values.slice(0, 40).map((value) => {
      const id = `${key} ${value}`;
      return el("button", { id: `chip-${id}`, class: "chip", "aria-pressed": String(!state.off.has(id)), click: toggle(id) }, String(value));
    })));
}

const isOn = (view) => (g) => ![`depth ${g.figures.depth}`, `unit ${g.figures.kind}`, ...view.keys.map((key) => `${key} ${said(g.figures[key])}`), `line ${g.id}`]
  .some((id) => state.off.has(id));

// Mean and range over the seeds, at each epoch that all of them have come to.
function overSeeds(runs, x, y) {
  const with_ = runs.map((run) => run.curves).filter((curves) => curves && curves[y] && curves[x]);
  if (!with_.length) return [];
  const maps = with_.map((curves) => new Map(curves.iteration.map((at, place) => [at, [curves[x][place], curves[y][place]]])));
  return with_[0].iteration.map((at) => maps.map((map) => map.get(at))).filter((found) => found.every((pair) => pair && pair[1] !== null))
    .map((found) => { const ys = found.map((pair) => pair[1]); return [mean(found.map((pair) => pair[0])), mean(ys), Math.min(...ys), Math.max(...ys)]; });
}

function curvesSection(view) {
  const { x, y, log, zoom } = state.curves;
  const every = shownGroups(view).filter((g) => g.runs.some((at) => data.runs[at].curves));
  if (!every.length) return null;
  const on = every.filter(isOn(view)), lines = on.slice(0, PLOTTED);
  const style = new Map(view.groups.map((g, place) => [g.id, { ...look(place) }]));
  const series = [];
  for (const group of lines) {
    const all = group.runs.map((at) => data.runs[at]).filter((run) => !state.off.has(`seed ${run.seed}`));
    const finished = all.filter((run) => run.state === "finished"), runs = finished.length ? finished : all;
    const name = nameOf(group, view);
    const add = (column, more) => {
      const points = overSeeds(runs, x, column);
      if (points.length) series.push({ name: `${name}, ${column}`, ...style.get(group.id), line: true, points: points.map(([a, b]) => [a, b]), band: more.band && runs.length > 1 ? points.map(([a, , low, high]) => [a, low, high]) : null, width: more.width, marks: more.band });
    };
    if (y === "lr") add("lr", { width: 2 });
    else { add(`train/${y}`, { width: 0.9 }); add(`val/${y}`, { width: 1.3 }); add(`test/${y}`, { width: 2.4, band: true }); }
  }
  const words = { iteration: "iterations", epoch: "epochs", seconds: "seconds (with evaluations)" };
  const zoomed = (a, b) => { state.curves.zoom = [a, b]; render(); };
  const toggle = (id) => () => { state.off.has(id) ? state.off.delete(id) : state.off.add(id); render(); };
  return section("curves", "Curves: training thin, validation medium, test bold, the band is the range over the seeds",
    el("div", { class: "controls" },
      select("curves-y", "y", [["error", "error (%)"], ["loss", "loss"], ["lr", "learning rate"]], y, change("curves", "y")),
      select("curves-x", "x", Object.entries(words), x, (value) => { state.curves.x = value; zoomed(null, null); }),
      check("curves-log", "logarithmic", log, change("curves", "log")),
      [["+", "in", "zoom in"], ["-", "out", "zoom out"], ["0", "all", "all of it"]].map(([key, id, words]) => el("button", {
        id: `curves-${id}`, click: () => document.getElementById("curves-plot").dispatchEvent(new KeyboardEvent("keydown", { key })),
      }, words)),
      el("button", { id: "curves-start", click: () => { state.off.clear(); render(); } }, "all lines")),
    chips(view),
    el("div", { class: "controls", role: "group", "aria-label": "lines" }, every.slice(0, PLOTTED).map((g) => el("button", {
      class: "chip", id: `line-${g.id}`, "aria-pressed": String(isOn(view)(g)), click: toggle(`line ${g.id}`),
    }, sample(style.get(g.id)), nameOf(g, view)))),
    on.length > PLOTTED ? el("p", { class: "faint" }, `${PLOTTED} of ${on.length} lines are drawn: filter, or switch some off`) : null,
    plot({ id: "curves-plot", label: `${y} against ${words[x]}`, series, zoomed, height: 420,
      x: { label: words[x], whole: x !== "seconds", domain: zoom[0] }, y: { label: y === "error" ? "error (%)" : y === "lr" ? "learning rate" : "loss", log, zero: true, domain: zoom[1] } }, width()));
}

const COSTS = [["parameters", "parameters", (g) => g.figures.parameters], ["multiply_adds", "multiply-adds", (g) => g.figures.multiply_adds],
  ["seconds", "training seconds", (g) => g.figures.train_seconds_mean], ["memory", "peak memory (MiB)", (g) => g.memory]];

function costSection(view) {
  const choices = COSTS.filter(([, , of]) => view.groups.some((g) => g.figures.n && Number.isFinite(of(g))));
  const groups = shownGroups(view);
  if (!choices.length) return null;
  const [key, label, of] = choices.find(([name]) => name === state.cost.x) || choices[0];
  const there = groups.filter((g) => Number.isFinite(of(g)) && Number.isFinite(g.figures.test_error_mean));
  const beats = (a, b) => of(a) <= of(b) && a.figures.test_error_mean <= b.figures.test_error_mean && (of(a) < of(b) || a.figures.test_error_mean < b.figures.test_error_mean);
  const front = there.filter((g) => !there.some((other) => beats(other, g))).sort((a, b) => of(a) - of(b));
  const point = (g) => [of(g), g.figures.test_error_mean, `${nameOf(g, view)}: ${g.test} %, ${short(of(g))} ${label}`];
  const steps = front.flatMap((g, at) => (at ? [[of(g), front[at - 1].figures.test_error_mean], point(g)] : [point(g)]));
  const kinds = distinct(there.map((g) => g.figures.kind));
  return section("cost", `Test error against ${label}`,
    el("div", { class: "controls" }, select("cost-x", "x", choices.map(([name, words]) => [name, words]), key, change("cost", "x")),
      check("cost-log", "logarithmic", state.cost.log, change("cost", "log"))),
    legend(kinds.map((kind) => [kind, lookOfKind(view, kind)]), "line: the Pareto front, nets that no other beats in both"),
    plot({ id: "cost-plot", label: `test error against ${label}`,
      series: [{ name: "front", colour: "var(--faint)", width: 1.5, dash: "4 3", line: true, points: steps },
        ...kinds.map((kind) => ({ name: kind, ...lookOfKind(view, kind), dots: true, size: 4.5, points: there.filter((g) => g.figures.kind === kind).map(point) }))],
      x: { label, log: state.cost.log }, y: { label: "test error (%)", log: state.cost.log, zero: true } }, width()),
    el("p", { class: "faint" }, "on the front: ", front.map((g) => nameOf(g, view)).join("; ") || "nothing"));
}

const MEASURED = { layer_responses: "standard deviation of the response", gradient_norms: "norm of the gradient" };

function layersSection(view) {
  const groups = shownGroups(view);
  const kinds = [...Object.keys(MEASURED), "confusion"].filter((what) => groups.some((g) => g.measured[what]));
  if (!kinds.length) return null;
  const what = kinds.includes(state.layers.what) ? state.layers.what : kinds[0];
  const there = groups.filter((g) => g.measured[what]);
  const controls = [select("layers-what", "show", kinds.map((k) => [k, k.replaceAll("_", " ")]), what, change("layers", "what"))];
  if (what === "confusion") {
    const group = there.find((g) => g.id === state.layers.group) || there[0];
    controls.push(select("layers-group", "of", there.map((g) => [g.id, nameOf(g, view)]), group.id, change("layers", "group")));
    const { columns, labels, counts } = group.measured.confusion;
    return section("layers", "Which class is taken for which", el("div", { class: "controls" }, controls),
      el("div", { class: "wide heat" }, el("table", {}, el("thead", {}, el("tr", {}, el("th", {}, "class \\ answer"), columns.map((name) => el("th", {}, name)))),
        el("tbody", {}, labels.map((name, at) => {
          const total = counts[at].reduce((a, b) => a + b, 0) || 1;
          return el("tr", {}, el("th", { scope: "row" }, name), counts[at].map((count, to) => {
            const node = el("td", { class: `cell${columns[to] === name ? " diagonal" : ""}` }, count || "");
            if (count) node.style.background = `color-mix(in srgb, var(${columns[to] === name ? "--c2" : "--c1"}) ${Math.round(8 + 45 * Math.sqrt(count / total))}%, var(--ground))`;
            return node;
          }));
        })))), el("p", { class: "faint" }, "test images of all finished seeds; a row is a class, a column what the net answers"));
  }
  const { when, order } = state.layers;
  controls.push(select("layers-when", "at the", [["first", "first measured epoch"], ["last", "last measured epoch"]], when, change("layers", "when")),
    select("layers-order", "layers", [["in order", "in order"], ["by size", "by size, the largest first"]], order, change("layers", "order")));
  const series = there.slice(0, PLOTTED).map((g, place) => {
    const [layers, values] = g.measured[what][when];
    const points = order === "in order" ? layers.map((layer, at) => [layer, values[at]]) : [...values].sort((a, b) => b - a).map((v, at) => [at + 1, v]);
    return { name: nameOf(g, view), ...look(place), line: true, marks: true, points };
  });
  return section("layers", `In each layer: ${MEASURED[what]}`, el("div", { class: "controls" }, controls),
    legend(there.slice(0, PLOTTED).map((g, place) => [nameOf(g, view), look(place)])),
    plot({ id: "layers-plot", label: MEASURED[what], series, x: { label: order === "in order" ? "layer, from the input on" : "layer, the largest first", whole: true },
      y: { label: MEASURED[what], log: what === "gradient_norms", zero: true } }, width()));
}

function differsSection(view) {
  const columns = [];
  for (const id of state.picked) {
    const group = view.groups.find((g) => `g ${g.id}` === id);
    const runs = group ? group.runs.map((at) => data.runs[at]) : data.runs.filter((run) => `r ${run.id}` === id).slice(0, 1);
    if (runs.length) columns.push([group ? nameOf(group, view) : runs[0].name, runs]);
  }
  if (columns.length < 2) return section("differs", "What differs", el("p", { class: "faint" }, "tick two or more groups, or runs of an opened row, under “compare” in the table"));
  const all = (runs, of) => distinct(runs.map((run) => said(of(run)))).join(" | ");
  const keys = distinct(columns.flatMap(([, runs]) => runs.flatMap((run) => Object.keys(run.own))));
  const rows = keys.sort().map((key) => [key, columns.map(([, runs]) => all(runs, (run) => configurationOf(run)[key]))]);
  for (const key of distinct(columns.flatMap(([, runs]) => runs.flatMap((run) => Object.keys(run.environment || {}))))) {
    rows.push([`environment: ${key}`, columns.map(([, runs]) => all(runs, (run) => run.environment?.[key]))]);
  }
  for (const key of ["accelerator", "devices", "threads"]) rows.push([`trained on: ${key}`, columns.map(([, runs]) => all(runs, (run) => run.cost?.[key]))]);
  rows.push(["test error (%)", columns.map(([, runs]) => all(runs, (run) => run.last?.["test/error"]))]);
  const different = rows.filter(([, cells]) => new Set(cells).size > 1);
  return section("differs", "What differs", el("div", { class: "wide" }, el("table", { id: "differences" },
    el("thead", {}, el("tr", {}, el("th", {}, "key"), columns.map(([name]) => el("th", {}, name)))),
    el("tbody", {}, different.map(([key, cells]) => el("tr", {}, el("th", { scope: "row" }, key), cells.map((cell) => el("td", {}, cell))))))),
  different.length ? null : el("p", {}, "nothing"),
  el("p", { class: "faint" }, `${rows.length - different.length} keys that vary elsewhere, and ${Object.keys(data.shared).length} that are the same in all runs, are left out`),
  el("button", { id: "pick-none", click: () => { state.picked.clear(); render(); } }, "tick none"));
}

const width = () => Math.max(300, Math.min(1200, main.clientWidth - (window.innerWidth <= 600 ? 24 : 40)));

function header() {
  const themes = ["", "light", "dark"], now = document.documentElement.dataset.theme || "";
  const next = themes[(themes.indexOf(now) + 1) % 3];
  return el("header", {}, el("h1", {}, data.views[state.view].title),
    data.views.length > 1 ? select("view", "sweep", data.views.map((view, at) => [at, view.name]), state.view, (value) => { state.view = Number(value); state.sort = null; render(); }) : null,
    el("button", { id: "theme", click: () => { document.documentElement.dataset.theme = next; render(); } }, `colours: ${now || "as the system's"}`),
    el("span", { id: "live", class: "faint", role: "status" }, live.words));
}

const live = { words: "", tag: null };

function render() {
  const focused = document.activeElement?.id, caret = document.activeElement?.selectionStart;
  const scrolled = [...document.querySelectorAll(".wide")].map((node) => node.scrollLeft), top = window.scrollY;
  const details = new Map([...document.querySelectorAll("details")].map((node) => [node.id, node.open]));
  if (!data.views[state.view]) state.view = 0;
  state.keep = state.drawn;
  const view = data.views[state.view];
  document.querySelector("header").replaceWith(header());
  main.replaceChildren(...[summary, tableSection, depthSection, heatSection, curvesSection, costSection, layersSection, differsSection]
    .map((make) => make(view)).filter(Boolean));
  document.querySelectorAll(".wide").forEach((node, at) => { node.scrollLeft = scrolled[at] || 0; });
  document.querySelectorAll("details").forEach((node) => { node.open = details.get(node.id) ?? node.open; });
  const again = focused && document.getElementById(focused);
  if (again) {
    again.focus({ preventScroll: true });
    if (typeof caret === "number" && again.type === "search") again.setSelectionRange(caret, caret);
  }
  window.scrollTo(0, top);
}

// A page that is served asks for what is new; what was opened and chosen stays.
async function refresh() {
  try {
    const answer = await fetch("data.json", { headers: live.tag ? { "If-None-Match": live.tag } : {} });
    if (answer.status === 200) {
      live.tag = answer.headers.get("ETag");
      const text = await answer.text();
      live.words = "live";
      data = JSON.parse(text);
      render();
    } else live.words = answer.status === 304 ? "live" : `no answer: ${answer.status}`;
  } catch { live.words = "the server has gone: what is shown is the last it told"; }
  document.getElementById("live").textContent = live.words;
  setTimeout(refresh, 3000);
}

let waiting = null, before = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth === before) return;
  before = window.innerWidth;
  clearTimeout(waiting);
  waiting = setTimeout(render, 120);
});
render();
if (document.documentElement.hasAttribute("data-live")) refresh();
