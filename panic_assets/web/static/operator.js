// Forms of operators: what a button asks of the server is put into the page without leaving it. Without this script the
// same buttons load the page anew, and do the same.

const draft = document.getElementById("draft");

draft?.addEventListener("click", async (event) => {
  const button = event.target.closest("#ring button[name=do]");
  if (!button) return;
  event.preventDefault();
  const form = new FormData(draft);
  form.set("do", button.value);
  const answer = await fetch(button.formAction, { method: "POST", body: new URLSearchParams(form) });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("ring");
  if (!fresh) return draft.submit(); // signed out meanwhile: the server says so
  document.getElementById("ring").replaceWith(fresh);
  const [what, place] = button.value.split(":");
  const near = what === "up" ? Number(place) - 1 : what === "down" ? Number(place) + 1 : Number(place);
  const again = fresh.querySelector(`[value="${what}:${near}"]:not(:disabled)`) ?? fresh.querySelector("select");
  (what === "add" ? fresh.querySelector("select") : again)?.focus();
});

draft?.addEventListener("input", (event) => {
  if (!event.target.closest("#ring")) document.getElementById("kept")?.replaceChildren("not saved");
});
draft?.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.target.matches("#ring select")) return;
  event.preventDefault();
  document.querySelector("#ring [value=add]")?.click();
});

for (const select of document.querySelectorAll("select[name=kind]")) {
  const show = () => { select.closest(".watcher").dataset.kind = select.value; };
  select.addEventListener("change", show);
  show();
}
for (const form of document.querySelectorAll("form[data-sure]")) {
  form.addEventListener("submit", (event) => { if (!confirm(form.dataset.sure)) event.preventDefault(); });
}
