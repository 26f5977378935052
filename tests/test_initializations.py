"""The three schemes as on slide 10, and what a standard deviation must be."""

from math import inf, isclose, nan, sqrt

import pytest

from tutorial_lib.architecture import Architecture
from tutorial_lib.initializations import INITIALIZATIONS, LayerStds, he, lecun, ntk, require_stds, stds_of_scheme


@pytest.mark.parametrize(
    ("scheme", "input_dim", "width", "expected"),
    [
        ("lecun", 16, 4, (1 / 4, 1 / 2, 1 / 2)),
        ("he", 8, 32, (1 / 2, 1 / 4, 1 / 4)),
        ("ntk", 3, 8, (1 / 2, 1 / 2, 1)),
        ("lecun", 3, 8, (sqrt(1 / 3), sqrt(1 / 8), sqrt(1 / 8))),
        ("he", 3, 8, (sqrt(2 / 3), 1 / 2, 1 / 2)),
    ],
)
@pytest.mark.parametrize(("depth", "output_dim"), [(2, 1), (5, 7)])
def test_standard_deviations_worked_out_by_hand(scheme, input_dim, width, expected, depth, output_dim):
    shape = Architecture(input_dim=input_dim, width=width, depth=depth, output_dim=output_dim)
    stds = INITIALIZATIONS[scheme](shape)
    assert all(isclose(*pair, rel_tol=1e-15) for pair in zip(stds, expected, strict=True))
    assert stds_of_scheme(scheme, shape) == stds


def test_the_names_of_the_schemes_are_those_of_the_talk():
    assert dict(INITIALIZATIONS) == {"lecun": lecun, "he": he, "ntk": ntk}
    assert list(INITIALIZATIONS) == ["lecun", "he", "ntk"]


def test_another_name_is_refused_with_those_allowed():
    with pytest.raises(ValueError, match=r"^scheme must be one of he, lecun, mup, ntk, got 'glorot'$"):
        stds_of_scheme("glorot", Architecture(input_dim=3, width=4, depth=2))


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


@pytest.mark.parametrize(("depth", "expected"), [(2, [1.5, 0.5]), (3, [1.5, 0.25, 0.5]), (5, [1.5, *[0.25] * 3, 0.5])])
def test_each_layer_has_its_standard_deviation(depth, expected):
    stds = LayerStds(first=1.5, hidden=0.25, last=0.5)
    assert stds.of_layers(Architecture(input_dim=3, width=4, depth=depth)) == expected


@pytest.mark.parametrize("value", ["1", None, True, 1j])
@pytest.mark.parametrize("name", ["first", "hidden", "last"])
@pytest.mark.usefixtures("as_a_reader")
def test_a_standard_deviation_must_be_a_number(name, value):
    with pytest.raises(TypeError, match=rf"^{name} is a standard deviation and must be a number >= 0, got "):
        LayerStds(**({"first": 1.0, "hidden": 1.0, "last": 1.0} | {name: value}))


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
        scheme(Architecture(**sizes, depth=2))


@pytest.mark.parametrize("scheme", INITIALIZATIONS.values())
@pytest.mark.usefixtures("as_a_reader")
def test_a_scheme_refuses_what_is_no_architecture(scheme):
    with pytest.raises(TypeError, match=r"^architecture must be an Architecture, got 64$"):
        scheme(64)


@pytest.mark.usefixtures("as_a_reader")
def test_three_numbers_are_not_yet_standard_deviations():
    require_stds(LayerStds(1.0, 1.0, 1.0))
    with pytest.raises(TypeError, match=r"^stds must be LayerStds, such as he\(architecture\), got \(1.0, 1.0, 1.0\)$"):
        require_stds((1.0, 1.0, 1.0))
