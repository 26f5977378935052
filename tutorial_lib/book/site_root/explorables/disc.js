// A disc through a network: the points around an input, pushed through a random relu network layer by layer.
(() => {
  const { Explorable, node, randomNumbers, short, define } = Companion;

  const DEPTH = 4, SPOKES = 96, RINGS = 6, REACH = 2; // the input plane shows -2 to 2

  /** A random He network from the plane to the plane: its weight matrices as rows. */
  function network(width, seed) {
    const { gaussian } = randomNumbers(seed);
    const sizes = [2, ...Array(DEPTH - 1).fill(width), 2];
    return sizes.slice(1).map((rows, l) =>
      Array.from({ length: rows }, () => Array.from({ length: sizes[l] }, () => Math.sqrt(2 / sizes[l]) * gaussian())));
  }

  const times = (matrix, vector) => matrix.map((row) => row.reduce((sum, entry, j) => sum + entry * vector[j], 0));
  const relu = (vector) => vector.map((entry) => Math.max(0, entry));

  /** What stands after so many weight matrices; every one but the last is followed by a relu. */
  function forward(weights, x, layers) {
    return weights.slice(0, layers).reduce((now, weight, l) => {
      const next = times(weight, now);
      return l === DEPTH - 1 ? next : relu(next);
    }, x);
  }

  /** The same and its derivative at x, by the two columns of the Jacobian. */
  function linearized(weights, x, layers) {
    let value = x, columns = [[1, 0], [0, 1]];
    weights.slice(0, layers).forEach((weight, l) => {
      value = times(weight, value);
      columns = columns.map((column) => times(weight, column));
      if (l === DEPTH - 1) return;
      columns = columns.map((column) => column.map((entry, i) => (value[i] > 0 ? entry : 0)));
      value = relu(value);
    });
    return { value, columns };
  }

  const dot = (a, b) => a.reduce((sum, entry, i) => sum + entry * b[i], 0);
  const minus = (a, b) => a.map((entry, i) => entry - b[i]);

  /** Two perpendicular directions of length 1 in the plane of the columns (any others where they span less). */
  function plane(columns) {
    const basis = [];
    const axes = columns[0].map((_, i) => columns[0].map((__, j) => Number(i === j)));
    for (const candidate of [...columns, ...axes]) {
      const rest = basis.reduce((left, one) => minus(left, one.map((entry) => entry * dot(one, left))), candidate);
      const length = Math.hypot(...rest);
      if (length > 1e-9 * (1 + Math.hypot(...candidate))) basis.push(rest.map((entry) => entry / length));
      if (basis.length === 2) break;
    }
    return basis;
  }

  /** The mean length of J u over the unit disc, exactly: 2/3 of the mean radius of an ellipse, by Gauss's mean. */
  function meanStretch([first, second]) {
    const [p, q, r] = [dot(first, first), dot(first, second), dot(second, second)];
    const middle = (p + r) / 2, spread = Math.hypot((p - r) / 2, q);
    const long = Math.sqrt(middle + spread), wide = Math.sqrt(Math.max(0, middle - spread));
    if (long === 0) return 0;
    if (wide / long < 1e-8) return ((2 / 3) * 2 * long) / Math.PI; // a segment
    let [a, b, weight, sum] = [1, wide / long, 0.5, 1 - (1 - (wide / long) ** 2) / 2];
    while (Math.abs(a - b) > 1e-15) {
      const half = (a - b) / 2;
      [a, b] = [(a + b) / 2, Math.sqrt(a * b)];
      weight *= 2;
      sum -= weight * half * half;
    }
    return ((2 / 3) * long * sum) / a;
  }

  /**
   * Points of the unit disc, each standing for the same area: rings from the middle outwards, each at the mean length
   * within its area, so that the mean over the points is exact for a linear image.
   */
  const DISC = Array.from({ length: RINGS }, (_, ring) =>
    Array.from({ length: SPOKES }, (__, spoke) => {
      const angle = (2 * Math.PI * spoke) / SPOKES;
      const length = ((2 / 3) * ((ring + 1) ** 1.5 - ring ** 1.5)) / Math.sqrt(RINGS);
      return [length * Math.cos(angle), length * Math.sin(angle)];
    })).flat();
  const CIRCLE = Array.from({ length: 241 }, (_, k) => [Math.cos((2 * Math.PI * k) / 240), Math.sin((2 * Math.PI * k) / 240)]);

  class Disc extends Explorable {
    build() {
      this.seed = 3;
      this.input = [0.7, 0.4];
      const again = () => this.redraw();
      this.layers = this.slider({
        label: "layers passed", min: 0, max: DEPTH, step: 1, value: DEPTH, change: again,
        show: (l) => (l === 0 ? "none: the input" : l === DEPTH ? "all: the output" : String(l)),
      });
      this.radius = this.slider({ label: "radius of the disc", min: 0.02, max: 1, step: 0.02, value: 0.5, show: short, change: again });
      this.width = this.slider({
        label: "width m", min: 1, max: 7, step: 1, value: 3, show: (k) => String(2 ** k), change: () => this.anew(),
      });
      this.button("another network", () => { this.seed += 1; this.anew(); });
      this.left = node("svg", { role: "application", tabindex: "0", "aria-label": "The input plane: move the input with the arrow keys" });
      this.right = node("svg", { role: "img" });
      this.stage.append(node("div", { class: "pair" }, this.left, this.right));
      this.left.addEventListener("keydown", (event) => this.key(event));
      this.left.addEventListener("pointerdown", (event) => { this.left.setPointerCapture(event.pointerId); this.drag(event); });
      this.left.addEventListener("pointermove", (event) => { if (event.buttons) this.drag(event); });
      this.anew();
    }

    anew() {
      this.weights = network(2 ** this.width.value, this.seed);
      this.redraw();
    }

    key(event) {
      const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
      if (!step) return;
      event.preventDefault();
      this.move(this.input.map((entry, i) => entry + step[i]));
    }

    drag(event) {
      const box = this.left.getBoundingClientRect();
      const part = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      this.move([(2 * part[0] - 1) * REACH, (1 - 2 * part[1]) * REACH]);
    }

    move(point) {
      const bound = REACH - 0.1;
      this.input = point.map((entry) => Math.max(-bound, Math.min(bound, entry)));
      // At 0 itself all neurons are on their edge.
      if (Math.hypot(...this.input) < 1e-6) this.input = [0.01, 0.01];
      this.redraw();
    }

    /** True and linear change of the present layer at each point of the disc, and their means over the radius. */
    changes() {
      const layers = this.layers.value, radius = this.radius.value;
      const { value, columns } = linearized(this.weights, this.input, layers);
      const moved = (offset) => this.input.map((entry, i) => entry + radius * offset[i]);
      const truth = (offset) => minus(forward(this.weights, moved(offset), layers), value);
      const linear = (offset) => columns[0].map((entry, i) => radius * (offset[0] * entry + offset[1] * columns[1][i]));
      const mean = (change) => DISC.reduce((sum, offset) => sum + Math.hypot(...change(offset)), 0) / DISC.length;
      return { truth, linear, columns, mean: { truth: mean(truth) / radius, linear: meanStretch(columns) } };
    }

    redraw() {
      const { width } = this.size, side = width >= 620 ? width / 2 - 6 : width;
      this.drawInput(side);
      this.drawImage(side);
    }

    drawInput(side) {
      this.left.setAttribute("viewBox", `0 0 ${side} ${side}`);
      const scale = side / (2 * REACH), at = ([x, y]) => [(x + REACH) * scale, (REACH - y) * scale];
      const [x, y] = at(this.input), [ox, oy] = at([0, 0]);
      this.left.replaceChildren(
        node("path", { class: "grid", d: `M${ox},0V${side}M0,${oy}H${side}` }),
        ...this.kinks(at),
        node("circle", { cx: x, cy: y, r: this.radius.value * scale, fill: "var(--indigo)", "fill-opacity": 0.25, stroke: "var(--indigo)", "stroke-width": 2 }),
        node("circle", { cx: x, cy: y, r: 6, fill: "var(--ink)" }),
        node("text", { x: 8, y: side - 10 }, "input: drag the disc"),
      );
    }

    /** The lines through 0 along which a neuron of the first layer switches. */
    kinks(at) {
      return this.weights[0].map(([a, b]) => {
        const far = (3 * REACH) / Math.hypot(a, b);
        const [x1, y1] = at([-far * b, far * a]), [x2, y2] = at([far * b, -far * a]);
        return node("line", { x1, y1, x2, y2, stroke: "var(--line)", "stroke-width": 1 });
      });
    }

    drawImage(side) {
      const { truth, linear, columns, mean } = this.changes();
      const [first, second] = plane(columns);
      const flat = (change) => [dot(first, change), dot(second, change)];
      const curve = CIRCLE.map((offset) => flat(truth(offset))), ellipse = CIRCLE.map((offset) => flat(linear(offset)));
      const reach = 1.15 * Math.max(1e-9, ...curve.flat().map(Math.abs), ...ellipse.flat().map(Math.abs));
      const at = ([x, y]) => [((x / reach + 1) * side) / 2, ((1 - y / reach) * side) / 2];
      const outline = (points) => `M${points.map((point) => at(point).map((c) => c.toFixed(1)).join(",")).join("L")}Z`;
      const dots = DISC.filter((_, k) => k % 3 === 0).map((offset) => at(flat(truth(offset))));
      this.right.setAttribute("viewBox", `0 0 ${side} ${side}`);
      this.right.replaceChildren(
        node("path", { class: "grid", d: `M${side / 2},0V${side}M0,${side / 2}H${side}` }),
        ...dots.map(([cx, cy]) => node("circle", { cx, cy, r: 1.8, fill: "var(--indigo)", opacity: 0.6 })),
        node("path", { d: outline(curve), fill: "var(--indigo)", "fill-opacity": 0.2, stroke: "var(--indigo)", "stroke-width": 2.5 }),
        node("path", { d: outline(ellipse), fill: "none", stroke: "var(--wine)", "stroke-width": 2.5, "stroke-dasharray": "7 5" }),
        node("text", { x: 8, y: side - 10, style: "fill: var(--indigo)" }, "image of the disc"),
        node("text", { x: side - 8, y: side - 10, "text-anchor": "end", style: "fill: var(--wine)" }, "linear image"),
      );
      const where = this.layers.value === DEPTH ? "at the output" : `after ${this.layers.value} of ${DEPTH} layers`;
      const words =
        `Mean change ${where}, per unit of the radius: ${mean.truth.toFixed(2)} in truth, ${mean.linear.toFixed(2)} by the ` +
        "linear image. The second is P / radius.";
      this.right.setAttribute("aria-label", `The image of the disc, and its linear image, a dashed ellipse. ${words}`);
      this.say(words);
    }

    get numbers() {
      return { ...this.changes().mean, weights: this.weights, input: this.input, radius: this.radius.value };
    }
  }

  Disc.style = `
    .pair { display: flex; flex-wrap: wrap; gap: 12px; }
    .pair svg { flex: 1 1 290px; min-width: 0; border: 1px solid var(--line); border-radius: 6px; overflow: hidden; }
    .pair svg[tabindex] { touch-action: none; cursor: grab; }
  `;
  define("companion-disc", Disc);
})();
