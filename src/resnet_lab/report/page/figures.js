"use strict";
// Error against the main choice, against the cost, and over two choices at a time.

// The choices that can be an axis, the main one first.
function axisChoices(view) {
  const varies = (of) => new Set(view.groups.map(of)).size > 1;
  const found = [
    ["depth", (g) => g.figures.depth],
    ...view.keys.map((key) => [key, (g) => g.figures[key]]),
    ["kind", (g) => g.figures.kind],
  ].filter(([, of]) => varies(of));
  found.sort(([a], [b]) => (b === view.main) - (a === view.main));
  return found.length ? found : [["kind", (g) => g.figures.kind]];
}

const wordOf = (view, key) => ({ depth: "depth (weighted layers)", kind: "net" })[key] || view.words[key] || key;

// In what a group differs from those that it is joined with: all that varies but the axis.
function restOf(view, group, key) {
  const keys = view.keys.filter((name) => name !== key);
  const parts = keys.map((name) => `${view.words[name]} ${said(group.figures[name])}`);
  if (key !== "depth" && depthsOf(view).length > 1) parts.unshift(`${group.figures.depth} layers`);
  if (key !== "kind" && (kindsOf(view).length > 1 || !parts.length)) parts.unshift(group.figures.kind);
  return parts.join(", ");
}

function mainSection(view, width) {
  const choices = axisChoices(view);
  const [key, of] = choices.find(([name]) => name === state.main.x) || choices[0];
  const groups = shownGroups(view),
    values = distinct(groups.map(of));
  const numeric = values.every((value) => typeof value === "number");
  const names = numeric ? null : values.map(said);
  const at = numeric ? of : (g) => names.indexOf(said(of(g)));
  const lines = new Map();
  for (const group of groups) {
    const name = restOf(view, group, key);
    lines.set(name, [...(lines.get(name) || []), group]);
  }
  const paper = key === "depth" && view.paper ? view.paper.points.filter((p) => p.depth) : [];
  const xs = [...groups.map(at), ...paper.map((p) => p.depth)].filter(Number.isFinite);
  const far = numeric && Math.min(...xs) > 0 && Math.max(...xs) > 20 * Math.min(...xs);
  const results = groups.map((g) => g.mean).filter((v) => v !== null),
    { title } = view.objective;
  const log = state.main.log ?? (Math.min(...results) > 0 && Math.max(...results) > 8 * Math.min(...results));
  const series = mainSeries(view, [...lines.values()].slice(0, PLOTTED), at);
  for (const kind of distinct(paper.map((p) => p.kind))) {
    const points = paper
      .filter((p) => p.kind === kind)
      .map((p) => [p.depth, p.error, `${view.paper.name}, ${p.label}: ${p.error}`]);
    const style = { colour: "var(--faint)", marker: kind ? 0 : 3, hollow: true, dots: true, size: 5 };
    series.push({ name: "paper", ...style, points });
  }
  if (!series.some((each) => each.points.length)) return null; // nothing has finished
  const joined = [...lines.keys()].slice(0, PLOTTED).map((name, place) => [name, lineLook(place)]);
  const more = [
    joined.length > LEGEND ? `and ${joined.length - LEGEND} more lines, named where you point` : "",
    "dots: seeds; bars: 95 % intervals",
    paper.length ? "hollow: the paper's" : "",
    groups.some((g) => g.lost) ? "a cross at the upper edge: diverged" : "",
  ];
  const label = wordOf(view, key);
  const options = choices.map(([name]) => [name, wordOf(view, name)]);
  const x = { label, log: far, names, at: names || distinct(xs).length > 8 ? null : distinct(xs) };
  const y = { label: title, log, zero: true };
  return section(
    "main-figure",
    `${capital(title)} against ${label}`,
    controls(
      select("main-x", "x", options, key, change("main", "x")),
      check("main-log", "logarithmic", log, change("main", "log")),
    ),
    plot({ id: "main-plot", label: `${title} against ${label}: ${view.conclusion}`, series, height: 340, x, y }, width),
    legend(joined.length > 1 ? joined.slice(0, LEGEND) : [], more.filter(Boolean).join("; ")),
  );
}

// What joins groups that differ in the axis alone: grey, told apart by its dashes.
const lineLook = (place) => ({ colour: "var(--faint)", dash: DASHES[place % DASHES.length], marker: null });

function mainSeries(view, lines, at) {
  const series = [];
  lines.forEach((members, place) => {
    const ended = members.filter((g) => g.mean !== null).sort((a, b) => at(a) - at(b));
    const points = ended.map((g) => [at(g), g.mean]);
    series.push({ ...lineLook(place), line: true, points, quiet: true });
    for (const group of members) {
      const style = lookOf(view, group),
        name = group.name,
        { key, unit } = view.objective;
      const seeds = finishedRuns(group).map((run) => [at(group), run.last?.[key]]);
      const [low, high] = ["low", "high"].map((end) => group.figures[`${view.objective.name}_${end}`]);
      const points = seeds.map(([a, b]) => [a, b, `${name}, a seed: ${short(b)} ${unit}`]);
      series.push({ name, ...style, dots: true, size: 2.4, opacity: 0.55, points });
      if (group.mean !== null) {
        const points = [[at(group), group.mean, `${name}: ${group.shown} ${unit}, n = ${group.figures.n}`]];
        const bars = absent(low) ? null : [[at(group), low, high]];
        series.push({ name, ...style, dots: true, size: 4.5, points, bars });
      }
      if (group.lost) {
        series.push({ name, ...style, cross: true, points: [[at(group), 100, `${name}: ${group.lost} diverged`]] });
      }
    }
  });
  return series;
}

function legend(entries, more) {
  const named = entries.map(([name, style]) => el("span", { class: "entry" }, sample(style), name));
  return el("p", { class: "faint legend" }, named, more);
}

// A table of words as the report has it.
function tableOf({ columns, numbers, rows }) {
  const kind = columns.map((column) => (numbers.includes(column) ? "number" : null));
  const row = (tag, cells) => cells.map((cell, at) => el(tag, { class: kind[at] }, cell));
  const body = rows.map((cells) => row("td", cells));
  return el("div", { class: "wide" }, grid(row("th", columns), body));
}

function paperSection(view) {
  if (!view.paper || !view.paper.rows.length) return null;
  return section("paper", `Beside ${view.paper.name}`, tableOf(view.paper), faint(data.rules.paper));
}

function effectsSection(view) {
  if (!view.effects) return null;
  const how = "while all others are equal, paired over settings and seeds";
  return section("effects", "What each choice changes", tableOf(view.effects), faint(how));
}

const HEAT =
  "mean ± standard deviation (n); hatched: no figure; underlined: a run failed or diverged;" +
  " darker: higher, on a logarithmic scale";

function heatSection(view) {
  const { keys, pairs, words } = view.heat;
  if (keys.length < 2) return null;
  let { rows, columns } = state.heat;
  if (!keys.includes(rows)) rows = keys.includes("model.depth") ? "model.depth" : keys[0];
  if (!keys.includes(columns) || columns === rows) columns = keys.find((key) => key !== rows);
  const found = pairs[`${rows} ${columns}`] || pairs[`${columns} ${rows}`];
  if (!found) return null;
  const places = [found.keys.indexOf(rows), found.keys.indexOf(columns)];
  const rest = found.keys.map((_, at) => at).filter((at) => !places.includes(at));
  const rowOf = (where) => [where[places[0]], ...rest.map((at) => where[at])];
  const numbers = (a, b) => typeof a === "number" && typeof b === "number";
  const bySize = (a, b) => (numbers(a, b) ? a - b : String(a).localeCompare(String(b)));
  const across = distinct(found.cells.map(([where]) => where[places[1]])).sort(bySize);
  const down = new Map(found.cells.map(([where]) => [JSON.stringify(rowOf(where)), rowOf(where)]));
  const lines = [...down.values()].sort((a, b) => bySize(a[0], b[0]));
  const errors = found.cells.map(([, , error]) => error);
  const figures = errors.filter((error) => error !== null && error > 0).map(Math.log);
  const low = Math.min(...figures),
    high = Math.max(...figures);
  const cellOf = (line, head) => {
    const same = (where) => JSON.stringify(rowOf(where)) === JSON.stringify(line) && where[places[1]] === head;
    const cell = found.cells.find(([where]) => same(where));
    if (!cell) return el("td", { class: "cell none", title: "no run" }, "–");
    const [, text, error, lost] = cell,
      sad = lost || /failed/.test(text);
    const node = el("td", { class: `cell${error === null ? " none" : ""}${sad ? " lost" : ""}` }, text);
    if (error !== null) {
      const share = error > 0 && high > low ? (Math.log(error) - low) / (high - low) : 0;
      node.style.background = `color-mix(in srgb, var(--c1) ${Math.round(6 + 44 * share)}%, var(--ground))`;
    }
    return node;
  };
  const options = keys.map((key) => [key, words[key]]);
  const heads = [rows, ...rest.map((at) => found.keys[at])].map((name) => el("th", {}, words[name]));
  const headOf = (value) => (columns === "kind" ? said(value) : `${words[columns]} ${said(value)}`);
  const head = [heads, across.map((value) => el("th", { scope: "col" }, headOf(value)))];
  const body = lines.map((line) => [
    line.map((value) => el("th", { scope: "row" }, said(value))),
    across.map((value) => cellOf(line, value)),
  ]);
  return section(
    "heat",
    "Two choices at a time",
    controls(
      select("heat-rows", "rows", options, rows, change("heat", "rows")),
      select("heat-columns", "columns", options, columns, change("heat", "columns")),
    ),
    el("div", { class: "wide heat" }, grid(head, body)),
    faint(`${found.note}; ${view.objective.title}, ${HEAT}`),
  );
}

const LEGEND = 6; // lines named below a figure
const capital = (text) => text[0].toUpperCase() + text.slice(1);

function costSection(view, width) {
  const costs = data.columns.filter(({ part }) => part === "model" || part === "cost");
  const known = ([, , of]) => view.groups.some((g) => g.figures.n && Number.isFinite(of(g)));
  const choices = costs.map(({ name, title: heading }) => [name, heading, figure(name)]).filter(known);
  if (!choices.length) return null;
  const [key, label, of] = choices.find(([name]) => name === state.cost.x) || choices[0];
  const { title, higher, unit } = view.objective,
    error = (g) => g.mean;
  const there = shownGroups(view).filter((g) => Number.isFinite(of(g)) && Number.isFinite(error(g)));
  const worth = (g) => (higher ? -1 : 1) * error(g);
  const beats = (a, b) => of(a) <= of(b) && worth(a) <= worth(b) && (of(a) < of(b) || worth(a) < worth(b));
  const front = there.filter((g) => !there.some((other) => beats(other, g))).sort((a, b) => of(a) - of(b));
  const point = (g) => [of(g), error(g), `${g.name}: ${g.shown} ${unit}, ${short(of(g))} ${label}`];
  const steps = front.flatMap((g, at) => [...(at ? [[of(g), error(front[at - 1])]] : []), [of(g), error(g)]]);
  const series = [
    { colour: "var(--faint)", width: 1.5, dash: "4 3", line: true, points: steps, quiet: true },
    ...there.map((g) => ({ ...lookOf(view, g), dots: true, size: 4.5, points: [point(g)] })),
  ];
  const { log } = state.cost;
  const y = { label: title, log: log && there.every((g) => error(g) > 0), zero: true };
  const names = front.map((g) => g.name).join("; ") || "none";
  return section(
    "cost",
    `${capital(title)} against ${label}`,
    controls(
      select("cost-x", "x", choices, key, change("cost", "x")),
      check("cost-log", "logarithmic", log, change("cost", "log")),
    ),
    plot({ id: "cost-plot", label: `${title} against ${label}`, series, x: { label, log }, y }, width),
    faint(`line: the Pareto front, nets that no other beats in both: ${names}`),
  );
}
