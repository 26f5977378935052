// Fool the network: a small network reads a digit; a random change of the pixels leaves it cold, a chosen one does not.
(() => {
  const { Explorable, node, randomNumbers, define } = Companion;

  const SIDE = 28, PIXELS = SIDE * SIDE;

  function bytes(text) {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  }

  /** Weights as they are stored: a signed byte each, times a scale. */
  function unpack({ first, last, firstScale, lastScale, firstBias, lastBias }) {
    const signed = (text, scale) => Float64Array.from(new Int8Array(bytes(text).buffer), (value) => value * scale);
    return { first: signed(first, firstScale), last: signed(last, lastScale), firstBias, lastBias };
  }

  /** The ten logits, and what the hidden neurons say. */
  function forward({ first, last, firstBias, lastBias }, image) {
    const hidden = firstBias.map((bias, i) => {
      let sum = bias;
      for (let j = 0; j < PIXELS; j++) sum += first[i * PIXELS + j] * image[j];
      return Math.max(0, sum);
    });
    const logits = lastBias.map((bias, k) => hidden.reduce((sum, value, i) => sum + last[k * hidden.length + i] * value, bias));
    return { logits, hidden };
  }

  function softmax(logits) {
    const largest = Math.max(...logits), parts = logits.map((logit) => Math.exp(logit - largest));
    const sum = parts.reduce((a, b) => a + b, 0);
    return parts.map((part) => part / sum);
  }

  const best = (values) => values.indexOf(Math.max(...values));

  /** The derivative of the cross-entropy of the present answer with respect to each pixel. */
  function gradient(network, image) {
    const { logits, hidden } = forward(network, image), shares = softmax(logits), answer = best(logits);
    const back = hidden.map((value, i) => {
      if (value <= 0) return 0;
      return shares.reduce((sum, share, k) => sum + (share - (k === answer ? 1 : 0)) * network.last[k * hidden.length + i], 0);
    });
    const found = new Float64Array(PIXELS);
    back.forEach((value, i) => {
      if (value !== 0) for (let j = 0; j < PIXELS; j++) found[j] += value * network.first[i * PIXELS + j];
    });
    return found;
  }

  const changed = (image, signs, size) => image.map((pixel, j) => Math.max(0, Math.min(1, pixel + size * signs[j])));

  class Fool extends Explorable {
    build() {
      const { network, images, accuracy } = CompanionData.fool;
      this.network = unpack(network);
      this.images = images.map((text) => Float64Array.from(bytes(text), (value) => value / 255));
      this.accuracy = accuracy;
      this.seed = 1;
      const digits = Object.fromEntries(images.map((_, k) => [k, String(k)]));
      this.digit = this.choice({ label: "a digit", value: "3", options: digits, change: (k) => this.take(this.images[k]) });
      this.change = this.slider({
        label: "change of each pixel", min: 0, max: 0.4, step: 0.01, value: 0.1,
        show: (size) => `${Math.round(100 * size)} % of its range`, change: () => this.redraw(),
      });
      this.button("another random change", () => { this.seed += 1; this.redraw(); });
      this.button("draw your own", () => this.take(new Float64Array(PIXELS)));
      const row = this.stage.appendChild(node("div", { class: "row" }));
      this.views = ["as it is", "random change", "chosen change"].map((title) => {
        const canvas = node("canvas", { width: SIDE, height: SIDE, role: "img" });
        const answer = node("p", { class: "answer" });
        row.append(node("div", { class: "view" }, node("p", {}, title), canvas, answer));
        return { canvas, answer };
      });
      const own = this.views[0].canvas;
      own.classList.add("own");
      own.addEventListener("pointerdown", (event) => { own.setPointerCapture(event.pointerId); this.last = null; this.paint(event); });
      own.addEventListener("pointermove", (event) => { if (event.buttons) this.paint(event); });
      this.take(this.images[3]);
    }

    take(image) {
      this.image = Float64Array.from(image);
      this.redraw();
    }

    /** A stroke of a soft brush, from where the pointer was to where it is. */
    paint(event) {
      event.preventDefault();
      const box = event.currentTarget.getBoundingClientRect();
      const now = [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
      const from = this.last || now, steps = Math.ceil(2 * Math.hypot(now[0] - from[0], now[1] - from[1])) + 1;
      for (let k = 1; k <= steps; k++) {
        const [cx, cy] = [0, 1].map((i) => from[i] + ((now[i] - from[i]) * k) / steps);
        for (let j = 0; j < PIXELS; j++) {
          const distance = Math.hypot((j % SIDE) + 0.5 - cx, Math.floor(j / SIDE) + 0.5 - cy);
          this.image[j] = Math.max(this.image[j], Math.min(1, 1.9 - distance));
        }
      }
      this.last = now;
      this.redraw();
    }

    /** The picture as it is, with coin tosses, and with the signs of the gradient; both changes of the same size. */
    variants() {
      const { uniform } = randomNumbers(this.seed), size = this.change.value;
      const coins = Array.from({ length: PIXELS }, () => (uniform() < 0.5 ? -1 : 1));
      const signs = Array.from(gradient(this.network, this.image), Math.sign);
      return [this.image, changed(this.image, coins, size), changed(this.image, signs, size)];
    }

    redraw() {
      const answers = this.variants().map((image, k) => {
        const { canvas, answer } = this.views[k], shares = softmax(forward(this.network, image).logits), digit = best(shares);
        const context = canvas.getContext("2d"), pixels = context.createImageData(SIDE, SIDE);
        image.forEach((pixel, j) => pixels.data.set([255 * pixel, 255 * pixel, 255 * pixel, 255], 4 * j));
        context.putImageData(pixels, 0, 0);
        answer.replaceChildren("reads ", node("strong", {}, String(digit)), ` (${Math.round(100 * shares[digit])} %)`);
        return { digit, share: shares[digit] };
      });
      const [plain, random, chosen] = answers;
      this.views.forEach(({ answer, canvas }, k) => {
        answer.classList.toggle("fooled", answers[k].digit !== plain.digit);
        canvas.setAttribute("aria-label", `Handwritten digit; the network reads ${answers[k].digit}`);
      });
      const still = (one) => (one.digit === plain.digit ? `still ${one.digit}` : `${one.digit} now`);
      this.say(
        `The network reads ${plain.digit}. After a random change: ${still(random)}. After a chosen change of the same ` +
        `size: ${still(chosen)}. It reads ${(100 * this.accuracy).toFixed(1)} % of 10,000 test images correctly.`,
      );
    }

    get numbers() {
      const variants = this.variants();
      return {
        logits: variants.map((image) => forward(this.network, image).logits),
        variants: variants.map((image) => Array.from(image)), size: this.change.value,
      };
    }
  }

  Fool.style = `
    .row { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 10px; }
    .view p { margin: 0.2rem 0; }
    .view canvas { width: 100%; max-width: 260px; aspect-ratio: 1; image-rendering: pixelated; border: 1px solid var(--line); border-radius: 6px; }
    canvas.own { touch-action: none; cursor: crosshair; }
    .answer { min-height: 3.4em; }
    .answer strong { font-size: 1.5em; }
    .answer.fooled { color: var(--wine); }
    .answer.fooled::after { content: " fooled"; font-weight: bold; }
  `;
  define("companion-fool", Fool);
})();
