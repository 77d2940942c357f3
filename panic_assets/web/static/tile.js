// One tile of a screen. Its nodes are made once and used for ever: a screen that is left on for weeks does not grow.

import { fit, media, reason, say } from "./words.js";
import { silence, sound } from "./sound.js";

const RETRIES = [1000, 3000, 9000, 27000, 60000];

export class Tile {
  constructor(node) {
    this.node = node;
    const make = (tag, name) => Object.assign(node.appendChild(document.createElement(tag)), { className: name, hidden: true });
    this.images = [make("img", ""), make("img", "")];
    for (const image of this.images) { image.alt = ""; image.hidden = false; }
    this.front = 0;
    this.words = make("div", "words");
    this.canvas = make("canvas", "");
    this.mark = make("div", "mark");
    this.mark.append(document.createElement("span"));
    this.mark.firstChild.textContent = "P!";
    this.failure = make("p", "failure");
    this.shown = null;
    this.due = false;
    new ResizeObserver(() => { if (!this.words.hidden) fit(this.words); }).observe(node);
  }

  /** Show an invocation, or null for nothing; drawn with the next frame, and only the last of several. */
  show(invocation) {
    this.next = invocation;
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => { this.due = false; this.#draw(this.next); });
  }

  #draw(invocation) {
    const kind = kindOf(invocation);
    this.shown = invocation;
    Object.assign(this.node.dataset, {
      kind, id: invocation?.id ?? "", number: invocation?.sequence_number ?? "", run: invocation?.run_id ?? "",
    });
    this.words.hidden = kind !== "text";
    this.mark.hidden = kind !== "invoking";
    this.failure.hidden = kind !== "failed";
    this.canvas.hidden = kind !== "audio";
    if (kind !== "audio") silence(this.canvas);
    if (kind !== "image") for (const image of this.images) image.classList.remove("shown");
    if (kind === "text") { say(this.words, invocation.output.text ?? ""); fit(this.words); }
    if (kind === "failed") this.failure.textContent = reason(invocation);
    if (kind === "audio") sound(this.canvas, media(invocation.output.key));
    if (kind === "image") this.#picture(invocation, media(invocation.output.key), 0);
  }

  /** The new picture is read behind the old one, and comes to the front when it is whole. */
  async #picture(invocation, address, tries) {
    if (this.shown !== invocation) return;
    const back = this.images[1 - this.front];
    try {
      if (back.getAttribute("src") !== address || tries) back.src = address;
      await back.decode();
    } catch {
      const wait = RETRIES[Math.min(tries, RETRIES.length - 1)];
      if (this.shown === invocation) setTimeout(() => this.#picture(invocation, address, tries + 1), wait);
      return;
    }
    if (this.shown !== invocation || back.getAttribute("src") !== address) return;
    this.images[this.front].classList.remove("shown");
    back.classList.add("shown");
    this.front = 1 - this.front;
  }
}

function kindOf(invocation) {
  if (!invocation) return "blank";
  if (invocation.state === "failed") return "failed";
  return invocation.state === "completed" ? invocation.output.medium : "invoking";
}
