// The collapse: stored runs of networks of many widths, drawn against steps, against time, or against what was learnt.
(() => {
  const { Explorable, node, axes, path, endLabels, define } = Companion;

  const LIGHT = { 8: "#8c7ab8", 16: "#8c66af", 32: "#8a51a5", 64: "#873d9a", 128: "#84258b", 256: "#7e0e79", 512: "#650762" };
  const DARK = { 8: "#efe6fb", 16: "#e3d1f6", 32: "#d7bbf0", 64: "#cba5ea", 128: "#bf8fe4", 256: "#b379de", 512: "#a763d8" };
  const AXES = {
    steps: { name: "training steps", log: true, words: "After the same number of steps" },
    time: { name: "training time (gradient flow)", log: true, words: "After the same time" },
    loss: { name: "training loss (falls to the right)", log: true, words: "At the same training loss" },
  };
  const COLUMN = { loss: 0, steps: 1, time: 2, stability: 3 };

  /** Values of one curve at a place, between its points, in logarithms of the axis. */
  function at(curve, column, place) {
    for (let i = 1; i < curve.length; i++) {
      const [a, b] = [curve[i - 1], curve[i]];
      const [low, high] = [Math.log(a[column]), Math.log(b[column])];
      if ((place - low) * (place - high) <= 0) {
        const way = high === low ? 0 : (place - low) / (high - low);
        return a[COLUMN.stability] + way * (b[COLUMN.stability] - a[COLUMN.stability]);
      }
    }
    return NaN;
  }

  /** How far the curves are apart: the largest quotient of two of them over the part of the axis that all share. */
  function spread(curves, column) {
    const ends = curves.map((curve) => curve.map((row) => Math.log(row[column])));
    const from = Math.max(...ends.map((values) => Math.min(...values)));
    const to = Math.min(...ends.map((values) => Math.max(...values)));
    if (!(to > from)) return NaN;
    let largest = 1;
    for (let k = 0; k <= 100; k++) {
      const values = curves.map((curve) => at(curve, column, from + (k / 100) * (to - from))).filter(Number.isFinite);
      largest = Math.max(largest, Math.max(...values) / Math.min(...values));
    }
    return largest;
  }

  class Collapse extends Explorable {
    build() {
      this.data = CompanionData.collapse;
      this.axis = "steps";
      const again = () => this.choose();
      this.axisChoice = this.choice({
        label: "horizontal axis", value: "steps",
        options: { steps: "steps", time: "time", loss: "training loss" },
        change: (axis) => this.turn(axis),
      });
      this.scheme = this.choice({
        label: "initialization", value: "he",
        options: { lecun: "LeCun", he: "He", ntk: "NTK", mup: "muP" }, change: again,
      });
      this.depth = this.choice({
        label: "depth", value: "4", options: { 2: "2", 4: "4", 6: "6", 8: "8" }, change: again,
      });
      this.method = this.choice({
        label: "training", value: "flow",
        options: { flow: "gradient flow", Adam: "Adam", "batches of 32": "batches of 32", "half the stable step": "large steps" },
        change: again,
      });
      this.svg = this.stage.appendChild(node("svg", { role: "img" }));
      this.choose();
    }

    /** Take the runs of the chosen case; offer only what there is. */
    choose() {
      const methods = Object.keys(this.data).filter((key) => key.startsWith(`${this.scheme.value}/${this.depth.value}/`));
      const allowed = methods.map((key) => key.split("/")[2]);
      this.method.allow(allowed);
      if (!allowed.includes(this.method.value)) this.method.value = "flow";
      this.runs = this.data[`${this.scheme.value}/${this.depth.value}/${this.method.value}`];
      const flow = this.method.value === "flow";
      this.axisChoice.allow(flow ? ["steps", "time", "loss"] : ["steps", "loss"]);
      if (!flow && this.axis === "time") { this.axis = "loss"; this.axisChoice.value = "loss"; }
      this.draw(this.axis, this.axis, 1);
    }

    redraw() {
      this.draw(this.axis, this.axis, 1);
    }

    /** Change the axis; the curves go over to it in less than a second, or at once for whoever wants no motion. */
    turn(axis) {
      const before = this.axis;
      this.axis = axis;
      if (this.calm.matches || !this.running) return this.draw(before, axis, 1);
      let way = 0;
      this.animate((seconds) => {
        way = Math.min(1, way + seconds / 0.8);
        this.draw(before, axis, way * way * (3 - 2 * way));
        return way < 1 && this.axis === axis;
      });
    }

    range(axis) {
      const values = Object.values(this.runs).flat().map((row) => row[COLUMN[axis]]).filter((value) => value > 0);
      const [from, to] = [Math.min(...values) / 1.1, Math.max(...values) * 1.1];
      return axis === "loss" ? { from: to, to: from } : { from, to };
    }

    draw(before, axis, way) {
      const top = Math.max(...Object.values(this.runs).flat().map((row) => row[COLUMN.stability]));
      const frame = (name) => ({
        ...this.size,
        right: 5.4 * this.size.type,
        x: { ...this.range(name), log: true, name: AXES[name].name, ticks: name === "loss" ? [0.4, 0.2, 0.1, 0.05, 0.02] : undefined },
        y: { from: 0, to: 1.08 * top, name: "reaction to a nudge, P / radius" },
      });
      const old = axes(node("svg"), frame(before)), now = axes(this.svg, frame(axis));
      const colours = this.panel.classList.contains("dark") ? DARK : LIGHT;
      const labels = [], widest = Object.keys(this.runs).at(-1);
      for (const [width, rows] of Object.entries(this.runs)) {
        const points = rows.map((row) => [
          (1 - way) * old.x(row[COLUMN[before]]) + way * now.x(row[COLUMN[axis]]),
          now.y(row[COLUMN.stability]),
        ]);
        now.ink.append(node("path", { d: path(points), fill: "none", stroke: colours[width], "stroke-width": 3 }));
        for (const [x, y] of points) now.ink.append(node("circle", { cx: x, cy: y, r: 3.5, fill: colours[width] }));
        const [x, y] = points[points.length - 1];
        const words = width === widest ? `width ${width}` : width;
        labels.push({ x, y, words, colour: colours[width] });
      }
      endLabels(now.ink, labels, this.size.type);
      if (way === 1) this.tell(axis);
    }

    /** The numbers that the sentence says; read by the tests. */
    get numbers() {
      const curves = Object.values(this.runs);
      return Object.fromEntries(["steps", "loss"].map((axis) => [axis, spread(curves, COLUMN[axis])]));
    }

    tell(axis) {
      const apart = spread(Object.values(this.runs), COLUMN[axis]);
      const widths = Object.keys(this.runs);
      const words = Number.isFinite(apart)
        ? `${AXES[axis].words}, the largest reaction of these widths is up to ${apart.toFixed(1)} times the smallest.`
        : "These widths share no part of this axis.";
      this.svg.setAttribute("aria-label", `Reaction against ${AXES[axis].name} for widths ${widths.join(", ")}. ${words}`);
      this.say(words);
    }
  }

  define("companion-collapse", Collapse);
})();
