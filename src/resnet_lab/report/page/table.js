"use strict";
// The table of the groups: sort, filter, baseline, columns, and rows that open.

const two = (value) => (value === undefined || value === null ? "" : value.toFixed(2));
const absent = (value) => value === undefined || value === null || value === "";
// A figure of the last test, the training or the cost by its name in the report's tables, and its words.
const figure = (name) => (g) => g.figures[`${name}_mean`] ?? g.figures[name];
const spread = (name) => (v, g) => {
  const std = g.figures[`${name}_std`],
    words = /error$/.test(name) ? two : short;
  return absent(v) ? "" : absent(std) ? words(v) : `${words(v)} ± ${words(std)}`;
};
const CHOICES = 5; // columns of choices that are shown unasked
const MANY_CHOICES = 4; // from which the result stands before them
const USUAL = ["test", "n", "difference", "interval", "verdict"];
// Each: key, heading, value of a group, its words.
const CHOSEN = [
  ["depth", "depth", (g) => g.figures.depth, (v) => v ?? ""],
  ["unit", "net", (g) => g.figures.kind],
];
const METRIC = /^test_(.+)_mean$/;

const valueIn = (column, g) => column[2](g);
const wordsIn = (column, g) => (column[3] || ((v) => v ?? ""))(valueIn(column, g), g);
const isNumber = (column, groups) => column[0] !== "how" && groups.some((g) => typeof valueIn(column, g) === "number");

// Which group the others are held against: by its id, or the best one; -1: none.
function baseOf(view) {
  if (state.baseline === "best") return view.best ?? -1;
  return view.groups.findIndex((g) => g.id === state.baseline);
}

function columnsAgainst(view) {
  const line = view.differences[baseOf(view)],
    places = new Map(view.groups.map((g, at) => [g, at]));
  const of = (g) => line[places.get(g)],
    words = view.objective.unit === "%" ? two : short;
  const signed = (value) => `${value < 0 ? "" : "+"}${words(value)}`;
  const judged = ["verdict", "beside the best", (g) => g.verdict];
  if (!line) return [judged];
  return [
    judged,
    ["difference", "minus baseline", (g) => of(g)[0], (v) => (v === null ? "" : signed(v))],
    [
      "interval",
      "95 % interval",
      (g) => of(g)[1],
      (v, g) => (v === null ? "" : `${signed(of(g)[0] - v)} to ${signed(of(g)[0] + v)}`),
    ],
    ["how", "interval by", (g) => of(g)[2]],
  ];
}

// Every column that has a value, in order.
function everyColumn(view) {
  const keys = view.keys.map((key) => [key, view.words[key], (g) => g.figures[key], (v) => String(v ?? "")]);
  const { name: result, title } = view.objective,
    words = spread(result);
  const results = [
    ["test", title, (g) => g.mean, (_v, g) => g.shown],
    ["n", "n", (g) => g.figures.n, String],
    ...columnsAgainst(view),
    ["median", "median", (g) => g.figures[`${result}_median`], (v, _g) => words(v, { figures: {} })],
    ["best", "best seed", (g) => g.figures[`${result}_best`], (v, _g) => words(v, { figures: {} })],
    ["at_best", "at best val epoch", (g) => g.figures.test_error_at_best_val_epoch, two],
  ];
  const known = data.columns.filter(({ name }) => name !== result),
    names = new Set(known.map(({ name }) => name));
  const recorded = distinct(view.groups.flatMap((g) => Object.keys(g.figures))).map((name) => name.match(METRIC)?.[1]);
  const metrics = recorded.filter((name) => name && `test_${name}` !== result && !names.has(`test_${name}`));
  const further = [...known.map(({ name, title }) => [name, title]), ...metrics.map((name) => [`test_${name}`, name])];
  // Of many choices the result comes first, so that it is seen without a scroll.
  const chosen = [...CHOSEN, ...keys];
  const every = [
    ...(keys.length >= MANY_CHOICES ? [...results, ...chosen] : [...chosen, ...results]),
    ...further.map(([name, title]) => [name, title, figure(name), spread(name)]),
    ["remarks", "remarks", (g) => g.figures.remarks],
  ];
  return every.filter((column) => view.groups.some((g) => !absent(valueIn(column, g))));
}

// Unasked: what varies, the result, and what can be said of it.
function usualColumns(view, every) {
  const varies = (column) => new Set(view.groups.map((g) => valueIn(column, g))).size > 1;
  const choices = every.filter((column) => [...view.keys, "depth", "unit"].includes(column[0]) && varies(column));
  return new Set([...choices.slice(0, CHOICES).map(([key]) => key), ...USUAL]);
}

function columnsOf(view) {
  const every = everyColumn(view),
    wanted = state.columns || usualColumns(view, every);
  return every.filter(([key]) => wanted.has(key));
}

function chooser(view) {
  const every = everyColumn(view),
    wanted = state.columns || usualColumns(view, every);
  const toggle = (key) => (on) => {
    state.columns = new Set(wanted);
    on ? state.columns.add(key) : state.columns.delete(key);
    render();
  };
  const boxes = every.map(([key, heading]) => check(`column-${key}`, heading, wanted.has(key), toggle(key)));
  const usual = button("columns-usual", "the usual ones", () => set("columns")(null));
  return el("details", { id: "columns" }, el("summary", {}, "columns"), controls(boxes, usual));
}

function wordsOf(group, view) {
  const runs = runsIn(group).map((run) => `${run.name} ${run.state}`);
  const keys = view.keys.map((key) => `${key}=${group.figures[key]}`);
  return [group.net, group.figures.experiment, group.figures.remarks, ...keys, ...runs].join(" ").toLowerCase();
}

// The groups that the filter leaves: every word of it must occur.
function shownGroups(view) {
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  return view.groups.filter((group) => {
    const text = wordsOf(group, view);
    return words.every((word) => text.includes(word));
  });
}

function sorted(groups, columns) {
  const column = columns.find(([key]) => key === state.sort?.key);
  if (!column) return groups;
  const value = (g) => valueIn(column, g) ?? (state.sort.down ? -Infinity : Infinity);
  const byText = (a, b) => typeof a === "string" || typeof b === "string";
  const order = (a, b) => (byText(a, b) ? String(a).localeCompare(String(b)) : a - b);
  return [...groups].sort((a, b) => (state.sort.down ? -1 : 1) * order(value(a), value(b)));
}

const STEP = 100; // rows drawn at a time, as they are scrolled to

function groupTable(view, width) {
  const columns = columnsOf(view),
    groups = sorted(shownGroups(view), columns);
  const sortBy = (key) => set("sort")({ key, down: state.sort?.key === key && !state.sort.down });
  const numbers = new Map(columns.map((column) => [column, isNumber(column, view.groups)]));
  const headOf = (column) => {
    const order = state.sort?.key !== column[0] ? "none" : state.sort.down ? "descending" : "ascending";
    const words = [column[1], { none: "", descending: " ▾", ascending: " ▴" }[order]];
    const attributes = { scope: "col", class: numbers.get(column) ? "number" : null, "aria-sort": order };
    return el(
      "th",
      attributes,
      button(`sort-${column[0]}`, words, () => sortBy(column[0])),
    );
  };
  const head = el("tr", {}, el("th", { scope: "col" }, "compare"), columns.map(headOf));
  const body = el("tbody", {});
  const row = (group) => {
    const open = state.open.has(group.id),
      judged = group.verdict;
    const toggle = () => {
      open ? state.open.delete(group.id) : state.open.add(group.id);
      render();
    };
    const cells = columns.map((column) => {
      const value = valueIn(column, group);
      const kind = column[0] === "remarks" ? "remarks" : numbers.get(column) ? "number" : null;
      return el("td", { class: kind, title: typeof value === "number" ? value : null }, wordsIn(column, group));
    });
    const opener = { id: `open-${group.id}`, "aria-expanded": String(open), "aria-label": `seeds of ${group.net}` };
    const tick = picker(`g ${group.id}`, `compare ${group.net}`);
    const first = [el("button", { ...opener, click: toggle }, open ? "▾" : "▸"), " ", tick, " "];
    const marked = judged === "the best" ? "best" : judged === data.alike ? "alike" : null;
    const line = [el("td", { class: "first" }, first, sample(lookOf(view, group))), cells];
    const inside = () => el("td", { class: "open", colspan: columns.length + 1 }, opened(view, group, width));
    return [el("tr", { "data-group": group.id, class: marked }, line), open && el("tr", {}, inside())];
  };
  let drawn = 0;
  const more = button("more", "more rows", () => grow());
  const grow = () => {
    fill(body, {}, groups.slice(drawn, drawn + STEP).map(row));
    drawn = Math.min(drawn + STEP, groups.length);
    state.drawn = drawn;
    more.hidden = drawn >= groups.length;
    more.textContent = `${drawn} of ${groups.length} rows: more`;
  };
  do grow();
  while (drawn < groups.length && drawn < state.keep);
  if (drawn < groups.length) {
    const seen = ([entry]) => {
      if (entry.isIntersecting && drawn < groups.length) grow();
    };
    new IntersectionObserver(seen).observe(more);
  }
  const files = [
    ["csv", "CSV", "text/csv", () => tableAsCsv(columns, groups)],
    ["tex", "LaTeX", "text/x-tex", () => tableAsLatex(columns, groups, view.groups[view.best])],
  ];
  const saver = ([suffix, words, kind, text]) =>
    button(`table-${suffix}`, words, () => save(`${fileName(view, "table")}.${suffix}`, text(), kind));
  return [
    el("div", { class: "wide rows" }, el("table", { id: "groups" }, el("thead", {}, head), body), more),
    groups.length ? null : el("p", {}, "no group matches the filter"),
    controls(chooser(view), files.map(saver)),
  ];
}

function picker(id, label) {
  const change = (event) => {
    event.target.checked ? state.picked.add(id) : state.picked.delete(id);
    render();
  };
  const box = el("input", { type: "checkbox", id: `pick-${id}`, "aria-label": label, change });
  box.checked = state.picked.has(id);
  return box;
}

const configurationOf = (run) => ({ ...data.shared, ...run.own });
const said = (value) =>
  value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value);

// The columns of the runs of a group: [heading, value of a run], those that some run has.
function runColumns(view, runs) {
  const sofar = (run, key) => run.curves?.[key]?.findLast((value) => value !== null);
  const figures = [
    view.objective,
    ...data.columns.filter(({ key, part }) => part !== "model" && key !== view.objective.key),
  ];
  const where = ({ accelerator, devices, threads } = {}) => [
    accelerator,
    devices > 1 && `${devices} devices`,
    threads && `${threads} thread${threads > 1 ? "s" : ""}`,
  ];
  const columns = [
    ["seed", (run) => run.seed],
    ["state", stateOf],
    ...figures.map(({ title, part, key }) => [title, (run) => run[part]?.[key] ?? (run.last ? null : sofar(run, key))]),
    ["best validation error (%)", (run) => run.best?.["val/error"]],
    ["iterations", (run) => run.iterations],
    ["device", (run) => where(run.cost).filter(Boolean).join(", ")],
    ["commit", (run) => run.environment?.git_commit?.slice(0, 8)],
  ];
  return columns.filter(([, of]) => runs.some((run) => !absent(of(run))));
}

function stateOf(run) {
  const epoch = run.curves?.epoch?.at(-1);
  return run.error ? `${run.state}: ${run.error}` : epoch && !run.last ? `${run.state}, epoch ${epoch}` : run.state;
}

function opened(view, group, width) {
  const first = data.runs[group.runs[0]];
  const copies = group.copies.map((at) => ({ ...data.runs[at], error: "not counted" }));
  const runs = [...runsIn(group), ...copies];
  const columns = runColumns(view, runs);
  const cellOf = (value) => {
    const number = typeof value === "number";
    return el("td", { class: number ? "number" : null, title: value }, number ? short(value) : (value ?? ""));
  };
  const row = (run) => {
    const sweep = data.views.length > 1 ? `${run.sweep}/` : "";
    const name = el("td", {}, picker(`r ${run.id}`, `compare ${run.name}`), " ", sweep, run.name);
    return [name, columns.map(([, of]) => cellOf(of(run)))];
  };
  const heads = ["run", ...columns.map(([heading]) => heading)].map((heading) => el("th", {}, heading));
  const words = (run) => {
    const said = `${run.name}${run.message ? `: ${run.message}` : ""}${run.log ? ", the last lines of its log:" : ""}`;
    return [el("p", { class: run.message ? "bad" : "faint" }, said), run.log && el("pre", {}, run.log)];
  };
  const configuration = Object.entries(configurationOf(first)).sort(([a], [b]) => (a < b ? -1 : 1));
  const lines = configuration.map(([key, value]) => `${key}: ${said(value)}`).join("\n");
  const whole = [el("summary", {}, `configuration of ${first.name}`), el("pre", {}, lines)];
  const node = el(
    "div",
    {},
    el("div", { class: "wide" }, grid(heads, runs.map(row))),
    runs.filter((run) => run.message || run.log).map(words),
    el("details", { id: `configuration-${group.id}` }, whole),
  );
  node.style.width = `${width - 24}px`;
  return node;
}
