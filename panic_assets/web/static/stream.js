// Server-sent events that never give up: read by fetch rather than EventSource, so that the comments which keep a
// silent stream alive can be seen, the place is kept over reconnects, and a refusal can be told from an outage.

import { mayHold, news, untilNews } from "./turns.js";

const SILENCE = 50_000; // ms without a byte, three missed signs of life: the connection is dead without knowing it
const VISIT = 150; // ms without a byte that end a visit, where no stream may be held
const VISITS = 3000; // ms between visits that nobody asked for
const WAITS = [250, 500, 1000, 2000, 4000, 8000];
const LONGEST_EVENT = 4_000_000; // characters

/** One event's lines into {kind, id, data}; null where there is no data. */
export function parse(block) {
  let kind = "message", id = null;
  const data = [];
  for (const line of block.split(/\r\n|\n|\r/)) {
    const at = line.indexOf(":");
    if (at === 0 || line === "") continue;
    const field = at < 0 ? line : line.slice(0, at);
    const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
    if (field === "event") kind = value;
    else if (field === "id") id = value;
    else if (field === "data") data.push(value);
  }
  return data.length ? { kind, id, data: data.join("\n") } : null;
}

export class Stream {
  /** `tell(kind, data)` gets every event; `lamp(connected)` every change of the connection. */
  constructor(url, tell, lamp = () => {}, silence = SILENCE) {
    Object.assign(this, { url, tell, lamp, silence, place: null, tries: 0, connected: false, request: null });
    this.build = document.querySelector("meta[name=build]")?.content;
    this.#go();
  }

  /** Forget the place and begin with the present state. */
  renew() {
    this.place = null;
    this.tries = 0;
    this.request?.abort();
  }

  async #go() {
    for (;;) {
      const lost = this.tries > 0;
      try {
        await this.#read(lost);
      } catch { /* an outage, told by the lamp */ }
      this.#light(this.tries === 0);
      if (this.tries > 0) await new Promise((done) => setTimeout(done, wait(this.tries)));
      else if (this.place && !mayHold()) await untilNews(VISITS);
      else await new Promise((done) => setTimeout(done, 50));
    }
  }

  async #read(lost) {
    const request = this.request = new AbortController();
    const held = mayHold();
    let dog = 0;
    const alive = (isOpen) => {
      clearTimeout(dog);
      dog = setTimeout(() => request.abort(), isOpen && !held && this.place ? VISIT : this.silence);
    };
    this.tries += 1; // until a byte has come
    try {
      alive(false);
      const headers = { Accept: "text/event-stream", ...(this.place && { "Last-Event-ID": this.place }) };
      const answer = await fetch(this.url, { headers, signal: request.signal, cache: "no-store" });
      if (!answer.ok || !answer.body) throw new Error(`status ${answer.status}`);
      if (lost) await reloadIfUpgraded(this.build);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done || request.signal.aborted) return;
        this.tries = 0;
        this.#light(true);
        rest += value;
        const blocks = rest.split(/\r\n\r\n|\n\n|\r\r/);
        rest = blocks.pop();
        if (rest.length > LONGEST_EVENT) throw new Error("an event without an end");
        const told = blocks.map(parse).filter(Boolean);
        for (const event of told) this.#event(event);
        if (held && told.length) news();
        if (request.signal.aborted) return;
        alive(true);
      }
    } finally {
      clearTimeout(dog);
      request.abort();
    }
  }

  #event(event) {
    if (event.id) this.place = event.id;
    let data;
    try { data = JSON.parse(event.data); } catch { return; }
    if (event.kind === "network" && data.reload) return this.renew();
    this.tell(event.kind, data);
  }

  #light(connected) {
    if (connected !== this.connected) this.lamp(this.connected = connected);
  }
}

/** Load the page anew, but only from a server that answers: a screen must not end at a browser's error page. */
export async function reloadWhenServed() {
  for (let tries = 1; ; tries += 1) {
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (answer.ok || answer.status === 404) return location.reload();
    } catch { /* not yet */ }
    await new Promise((done) => setTimeout(done, wait(tries)));
  }
}

async function reloadIfUpgraded(build) {
  const answer = await fetch("/static/build", { cache: "no-store" });
  if (answer.ok && build && (await answer.text()).trim() !== build) await reloadWhenServed();
}

function wait(tries) {
  // A hall of screens must not come back in one instant.
  return WAITS[Math.min(tries - 1, WAITS.length - 1)] * (0.75 + Math.random() / 2);
}
