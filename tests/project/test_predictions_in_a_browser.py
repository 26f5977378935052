"""Predictions in a real browser: a choice shows the figure, nothing is hidden for good, paper shows everything."""

import re
from pathlib import Path

import pytest

from tests.browsers import serious_findings

ROOT = Path(__file__).parents[2]
SCRIPT = (ROOT / "book" / "site_root" / "predict.js").read_text(encoding="utf-8")
STYLE = (ROOT / "book" / "_static" / "book.css").read_text(encoding="utf-8")
PAGE = """<html lang="en"><title>t</title><style>{style}</style><script>{script}</script>
<main><article class="bd-article"><h1>t</h1>
<p><strong>Predict:</strong> which way?</p>
<ul><li><p>(a) <em>Up</em>.</p></li><li>(b) Down.</li></ul>
<p id="text">Look at the curve.</p>
<div class="cell_output"><pre id="figure">it falls</pre></div>
<p id="caption"><em>Figure 1.1.</em> <strong>It falls.</strong></p>
<details id="hint"><summary>Hint</summary>none</details>
<details id="answer"><summary>Answer</summary>(b).</details>
<p id="later"><em>Figure 1.2.</em> Another.</p>
{more}</article></main></html>"""
SECOND = "<p><strong>Predict:</strong> and here?</p><ul><li>(a) Yes.</li></ul><div class='cell_output'>yes</div>"

pytestmark = pytest.mark.browser


@pytest.fixture
def open_page(browser, tmp_path):
    tabs = []

    def open_it(*, scripts=True, more=""):
        page = tmp_path / "page.html"
        page.write_text(PAGE.format(style=STYLE, script=SCRIPT, more=more), encoding="utf-8")
        tab = browser.new_context(java_script_enabled=scripts, reduced_motion="reduce").new_page()
        tab.goto(page.as_uri())
        tabs.append(tab)
        return tab

    yield open_it
    for tab in tabs:
        tab.context.close()


def veiled(tab):
    return [one for one in ("#text", "pre", "#caption", "#answer", "#later") if filter_of(tab, one) != "none"]


def filter_of(tab, selector):
    return tab.locator(selector).evaluate(
        "one => getComputedStyle(one.closest('.cell_output') ?? one).getPropertyValue('filter')"
    )


def test_the_figure_and_its_caption_wait_for_a_choice_and_nothing_else_does(open_page):
    tab = open_page()
    assert veiled(tab) == ["pre", "#caption"]
    assert not tab.locator("#answer").evaluate("fold => fold.open")
    assert [button.inner_text() for button in tab.locator("button").all()] == ["(a) Up.", "(b) Down.", "Just show me"]
    assert tab.locator("button em").inner_text() == "Up"


@pytest.mark.parametrize("key", ["Enter", " "])
def test_a_choice_by_key_shows_figure_and_answer_and_says_what_was_chosen(open_page, key):
    tab = open_page()
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.press(key)
    assert veiled(tab) == []
    assert tab.locator("#answer").evaluate("fold => fold.open") and not tab.locator("#hint").evaluate("one => one.open")
    assert [b.get_attribute("aria-pressed") for b in tab.locator("button").all()] == ["false", "true", None]
    assert "You chose (b)" in tab.get_by_role("status").inner_text()
    tab.locator("button").first.click()
    assert [b.get_attribute("aria-pressed") for b in tab.locator("button").all()] == ["true", "false", None]
    assert "You chose (a)" in tab.get_by_role("status").inner_text()


def test_nobody_has_to_choose(open_page):
    tab = open_page()
    tab.get_by_role("button", name="Just show me").click()
    assert veiled(tab) == [] and tab.locator("#answer").evaluate("fold => fold.open")
    assert not tab.get_by_role("button", name="Just show me").is_visible()


def test_a_screen_reader_and_paper_get_everything(open_page):
    tab = open_page()
    seen = tab.locator("article").aria_snapshot()
    assert "it falls" in seen and "Figure 1.1." in seen and "Just show me" in seen
    tab.emulate_media(media="print")
    assert veiled(tab) == [] and not tab.get_by_role("button", name="Just show me").is_visible()


def test_without_scripts_nothing_is_hidden(open_page):
    tab = open_page(scripts=False)
    assert tab.locator("#figure").is_visible() and tab.locator("#caption").is_visible()
    assert tab.locator("button").count() == 0


def test_a_question_without_an_answer_of_its_own_is_left_as_it_is(open_page):
    tab = open_page(more=SECOND)
    assert tab.locator("ul.prediction").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_page, scheme):
    tab = open_page()
    tab.emulate_media(color_scheme=scheme)
    assert serious_findings(tab) == []


@pytest.mark.parametrize(
    "fault", [(".classList.remove('to-predict')", ".classList.add('to-predict')"), ("answer.open = true", "")]
)
def test_a_planted_fault_is_seen(open_page, monkeypatch, fault):
    assert fault[0] in SCRIPT
    monkeypatch.setitem(globals(), "SCRIPT", SCRIPT.replace(*fault))
    tab = open_page()
    tab.get_by_role("button", name=re.compile("Down")).click()
    assert veiled(tab) != [] or not tab.locator("#answer").evaluate("fold => fold.open")
