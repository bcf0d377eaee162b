"use strict";
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const floats = (text) => new Float32Array(bytes(text).buffer);
const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
const get = (id) => document.getElementById(id);
const { rows, columns, depth, samples } = data;
const cells = rows * columns;
const grid = floats(data.grid);
const shares = floats(data.shares);
const colors = bytes(data.colors);
const steps = data.steps.map(bytes);
const openHeat = (heat) => heat && { levels: bytes(heat.levels), peak: floats(heat.peak) };
const attention = openHeat(data.attention);
const grounds = openHeat(data.grounds);
const mix = attention && floats(data.attention.mix);
const strength = attention && floats(data.attention.strength);
const openness = grounds && floats(data.grounds.openness);
const radios = [...document.querySelectorAll("#transforms input")];
let row = Math.floor(rows / 2), column = Math.floor(columns / 2), level = 0;

// Coefficient c (0 to 11) of the selected cell at a depth.
const coefficient = (c, d) => grid[(c * depth + d) * cells + row * columns + column];
const recolor = (color, d) => [0, 1, 2].map((i) =>
  coefficient(4 * i, d) * color[0] + coefficient(4 * i + 1, d) * color[1] + coefficient(4 * i + 2, d) * color[2] + coefficient(4 * i + 3, d));
const css = (color) => `rgb(${color.map((value) => Math.round(255 * Math.min(1, Math.max(0, value)))).join(" ")})`;
const split = (color, d) => `linear-gradient(90deg, ${css(color)} 50%, ${css(recolor(color, d))} 50%)`;

// The fewest cells that hold half of the weight of a row.
function halfOf(heat, index) {
  const levels = heat.levels.subarray(index * cells, (index + 1) * cells);
  const order = [...levels.keys()].sort((a, b) => levels[b] - levels[a]);
  const total = levels.reduce((sum, value) => sum + value, 0);
  const half = new Set();
  let sum = 0;
  while (2 * sum < total) {
    sum += levels[order[half.size]];
    half.add(order[half.size]);
  }
  return half;
}

// Darken a picture where a row of a heat map has little weight, and outline the cells that hold half of the weight.
function drawHeat(id, heat, index) {
  const canvas = document.querySelector(`#${id} canvas`);
  canvas.width = 2 * canvas.clientWidth;
  canvas.height = 2 * canvas.clientHeight;
  const pen = canvas.getContext("2d");
  const half = halfOf(heat, index);
  const [x, y] = [(c) => Math.round(c * canvas.width / columns), (r) => Math.round(r * canvas.height / rows)];
  const lines = new Path2D();
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const cell = r * columns + c;
      pen.fillStyle = `rgb(0 0 0 / ${0.72 * (1 - Math.sqrt(heat.levels[index * cells + cell] / 255))})`;
      pen.fillRect(x(c), y(r), x(c + 1) - x(c), y(r + 1) - y(r));
      if (!half.has(cell)) continue;
      for (const [beside, x0, y0, x1, y1] of [
        [c > 0 && half.has(cell - 1), c, r, c, r + 1], [c < columns - 1 && half.has(cell + 1), c + 1, r, c + 1, r + 1],
        [r > 0 && half.has(cell - columns), c, r, c + 1, r], [r < rows - 1 && half.has(cell + columns), c, r + 1, c + 1, r + 1],
      ]) {
        if (beside) continue;
        lines.moveTo(x(x0), y(y0));
        lines.lineTo(x(x1), y(y1));
      }
    }
  }
  pen.lineCap = "square";
  for (const [color, width] of [["#000", 8], ["#ff922b", 4]]) {
    pen.strokeStyle = color;
    pen.lineWidth = width;
    pen.stroke(lines);
  }
}

function showCell() {
  const cell = row * columns + column;
  Object.assign(document.querySelector(".mark").style, {
    left: `${100 * column / columns}%`, top: `${100 * row / rows}%`, width: `${100 / columns}%`, height: `${100 / rows}%`,
  });
  get("where").textContent = `row ${row + 1}, column ${column + 1}`;
  if (attention) {
    drawHeat("attention", attention, cell);
    const none = attention.peak[cell] === 0;
    get("focus").textContent = none ? "this cell has no label, so it stays as it is"
      : `the outlined ${halfOf(attention, cell).size} of ${cells} cells hold half of its attention`;
    const names = ["places like this one", "its whole region", "the whole photo"];
    const parts = [...Array(mix.length / cells).keys()].map((n) => mix[n * cells + cell]);
    get("mix").replaceChildren(...parts.map((part) => {
      const span = document.createElement("span");
      span.style.width = `${100 * part}%`;
      return span;
    }));
    const text = parts.map((part, n) => `${percent(part)} ${names[n]}`).join(" · ");
    get("mix").setAttribute("aria-label", text);
    get("mix-text").textContent = `${text}; strength ${strength[cell].toFixed(2)}`;
  }
  document.querySelectorAll("#chips .chip").forEach((chip, n) => {
    chip.style.background = `rgb(${steps[n].slice(3 * cell, 3 * cell + 3).join(" ")})`;
  });
  document.querySelectorAll("#transforms tbody tr").forEach((line, d) => {
    const at = d * cells + cell;
    const there = shares[at] >= 0.0005;
    line.querySelector(".share").textContent = there ? percent(shares[at]) : "–";
    const own = [...colors.slice(3 * at, 3 * at + 3)].map((value) => value / 255);
    const [first, ...others] = line.querySelectorAll(".patch");
    first.style.background = there ? split(own, d) : "none";
    others.forEach((patch, n) => { patch.style.background = split(samples[d][n], d); });
  });
  showLevel();
}

function showLevel() {
  const cell = row * columns + column;
  get("level").textContent = percent((level + 0.5) / depth);
  document.querySelectorAll("#numbers tbody td").forEach((entry, c) => {
    entry.textContent = coefficient(c, level).toFixed(3).replace("-", "−");
  });
  if (grounds) {
    const at = level * cells + cell;
    drawHeat("grounds", grounds, at);
    get("open").textContent = `${percent(openness[at])} of its transform at brightness ${percent((level + 0.5) / depth)} is their mean`;
  }
  drawWheel();
}

// An arrow for each sample colour, from its place on the colour wheel to the place of its new colour.
function drawWheel() {
  const at = (color) => {
    const [r, g, b] = color.map((value) => Math.min(1, Math.max(0, value)));
    return [100 * (r - (g + b) / 2), -100 * Math.sqrt(3) / 2 * (g - b)];  // pure colours lie on the outer circle
  };
  const make = (name, attributes, text = "") => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.textContent = text;
    return node;
  };
  const nodes = [50, 100].map((r) => make("circle", { r, class: "grid", fill: "none" }));
  ["red", "yellow", "green", "cyan", "blue", "magenta"].forEach((name, n) => {
    nodes.push(make("text", { x: 122 * Math.cos(n * Math.PI / 3), y: -112 * Math.sin(n * Math.PI / 3) + 3 }, name));
  });
  for (const color of samples[level]) {
    const [x, y] = at(color), after = recolor(color, level), [u, v] = at(after);
    nodes.push(make("line", { x1: x, y1: y, x2: u, y2: v, class: "move" }));
    nodes.push(make("circle", { cx: x, cy: y, r: 3, fill: css(color), class: "from" }));
    nodes.push(make("circle", { cx: u, cy: v, r: 6, fill: css(after), class: "to" }));
  }
  get("wheel").replaceChildren(...nodes);
}

// Show a cell, and the brightness that most of its pixels have.
function select(newRow, newColumn) {
  row = Math.min(rows - 1, Math.max(0, newRow));
  column = Math.min(columns - 1, Math.max(0, newColumn));
  const cell = row * columns + column;
  level = radios.reduce((best, _, d) => shares[d * cells + cell] > shares[best * cells + cell] ? d : best, 0);
  radios[level].checked = true;
  showCell();
}

for (const image of document.querySelectorAll("[data-copy]")) image.src = get(image.dataset.copy).src;
get("photo").addEventListener("pointerdown", (event) => {
  const box = event.currentTarget.getBoundingClientRect();
  select(Math.floor(rows * (event.clientY - box.top) / box.height), Math.floor(columns * (event.clientX - box.left) / box.width));
});
get("photo").addEventListener("keydown", (event) => {
  const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!move) return;
  event.preventDefault();
  select(row + move[0], column + move[1]);
});
for (const radio of radios) {
  radio.addEventListener("change", () => { level = Number(radio.value); showLevel(); });
}
select(row, column);
