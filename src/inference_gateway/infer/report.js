"use strict";
// The answer is not trusted: its text reaches the page by textContent and by no other way.
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const series = read("index");
const names = read("names");
const at = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const state = { series: 0, plane: 0, center: null, width: null, outlines: false, shown: null, turn: 0, drag: null };
const MOST_LINES = 200; // of a legend

const planes = () => series[state.series].planes;
const plane = () => planes()[state.plane];

// Decoded images by id, the latest last: those around the plane that is shown are made ready before they are asked for.
const KEPT = 24;
const AHEAD = 4;
const kept = new Map();

function decoded(id) {
  let found = kept.get(id);
  if (found) kept.delete(id);
  else found = decode(id);
  kept.set(id, found);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  return found;
}

async function decode(id) {
  const image = new Image();
  image.src = "data:image/png;base64," + at(id).textContent;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

const ready = (one) => Promise.all([decoded("image-" + one.number), one.layer ? decoded("layer-" + one.number) : null]);

// One at a time, and no more of them once another plane is asked for: that one would have to wait.
async function makeReady(turn) {
  for (let step = 1; step <= AHEAD; step++) {
    for (const to of [state.plane + step, state.plane - step]) {
      if (turn !== state.turn) return;
      if (planes()[to]) await ready(planes()[to]);
    }
  }
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

function put(id, pixels) {
  const canvas = at(id);
  if (canvas.width !== pixels.width || canvas.height !== pixels.height) {
    canvas.width = pixels.width;
    canvas.height = pixels.height;
  }
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(pixels, 0, 0);
}

function paint() {
  const { now, image } = state.shown;
  if (now.color) return put("image", image);
  const shade = windowed(state.center ?? now.center, state.width ?? now.width, now.function);
  const hidden = 0xff000000 | ((now.shutter ?? 0) * 0x010101);
  const greys = new Int16Array(65536).fill(-1); // each number is looked up once
  const from = image.data;
  const to = new ImageData(image.width, image.height);
  const pixels = new Uint32Array(to.data.buffer);
  for (let i = 0, j = 0; i < pixels.length; i++, j += 4) {
    if (from[j + 2]) {
      pixels[i] = hidden;
      continue;
    }
    const number = from[j] * 256 + from[j + 1];
    let grey = greys[number];
    if (grey < 0) {
      grey = shade(now.low + now.step * number);
      greys[number] = grey = now.inverted ? 255 - grey : grey;
    }
    pixels[i] = 0xff000000 | (grey * 0x010101);
  }
  put("image", to);
}

// Of a layer of masks, the pixels that touch another colour or the edge.
function outlined(layer) {
  const { width, height } = layer;
  const from = new Uint32Array(layer.data.buffer);
  const made = new ImageData(width, height);
  const to = new Uint32Array(made.data.buffer);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const here = from[i];
      const inside = x > 0 && y > 0 && x < width - 1 && y < height - 1 &&
        from[i - 1] === here && from[i + 1] === here && from[i - width] === here && from[i + width] === here;
      if (!inside) to[i] = here;
    }
  }
  return made;
}

function paintLayer() {
  const { now, layer } = state.shown;
  at("layer").hidden = !layer;
  if (layer) put("layer", state.outlines && !now.heat ? outlined(layer) : layer);
}

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

// In units that are as long across as down: a pixel is 1 wide and `aspect` high.
function drawShapes(now) {
  const shapes = [];
  at("shapes").setAttribute("viewBox", `0 0 ${now.columns} ${now.rows * now.aspect}`);
  at("shapes").setAttribute("preserveAspectRatio", "none");
  const stroke = Math.max(now.columns, now.rows * now.aspect) / 320;
  const size = stroke * 8;
  const down = (y) => y * now.aspect;
  const label = (x, y, color, text) => {
    if (!text) return;
    const anchor = x > now.columns * 0.7 ? "end" : "start"; // it ends within the image
    shapes.push(element("text", { x, y: Math.max(size, y), fill: color, "font-size": size, "text-anchor": anchor }, text));
  };
  for (const [x0, y0, x1, y1, text, color] of now.boxes) {
    const [x, y] = [Math.min(x0, x1), down(Math.min(y0, y1))];
    shapes.push(element("rect", {
      x, y, width: Math.abs(x1 - x0) + 1, height: down(Math.abs(y1 - y0) + 1),
      fill: "none", stroke: color, "stroke-width": stroke,
    }));
    label(x, y - stroke * 2, color, text);
  }
  for (const [points, text, color] of now.lines) {
    const placed = points.map(([x, y]) => [x + 0.5, down(y + 0.5)]);
    shapes.push(element("polyline", { points: placed.join(" "), fill: "none", stroke: color, "stroke-width": stroke }));
    if (placed.length === 2) {
      for (const [cx, cy] of placed) shapes.push(element("circle", { cx, cy, r: stroke * 1.5, fill: color }));
    }
    const [x, y] = placed[placed.length - 1];
    label(x + stroke * 3, y, color, text);
  }
  at("shapes").replaceChildren(...shapes);
}

function drawLegend(now) {
  const lines = [...now.labels.map((text) => [text, ""]), ...now.legend.slice(0, MOST_LINES).map((one) => names[one])];
  if (now.legend.length > MOST_LINES) lines.push([`and ${now.legend.length - MOST_LINES} more`, ""]);
  const rows = lines.map(([text, color]) => {
    const row = document.createElement("li");
    if (color) {
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.background = color;
      row.append(swatch);
    }
    row.append(text);
    return row;
  });
  at("legend").replaceChildren(...rows);
}

async function show() {
  const turn = ++state.turn;
  const now = plane();
  const [image, layer] = await ready(now);
  if (turn !== state.turn) return; // another plane was asked for meanwhile
  state.shown = { now, image, layer };
  const proportion = now.columns / (now.rows * now.aspect);
  at("stage").style.aspectRatio = proportion;
  at("stage").style.setProperty("--proportion", proportion);
  paint();
  paintLayer();
  drawShapes(now);
  drawLegend(now);
  at("caption").textContent = `${now.name} (${state.plane + 1} of ${planes().length})`;
  at("plane").max = planes().length - 1;
  at("plane").value = state.plane;
  for (const id of ["center", "width", "reset"]) at(id).disabled = now.color;
  if (!now.color) writeWindow();
  document.body.dataset.shown = now.name;
  setTimeout(() => makeReady(turn), 0);
}

function writeWindow() {
  const now = plane();
  at("center").value = +(state.center ?? now.center).toFixed(2);
  at("width").value = +(state.width ?? now.width).toFixed(2);
}

function go(to) {
  state.plane = Math.min(planes().length - 1, Math.max(0, to));
  show();
}

function goToFinding(step) {
  for (let to = state.plane + step; to >= 0 && to < planes().length; to += step) {
    if (planes()[to].found) return go(to);
  }
}

function open(number) {
  Object.assign(state, { series: number, center: null, width: null });
  const that = (holds) => planes().map((one, index) => (holds(one) ? index : -1)).filter((index) => index >= 0);
  const drawn = that((one) => one.layer || one.boxes.length || one.lines.length);
  const found = drawn.length ? drawn : that((one) => one.found);
  go(found.length ? found[found.length >> 1] : planes().length >> 1);
}

function setOpacity() {
  at("layer").style.opacity = at("opacity").value;
  at("shapes").style.opacity = at("opacity").value > 0 ? 1 : 0;
}

function setOutlines(on) {
  state.outlines = at("outlines").checked = on;
  if (state.shown) paintLayer();
}

// A mouse sets the window; a finger goes through the planes, so that the page still scrolls up and down.
function drag(event) {
  const now = plane();
  if (event.pointerType === "touch") {
    state.drag ??= { x: event.clientX, plane: state.plane };
    return go(state.drag.plane + Math.round((event.clientX - state.drag.x) / 8));
  }
  if (now.color || !state.shown) return;
  const speed = now.width / 300;
  state.width = Math.max(now.step, (state.width ?? now.width) + event.movementX * speed);
  state.center = (state.center ?? now.center) + event.movementY * speed;
  writeWindow();
  paint();
}

const KEYS = {
  ArrowUp: () => go(state.plane - 1),
  ArrowLeft: () => go(state.plane - 1),
  ArrowDown: () => go(state.plane + 1),
  ArrowRight: () => go(state.plane + 1),
  PageUp: () => go(state.plane - 10),
  PageDown: () => go(state.plane + 10),
  Home: () => go(0),
  End: () => go(planes().length - 1),
  n: () => goToFinding(1),
  p: () => goToFinding(-1),
  o: () => setOutlines(!state.outlines),
};
// Where the page itself scrolls by these keys, only the image takes them.
const SCROLLING = ["PageUp", "PageDown", "Home", "End"];

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const within = event.target.tagName;
  if (within === "SELECT" || (within === "INPUT" && event.target.type !== "checkbox")) return;
  if (SCROLLING.includes(event.key) && event.target !== at("stage")) return;
  const digit = /^[0-9]$/.test(event.key);
  if (!digit && !KEYS[event.key]) return;
  event.preventDefault();
  if (!digit) return KEYS[event.key]();
  at("opacity").value = event.key === "9" ? 1 : event.key / 10;
  setOpacity();
}

function listen() {
  at("series").onchange = (event) => open(+event.target.value);
  at("plane").oninput = (event) => go(+event.target.value);
  at("previous").onclick = () => goToFinding(-1);
  at("next").onclick = () => goToFinding(1);
  at("opacity").oninput = setOpacity;
  at("outlines").onchange = (event) => setOutlines(event.target.checked);
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
    if (event.buttons & 1) drag(event);
  };
  for (const end of ["pointerup", "pointercancel"]) at("stage").addEventListener(end, () => { state.drag = null; });
  document.addEventListener("keydown", press);
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
