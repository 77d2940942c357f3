// A split-flap board: every flap turns through what lies between the old sign and the new one, a few at a time.

const SIGNS = " ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!@#$()-+&=;:'\"%,./?°";
const TURN = 70; // ms
const MOST = 6; // signs on the way, whatever the distance

export class Flaps {
  constructor(node, rows, columns) {
    Object.assign(this, { rows, columns, timer: 0, still: matchMedia("(prefers-reduced-motion: reduce)") });
    this.flaps = Array.from({ length: rows * columns }, () => {
      const flap = node.appendChild(document.createElement("span"));
      flap.className = "flap";
      flap.setAttribute("aria-hidden", "true");
      return { node: flap, shown: " ", wanted: " ", way: 0 };
    });
  }

  /** Turn to a text of up to `rows` lines, centred as a board does it. */
  show(text) {
    const lines = text.split("\n").slice(0, this.rows).map((line) => [...line].slice(0, this.columns));
    const above = Math.floor((this.rows - lines.length) / 2);
    this.flaps.forEach((flap, place) => {
      const line = lines[Math.floor(place / this.columns) - above] ?? [];
      const before = Math.floor((this.columns - line.length) / 2);
      flap.wanted = line[(place % this.columns) - before] ?? " ";
      flap.way = flap.wanted === flap.shown ? 0 : this.still.matches ? 1 : 2 + (place * 7 + flap.wanted.charCodeAt(0)) % (MOST - 1);
    });
    if (!this.timer) this.#turn();
  }

  #turn() {
    let moving = false;
    for (const flap of this.flaps) {
      if (!flap.way) { flap.node.classList.remove("turning"); continue; }
      flap.way -= 1;
      const at = Math.max(SIGNS.indexOf(flap.shown), 0);
      flap.shown = flap.way ? SIGNS[(at + 1) % SIGNS.length] : flap.wanted;
      flap.node.textContent = flap.shown;
      flap.node.classList.toggle("turning", flap.way > 0);
      moving = true;
    }
    this.timer = moving ? setTimeout(() => this.#turn(), TURN) : 0;
  }
}
