// Sounds on a screen: the newest one plays, round and round; every one is drawn as the shape of its loudness.

const BARS = 72;
const KEPT = 24; // shapes in memory
const shapes = new Map();
const player = new Audio();
player.loop = true;
let shownBy = null;

/** The loudness of a sound in BARS steps of 0 to 1; null if it can't be read. */
async function shapeOf(address) {
  if (shapes.has(address)) return shapes.get(address);
  let shape = null;
  try {
    const bytes = await (await fetch(address)).arrayBuffer();
    const sound = await new OfflineAudioContext(1, 1, 22050).decodeAudioData(bytes);
    const samples = sound.getChannelData(0), width = Math.max(1, Math.floor(samples.length / BARS));
    shape = Array.from({ length: BARS }, (_, bar) => {
      let most = 0;
      for (let at = bar * width; at < Math.min((bar + 1) * width, samples.length); at += 1) most = Math.max(most, Math.abs(samples[at]));
      return most;
    });
    const top = Math.max(...shape, 0.01);
    shape = shape.map((value) => value / top);
  } catch { return null; }
  shapes.set(address, shape);
  if (shapes.size > KEPT) shapes.delete(shapes.keys().next().value);
  return shape;
}

function draw(canvas, shape, played) {
  const width = canvas.width = Math.max(canvas.clientWidth, 1), height = canvas.height = Math.max(canvas.clientHeight, 1);
  const pen = canvas.getContext("2d"), step = (width * 0.86) / BARS;
  for (let bar = 0; bar < BARS; bar += 1) {
    const size = Math.max((shape ? shape[bar] : 0.05) * height * 0.62, 2);
    pen.fillStyle = bar / BARS < played ? "#7cc98a" : "#33443b";
    pen.fillRect(width * 0.07 + bar * step, (height - size) / 2, step * 0.62, size);
  }
}

/** Show and play a sound on a tile's canvas. The browser may want a touch before it plays; it is drawn all the same. */
export async function sound(canvas, address) {
  canvas.dataset.sound = address;
  draw(canvas, null, 0);
  if (player.getAttribute("src") !== address) player.src = address;
  shownBy = canvas;
  player.play().catch(() => {});
  const shape = await shapeOf(address);
  let bar = -1;
  const follow = () => {
    if (canvas.dataset.sound !== address) return;
    const mine = shownBy === canvas && player.duration > 0;
    const now = mine ? Math.floor((player.currentTime / player.duration) * BARS) : 0;
    if (now !== bar) draw(canvas, shape, (bar = now) / BARS);
    if (mine && !player.paused) requestAnimationFrame(follow);
  };
  if (canvas.dataset.sound === address) { draw(canvas, shape, 0); follow(); }
}

/** The canvas shows a sound no longer. */
export function silence(canvas) {
  delete canvas.dataset.sound;
  if (shownBy !== canvas) return;
  shownBy = null;
  player.pause();
  player.removeAttribute("src");
}
