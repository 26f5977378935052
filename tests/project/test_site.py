"""The built book, page by page, as files and in a real browser that reaches nothing but the book."""

import functools
import http.server
import re
import threading
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest
import yaml
from bs4 import BeautifulSoup
from PIL import Image

from tests.browsers import AXE

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [f"{name}.html" for name in [TOC["root"], *(c["file"] for p in TOC["parts"] for c in p["chapters"])]]
CHAPTERS = [page for page in PAGES if page.startswith("notebooks/")]
CHAPTERS_WITH_FLIPBOOK = {2, 4, 6, 7, 8}
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
MAX_BYTES = 2_000_000
# Findings that are not ours: an axe rule, and what the selector contains.
KNOWN_FINDINGS = [
    ("label-content-name-mismatch", ".search-button-field"),  # the theme's buttons
    ("label-content-name-mismatch", ".nav-link"),
    ("label-content-name-mismatch", ".theme-switch-button"),
    ("label-content-name-mismatch", '<summary aria-label="Toggle hidden content"'),  # MyST-NB's folded cells
    ("region", "logo__title"),  # the theme's title
    ("aria-allowed-role", "#id"),  # docutils' bibliography entries
    ("aria-deprecated-role", "#id"),
    ("aria-required-children", ".citation-list"),
]

pytestmark = pytest.mark.browser


@functools.cache
def soup(page):
    return BeautifulSoup((SITE / page).read_text(encoding="utf-8"), "html.parser")


def local_target(page, link):
    """Return the file and the anchor an internal link leads to; None for an outside link."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    path = (SITE / page).parent / unquote(parts.path) if parts.path else SITE / page
    return path.resolve(), unquote(parts.fragment)


@pytest.mark.parametrize("page", PAGES)
def test_internal_links_lead_to_files_and_anchors(page):
    for link in soup(page).find_all("a", href=True):
        target = local_target(page, link["href"])
        if target is None or link["href"] == "#":
            continue
        path, anchor = target
        assert path.is_file(), link["href"]
        if anchor and path.suffix == ".html":
            name = path.relative_to(SITE.resolve()).as_posix()
            assert soup(name).find(id=anchor), link["href"]


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_loaded_from_elsewhere(page):
    for tag in soup(page).find_all(["script", "img", "iframe", "source", "video", "link"]):
        link = tag.get("src") or tag.get("href") or ""
        assert not urlsplit(link).netloc, str(tag)[:200]


@pytest.mark.parametrize("page", PAGES)
def test_images_have_words_of_their_own(page):
    for image in soup(page).select("article img"):
        alt = image.get("alt", "")
        assert alt.strip(), str(image)[:200]
        assert not re.search(r"\.(png|jpe?g|svg|gif)$", alt), alt


@pytest.mark.parametrize("page", PAGES)
def test_images_of_a_page_decode(page):
    sources = {image["src"] for image in soup(page).find_all("img") if image.get("src")}
    for source in sources:
        target = local_target(page, source)
        if target and target[0].suffix == ".svg":
            ElementTree.fromstring(target[0].read_text(encoding="utf-8"))
            continue
        kind, _, text = source.partition(";base64,")
        assert target or kind == "data:image/png", source[:80]
        with Image.open(target[0] if target else BytesIO(b64decode(text))) as image:
            assert min(image.convert("RGB").size) > 1, source[:80]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_and_its_images_stay_small(page):
    sources = {image["src"] for image in soup(page).select("article img") if image.has_attr("src")}
    files = {local_target(page, link)[0] for link in sources if not link.startswith("data:")}
    assert sum(path.stat().st_size for path in [SITE / page, *files]) <= MAX_BYTES


@pytest.fixture(scope="module")
def address():
    """Serve the site on this machine and return where."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    assert SITE.is_dir(), "the book is not built: run `make book`"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def wait_until_drawn(tab):
    """Wait for formulas, and for stored widgets if the page has some."""
    tab.evaluate("async () => { if (window.MathJax?.startup) await MathJax.startup.promise; }")
    if tab.locator('script[type="application/vnd.jupyter.widget-view+json"]').count():
        tab.wait_for_selector(".jupyter-widgets")


def open_tab(browser, address, complaints):
    """Return a tab that reaches nothing but the site, and that notes all that goes wrong."""
    tab = browser.new_page(viewport=DESKTOP, reduced_motion="reduce")
    tab.set_default_timeout(20_000)

    def guard(route):
        if route.request.url.startswith((address, SITE.as_uri(), "data:", "blob:")):
            route.continue_()
        else:
            complaints.append(f"asks for {route.request.url}")
            route.abort()

    def check(response):
        if response.status >= 400:
            complaints.append(f"{response.status} {response.url}")

    tab.route("**/*", guard)
    tab.on("pageerror", lambda error: complaints.append(f"page error: {error}"))
    tab.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
    tab.on("response", check)
    return tab


@pytest.fixture(scope="module")
def tab(request, browser, address):
    """A page of the book, opened once for all tests that look at it."""
    complaints = []
    tab = open_tab(browser, address, complaints)
    tab.goto(f"{address}/{request.param}")
    wait_until_drawn(tab)
    yield tab
    tab.close()
    assert complaints == [], f"on {request.param}"


def look(tab, *, viewport=DESKTOP, colours="light", media="screen", unfolded=False):
    """Set how the page is looked at; what an earlier test chose does not count."""
    tab.set_viewport_size(viewport)
    tab.emulate_media(color_scheme=colours, media=media)
    script = "unfolded => document.querySelectorAll('details').forEach(d => { d.open = unfolded; })"
    tab.evaluate(script, unfolded)
    tab.wait_for_function("colours => document.documentElement.dataset.theme === colours", arg=colours)
    # The new colours are drawn, and no transition is under way.
    tab.evaluate("""async () => {
      await new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)));
      const settled = Promise.allSettled(document.getAnimations().map(animation => animation.finished));
      await Promise.race([settled, new Promise(done => setTimeout(done, 3000))]);  // one may wait for ever
    }""")
    return tab


every_page = pytest.mark.parametrize("tab", PAGES, indirect=True, scope="module")
every_chapter = pytest.mark.parametrize("tab", CHAPTERS, indirect=True, scope="module")


RAW_MATH = """() => {
  const left = [];
  for (const box of document.querySelectorAll('article .math'))
    if (!box.querySelector('mjx-container')) left.push(box.textContent);
  for (const error of document.querySelectorAll('mjx-merror')) left.push(error.textContent);
  const walker = document.createTreeWalker(document.querySelector('article'), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode;
    if (text.parentElement.closest('pre, code, script, style, mjx-container')) continue;
    if (/\\$[^$]+\\$|\\\\[(\\[]/.test(text.data)) left.push(text.data);
  }
  return left;
}"""


@every_page
def test_formulas_are_typeset(tab):
    assert look(tab).evaluate(RAW_MATH) == []


@every_page
def test_every_image_is_drawn(tab):
    # One that waits until it is scrolled to is asked for now.
    empty = """async () => {
      const images = [...document.querySelectorAll('img')];
      images.forEach(image => { image.loading = 'eager'; });
      await Promise.race([Promise.allSettled(images.map(image => image.decode())),
                          new Promise(done => setTimeout(done, 5000))]);
      return images.filter(i => !i.complete || i.naturalWidth <= 1).map(i => i.outerHTML.slice(0, 200));
    }"""
    assert look(tab).evaluate(empty) == []


@pytest.mark.parametrize("tab", ["book/statements.html"], indirect=True, scope="module")
def test_there_are_formulas_to_typeset(tab):
    assert tab.locator("article mjx-container").count() > 0


@every_page
def test_a_phone_scrolls_a_page_in_one_direction_only(tab):
    look(tab, viewport=PHONE, unfolded=True)
    assert tab.evaluate("document.scrollingElement.scrollWidth") <= 390
    assert tab.evaluate("document.querySelector('article').getBoundingClientRect().right") <= 390
    wide = """[...document.querySelectorAll('article *')].filter(e => e.scrollWidth > e.clientWidth + 1
      && e.clientWidth > 0 && getComputedStyle(e).overflowX === 'visible'
      && e.getBoundingClientRect().left + e.scrollWidth > 391
      && !e.closest('div.math, table, pre, mjx-container, .output, .pst-scrollable-table-container'))
      .map(e => e.outerHTML.slice(0, 200))"""
    assert tab.evaluate(wide) == []


@every_page
def test_there_is_one_search_box(tab):
    look(tab)
    boxes = tab.locator(".search-button-field, .search-button, input[type=search]")
    assert sum(box.is_visible() for box in boxes.all()) == 1


@pytest.mark.parametrize("tab", ["search.html?q=width"], indirect=True, scope="module")
def test_search_works_without_a_server_of_its_own(tab):
    tab.wait_for_selector("#search-results li")


@every_page
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_of_ours(tab, colours):
    look(tab, colours=colours, unfolded=True)
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", background)[:3])) < 128) == (colours == "dark")
    tab.evaluate(AXE)
    found = [
        (violation["id"], " ".join([*map(str, node["target"]), node["html"]]))
        for violation in tab.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
        for node in violation["nodes"]
    ]
    new = [
        (rule, where)
        for rule, where in found
        if not any(rule == known and part in where for known, part in KNOWN_FINDINGS)
    ]
    assert new == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_from_a_file(browser, address, page):
    complaints = []
    tab = open_tab(browser, address, complaints)
    tab.goto(f"{SITE.as_uri()}/{page}")
    wait_until_drawn(tab)
    left = tab.evaluate(RAW_MATH)
    tab.close()
    assert left == complaints == []


@every_page
def test_a_page_prints_with_its_solutions_and_without_controls(tab):
    look(tab, media="print")
    assert not any(c.is_visible() for c in tab.locator("figure.flipbook input, .copybtn").all())
    hidden = """[...document.querySelectorAll('article details > :not(summary)')]
      .filter(e => !e.checkVisibility({contentVisibilityAuto: true})).map(e => e.outerHTML.slice(0, 200))"""
    assert tab.evaluate(hidden) == []


@every_chapter
def test_every_prediction_of_a_chapter_has_its_buttons(tab):
    notebook = (ROOT / "notebooks" / Path(tab.url).with_suffix(".ipynb").name).read_text(encoding="utf-8")
    assert tab.locator("ul.prediction").count() == notebook.count("**Predict:**")


def flipbooks(tab):
    return tab.locator("figure.flipbook").all()


def test_the_chapters_that_promise_a_flipbook_have_one():
    for page in CHAPTERS:
        if int(Path(page).name[:2]) in CHAPTERS_WITH_FLIPBOOK:
            assert soup(page).select("figure.flipbook"), page


def frame_of(book):
    """Return what a flipbook shows: the words of its one visible frame, and its value."""
    visible = [image for image in book.locator(".frames img").all() if image.is_visible()]
    assert len(visible) == 1
    return visible[0].get_attribute("alt"), book.locator("output").inner_text()


@every_chapter
def test_a_flipbook_turns_by_keyboard(tab):
    look(tab)
    for book in flipbooks(tab):
        slider = book.locator("input[type=range]")
        assert slider.evaluate("input => input.labels[0].innerText.trim().length") > 0
        seen = [frame_of(book)]
        slider.press("Home")
        seen = [frame_of(book)]
        for _ in range(int(slider.get_attribute("max"))):
            slider.press("ArrowRight")
            seen.append(frame_of(book))
        alts, values = zip(*seen, strict=True)
        assert len(set(alts)) == len(alts) == book.locator(".frames img").count()
        assert len(set(values)) == len(values)


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@every_chapter
def test_a_flipbook_turns_by_pointer(tab, viewport):
    look(tab, viewport=viewport)
    for book in flipbooks(tab):
        slider = book.locator("input[type=range]")
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        slider.click(position={"x": 2, "y": box["height"] / 2})
        first = frame_of(book)
        slider.click(position={"x": box["width"] - 2, "y": box["height"] / 2})
        last = frame_of(book)
        assert first[0] != last[0]
        assert first[1] != last[1]


@every_chapter
def test_live_controls_are_drawn_disabled_beside_words_that_say_why(tab):
    look(tab)
    views = tab.locator('script[type="application/vnd.jupyter.widget-view+json"]').count()
    if views == 0:
        return
    controls = tab.locator(".jupyter-widgets input, .jupyter-widgets select, .jupyter-widgets button")
    assert controls.count() > 0
    assert all(control.is_disabled() for control in controls.all() if control.is_visible())
    for handle in tab.locator(".jupyter-widgets .noUi-target").all():
        assert handle.get_attribute("disabled") is not None
    words = tab.locator(".jupyter-widgets .needs-kernel, .jupyter-widgets.needs-kernel")
    visible = [text for text in words.all() if text.is_visible()]
    assert len(visible) == views
    for text in visible:
        link = text.locator("a").get_attribute("href")
        assert link.startswith("https://colab.research.google.com/github/")
