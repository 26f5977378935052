"""The inequality against the exact law; the rates against the printed numbers and their shapes."""

from math import e, exp, inf, isclose, log, pi, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutorial_lib.bounds import (
    homogeneous_lazy_rate,
    huang2021_rate,
    initial_stability_bound,
    lazy_rate,
    lazy_rate_hump,
    lazy_rate_peak,
    non_lazy_rate,
    non_lazy_threshold,
    wu2021_rate,
)
from tutorial_lib.exact import initial_perturbation_stability, mean_chi_binomial
from tutorial_lib.initializations import INITIALIZATIONS, LayerStds

networks = st.fixed_dictionaries(
    {
        "input_dim": st.integers(1, 3000),
        "width": st.integers(1, 3000),
        "depth": st.integers(2, 40),
        "output_dim": st.integers(1, 60),
        "output_divisor": st.floats(0.1, 10),
    }
)
several_stds = st.builds(LayerStds, *[st.floats(0.05, 5)] * 3)

# The inequality.


def test_bound_worked_out_by_hand():
    # d / (d + 1) = 5/6; scale 3 (1/2)^2 7 / 2; E chi_2 = sqrt(pi / 2); three layers of sqrt(8 / 2).
    stds = LayerStds(first=3.0, hidden=0.5, last=7.0)
    value = initial_stability_bound(stds, input_dim=5, width=8, depth=4, output_dim=2, output_divisor=2.0)
    assert isclose(value, 5 / 6 * 3 * 0.25 * 7 / 2 * sqrt(pi / 2) * 2**3)


@given(network=networks, stds=several_stds)
def test_bound_over_the_exact_law_is_the_gap_of_jensen_in_each_layer(network, stds):
    width, depth = network["width"], network["depth"]
    ratio = initial_stability_bound(stds, **network) / initial_perturbation_stability(stds, **network)
    assert ratio > 1
    assert isclose(ratio, (sqrt(width / 2) / mean_chi_binomial(width)) ** (depth - 1), rel_tol=1e-9)


def test_bound_is_reached_as_the_width_grows():
    stds = LayerStds(first=0.3, hidden=0.002, last=1.7)
    sizes = {"input_dim": 9, "depth": 6}
    gaps = [
        initial_stability_bound(stds, width=width, **sizes) / initial_perturbation_stability(stds, width=width, **sizes)
        - 1
        for width in (100, 1000, 10_000, 10**7)
    ]
    assert all(isclose(a / b, 10, rel_tol=0.05) for a, b in zip(gaps[:2], gaps[1:3], strict=True))
    assert 0 < gaps[3] < 1e-6


# The talk's lazy theorem.


@pytest.mark.parametrize(
    ("scheme", "depth", "ratios"),
    [
        ("lecun", 4, {1: "89", 16: "53", 64: "46", 256: "6.1", 512: "1.9", 1024: "1.80", 4096: "1.80", 16384: "1.80"}),
        (
            "lecun",
            8,
            {1: "2333", 16: "212", 64: "310", 256: "404", 512: "344", 1024: "179", 4096: "2.7", 16384: "1.80"},
        ),
        ("he", 2, {1: "5.6", 16: "2.4", 64: "0.92", 256: "0.90", 16384: "0.90"}),
        ("he", 10, {1: "5065", 16: "163", 64: "234", 256: "361", 512: "391", 1024: "330", 4096: "31", 16384: "0.90"}),
        ("ntk", 4, {1: "14", 16: "5.9", 64: "5.2", 256: "1.7", 512: "1.29", 1024: "1.275", 4096: "1.27"}),
        ("ntk", 10, {1: "1088", 16: "30", 64: "43", 256: "65", 512: "70", 1024: "59", 4096: "6.6", 16384: "1.27"}),
    ],
)
def test_lazy_rate_over_the_exact_law_has_the_measured_ratios(scheme, depth, ratios):
    for width, printed in ratios.items():
        stds = INITIALIZATIONS[scheme](input_dim=64, width=width)
        exact = initial_perturbation_stability(stds, input_dim=64, width=width, depth=depth)
        ratio = lazy_rate(scheme, input_dim=64, width=width, depth=depth) / exact
        decimals = len(printed.partition(".")[2])
        assert f"{ratio:.{decimals}f}" == printed


def test_lazy_rate_worked_out_by_hand_at_its_peak():
    # Depth 4 and width 32: L^3 m = 2048 and m / L^3 = 1/2.
    hump = sqrt(2048 / e)
    assert isclose(lazy_rate_hump(width=32, depth=4), hump)
    sizes = {"input_dim": 9, "width": 32, "depth": 4}
    assert isclose(lazy_rate("lecun", **sizes), (hump + 1) / 3 / 2)
    assert isclose(lazy_rate("he", **sizes), (hump + 1) / 3)
    assert isclose(lazy_rate("ntk", **sizes), hump / 3 + 1)


@pytest.mark.parametrize(("depth", "peak"), [(2, 4), (4, 32), (6, 108), (8, 256), (10, 500)])
def test_the_hump_is_largest_at_its_peak(depth, peak):
    assert lazy_rate_peak(depth) == peak
    heights = [lazy_rate_hump(width=width, depth=depth) for width in (peak - 1, peak, peak + 1)]
    assert max(heights) == heights[1]


@given(input_dim=st.integers(1, 900), width=st.integers(1, 5000), depth=st.integers(2, 30), scale=st.floats(0.5, 2))
def test_homogeneous_rate_is_the_printed_one_up_to_the_constants_that_its_text_names(input_dim, width, depth, scale):
    sizes = {"width": width, "depth": depth}
    values = {}
    for scheme, initialization in INITIALIZATIONS.items():
        stds = initialization(input_dim=input_dim, width=width)
        values[scheme] = homogeneous_lazy_rate(stds, **sizes)
        scaled = LayerStds(*(scale * std for std in stds))
        assert isclose(homogeneous_lazy_rate(scaled, **sizes), scale**depth * values[scheme], rel_tol=1e-9)
    printed = {name: lazy_rate(name, input_dim=input_dim, **sizes) for name in ("lecun", "he")}
    assert isclose(values["lecun"], printed["lecun"], rel_tol=1e-9)
    assert isclose(values["he"], 2 * printed["he"], rel_tol=1e-9)
    assert isclose(values["ntk"], sqrt(2) * (lazy_rate_hump(**sizes) + 1), rel_tol=1e-9)


# The works it compares with, and the non-lazy theorem.


@pytest.mark.parametrize(("depth", "slide", "wu", "huang"), [(4, 1.00, 489, 22.6), (8, 4.5, 1789, 2048)])
def test_the_comparison_of_slide_19_has_its_measured_values(depth, slide, wu, huang):
    assert isclose(lazy_rate("ntk", input_dim=784, width=1024, depth=depth), slide, rel_tol=0.01)
    assert isclose(wu2021_rate(width=1024, depth=depth), wu, rel_tol=0.002)
    assert isclose(huang2021_rate(depth=depth), huang, rel_tol=0.002)


def test_the_rates_compared_with_worked_out_by_hand():
    assert isclose(wu2021_rate(width=8, depth=3), 9 * 2 * sqrt(log(8)) + sqrt(24))
    assert isclose(huang2021_rate(depth=3), 2**2 * sqrt(3))


def test_non_lazy_rate_falls_with_the_width_as_its_exponent_says():
    assert isclose(non_lazy_rate(num_samples=6, width=4, exponent=0.5), 6 / 16)
    assert isclose(non_lazy_rate(num_samples=6, width=4, exponent=2.0), 6 / 128)


def test_non_lazy_threshold_worked_out_by_hand():
    # Width 4: m^(3/2) = 8; the sum over four matrices is 1 + 2 / 8 + 1/4.
    stds = LayerStds(first=1.0, hidden=0.125, last=0.25)
    assert isclose(non_lazy_threshold(stds, width=4, depth=4), (8 * 1.5) ** 4)
    assert isclose(non_lazy_threshold(stds, width=4, depth=2), (8 * 1.25) ** 2)
    assert non_lazy_threshold(LayerStds(0.0, 0.0, 0.0), width=4, depth=3) == 0


# Extremes and bad input.


def test_rates_beyond_the_largest_float_are_infinite_and_dead_ones_zero():
    large = LayerStds(1.0, 50.0, 1.0)
    assert huang2021_rate(depth=1000) == inf
    assert non_lazy_threshold(large, width=10**7, depth=1000) == inf
    assert homogeneous_lazy_rate(large, width=10, depth=1000) == inf
    assert initial_stability_bound(large, input_dim=3, width=10, depth=1000) == inf
    assert initial_stability_bound(LayerStds(0.0, 1.0, 1.0), input_dim=3, width=10, depth=5) == 0
    assert lazy_rate_hump(width=10**7, depth=2) == 0
    assert isclose(lazy_rate("he", input_dim=10**6, width=10**7, depth=2), 1e-3)
    assert isclose(lazy_rate_hump(width=10**7, depth=1000), exp(1.5 * log(1000) + log(10**7) / 2 - 0.01))


STDS = LayerStds(1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lazy_rate("glorot", input_dim=2, width=3, depth=2), "scheme must be one of he, lecun, ntk, got"),
        (lambda: lazy_rate("he", input_dim=0, width=3, depth=2), "input_dim must be an integer >= 1, got 0"),
        (lambda: lazy_rate_hump(width=0, depth=2), "width must be an integer >= 1, got 0"),
        (lambda: lazy_rate_hump(width=3, depth=1), "depth counts weight matrices and must be >= 2, got 1"),
        (lambda: lazy_rate_peak(1), "depth counts weight matrices and must be >= 2, got 1"),
        (lambda: homogeneous_lazy_rate(STDS, width=0, depth=2), "width must be an integer >= 1, got 0"),
        (lambda: wu2021_rate(width=0, depth=2), "width must be an integer >= 1, got 0"),
        (lambda: wu2021_rate(width=3, depth=1), "depth counts weight matrices and must be >= 2, got 1"),
        (lambda: huang2021_rate(depth=0), "depth counts weight matrices and must be >= 2, got 0"),
        (lambda: non_lazy_rate(num_samples=0, width=3, exponent=1.0), "num_samples must be .* got 0"),
        (lambda: non_lazy_rate(num_samples=2, width=0, exponent=1.0), "width must be an integer >= 1, got 0"),
        (lambda: non_lazy_rate(num_samples=2, width=3, exponent=-1.0), "exponent must be .* > 0, got -1.0"),
        (lambda: non_lazy_threshold(STDS, width=0, depth=2), "width must be an integer >= 1, got 0"),
        (lambda: non_lazy_threshold(STDS, width=3, depth=1), "depth counts weight matrices .* got 1"),
        (lambda: initial_stability_bound(STDS, input_dim=0, width=3, depth=2), "input_dim must be .* got 0"),
        (lambda: initial_stability_bound(STDS, input_dim=2, width=0, depth=2), "width must be .* got 0"),
        (lambda: initial_stability_bound(STDS, input_dim=2, width=3, depth=1), "depth counts .* got 1"),
        (
            lambda: initial_stability_bound(STDS, input_dim=2, width=3, depth=2, output_dim=0),
            "output_dim must be an integer >= 1, got 0",
        ),
        (
            lambda: initial_stability_bound(STDS, input_dim=2, width=3, depth=2, output_divisor=-1.0),
            "output_divisor must be a finite number > 0, got -1.0",
        ),
    ],
)
def test_arguments_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
