"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const tip = document.getElementById("tip");
  const colour = (n) => data.colours[((n % data.colours.length) + data.colours.length) % data.colours.length];
  const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const vector = (tag, attributes = {}, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const redraws = [];

  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    redraws.forEach((redraw) => redraw());
  });

  // Linked views of one experiment: map, picture, strip and wheel show the same run and step.
  function explorer(root, experiment) {
    const find = (name) => root.querySelector("." + name);
    const [map, spaces, runs, paint] = ["map", "space", "run", "paint"].map(find);
    const sheet = new Image();
    const byNumber = new Map(experiment.drawn.map((run) => [run.run, run]));
    const variety = (one) => new Set(one.outputs).size; // the page begins with the run that has most to show
    const richest = experiment.drawn.reduce((a, b) => (variety(b) > variety(a) ? b : a), experiment.drawn[0]);
    let space = 0, run = richest, step = 0, dots = [];
    if (!run) { root.hidden = true; return; }

    experiment.maps.forEach((one, n) => spaces.append(new Option(`${one.embedding_model}, ${one.modality}s`, n)));
    const labelOf = (one) => `${one.run}: ${experiment.networks[one.network]}, ${one.seed < 0 ? `unseeded ${one.replicate}` : `seed ${one.seed}`}`;
    const promptOf = (one) => (experiment.prompts.find((p) => p.number === one.prompt) || { text: "" }).text;
    experiment.drawn.forEach((one) => runs.append(new Option(labelOf(one), one.run)));

    const tileTo = (canvas, n, size) => {
      const context = canvas.getContext("2d");
      canvas.width = canvas.height = size;
      if (n === null || n === undefined || !experiment.sheet) return;
      const { tile, columns } = experiment.sheet;
      context.imageSmoothingEnabled = true;
      context.drawImage(sheet, (n % columns) * tile, Math.floor(n / columns) * tile, tile, tile, 0, 0, size, size);
    };
    const pictureAt = (one, at) => { for (let n = at; n >= 0; n--) if (typeof one.outputs[n] === "number") return one.outputs[n]; return null; };
    const textAt = (one, at) => { for (let n = at; n >= 0; n--) if (typeof one.outputs[n] === "string") return one.outputs[n]; return promptOf(one); };
    const clusterName = (n) => {
      const one = experiment.maps[space];
      const known = one && (experiment.clusters[`${one.embedding_model}, ${one.modality}`] || []).find((c) => c.cluster === n);
      return n === null || n === undefined ? "" : n < 0 ? "outlier" : known && known.medoid ? `${n}: ${known.medoid}` : String(n);
    };

    function place() {
      const own = experiment.maps[space];
      dots = [];
      if (!own) return;
      for (const [number, held] of Object.entries(own.runs)) {
        const one = byNumber.get(Number(number));
        held.xy.forEach((xy, n) => dots.push({ run: one, at: held.at[n], x: xy[0], y: xy[1], cluster: held.cluster[n] }));
      }
      const ratio = devicePixelRatio || 1, box = map.getBoundingClientRect();
      map.width = box.width * ratio; map.height = box.height * ratio;
      const xs = dots.map((d) => d.x), ys = dots.map((d) => d.y), pad = 18 * ratio;
      const least = (v) => v.reduce((a, b) => Math.min(a, b), Infinity), most = (v) => v.reduce((a, b) => Math.max(a, b), -Infinity);
      const [x0, x1, y0, y1] = [least(xs), most(xs), least(ys), most(ys)];
      const scale = Math.min((map.width - 2 * pad) / (x1 - x0 || 1), (map.height - 2 * pad) / (y1 - y0 || 1));
      const [dx, dy] = [(map.width - scale * (x1 - x0)) / 2, (map.height - scale * (y1 - y0)) / 2];
      place.project = (x, y) => [dx + scale * (x - x0), map.height - dy - scale * (y - y0)];
      dots.forEach((d) => { [d.px, d.py] = place.project(d.x, d.y); });
    }
    const shade = (d) => ({
      network: () => colour(d.run.network), prompt: () => colour(d.run.prompt),
      cluster: () => (d.cluster === null || d.cluster === undefined || d.cluster < 0 ? ink("--line") : colour(d.cluster)),
      step: () => `hsl(${220 - 200 * d.at / Math.max(1, experiment.config.max_length)} 65% 52%)`,
    })[paint.value]();
    function draw() {
      const context = map.getContext("2d"), ratio = devicePixelRatio || 1;
      context.clearRect(0, 0, map.width, map.height);
      context.globalAlpha = 0.35;
      for (const d of dots) { context.fillStyle = shade(d); context.beginPath(); context.arc(d.px, d.py, 2.4 * ratio, 0, 7); context.fill(); }
      const own = dots.filter((d) => d.run === run);
      context.globalAlpha = 0.9; context.strokeStyle = ink("--ink"); context.lineWidth = 1.1 * ratio; context.beginPath();
      own.forEach((d, n) => (n ? context.lineTo(d.px, d.py) : context.moveTo(d.px, d.py)));
      context.stroke(); context.globalAlpha = 1;
      for (const d of own) { context.fillStyle = shade(d); context.beginPath(); context.arc(d.px, d.py, 3.6 * ratio, 0, 7); context.fill(); }
      const held = experiment.maps[space] && experiment.maps[space].runs[run.run];
      if (held && held.prompt) { // the prompt is a ring
        const [x, y] = place.project(...held.prompt);
        context.strokeStyle = ink("--ink"); context.lineWidth = 1.6 * ratio; context.beginPath(); context.arc(x, y, 5 * ratio, 0, 7); context.stroke();
      }
      const now = own.filter((d) => d.at <= step).pop() || own[0];
      if (now) { context.strokeStyle = ink("--accent"); context.lineWidth = 3 * ratio; context.beginPath(); context.arc(now.px, now.py, 8 * ratio, 0, 7); context.stroke(); }
    }
    function tell() {
      tileTo(find("picture"), pictureAt(run, step), 256);
      find("said").textContent = textAt(run, step);
      const dot = dots.find((d) => d.run === run && d.at === step);
      const facts = {
        run: run.run, prompt: promptOf(run), network: experiment.networks[run.network],
        seed: run.seed < 0 ? "none" : run.seed, place: `${step} of ${run.outputs.length}`,
        ended: run.stop === "cycle" ? `in a cycle of ${run.cycle} after ${run.transient}` : run.stop || "not yet",
        cluster: dot ? clusterName(dot.cluster) : "",
      };
      find("facts").replaceChildren(...Object.entries(facts).filter(([, v]) => v !== "").flatMap(([k, v]) => [make("dt", {}, k), make("dd", {}, String(v))]));
      for (const button of find("strip").children) {
        const current = Number(button.dataset.step) === step;
        button.setAttribute("aria-current", current);
        if (current) { const strip = find("strip"); strip.scrollLeft = button.offsetLeft - strip.offsetLeft - strip.clientWidth / 2 + button.clientWidth / 2; }
      }
    }
    function strip() {
      const most = 240; // of a very long run the strip shows its beginning
      find("strip").replaceChildren(...run.outputs.slice(0, most).map((output, n) => {
        const button = make("button", { type: "button", role: "listitem", "data-step": n, title: `invocation ${n}` });
        if (typeof output === "string") { button.className = "text"; button.textContent = output || "(empty)"; }
        else { const canvas = make("canvas", { "aria-label": `picture of invocation ${n}` }); tileTo(canvas, output, 64); button.append(canvas); }
        button.addEventListener("click", () => choose(run, n));
        return button;
      }));
      wheel();
    }
    function wheel() {
      const place = find("wheel");
      place.replaceChildren();
      if (run.stop !== "cycle" || !run.cycle) return;
      const members = run.outputs.slice(run.transient, run.transient + run.cycle), size = 150, svg = vector("svg", { viewBox: `0 0 ${size} ${size}`, width: size, role: "img", "aria-label": `cycle of ${run.cycle}` });
      svg.append(vector("circle", { cx: size / 2, cy: size / 2, r: 52, fill: "none", stroke: "var(--line)" }));
      members.forEach((output, n) => {
        const angle = (2 * Math.PI * n) / members.length - Math.PI / 2, x = size / 2 + 52 * Math.cos(angle), y = size / 2 + 52 * Math.sin(angle);
        if (typeof output === "number") {
          const canvas = document.createElement("canvas"); tileTo(canvas, output, 64);
          svg.append(vector("image", { href: canvas.toDataURL(), x: x - 17, y: y - 17, width: 34, height: 34 }));
        } else { const dot = vector("circle", { cx: x, cy: y, r: 7, fill: colour(run.network) }); dot.append(vector("title", {}, output)); svg.append(dot); }
      });
      place.append(svg, make("span", {}, `A cycle of ${run.cycle} outputs, reached after ${run.transient}: dots are texts.`));
    }
    function choose(one, at) {
      const other = one !== run;
      run = one; step = Math.max(0, Math.min(at, run.outputs.length - 1));
      runs.value = run.run;
      if (other) strip();
      draw(); tell();
    }
    const nearest = (event) => {
      const box = map.getBoundingClientRect(), ratio = map.width / box.width;
      const x = (event.clientX - box.left) * ratio, y = (event.clientY - box.top) * ratio;
      let best = null, least = (16 * ratio) ** 2;
      for (const d of dots) { const far = (d.px - x) ** 2 + (d.py - y) ** 2 - (d.run === run ? 25 : 0); if (far < least) { least = far; best = d; } }
      return best;
    };
    map.addEventListener("pointermove", (event) => {
      const d = nearest(event);
      tip.hidden = !d;
      if (!d) return;
      const canvas = document.createElement("canvas"); tileTo(canvas, pictureAt(d.run, d.at), 96);
      tip.replaceChildren(canvas, make("div", {}, textAt(d.run, d.at)), make("div", { class: "faint" }, `run ${d.run.run}, ${d.at}${d.cluster === null || d.cluster === undefined ? "" : `, cluster ${clusterName(d.cluster)}`}`));
      tip.style.left = Math.min(event.clientX + 14, innerWidth - 260) + "px";
      tip.style.top = Math.min(event.clientY + 14, innerHeight - 190) + "px";
    });
    map.addEventListener("pointerleave", () => { tip.hidden = true; });
    map.addEventListener("click", (event) => { const d = nearest(event); if (d) choose(d.run, d.at); });
    root.addEventListener("keydown", (event) => {
      if (event.target.tagName === "SELECT") return;
      const n = experiment.drawn.indexOf(run), last = experiment.drawn.length - 1;
      const moves = { ArrowRight: [run, step + 1], ArrowLeft: [run, step - 1], ArrowDown: [experiment.drawn[Math.min(last, n + 1)], step], ArrowUp: [experiment.drawn[Math.max(0, n - 1)], step], Home: [run, 0], End: [run, Infinity] };
      if (moves[event.key]) { choose(...moves[event.key]); event.preventDefault(); }
    });
    spaces.addEventListener("change", () => { space = Number(spaces.value); resize(); });
    runs.addEventListener("change", () => choose(byNumber.get(Number(runs.value)), 0));
    paint.addEventListener("change", draw);
    function resize() {
      const own = experiment.maps[space];
      find("explained").textContent = own ? `${Math.round(100 * own.explained)} % of the variance; ${experiment.drawn.length} of ${experiment.counts.runs} runs` : "nothing was embedded";
      place(); draw(); tell();
    }
    const start = () => {
      runs.value = run.run;
      strip(); resize();
      if (experiment === data.experiments[0]) document.querySelectorAll("canvas.tile").forEach((c) => tileTo(c, Number(c.dataset.tile), 48));
    };
    addEventListener("resize", resize);
    redraws.push(draw);
    if (experiment.sheet) { sheet.onload = start; sheet.src = experiment.sheet.uri; } else start();
  }

  // Curves with bands: a panel for each curve, space and contrast; a line for each network (and experiment).
  const AT_FIRST = 6; // panels of an analysis; the others are folded away
  function charts(root) {
    const panels = new Map(), labels = new Map(), several = data.experiments.length > 1;
    data.experiments.forEach((experiment, n) => (experiment.curves[root.dataset.analysis] || []).forEach((curve) => {
      const points = curve.x.map((x, at) => [x, curve.value[at], curve.low[at], curve.high[at]]).filter((p) => p[1] !== null);
      if (!points.length) return;
      const space = curve.embedding_model && `${curve.embedding_model}, ${curve.modality}`;
      const name = [curve.curve.replaceAll("_", " "), space, curve.contrast].filter(Boolean).join(" · ");
      const label = [several && experiment.experiment, curve.network || "all"].filter(Boolean).join(": ");
      const line = { points, label, unit: curve.x_unit, stroke: colour(several ? 3 * n + curve.colour + 1 : Math.max(0, curve.colour)), dash: several && n ? "5 3" : "" };
      if (!panels.has(name)) panels.set(name, { name, curve: curve.curve, lines: [] });
      panels.get(name).lines.push(line);
      labels.set(label, line.stroke);
    }));
    // Of each curve one panel, then the second of each, and so on: the first ones show as much as possible.
    const turn = new Map(), order = [...panels.values()].map((panel) => { turn.set(panel.curve, (turn.get(panel.curve) || 0) + 1); return [turn.get(panel.curve), panel]; });
    const drawn = order.sort((a, b) => a[0] - b[0]).map(([, panel]) => chart(panel));
    if (!drawn.length) return;
    if (labels.size > 1) root.before(make("div", { class: "legend" }, ...[...labels].map(([label, stroke]) => { const dot = make("span", { class: "dot" }); dot.style.setProperty("--own", stroke); return make("span", {}, dot, label); })));
    root.append(...drawn.slice(0, AT_FIRST));
    if (drawn.length > AT_FIRST) root.after(make("details", {}, make("summary", {}, `${drawn.length - AT_FIRST} more panels`), make("div", { class: "charts" }, ...drawn.slice(AT_FIRST))));
  }
  function chart({ name, lines }) {
    const width = 330, height = 190, left = 40, bottom = 28, top = 6, right = 8;
    const least = (v) => v.reduce((a, b) => Math.min(a, b), Infinity), most = (v) => v.reduce((a, b) => Math.max(a, b), -Infinity);
    const xs = lines.flatMap((l) => l.points.map((p) => p[0])), ys = lines.flatMap((l) => l.points.flatMap((p) => p.slice(1))).filter((v) => v !== null);
    let [x0, x1, y0, y1] = [least(xs), most(xs), least(ys), most(ys)];
    if (y0 > 0 && y0 < 0.5 * y1) y0 = 0;
    if (y0 === y1) { y0 -= 0.5; y1 += 0.5; }
    if (x0 === x1) { x0 -= 0.5; x1 += 0.5; }
    const px = (x) => left + ((x - x0) / (x1 - x0)) * (width - left - right), py = (y) => height - bottom - ((y - y0) / (y1 - y0)) * (height - bottom - top);
    const svg = vector("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": name });
    for (const y of ticks(y0, y1, 4)) svg.append(vector("line", { class: "axis", x1: left, x2: width - right, y1: py(y), y2: py(y) }), vector("text", { x: left - 4, y: py(y) + 3, "text-anchor": "end" }, short(y)));
    for (const x of ticks(x0, x1, 5)) svg.append(vector("text", { x: px(x), y: height - bottom + 13, "text-anchor": "middle" }, short(x)));
    svg.append(vector("text", { x: (left + width) / 2, y: height - 3, "text-anchor": "middle" }, lines[0].unit));
    const at = (x, y) => `${px(x).toFixed(1)} ${py(y).toFixed(1)}`;
    for (const { points, label, stroke, dash } of lines) {
      const banded = points.filter((p) => p[2] !== null && p[3] !== null);
      if (banded.length > 1) svg.append(vector("path", { class: "band", fill: stroke, d: `M${[...banded.map((p) => at(p[0], p[3])), ...banded.slice().reverse().map((p) => at(p[0], p[2]))].join("L")}Z` }));
      const drawn = points.length > 1 ? vector("path", { class: "line", stroke, "stroke-dasharray": dash, d: `M${points.map((p) => at(p[0], p[1])).join("L")}` }) : vector("circle", { cx: px(points[0][0]), cy: py(points[0][1]), r: 3, fill: stroke });
      drawn.append(vector("title", {}, label));
      svg.append(drawn);
    }
    return make("figure", { class: "chart" }, make("figcaption", {}, name), svg);
  }
  function ticks(low, high, count) {
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw || 1)), step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw) || power, found = [];
    for (let value = Math.ceil(low / step) * step; value <= high + 1e-9 * step; value += step) found.push(Math.abs(value) < 1e-9 * step ? 0 : value);
    return found;
  }
  const short = (v) => (Math.abs(v) >= 1e4 || (v !== 0 && Math.abs(v) < 1e-3) ? v.toExponential(0) : String(Number(v.toPrecision(3))));

  document.querySelectorAll(".charts").forEach(charts);
  document.querySelectorAll(".explorer").forEach((root) => explorer(root, data.experiments[Number(root.dataset.experiment)]));
})();
