// What models and people write, as nodes: a little Markdown, no markup. Nothing here ever parses HTML, and a link or a
// picture in a text is only its words: a caption must not lead anywhere, and must not fetch anything.

const LONGEST = 6000;
const INLINE = /(`+)(.+?)\1|\*\*(.+?)\*\*|__(.+?)__|\*(\S(?:.*?\S)?)\*|(?<!\w)_(\S(?:.*?\S)?)_(?!\w)|!?\[([^\]]*)\]\([^)]*\)/s;

/** Put `text` into `node`, in place of what it held. */
export function say(node, text) {
  const blocks = [];
  let list = null;
  for (const block of text.slice(0, LONGEST).trim().split(/\n\s*\n/)) {
    let lines = [];
    const end = () => { if (lines.length) blocks.push(made("p", lines.join("\n"))); lines = []; };
    for (const line of block.split("\n")) {
      const item = line.match(/^\s*(?:([-*+])|\d{1,3}[.)])\s+(.+)$/);
      const heading = line.match(/^#{1,6}\s+(.+?)\s*#*$/);
      if (item) {
        end();
        const kind = item[1] ? "UL" : "OL";
        if (list?.tagName !== kind) blocks.push(list = document.createElement(kind));
        list.append(made("li", item[2]));
      } else {
        list = null;
        if (heading) { end(); blocks.push(made("h3", heading[1])); } else lines.push(line.replace(/^\s*>\s?/, ""));
      }
    }
    end();
  }
  node.replaceChildren(...blocks);
}

function made(tag, text) {
  const node = document.createElement(tag);
  inline(node, text, 0);
  return node;
}

function inline(node, text, depth) {
  while (text) {
    const found = depth < 4 ? text.match(INLINE) : null;
    if (!found) return node.append(text);
    node.append(text.slice(0, found.index));
    const [all, , code, strong, strongToo, em, emToo, label] = found;
    if (code !== undefined) { const inner = document.createElement("code"); inner.textContent = code; node.append(inner); }
    else if (label !== undefined) inline(node, label, depth + 1);
    else inline(node.appendChild(document.createElement((strong ?? strongToo) !== undefined ? "strong" : "em")), strong ?? strongToo ?? em ?? emToo, depth + 1);
    text = text.slice(found.index + all.length);
  }
}

/** The largest letters with which the words of a tile fit into it. */
export function fit(node) {
  const height = node.clientHeight, width = node.clientWidth;
  if (!height) return;
  let low = 9, high = Math.max(Math.min(height / 4, width / 8), 10);
  for (let step = 0; step < 7; step += 1) {
    const size = (low + high) / 2;
    node.style.setProperty("--size", size);
    if (node.scrollHeight > height || node.scrollWidth > width) high = size; else low = size;
  }
  node.style.setProperty("--size", low);
}

const REASONS = {
  moderation: "refused by the model's moderation", quota: "the platform's quota is used up", auth: "the platform let nobody in",
  timeout: "no answer in time", transient: "the platform is not well", invalid: "the model could not use this input",
  cancelled: "cancelled", internal: "something broke",
};

/** An invocation that failed, in a few words for anyone. */
export const reason = (invocation) => REASONS[invocation.error_kind] ?? "failed";

const ENDS = {
  stopped: "stopped by hand", pre_empted: "a new prompt took over", failed: "a model failed", length: "it has reached its greatest length",
  budget: "its budget is used up", duration: "its time was over", restarted: "the server was restarted",
};

/** Why a run ended, in a few words. */
export const ending = (run) => ENDS[run.end_reason] ?? "ended";

export const media = (key) => `/media/${key}`;
