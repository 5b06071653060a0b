"use strict";
// The answer is not trusted: its text reaches the page by textContent and by no other way.
const series = JSON.parse(document.getElementById("index").textContent);
const at = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const state = { series: 0, plane: 0, center: null, width: null, decoded: null, turn: 0 };

const plane = () => series[state.series].planes[state.plane];
const source = (id) => "data:image/png;base64," + at(id).textContent;

async function decode(number) {
  const image = new Image();
  image.src = source("image-" + number);
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

// What turns a modality value into a grey, 0 to 255 (PS3.3 C.11.2.1.2 and C.11.2.1.3).
function windowed(center, width, kind) {
  if (kind === "SIGMOID") {
    return (value) => Math.floor(255 / (1 + Math.exp((-4 * (value - center)) / Math.max(width, 1e-6))) + 0.5);
  }
  const linear = kind === "LINEAR";
  const middle = linear ? center - 0.5 : center;
  const whole = linear ? width - 1 : width;
  if (whole <= 0) return (value) => (value > middle ? 255 : 0);
  return (value) => Math.floor(255 * Math.min(1, Math.max(0, (value - middle) / whole + 0.5)) + 0.5);
}

function paint() {
  const now = plane();
  const from = state.decoded;
  const canvas = at("image");
  canvas.width = from.width;
  canvas.height = from.height;
  const to = new ImageData(new Uint8ClampedArray(from.data), from.width, from.height);
  if (!now.color) {
    const shade = windowed(state.center ?? now.center, state.width ?? now.width, now.function);
    for (let i = 0; i < to.data.length; i += 4) {
      const grey = shade(now.low + now.step * (from.data[i] * 256 + from.data[i + 1]));
      to.data[i] = to.data[i + 1] = to.data[i + 2] = now.inverted ? 255 - grey : grey;
    }
  }
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(to, 0, 0);
}

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

function drawShapes(now) {
  const shapes = at("shapes");
  shapes.replaceChildren();
  shapes.setAttribute("viewBox", `0 0 ${now.columns} ${now.rows}`);
  shapes.setAttribute("preserveAspectRatio", "none");
  const stroke = Math.max(now.columns, now.rows) / 320;
  const size = stroke * 8;
  for (const [x0, y0, x1, y1, label, color] of now.boxes) {
    const [x, y] = [Math.min(x0, x1), Math.min(y0, y1)];
    shapes.append(element("rect", {
      x, y, width: Math.abs(x1 - x0) + 1, height: Math.abs(y1 - y0) + 1,
      fill: "none", stroke: color, "stroke-width": stroke,
    }));
    shapes.append(element("text", { x, y: Math.max(size, y - stroke * 2), fill: color, "font-size": size }, label));
  }
  for (const [x0, y0, x1, y1, label, color] of now.lines) {
    const ends = { x1: x0 + 0.5, y1: y0 + 0.5, x2: x1 + 0.5, y2: y1 + 0.5 };
    shapes.append(element("line", { ...ends, stroke: color, "stroke-width": stroke }));
    shapes.append(element("text", { x: ends.x2 + stroke * 3, y: ends.y2, fill: color, "font-size": size }, label));
  }
}

function drawLegend(now) {
  const rows = [...now.labels.map((label) => [label, ""]), ...now.legend].map(([name, color]) => {
    const row = document.createElement("li");
    if (color) {
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.background = color;
      row.append(swatch);
    }
    row.append(name);
    return row;
  });
  at("legend").replaceChildren(...rows);
}

async function show() {
  const turn = ++state.turn;
  const now = plane();
  const decoded = await decode(now.number);
  if (turn !== state.turn) return; // another plane was asked for meanwhile
  state.decoded = decoded;
  at("stage").style.aspectRatio = `${now.columns} / ${now.rows}`;
  paint();
  const layer = at("layer");
  layer.hidden = !now.layer;
  if (now.layer) {
    layer.src = source("layer-" + now.number);
    await layer.decode().catch(() => {}); // it says no when another source has come meanwhile
    if (turn !== state.turn) return;
  }
  drawShapes(now);
  drawLegend(now);
  const planes = series[state.series].planes;
  at("caption").textContent = `${now.name} (${state.plane + 1} of ${planes.length})`;
  at("plane").max = planes.length - 1;
  at("plane").value = state.plane;
  for (const id of ["center", "width", "reset"]) at(id).disabled = now.color;
  if (!now.color) {
    at("center").value = +(state.center ?? now.center).toFixed(2);
    at("width").value = +(state.width ?? now.width).toFixed(2);
  }
  document.body.dataset.shown = now.name;
}

function go(to) {
  const last = series[state.series].planes.length - 1;
  state.plane = Math.min(last, Math.max(0, to));
  show();
}

function goToFinding(step) {
  const planes = series[state.series].planes;
  for (let to = state.plane + step; to >= 0 && to < planes.length; to += step) {
    if (planes[to].found) return go(to);
  }
}

function open(number) {
  Object.assign(state, { series: number, center: null, width: null });
  const planes = series[number].planes;
  const that = (holds) => planes.map((one, index) => (holds(one) ? index : -1)).filter((index) => index >= 0);
  const drawn = that((one) => one.layer || one.boxes.length || one.lines.length);
  const found = drawn.length ? drawn : that((one) => one.found);
  go(found.length ? found[found.length >> 1] : planes.length >> 1);
}

function setOpacity() {
  at("layer").style.opacity = at("opacity").value;
  at("shapes").style.opacity = at("opacity").value > 0 ? 1 : 0;
}

function listen() {
  at("series").onchange = (event) => open(+event.target.value);
  at("plane").oninput = (event) => go(+event.target.value);
  at("previous").onclick = () => goToFinding(-1);
  at("next").onclick = () => goToFinding(1);
  at("opacity").oninput = setOpacity;
  for (const id of ["center", "width"]) {
    at(id).oninput = (event) => {
      if (event.target.value === "") return;
      state[id] = +event.target.value;
      paint();
    };
  }
  at("reset").onclick = () => {
    Object.assign(state, { center: null, width: null });
    show();
  };
  at("stage").addEventListener("wheel", (event) => {
    event.preventDefault();
    go(state.plane + Math.sign(event.deltaY));
  }, { passive: false });
  at("stage").onpointermove = (event) => {
    const now = plane();
    if (!(event.buttons & 1) || now.color) return;
    const speed = now.width / 300;
    state.width = Math.max(now.step, (state.width ?? now.width) + event.movementX * speed);
    state.center = (state.center ?? now.center) + event.movementY * speed;
    at("center").value = +state.center.toFixed(2);
    at("width").value = +state.width.toFixed(2);
    paint();
  };
  document.addEventListener("keydown", (event) => {
    const step = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[event.key];
    if (step && !["INPUT", "SELECT"].includes(event.target.tagName)) {
      event.preventDefault();
      go(state.plane + step);
    }
  });
}

if (series.length) {
  series.forEach((one, number) => at("series").append(new Option(one.title, number)));
  listen();
  setOpacity();
  const first = Math.max(0, series.findIndex((one) => one.planes.some((each) => each.found)));
  at("series").value = first;
  open(first);
} else {
  at("viewer").hidden = at("controls").hidden = true;
}
