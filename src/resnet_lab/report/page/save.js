"use strict";
// What is seen as a file: the table as CSV or LaTeX, a drawing as SVG.

function save(name, text, kind) {
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type: kind })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const fileName = (view, what) => `${view.name.replace(/[^A-Za-z0-9.-]+/g, "-")}-${what}`;

// Columns and rows as they are shown; numbers with all their digits in CSV, in words as shown in LaTeX.
function tableAsCsv(columns, groups) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const rows = groups.map((g) => columns.map((column) => cell(valueIn(column, g))).join(","));
  return `${[columns.map((column) => cell(column[1])).join(","), ...rows].join("\n")}\n`;
}

const TEX = {
  "\\": "\\textbackslash{}",
  "~": "\\textasciitilde{}",
  "^": "\\textasciicircum{}",
  "±": "$\\pm$",
  "≤": "$\\le$",
  "–": "--",
  "≈": "$\\approx$",
};
function tableAsLatex(columns, groups, best) {
  const escaped = (text) => [...String(text)].map((c) => TEX[c] || ("&%$#_{}".includes(c) ? `\\${c}` : c)).join("");
  // After a line's end, [ begins an option and * forbids a page break.
  const safe = (text) => (/^[[*]/.test(text) ? `{}${escaped(text)}` : escaped(text));
  const line = (cells) => `${cells.join(" & ")} \\\\`;
  const cell = (column, g) => {
    const text = safe(wordsIn(column, g));
    return g === best && column[0] === "test" ? `\\textbf{${text}}` : text;
  };
  const rows = groups.map((g) => line(columns.map((column) => cell(column, g))));
  const kinds = columns.map((column) => (isNumber(column, groups) ? "r" : "l")).join("");
  const head = line(columns.map((column) => safe(column[1])));
  const body = [head, "\\midrule", ...rows, "\\bottomrule"].join("\n");
  return `\\begin{tabular}{${kinds}}\n\\toprule\n${body}\n\\end{tabular}\n`;
}

const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-family", "font-size"];

// A drawing with the colours that it has now, which a file of its own cannot look up.
function drawingAsSvg(svg) {
  const copy = svg.cloneNode(true),
    nodes = [svg, ...svg.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((node, at) => {
    const style = getComputedStyle(nodes[at]);
    for (const name of STYLES) node.setAttribute(name, style.getPropertyValue(name));
  });
  for (const node of copy.querySelectorAll(".hair, .drag")) node.remove();
  const [, , width, height] = svg.getAttribute("viewBox").split(" ");
  fill(copy, { width, height }, []);
  return new XMLSerializer().serializeToString(copy);
}

function saveDrawing(svg, id) {
  save(`${fileName(data.views[state.view], id)}.svg`, drawingAsSvg(svg), "image/svg+xml");
}
