"use strict";
// The table of the groups: sort, filter, baseline, and rows that open.

const two = (value) => (value === undefined || value === null ? "" : value.toFixed(2));
const withSpread = (mean, std) => (mean === undefined || mean === null ? "" : two(mean) + (std === undefined || std === null ? "" : ` ± ${two(std)}`));
const COLUMNS = [
  ["depth", "depth", (g) => g.figures.depth, (v) => v ?? ""],
  ["unit", "kind of unit", (g) => g.figures.kind],
  // here: a column for each further choice
  ["test", "test error (%)", (g) => g.figures.test_error_mean, (v, g) => (v === undefined || v === null ? "–" : g.test)],
  ["n", "n", (g) => g.figures.n, String],
  // here: against the baseline
  ["parameters", "parameters", (g) => g.figures.parameters, short],
  ["multiply_adds", "multiply-adds", (g) => g.figures.multiply_adds, short],
  ["median", "median", (g) => g.figures.test_error_median, two],
  ["best", "best", (g) => g.figures.test_error_best, two],
  ["val", "validation error (%)", (g) => g.figures.val_error_mean, (v, g) => withSpread(v, g.figures.val_error_std)],
  ["at_best", "at best val epoch", (g) => g.figures.test_error_at_best_val_epoch, two],
  ["train", "training error (%)", (g) => g.figures.train_error_mean, two],
  // here: further metrics
  ["seconds", "train s", (g) => g.figures.train_seconds_mean, short],
  ["memory", "memory (MiB)", (g) => g.memory, short],
  ["speed", "images/s", (g) => g.speed, short],
  ["remarks", "remarks", (g) => g.figures.remarks],
];
const METRIC = /^test_(.+)_mean$/;

function columnsOf(view) {
  const keys = view.keys.map((key) => [key, key, (g) => g.figures[key], (v) => String(v ?? "")]);
  const names = new Set(view.groups.flatMap((g) => Object.keys(g.figures)));
  const metrics = [...names].map((name) => name.match(METRIC)?.[1]).filter((name) => name && name !== "error");
  const further = metrics.slice(0, 12).map((name) => [
    `m ${name}`, name, (g) => g.figures[`test_${name}_mean`],
    (v, g) => (v === undefined ? "" : `${short(v)}${g.figures[`test_${name}_std`] === undefined ? "" : ` ± ${short(g.figures[`test_${name}_std`])}`}`),
  ]);
  const base = view.groups.findIndex((g) => g.id === state.baseline);
  const line = base < 0 ? undefined : view.differences[base];
  const place = new Map(view.groups.map((g, at) => [g, at]));
  const against = line ? [
    ["difference", "minus baseline", (g) => line[place.get(g)][0], (v) => (v === null ? "" : `${v > 0 ? "+" : ""}${v.toFixed(2)}`)],
    ["interval", "95 % interval", (g) => line[place.get(g)][1], (v, g) => {
      const mean = line[place.get(g)][0], signed = (x) => `${x < 0 ? "" : "+"}${x.toFixed(2)}`;
      return v === null ? "" : `${signed(mean - v)} to ${signed(mean + v)}`;
    }],
    ["how", "interval by", (g) => line[place.get(g)][2]],
  ] : [];
  const every = [...COLUMNS.slice(0, 2), ...keys, ...COLUMNS.slice(2, 4), ...against, ...COLUMNS.slice(4, 11), ...further, ...COLUMNS.slice(11)];
  return every.filter(([, , value]) => view.groups.some((g) => ![undefined, null, ""].includes(value(g))));
}

const wordsOf = (group, view) =>
  [group.net, group.figures.experiment, group.figures.remarks, ...view.keys.map((key) => `${key}=${group.figures[key]}`),
    ...group.runs.map((at) => `${data.runs[at].name} ${data.runs[at].state}`)].join(" ").toLowerCase();

// The groups that the filter leaves: every word of it must occur.
function shownGroups(view) {
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  return view.groups.filter((group) => { const said = wordsOf(group, view); return words.every((word) => said.includes(word)); });
}

function sorted(groups, columns) {
  const column = columns.find(([key]) => key === state.sort?.key);
  if (!column) return groups;
  const value = (g) => column[2](g) ?? (state.sort.down ? -Infinity : Infinity);
  const order = (a, b) => (typeof a === "string" || typeof b === "string" ? String(a).localeCompare(String(b)) : a - b);
  return [...groups].sort((a, b) => (state.sort.down ? -1 : 1) * order(value(a), value(b)));
}

const STEP = 100; // rows drawn at a time, as they are scrolled to

function groupTable(view) {
  const columns = columnsOf(view), groups = sorted(shownGroups(view), columns);
  const sortBy = (key) => { state.sort = { key, down: state.sort?.key === key && !state.sort.down }; render(); };
  const isNumber = ([key, , value]) => key !== "how" && view.groups.some((g) => typeof value(g) === "number");
  const head = el("tr", {}, el("th", { scope: "col" }, "compare"), columns.map((column) => el("th", {
    scope: "col", class: isNumber(column) ? "number" : null,
    "aria-sort": state.sort?.key === column[0] ? (state.sort.down ? "descending" : "ascending") : "none",
  }, el("button", { id: `sort-${column[0]}`, click: () => sortBy(column[0]) },
    column[1], state.sort?.key === column[0] ? (state.sort.down ? " ▾" : " ▴") : ""))));
  const body = el("tbody", {});
  const row = (group) => {
    const open = state.open.has(group.id);
    const toggle = () => { open ? state.open.delete(group.id) : state.open.add(group.id); render(); };
    const cells = columns.map((column, at) => {
      const value = column[2](group), text = (column[3] || ((v) => v ?? ""))(value, group);
      const kind = column[0] === "remarks" ? "remarks" : isNumber(column) ? "number" : null;
      return el("td", { class: kind, title: typeof value === "number" ? value : null }, text);
    });
    const first = el("td", { class: "first" },
      el("button", { id: `open-${group.id}`, "aria-expanded": String(open), "aria-label": `seeds of ${group.net}`, click: toggle }, open ? "▾" : "▸"), " ",
      picker(`g ${group.id}`, `compare ${group.net}`));
    return [el("tr", { "data-group": group.id }, first, cells),
      open ? el("tr", {}, el("td", { class: "open", colspan: columns.length + 1 }, el("div", {}, opened(group)))) : null];
  };
  let drawn = 0;
  const more = el("button", { id: "more", click: () => grow() }, "more rows");
  const grow = () => {
    fill(body, {}, groups.slice(drawn, drawn + STEP).map(row));
    drawn = Math.min(drawn + STEP, groups.length);
    state.drawn = drawn;
    more.hidden = drawn >= groups.length;
    more.textContent = `${drawn} of ${groups.length} rows: more`;
  };
  do grow(); while (drawn < groups.length && drawn < state.keep);
  if (drawn < groups.length) new IntersectionObserver((seen) => { if (seen[0].isIntersecting && drawn < groups.length) grow(); }).observe(more);
  return [el("div", { class: "wide" }, el("table", { id: "groups" }, el("thead", {}, head), body)), more,
    groups.length ? null : el("p", {}, "no group matches the filter")];
}

function picker(id, label) {
  const change = (event) => { event.target.checked ? state.picked.add(id) : state.picked.delete(id); render(); };
  const box = el("input", { type: "checkbox", id: `pick-${id}`, "aria-label": label, change });
  box.checked = state.picked.has(id);
  return box;
}

const configurationOf = (run) => ({ ...data.shared, ...run.own });
const said = (value) => (value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));

function opened(group) {
  const runs = [...group.runs.map((at) => [at, false]), ...group.copies.map((at) => [at, true])];
  const rows = runs.map(([at, copy]) => {
    const run = data.runs[at], cost = run.cost || {};
    const sofar = Object.fromEntries(Object.entries(run.curves || {}).map(([name, values]) => [name, values.findLast((value) => value !== null)]));
    const last = run.last || sofar, state = sofar.epoch && !run.last ? `${run.state}, epoch ${sofar.epoch}` : run.state;
    const where = [cost.accelerator, cost.devices > 1 ? `${cost.devices} devices` : null, cost.threads ? `${cost.threads} thread${cost.threads > 1 ? "s" : ""}` : null];
    return el("tr", {}, el("td", {}, picker(`r ${run.id}`, `compare ${run.name}`), " ", data.views.length > 1 ? `${run.sweep}/` : "", run.name), [
      run.seed, copy ? `${run.state}, not counted` : run.error ? `failed: ${run.error}` : state, last["test/error"], last["train/error"], run.best?.["val/error"],
      run.iterations, cost.train_seconds, cost.images_per_second, cost.peak_memory_mib, where.filter(Boolean).join(", "), (run.environment?.git_commit || "").slice(0, 8),
    ].map((value) => el("td", { class: typeof value === "number" ? "number" : null, title: value }, typeof value === "number" ? short(value) : value ?? "")));
  });
  const heads = ["run", "seed", "state", "test error (%)", "training error (%)", "best val error (%)", "iterations", "train s", "images/s", "memory (MiB)", "device", "commit"];
  const first = data.runs[group.runs[0]];
  const configuration = Object.entries(configurationOf(first)).sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    el("div", { class: "wide" }, el("table", {}, el("thead", {}, el("tr", {}, heads.map((name) => el("th", {}, name)))), el("tbody", {}, rows))),
    runs.map(([at]) => data.runs[at]).filter((run) => run.message || run.log).map((run) => [
      el("p", { class: run.message ? "bad" : "faint" }, run.name, run.message ? `: ${run.message}` : "", run.log ? ", the last lines of its log:" : ""),
      run.log ? el("pre", {}, run.log) : null]),
    el("details", { id: `configuration-${group.id}` }, el("summary", {}, `configuration of ${first.name}`),
      el("pre", {}, configuration.map(([key, value]) => `${key}: ${said(value)}`).join("\n"))),
  ];
}
