"""A claim is silent if it holds; else it stops the tests, and tells a reader."""

import numpy as np
import pytest
import torch

from tutorial_lib.book.claims import STRICT, expect


@pytest.mark.parametrize("holds", [True, np.bool_(True), torch.tensor(True), 1])
def test_a_claim_that_holds_says_nothing(holds, capsys):
    expect("Two is even.", holds)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("holds", [False, np.bool_(False), torch.tensor(False), 0])
def test_a_claim_that_fails_stops_the_tests(holds, monkeypatch):
    monkeypatch.setenv(STRICT, "1")
    with pytest.raises(AssertionError, match=r"^Two is odd\.$"):
        expect("Two is odd.", holds)


def test_a_claim_that_fails_tells_a_reader_and_lets_them_go_on(monkeypatch, capsys):
    monkeypatch.delenv(STRICT, raising=False)
    expect("Two is odd.", False)
    assert capsys.readouterr().out == "The book saw: Two is odd. With your values this is not so.\n"
