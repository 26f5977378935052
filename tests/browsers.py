"""The real browser that tests and benchmarks look at pages with, and what they ask of it everywhere."""

import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Playwright

BROWSER = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
# It asks no other host for anything, not even for updates of its own.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")


def launched(playwright: Playwright) -> Browser:
    """Return a new browser."""
    return playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)


def serious_findings(tab: Any) -> list[list[str]]:
    """Return what axe-core finds serious or critical in the main part of a page: impact, rule and element."""
    tab.evaluate(AXE)
    found = tab.evaluate("async () => (await axe.run('main')).violations.map(v => [v.impact, v.id, v.nodes[0].html])")
    return [finding for finding in found if finding[0] in ("serious", "critical")]
