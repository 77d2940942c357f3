// The monitor of a study: trials that run, their curves as they grow, and those that ended last. Events come at most
// twice a second; what is on the page is drawn at most once a frame, from a state that whoever comes late is given whole.

import { Stream } from "./stream.js";

const MOST_POINTS = 240, MOST_CURVES = 60, ENDED = 12;
const FINAL = new Set(["completed", "failed", "cancelled", "timed_out"]);
const PREFERRED = ["validation_loss", "validation_accuracy", "train_loss", "train_accuracy"];
const DASHES = ["", "6 3", "2 3", "8 3 2 3", "4 2", "1 2", "10 3", "3 1"];
const root = document.getElementById("monitor"), arms = JSON.parse(root.dataset.arms);
const at = (id) => document.getElementById(id);
const trials = new Map(), curves = new Map();
let counts = {}, metric = null, drawn = false;

const make = (tag, fields = {}, ...children) => { const node = Object.assign(document.createElement(tag), fields); node.append(...children); return node; };
const vector = (tag, fields = {}, ...children) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(fields)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};
const armOf = (trial) => arms[trial.arm] ?? (arms[trial.arm] = { kind: Object.keys(arms).length % 8, name: trial.arm.replaceAll("_", " ").slice(0, 24) });
const words = (name) => name.replaceAll("_", " ").replace(/^val /, "validation ");
const short = (value) => value == null ? "\u2013" : value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5) ? value.toExponential(1).replace("-", "\u2212") : Number(value.toPrecision(3)).toString().replace("-", "\u2212");
const share = (value) => value == null ? "\u2013" : `${(100 * value).toFixed(1)}%`;
const span = (ms) => ms == null ? "\u2013" : ms < 1000 ? `${Math.round(ms)} ms` : ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.floor(ms / 60_000)} min ${Math.floor(ms / 1000) % 60} s`;

/** New points into the curves of a trial, in order of their steps; late ones find their place, equal steps are told anew. */
function grow(id, told) {
  const own = curves.get(id) ?? curves.set(id, {}).get(id);
  for (const [name, points] of Object.entries(told)) {
    const known = new Map((own[name] ?? []).map((point) => [point[0], point]));
    for (const point of points) known.set(point[0], point);
    let line = [...known.values()].sort((a, b) => a[0] - b[0]);
    if (line.length > MOST_POINTS) line = line.filter((_, place) => place % 2 === 0 || place === line.length - 1);
    own[name] = line;
  }
}

function take(data) {
  counts = data.counts;
  for (const trial of data.trials) trials.set(trial.id, trial);
  for (const [id, told] of Object.entries(data.points)) grow(id, told);
  const over = [...trials.values()].filter((trial) => FINAL.has(trial.state)).sort(byEnd);
  for (const trial of over.slice(MOST_CURVES)) { trials.delete(trial.id); curves.delete(trial.id); }
  later();
}

const ended = new Map(); // trial to the order in which it was seen to end
const byEnd = (a, b) => (ended.get(b.id) ?? 0) - (ended.get(a.id) ?? 0);
function noteEnds(list) { for (const trial of list) if (FINAL.has(trial.state) && !ended.has(trial.id)) ended.set(trial.id, ended.size + 1); }

function later() { if (!drawn) { drawn = true; requestAnimationFrame(() => { drawn = false; draw(); }); } }

function draw() {
  const sum = (...names) => names.reduce((total, name) => total + (counts[name] ?? 0), 0).toLocaleString("en");
  at("running").textContent = sum("running", "pending");
  at("completed").textContent = sum("completed");
  at("failed").textContent = sum("failed", "timed_out");
  at("cancelled").textContent = sum("cancelled");
  const going = [...trials.values()].filter((trial) => !FINAL.has(trial.state));
  const over = [...trials.values()].filter((trial) => FINAL.has(trial.state)).sort(byEnd);
  choose();
  chart(going, over);
  rows(at("now"), going.slice(0, MOST_CURVES), running);
  rows(at("over"), over.slice(0, ENDED), finished);
  at("nobody").hidden = going.length > 0;
}

/** Rows by trial: what is there stays, so that focus and selection do. */
function rows(body, list, cells) {
  const known = new Map([...body.children].map((row) => [row.dataset.id, row]));
  list.forEach((trial, place) => {
    const row = known.get(trial.id) ?? make("tr");
    known.delete(trial.id);
    row.dataset.id = trial.id;
    const told = cells(trial), state = JSON.stringify(told.map((cell) => cell.textContent ?? cell)) + (curves.get(trial.id)?.[metric]?.length ?? 0) + metric;
    if (row.dataset.told !== state) {
      const focused = row.contains(document.activeElement);
      row.replaceChildren(...told.map((cell) => cell instanceof Node ? cell : make("td", { className: "number", textContent: cell })));
      row.dataset.told = state;
      if (focused) row.querySelector("a")?.focus();
    }
    if (body.children[place] !== row) body.insertBefore(row, body.children[place] ?? null);
  });
  for (const row of known.values()) row.remove();
}

function who(trial) {
  const arm = armOf(trial), key = root.querySelector(`.keys .key:has(.a${arm.kind})`)?.cloneNode(true);
  return [
    make("td", { className: "mono" }, make("a", { href: `/studies/${root.dataset.study}/trials/${encodeURIComponent(trial.id)}`, textContent: trial.id.slice(0, 12) })),
    make("td", {}, ...(key ? [key] : []), arm.name),
    make("td", {}, make("span", { className: trial.spectral_norm ? "flag on" : "flag", textContent: trial.spectral_norm ? "on" : "off" })),
    trial.pair == null ? "" : String(trial.pair),
  ];
}
function running(trial) {
  const own = curves.get(trial.id) ?? {}, last = (name) => own[name]?.at(-1);
  const epoch = Math.max(-1, ...Object.values(own).map((line) => line.at(-1)?.[0] ?? -1));
  const spark = make("td", {}, sparkline(own[metric] ?? [], armOf(trial).kind));
  return [...who(trial), epoch < 0 ? "\u2013" : String(epoch), short((last("validation_loss") ?? last("val_loss"))?.[1]), spark, trial.started_at ? span(Date.now() - Date.parse(trial.started_at)) : "\u2013"];
}
function finished(trial) {
  const state = make("span", { className: "lamp", textContent: trial.state.replace("_", " ") });
  state.dataset.state = trial.state;
  const told = make("td", {}, state);
  if (trial.error) told.append(" ", make("span", { className: "faint small", textContent: trial.error.slice(0, 60) }));
  return [...who(trial), told, short(trial.loss), share(trial.accuracy), span(trial.duration_ms)];
}

function sparkline(line, kind) {
  const real = line.filter((point) => point[1] != null), svg = vector("svg", { class: `spark a${kind}`, viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true" });
  if (real.length < 2) return svg;
  const [x0, x1] = [real[0][0], real.at(-1)[0]], ys = real.map((point) => point[1]), low = Math.min(...ys), high = Math.max(...ys);
  svg.append(vector("path", { d: `M${real.map((point) => `${((point[0] - x0) / (x1 - x0 || 1) * 98 + 1).toFixed(1)} ${(18 - (point[1] - low) / (high - low || 1) * 16).toFixed(1)}`).join("L")}` }));
  return svg;
}

/** The buttons of metrics that any curve has, the usual ones first. */
function choose() {
  const names = new Set();
  for (const own of curves.values()) for (const name of Object.keys(own)) names.add(name);
  const order = [...names].sort((a, b) => (PREFERRED.indexOf(a) + 99) % 99 - (PREFERRED.indexOf(b) + 99) % 99 || a.localeCompare(b)).slice(0, 8);
  if (!order.includes(metric)) metric = order[0] ?? null;
  const box = at("metrics"), known = [...box.children].map((button) => button.value);
  if (known.join("\n") !== order.join("\n")) {
    box.replaceChildren(...order.map((name) => make("button", { type: "button", value: name, textContent: words(name).slice(0, 40) })));
    for (const button of box.children) button.addEventListener("click", () => { metric = button.value; draw(); });
  }
  for (const button of box.children) button.setAttribute("aria-pressed", String(button.value === metric));
}

function ticks(low, high, most) {
  const raw = (high - low) / most || 1, power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999), found = [];
  for (let n = Math.ceil(low / step - 1e-9); n <= high / step + 1e-9; n += 1) found.push(n * step);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return found.map((value) => [value, digits > 5 || Math.abs(value) >= 1e6 ? value.toExponential(1) : value.toFixed(digits).replace("-", "\u2212")]);
}

function chart(going, over) {
  const svg = at("chart"), width = Math.max(svg.clientWidth, 280), height = svg.clientHeight || 320;
  const lines = [...over.map((trial) => [trial, false]), ...going.map((trial) => [trial, true])].slice(-MOST_CURVES)
    .map(([trial, alive]) => ({ trial, alive, points: (curves.get(trial.id)?.[metric] ?? []).filter((point) => point[1] != null) })).filter((line) => line.points.length);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  if (!lines.length) { svg.replaceChildren(vector("text", { x: 2, y: 20, class: "title" }, "no epoch has been told of yet")); at("told").textContent = ""; return; }
  const isShare = metric.endsWith("accuracy"), factor = isShare ? 100 : 1;
  const xs = lines.flatMap((line) => [line.points[0][0], line.points.at(-1)[0]]), ys = lines.flatMap((line) => line.points.map((point) => factor * point[1]));
  let [x0, x1] = [Math.min(...xs), Math.max(...xs)], [y0, y1] = [ys.reduce((a, b) => Math.min(a, b)), ys.reduce((a, b) => Math.max(a, b))];
  if (x0 === x1) x1 = x0 + 1;
  if (y0 === y1) { y0 -= Math.abs(y0) * 0.1 || 0.5; y1 += Math.abs(y1) * 0.1 || 0.5; }
  const log = y0 > 0 && y1 > 50 * y0, scaled = (value) => log ? Math.log10(value) : value;
  const [low, high] = [scaled(y0), scaled(y1)], left = 52, right = width - 12, top = 28, bottom = height - 38;
  const px = (x) => left + (x - x0) / (x1 - x0) * (right - left), py = (y) => bottom - (scaled(y) - low) / (high - low) * (bottom - top);
  const marks = log ? Array.from({ length: Math.floor(high) - Math.ceil(low) + 1 }, (_, n) => 10 ** (Math.ceil(low) + n)).map((value) => [value, short(value)]) : ticks(y0, y1, 5);
  const parts = [vector("text", { x: 2, y: 12, class: "title" }, words(metric).slice(0, 60) + (isShare ? ", % of rows" : ""))];
  for (const [value, told] of marks) parts.push(vector("line", { class: "rule", x1: left, x2: right, y1: py(value), y2: py(value) }), vector("text", { class: "tick end", x: left - 7, y: py(value) + 4 }, told));
  for (const [value] of ticks(x0, x1, width < 500 ? 4 : 8)) if (Math.abs(value - Math.round(value)) < 1e-6) parts.push(vector("text", { class: "tick mid", x: px(value), y: bottom + 17 }, String(Math.round(value))));
  parts.push(vector("line", { class: "edge", x1: left, x2: right, y1: bottom, y2: bottom }), vector("text", { class: "title mid", x: (left + right) / 2, y: height - 5 }, "epoch"));
  for (const { trial, alive, points } of lines) {
    const arm = armOf(trial), d = `M${points.map((point) => `${px(point[0]).toFixed(1)} ${py(factor * point[1]).toFixed(1)}`).join("L")}`;
    const path = vector("path", { class: `${alive ? "live" : "past"} a${arm.kind}`, d, "stroke-dasharray": alive ? "" : DASHES[arm.kind] });
    path.append(vector("title", {}, `${arm.name}, ${trial.id.slice(0, 12)}, ${alive ? "running" : trial.state}`));
    parts.push(path);
    if (alive) parts.push(vector("circle", { class: `dot a${arm.kind}`, cx: px(points.at(-1)[0]), cy: py(factor * points.at(-1)[1]), r: 4 }));
  }
  svg.replaceChildren(...parts);
  const alive = lines.filter((line) => line.alive).length;
  at("told").textContent = `${alive} ${alive === 1 ? "curve" : "curves"} of running trials, thick; ${lines.length - alive} of those that ended last, thin.${log ? " The upright axis is logarithmic." : ""}`;
}

const handlers = {
  state(data) {
    trials.clear(); curves.clear(); ended.clear();
    noteEnds([...data.trials].reverse());
    take(data);
  },
  trials(data) { noteEnds(data.trials); take(data); },
};
new Stream(root.dataset.events, (kind, data) => { handlers[kind]?.(data); }, (connected) => {
  at("link").textContent = connected ? "live" : "lost";
  at("link").dataset.state = connected ? "running" : "failed";
});
new ResizeObserver(later).observe(at("chart"));
setInterval(() => { if ([...trials.values()].some((trial) => !FINAL.has(trial.state))) later(); }, 1000);
