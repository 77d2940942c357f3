// A screen of an installation: from events to tiles, or to the flaps of a board.

import { Flaps } from "./flaps.js";
import { reloadWhenServed, Stream } from "./stream.js";
import { Slots } from "./slots.js";
import { Tile } from "./tile.js";

const root = document.getElementById("screen");
const watcher = JSON.parse(root.dataset.watcher);
const away = document.getElementById("away");

/** A wall of tiles. */
function wall() {
  const rows = watcher.rows ?? 1, columns = watcher.columns ?? 1;
  root.style.gridTemplate = `repeat(${rows}, minmax(0, 1fr)) / repeat(${columns}, minmax(0, 1fr))`;
  const tiles = Array.from({ length: rows * columns }, () => {
    const node = root.appendChild(document.createElement("div"));
    node.className = "tile";
    return new Tile(node);
  });
  const slots = new Slots(tiles.length, (slot, invocation) => tiles[slot].show(invocation));
  return {
    state: (data) => slots.state(data.run, data.slots),
    run: (data) => slots.runs(data),
    invocation: (data) => slots.invocation(data.slot, data.invocation),
  };
}

/** A board: its text is put together by the server, as for a real one. */
function board() {
  const rows = watcher.rows ?? 6, columns = watcher.columns ?? 22;
  const frame = root.querySelector(".flaps");
  frame.style.setProperty("--columns", columns);
  frame.style.setProperty("--rows", rows);
  const flaps = new Flaps(frame, rows, columns);
  const show = (text, invocation) => {
    if (text === undefined) return; // nothing new for a board: it keeps what it has
    Object.assign(root.dataset, { text, id: invocation.id, number: invocation.sequence_number });
    root.setAttribute("aria-label", text);
    flaps.show(text);
  };
  return {
    state: (data) => show(data.text, data.slots[0]),
    invocation: (data) => show(data.text, data.invocation),
  };
}

const handlers = watcher.kind === "vestaboard" ? board() : wall();

/** Every event comes through here. */
export function tell(kind, data) {
  if (kind === "installation" || data.gone) reloadWhenServed(); // moved to another network, made otherwise, or removed
  else handlers[kind]?.(data);
}

export const stream = new Stream(root.dataset.events, tell, (connected) => { away.hidden = connected; });

root.addEventListener("dblclick", () => document.documentElement.requestFullscreen?.().catch(() => {}));
