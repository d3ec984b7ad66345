"use strict";
// Curves over training: lines on and off, axes, zoom, and a hair that lists every value where it stands.

const SHARES = {
  iteration: "iterations",
  epoch: "epochs",
  images: "images seen",
  seconds: "wall time (s, with evaluations)",
};
const HEIGHTS = { error: "error (%)", loss: "loss", lr: "learning rate" };
const runsOf = (view) => view.groups.flatMap(runsIn);
const isOfSteps = (name) => !(name in HEIGHTS || name in SHARES || name.includes("/")); // in steps.csv alone

// What the curves can show: what runs are judged by, and what steps.csv has.
function heights(view) {
  const own = view.objective.key.replace("test/", "");
  const logged = distinct(runsOf(view).flatMap((run) => Object.keys(run.steps || {}))).filter(isOfSteps);
  const wordsFor = (name) => data.columns.find((column) => column.name === name)?.title ?? name.replaceAll("_", " ");
  const usual = { ...HEIGHTS, ...Object.fromEntries(logged.map((name) => [name, wordsFor(name)])) };
  return own in usual ? usual : { [own]: view.objective.title, ...usual };
}
const flip = (id) => () => {
  state.off.has(id) ? state.off.delete(id) : state.off.add(id);
  render();
};

// Switches for whole families of lines: each depth, unit, choice and seed.
function chips(view) {
  const groups = view.groups;
  const kinds = [
    ["depth", "depth", (g) => g.figures.depth],
    ["unit", "unit", (g) => g.figures.kind],
    ...view.keys.map((key) => [key, view.words[key], (g) => said(g.figures[key])]),
  ];
  const rows = kinds.map(([key, label, of]) => [key, label, distinct(groups.map(of))]);
  const seeds = distinct(runsOf(view).map((run) => run.seed));
  rows.push(["seed", "seed", seeds.sort((a, b) => a - b)]);
  const chip = (id, value) => pressed(`chip-${id}`, String(value), !state.off.has(id), flip(id));
  const lineOf = ([key, label, values]) => {
    const switches = values.slice(0, 40).map((value) => chip(`${key} ${value}`, value));
    const attributes = { class: "controls", role: "group", "aria-label": label };
    return el("div", attributes, el("span", { class: "faint" }, label), switches);
  };
  return rows.filter(([, , values]) => values.length > 1).map(lineOf);
}

function isOn(view, group) {
  const keys = view.keys.map((key) => `${key} ${said(group.figures[key])}`);
  const ids = [`depth ${group.figures.depth}`, `unit ${group.figures.kind}`, ...keys, `line ${group.id}`];
  return !ids.some((id) => state.off.has(id));
}

const heightOf = (view) => (state.curves.y in heights(view) ? state.curves.y : Object.keys(heights(view))[0]);

// The columns that a line is drawn from: its steps where they have it and are wanted, else its epochs.
function rowsOf(run, x, y) {
  const dense = state.curves.dense || !run.curves?.[y];
  return dense && run.steps?.[y] && run.steps[x] ? run.steps : run.curves;
}

// What a run had seen, spent or done at each of these rows.
function alongOf(run, rows, x) {
  if (x !== "images" || rows.images) return rows[x];
  const batch = configurationOf(run)["recipe.batch_size"];
  return batch && rows.iteration.map((iteration) => iteration * batch);
}

// Mean and range over the seeds, at each epoch that all of them have come to: [x, mean, lowest, highest].
function overSeeds(runs, x, y) {
  const maps = runs.flatMap((run) => {
    const rows = rowsOf(run, x, y);
    const along = rows?.[y] && rows.iteration && alongOf(run, rows, x);
    return along ? [new Map(rows.iteration.map((at, place) => [at, [along[place], rows[y][place]]]))] : [];
  });
  if (!maps.length) return [];
  return [...maps[0].keys()]
    .map((at) => maps.map((map) => map.get(at)))
    .filter((found) => found.every((pair) => pair && pair[1] !== null))
    .map((found) => {
      const ys = found.map((pair) => pair[1]);
      return [mean(found.map((pair) => pair[0])), mean(ys), Math.min(...ys), Math.max(...ys)];
    });
}

const LINES = [
  ["train", { width: 1.2 }],
  ["val", { width: 1.6 }],
  ["test", { width: 2.4, band: true, marks: true }],
];

function curveSeries(view, groups) {
  const { x } = state.curves,
    y = heightOf(view),
    series = [];
  for (const group of groups) {
    const all = runsIn(group).filter((run) => !state.off.has(`seed ${run.seed}`));
    const finished = all.filter((run) => run.state === "finished"),
      runs = finished.length ? finished : all;
    const of = ([part, style]) => [part, `${part}/${y}`, style];
    for (const [part, column, { band, ...style }] of [...LINES.map(of), [y, y, { width: 2 }]]) {
      const found = overSeeds(runs, x, column);
      if (!found.length) continue;
      const points = found.map(([a, b]) => [a, b]);
      const range = band && runs.length > 1 ? found.map(([a, , low, high]) => [a, low, high]) : null;
      const name = `${group.name}, ${column}`;
      series.push({ name, group, part, ...lookOf(view, group), ...style, line: true, points, band: range });
    }
  }
  return series;
}

// The value of every line where the hair stands, the lowest last figure first: a row for each group.
function readings(view, series, at) {
  const parts = distinct(series.map((each) => each.part));
  const nearest = (points) => points.reduce((a, b) => (Math.abs(b[0] - at) < Math.abs(a[0] - at) ? b : a));
  const figureOf = (group, part) => {
    const line = series.find((each) => each.group === group && each.part === part);
    return line ? nearest(line.points)[1] : null;
  };
  const groups = distinct(series.map((each) => each.group));
  const rows = groups.map((group) => [group, parts.map((part) => figureOf(group, part))]);
  const size = ([, values]) => values.findLast((value) => value !== null) ?? Infinity;
  rows.sort((a, b) => size(a) - size(b));
  return [
    faint(`at ${short(at)} ${SHARES[state.curves.x]}`),
    grid(
      ["", ...parts].map((part) => el("th", { class: part && "number" }, part)),
      rows.map(([group, values]) => [
        el("th", { scope: "row" }, sample(lookOf(view, group)), " ", group.name),
        values.map((value) => el("td", { class: "number" }, value === null ? "" : short(value))),
      ]),
    ),
  ];
}

function curvesSection(view, width) {
  const { x, zoom } = state.curves,
    y = heightOf(view),
    words = heights(view);
  const every = shownGroups(view).filter((g) => runsIn(g).some((run) => run.curves || run.steps));
  if (!every.length) return null;
  const on = every.filter((g) => isOn(view, g)),
    series = curveSeries(view, on.slice(0, PLOTTED));
  const log = state.curves.log ?? series.every((each) => each.points.every(([, value]) => value > 0));
  const zoomed = (a, b) => {
    state.curves.zoom = [a, b];
    render();
  };
  const drawing = () => document.getElementById("curves-plot");
  const press = (key) => () => drawing().dispatchEvent(new KeyboardEvent("keydown", { key }));
  const buttons = [
    ["+", "in", "zoom in"],
    ["-", "out", "zoom out"],
    ["0", "all", "all of it"],
  ];
  const wide = width > 900,
    list = el("div", { class: "readings", role: "status" });
  const crossed = (at) => {
    state.curves.at = at;
    list.replaceChildren(...readings(view, series, at));
    address();
  };
  const last = Math.max(...series.flatMap((each) => each.points.map((p) => p[0])));
  if (series.length) list.append(...readings(view, series, state.curves.at ?? last));
  const label = `${y} against ${SHARES[x]}`;
  const axes = {
    x: { label: SHARES[x], whole: x !== "seconds", domain: zoom[0] },
    y: { label: words[y], log, zero: true, domain: zoom[1] },
  };
  const drawn = { id: "curves-plot", label, series, zoomed, crossed, height: 420, ...axes };
  const chooseX = (value) => {
    Object.assign(state.curves, { x: value, at: null });
    zoomed(null, null);
  };
  const all = () => {
    state.off.clear();
    render();
  };
  const stepped = runsOf(view).some((run) => run.steps);
  const lineOf = (g) => pressed(`line-${g.id}`, [sample(lookOf(view, g)), g.name], isOn(view, g), flip(`line ${g.id}`));
  return section(
    "curves",
    "Curves: training thin, validation medium, test bold, the band is the range over the seeds",
    controls(
      select("curves-y", "y", Object.entries(words), y, change("curves", "y")),
      select("curves-x", "x", Object.entries(SHARES), x, chooseX),
      check("curves-log", "logarithmic", log, change("curves", "log")),
      stepped && check("curves-dense", "every step", state.curves.dense, change("curves", "dense")),
      buttons.map(([key, id, words]) => button(`curves-${id}`, words, press(key))),
      button("curves-start", "all lines", all),
    ),
    chips(view),
    el("div", { class: "controls", role: "group", "aria-label": "lines" }, every.slice(0, PLOTTED).map(lineOf)),
    on.length > PLOTTED && faint(`${PLOTTED} of ${on.length} lines are drawn: filter, or switch some off`),
    el("div", { class: wide ? "beside" : null }, plot(drawn, wide ? width - 340 : width), list),
  );
}
