// The code for visitors renews itself long before it runs out; the old one stays until the new one has come.
const image = document.getElementById("qr");
const address = location.pathname + ".svg";
let held = null;

async function renew() {
  let wait = Number(image.dataset.refresh) * 1000;
  try {
    const answer = await fetch(address, { cache: "no-store" });
    if (answer.redirected || answer.status === 401) return location.reload(); // the operator's session is over
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = URL.createObjectURL(await answer.blob());
    image.src = fresh;
    if (held) URL.revokeObjectURL(held);
    held = fresh;
    image.dataset.renewed = Number(image.dataset.renewed ?? 0) + 1;
  } catch {
    wait = Math.min(wait, 5000);
  }
  setTimeout(renew, wait);
}
setTimeout(renew, Number(image.dataset.refresh) * 1000);
