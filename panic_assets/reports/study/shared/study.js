// An article about a study: choosing an arm lets the others fade, in all charts at once. Again, or Escape, brings them back.
for (const study of document.querySelectorAll(".study")) {
  const keys = [...study.querySelectorAll(".arm-key")];
  let kept = null;
  const show = (arm) => {
    for (const one of study.querySelectorAll(".chart [data-arm]")) one.classList.toggle("away", arm !== null && one.dataset.arm !== arm);
  };
  const keep = (arm) => {
    kept = arm;
    for (const key of keys) key.setAttribute("aria-pressed", String(key.dataset.arm === arm));
    show(arm);
  };
  for (const key of keys) {
    key.addEventListener("click", () => keep(kept === key.dataset.arm ? null : key.dataset.arm));
    key.addEventListener("pointerenter", () => show(key.dataset.arm));
    key.addEventListener("pointerleave", () => show(kept));
  }
  study.addEventListener("keydown", (event) => { if (event.key === "Escape") keep(null); });
}
