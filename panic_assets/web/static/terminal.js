// The terminal: a prompt goes in below, what comes of it goes by above.

import { Stream } from "./stream.js";
import { ending, media, reason, say } from "./words.js";

const MOST = 80; // entries that stay on the page
const ask = document.getElementById("ask"), form = ask.querySelector("form"), input = form.elements.prompt;
const send = document.getElementById("send"), says = document.getElementById("says"), meter = document.getElementById("meter");
const list = document.getElementById("stream"), pane = document.getElementById("main"), lamp = document.getElementById("state");
const late = Date.parse(ask.dataset.now) - Date.now(); // of this device's clock against the server's
const expires = Date.parse(ask.dataset.expires || "");
const now = () => Date.now() + late;
const plain = says.textContent;

const entries = new Map();
let run = null, refusal = says.classList.contains("bad") ? says.textContent : "", until = 0, sending = false;

function entry(kind, mark) {
  const node = document.createElement("li");
  node.className = `entry ${kind}`;
  const number = node.appendChild(document.createElement("span"));
  number.className = "no";
  number.textContent = mark;
  const low = pane.scrollHeight - pane.scrollTop - pane.clientHeight < 160;
  list.append(node);
  while (list.children.length > MOST) {
    entries.delete(list.firstElementChild.dataset.id);
    list.firstElementChild.remove();
  }
  return { node, body: node.appendChild(document.createElement("div")), low };
}

const follow = (low) => { if (low) pane.scrollTop = pane.scrollHeight; };

function begin(next) {
  if (!next || run?.id === next.id) { if (next) run = next; return; }
  run = next;
  const { node, body, low } = entry("prompt", ">");
  node.dataset.run = next.id;
  body.className = "words";
  body.textContent = next.prompt;
  follow(low);
}

function invocation(shown) {
  if (run && shown.run_id !== run.id) return;
  let held = entries.get(shown.id);
  if (!held) {
    held = entry("", shown.sequence_number);
    held.node.dataset.id = shown.id;
    held.by = held.body.appendChild(document.createElement("span"));
    held.by.className = "by";
    held.what = held.body.appendChild(document.createElement("div"));
    entries.set(shown.id, held);
  } else {
    held.low = pane.scrollHeight - pane.scrollTop - pane.clientHeight < 160;
  }
  if (held.state === "completed" || held.state === "failed") return;
  held.state = held.node.dataset.state = shown.state;
  held.by.textContent = shown.model.name + (shown.latency_seconds != null ? `, ${shown.latency_seconds.toFixed(1)} s` : "");
  held.what.replaceChildren(drawn(shown, () => follow(held.low)));
  follow(held.low);
}

function drawn(shown, grown) {
  const make = (tag, name, text) => Object.assign(document.createElement(tag), { className: name, textContent: text });
  if (shown.state === "failed") return make("p", "failure", reason(shown));
  if (shown.state !== "completed") return make("span", "mark", "P!");
  const { medium, text, key } = shown.output;
  if (medium === "image") {
    const image = Object.assign(new Image(), { alt: `Output ${shown.sequence_number}`, src: media(key) });
    image.addEventListener("load", grown);
    return image;
  }
  if (medium === "audio") return Object.assign(new Audio(media(key)), { controls: true, preload: "metadata" });
  const words = make("div", "words", "");
  say(words, text ?? "");
  return words;
}

function end(ended) {
  if (ended.id !== run?.id || ended.end_reason === "pre_empted") return;
  const { body, low, node } = entry("end", "");
  node.dataset.end = ended.id;
  body.textContent = `The run is over: ${ending(ended)}.`;
  follow(low);
}

const handlers = {
  state(data) {
    entries.clear();
    list.replaceChildren();
    run = null;
    if (data.run) begin(data.run);
    else entry("end", "").body.textContent = "Nothing yet. The first words are yours.";
    for (const one of data.invocations) invocation(one);
    if (data.run?.state === "ended") end(data.run);
    pane.scrollTop = pane.scrollHeight;
    clock();
  },
  run(data) {
    if (data.state === "running") begin(data);
    else if (data.id === run?.id) { run = data; end(data); }
    clock();
  },
  invocation,
  network(data) { if (data.gone || data.deleted) leave(); },
};

/** Seconds until a prompt may be sent, as far as is known here. */
function left() {
  const locked = run?.state === "running" ? Math.min(Date.parse(run.lockout_until) - now(), whole()) : 0;
  return Math.max(locked, until - now(), 0) / 1000;
}

const whole = () => Date.parse(run.lockout_until) - Date.parse(run.started_at);

function clock() {
  const running = run?.state === "running", wait = left();
  lamp.dataset.state = lamp.textContent = running ? "running" : "idle";
  meter.style.setProperty("--left", running && whole() > 0 ? Math.min((wait * 1000) / whole(), 1) : 0);
  send.disabled = sending || wait > 0;
  send.textContent = wait > 0 ? `${Math.ceil(wait)} s` : "Send";
  ask.dataset.locked = wait > 0 ? "yes" : "no";
  const said = refusal || (wait > 0 ? "Somebody's prompt has just begun. Yours can follow when the bar has run out." : plain);
  if (says.textContent !== said) says.textContent = said;
  says.classList.toggle("bad", Boolean(refusal));
  if (expires && now() >= expires) leave();
}

function leave() {
  location.replace(`/networks/${ask.dataset.network}/terminal/expired`);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const prompt = input.value.trim();
  if (!prompt || sending || left() > 0) return clock();
  sending = true;
  refusal = "";
  clock();
  try {
    const headers = { "Content-Type": "application/json" };
    if (ask.dataset.token) headers["X-Terminal-Token"] = ask.dataset.token;
    if (ask.dataset.csrf) headers["X-CSRF-Token"] = ask.dataset.csrf;
    const answer = await fetch(`/api/networks/${ask.dataset.network}/prompts`, { method: "POST", headers, body: JSON.stringify({ prompt }) });
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) {
      input.value = "";
      pane.scrollTop = pane.scrollHeight;
    } else if (answer.status === 401) {
      return leave();
    } else if (said.seconds_left) {
      until = now() + said.seconds_left * 1000;
    } else {
      refusal = said.problems?.[0] ?? said.detail ?? "That did not work; try again.";
    }
  } catch {
    refusal = "The server can't be reached. Your words are still here; try again in a moment.";
  } finally {
    sending = false;
    clock();
  }
});
input.addEventListener("input", () => { if (refusal) { refusal = ""; clock(); } });
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== input) { event.preventDefault(); input.focus(); }
});

input.required = false; // what is wrong is said below
if (matchMedia("(pointer: coarse)").matches) input.blur(); // a keyboard that jumps up hides the stream
setInterval(clock, 250);
new Stream(ask.dataset.events, (kind, data) => handlers[kind]?.(data), (connected) => { if (!connected) lamp.dataset.state = "retrying"; });
