// A network's page: what it does now, counted down, and its latest outputs.

import { Stream } from "./stream.js";
import { ending, media } from "./words.js";

const FRAMES = 12;
const live = document.getElementById("live"), strip = document.getElementById("strip");
const at = (name) => document.getElementById(name);
const late = Date.parse(live.dataset.now) - Date.now();
const now = () => Date.now() + late;
let status = null, run = null, lockedUntil = 0, asked = 0, shownNow = null;

function frame(shown) {
  const item = document.createElement("li"), link = item.appendChild(document.createElement("a"));
  link.className = shown.state === "failed" ? "frame failed" : "frame";
  link.href = `/i/${shown.id}`;
  link.dataset.id = shown.id;
  const add = (tag, name, text) => Object.assign(link.appendChild(document.createElement(tag)), { className: name, textContent: text });
  if (shown.state === "failed") add("span", "centre", "failed");
  else if (shown.state !== "completed") add("span", "centre", "P!");
  else if (shown.output.medium === "image") Object.assign(add("img", "", ""), { src: media(shown.output.key), alt: `Output ${shown.sequence_number}` });
  else if (shown.output.medium === "audio") add("span", "centre", "\u266a");
  else add("span", "words", shown.output.text.slice(0, 140));
  add("span", "no", shown.sequence_number);
  return item;
}

function invocation(shown) {
  if (run && shown.run_id !== run.id) return;
  const old = strip.querySelector(`[data-id="${CSS.escape(shown.id)}"]`)?.parentElement;
  if (old) old.replaceWith(frame(shown));
  else strip.prepend(frame(shown));
  while (strip.children.length > FRAMES) strip.lastElementChild.remove();
  if (shown.state === "completed" && !(shown.id === shownNow)) { shownNow = shown.id; if (run) run.completed = Math.max(run.completed, shown.sequence_number + 1); }
  for (const station of document.querySelectorAll(".chain > li[data-model]")) station.classList.toggle("now", shown.state === "invoking" && station === stationOf(shown));
  ask();
}

function stationOf(shown) {
  const stations = document.querySelectorAll(".chain > li[data-model]");
  return stations[shown.sequence_number % stations.length];
}

function begin(next) {
  run = next;
  if (!next) return;
  at("prompt").textContent = `\u201c${next.prompt}\u201d`;
  at("end").textContent = next.state === "ended" ? `Ended: ${ending(next)}.` : "";
  if (next.state === "ended") for (const station of document.querySelectorAll(".chain > .now")) station.classList.remove("now");
  Object.assign(at("whole"), { href: `/runs/${next.id}`, hidden: false });
}

const handlers = {
  state(data) { begin(data.run); strip.replaceChildren(); for (const one of data.invocations.slice(-FRAMES)) invocation(one); ask(); },
  run(data) { if (data.id !== run?.id) strip.replaceChildren(); begin(data); ask(); },
  invocation,
  network(data) { if (data.gone || data.deleted) location.reload(); },
};

/** What the network does now is asked for when something happened, a moment later, and once in a while. */
function ask(wait = 200) {
  clearTimeout(asked);
  asked = setTimeout(async () => {
    try {
      const answer = await fetch(live.dataset.status, { cache: "no-store" });
      if (answer.ok) {
        status = await answer.json();
        lockedUntil = now() + status.lockout_seconds_left * 1000;
        if (status.run && status.run.id === run?.id) run = { ...run, ...status.run };
      }
    } catch { /* the stream says that the server is away */ }
    ask(15_000);
    tick();
  }, wait);
}

const seconds = (ms) => {
  const whole = Math.max(Math.ceil(ms / 1000), 0);
  return whole < 120 ? `${whole} s` : whole < 7200 ? `${Math.floor(whole / 60)} min` : `${Math.floor(whole / 3600)} h`;
};

function tick() {
  const state = status?.state ?? (run?.state === "running" ? "running" : "idle");
  const going = run?.state === "running";
  const name = going || state !== "idle" ? state : run?.end_reason === "failed" ? "failed" : "idle";
  if (at("state").textContent !== name) { at("state").textContent = name; at("state").dataset.state = name; }
  const next = status?.next_at ? Date.parse(status.next_at) - now() : 0;
  at("next").textContent = going && next > 0 ? seconds(next) : "\u2013";
  at("completed").textContent = run?.completed ?? 0;
  at("age").textContent = going ? seconds(now() - Date.parse(run.started_at)) : "\u2013";
  at("lockout").textContent = going && lockedUntil > now() ? `in ${seconds(lockedUntil - now())}` : "now";
  if (status) at("viewers").textContent = status.viewers;
}

setInterval(tick, 500);
new Stream(live.dataset.events, (kind, data) => handlers[kind]?.(data));
