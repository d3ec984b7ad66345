"use strict";
// Elements and drawings. Every text that comes from a run goes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(9)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}
const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const controls = (...children) => el("div", { class: "controls" }, children);
const faint = (...children) => el("p", { class: "faint" }, children);
// A table of cells that are made already.
function grid(heads, rows, attributes) {
  const body = rows.map((cells) => el("tr", {}, cells));
  return el("table", attributes, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, body));
}
const button = (id, words, click) => el("button", { id, click }, words);
const pressed = (id, words, on, click) => el("button", { id, class: "chip", "aria-pressed": String(on), click }, words);

const DASHES = ["", "7 3", "2 3", "9 3 2 3"];
const look = (at) => ({ colour: `var(--c${at % 7})`, dash: DASHES[Math.floor(at / 7) % 4], marker: at % 6 });

function mark(kind, x, y, size, attributes) {
  const s = size,
    path = [
      () => `M${x - s} ${y}a${s} ${s} 0 1 0 ${2 * s} 0a${s} ${s} 0 1 0 ${-2 * s} 0z`,
      () => `M${x - s} ${y - s}h${2 * s}v${2 * s}h${-2 * s}z`,
      () => `M${x} ${y - 1.2 * s}l${1.2 * s} ${2.2 * s}h${-2.4 * s}z`,
      () => `M${x} ${y - 1.4 * s}l${1.4 * s} ${1.4 * s}l${-1.4 * s} ${1.4 * s}l${-1.4 * s} ${-1.4 * s}z`,
      () => `M${x} ${y + 1.2 * s}l${1.2 * s} ${-2.2 * s}h${-2.4 * s}z`,
      () => `M${x - s / 2} ${y - 1.4 * s}h${s}v${2.8 * s}h${-s}z`,
    ][kind]();
  return draw("path", { d: path, ...attributes });
}

// A number for people: 0.05, 12.5, 40.6 M.
function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 1e9) return `${+(value / 1e9).toPrecision(3)} G`;
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)} M`;
  if (size >= 1e4) return Math.round(value).toLocaleString("en");
  return String(+value.toPrecision(4));
}

function ticks(low, high, log, most) {
  if (log && high / low > 8) {
    const found = [];
    const spans = Math.log10(high / low);
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const step of spans < 2.2 ? [1, 2, 5] : spans < 5 ? [1, 3] : [1]) found.push(step * 10 ** power);
    }
    const inside = found.filter((each) => each >= low * 0.999 && each <= high * 1.001);
    return inside.length ? inside.map((each) => +each.toPrecision(12)) : [low, high];
  }
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((each) => each * power >= rough) * power;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step) found.push(+at.toPrecision(12));
  return found.length < 3 && most < 12 ? ticks(low, high, false, 2 * most) : found;
}

function extent(values, axis) {
  const sound = values.filter((each) => Number.isFinite(each) && (!axis.log || each > 0));
  if (!sound.length) return axis.log ? [0.1, 1] : [0, 1];
  let low = sound.reduce((a, b) => Math.min(a, b)),
    high = sound.reduce((a, b) => Math.max(a, b));
  if (axis.log) return low === high ? [low / 2, high * 2] : [low / 1.12, high * 1.12];
  if (axis.zero) low = Math.min(0, low);
  const room = (high - low || Math.abs(high) || 1) * 0.05;
  return [axis.zero && low === 0 ? 0 : low - room, high + room];
}

// One plot. x, y: {label, log, zero, whole, domain, at: where ticks are, names: the values of an axis of words}.
// A series: {name, colour, dash, marker, width, points: [[x, y, words]], line, dots, marks, hollow, quiet (its points
// are not read), cross (at the upper edge, whatever its y), band and bars: [[x, low, high]]}. With `zoomed(x, y)` a
// rectangle can be dragged, and keys zoom; with `crossed(x)` a hair stands at the x that pointer or arrow keys reached.
function plot({ id, label, x, y, series, height = 330, zoomed, crossed }, width) {
  const left = 58,
    right = 14,
    top = 10,
    bottom = 44;
  const inner = [width - left - right, height - top - bottom];
  // A bar that would reach to 0 makes no room for itself on a logarithmic axis.
  const pointsOf = ({ points, band, bars }) => {
    const low = [...(band || []), ...((!y.log && bars) || [])].map(([a, b]) => [a, b]);
    return [...points, ...low, ...[...(band || []), ...(bars || [])].map(([a, , b]) => [a, b])];
  };
  const ends = (axis, place, those) => {
    const names = axis.names && [-0.5, axis.names.length - 0.5];
    const values = () => those.flatMap(pointsOf).map((point) => point[place]);
    return axis.domain || names || extent(values(), axis);
  };
  const inside = series.filter((each) => !each.cross);
  const domain = [ends(x, 0, series), ends(y, 1, inside)];
  const scale = (axis, place, from, to) => {
    const f = axis.log ? Math.log10 : (v) => v;
    const [low, high] = domain[place].map(f);
    return {
      at: (v) => from + ((f(v) - low) / (high - low || 1)) * (to - from),
      of: (pixel) => {
        const v = low + ((pixel - from) / (to - from)) * (high - low);
        return axis.log ? 10 ** v : v;
      },
    };
  };
  const X = scale(x, 0, left, left + inner[0]),
    Y = scale(y, 1, top + inner[1], top);
  const sound = ([a, b]) => Number.isFinite(a) && Number.isFinite(b) && (!x.log || a > 0) && (!y.log || b > 0);
  const clip = `clip-${id}`;
  const frameAttributes = { class: "plot", id, viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0 };
  const hole = draw("rect", { x: left, y: top - 4, width: inner[0], height: inner[1] + 8 });
  const svg = draw("svg", { ...frameAttributes, "aria-label": label }, draw("clipPath", { id: clip }, hole));
  drawAxes(svg, { x, y, X, Y, domain, left, top, inner, height });
  const body = draw("g", { "clip-path": `url(#${clip})` });
  const near = [];
  for (const each of series) {
    const place = (a, b) => `${X.at(a).toFixed(1)},${Y.at(b).toFixed(1)}`;
    const points = each.points.filter(sound);
    const band = (each.band || []).filter(([a, b, c]) => sound([a, b]) && sound([a, c]));
    if (band.length > 1) {
      const outline = [...band.map(([a, , c]) => place(a, c)), ...band.map(([a, b]) => place(a, b)).reverse()];
      const opacity = series.length > 24 ? 0.06 : 0.14;
      body.append(draw("polygon", { points: outline.join(" "), fill: each.colour, opacity }));
    }
    if (each.line && points.length > 1) {
      const way = { points: points.map(([a, b]) => place(a, b)).join(" "), fill: "none", stroke: each.colour };
      const pen = { "stroke-width": each.width || 2, "stroke-dasharray": each.dash || null };
      body.append(draw("polyline", { ...way, ...pen }));
    }
    for (const [a, low, high] of (each.bars || []).filter(([a, , high]) => sound([a, high]))) {
      const [at, from, to] = [X.at(a), Y.at(y.log ? Math.max(low, domain[1][0]) : low), Y.at(high)];
      const d = `M${at} ${from}V${to}M${at - 4} ${from}h8M${at - 4} ${to}h8`;
      body.append(draw("path", { d, stroke: each.colour, fill: "none", "stroke-width": 1.5 }));
    }
    const every = Math.ceil(points.length / 6);
    points.forEach(([a, b, words], index) => {
      const at = [X.at(a), each.cross ? top + 8 : Y.at(b)];
      if (each.cross) {
        const d = `M${at[0] - 5} ${at[1] - 5}l10 10m0 -10l-10 10`;
        body.append(draw("path", { d, stroke: each.colour, "stroke-width": 2 }));
      } else if (each.dots || (each.marks && (points.length - 1 - index) % every === 0)) {
        const hollow = { fill: "var(--ground)", stroke: each.colour, "stroke-width": 1.8 };
        const style = each.hollow ? hollow : { fill: each.colour, opacity: each.opacity || 1 };
        body.append(mark(each.marker || 0, ...at, each.size || 3.5, style));
      }
      if (!each.quiet) near.push([...at, words || `${each.name}: ${short(a)}, ${short(b)}`]);
    });
  }
  svg.append(body);
  const usual = `${zoomed ? "drag to zoom, + and - on the keyboard, 0 for all; " : ""}arrow keys read the values`;
  const readout = el("p", { class: "readout", role: "status" }, usual);
  const frame = { id, X, Y, left, top, inner, width, near, readout };
  const along = series.flatMap((each) => each.points.filter(sound).map((point) => point[0]));
  if (crossed) crossHair(svg, frame, distinct(along), crossed);
  else readPoints(svg, frame);
  if (zoomed) zoom(svg, frame, zoomed);
  const save = el("button", { id: `${id}-svg`, class: "save", click: () => saveDrawing(svg, id) }, "SVG");
  return el("figure", {}, svg, el("figcaption", {}, readout, save));
}

function drawAxes(svg, { x, y, X, Y, domain, left, top, inner, height }) {
  const below = top + inner[1],
    most = Math.max(3, inner[0] / 90);
  const along = x.names
    ? x.names.map((_, at) => at)
    : x.at || ticks(...domain[0], x.log, most).filter((at) => !x.whole || Number.isInteger(at));
  const room = Math.floor(inner[0] / Math.max(along.length, 1) / 7);
  for (const tick of along) {
    const words = x.names ? x.names[tick] : short(tick);
    const shown = words.length > room && x.names ? `${words.slice(0, Math.max(room - 1, 3))}…` : words;
    const place = { x: X.at(tick), y: below + 16, "text-anchor": "middle" };
    svg.append(
      draw("line", { class: "grid", x1: X.at(tick), x2: X.at(tick), y1: top, y2: below }),
      draw("text", place, shown, x.names && draw("title", {}, words)),
    );
  }
  for (const tick of ticks(...domain[1], y.log, 6)) {
    svg.append(
      draw("line", { class: "grid", x1: left, x2: left + inner[0], y1: Y.at(tick), y2: Y.at(tick) }),
      draw("text", { x: left - 6, y: Y.at(tick) + 4, "text-anchor": "end" }, short(tick)),
    );
  }
  svg.append(
    draw("rect", { class: "frame", x: left, y: top, width: inner[0], height: inner[1] }),
    draw("text", { x: left + inner[0] / 2, y: height - 8, "text-anchor": "middle" }, x.label),
    draw("text", { transform: `translate(13 ${top + inner[1] / 2}) rotate(-90)`, "text-anchor": "middle" }, y.label),
  );
}

const STEPS = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 };

// Where the pointer is, in the drawing's own units.
function pixelOf(svg, event, width) {
  const box = svg.getBoundingClientRect();
  return [((event.clientX - box.left) * width) / box.width, ((event.clientY - box.top) * width) / box.width];
}

// Reads one point at a time: the nearest to the pointer, or from the left to the right by the arrow keys.
function readPoints(svg, { width, near, readout }) {
  const ring = draw("circle", { class: "hair", r: 7, cx: -20, cy: -20 });
  svg.append(ring);
  const order = near.map((_, at) => at).sort((a, b) => near[a][0] - near[b][0] || near[a][1] - near[b][1]);
  let place = -1;
  const show = (at) => {
    place = order.indexOf(at);
    readout.textContent = near[at][2];
    ring.setAttribute("cx", near[at][0]);
    ring.setAttribute("cy", near[at][1]);
  };
  const found = ([px, py]) => closest(near, ([a, b]) => (a - px) ** 2 + (b - py) ** 2, 900);
  follow(svg, width, found, show, (step) => order[Math.min(Math.max(place + Math.sign(step), 0), order.length - 1)]);
}

// Shows what is found at the pointer, or a step further where an arrow key was pressed.
function follow(svg, width, found, show, next) {
  svg.addEventListener("pointermove", (event) => {
    const best = found(pixelOf(svg, event, width));
    if (best >= 0) show(best);
  });
  svg.addEventListener("keydown", (event) => {
    const at = event.key in STEPS ? next(STEPS[event.key] * (event.shiftKey ? 10 : 1)) : undefined;
    if (at === undefined || at < 0) return;
    show(at);
    event.preventDefault();
  });
}

// The place of the one that is nearest, less than `least` far; -1: none is.
function closest(list, distance, least = Infinity) {
  let best = -1;
  list.forEach((each, at) => {
    const far = distance(each);
    if (far < least) {
      least = far;
      best = at;
    }
  });
  return best;
}

// A vertical hair at one of these x, moved by the pointer or the arrow keys; `crossed` is told of each.
function crossHair(svg, { X, left, top, inner, width }, values, crossed) {
  values.sort((a, b) => a - b);
  const hair = draw("line", { class: "hair", y1: top, y2: top + inner[1], visibility: "hidden" });
  svg.append(hair);
  let place = values.length;
  const show = (at) => {
    place = at;
    const there = X.at(values[at]);
    hair.setAttribute("x1", there);
    hair.setAttribute("x2", there);
    hair.setAttribute("visibility", there < left - 1 || there > left + inner[0] + 1 ? "hidden" : "visible");
    crossed(values[at]);
  };
  const found = ([px]) => closest(values, (value) => Math.abs(X.at(value) - px));
  follow(svg, width, found, show, (step) => Math.min(Math.max(place + step, 0), values.length - 1));
}

function zoom(svg, { X, Y, left, top, inner, width }, zoomed) {
  let start = null,
    box = null;
  svg.addEventListener("pointerdown", (event) => {
    if (event.button || event.pointerType === "touch") return;
    start = pixelOf(svg, event, width);
    box = draw("rect", { class: "drag", x: start[0], y: start[1], width: 0, height: 0 });
    svg.append(box);
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    if (!start) return;
    const [px, py] = pixelOf(svg, event, width);
    const size = { width: String(Math.abs(px - start[0])), height: String(Math.abs(py - start[1])) };
    fill(box, { x: Math.min(px, start[0]), y: Math.min(py, start[1]), ...size }, []);
  });
  svg.addEventListener("pointerup", (event) => {
    if (!start) return;
    const end = pixelOf(svg, event, width),
      from = start;
    start = null;
    box.remove();
    if (Math.abs(end[0] - from[0]) < 8 || Math.abs(end[1] - from[1]) < 8) return;
    zoomed(sorted(X.of(from[0]), X.of(end[0])), sorted(Y.of(from[1]), Y.of(end[1])));
  });
  const sorted = (a, b) => (a < b ? [a, b] : [b, a]);
  const along = (factor, axis, from, size) =>
    sorted(axis.of(from + size * (0.5 - factor / 2)), axis.of(from + size * (0.5 + factor / 2)));
  const around = (factor) => [along(factor, X, left, inner[0]), along(factor, Y, top, inner[1])];
  svg.addEventListener("keydown", (event) => {
    if (event.key === "+" || event.key === "=") zoomed(...around(0.6));
    else if (event.key === "-") zoomed(...around(1.6));
    else if (event.key === "0" || event.key === "Escape") zoomed(null, null);
    else return;
    event.preventDefault();
  });
}

function sample(each) {
  const pen = { stroke: each.colour, "stroke-width": 2, "stroke-dasharray": each.dash || null };
  const line = draw("line", { x1: 0, x2: 26, y1: 5, y2: 5, ...pen });
  const point = each.marker === null ? null : mark(each.marker || 0, 13, 5, 3.2, { fill: each.colour });
  return draw("svg", { width: 26, height: 10, "aria-hidden": "true" }, line, point);
}
