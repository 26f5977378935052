"""One thread, one source of randomness, and the same examples in every run, for every test."""

import os

import jaxtyping
import pytest
from hypothesis import settings

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture
def generator():
    """A generator in a known state; a test of formulas alone does not load torch."""
    import torch

    torch.set_num_threads(1)
    return torch.Generator().manual_seed(0)


@pytest.fixture
def as_a_reader(monkeypatch):
    """Annotations unchecked, as outside the tests: what the library itself says then shows."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="module")
def browser():
    """The browser of all tests of a file; a machine without one skips them, but not in CI."""
    from playwright.sync_api import sync_playwright

    from tools.browser import BROWSER, launched

    if BROWSER is None:
        message = "no Chromium for the browser tests: apt-get install chromium"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()
