"""The three schemes as on slide 10, and what a standard deviation must be."""

from math import inf, isclose, nan

import pytest

from tutorial_lib.initializations import INITIALIZATIONS, LayerStds


@pytest.mark.parametrize(
    ("scheme", "input_dim", "width", "expected"),
    [
        ("lecun", 16, 4, (1 / 4, 1 / 2, 1 / 2)),
        ("he", 8, 32, (1 / 2, 1 / 4, 1 / 4)),
        ("ntk", 3, 8, (1 / 2, 1 / 2, 1)),
    ],
)
def test_standard_deviations_worked_out_by_hand(scheme, input_dim, width, expected):
    stds = INITIALIZATIONS[scheme](input_dim=input_dim, width=width)
    assert all(map(isclose, stds, expected))


def test_the_names_of_the_schemes_are_those_of_the_talk():
    assert list(INITIALIZATIONS) == ["lecun", "he", "ntk"]


def test_fields_are_first_hidden_last():
    stds = LayerStds(first=1.0, hidden=0.0, last=2.0)
    assert (stds.first, stds.hidden, stds.last) == stds == (1.0, 0.0, 2.0)


@pytest.mark.parametrize("value", [-0.1, nan, inf])
@pytest.mark.parametrize("name", ["first", "hidden", "last"])
def test_a_standard_deviation_must_be_finite_and_not_negative(name, value):
    message = rf"^{name} is a standard deviation and must be finite and >= 0, got {value}$"
    good = LayerStds(first=1.0, hidden=1.0, last=1.0)
    with pytest.raises(ValueError, match=message):
        LayerStds(**{**good._asdict(), name: value})
    with pytest.raises(ValueError, match=message):
        good._replace(**{name: value})


@pytest.mark.parametrize("scheme", INITIALIZATIONS.values())
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"input_dim": 0, "width": 3}, "input_dim must be an integer >= 1, got 0"),
        ({"input_dim": 3, "width": 0}, "width must be an integer >= 1, got 0"),
    ],
)
def test_a_scheme_refuses_sizes_below_one(scheme, sizes, message):
    with pytest.raises(ValueError, match=message):
        scheme(**sizes)
