// What the slots of a screen hold. Where an invocation belongs is the server's to say; here late and repeated news is
// dropped, and a later run clears what was there.

/** Grows with each step of a run, so that an older state never comes after a newer one. */
function isNewer(one, other) {
  const place = ({ sequence_number, state, attempts }) =>
    [sequence_number, state === "completed" || state === "failed" ? 1 : 0, attempts, state === "ready" ? 1 : 0];
  const [a, b] = [place(one), place(other)];
  const at = a.findIndex((value, index) => value !== b[index]);
  return at >= 0 && a[at] > b[at];
}

/** The slots of one screen; tells `changed(slot, invocation or null)`. */
export class Slots {
  constructor(count, changed) {
    Object.assign(this, { changed, run: null, number: 0, held: Array(count).fill(null) });
  }

  /** Begin with a run (null: none) and what each slot shows of it. */
  state(run, slots) {
    this.run = run?.id ?? null;
    this.number = run?.number ?? 0;
    const before = this.held;
    this.held = before.map((_, slot) => slots[slot] ?? null);
    this.held.forEach((invocation, slot) => { if (invocation || before[slot]) this.changed(slot, invocation); });
  }

  runs(run) {
    if (run.number > this.number) this.state(run, []);
  }

  invocation(slot, invocation) {
    const before = this.held[slot];
    if (invocation.run_id !== this.run || (before && !isNewer(invocation, before))) return;
    this.held[slot] = invocation;
    this.changed(slot, invocation);
  }
}
