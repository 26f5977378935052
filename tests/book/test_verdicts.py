"""Verdicts: three words and a remark, shown as a table, and kept exactly as the chapters show them."""

import json
from dataclasses import asdict

import pytest

from tools import verdicts as tool
from tools.repository import notebook_paths
from tutorial_lib.book.claims import Claim
from tutorial_lib.book.verdicts import MISREADING, VERDICTS, Verdict, Verdicts, stored_verdicts, table

WITHOUT = {"14_take_aways", "15_measure_your_own_network"}  # the chapters that judge nothing of the talk
CLAIMS = [Claim("a is < b", True)]
TEXT = {"claim": "a < b", "slides": "7", "about": "during training", "because": "only early", "evidence": "3 of 4"}
GIVEN: dict = TEXT | {"decided_by": CLAIMS}


def test_another_verdict_is_refused():
    with pytest.raises(ValueError, match="^verdict must be one of .*not seen, got 'mostly holds'$"):
        Verdict(**GIVEN, verdict="mostly holds")


@pytest.mark.parametrize(
    ("whose", "verdict"), [("reading", "holds"), ("reading", "not seen"), ("talk", MISREADING), ("book", MISREADING)]
)
def test_only_what_somebody_printed_is_judged(whose, verdict):
    with pytest.raises(
        ValueError, match=f"^verdict must be 'a tempting misreading' for a reading .*, got '{verdict}'$"
    ):
        Verdict(**GIVEN, verdict=verdict, whose=whose)


def verdict_of(whose, **words):
    return Verdict(**GIVEN | words, verdict=MISREADING if whose == "reading" else "holds", whose=whose)


def test_an_unknown_owner_is_refused():
    with pytest.raises(ValueError, match="^whose must be one of book, cited, reading, talk, got 'mine'$"):
        Verdict(**GIVEN, verdict="holds", whose="mine")


def test_the_table_says_whose_claim_it_is_unless_it_is_the_talks():
    htmls = [table({"": [verdict_of(whose)]}) for whose in ("talk", "reading", "cited")]
    assert [("nobody&#x27;s claim" in html, "cited work" in html) for html in htmls] == [
        (False, False),
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize("name", TEXT)
def test_every_field_says_something(name):
    with pytest.raises(ValueError, match=f"^{name} must say something, got ' '$"):
        Verdict(**GIVEN | {name: " "}, verdict="holds")


def test_no_verdicts_are_no_table():
    with pytest.raises(ValueError, match="^verdicts must hold at least one Verdict, got none$"):
        Verdicts()


def test_the_table_shows_every_field_and_escapes_it():
    html = table({"Chapter 3": [Verdict(**GIVEN, verdict="holds")]})
    for text in ("a &lt; b", "slide 7; during training", "<strong>holds</strong>", "only early", "3 of 4", "Chapter 3"):
        assert html.count(text) == 1


def test_no_text_becomes_markup():
    verdict = Verdict(**{name: f"<{name}>" for name in TEXT}, verdict="holds", decided_by=CLAIMS)
    html = table({"<chapter>": [verdict]})
    for name in (*TEXT, "chapter"):
        assert f"<{name}>" not in html and f"&lt;{name}&gt;" in html


@pytest.mark.parametrize(
    "slides, words", [("7", "slide 7;"), ("8, 9", "slides 8, 9;"), ("16 to 18", "slides 16 to 18;")]
)
def test_several_slides_are_called_slides(slides, words):
    verdict = Verdict(**GIVEN | {"slides": slides}, verdict="holds")
    assert words in table({"": [verdict]}) and words in Verdicts(verdict)._repr_mimebundle_()[0]["text/plain"]


def test_a_notebook_stores_what_it_shows(tmp_path):
    verdicts = [
        Verdict(**GIVEN | {"claim": word}, verdict=word, whose="reading" if word == MISREADING else "talk")
        for word in VERDICTS
    ]
    data, metadata = Verdicts(*verdicts)._repr_mimebundle_()
    assert all(verdict.claim in data["text/plain"] and verdict.claim in data["text/html"] for verdict in verdicts)
    cell = {"cell_type": "code", "outputs": [{"output_type": "execute_result", "data": data, "metadata": metadata}]}
    path = tmp_path / "20_other.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "markdown"}, cell]}))
    assert tool.verdicts_of(path) == json.loads(json.dumps([asdict(verdict) for verdict in verdicts]))
    assert set(data) == {"text/html", "text/plain"}  # any other type makes the build of the book warn


def test_the_package_holds_the_verdicts_of_the_chapters():
    assert tool.FILE.read_text(encoding="utf-8") == tool.collected()
    chapters = [path.stem for path in notebook_paths() if path.parent.name == "notebooks"]
    assert list(stored_verdicts()) == [name for name in chapters if name not in WITHOUT]


def test_a_verdict_names_the_claims_that_decide_it():
    html = table({"": [Verdict(**GIVEN, verdict="holds")]})
    assert "<strong>holds</strong>" in html and "<li>a is &lt; b</li>" in html


def test_a_verdict_stands_only_while_its_claims_hold():
    claims = [Claim("a < b", True), Claim("b < c", False)]
    verdicts = Verdicts(Verdict(**GIVEN | {"decided_by": claims}, verdict="holds"))
    for text in verdicts._repr_mimebundle_()[0].values():
        assert "not with your values" in text and "holds" not in text


def test_a_verdict_without_a_claim_is_refused():
    with pytest.raises(ValueError, match="^decided_by must name at least one claim, got none$"):
        Verdict(**GIVEN | {"decided_by": []}, verdict="holds")
