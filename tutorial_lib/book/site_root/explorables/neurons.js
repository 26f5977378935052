// Neurons that travel: a two-layer network learns five points in the page; one slider goes from lazy to rich training.
(() => {
  const { Explorable, node, axes, path, short, randomNumbers, define } = Companion;

  const POINTS = [-1, -0.5, 0, 0.5, 1], LABELS = [0.6, -0.4, -0.1, 0.3, -0.3];
  const PAIRS = 50; // each neuron has a mirror image with the opposite output weight, so that f is 0 at the start
  const NEURONS = 2 * PAIRS, MOST = 20_000;

  /** Weights of size m^(-c): rows (w for the position, w for the constant 1, output weight a). */
  function initial(c, seed) {
    const { gaussian } = randomNumbers(seed), size = NEURONS ** -c;
    const half = Array.from({ length: PAIRS }, () => [size * gaussian(), size * gaussian(), size * gaussian()]);
    return [...half, ...half.map(([w, b, a]) => [w, b, -a])];
  }

  const output = (neurons, x) => neurons.reduce((sum, [w, b, a]) => sum + a * Math.max(0, w * x + b), 0);

  /** The largest eigenvalue of the tangent kernel on the five points, over their number: the curvature near a fit. */
  function curvature(neurons) {
    const rows = POINTS.map((x) => neurons.map(([w, b, a]) => {
      const on = w * x + b > 0;
      return on ? [a * x, a, w * x + b] : [0, 0, 0];
    }));
    const kernel = rows.map((left) => rows.map((right) =>
      left.reduce((sum, p, k) => sum + p[0] * right[k][0] + p[1] * right[k][1] + p[2] * right[k][2], 0)));
    let vector = POINTS.map(() => 1), value = 0;
    for (let k = 0; k < 20; k++) {
      const next = kernel.map((row) => row.reduce((sum, entry, j) => sum + entry * vector[j], 0));
      value = Math.hypot(...next);
      if (value === 0) return 0;
      vector = next.map((entry) => entry / value);
    }
    return value / POINTS.length;
  }

  /** One step of gradient descent on half the mean square error; returns the new neurons. */
  function step(neurons, rate) {
    const errors = POINTS.map((x, i) => (output(neurons, x) - LABELS[i]) / POINTS.length);
    return neurons.map(([w, b, a]) => {
      let [dw, db, da] = [0, 0, 0];
      POINTS.forEach((x, i) => {
        const z = w * x + b;
        if (z > 0) { dw += errors[i] * a * x; db += errors[i] * a; da += errors[i] * z; }
      });
      return [w - rate * dw, b - rate * db, a - rate * da];
    });
  }

  const loss = (neurons) => POINTS.reduce((sum, x, i) => sum + (output(neurons, x) - LABELS[i]) ** 2, 0) / (2 * POINTS.length);

  /** The talk's kappa: how far both weight matrices moved, relative to their size at the start. */
  function lazyRatio(start, now) {
    const norm = (values) => Math.hypot(...values.flat());
    const inner = (rows) => rows.map(([w, b]) => [w, b]), outer = (rows) => rows.map(([, , a]) => [a]);
    const minus = (a, b) => a.map((row, k) => row.map((value, j) => value - b[k][j]));
    const moved = norm(minus(inner(now), inner(start))) + norm(minus(outer(now), outer(start)));
    return moved / (norm(inner(start)) + norm(outer(start)));
  }

  /** P / radius on the five points: c_2 times the mean length of the gradient with respect to (position, constant). */
  function stability(neurons) {
    const lengths = POINTS.map((x) => {
      let [dx, dy] = [0, 0];
      for (const [w, b, a] of neurons) if (w * x + b > 0) { dx += a * w; dy += a * b; }
      return Math.hypot(dx, dy);
    });
    const c2 = ((2 / 3) * Math.sqrt(2 / Math.PI)) / Math.sqrt(Math.PI / 2);
    return (c2 * lengths.reduce((sum, length) => sum + length, 0)) / POINTS.length;
  }

  const WORDS = { lazy: "hardly moved", between: "moved about as far as they are long", rich: "travelled far" };

  class Neurons extends Explorable {
    build() {
      this.seed = 1;
      this.exponent = this.slider({
        label: "size of the first weights", min: -1.5, max: 0, step: 0.05, value: -1,
        show: (c) => `m^(${c.toFixed(2)}) = ${short(NEURONS ** c)}`, change: () => this.restart(),
      });
      this.go = this.button("train", () => this.toggle());
      this.button("start again", () => this.restart());
      this.button("other weights", () => { this.seed += 1; this.restart(); });
      this.left = node("svg", { role: "img" });
      this.right = node("svg", { role: "img" });
      this.stage.append(node("div", { class: "pair" }, this.left, this.right));
      this.restart();
    }

    restart() {
      this.first = initial(-this.exponent.value, this.seed);
      this.neurons = this.first;
      this.steps = 0;
      this.training = false;
      this.go.textContent = "train";
      this.redraw();
    }

    toggle() {
      this.training = !this.training;
      this.go.textContent = this.training ? "pause" : "train";
      if (this.training) this.animate(() => this.advance());
    }

    start() { if (this.training) this.animate(() => this.advance()); }

    /** Train for a part of a frame; rest when the points are met or nothing more will come. */
    advance() {
      if (!this.training) return false;
      const until = performance.now() + 8;
      do this.train(1); while (performance.now() < until && this.steps < MOST && loss(this.neurons) > 1e-4);
      if (this.steps >= MOST || loss(this.neurons) <= 1e-4) this.toggle();
      this.redraw();
      return this.training;
    }

    train(count) {
      for (let k = 0; k < count; k++) {
        this.neurons = step(this.neurons, 1 / Math.max(curvature(this.neurons), 0.5));
        this.steps += 1;
      }
    }

    redraw() {
      const { width, type } = this.size, two = width >= 620;
      const size = { width: two ? width / 2 - 6 : width, height: two ? 320 : 260, type, right: 10 };
      const line = axes(this.left, { ...size, x: { from: -1.2, to: 1.2, name: "x" }, y: { from: -0.9, to: 1.1, name: "f(x)" } });
      const grid = Array.from({ length: 97 }, (_, k) => -1.2 + k / 40);
      const clamp = (value) => Math.max(-0.9, Math.min(1.1, value));
      const curve = grid.map((x) => [line.x(x), line.y(clamp(output(this.neurons, x)))]);
      line.ink.append(node("path", { d: path(curve), fill: "none", stroke: "var(--ink)", "stroke-width": 3 }));
      POINTS.forEach((x, i) => line.ink.append(node("circle", { cx: line.x(x), cy: line.y(LABELS[i]), r: 6, fill: "var(--wine)" })));
      this.drawNeurons(size);
      this.tell();
    }

    /** Each neuron as the arrow |a| w in the plane of its two input weights; its start in grey. */
    drawNeurons(size) {
      const arrows = (neurons) => neurons.map(([w, b, a]) => [Math.abs(a) * w, Math.abs(a) * b]);
      const ends = arrows(this.neurons), starts = arrows(this.first);
      const reach = 1.1 * Math.max(...[...ends, ...starts].flat().map(Math.abs));
      const frame = (name) => ({ from: -reach, to: reach, name });
      const plane = axes(this.right, { ...size, x: frame("|a| times weight of x"), y: frame("|a| times weight of 1") });
      const rays = ends.map(([x, y], k) => {
        const [u, v] = starts[k];
        return [plane.x(u), plane.y(v), plane.x(x), plane.y(y), this.neurons[k][2] > 0];
      });
      for (const [x1, y1, x2, y2] of rays) plane.ink.append(node("line", { x1, y1, x2, y2, stroke: "var(--line)", "stroke-width": 1.5 }));
      for (const [x, y] of rays) plane.ink.append(node("circle", { cx: x, cy: y, r: 2, fill: "var(--soft)" }));
      for (const [, , x, y, up] of rays) {
        const mark = up ? `M${x - 4},${y + 3}h8l-4,-8z` : `M${x - 4},${y - 3}h8l-4,8z`;
        plane.ink.append(node("path", { d: mark, fill: up ? "var(--indigo)" : "var(--wine)" }));
      }
    }

    get numbers() {
      return {
        steps: this.steps, loss: loss(this.neurons), ratio: lazyRatio(this.first, this.neurons),
        stability: stability(this.neurons), curvature: curvature(this.neurons), neurons: this.neurons, first: this.first,
      };
    }

    tell() {
      const { steps, loss: now, ratio, stability: p } = this.numbers;
      const kind = ratio < 0.3 ? "lazy" : ratio < 2 ? "between" : "rich";
      const words = steps === 0
        ? "One hundred neurons before training, in pairs that cancel: f is 0. Choose the size of the weights, then train."
        : `After ${steps} steps: loss ${short(now)}, lazy ratio ${ratio.toFixed(2)}: the neurons have ${WORDS[kind]}. ` +
          `P / radius ${p.toFixed(2)}.`;
      this.left.setAttribute("aria-label", `The network's function and the five points it learns. ${words}`);
      this.right.setAttribute("aria-label", `Every neuron as a point, with its way from the start. ${words}`);
      this.say(words);
    }
  }

  Neurons.style = ".pair { display: flex; flex-wrap: wrap; gap: 12px; } .pair svg { flex: 1 1 290px; min-width: 0; }";
  define("companion-neurons", Neurons);
})();
