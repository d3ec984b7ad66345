"use strict";
// Inside the nets: what differs between ticked ones, what each layer does, and which classes are mistaken.

function differsSection(view) {
  const columns = [];
  for (const id of state.picked) {
    const group = view.groups.find((g) => `g ${g.id}` === id);
    const alone = data.runs.filter((run) => `r ${run.id}` === id).slice(0, 1);
    const runs = group ? runsIn(group) : alone;
    if (runs.length) columns.push([group ? group.name : runs[0].name, runs]);
  }
  if (!columns.length) return null;
  if (columns.length < 2) {
    const hint = "tick another group or run to compare them";
    return section("differs", "What differs", faint(hint));
  }
  const all = (runs, of) => distinct(runs.map((run) => said(of(run)))).join(" | ");
  const row = (name, of) => [name, columns.map(([, runs]) => all(runs, of))];
  const every = columns.flatMap(([, runs]) => runs);
  const keysOf = (part) => distinct(every.flatMap((run) => Object.keys(run[part] || {})));
  const rows = [
    row(view.objective.title, (run) => run.last?.[view.objective.key]),
    ...keysOf("own")
      .sort()
      .map((key) => row(key, (run) => configurationOf(run)[key])),
    ...keysOf("environment").map((key) => row(`environment: ${key}`, (run) => run.environment?.[key])),
    ...["accelerator", "devices", "threads"].map((key) => row(`trained on: ${key}`, (run) => run.cost?.[key])),
  ];
  const different = rows.filter(([, cells]) => new Set(cells).size > 1);
  const left = rows.length - different.length,
    shared = Object.keys(data.shared).length;
  const alike = `${left} keys that vary elsewhere, and ${shared} that are the same in all runs, are left out`;
  const heads = ["key", ...columns.map(([name]) => name)].map((name) => el("th", {}, name));
  const lineOf = ([key, cells]) => [el("th", { scope: "row" }, key), cells.map((cell) => el("td", {}, cell))];
  const clear = () => {
    state.picked.clear();
    render();
  };
  return section(
    "differs",
    "What differs",
    el("div", { class: "wide rows" }, grid(heads, different.map(lineOf), { id: "differences" })),
    different.length ? null : el("p", {}, "nothing"),
    faint(alike),
    button("pick-none", "tick none", clear),
  );
}

const MEASURED = { layer_responses: "standard deviation of the response", gradient_norms: "norm of the gradient" };

function layersSection(view, width) {
  const groups = shownGroups(view);
  const kinds = Object.keys(MEASURED).filter((what) => groups.some((g) => g.measured[what]));
  if (!kinds.length) return null;
  const what = kinds.includes(state.layers.what) ? state.layers.what : kinds[0];
  const there = groups.filter((g) => g.measured[what]).slice(0, PLOTTED);
  const { when, order } = state.layers,
    inOrder = order === "in order";
  const whats = kinds.map((kind) => [kind, kind.replaceAll("_", " ")]);
  const whens = ["first", "last"].map((which) => [which, `${which} measured epoch`]);
  const orders = ["in order", "by size"].map((which) => [which, which]);
  const series = there.map((g) => {
    const [layers, values] = g.measured[what][when];
    const bySize = () => [...values].sort((a, b) => b - a).map((v, at) => [at + 1, v]);
    const points = inOrder ? layers.map((layer, at) => [layer, values[at]]) : bySize();
    return { name: g.name, ...lookOf(view, g), line: true, marks: true, points };
  });
  const x = { label: inOrder ? "layer, from the input on" : "layer, the largest first", whole: true };
  const y = { label: MEASURED[what], log: what === "gradient_norms", zero: true };
  return section(
    "layers",
    `In each layer: ${MEASURED[what]}`,
    controls(
      select("layers-what", "show", whats, what, change("layers", "what")),
      select("layers-when", "at the", whens, when, change("layers", "when")),
      select("layers-order", "layers", orders, order, change("layers", "order")),
    ),
    plot({ id: "layers-plot", label: MEASURED[what], series, x, y }, width),
    legend(there.map((g) => [g.name, lookOf(view, g)])),
  );
}

const MISTAKES =
  "test images of all finished seeds; a row is a class, a column what the net answers; the pictures are" +
  " the surest mistakes of one seed";

// Which class is taken for which, by two nets side by side.
function mistakesSection(view) {
  const there = shownGroups(view).filter((g) => g.measured.confusion || g.measured.pictures);
  if (!there.length) return null;
  const best = view.groups[view.best];
  const first = there.find((g) => g.id === state.mistakes.one) || (there.includes(best) ? best : there[0]);
  const second = there.find((g) => g.id === state.mistakes.other) || there.find((g) => g !== first);
  const options = there.map((g) => [g.id, g.name]);
  const side = (group, id) => {
    const { confusion, pictures } = group.measured;
    const choice = select(`mistakes-${id}`, "of", options, group.id, change("mistakes", id));
    const picture = pictures && el("img", { src: pictures, alt: `the surest mistakes of ${group.name}` });
    return el("div", {}, controls(choice), confusion && confusions(confusion), picture);
  };
  return section(
    "mistakes",
    "Which class is taken for which",
    el("div", { class: "halves" }, side(first, "one"), second ? side(second, "other") : null),
    faint(MISTAKES),
  );
}

function confusions({ columns, labels, counts }) {
  const rows = labels.map((name, at) => {
    const total = counts[at].reduce((a, b) => a + b, 0) || 1;
    return [
      el("th", { scope: "row" }, name),
      counts[at].map((count, to) => {
        const right = columns[to] === name,
          node = el("td", { class: `cell${right ? " diagonal" : ""}` }, count || "");
        const share = Math.round(8 + 45 * Math.sqrt(count / total)),
          colour = right ? "--c2" : "--c1";
        if (count) node.style.background = `color-mix(in srgb, var(${colour}) ${share}%, var(--ground))`;
        return node;
      }),
    ];
  });
  const heads = ["class \\ answer", ...columns].map((name) => el("th", {}, name));
  return el("div", { class: "wide heat" }, grid(heads, rows));
}
