"""The exact laws of leaky relu and of residual blocks against mpmath, limits, hand and random networks."""

from math import comb, erf, exp, inf, isclose, log, pi, sqrt

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tutorial_lib.architecture import Architecture
from tutorial_lib.estimates import Estimate
from tutorial_lib.exact import (
    initial_mean_square_gradient,
    initial_perturbation_stability,
    mean_chi,
    mean_chi_binomial,
)
from tutorial_lib.exact_variants import (
    leaky_relu_perturbation_stability,
    mean_leaky_chi,
    mean_residual_growth,
    residual_mean_square_gradient,
    residual_perturbation_stability,
)
from tutorial_lib.initializations import INITIALIZATIONS, LayerStds
from tutorial_lib.perturbations import uniform_in_ball

WIDTHS = [1, 2, 3, 17, 63, 64, 65, 74, 75, 76, 999, 10_000, 10**7]
shapes = st.builds(
    Architecture,
    input_dim=st.integers(1, 3000),
    width=st.integers(1, 2000),
    depth=st.integers(1, 20).map(lambda half: 2 * half),
    output_dim=st.integers(1, 60),
)
several_stds = st.builds(LayerStds, *[st.floats(0.05, 5)] * 3)


def architecture(input_dim, width, depth, output_dim=1):
    return Architecture(input_dim=input_dim, width=width, depth=depth, output_dim=output_dim)


# References in many digits, by other formulas than the library's.


def high_precision_chi(degrees):
    half = mpmath.mpf(degrees) / 2
    return mpmath.sqrt(2) * mpmath.gammaprod([half + mpmath.mpf(1) / 2], [half])


def high_precision_leaky_chi(width, slope):
    """Given N, the length is chi_m times the root of B + a^2 (1 - B), B a beta variable."""
    rest = 1 - mpmath.mpf(slope) ** 2
    half = mpmath.mpf(1) / 2
    means = [mpmath.hyp2f1(-half, (width - on) * half, width * half, rest) for on in range(width + 1)]
    total = mpmath.fsum(comb(width, on) * mean for on, mean in enumerate(means))
    return high_precision_chi(width) * total / mpmath.mpf(2) ** width


def high_precision_growth(width, scale):
    r"""Mean by Fourier: abs(y) = C int (1 - Lambda(r abs(y))) r^-2 dr, Lambda the mean of cos(r y_1) over rotations.

    The Gaussian part turns it into the Laplace transform of chi_N^2, which is closed.
    """
    half, scale = mpmath.mpf(width) / 2, mpmath.mpf(scale)
    constant = 2 * mpmath.gammaprod([half + mpmath.mpf(1) / 2], [half]) / mpmath.sqrt(mpmath.pi)

    def integrand(r):
        transform = ((1 + 1 / mpmath.sqrt(1 + (scale * r) ** 2)) / 2) ** width
        return (1 - transform * mpmath.hyp0f1(half, -r * r / 4)) / r**2

    reach = mpmath.sqrt(2 * width / (1 + (scale * width) ** 2 / 2))
    points = [reach * point for point in (0, 0.5, 1, 2, 3, 4, 6, 8, 11)]
    # Gauss-Legendre, whose points keep away from 0, where the integrand is a small difference over a small square.
    return constant * (mpmath.quad(integrand, points, method="gauss-legendre") + 1 / points[-1])


def high_precision_growth_of_few(width, scale):
    """Mean over the number of heads, the density of chi_N^2, and Kummer's function for the length given both."""
    half, scale = mpmath.mpf(1) / 2, mpmath.mpf(scale)

    def length(std):
        # Below, the series is exact to 1e-18; Kummer's function has an essential singularity there.
        if std < 1e-5:
            return 1 + std**2 * (width - 1) / 2
        return std * high_precision_chi(width) * mpmath.hyp1f1(-half, width * half, -half / std**2)

    def mean(heads):
        normal = mpmath.mpf(2) ** (heads * half) * mpmath.gamma(heads * half)
        weighted = lambda u: length(scale * mpmath.exp(u / 2)) * mpmath.exp(u * heads / 2 - mpmath.exp(u) / 2)  # noqa: E731
        return mpmath.quad(weighted, [-80, -40, -20, -10, -5, -2, 0, 1, 2, 3, 4, 5, 6]) / normal

    return (1 + sum(comb(width, heads) * mean(heads) for heads in range(1, width + 1))) / mpmath.mpf(2) ** width


@pytest.mark.parametrize("width", [1, 2, 3, 10, 100])
@pytest.mark.parametrize("slope", [0.0, 1e-9, 0.01, 0.3, -0.9, 1.0])
def test_the_mean_of_a_leaky_layer_agrees_with_30_digits(width, slope):
    with mpmath.workdps(30):
        expected = float(high_precision_leaky_chi(width, slope))
    assert isclose(mean_leaky_chi(width, slope=slope), expected, rel_tol=3e-15)


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("scale", [0.01, 0.3, 100])
def test_the_growth_of_a_narrow_block_agrees_with_20_digits(width, scale):
    with mpmath.workdps(20):
        expected = float(high_precision_growth_of_few(width, scale))
    assert isclose(mean_residual_growth(width, weight_scale=scale), expected, rel_tol=1e-14)


@pytest.mark.parametrize("width", [63, 64, 74, 76, 256, 3000, 10**7])
@pytest.mark.parametrize("gain", [0.01, 1, 10])
def test_the_growth_of_a_wide_block_agrees_with_30_digits(width, gain):
    with mpmath.workdps(30):
        expected = float(high_precision_growth(width, gain / width))
    assert isclose(mean_residual_growth(width, weight_scale=gain / width), expected, rel_tol=3e-14)


# Special cases with a closed form.


@pytest.mark.parametrize("width", WIDTHS)
def test_slope_0_is_the_relu_and_slopes_1_and_minus_1_are_the_linear_layer(width):
    assert isclose(mean_leaky_chi(width, slope=0.0), mean_chi_binomial(width), rel_tol=1e-13)
    for slope in (1.0, -1.0):
        assert isclose(mean_leaky_chi(width, slope=slope), mean_chi(width), rel_tol=1e-14)


@pytest.mark.parametrize("width", WIDTHS)
def test_without_a_branch_nothing_grows(width):
    assert isclose(mean_residual_growth(width, weight_scale=0), 1, rel_tol=1e-14)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scale", [1e16, 1e200])
def test_without_the_identity_a_block_is_a_relu_layer_and_a_linear_one(width, scale):
    expected = mean_chi_binomial(width) * mean_chi(width)
    assert isclose(mean_residual_growth(width, weight_scale=scale) / scale, expected, rel_tol=1e-13)


def test_a_block_of_11_neurons_is_as_exact_as_wide_ones():
    # Among the widths whose rule has steps of a third of the spread, it would lose most to steps a tenth longer.
    expected = mean_chi_binomial(11) * mean_chi(11)
    assert isclose(mean_residual_growth(11, weight_scale=1e16) / 1e16, expected, rel_tol=3e-14)


def test_a_layer_of_two_leaky_neurons_worked_out_by_hand():
    # Both on, with probability 1/4: E chi_2 = sqrt(pi / 2). Both off: a times this. One on: E sqrt(x^2 + a^2 y^2) is
    # E chi_2 times the mean of sqrt(cos^2 + a^2 sin^2) over the circle, (2 / pi) E(1 - a^2), the elliptic integral.
    one_on = 2 / pi * float(mpmath.ellipe(1 - 0.36))
    assert isclose(mean_leaky_chi(2, slope=0.6), sqrt(pi / 2) * (1 / 4 + 0.6 / 4 + one_on / 2))


def test_a_block_of_width_3_worked_out_by_hand():
    # In R^3 the mean of abs(e + s g) is elementary. Average it over s = 0.7 chi_N by plain sums over the densities of
    # chi_1, chi_2 and chi_3; N = 0, 1, 2, 3 with probabilities 1/8, 3/8, 3/8, 1/8.
    length = lambda s: s * sqrt(2 / pi) * exp(-1 / (2 * s * s)) + (1 + s * s) * erf(1 / (s * sqrt(2)))  # noqa: E731
    chi = (np.arange(20_000) + 0.5) * 5e-4
    lengths, bell = np.vectorize(length)(0.7 * chi), np.exp(-chi * chi / 2) * 5e-4
    densities = [sqrt(2 / pi) * bell, chi * bell, sqrt(2 / pi) * chi**2 * bell]
    means = [1, *(float(lengths @ density) for density in densities)]
    assert isclose(mean_residual_growth(3, weight_scale=0.7), np.dot([1, 3, 3, 1], means) / 8, rel_tol=1e-6)


def test_leaky_stability_worked_out_by_hand():
    # Width 1, slope -1/2: a layer keeps all or half of a length of mean sqrt(2 / pi), in the mean 3/4 of it. Three
    # layers; output E chi_3 = 2 sqrt(2 / pi); ball 5/6; scale 3 (1/2)^2 / 4.
    stds, shape = LayerStds(first=3.0, hidden=0.5, last=1.0), architecture(5, 1, 4, 3)
    value = leaky_relu_perturbation_stability(stds, shape, slope=-0.5, output_divisor=4.0)
    assert isclose(value, 5 / 6 * (3 * 0.25 / 4) * 2 * (2 / pi) ** 2 * 0.75**3)


def test_residual_values_worked_out_by_hand():
    # Two blocks of width 3 with scale 2.8 (1/2)^2 = 0.7; E chi_3 = 2 sqrt(2 / pi) twice, for W_1 and for the outputs.
    stds, shape = LayerStds(first=3.0, hidden=0.5, last=1.0), architecture(5, 3, 6, 3)
    growth = mean_residual_growth(3, weight_scale=0.7)
    value = residual_perturbation_stability(stds, shape, branch_scale=2.8, output_divisor=4.0)
    assert isclose(value, 5 / 6 * 3 / 4 * (8 / pi) * growth**2)
    # Square: 5 inputs, 3 outputs, width 3, ends (3 / 4)^2; each block 1 + 0.7^2 9 / 2 = 3.205.
    square = residual_mean_square_gradient(stds, shape, branch_scale=2.8, output_divisor=4.0)
    assert isclose(square, 5 * 3 * 3 * 9 / 16 * 3.205**2)


# Laws.


@given(shape=shapes, stds=several_stds)
def test_slope_0_is_the_law_of_relu_and_slope_1_that_of_the_deep_linear_network(shape, stds):
    relu, linear = (leaky_relu_perturbation_stability(stds, shape, slope=slope) for slope in (0, 1))
    assert isclose(relu, initial_perturbation_stability(stds, shape), rel_tol=1e-11)
    # A product of Gaussian matrices: each of the L - 1 hidden ones contributes E chi_m.
    ends = shape.input_dim / (shape.input_dim + 1) * mean_chi(shape.output_dim) * stds.first * stds.last
    expected = log(ends) + (shape.depth - 2) * log(stds.hidden) + (shape.depth - 1) * log(mean_chi(shape.width))
    assert isclose(log(linear), expected, rel_tol=1e-11, abs_tol=1e-11)


@given(width=st.integers(1, 3000), slope=st.floats(-1, 1))
def test_a_leaky_layer_is_below_its_limit_and_nears_it_with_the_width(width, slope):
    root_mean_square = [sqrt(m * (1 + slope**2) / 2) for m in (width, width + 1)]
    narrow, wide = (
        mean_leaky_chi(m, slope=slope) / size for m, size in zip((width, width + 1), root_mean_square, strict=True)
    )
    assert narrow < wide < 1


@pytest.mark.parametrize("slope", [0, 0.3, 1])
def test_the_first_term_of_the_expansion_of_a_leaky_layer(slope):
    width = 10**5
    ratio = mean_leaky_chi(width, slope=slope) / sqrt(width * (1 + slope**2) / 2)
    expected = 6 * (1 + slope**4) / (1 + slope**2) ** 2 - 1  # 5 at slope 0, 2 at slope 1
    assert isclose((1 - ratio) * 8 * width, expected, rel_tol=1e-4)


@given(width=st.integers(1, 3000), gain=st.floats(0.1, 20))
def test_a_block_lets_the_mean_grow_by_less_than_the_root_mean_square(width, gain):
    small, large = (mean_residual_growth(width, weight_scale=factor * gain / width) for factor in (1, 1.1))
    assert 1 < small < sqrt(1 + gain**2 / 2)
    assert small < large


@pytest.mark.parametrize("width", [1, 2, 7, 400])
def test_a_weak_branch_lets_the_mean_grow_by_its_second_order(width):
    scale = 0.003 / width
    growth = mean_residual_growth(width, weight_scale=scale) - 1
    assert isclose(growth, scale**2 * width * (width - 1) / 4, rel_tol=1e-4, abs_tol=1e-14)


@pytest.mark.parametrize("scheme", sorted(INITIALIZATIONS))
@given(shape=shapes, branch_scale=st.floats(0.2, 3))
def test_depth_raises_the_residual_stability_by_one_factor_for_each_block(scheme, shape, branch_scale):
    depths = [shape.depth, shape.depth + 2, shape.depth + 4]
    stds = INITIALIZATIONS[scheme](shape)
    for law in (residual_perturbation_stability, residual_mean_square_gradient):
        values = [law(stds, shape.replace(depth=depth), branch_scale=branch_scale) for depth in depths]
        assert values[0] < values[1]
        assert isclose(values[1] / values[0], values[2] / values[1], rel_tol=1e-9)


@pytest.mark.parametrize(("scheme", "exponent"), [("lecun", 1 / 2), ("he", 2), ("ntk", 2)])
def test_a_branch_of_scale_depth_to_the_minus_half_keeps_the_residual_stability_bounded(scheme, exponent):
    width, scale = 40, 0.9
    stds = INITIALIZATIONS[scheme](architecture(3, width, 2))
    means, squares = [], []
    for num_blocks in (1, 10, 100, 1000, 10**6):
        shape, branch_scale = architecture(3, width, 2 * num_blocks + 2), scale / sqrt(num_blocks)
        flat = shape.replace(depth=2)
        for law, values in ((residual_perturbation_stability, means), (residual_mean_square_gradient, squares)):
            values.append(law(stds, shape, branch_scale=branch_scale) / law(stds, flat, branch_scale=0))
    limits = [exp(exponent * scale**2 / 2 * (1 - 1 / width)), exp(exponent * scale**2)]
    for values, limit in zip((means, squares), limits, strict=True):
        assert all(1 < shallow < deep for shallow, deep in zip(values, values[1:], strict=False))
        assert isclose(values[-1], limit, rel_tol=1e-5)
        assert max(values) < 1.01 * limit
    # A larger branch, here of a fixed scale, has no limit.
    assert residual_perturbation_stability(stds, architecture(3, width, 2000), branch_scale=scale) > 1e20


@pytest.mark.parametrize("law", [residual_perturbation_stability, residual_mean_square_gradient])
@given(shape=shapes, stds=several_stds, scale=st.floats(0.5, 2))
def test_the_residual_laws_depend_on_the_branch_through_the_product_of_its_factors(law, shape, stds, scale):
    power = 1 if law is residual_perturbation_stability else 2
    value = law(stds, shape, branch_scale=0.7)
    other = law(stds._replace(hidden=scale * stds.hidden), shape, branch_scale=0.7 / scale**2)
    assert isclose(value, other, rel_tol=1e-9)
    for group in ("first", "last"):
        scaled = stds._replace(**{group: scale * getattr(stds, group)})
        assert isclose(law(scaled, shape, branch_scale=0.7), scale**power * value, rel_tol=1e-9)
    divided = law(stds, shape, branch_scale=0.7, output_divisor=scale)
    assert isclose(divided, value / scale**power, rel_tol=1e-9)


# Extremes.


@pytest.mark.parametrize("sizes", [(10**6, 10**7, 1000, 10**6), (1, 10**7, 2, 1), (10**6, 2, 1000, 7), (3, 1, 700, 1)])
@pytest.mark.parametrize("slope", [0.0, 1e-200, 0.01, 1.0])
def test_the_leaky_law_is_right_at_the_extremes(sizes, slope):
    shape = architecture(*sizes)
    stds = LayerStds(0.3, sqrt(2 / ((1 + slope**2) * shape.width)), 0.9)
    value = leaky_relu_perturbation_stability(stds, shape, slope=slope)
    if shape.width <= 2:
        with mpmath.workdps(30):
            layer = float(high_precision_leaky_chi(shape.width, slope))
    else:  # the next terms are below 1 / width^2
        variance = 6 * (1 + slope**4) / (1 + slope**2) ** 2 - 1
        layer = sqrt(shape.width * (1 + slope**2) / 2) * (1 - variance / (8 * shape.width))
    logs = [log(shape.input_dim / (shape.input_dim + 1)), log(mean_chi(shape.output_dim)), log(0.3 * 0.9)]
    expected = sum(logs) + (shape.depth - 2) * log(stds.hidden) + (shape.depth - 1) * log(layer)
    assert isclose(log(value), expected, rel_tol=1e-11, abs_tol=1e-11)


@pytest.mark.parametrize("sizes", [(10**6, 10**7, 1000, 10**6), (1, 10**7, 2, 1), (10**6, 2, 1000, 7), (3, 1, 700, 1)])
@pytest.mark.parametrize("branch_scale", [1e-200, 0.04, 1.0])
def test_the_residual_law_is_right_at_the_extremes(sizes, branch_scale):
    shape = architecture(*sizes)
    stds = LayerStds(0.3, sqrt(1 / shape.width), 0.9)
    value = residual_perturbation_stability(stds, shape, branch_scale=branch_scale)
    if shape.width <= 2:
        with mpmath.workdps(20):
            growth = float(high_precision_growth_of_few(shape.width, branch_scale / shape.width))
    else:  # square: mean 1 + k, relative variance (4 k + 7 k^2) / m / (1 + k)^2; the next terms are below 1 / width^2
        gain = branch_scale**2 / 2
        growth = sqrt(1 + gain) * (1 - (4 * gain + 7 * gain**2) / (1 + gain) ** 2 / (8 * shape.width))
    ends = shape.input_dim / (shape.input_dim + 1) * mean_chi(shape.output_dim) * mean_chi(shape.width) * 0.3 * 0.9
    assert isclose(log(value), log(ends) + (shape.depth - 2) / 2 * log(growth), rel_tol=1e-11, abs_tol=1e-11)


def test_what_exceeds_the_largest_float_is_infinite_and_what_vanishes_is_zero():
    deep = architecture(3, 4, 1000)
    large, none = LayerStds(1.0, 50.0, 1.0), LayerStds(0.0, 1.0, 1.0)
    for law, setting in (
        (leaky_relu_perturbation_stability, {"slope": 0.5}),
        (residual_perturbation_stability, {"branch_scale": 0.5}),
        (residual_mean_square_gradient, {"branch_scale": 0.5}),
    ):
        assert law(large, deep, **setting) == inf
        assert law(none, deep, **setting) == 0
    # Without hidden weights a plain network is silent; blocks are then the identity.
    still = LayerStds(1.0, 0.0, 1.0)
    assert leaky_relu_perturbation_stability(still, deep, slope=0.5) == 0
    expected = initial_mean_square_gradient(LayerStds(1.0, 0.0, sqrt(2)), deep.replace(depth=2))
    assert isclose(residual_mean_square_gradient(still, deep, branch_scale=1.0), expected)
    # The scale of a block may be too large for a float, or for the square of one.
    for scale in (1e200, 1e300):
        assert mean_residual_growth(10, weight_scale=scale) < inf
    huge = residual_perturbation_stability(LayerStds(1e-300, 1e200, 1e-300), deep.replace(depth=4), branch_scale=1e-1)
    growth = mean_chi(4) * mean_chi_binomial(4)
    assert isclose(log(huge), log(0.75 * mean_chi(1) * mean_chi(4) * growth) + log(10) * (399 - 600), rel_tol=1e-12)


# Random networks.


def draw(std, shape, generator):
    return std * torch.randn(shape, generator=generator, dtype=torch.float64)


def leaky_outputs(x, stds, shape, slope, generator):
    """One network for each row of x."""
    first, *others = shape.layer_sizes
    stds_of_layers = stds.of_layers(shape)
    z = draw(stds_of_layers[0], (len(x), others[0], first), generator) @ x.unsqueeze(-1)
    for std, rows in zip(stds_of_layers[1:], others[1:], strict=True):
        z = draw(std, (len(x), rows, z.shape[1]), generator) @ torch.where(z > 0, z, slope * z)
    return z.squeeze(-1)


def residual_outputs(x, stds, shape, branch_scale, generator):
    """One network for each row of x."""
    width = shape.width
    h = draw(stds.first, (len(x), width, shape.input_dim), generator) @ x.unsqueeze(-1)
    for _ in range(shape.depth // 2 - 1):
        inner, outer = (draw(stds.hidden, (len(x), width, width), generator) for _ in range(2))
        h = h + branch_scale * outer @ torch.relu(inner @ h)
    return (draw(stds.last, (len(x), shape.output_dim, width), generator) @ h).squeeze(-1)


def estimates_of(outputs, shape, stds, setting, num_networks, generator):
    """Mean length of J delta over the unit ball, mean square of J, and mean output at x over the length of x."""
    point = torch.linspace(-1.3, 2.1, shape.input_dim, dtype=torch.float64)
    x = point.repeat(num_networks, 1).requires_grad_()
    f = outputs(x, stds, shape, setting, generator)
    rows = [torch.autograd.grad(f[:, k].sum(), x, retain_graph=True)[0] for k in range(shape.output_dim)]
    jacobians = torch.stack(rows, dim=1)
    changes = jacobians @ uniform_in_ball(like=x.detach(), radius=1.0, generator=generator).unsqueeze(-1)
    draws = [changes.norm(dim=(1, 2)), jacobians.square().sum(dim=(1, 2)), f.detach().norm(dim=1) / point.norm()]
    return [Estimate.from_draws(values.tolist()) for values in draws]


def shown_by(estimate, exact, power):
    """Whether an estimate agrees with a law; a relative error of ``power`` would exceed four standard errors."""
    assert 4 * estimate.standard_error < power * exact
    return abs(estimate.z_score(exact)) < 4


SIZES = [((4, 1, 4, 1), 100_000), ((3, 2, 6, 1), 60_000), ((5, 2, 4, 3), 40_000), ((4, 3, 6, 1), 40_000)]
SIZES += [((7, 5, 10, 2), 20_000)]


@pytest.mark.parametrize(("sizes", "num_networks"), SIZES)
@pytest.mark.parametrize("slope", [0.4, -0.7])
def test_leaky_stability_is_the_mean_over_random_networks(sizes, num_networks, slope, generator):
    shape = architecture(*sizes)
    stds = LayerStds(0.7, 1.1 / sqrt(shape.width), 1.3)
    length, _, output = estimates_of(leaky_outputs, shape, stds, slope, num_networks, generator)
    exact = leaky_relu_perturbation_stability(stds, shape, slope=slope)
    assert shown_by(length, exact, power=0.09)
    # The output at x is J x: the same law where direction and point are parallel.
    assert shown_by(output, exact * (shape.input_dim + 1) / shape.input_dim, power=0.09)


@pytest.mark.parametrize(("sizes", "num_networks"), SIZES)
def test_residual_stability_is_the_mean_over_random_networks(sizes, num_networks, generator):
    shape = architecture(*sizes)
    stds = LayerStds(0.7, 0.9 / sqrt(shape.width), 1.3)
    length, square, output = estimates_of(residual_outputs, shape, stds, 0.8, num_networks, generator)
    exact = residual_perturbation_stability(stds, shape, branch_scale=0.8)
    assert shown_by(length, exact, power=0.03)
    assert shown_by(output, exact * (shape.input_dim + 1) / shape.input_dim, power=0.03)
    assert shown_by(square, residual_mean_square_gradient(stds, shape, branch_scale=0.8), power=0.04)


# Bad input.

SHAPE = Architecture(input_dim=3, width=4, depth=4, output_dim=2)
STDS = LayerStds(1.0, 1.0, 1.0)
RESIDUAL_LAWS = [residual_perturbation_stability, residual_mean_square_gradient]
LAWS = [(leaky_relu_perturbation_stability, "slope"), *((law, "branch_scale") for law in RESIDUAL_LAWS)]


@pytest.mark.parametrize("slope", [1.5, -1.01])
def test_a_slope_out_of_range_is_refused(slope):
    for call in (
        lambda: mean_leaky_chi(3, slope=slope),
        lambda: leaky_relu_perturbation_stability(STDS, SHAPE, slope=slope),
    ):
        with pytest.raises(ValueError, match=rf"^slope must be a number from -1 to 1, got {slope}$"):
            call()


@pytest.mark.parametrize("law", RESIDUAL_LAWS)
def test_half_a_block_is_refused(law):
    with pytest.raises(
        ValueError, match=r"^architecture must have an even depth here, two .* got Architecture\(.*depth=5"
    ):
        law(STDS, SHAPE.replace(depth=5), branch_scale=1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_leaky_chi(0, slope=0.5), "^width must be an integer >= 1, got 0$"),
        (lambda: mean_leaky_chi(2, slope=inf), "^slope must be a finite number, got inf$"),
        (lambda: mean_residual_growth(0, weight_scale=1.0), "^width must be an integer >= 1, got 0$"),
        (lambda: mean_residual_growth(2, weight_scale=-1.0), "^weight_scale must be a finite number >= 0, got -1.0$"),
        *(
            (
                lambda law=law: law(STDS, SHAPE, branch_scale=-0.5),
                "^branch_scale must be a finite number >= 0, got -0.5$",
            )
            for law in RESIDUAL_LAWS
        ),
        *(
            (
                lambda law=law, name=name: law(STDS, SHAPE, **{name: 0.5}, output_divisor=0),
                "^output_divisor must .* got 0$",
            )
            for law, name in LAWS
        ),
    ],
)
def test_numbers_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("law", "name"), LAWS)
@pytest.mark.usefixtures("as_a_reader")
def test_values_of_another_kind_are_refused(law, name):
    with pytest.raises(TypeError, match=r"^stds must be LayerStds, such as he\(architecture\), got 3$"):
        law(3, SHAPE, **{name: 0.5})
    with pytest.raises(TypeError, match=r"^architecture must be an Architecture, got 4$"):
        law(STDS, 4, **{name: 0.5})
    with pytest.raises(TypeError, match=rf"^{name} must be a finite number.*, got 'half'$"):
        law(STDS, SHAPE, **{name: "half"})


@pytest.mark.usefixtures("as_a_reader")
def test_a_stored_value_lets_no_other_kind_through():
    for function, setting in ((mean_leaky_chi, {"slope": 0.5}), (mean_residual_growth, {"weight_scale": 0.5})):
        assert function(np.int8(100), **setting) == function(100, **setting)
        with pytest.raises(TypeError, match=r"^width must be an integer >= 1, got 100.0$"):
            function(100.0, **setting)
