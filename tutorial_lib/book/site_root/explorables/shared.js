// What the explorables share: an element that runs only while it is seen, its controls, its axes, its random numbers.
// A classic script, so that it works in a page opened from a file, and inline in Colab.
(() => {
  if (globalThis.Companion) return; // a second output in the same page brings it again

  const STYLE = `
    :host { display: block; margin: 1rem 0; max-width: 100%; }
    .explorable {
      --ink: #1a1a1a; --soft: #5b5b5b; --line: #c9c9c9; --paper: #ffffff; --panel: #f6f4ee;
      --blue: #0072b2; --orange: #d55e00; --green: #009e73; --wine: #882255; --indigo: #332288;
      --type: 15px;
      color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
      padding: 0.8rem; font: 1rem/1.4 system-ui, sans-serif; box-sizing: border-box;
    }
    /* A projector: the last row reads it too. */
    .explorable.stage-size { --type: 21px; font-size: 1.3rem; }
    .explorable.dark {
      --ink: #f0f0f0; --soft: #b8b8b8; --line: #5a5a5a; --paper: #17191c; --panel: #24272b;
      --blue: #56b4e9; --orange: #ff9a52; --green: #4ad6ae; --wine: #ef8fb8; --indigo: #aab4ff;
    }
    .controls { display: flex; flex-wrap: wrap; gap: 0.5rem 1.2rem; align-items: end; margin-bottom: 0.6rem; }
    .control { display: flex; flex-direction: column; gap: 0.15rem; min-width: 0; border: 0; padding: 0; margin: 0; }
    .control > label, .control > legend { font-size: 0.9rem; color: var(--soft); padding: 0; }
    .control output { font-variant-numeric: tabular-nums; color: var(--ink); }
    .options { display: flex; flex-wrap: wrap; gap: 0.3rem; }
    .options label {
      position: relative; border: 1px solid var(--line); border-radius: 6px; padding: 0.4rem 0.7rem; cursor: pointer;
      min-height: 1.6rem; display: flex; align-items: center;
    }
    .options input { position: absolute; inset: 0; opacity: 0; margin: 0; cursor: pointer; width: 100%; height: 100%; }
    .options label:has(input:checked) { background: var(--ink); color: var(--paper); border-color: var(--ink); }
    .options label:has(input:focus-visible), button:focus-visible, input:focus-visible, [tabindex]:focus-visible {
      outline: 3px solid var(--orange); outline-offset: 2px;
    }
    input[type=range] { width: min(16rem, 70vw); height: 2rem; margin: 0; accent-color: var(--ink); }
    button {
      font: inherit; color: var(--ink); background: var(--panel); border: 1px solid var(--line); border-radius: 6px;
      padding: 0.4rem 0.9rem; min-height: 2.4rem; cursor: pointer;
    }
    svg { display: block; width: 100%; height: auto; overflow: visible; touch-action: pan-y; }
    svg text { fill: var(--ink); font: var(--type) system-ui, sans-serif; }
    svg text.label { paint-order: stroke; stroke: var(--paper); stroke-width: 5px; stroke-linejoin: round; }
    svg .axis { stroke: var(--soft); fill: none; }
    svg .grid { stroke: var(--line); opacity: 0.5; }
    .says { margin: 0.6rem 0 0; }
    slot { display: none; }
    @media print { .explorable { display: none; } slot { display: block; } }
  `;

  /** An element with a shadow tree; its own content, a still figure, is what is printed and shown without scripts. */
  class Explorable extends HTMLElement {
    connectedCallback() {
      if (this.shadowRoot) return; // moved, not made
      const root = this.attachShadow({ mode: "open" });
      root.append(node("style", {}, STYLE + (this.constructor.style || "")));
      this.panel = root.appendChild(node("div", { class: "explorable" }));
      root.append(node("slot"));
      this.controls = this.panel.appendChild(node("div", { class: "controls" }));
      this.stage = this.panel.appendChild(node("div", { class: "stage" }));
      this.says = this.panel.appendChild(node("p", { class: "says", "aria-live": "polite" }));
      this.calm = matchMedia("(prefers-reduced-motion: reduce)");
      this.watchColours();
      this.watchSize();
      this.build();
      this.running = false;
      this.watcher = new IntersectionObserver((entries) => {
        const seen = entries[entries.length - 1].isIntersecting;
        if (seen && !this.running) { this.running = true; this.start(); }
        if (!seen && this.running) { this.running = false; this.stop(); }
      });
      this.watcher.observe(this.panel);
    }

    disconnectedCallback() {
      this.watcher?.disconnect();
      if (this.running) { this.running = false; this.stop(); }
    }

    build() {} // once: controls and first picture
    redraw() {} // the colours or the size have changed
    start() {} // it is on the screen
    stop() {} // it no longer is

    /** One sentence about what is seen; a screen reader says it when it has not changed for a moment. */
    say(text) {
      clearTimeout(this.saying);
      this.saying = setTimeout(() => { this.says.textContent = text; }, this.says.textContent ? 150 : 0);
    }

    watchColours() {
      const page = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)");
      const follow = () => {
        const theme = page.dataset.theme || page.getAttribute("theme"); // the book's pages; Colab
        this.panel.classList.toggle("dark", theme ? theme === "dark" : system.matches);
        if (this.running !== undefined) this.redraw();
      };
      follow();
      system.addEventListener("change", follow);
      new MutationObserver(follow).observe(page, { attributes: true, attributeFilter: ["data-theme", "theme"] });
    }

    /** What fits: the width and height of a picture in pixels, and the size of its letters. */
    watchSize() {
      const projector = matchMedia("(min-width: 1200px) and (max-height: 740px)");
      const measure = () => {
        const width = Math.max(300, Math.min(900, this.stage.clientWidth || 700));
        const type = projector.matches ? 21 : 15;
        this.panel.classList.toggle("stage-size", projector.matches);
        if (this.size && this.size.width === width && this.size.type === type) return;
        this.size = { width, height: Math.round(Math.max(280, Math.min(0.6 * width, 460))), type };
        if (this.running !== undefined) this.redraw();
      };
      measure();
      new ResizeObserver(measure).observe(this.stage);
      projector.addEventListener("change", measure);
    }

    /** A slider with its name and its value, announced with its unit. */
    slider({ label, min, max, step, value, show = String, change }) {
      const id = `control-${this.controls.children.length}`;
      const input = node("input", { type: "range", id, min, max, step });
      const shown = node("output", { for: id });
      const box = node("div", { class: "control" }, node("label", { for: id }, `${label}: `, shown), input);
      const tell = () => {
        shown.textContent = show(input.valueAsNumber);
        input.setAttribute("aria-valuetext", shown.textContent);
      };
      input.value = value;
      tell();
      input.addEventListener("input", () => { tell(); change(input.valueAsNumber); });
      this.controls.append(box);
      return { input, get value() { return input.valueAsNumber; }, set value(now) { input.value = now; tell(); } };
    }

    /** One of a few: radio buttons that look like a row of buttons. */
    choice({ label, options, value, change }) {
      const name = `choice-${this.controls.children.length}`;
      const row = node("div", { class: "options" });
      for (const [key, text] of Object.entries(options)) {
        const input = node("input", { type: "radio", name, value: key });
        input.checked = key === value;
        input.addEventListener("change", () => change(key));
        row.append(node("label", {}, input, text));
      }
      const box = node("fieldset", { class: "control" }, node("legend", {}, label), row);
      this.controls.append(box);
      return {
        box,
        get value() { return row.querySelector("input:checked").value; },
        set value(key) { row.querySelector(`input[value="${key}"]`).checked = true; },
        allow(keys) {
          for (const input of row.querySelectorAll("input")) {
            input.disabled = !keys.includes(input.value);
            input.parentElement.style.display = input.disabled ? "none" : "";
          }
        },
      };
    }

    button(label, act) {
      const made = node("button", { type: "button" }, label);
      made.addEventListener("click", act);
      this.controls.append(made);
      return made;
    }

    /** Call step(seconds since the last one) on every frame until it returns false or the element is not seen. */
    animate(step) {
      let before = performance.now();
      const frame = (now) => {
        if (!this.running) return;
        const goOn = step(Math.min(0.1, (now - before) / 1000));
        before = now;
        if (goOn !== false) requestAnimationFrame(frame);
      };
      requestAnimationFrame(frame);
    }
  }

  const SVG = "http://www.w3.org/2000/svg";
  const SVG_TAGS = new Set(["svg", "g", "path", "line", "circle", "rect", "text", "polyline", "polygon", "title", "tspan"]);

  /** An element of HTML or SVG with attributes and children. */
  function node(tag, attributes = {}, ...children) {
    const made = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  /** A scale from numbers to pixels, straight or logarithmic, with round ticks. */
  function scale({ from, to, pixels, log = false, ticks }) {
    const turn = log ? Math.log : (x) => x;
    const [a, b] = [turn(from), turn(to)];
    const place = (x) => pixels[0] + ((turn(x) - a) / (b - a)) * (pixels[1] - pixels[0]);
    place.inverse = (p) => {
      const value = a + ((p - pixels[0]) / (pixels[1] - pixels[0])) * (b - a);
      return log ? Math.exp(value) : value;
    };
    place.ticks = ticks || (log ? decades(from, to) : round(from, to));
    return place;
  }

  function decades(from, to) {
    const found = [];
    const [low, high] = [Math.min(from, to), Math.max(from, to)];
    for (let power = Math.ceil(Math.log10(low) - 1e-9); 10 ** power <= high * (1 + 1e-9); power++) found.push(10 ** power);
    return found;
  }

  function round(from, to, about = 5) {
    const span = Math.abs(to - from), rough = span / about, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
    const found = [];
    for (let k = Math.ceil(Math.min(from, to) / step - 1e-9); k * step <= Math.max(from, to) + 1e-9 * span; k++) found.push(k * step);
    return found;
  }

  /** A short text for a number on an axis. */
  function short(value) {
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 1e4 || size < 1e-3) return value.toExponential(0).replace("e+", "e");
    return String(Number(value.toPrecision(3)));
  }

  /** Two axes with grid, ticks and names in an SVG of the given size; returns the group to draw in and the scales. */
  function axes(svg, { width, height, type = 15, right = 16, x, y }) {
    const [left, top, bottom] = [4.2 * type, 0.8 * type, 3.2 * type];
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const across = scale({ ...x, pixels: [left, width - right] });
    const up = scale({ ...y, pixels: [height - bottom, top] });
    const frame = node("g", { "aria-hidden": "true" });
    for (const tick of across.ticks) {
      frame.append(node("line", { class: "grid", x1: across(tick), x2: across(tick), y1: top, y2: height - bottom }));
      frame.append(node("text", { x: across(tick), y: height - bottom + 1.35 * type, "text-anchor": "middle" }, (x.show || short)(tick)));
    }
    for (const tick of up.ticks) {
      frame.append(node("line", { class: "grid", x1: left, x2: width - right, y1: up(tick), y2: up(tick) }));
      frame.append(node("text", { x: left - 8, y: up(tick) + type / 3, "text-anchor": "end" }, (y.show || short)(tick)));
    }
    frame.append(node("path", { class: "axis", d: `M${left},${top}V${height - bottom}H${width - right}` }));
    frame.append(node("text", { x: (left + width - right) / 2, y: height - type / 2, "text-anchor": "middle" }, x.name));
    const middle = (top + height - bottom) / 2;
    frame.append(node("text", { x: type, y: middle, transform: `rotate(-90 ${type} ${middle})`, "text-anchor": "middle" }, y.name));
    const ink = node("g");
    svg.replaceChildren(frame, ink);
    return { ink, x: across, y: up };
  }

  /** Names at the ends of curves, [{ x, y, words, colour }], pushed down where they would meet. */
  function endLabels(ink, labels, type) {
    const placed = [];
    for (const { x, y, words, colour } of [...labels].sort((a, b) => a.y - b.y)) {
      let lower = y;
      for (const other of placed) if (Math.abs(other.x - x) < 2 * type && lower < other.y + 1.1 * type) lower = other.y + 1.1 * type;
      placed.push({ x, y: lower });
      ink.append(node("text", { class: "label", x: x + type / 2, y: lower + type / 3, style: `fill: ${colour}` }, words));
    }
  }

  /** A path through points; a gap where a coordinate is not finite. */
  function path(points) {
    let pen = "M", text = "";
    for (const [x, y] of points) {
      if (Number.isFinite(x) && Number.isFinite(y)) { text += `${pen}${x.toFixed(2)},${y.toFixed(2)}`; pen = "L"; }
      else pen = "M";
    }
    return text;
  }

  /** Uniform and Gaussian numbers that a seed repeats on every machine: mulberry32, and Marsaglia's polar method. */
  function randomNumbers(seed) {
    let state = seed >>> 0, spare = null;
    const uniform = () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    const gaussian = () => {
      if (spare !== null) { const kept = spare; spare = null; return kept; }
      for (;;) {
        const a = 2 * uniform() - 1, b = 2 * uniform() - 1, square = a * a + b * b;
        if (square > 0 && square < 1) {
          const factor = Math.sqrt((-2 * Math.log(square)) / square);
          spare = b * factor;
          return a * factor;
        }
      }
    };
    return { uniform, gaussian };
  }

  function define(name, kind) {
    if (!customElements.get(name)) customElements.define(name, kind);
  }

  globalThis.Companion = Object.freeze({ Explorable, node, axes, scale, path, endLabels, short, randomNumbers, define });
})();
