"""The inequality against the exact law; the rates against the printed numbers and their shapes."""

from math import e, exp, inf, isclose, log, pi, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutorial_lib.architecture import Architecture
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
from tutorial_lib.exact import initial_perturbation_stability, mean_abs_coordinate, mean_chi_binomial
from tutorial_lib.initializations import INITIALIZATIONS, LayerStds

architectures = st.builds(
    Architecture,
    input_dim=st.integers(1, 3000),
    width=st.integers(1, 3000),
    depth=st.integers(2, 40),
    output_dim=st.integers(1, 60),
)
several_stds = st.builds(LayerStds, *[st.floats(0.05, 5)] * 3)


def architecture(input_dim, width, depth, output_dim=1):
    return Architecture(input_dim=input_dim, width=width, depth=depth, output_dim=output_dim)


# The inequality.


def test_bound_worked_out_by_hand():
    # d / (d + 1) = 5/6; scale 3 (1/2)^2 7 / 2; E chi_2 = sqrt(pi / 2); three layers of sqrt(8 / 2).
    stds = LayerStds(first=3.0, hidden=0.5, last=7.0)
    value = initial_stability_bound(stds, architecture(5, 8, 4, 2), output_divisor=2.0)
    assert isclose(value, 5 / 6 * 3 * 0.25 * 7 / 2 * sqrt(pi / 2) * 2**3)
    value = initial_stability_bound(stds, architecture(5, 6, 2, 2), output_divisor=2.0)
    assert isclose(value, 5 / 6 * 3 * 7 / 2 * sqrt(pi / 2) * sqrt(3))


@given(shape=architectures, stds=several_stds, divisor=st.floats(0.1, 10))
def test_bound_over_the_exact_law_is_the_gap_of_jensen_in_each_layer(shape, stds, divisor):
    exact = initial_perturbation_stability(stds, shape, output_divisor=divisor)
    ratio = initial_stability_bound(stds, shape, output_divisor=divisor) / exact
    assert ratio > 1
    gap = sqrt(shape.width / 2) / mean_chi_binomial(shape.width)
    assert isclose(ratio, gap ** (shape.depth - 1), rel_tol=1e-9)


def test_bound_is_reached_as_the_width_grows():
    stds = LayerStds(first=0.3, hidden=0.002, last=1.7)
    shapes = [architecture(9, width, 6) for width in (100, 1000, 10_000, 10**7)]
    gaps = [initial_stability_bound(stds, shape) / initial_perturbation_stability(stds, shape) - 1 for shape in shapes]
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
        shape = architecture(64, width, depth)
        exact = initial_perturbation_stability(INITIALIZATIONS[scheme](shape), shape)
        ratio = lazy_rate(scheme, shape) / exact
        decimals = len(printed.partition(".")[2])
        assert f"{ratio:.{decimals}f}" == printed


def test_lazy_rate_worked_out_by_hand_at_its_peak():
    # Depth 4 and width 32: L^3 m = 2048 and m / L^3 = 1/2.
    hump, shape = sqrt(2048 / e), architecture(9, 32, 4)
    assert isclose(lazy_rate_hump(shape), hump)
    assert isclose(lazy_rate("lecun", shape), (hump + 1) / 3 / 2)
    assert isclose(lazy_rate("he", shape), (hump + 1) / 3)
    assert isclose(lazy_rate("ntk", shape), hump / 3 + 1)


def test_lazy_rate_worked_out_by_hand_at_an_odd_depth():
    # Depth 3 and width 27: L^3 m = 27^2 and m / L^3 = 1.
    hump, shape = 27 / e, architecture(16, 27, 3)
    assert isclose(lazy_rate_hump(shape), hump)
    assert isclose(lazy_rate("lecun", shape), (hump + 1) / 4 / sqrt(2))
    assert isclose(lazy_rate("he", shape), (hump + 1) / 4)
    assert isclose(lazy_rate("ntk", shape), hump / 4 + 1)
    # Three gains in front: sqrt(27) 3 * 5, and the hidden one 2 sqrt(27 / 2).
    rate = homogeneous_lazy_rate(LayerStds(first=3.0, hidden=2.0, last=5.0), shape)
    assert isclose(rate, (hump + 1) * sqrt(27) * 3 * 5 * 2 * sqrt(27 / 2))


@pytest.mark.parametrize(("depth", "peak"), [(2, 4), (3, 13.5), (4, 32), (5, 62.5), (6, 108), (8, 256), (10, 500)])
def test_the_hump_is_largest_at_its_peak(depth, peak):
    assert lazy_rate_peak(depth) == peak
    widths = [int(peak) - 1, int(peak), int(peak + 0.5), int(peak + 0.5) + 1]
    heights = [lazy_rate_hump(architecture(5, width, depth)) for width in widths]
    assert max(heights[0], heights[3]) < min(heights[1:3])


@given(architectures, st.floats(0.5, 2))
def test_homogeneous_rate_is_the_printed_one_up_to_the_constants_that_its_text_names(shape, scale):
    values = {}
    for scheme, initialization in INITIALIZATIONS.items():
        stds = initialization(shape)
        values[scheme] = homogeneous_lazy_rate(stds, shape)
        scaled = LayerStds(*(scale * std for std in stds))
        assert isclose(homogeneous_lazy_rate(scaled, shape), scale**shape.depth * values[scheme], rel_tol=1e-9)
    assert isclose(values["lecun"], lazy_rate("lecun", shape), rel_tol=1e-9)
    assert isclose(values["he"], 2 * lazy_rate("he", shape), rel_tol=1e-9)
    assert isclose(values["ntk"], sqrt(2) * (lazy_rate_hump(shape) + 1), rel_tol=1e-9)


# The works it compares with, and the non-lazy theorem.


@pytest.mark.parametrize(("depth", "slide", "wu", "huang"), [(4, 1.00, 489, 22.6), (8, 4.5, 1789, 2048)])
def test_the_comparison_of_slide_19_has_its_measured_values(depth, slide, wu, huang):
    shape = architecture(784, 1024, depth)
    assert isclose(lazy_rate("ntk", shape), slide, rel_tol=0.01)
    assert isclose(wu2021_rate(shape), wu, rel_tol=0.002)
    assert isclose(huang2021_rate(shape), huang, rel_tol=0.002)


def test_the_rates_compared_with_worked_out_by_hand():
    for input_dim in (1, 6):  # both are free of it
        assert isclose(wu2021_rate(architecture(input_dim, 8, 3)), 9 * 2 * sqrt(log(8)) + sqrt(24))
        assert isclose(huang2021_rate(architecture(input_dim, 8, 3)), 2**2 * sqrt(3))
    assert isclose(wu2021_rate(architecture(6, 27, 2)), 4 * 3 * sqrt(log(27)) + sqrt(54))
    assert isclose(huang2021_rate(architecture(6, 27, 2)), sqrt(2) * sqrt(2))


def over_the_smaller(shape):
    return lazy_rate("ntk", shape) / min(wu2021_rate(shape), huang2021_rate(shape))


@given(st.builds(Architecture, input_dim=st.integers(1, 3000), width=st.integers(2, 3000), depth=st.integers(2, 40)))
def test_the_talks_expression_is_the_smallest_from_twelve_inputs_on_and_never_far_from_it(shape):
    assert over_the_smaller(shape) < 2.3
    assert over_the_smaller(shape.replace(input_dim=shape.input_dim + 11)) < 1


def test_eleven_inputs_are_too_few_for_the_order_of_the_comparison():
    # Depth 2, width 4: the hump is sqrt(32 / e), HWE+21's expression 2.
    assert isclose(over_the_smaller(architecture(11, 4, 2)), (1 + sqrt(32 / e / 11)) / 2)
    assert over_the_smaller(architecture(11, 4, 2)) > 1 > over_the_smaller(architecture(12, 4, 2))


@pytest.mark.parametrize("depth", range(2, 13))
def test_the_ntk_row_that_fits_the_he_row_lies_above_huangs_expression_near_its_hump_up_to_depth_four_only(depth):
    for width, above in ((depth**3 // 2, depth <= 4), (10 * depth**3, False)):
        shape = architecture(784, width, depth)
        assert (sqrt(784) * lazy_rate("he", shape) > huang2021_rate(shape)) == above


def test_huangs_expression_is_no_lipschitz_constant_of_the_ntk_network():
    shape = architecture(784, 1024, 2)
    exact = initial_perturbation_stability(INITIALIZATIONS["ntk"](shape), shape)
    assert mean_abs_coordinate(784) * huang2021_rate(shape) < 0.1 * exact


def test_non_lazy_rate_falls_with_the_width_as_its_exponent_says():
    assert isclose(non_lazy_rate(num_samples=6, width=4, exponent=0.5), 6 / 16)
    assert isclose(non_lazy_rate(num_samples=6, width=4, exponent=2.0), 6 / 128)
    assert isclose(non_lazy_rate(num_samples=5, width=9, exponent=1.0), 5 / 3**5)


def test_non_lazy_threshold_worked_out_by_hand():
    # Width 4: m^(3/2) = 8; the sum over four matrices is 1 + 2 / 8 + 1/4.
    stds = LayerStds(first=1.0, hidden=0.125, last=0.25)
    for input_dim in (1, 6):
        assert isclose(non_lazy_threshold(stds, architecture(input_dim, 4, 4)), (8 * 1.5) ** 4)
        assert isclose(non_lazy_threshold(stds, architecture(input_dim, 4, 3)), (8 * 1.375) ** 3)
        assert isclose(non_lazy_threshold(stds, architecture(input_dim, 4, 2)), (8 * 1.25) ** 2)
    assert non_lazy_threshold(LayerStds(0.0, 0.0, 0.0), architecture(2, 4, 3)) == 0


# Extremes and bad input.


def test_rates_beyond_the_largest_float_are_infinite_and_dead_ones_zero():
    large, deep = LayerStds(1.0, 50.0, 1.0), architecture(3, 10, 1000)
    assert huang2021_rate(deep) == inf
    assert non_lazy_threshold(large, deep.replace(width=10**7)) == inf
    assert homogeneous_lazy_rate(large, deep) == inf
    assert initial_stability_bound(large, deep) == inf
    assert initial_stability_bound(LayerStds(0.0, 1.0, 1.0), deep.replace(depth=5)) == 0
    assert lazy_rate_hump(architecture(3, 10**7, 2)) == 0
    assert isclose(lazy_rate("he", architecture(10**6, 10**7, 2)), 1e-3)
    assert isclose(lazy_rate_hump(deep.replace(width=10**7)), exp(1.5 * log(1000) + log(10**7) / 2 - 0.01))


STDS = LayerStds(1.0, 1.0, 1.0)
OF_ARCHITECTURE = {
    "lazy_rate": lambda shape: lazy_rate("he", shape),
    "lazy_rate_hump": lazy_rate_hump,
    "homogeneous_lazy_rate": lambda shape: homogeneous_lazy_rate(STDS, shape),
    "wu2021_rate": wu2021_rate,
    "huang2021_rate": huang2021_rate,
    "non_lazy_threshold": lambda shape: non_lazy_threshold(STDS, shape),
    "initial_stability_bound": lambda shape: initial_stability_bound(STDS, shape),
}


@pytest.mark.parametrize("name", OF_ARCHITECTURE)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"input_dim": 0}, "^input_dim must be an integer >= 1, got 0$"),
        ({"width": 0}, "^width must be an integer >= 1, got 0$"),
        ({"depth": 1}, "^depth counts weight matrices and must be >= 2, got 1$"),
        ({"output_dim": 0}, "^output_dim must be an integer >= 1, got 0$"),
    ],
)
def test_sizes_out_of_range_are_refused(name, wrong, message):
    with pytest.raises(ValueError, match=message):
        OF_ARCHITECTURE[name](Architecture(**({"input_dim": 2, "width": 3, "depth": 2} | wrong)))


@pytest.mark.parametrize("name", OF_ARCHITECTURE)
@pytest.mark.usefixtures("as_a_reader")
def test_what_is_no_architecture_is_refused(name):
    with pytest.raises(TypeError, match=r"^architecture must be an Architecture, got 256$"):
        OF_ARCHITECTURE[name](256)


@pytest.mark.parametrize("formula", [homogeneous_lazy_rate, non_lazy_threshold, initial_stability_bound])
@pytest.mark.usefixtures("as_a_reader")
def test_three_numbers_are_no_standard_deviations(formula):
    with pytest.raises(TypeError, match=r"^stds must be LayerStds, such as he\(architecture\), got \(1.0, 1.0, 1.0\)$"):
        formula((1.0, 1.0, 1.0), architecture(2, 3, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lazy_rate("glorot", architecture(2, 3, 2)), "^scheme must be one of he, lecun, ntk, got 'glorot'$"),
        (lambda: lazy_rate_peak(1), "^depth counts weight matrices and must be >= 2, got 1$"),
        (lambda: non_lazy_rate(num_samples=0, width=3, exponent=1.0), "^num_samples must be .* got 0$"),
        (lambda: non_lazy_rate(num_samples=2, width=0, exponent=1.0), "^width must be an integer >= 1, got 0$"),
        (lambda: non_lazy_rate(num_samples=2, width=3, exponent=-1.0), "^exponent must be .* > 0, got -1.0$"),
        (
            lambda: initial_stability_bound(STDS, architecture(2, 3, 2), output_divisor=-1.0),
            "^output_divisor must be a finite number > 0, got -1.0$",
        ),
    ],
)
def test_arguments_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.usefixtures("as_a_reader")
def test_a_depth_that_is_no_integer_is_refused():
    with pytest.raises(TypeError, match=r"^depth must be an integer >= 2, got 3.5$"):
        lazy_rate_peak(3.5)
