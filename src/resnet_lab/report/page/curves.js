"use strict";
// Curves over training: lines on and off, axes, zoom, and a hair that lists every value where it stands.

const SHARES = {
  iteration: "iterations",
  epoch: "epochs",
  images: "images seen",
  seconds: "wall time (s, with evaluations)",
};
const HEIGHTS = { error: "error (%)", loss: "loss", lr: "learning rate" };
const OF_STEPS = { images_per_second: "images/s", gradient_norm: "gradient norm" }; // in steps.csv alone

// What the curves can show: what runs are judged by is among it.
function heights(view) {
  const own = view.objective.key.replace("test/", "");
  const logged = Object.entries(OF_STEPS).filter(([name]) => runsOf(view).some((run) => run.steps?.[name]));
  const usual = { ...HEIGHTS, ...Object.fromEntries(logged) };
  return own in usual ? usual : { [own]: view.objective.title, ...usual };
}
const runsOf = (view) => view.groups.flatMap((g) => g.runs.map((at) => data.runs[at]));
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
  const seeds = distinct(groups.flatMap((g) => g.runs.map((at) => data.runs[at].seed)));
  rows.push(["seed", "seed", seeds.sort((a, b) => a - b)]);
  return rows
    .filter(([, , values]) => values.length > 1)
    .map(([key, label, values]) =>
      el(
        "div",
        {
          class: "controls",
          role: "group",
          "aria-label": label,
        },
        el("span", { class: "faint" }, label),
        values.slice(0, 40).map((value) => {
          const id = `${key} ${value}`;
          return pressed(`chip-${id}`, String(value), !state.off.has(id), flip(id));
        }),
      ),
    );
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
    const all = group.runs.map((at) => data.runs[at]).filter((run) => !state.off.has(`seed ${run.seed}`));
    const finished = all.filter((run) => run.state === "finished"),
      runs = finished.length ? finished : all;
    const of = ([part, style]) => [part, `${part}/${y}`, style];
    const columns = y === "lr" || y in OF_STEPS ? [[y, y, { width: 2 }]] : LINES.map(of);
    for (const [part, column, { band, ...style }] of columns) {
      const points = overSeeds(runs, x, column);
      if (!points.length) continue;
      series.push({
        name: `${group.name}, ${column}`,
        group,
        part,
        ...lookOf(view, group),
        ...style,
        line: true,
        points: points.map(([a, b]) => [a, b]),
        band: band && runs.length > 1 ? points.map(([a, , low, high]) => [a, low, high]) : null,
      });
    }
  }
  return series;
}

// The value of every line where the hair stands, the lowest last figure first: a row for each group.
function readings(view, series, at) {
  const parts = distinct(series.map((each) => each.part));
  const nearest = (points) => points.reduce((a, b) => (Math.abs(b[0] - at) < Math.abs(a[0] - at) ? b : a));
  const rows = distinct(series.map((each) => each.group)).map((group) => [
    group,
    parts.map((part) => {
      const line = series.find((each) => each.group === group && each.part === part);
      return line ? nearest(line.points)[1] : null;
    }),
  ]);
  const size = ([, values]) => values.findLast((value) => value !== null) ?? Infinity;
  rows.sort((a, b) => size(a) - size(b));
  return [
    el("p", { class: "faint" }, `at ${short(at)} ${SHARES[state.curves.x]}`),
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
  const every = shownGroups(view).filter((g) => g.runs.some((at) => data.runs[at].curves || data.runs[at].steps));
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
  const figure = plot(
    {
      id: "curves-plot",
      label: `${y} against ${SHARES[x]}`,
      series,
      zoomed,
      crossed,
      height: 420,
      x: { label: SHARES[x], whole: x !== "seconds", domain: zoom[0] },
      y: { label: words[y], log, zero: true, domain: zoom[1] },
    },
    wide ? width - 340 : width,
  );
  return section(
    "curves",
    "Curves: training thin, validation medium, test bold, the band is the range over the seeds",
    el(
      "div",
      { class: "controls" },
      select("curves-y", "y", Object.entries(words), y, change("curves", "y")),
      select("curves-x", "x", Object.entries(SHARES), x, (value) => {
        Object.assign(state.curves, { x: value, at: null });
        zoomed(null, null);
      }),
      check("curves-log", "logarithmic", log, change("curves", "log")),
      runsOf(view).some((run) => run.steps)
        ? check("curves-dense", "every step", state.curves.dense, change("curves", "dense"))
        : null,
      buttons.map(([key, id, words]) => button(`curves-${id}`, words, press(key))),
      button("curves-start", "all lines", () => {
        state.off.clear();
        render();
      }),
    ),
    chips(view),
    el(
      "div",
      { class: "controls", role: "group", "aria-label": "lines" },
      every
        .slice(0, PLOTTED)
        .map((g) => pressed(`line-${g.id}`, [sample(lookOf(view, g)), g.name], isOn(view, g), flip(`line ${g.id}`))),
    ),
    on.length > PLOTTED
      ? el("p", { class: "faint" }, `${PLOTTED} of ${on.length} lines are drawn: filter, or switch some off`)
      : null,
    el("div", { class: wide ? "beside" : null }, figure, list),
  );
}
