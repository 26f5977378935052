// Random networks against the exact law: networks drawn in the page, and a bound whose constant nobody knows.
(() => {
  const { Explorable, node, axes, path, endLabels, short, randomNumbers, define } = Companion;

  const NAMES = { lecun: "LeCun", he: "He", ntk: "NTK" };
  const MOST = 300; // networks
  const WIDTHS = Array.from({ length: 41 }, (_, k) => Math.round(2 ** (k / 4))).filter((m, k, all) => m !== all[k - 1]);

  /** Standard deviations of the first, the middle and the last weights (slide 10). */
  function stds(scheme, { d, m }) {
    if (scheme === "ntk") return [Math.sqrt(2 / m), Math.sqrt(2 / m), 1];
    const variance = scheme === "he" ? 2 : 1;
    return [Math.sqrt(variance / d), Math.sqrt(variance / m), Math.sqrt(variance / m)];
  }

  /** Mean lengths of Gaussian vectors with 0, 1, ..., n entries: E chi_{k+2} = (k + 1) / k E chi_k. */
  function meanChis(n) {
    const means = [0, Math.sqrt(2 / Math.PI), Math.sqrt(Math.PI / 2)];
    for (let k = 1; k + 2 <= n; k++) means.push(((k + 1) / k) * means[k]);
    return means;
  }

  /** E chi_N with N the heads of m tosses: what a relu layer of weights of size 1 does to the length of a signal. */
  function meanChiBinomial(m) {
    const chis = meanChis(m);
    let logChance = -m * Math.LN2, sum = 0;
    for (let j = 0; j <= m; j++) {
      sum += Math.exp(logChance) * chis[j];
      logChance += Math.log((m - j) / (j + 1));
    }
    return sum;
  }

  /** P / radius before training, one output: exact. */
  function exact(scheme, { d, m, L }) {
    const [first, middle, last] = stds(scheme, { d, m });
    const scale = first * middle ** (L - 2) * last;
    return (d / (d + 1)) * scale * Math.sqrt(2 / Math.PI) * meanChiBinomial(m) ** (L - 1);
  }

  /** The talk's row as printed (slides 16 to 18), up to a constant that is not. */
  function rate(scheme, { d, m, L }) {
    const hump = Math.sqrt(L ** 3 * m) * Math.exp(-m / L ** 3);
    if (scheme === "ntk") return hump / Math.sqrt(d) + 1;
    return ((hump + 1) / Math.sqrt(d)) * (scheme === "lecun" ? 2 ** (-(L - 2) / 2) : 1);
  }

  /** c_d, the mean of |u_1| for u uniform in the unit ball: P / radius is c_d times the length of the gradient. */
  const meanCoordinate = (d) => ((d / (d + 1)) * Math.sqrt(2 / Math.PI)) / meanChis(d)[d];

  /** c_d times the length of the gradient of one random network at x = (1, 0, ..., 0). */
  function drawNetwork(scheme, { d, m, L }, gaussian) {
    const [first, middle, last] = stds(scheme, { d, m });
    const matrix = (rows, columns, std) => Float64Array.from({ length: rows * columns }, () => std * gaussian());
    const weights = [matrix(m, d, first)];
    for (let l = 2; l < L; l++) weights.push(matrix(m, m, middle));
    let layer = Float64Array.from({ length: m }, (_, i) => Math.max(0, weights[0][i * d]));
    const layers = [layer];
    for (const weight of weights.slice(1)) {
      const before = layer;
      layer = Float64Array.from({ length: m }, (_, i) => {
        let sum = 0;
        for (let j = 0; j < m; j++) sum += weight[i * m + j] * before[j];
        return Math.max(0, sum);
      });
      layers.push(layer);
    }
    let signal = matrix(1, m, last);
    for (let l = weights.length - 1; l >= 0; l--) {
      const columns = l === 0 ? d : m, next = new Float64Array(columns);
      for (let i = 0; i < m; i++) {
        if (layers[l][i] <= 0) continue; // the neuron is off
        for (let j = 0; j < columns; j++) next[j] += signal[i] * weights[l][i * columns + j];
      }
      signal = next;
    }
    return meanCoordinate(d) * Math.hypot(...signal);
  }

  class Law extends Explorable {
    build() {
      this.seed = 1;
      const anew = () => this.restart();
      this.view = this.choice({
        label: "what to see", value: "draw", options: { draw: "draw networks", bound: "the bound" },
        change: () => { this.showControls(); anew(); },
      });
      this.scheme = this.choice({ label: "initialization", value: "he", options: NAMES, change: anew });
      const powers = (label, value, largest) =>
        this.slider({ label, min: 0, max: largest, step: 1, value, show: (k) => String(2 ** k), change: anew });
      this.dim = powers("inputs d", 6, 8);
      this.width = powers("width m", 5, 7);
      this.depth = this.slider({ label: "depth L", min: 2, max: 10, step: 1, value: 4, change: anew });
      this.constant = this.slider({
        label: "the hidden constant C", min: -2, max: 1, step: 0.05, value: 0,
        show: (k) => short(10 ** k), change: anew,
      });
      this.again = this.button("draw others", () => { this.seed += 1; this.restart(); });
      this.svg = this.stage.appendChild(node("svg", { role: "img" }));
      this.showControls();
      this.restart();
    }

    get shape() {
      return { d: 2 ** this.dim.value, m: 2 ** this.width.value, L: this.depth.value };
    }

    showControls() {
      const drawing = this.view.value === "draw";
      const show = (element, seen) => { element.style.display = seen ? "" : "none"; };
      show(this.width.input.parentElement, drawing);
      show(this.again, drawing);
      show(this.constant.input.parentElement, !drawing);
    }

    start() { this.restart(); }
    redraw() { this.view.value === "draw" ? this.drawMean() : this.drawBound(); }

    restart() {
      this.values = [];
      this.run = (this.run || 0) + 1;
      if (this.view.value === "bound") return this.drawBound();
      const { gaussian } = randomNumbers(this.seed), shape = this.shape, scheme = this.scheme.value, run = this.run;
      this.drawMean();
      let shown = 0;
      this.animate(() => {
        if (run !== this.run) return false;
        const until = performance.now() + 8; // a part of a frame, so that the page stays alive
        do this.values.push(drawNetwork(scheme, shape, gaussian));
        while (performance.now() < until && this.values.length < MOST);
        const done = this.values.length >= MOST;
        if (done || performance.now() - shown > (this.calm.matches ? 1000 : 60)) { shown = performance.now(); this.drawMean(); }
        return !done;
      });
    }

    /** Mean and standard error of the first n networks. */
    mean(n = this.values.length) {
      const values = this.values.slice(0, n), mean = values.reduce((sum, v) => sum + v, 0) / n;
      const square = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (n - 1);
      return { mean, error: n > 1 ? Math.sqrt(square / n) : NaN };
    }

    drawMean() {
      const value = exact(this.scheme.value, this.shape), n = this.values.length;
      const frame = axes(this.svg, {
        ...this.size, right: 5.2 * this.size.type,
        x: { from: 1, to: MOST, log: true, name: "networks drawn" },
        y: { from: 0, to: 3 * value, name: "P / radius" },
      });
      const { ink, x, y } = frame, top = y(3 * value);
      for (let k = 0; k < n; k++) {
        ink.append(node("circle", { cx: x(k + 1), cy: Math.max(top, y(this.values[k])), r: 2.5, fill: "var(--soft)", opacity: 0.55 }));
      }
      let sum = 0;
      const means = this.values.map((v, k) => [x(k + 1), Math.max(top, y((sum += v) / (k + 1)))]);
      ink.append(node("path", { d: path(means), fill: "none", stroke: "var(--wine)", "stroke-width": 3 }));
      ink.append(node("line", { x1: x(1), x2: x(MOST), y1: y(value), y2: y(value), stroke: "var(--ink)", "stroke-width": 2.5 }));
      const labels = [{ x: x(MOST), y: y(value), words: "exact", colour: "var(--ink)" }];
      if (n === MOST) labels.push({ x: x(MOST), y: means.at(-1)[1], words: "mean", colour: "var(--wine)" });
      endLabels(ink, labels, this.size.type);
      const { mean, error } = this.mean();
      const words = n < 2
        ? `Exact: ${value.toPrecision(3)}.`
        : `${n} networks: mean ${mean.toPrecision(3)} \u00b1 ${error.toPrecision(2)}, exact ${value.toPrecision(3)}. ` +
          "Grey: single networks.";
      this.svg.setAttribute("aria-label", `P over radius of random networks, and their running mean. ${words}`);
      this.say(words);
    }

    /** The smallest constant with which the printed rate is above the exact value at every width of the picture. */
    leastConstant() {
      const shape = this.shape, scheme = this.scheme.value;
      return Math.max(...WIDTHS.map((m) => exact(scheme, { ...shape, m }) / rate(scheme, { ...shape, m })));
    }

    drawBound() {
      const shape = this.shape, scheme = this.scheme.value, C = 10 ** this.constant.value;
      const law = WIDTHS.map((m) => exact(scheme, { ...shape, m })), row = WIDTHS.map((m) => C * rate(scheme, { ...shape, m }));
      const frame = axes(this.svg, {
        ...this.size, right: 6.4 * this.size.type,
        x: { from: 1, to: 1024, log: true, name: "width m", ticks: [1, 4, 16, 64, 256, 1024], show: String },
        y: { from: Math.min(...law) / 3, to: Math.max(...law) * 300, log: true, name: "P / radius" },
      });
      const { ink, x, y } = frame;
      const line = (values, dash, colour, words) => {
        const points = WIDTHS.map((m, k) => [x(m), y(values[k])]);
        ink.append(node("path", { d: path(points), fill: "none", stroke: colour, "stroke-width": 3, "stroke-dasharray": dash }));
        const [right, height] = points.at(-1);
        return { x: right, y: height, words, colour };
      };
      const labels = [line(law, "none", "var(--ink)", "exact"), line(row, "3 6", "var(--wine)", "C \u00d7 rate")];
      endLabels(ink, labels, this.size.type);
      const below = row.some((value, k) => value < law[k]);
      const words = below
        ? `With C = ${short(C)} the rate lies below the exact value at some width: no bound yet. A larger constant lifts it.`
        : `With C = ${short(C)} the rate is above the exact value at every width shown, and higher than it need be: ` +
          `${short(this.leastConstant())} would do.`;
      this.svg.setAttribute("aria-label", `Exact value and the printed rate times a constant, against the width. ${words}`);
      this.say(words);
    }

    get numbers() {
      const { mean, error } = this.values.length > 1 ? this.mean() : { mean: null, error: null };
      return {
        exact: exact(this.scheme.value, this.shape), rate: rate(this.scheme.value, this.shape),
        mean, error, networks: this.values.length, constant: this.leastConstant(),
      };
    }
  }

  Law.exact = exact;
  Law.rate = rate;
  define("companion-law", Law);
})();
