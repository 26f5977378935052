"""A claim is silent if it holds; else it stops the tests, and tells a reader."""

import json

import numpy as np
import pytest
import torch

from tools import claims as tool
from tools.repository import notebook_paths
from tutorial_lib.book.claims import RECORD, STRICT, Claim, expect, listing, stored_claims


@pytest.mark.parametrize("holds", [True, np.bool_(True), torch.tensor(True), 1])
def test_a_claim_that_holds_says_nothing(holds, capsys):
    assert expect("Two is even.", holds) == Claim("Two is even.", True)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("holds", [False, np.bool_(False), torch.tensor(False), 0])
def test_a_claim_that_fails_stops_the_tests(holds, monkeypatch):
    monkeypatch.setenv(STRICT, "1")
    with pytest.raises(AssertionError, match=r"^Two is odd\.$"):
        expect("Two is odd.", holds)


def test_a_claim_that_fails_tells_a_reader_and_lets_them_go_on(monkeypatch, capsys):
    monkeypatch.delenv(STRICT, raising=False)
    assert expect("Two is odd.", False) == Claim("Two is odd.", False)
    assert capsys.readouterr().out == "The book saw: Two is odd. With your values this is not so.\n"


def test_claims_are_recorded_in_their_order_where_a_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(RECORD, str(tmp_path / "claims"))
    expect("Zwei ist größer als eins.", True)
    expect("Three\nlines.", True)
    lines = (tmp_path / "claims").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == ["Zwei ist größer als eins.", "Three\nlines."]


def test_a_claim_at_the_end_of_a_cell_shows_nothing():
    from IPython.core.interactiveshell import InteractiveShell

    assert InteractiveShell.instance().display_formatter.format(Claim("Two is even.", True)) == ({}, {})


def test_the_list_of_claims_says_each_once_below_its_chapter_and_escapes_it():
    html = listing({"One": ["a < b", "c", "a < b"], "Two": ["d"]})
    assert html.count("<li>a &lt; b</li>") == 1 and html.index("One (2)") < html.index("<li>c</li>") < html.index("Two")


@pytest.mark.parametrize("path", notebook_paths(), ids=lambda path: path.stem)
def test_the_stored_claims_are_those_of_the_notebook(path):
    assert tool.differences(path, stored_claims().get(path.stem, [])) == []


def test_every_chapter_has_claims():
    assert [
        path.stem for path in notebook_paths() if path.parent.name == "notebooks" and not stored_claims().get(path.stem)
    ] == []


def notebook(tmp_path, source):
    path = tmp_path / "01_a.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": source}]}))
    return path


@pytest.mark.parametrize(
    ("source", "sentences", "expected"),
    [
        ("expect(f'{a} of {b} fall.', a > 1)", ["3 of 4 fall."], []),
        ("expect(f'{a} of {b} fall.', a > 1)", ["3 of 4 rise."], 2),
        ("x = expect('All fall.', True)", [], ["claimed, not stored: All\\ fall\\."]),
        ("print(1)", ["All fall."], ["stored, no longer claimed: All fall."]),
    ],
)
def test_a_claim_that_changed_is_found(tmp_path, source, sentences, expected):
    found = tool.differences(notebook(tmp_path, source), sentences)
    assert found == expected if isinstance(expected, list) else len(found) == expected
