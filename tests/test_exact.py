"""The exact laws against reference values, 40-digit arithmetic, laws, hand and random networks."""

from math import exp, expm1, inf, isclose, log, log1p, pi, sqrt

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from tutorial_lib.architecture import Architecture
from tutorial_lib.estimates import Estimate
from tutorial_lib.exact import (
    dead_network_probability,
    exp_or_inf,
    initial_mean_square_gradient,
    initial_perturbation_stability,
    initial_relative_variance,
    log_weight_scale,
    mean_abs_coordinate,
    mean_ball_length,
    mean_chi,
    mean_chi_binomial,
)
from tutorial_lib.initializations import INITIALIZATIONS, LayerStds, he, lecun
from tutorial_lib.models import ReLUMLP
from tutorial_lib.stability import input_jacobians, perturbation_stability

mpmath.mp.dps = 40
SCHEMES = sorted(INITIALIZATIONS)
architectures = st.builds(
    Architecture,
    input_dim=st.integers(1, 3000),
    width=st.integers(1, 2000),
    depth=st.integers(2, 40),
    output_dim=st.integers(1, 60),
)
several_stds = st.builds(LayerStds, *[st.floats(0.05, 5)] * 3)


def architecture(input_dim, width, depth, output_dim=1):
    return Architecture(input_dim=input_dim, width=width, depth=depth, output_dim=output_dim)


def stability(scheme, shape):
    """P / radius of a scheme."""
    return initial_perturbation_stability(INITIALIZATIONS[scheme](shape), shape)


def high_precision_chi(degrees):
    half = mpmath.mpf(degrees) / 2
    return mpmath.sqrt(2) * mpmath.gammaprod([half + mpmath.mpf(1) / 2], [half])


def high_precision_chi_binomial(width):
    """The defining sum, without the terms beyond 13 standard deviations (below 1e-36)."""
    reach = int(6.5 * sqrt(width)) + 40
    first, last = max(1, width // 2 - reach), min(width, width // 2 + reach)
    term = mpmath.binomial(width, first) / mpmath.mpf(2) ** width
    total = mpmath.mpf(0)
    for degrees in range(first, last + 1):
        total += term * high_precision_chi(degrees)
        term *= mpmath.mpf(width - degrees) / (degrees + 1)
    return total


# Constants.


@pytest.mark.parametrize("degrees", [1, 2, 3, 17, 998, 999, 1000, 1001, 1002, 9999, 10**6])
def test_mean_chi_agrees_with_40_digits_on_both_sides_of_its_expansion(degrees):
    assert isclose(mean_chi(degrees), float(high_precision_chi(degrees)), rel_tol=3e-15)


@pytest.mark.parametrize("width", [1, 2, 3, 40, 999, 1029, 1030, 2001, 9998, 9999, 10_000, 10_001, 200_000])
def test_mean_chi_binomial_agrees_with_40_digits_on_both_sides_of_its_expansions(width):
    tolerance = 1e-13 if width < 10_000 else 1e-14  # the last term of the expansion is 9e-14 there
    assert isclose(mean_chi_binomial(width), float(high_precision_chi_binomial(width)), rel_tol=tolerance)


@pytest.mark.parametrize(
    ("function", "argument", "printed"),
    [
        (mean_chi, 0, 0),
        (mean_chi, 1, sqrt(2 / pi)),
        (mean_chi, 2, sqrt(pi / 2)),
        (mean_chi, 3, 2 * sqrt(2 / pi)),
        (mean_chi_binomial, 1, 0.398942280401),
        (mean_chi_binomial, 2, 0.71227081473),
        (mean_chi_binomial, 3, 0.968670651995),
        (mean_chi_binomial, 4, 1.18590442247),
        (mean_chi_binomial, 16, 2.71589074973),
        (mean_chi_binomial, 256, 11.2860560576),
        (mean_chi_binomial, 16384, 90.5062152615),
        (mean_ball_length, 1, 1 / 2),
        (mean_ball_length, 3, 3 / 4),
        (mean_ball_length, 784, 784 / 785),
        (mean_abs_coordinate, 1, 1 / 2),
        (mean_abs_coordinate, 2, 4 / (3 * pi)),
        (mean_abs_coordinate, 3, 3 / 8),
        (mean_abs_coordinate, 20, 0.172052976546),
        (mean_abs_coordinate, 64, 0.0985855095876),
        (mean_abs_coordinate, 784, 0.0284686532558),
    ],
)
def test_constants_have_their_reference_values(function, argument, printed):
    assert isclose(function(argument), printed, rel_tol=1e-11)


@pytest.mark.parametrize("dim", [2, 5, 12])
def test_mean_abs_coordinate_is_the_integral_over_the_ball(dim):
    # A slice of the ball at height t is a ball of dimension dim - 1 and radius sqrt(1 - t^2).
    slice_volume = lambda t: (1 - t * t) ** ((dim - 1) / 2)  # noqa: E731
    first_moment, volume = (quad(f, 0, 1)[0] for f in (lambda t: t * slice_volume(t), slice_volume))
    assert isclose(mean_abs_coordinate(dim), first_moment / volume, rel_tol=1e-9)


def test_mean_chi_binomial_over_its_limit_rises_with_the_width():
    ratios = [mean_chi_binomial(width) / sqrt(width / 2) for width in [*range(1, 300), 9999, 10_000, 10**7]]
    assert all(narrow < wide < 1 for narrow, wide in zip(ratios, ratios[1:], strict=False))


# Values of the law.


@pytest.mark.parametrize(
    ("sizes", "scheme", "printed"),
    [
        ((64, 1, 2, 1), "he", 0.0783532027529),
        ((64, 4, 5, 1), "lecun", 0.0121393508553),
        ((64, 16, 4, 10), "he", 0.475284945127),
        ((784, 256, 4, 1), "ntk", 0.791039412449),
        ((784, 1024, 10, 10), "lecun", 0.00483533832832),
        ((2, 2, 2, 3), "ntk", 0.757746514912),
        ((64, 4096, 8, 1), "he", 0.138729156328),
        ((784, 1024, 4, 1), "ntk", 0.795409519213),
    ],
)
def test_stability_has_its_reference_values(sizes, scheme, printed):
    assert isclose(stability(scheme, architecture(*sizes)), printed, rel_tol=1e-11)


@pytest.mark.parametrize(
    ("sizes", "printed"),
    [
        ((8, 4, 3, 1), {"lecun": 0.088162, "he": 0.249360, "ntk": 0.498720}),
        ((8, 4, 3, 10), {"lecun": 0.340802, "he": 0.963934, "ntk": 1.927868}),
        ((20, 2, 2, 3), {"lecun": 0.171157, "he": 0.342315, "ntk": 1.082495}),
        ((64, 32, 5, 10), {"lecun": 0.087639, "he": 0.495760, "ntk": 2.804440}),
        ((64, 128, 8, 1), {"lecun": 0.008387, "he": 0.134189, "ntk": 0.759089}),
    ],
)
def test_stability_has_the_values_of_the_table_of_facts(sizes, printed):
    assert {scheme: round(stability(scheme, architecture(*sizes)), 6) for scheme in printed} == printed


def test_stability_worked_out_by_hand():
    # Width 1: each layer is active half of the time and then has length E chi_1 = sqrt(2 / pi).
    # Three layers give (1/2 sqrt(2/pi))^3; output E chi_3 = 2 sqrt(2/pi); ball 5/6; scale 3 (1/2)^2 / 4.
    stds = LayerStds(first=3.0, hidden=0.5, last=1.0)
    value = initial_perturbation_stability(stds, architecture(5, 1, 4, 3), output_divisor=4.0)
    assert isclose(value, 5 / 6 * (3 * 0.25 / 4) * 2 * (2 / pi) ** 2 / 8)
    # One layer and one hidden matrix less: times 2 and times 2 / sqrt(2 / pi).
    value = initial_perturbation_stability(stds, architecture(5, 1, 3, 3), output_divisor=4.0)
    assert isclose(value, 5 / 6 * (3 * 0.5 / 4) * 2 * sqrt(2 / pi) ** 3 / 4)


def test_mean_square_gradient_worked_out_by_hand():
    # First gain 8 * 1 / 2 = 4; hidden gain 8 * 1/16 / 2 = 1/4, squared for depth 4; last 3 / 2^2.
    stds = LayerStds(first=1.0, hidden=0.25, last=0.5)
    value = initial_mean_square_gradient(stds, architecture(2, 8, 4, 3), output_divisor=2.0)
    assert isclose(value, 2 * 4 * 0.25**2 * 0.25 * 3 / 4)
    value = initial_mean_square_gradient(stds, architecture(2, 8, 3, 3), output_divisor=2.0)
    assert isclose(value, 2 * 4 * 0.25 * 0.25 * 3 / 4)


@pytest.mark.parametrize(("depth", "by_hand"), [(2, 3 * 7 / 4), (3, 3 * 0.5 * 7 / 4), (6, 3 * 0.5**4 * 7 / 4)])
def test_the_weight_scale_has_one_factor_for_each_matrix(depth, by_hand):
    stds = LayerStds(first=3.0, hidden=0.5, last=7.0)
    assert isclose(log_weight_scale(stds, architecture(2, 9, depth), output_divisor=4.0), log(by_hand))
    for none in (LayerStds(0.0, 0.5, 7.0), LayerStds(3.0, 0.5, 0.0)):
        assert log_weight_scale(none, architecture(2, 9, depth)) == -inf


@pytest.mark.parametrize(("scheme", "expected"), [("he", 2), ("ntk", 7), ("lecun", 2**-4)])
def test_mean_square_gradient_of_the_schemes_does_not_depend_on_the_width(scheme, expected):
    for width in (2, 13):
        shape = architecture(7, width, 5)
        assert isclose(initial_mean_square_gradient(INITIALIZATIONS[scheme](shape), shape), expected)


def test_relative_variance_worked_out_by_hand():
    assert isclose(initial_relative_variance(architecture(2, 5, 4)), 2 * 2**3 - 1)
    assert isclose(initial_relative_variance(architecture(1, 10, 3)), 3 * 1.5**2 - 1)
    # Small values keep all their digits.
    expected = expm1(log1p(2 / 10**7) + 3 * log1p(5 / 10**9))
    assert isclose(initial_relative_variance(architecture(10**7, 10**9, 4)), expected, rel_tol=1e-14)


@pytest.mark.parametrize(
    ("width", "depth", "expected"), [(1, 2, 1 / 2), (2, 3, 7 / 16), (3, 2, 1 / 8), (200, 5, 4 * 2.0**-200)]
)
def test_dead_network_probability_worked_out_by_hand(width, depth, expected):
    for ends in ({"input_dim": 1, "output_dim": 1}, {"input_dim": 9, "output_dim": 4}):
        assert isclose(dead_network_probability(Architecture(width=width, depth=depth, **ends)), expected)


# Laws.


@pytest.mark.parametrize(("law", "power"), [(initial_perturbation_stability, 1), (initial_mean_square_gradient, 2)])
@given(shape=architectures, stds=several_stds, scale=st.floats(0.5, 2))
def test_homogeneous_in_each_group_of_weights(law, power, shape, stds, scale):
    value, depth = law(stds, shape), shape.depth
    all_scaled = LayerStds(*(scale * std for std in stds))
    hidden_scaled = stds._replace(hidden=scale * stds.hidden)
    first_scaled = stds._replace(first=scale * stds.first)
    assert isclose(law(all_scaled, shape), scale ** (power * depth) * value, rel_tol=1e-9)
    assert isclose(law(hidden_scaled, shape), scale ** (power * (depth - 2)) * value, rel_tol=1e-9)
    assert isclose(law(first_scaled, shape), scale**power * value, rel_tol=1e-9)
    last_scaled = stds._replace(last=scale * stds.last)
    assert isclose(law(last_scaled, shape), scale**power * value, rel_tol=1e-9)
    assert isclose(law(stds, shape, output_divisor=scale), value / scale**power, rel_tol=1e-9)


@given(shape=architectures)
def test_schemes_differ_by_exact_factors(shape):
    lecun_value, he_value, ntk_value = (stability(scheme, shape) for scheme in ("lecun", "he", "ntk"))
    assert isclose(he_value / lecun_value, 2 ** (shape.depth / 2), rel_tol=1e-9)
    assert isclose(ntk_value / he_value, sqrt(shape.input_dim / 2), rel_tol=1e-9)


@pytest.mark.parametrize("scheme", SCHEMES)
@given(shape=architectures)
def test_stability_rises_with_the_width_and_falls_with_the_depth(scheme, shape):
    value = stability(scheme, shape)
    assert value < stability(scheme, shape.replace(width=shape.width + 1))
    assert value > stability(scheme, shape.replace(depth=shape.depth + 1))


@given(shape=architectures, stds=several_stds)
def test_mean_length_is_below_the_root_mean_square(shape, stds):
    # E||J v||^2 = E||J||^2 / (d + 2) for v uniform in the unit ball.
    mean_square = initial_mean_square_gradient(stds, shape) / (shape.input_dim + 2)
    assert initial_perturbation_stability(stds, shape) < sqrt(mean_square)


@pytest.mark.parametrize("law", [initial_perturbation_stability, initial_mean_square_gradient])
@given(shape=architectures)
def test_two_weight_matrices_have_no_hidden_one(law, shape):
    values = [law(LayerStds(1.3, hidden, 0.7), shape.replace(depth=2)) for hidden in (0, 9)]
    assert values[0] == values[1] > 0


# Extremes.


def high_precision_log_stability(stds, input_dim, width, depth, output_dim):
    # The expansion is safe here: its next term is below 1 / width^4.
    inverse = mpmath.mpf(1) / width
    series = 1 - 5 * inverse / 8 - 23 * inverse**2 / 128 - 95 * inverse**3 / 1024
    layer = high_precision_chi_binomial(width) if width < 1000 else mpmath.sqrt(mpmath.mpf(width) / 2) * series
    logs = [mpmath.log(value) for value in (*stds, layer, high_precision_chi(output_dim))]
    ball = mpmath.log(mpmath.mpf(input_dim) / (input_dim + 1))
    return float(logs[0] + (depth - 2) * logs[1] + logs[2] + (depth - 1) * logs[3] + logs[4] + ball)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "sizes", [(10**6, 10**7, 1000, 10**6), (1, 10**7, 2, 1), (10**6, 2, 1000, 7), (3, 1, 700, 10**6)]
)
def test_stability_is_right_at_the_extremes(scheme, sizes):
    shape = architecture(*sizes)
    expected = high_precision_log_stability(INITIALIZATIONS[scheme](shape), *sizes)
    assert isclose(log(stability(scheme, shape)), expected, rel_tol=1e-11, abs_tol=1e-11)


def test_what_exceeds_the_largest_float_is_infinite_and_what_vanishes_is_zero():
    deep = architecture(3, 4, 1000)
    large, none = LayerStds(1.0, 50.0, 1.0), LayerStds(1.0, 0.0, 1.0)
    for law in (initial_perturbation_stability, initial_mean_square_gradient):
        assert law(large, deep) == inf
        assert law(none, deep) == 0
    assert initial_relative_variance(deep.replace(width=1)) == inf
    assert dead_network_probability(deep.replace(width=10**7)) == 0
    assert isclose(dead_network_probability(deep.replace(width=1)), 1)


# Random networks.

MADE_UP_GAINS = {"gain 0.3": 0.3, "gain 3": 3.0}


def stds_of(law, shape):
    """LeCun, or standard deviations whose hidden gain, width * std^2 / 2, is far from 1."""
    if law == "lecun":
        return lecun(shape)
    return LayerStds(first=0.7, hidden=sqrt(2 * MADE_UP_GAINS[law] / shape.width), last=1.3)


@pytest.mark.parametrize("law", ["lecun", *MADE_UP_GAINS])
@pytest.mark.parametrize(
    ("sizes", "num_networks", "power"),
    # power: the smallest relative error that leaves the four standard errors.
    [
        ((3, 7, 2, 1), 20_000, 0.02),
        ((5, 1, 3, 4), 40_000, 0.06),
        ((6, 2, 4, 1), 40_000, 0.06),
        ((9, 12, 10, 1), 10_000, 0.06),
        ((4, 16, 10, 10), 4_000, 0.06),
        ((11, 6, 5, 10), 10_000, 0.04),
    ],
)
def test_stability_is_the_mean_over_random_networks(law, sizes, num_networks, power, generator):
    shape = architecture(*sizes)
    stds = stds_of(law, shape)
    x = torch.linspace(-1.3, 2.1, shape.input_dim, dtype=torch.float64).unsqueeze(0)
    models = ReLUMLP(stds, shape, output_divisor=1.6, num_networks=num_networks, generator=generator)
    estimate = perturbation_stability(models, x)
    exact = initial_perturbation_stability(stds, shape, output_divisor=1.6)
    assert 4 * estimate.standard_error < power * exact
    assert abs(estimate.z_score(exact)) < 4


def square_gradients(stds, shape, num_networks, generator):
    models = ReLUMLP(stds, shape, output_divisor=1.6, num_networks=num_networks, generator=generator)
    x = torch.linspace(-1.3, 2.1, shape.input_dim, dtype=torch.float64).unsqueeze(0)
    return input_jacobians(models, x).square().sum(dim=(1, 2, 3))


@pytest.mark.parametrize("law", ["lecun", *MADE_UP_GAINS])
@pytest.mark.parametrize("sizes", [(3, 20, 2, 1), (5, 9, 4, 3)])
def test_mean_square_gradient_is_the_mean_over_random_networks(law, sizes, generator):
    shape = architecture(*sizes)
    stds = stds_of(law, shape)
    estimate = Estimate.from_draws(square_gradients(stds, shape, 20_000, generator).tolist())
    exact = initial_mean_square_gradient(stds, shape, output_divisor=1.6)
    assert 4 * estimate.standard_error < 0.06 * exact  # the smallest relative error that it catches
    assert abs(estimate.z_score(exact)) < 4


def test_relative_variance_is_that_of_random_networks(generator):
    shape = architecture(6, 12, 3)
    mean = initial_mean_square_gradient(he(shape), shape, output_divisor=1.6)
    relative = square_gradients(he(shape), shape, 40_000, generator) / mean
    estimate = Estimate.from_draws((relative - 1).square().tolist())
    exact = initial_relative_variance(shape)
    assert 4 * estimate.standard_error < 0.15 * exact  # the smallest relative error that it catches
    assert abs(estimate.z_score(exact)) < 4


def test_dead_network_probability_is_the_share_of_random_networks_without_gradient(generator):
    shape = architecture(4, 3, 5)
    squares = square_gradients(LayerStds(1.0, 0.5, 2.0), shape, 20_000, generator)
    estimate = Estimate.from_draws((squares == 0).double().tolist())
    exact = dead_network_probability(shape)
    assert 4 * estimate.standard_error < 0.04 * exact  # the smallest relative error that it catches
    assert abs(estimate.z_score(exact)) < 4


# Bad input.

GOOD = {"input_dim": 3, "width": 4, "depth": 3, "output_dim": 2}
STDS = LayerStds(1.0, 1.0, 1.0)
LAWS = [initial_perturbation_stability, initial_mean_square_gradient]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"input_dim": 0}, r"^input_dim must be an integer >= 1, got 0$"),
        ({"width": 0}, r"^width must be an integer >= 1, got 0$"),
        ({"depth": 1}, r"^depth counts weight matrices and must be >= 2, got 1$"),
        ({"output_dim": 0}, r"^output_dim must be an integer >= 1, got 0$"),
    ],
)
def test_the_laws_refuse_sizes_out_of_range(law, wrong, message):
    with pytest.raises(ValueError, match=message):
        law(STDS, Architecture(**(GOOD | wrong)), output_divisor=1.5)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("divisor", [0.0, -1.5, inf])
def test_the_laws_refuse_a_divisor_out_of_range(law, divisor):
    with pytest.raises(ValueError, match=rf"^output_divisor must be a finite number > 0, got {divisor}$"):
        law(STDS, Architecture(**GOOD), output_divisor=divisor)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.usefixtures("as_a_reader")
def test_the_laws_refuse_values_of_another_kind(law):
    with pytest.raises(TypeError, match=r"^stds must be LayerStds, such as he\(architecture\), got \(1.0, 1.0, 1.0\)$"):
        law((1.0, 1.0, 1.0), Architecture(**GOOD))
    with pytest.raises(TypeError, match=r"^architecture must be an Architecture, got \{'input_dim': 3"):
        law(STDS, GOOD)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_chi(-1), "^degrees must be an integer >= 0, got -1$"),
        (lambda: mean_ball_length(0), "^dim must be an integer >= 1, got 0$"),
        (lambda: mean_abs_coordinate(0), "^dim must be an integer >= 1, got 0$"),
        (lambda: mean_chi_binomial(0), "^width must be an integer >= 1, got 0$"),
        (lambda: initial_relative_variance(architecture(0, 3, 2)), "^input_dim must be .* got 0$"),
        (lambda: initial_relative_variance(architecture(3, 3, 0)), "^depth counts .* got 0$"),
        (lambda: initial_relative_variance(architecture(3, 3, 2, 2)), "^architecture must have output_dim 1 here"),
        (lambda: dead_network_probability(architecture(3, 0, 2)), "^width must be .* got 0$"),
        (lambda: dead_network_probability(architecture(3, 3, 1)), "^depth counts .* got 1$"),
    ],
)
def test_the_other_functions_refuse_sizes_out_of_range(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("law", [initial_relative_variance, dead_network_probability])
@pytest.mark.usefixtures("as_a_reader")
def test_the_other_functions_refuse_what_is_no_architecture(law):
    with pytest.raises(TypeError, match=r"^architecture must be an Architecture, got 4$"):
        law(4)


@pytest.mark.usefixtures("as_a_reader")
def test_a_width_that_is_not_an_integer_is_refused():
    mean_chi_binomial(4)  # a stored value must not let 4.0 through
    for width in (4.0, 4.5):
        with pytest.raises(TypeError, match=rf"^width must be an integer >= 1, got {width}$"):
            mean_chi_binomial(width)
        with pytest.raises(TypeError, match=rf"^width must be an integer >= 1, got {width}$"):
            initial_perturbation_stability(STDS, Architecture(**(GOOD | {"width": width})))


@pytest.mark.usefixtures("as_a_reader")
def test_integers_of_numpy_give_what_those_of_python_give():
    for function in (mean_chi, mean_ball_length, mean_abs_coordinate, mean_chi_binomial):
        assert function(np.int8(127)) == function(127)  # and 127 + 1 does not overflow


def test_the_exponential_function_is_infinite_only_beyond_the_largest_float():
    for exponent in (-inf, -3.0, 0.0, 1.5, 708.9, 709.0, 709.78):
        assert exp_or_inf(exponent) == exp(exponent) < inf
    for exponent in (709.79, 1e300, inf):
        assert exp_or_inf(exponent) == inf


@pytest.mark.parametrize("depth", [2, 24, 25, 397, 398, 402])
def test_the_relative_variance_is_right_on_both_sides_of_its_switch(depth):
    # Width 1: (1 + 2/d) 6^(L-1) - 1.
    value = initial_relative_variance(Architecture(input_dim=4, width=1, depth=depth))
    expected = mpmath.mpf("1.5") * mpmath.mpf(6) ** (depth - 1) - 1
    assert value == inf if expected > mpmath.mpf(2) ** 1024 else isclose(value, float(expected), rel_tol=1e-12)


def test_without_a_divisor_the_scale_is_that_of_the_weights():
    shape = Architecture(input_dim=3, width=4, depth=5)
    assert isclose(log_weight_scale(LayerStds(2.0, 3.0, 5.0), shape), log(2 * 27 * 5))
    assert isclose(log_weight_scale(LayerStds(2.0, 3.0, 5.0), shape, output_divisor=7.0), log(2 * 27 * 5 / 7))
