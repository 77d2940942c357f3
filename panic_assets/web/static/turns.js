// A browser opens six connections to a server and no more, for all its windows together. Of many screens in one browser
// a few hold a stream; the others come by when those have news, or after a while.

const HELD = 4;
const FRESH = 150_000; // ms; windows in the background may give a sign of life once a minute only
const PREFIX = "stream ";
const name = `${PREFIX}${Date.now()} ${Math.random().toString(36).slice(2)}`;
const channel = "BroadcastChannel" in window ? new BroadcastChannel("panic") : null;
let wake = () => {}, heard = false;

function sign() {
  try { localStorage.setItem(name, String(Date.now())); } catch { /* a browser that keeps nothing has few windows */ }
}

/** Whether this window may hold a stream: it is among the oldest ones. */
export function mayHold() {
  let older = 0;
  try {
    for (const key of Object.keys(localStorage)) {
      if (!key.startsWith(PREFIX)) continue;
      if (Date.now() - Number(localStorage.getItem(key)) > FRESH) localStorage.removeItem(key);
      else if (key < name) older += 1;
    }
  } catch { /* as above */ }
  return older < HELD;
}

/** Tell the other windows that something has happened. */
export const news = () => channel?.postMessage("news");

/** Until another window has news, or so many milliseconds have passed. */
export function untilNews(most) {
  if (heard) most = 0; // while this window was looking itself
  heard = false;
  return new Promise((done) => {
    const timer = setTimeout(done, most);
    wake = () => { heard = false; clearTimeout(timer); done(); };
  });
}

channel?.addEventListener("message", () => { heard = true; wake(); });
addEventListener("pagehide", () => { try { localStorage.removeItem(name); } catch { /* as above */ } });
addEventListener("pageshow", sign);
sign();
setInterval(sign, 20_000);
