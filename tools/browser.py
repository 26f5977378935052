"""The browser that tests, benchmarks and the printed book use: where it is, and how it is started."""

import shutil

from playwright.sync_api import Browser, Playwright

BROWSER = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
# It asks no other host for anything, not even for updates of its own.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


def launched(playwright: Playwright) -> Browser:
    """Return a new browser."""
    return playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
