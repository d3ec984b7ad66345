"use strict";
// The page: what is chosen lives in `state` and in the address, what is measured in `data`; `render` draws both.

let data = JSON.parse(document.getElementById("data").textContent);
const state = {
  view: 0,
  filter: "",
  sort: null,
  baseline: "best",
  columns: null,
  open: new Set(),
  picked: new Set(),
  off: new Set(),
  keep: 0,
  drawn: 0,
  main: { x: null, log: null },
  heat: { rows: null, columns: null },
  cost: { x: "parameters", log: true },
  curves: { x: "iteration", y: null, log: null, dense: false, zoom: [null, null], at: null },
  layers: { what: null, when: "last", order: "in order" },
  mistakes: { one: null, other: null },
};
const main = document.getElementById("main");
const PLOTTED = 40; // lines in one plot
const distinct = (values) => [...new Set(values)];
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const runsIn = (group) => group.runs.map((at) => data.runs[at]);
const finishedRuns = (group) => runsIn(group).filter((run) => run.state === "finished");
const kindsOf = (view) => (view.kinds ??= distinct(view.groups.map((g) => g.figures.kind)));
const depthsOf = (view) => (view.depths ??= distinct(view.groups.map((g) => g.figures.depth)));
// One colour, dash and marker for each group, everywhere.
const lookOf = (view, group) => look((view.places ??= new Map(view.groups.map((g, at) => [g, at]))).get(group));

function select(id, label, options, value, change) {
  const option = ([key, words]) => el("option", { value: key, selected: String(key) === String(value) }, words);
  const box = el("select", { id, change: (event) => change(event.target.value) }, options.map(option));
  return el("label", {}, label, box);
}
const check = (id, label, value, change) => {
  const box = el("input", { type: "checkbox", id, change: (event) => change(event.target.checked) });
  box.checked = value;
  return el("label", {}, box, label);
};
const change = (part, name) => (value) => {
  state[part][name] = value;
  render();
};
const section = (id, title, ...children) => el("section", { id }, el("h2", {}, title), ...children);

const ORDER = ["finished", "running", "interrupted", "failed", "new"];

function summary(view) {
  const total = Object.values(view.states).reduce((a, b) => a + b, 0);
  const there = ORDER.filter((name) => view.states[name]);
  const partOf = (name) => {
    const part = el("span", { class: name });
    part.style.width = `${(100 * view.states[name]) / total}%`;
    return part;
  };
  const counts = there.map((name) => `${view.states[name]} ${name}`).join(", ");
  const states = `${counts} of ${total} run${total === 1 ? "" : "s"}`;
  // A view of several sweeps has the question of each.
  const asks = (each) => each.question || each.command;
  const runs = new Set(view.groups.flatMap((g) => [...g.runs, ...g.copies]));
  const within = (each) => each.groups.some((g) => g.runs.some((at) => runs.has(at)));
  const sweeps = asks(view) ? [] : data.views.filter((each) => each !== view && asks(each) && within(each));
  const first = (text) => text.split(/(?<=[.?!]) /)[0]; // sentence
  const each = (other) => el("p", {}, el("code", {}, other.command || other.name), " ", first(other.question));
  const others = { id: "sweeps", open: sweeps.length < 4 };
  const asked = [
    view.question && el("p", {}, view.question),
    view.command && el("p", {}, el("code", {}, view.command)),
    sweeps.length ? el("details", others, el("summary", {}, "what was asked"), sweeps.map(each)) : null,
  ];
  const answer = el("p", { class: "answer" }, el("strong", {}, view.conclusion));
  const bar = el("div", { class: "bar", role: "img", "aria-label": view.title }, there.map(partOf));
  return el(
    "section",
    { id: "summary" },
    el("div", { class: asks(view) || sweeps.length ? "halves" : null }, el("div", {}, asked), answer),
    el("div", { class: "states" }, bar, el("span", { class: "faint" }, states)),
  );
}

const set = (name) => (value) => {
  state[name] = value;
  render();
};

function tableSection(view, width) {
  const bases = view.groups.filter((_, at) => view.differences[at]).map((g) => [g.id, g.name]);
  const usual = view.groups[view.best] ? [["best", `the best: ${view.groups[view.best].name}`]] : [];
  const input = (event) => set("filter")(event.target.value);
  const filter = { type: "search", id: "filter", value: state.filter, placeholder: "56 plain", input };
  const alike = `${data.alike}: cannot be told from the best group, at 5 % with Holm's correction for all comparisons.`;
  return section(
    "table",
    "Groups: runs that differ only in their seed",
    controls(
      el("label", {}, "filter", el("input", filter)),
      select("baseline", "baseline", [...usual, ["none", "none"], ...bases], state.baseline, set("baseline")),
    ),
    groupTable(view, width),
    faint(`${data.rules.statistics} ${alike}`),
  );
}

function header() {
  const themes = ["", "light", "dark"],
    now = document.documentElement.dataset.theme || "";
  const next = themes[(themes.indexOf(now) + 1) % 3];
  const views = data.views.map((view, at) => [at, view.name]);
  const show = (value) => {
    Object.assign(state, { view: Number(value), sort: null, baseline: "best", columns: null });
    Object.assign(state.curves, { zoom: [null, null], at: null });
    render();
  };
  const paint = () => {
    document.documentElement.dataset.theme = next;
    render();
  };
  return el(
    "header",
    {},
    el("h1", {}, data.views[state.view].title),
    views.length > 1 && select("view", "sweep", views, state.view, show),
    button("theme", `colours: ${now || "as the system's"}`, paint),
    el("span", { id: "live", class: "faint", role: "status" }, live.words),
  );
}

// What is looked at is in the address, so that a link shows the same: only what is not as usual.
const PARTS = ["main", "heat", "cost", "curves", "layers", "mistakes"],
  SETS = ["open", "picked", "off"];
const USUALLY = structuredClone(Object.fromEntries(PARTS.map((part) => [part, state[part]])));

function address() {
  const found = new URLSearchParams();
  const put = (name, value) => {
    if (value) found.set(name, value);
  };
  put("view", state.view ? data.views[state.view].name : "");
  put("filter", state.filter);
  put("sort", state.sort ? `${state.sort.down ? "-" : ""}${state.sort.key}` : "");
  put("baseline", state.baseline === "best" ? "" : state.baseline);
  put("columns", state.columns ? JSON.stringify([...state.columns]) : "");
  for (const name of SETS) put(name, state[name].size ? JSON.stringify([...state[name]]) : "");
  for (const part of PARTS) {
    for (const [name, value] of Object.entries(state[part])) {
      const text = JSON.stringify(value);
      put(`${part}.${name}`, text === JSON.stringify(USUALLY[part][name]) ? "" : text);
    }
  }
  const hash = found.size ? `#${found}` : "#";
  if (location.hash !== hash && !(hash === "#" && !location.hash)) history.replaceState(null, "", hash);
}

// Reads what `address` wrote; a link that says something else is as good as one that says nothing.
function readAddress() {
  const found = new URLSearchParams(location.hash.slice(1));
  const plain = (text, usual) => {
    try {
      return JSON.parse(text) ?? usual;
    } catch {
      return usual;
    }
  };
  const list = (name) => {
    const value = plain(found.get(name), null);
    return Array.isArray(value) ? value.map(String) : null;
  };
  const at = data.views.findIndex((view) => view.name === found.get("view"));
  state.view = Math.max(0, at);
  state.filter = found.get("filter") || "";
  const sort = found.get("sort");
  state.sort = sort ? { key: sort.replace(/^-/, ""), down: sort.startsWith("-") } : null;
  state.baseline = found.get("baseline") || "best";
  state.columns = list("columns") && new Set(list("columns"));
  for (const name of SETS) state[name] = new Set(list(name) || []);
  for (const part of PARTS) {
    for (const [name, usual] of Object.entries(USUALLY[part])) {
      const value = plain(found.get(`${part}.${name}`), usual);
      const alike = usual === null || (typeof value === typeof usual && Array.isArray(value) === Array.isArray(usual));
      state[part][name] = structuredClone(alike ? value : usual);
    }
  }
}

const live = { words: "", tag: null };
const GAP = 24;
const SECTIONS = [effectsSection, heatSection, costSection, layersSection, paperSection];

function render() {
  const focused = document.activeElement?.id,
    caret = document.activeElement?.selectionStart;
  const boxes = () => [...document.querySelectorAll(".wide")];
  const scrolled = boxes().map((node) => [node.scrollLeft, node.scrollTop]),
    top = window.scrollY;
  const details = new Map([...document.querySelectorAll("details")].map((node) => [node.id, node.open]));
  if (!data.views[state.view]) state.view = 0;
  state.keep = state.drawn;
  const view = data.views[state.view];
  document.querySelector("header").replaceWith(header());
  const whole = Math.max(300, main.clientWidth - (window.innerWidth <= 600 ? 24 : 40));
  const wide = whole > 1000,
    half = wide ? Math.floor((whole - GAP) / 2) : whole;
  const left = wide ? Math.round(0.6 * (whole - GAP)) : whole,
    right = wide ? whole - GAP - left : whole;
  const first = el(
    "div",
    { class: wide ? "first-screen" : null },
    tableSection(view, left),
    el("div", {}, differsSection(view), mainSection(view, right)),
  );
  if (wide) first.style.gridTemplateColumns = `${left}px ${right}px`;
  const halves = SECTIONS.map((make) => make(view, half));
  const sections = [summary(view), first, curvesSection(view, whole), el("div", { class: "halves" }, halves)];
  main.replaceChildren(...[...sections, mistakesSection(view)].filter(Boolean));
  boxes().forEach((node, at) => {
    [node.scrollLeft, node.scrollTop] = scrolled[at] || [0, 0];
  });
  document.querySelectorAll("details").forEach((node) => {
    node.open = details.get(node.id) ?? node.open;
  });
  const again = focused && document.getElementById(focused);
  if (again) {
    again.focus({ preventScroll: true });
    if (typeof caret === "number" && again.type === "search") again.setSelectionRange(caret, caret);
  }
  window.scrollTo(0, top);
  address();
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
  } catch {
    live.words = "the server has gone: what is shown is the last it told";
  }
  document.getElementById("live").textContent = live.words;
  setTimeout(refresh, 3000);
}

let waiting = null,
  before = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth === before) return;
  before = window.innerWidth;
  clearTimeout(waiting);
  waiting = setTimeout(render, 120);
});
window.addEventListener("hashchange", () => {
  readAddress();
  render();
});
readAddress();
render();
if (document.documentElement.hasAttribute("data-live")) refresh();
