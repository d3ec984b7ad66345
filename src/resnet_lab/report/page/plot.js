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

const DASHES = ["", "7 3", "2 3", "9 3 2 3"];
const look = (place) => ({ colour: `var(--c${place % 7})`, dash: DASHES[Math.floor(place / 7) % 4], marker: place % 6 });

function mark(kind, x, y, size, attributes) {
  const s = size, path = [
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
  let low = sound.reduce((a, b) => Math.min(a, b)), high = sound.reduce((a, b) => Math.max(a, b));
  if (axis.log) return low === high ? [low / 2, high * 2] : [low / 1.12, high * 1.12];
  if (axis.zero) low = Math.min(0, low);
  const room = (high - low || Math.abs(high) || 1) * 0.05;
  return [axis.zero && low === 0 ? 0 : low - room, high + room];
}

// One plot. x, y: {label, log, zero, whole, domain}; a series: {name, colour, dash, marker, width, points: [[x, y, words]],
// line, dots, marks, hollow, cross (at the upper edge, whatever its y), band: [[x, low, high]]}. With `zoomed(x, y)` a rectangle can be dragged, and keys zoom.
function plot({ id, label, x, y, series, height = 330, zoomed }, width) {
  const left = 58, right = 14, top = 10, bottom = 44;
  const inner = [width - left - right, height - top - bottom];
  const pointsOf = (each) => [...each.points, ...(each.band || []).flatMap(([a, b, c]) => [[a, b], [a, c]])];
  const ends = (axis, place, those) => axis.domain || extent(those.flatMap(pointsOf).map((p) => p[place]), axis);
  const domain = [ends(x, 0, series), ends(y, 1, series.filter((each) => !each.cross))];
  const scale = (axis, place, from, to) => {
    const f = axis.log ? Math.log10 : (v) => v;
    const [low, high] = domain[place].map(f);
    return {
      at: (v) => from + ((f(v) - low) / (high - low || 1)) * (to - from),
      of: (pixel) => { const v = low + ((pixel - from) / (to - from)) * (high - low); return axis.log ? 10 ** v : v; },
    };
  };
  const X = scale(x, 0, left, left + inner[0]), Y = scale(y, 1, top + inner[1], top);
  const sound = ([a, b]) => Number.isFinite(a) && Number.isFinite(b) && (!x.log || a > 0) && (!y.log || b > 0);
  const clip = `clip-${id}`;
  const svg = draw("svg", {
    class: "plot", id, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, tabindex: zoomed ? 0 : null,
  }, draw("clipPath", { id: clip }, draw("rect", { x: left, y: top - 4, width: inner[0], height: inner[1] + 8 })));
  for (const tick of ticks(...domain[0], x.log, Math.max(3, inner[0] / 90)).filter((at) => !x.whole || Number.isInteger(at))) {
    svg.append(draw("line", { class: "grid", x1: X.at(tick), x2: X.at(tick), y1: top, y2: top + inner[1] }),
      draw("text", { x: X.at(tick), y: top + inner[1] + 16, "text-anchor": "middle" }, short(tick)));
  }
  for (const tick of ticks(...domain[1], y.log, 6)) {
    svg.append(draw("line", { class: "grid", x1: left, x2: left + inner[0], y1: Y.at(tick), y2: Y.at(tick) }),
      draw("text", { x: left - 6, y: Y.at(tick) + 4, "text-anchor": "end" }, short(tick)));
  }
  svg.append(draw("rect", { class: "frame", x: left, y: top, width: inner[0], height: inner[1] }),
    draw("text", { x: left + inner[0] / 2, y: height - 8, "text-anchor": "middle" }, x.label),
    draw("text", { transform: `translate(13 ${top + inner[1] / 2}) rotate(-90)`, "text-anchor": "middle" }, y.label));
  const body = draw("g", { "clip-path": `url(#${clip})` });
  const near = [];
  for (const each of series) {
    const points = each.points.filter(sound);
    const band = (each.band || []).filter(([a, b, c]) => sound([a, b]) && sound([a, c]));
    if (band.length > 1) {
      const there = band.map(([a, , c]) => `${X.at(a).toFixed(1)},${Y.at(c).toFixed(1)}`);
      const back = band.map(([a, b]) => `${X.at(a).toFixed(1)},${Y.at(b).toFixed(1)}`).reverse();
      body.append(draw("polygon", { points: [...there, ...back].join(" "), fill: each.colour, opacity: series.length > 24 ? 0.06 : 0.14 }));
    }
    if (each.line && points.length > 1) {
      body.append(draw("polyline", {
        points: points.map(([a, b]) => `${X.at(a).toFixed(1)},${Y.at(b).toFixed(1)}`).join(" "), fill: "none",
        stroke: each.colour, "stroke-width": each.width || 2, "stroke-dasharray": each.dash || null,
      }));
    }
    const every = Math.ceil(points.length / 6);
    points.forEach(([a, b, words], place) => {
      const at = [X.at(a), each.cross ? top + 8 : Y.at(b)];
      if (each.cross) {
        body.append(draw("path", { d: `M${at[0] - 5} ${at[1] - 5}l10 10m0 -10l-10 10`, stroke: each.colour, "stroke-width": 2 }));
      } else if (each.dots || (each.marks && (points.length - 1 - place) % every === 0)) {
        body.append(mark(each.marker || 0, ...at, each.size || 3.5, each.hollow
          ? { fill: "var(--ground)", stroke: each.colour, "stroke-width": 1.8 }
          : { fill: each.colour, opacity: each.opacity || 1 }));
      }
      near.push([...at, words || `${each.name}: ${short(a)}, ${short(b)}`]);
    });
  }
  svg.append(body);
  const readout = el("p", { class: "readout" }, zoomed ? "drag to zoom, + and - on the keyboard, 0 for all" : "");
  const pixel = (event) => {
    const box = svg.getBoundingClientRect();
    return [((event.clientX - box.left) * width) / box.width, ((event.clientY - box.top) * height) / box.height];
  };
  let start = null, box = null;
  svg.addEventListener("pointermove", (event) => {
    const [px, py] = pixel(event);
    if (start) {
      box.setAttribute("x", Math.min(px, start[0])); box.setAttribute("y", Math.min(py, start[1]));
      box.setAttribute("width", Math.abs(px - start[0])); box.setAttribute("height", Math.abs(py - start[1]));
      return;
    }
    let best = null, least = 900;
    for (const each of near) {
      const far = (each[0] - px) ** 2 + (each[1] - py) ** 2;
      if (far < least) { least = far; best = each; }
    }
    if (best) readout.textContent = best[2];
  });
  if (zoomed) {
    svg.addEventListener("pointerdown", (event) => {
      if (event.button || event.pointerType === "touch") return;
      start = pixel(event);
      box = draw("rect", { class: "drag", x: start[0], y: start[1], width: 0, height: 0 });
      svg.append(box);
      svg.setPointerCapture(event.pointerId);
    });
    svg.addEventListener("pointerup", (event) => {
      if (!start) return;
      const end = pixel(event), from = start;
      start = null;
      box.remove();
      if (Math.abs(end[0] - from[0]) < 8 || Math.abs(end[1] - from[1]) < 8) return;
      const sorted = (a, b) => (a < b ? [a, b] : [b, a]);
      zoomed(sorted(X.of(from[0]), X.of(end[0])), sorted(Y.of(from[1]), Y.of(end[1])));
    });
    const around = (factor) => [[X, left, inner[0]], [Y, top, inner[1]]].map(([axis, from, size]) => {
      const ends = [axis.of(from + size * (0.5 - factor / 2)), axis.of(from + size * (0.5 + factor / 2))];
      return ends[0] < ends[1] ? ends : ends.reverse();
    });
    svg.addEventListener("keydown", (event) => {
      if (event.key === "+" || event.key === "=") zoomed(...around(0.6));
      else if (event.key === "-") zoomed(...around(1.6));
      else if (event.key === "0" || event.key === "Escape") zoomed(null, null);
      else return;
      event.preventDefault();
    });
  }
  return el("figure", {}, svg, readout);
}

function sample(each) {
  return draw("svg", { width: 26, height: 10, "aria-hidden": "true" },
    draw("line", { x1: 0, x2: 26, y1: 5, y2: 5, stroke: each.colour, "stroke-width": 2, "stroke-dasharray": each.dash || null }),
    mark(each.marker || 0, 13, 5, 3.2, each.hollow ? { fill: "var(--ground)", stroke: each.colour } : { fill: each.colour }));
}
