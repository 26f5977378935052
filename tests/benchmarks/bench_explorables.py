"""How quickly the explorables answer in a real browser, on one core: a slider, and the frames while they move.

The unit of the ratios is a loop of 10 million multiplications and additions in the same page.
"""

from statistics import median

import pytest
from playwright.sync_api import sync_playwright

from tools.browser import BROWSER, launched
from tutorial_lib.book.explorables import STILLS, element, scripts_of

TARGET_MILLISECONDS, TARGET_FRAMES, TARGET_KILOBYTES = 50, 30, 60

REFERENCE = """() => {
  const start = performance.now();
  let sum = 0;
  for (let k = 0; k < 1e7; k++) sum = sum * 0.999 + k;
  globalThis.kept = sum;
  return performance.now() - start;
}"""
# Each control is moved as a finger would; the page is laid out before the clock stops.
ANSWERS = """name => {
  const root = document.querySelector(`companion-${name}`).shadowRoot, found = [];
  for (const input of root.querySelectorAll('input')) {
    if (input.disabled) continue;
    const moves = input.type === 'range' ? 7 : 1;
    for (let k = 0; k < moves; k++) {
      if (input.type === 'range') input.value = +input.min + ((+input.max - +input.min) * (k + 0.5)) / moves;
      else input.checked = true;
      const start = performance.now();
      input.dispatchEvent(new Event('input', { bubbles: true }));
      input.dispatchEvent(new Event('change', { bubbles: true }));
      root.host.getBoundingClientRect();
      found.push(performance.now() - start);
    }
  }
  return found;
}"""
FRAMES = """name => new Promise(done => {
  const root = document.querySelector(`companion-${name}`).shadowRoot;
  [...root.querySelectorAll('button')].find(button => button.textContent === 'train')?.click();
  const start = performance.now();
  let frames = 0;
  const frame = now => {
    frames += 1;
    if (now - start < 2000) requestAnimationFrame(frame);
    else done((1000 * frames) / (now - start));
  };
  requestAnimationFrame(frame);
})"""


def page_of(name, folder):
    inline = "".join(f"<script>{script}</script>" for script in scripts_of(name))
    page = folder / f"{name}.html"
    page.write_text(f'<html lang="en"><title>t</title><main>{element(name)}{inline}</main></html>', encoding="utf-8")
    return page.as_uri()


def kilobytes(name):
    """The shared script and its own; apart from them the data: weights, or stored runs."""
    shared, *data, own = (len(script.encode()) / 1000 for script in scripts_of(name))
    return {"kilobytes": round(shared + own, 1), "kilobytes_of_data": round(sum(data), 1)}


@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
def test_explorables(benchmark, results, quick, tmp_path):
    found = {}

    def measure():
        with sync_playwright() as playwright:
            browser = launched(playwright)
            for name in STILLS:
                tab = browser.new_page(viewport={"width": 900, "height": 800})
                tab.goto(page_of(name, tmp_path))
                tab.wait_for_function(f"document.querySelector('companion-{name}').running")
                tab.evaluate(ANSWERS, name)  # the first run compiles
                answers = [tab.evaluate(ANSWERS, name) for _ in range(1 if quick else 5)]
                reference = median(tab.evaluate(REFERENCE) for _ in range(5))
                slowest = max(median(times) for times in zip(*answers, strict=True))
                found[name] = {
                    "milliseconds": round(slowest, 1),
                    "ratio": round(slowest / reference, 2),
                    "frames_per_second": round(tab.evaluate(FRAMES, name)),
                    **kilobytes(name),
                }
                tab.close()
            browser.close()

    benchmark.pedantic(measure, rounds=1, iterations=1)
    targets = {"milliseconds": TARGET_MILLISECONDS, "frames_per_second": TARGET_FRAMES, "kilobytes": TARGET_KILOBYTES}
    results["explorables"] = {"measured": found, "targets": targets, "reference": "10 million steps of a loop"}
    benchmark.extra_info |= results["explorables"]
