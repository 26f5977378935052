"""Closed-form kernels against reference values, formulas and random networks."""

from math import isclose, pi, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tutorial_lib.architecture import Architecture
from tutorial_lib.book.data import load
from tutorial_lib.initializations import INITIALIZATIONS, LayerStds, he, lecun, ntk
from tutorial_lib.kernels import (
    kernel_profiles,
    lengths_and_cosines,
    nngp_kernel,
    require_kernel_inputs,
    tangent_kernel,
)
from tutorial_lib.laziness import empirical_tangent_kernel
from tutorial_lib.models import ReLUMLP

STDS = LayerStds(first=0.6, hidden=0.4, last=0.9)  # hidden gain m 0.08: 0.56 at width 7
KERNELS = [nngp_kernel, tangent_kernel]
# cosine, depth: LeCun, He, NTK of the tangent kernel and He of the NNGP at d = 64, m = 256; from
# 50-digit arithmetic.
REFERENCE = [
    (0.9, 4, 1.27568838496, 10.2055070797, 264.712664266, 0.0289015904818),
    (0.5, 2, 1.38466222876, 2.76932445751, 43.2756644477, 0.0190311806576),
    (0.5, 3, 1.17437251774, 4.69749007096, 86.1333661597, 0.0213720515906),
    (0.0, 3, 0.685708636283, 2.74283454513, 25.0668569888, 0.0154290965688),
    (-0.5, 4, 0.391922133509, 3.13537706807, 27.9164310474, 0.0165087308662),
    (-0.9, 2, -0.0455280342186, -0.0910560684371, -16.5292985696, 0.000298074963896),
    (0.5, 6, 0.298046216479, 9.53747892732, 212.322637427, 0.0253266937814),
]
# neural-tangents 0.6.5, depth 4, W_std sqrt(2) on hidden layers and 1 on the last.
NEURAL_TANGENTS_NTK = {
    (0, 1): 0.0144531556437,
    (0, 2): 0.0149911707283,
    (3, 7): 0.0187460680540,
    (10, 20): 0.0157985195729,
    (25, 49): 0.0168104229623,
    (0, 0): 0.0625,
}
# Largest eigenvalue of the tangent kernel over n, digits with n = 256: He, then NTK, at width 64, 256, 512.
LARGEST = {
    2: [1.28181274, 3.53644429, 6.54283701, 17.7315299, 68.6744192, 136.598312],
    4: [2.24889201, 7.99659386, 15.6603692, 46.5639735, 183.799497, 366.78022],
    6: [3.06874151, 11.5953165, 22.9641881, 71.4797239, 283.334432, 565.807394],
    8: [3.80621797, 14.736225, 29.3096301, 94.190343, 374.090584, 747.290917],
}
NEURAL_TANGENTS_NNGP = {(0, 1): 0.00897146901681, (3, 7): 0.00991585019020, (0, 0): 0.015625}


def normal(generator, *shape):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def architecture(input_dim, width, depth):
    return Architecture(input_dim=input_dim, width=width, depth=depth)


SHAPE = architecture(5, 7, 4)


def pair(cosine, dim):
    """Two unit vectors with this cosine."""
    x = torch.zeros(2, dim, dtype=torch.float64)
    x[:, 0], x[0, 1], x[1, 0], x[1, 1] = 1, 0, cosine, sqrt(1 - cosine**2)
    return x[:1], x[1:]


@pytest.mark.parametrize(("cosine", "depth", "lecun_ntk", "he_ntk", "ntk_ntk", "he_nngp"), REFERENCE)
def test_kernels_have_their_reference_values(cosine, depth, lecun_ntk, he_ntk, ntk_ntk, he_nngp):
    (x, other), shape = pair(cosine, 64), architecture(64, 256, depth)
    for scheme, expected in (("lecun", lecun_ntk), ("he", he_ntk), ("ntk", ntk_ntk)):
        value = tangent_kernel(x, other, INITIALIZATIONS[scheme](shape), shape).item()
        assert isclose(value, expected, rel_tol=5e-12)
    assert isclose(nngp_kernel(x, other, he(shape), shape).item(), he_nngp, rel_tol=5e-12)


def test_kernels_agree_with_neural_tangents():
    rows = np.random.default_rng(0).standard_normal((50, 64))
    x = torch.from_numpy(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    # There a layer's term carries its own variance; with all of ours equal to 1 and m/2 = 1 the terms
    # are the bare ones, and the product of its variances and of the relus' halves is 1/d.
    for kernel, expected in ((tangent_kernel, NEURAL_TANGENTS_NTK), (nngp_kernel, NEURAL_TANGENTS_NNGP)):
        values = kernel(x, x, LayerStds(1.0, 1.0, 1.0), architecture(64, 2, 4)) / 64
        for place, value in expected.items():
            assert isclose(values[place].item(), value, rel_tol=1e-11)


@pytest.mark.parametrize("depth", LARGEST)
def test_kernels_of_the_digits_have_their_reference_eigenvalues(depth):
    x = load(num_train=256).train_x
    settings = [(scheme, architecture(64, width, depth)) for scheme in (he, ntk) for width in (64, 256, 512)]
    for (scheme, shape), expected in zip(settings, LARGEST[depth], strict=True):
        kernel = tangent_kernel(x, x, scheme(shape), shape)
        assert isclose(torch.linalg.eigvalsh(kernel)[-1].item() / 256, expected, rel_tol=5e-9)


def kappa_0(u):
    return (pi - np.arccos(u)) / pi


def kappa_1(u):
    return (u * (pi - np.arccos(u)) + np.sqrt(1 - u**2)) / pi


@given(st.floats(-0.999, 0.999), st.floats(0.2, 3), st.floats(0.2, 3), st.integers(1, 1000))
def test_two_layers_have_the_symbolic_formula(cosine, first, last, width):
    stds = LayerStds(first, 7.0, last)
    covariance, tangent = kernel_profiles(torch.tensor(cosine, dtype=torch.float64), stds, architecture(5, width, 2))
    half = width / 2
    by_hand = half * first**2 * kappa_1(cosine) + half * last**2 * cosine * kappa_0(cosine)
    assert isclose(tangent.item(), by_hand, rel_tol=1e-10, abs_tol=1e-12 * half * (first**2 + last**2))
    assert isclose(covariance.item(), last**2 * half * first**2 * kappa_1(cosine), rel_tol=1e-10, abs_tol=1e-12)


@pytest.mark.parametrize("depth", [3, 4, 7])
def test_more_layers_have_the_sum_over_trained_layers(depth):
    # Layer l: inner product of its inputs times that of the signals that come back to it.
    width, cosine = 7, 0.37
    first_gain, gain, last_gain = (width * std**2 / 2 for std in STDS)
    rho = [cosine]
    for _ in range(depth - 1):
        rho.append(kappa_1(rho[-1]))
    forward = [cosine] + [first_gain * gain ** (layer - 1) * rho[layer] for layer in range(1, depth)]
    total = forward[depth - 1]
    for layer in range(1, depth):
        back = np.prod([kappa_0(rho[k - 1]) for k in range(layer, depth)])
        total += forward[layer - 1] * last_gain * gain ** (depth - 1 - layer) * back
    covariance, tangent = kernel_profiles(torch.tensor(cosine, dtype=torch.float64), STDS, SHAPE.replace(depth=depth))
    assert isclose(tangent.item(), total, rel_tol=1e-12)
    assert isclose(covariance.item(), STDS.last**2 * forward[depth - 1], rel_tol=1e-12)


@pytest.mark.parametrize("depth", [2, 3, 6])
def test_equal_inputs_have_the_value_of_the_page(depth, generator):
    x = normal(generator, 3, 24)
    x /= x.norm(dim=1, keepdim=True)
    shape = architecture(24, 40, depth)
    for scheme, expected in ((he, (depth - 1) * 40 / 24 + 1), (ntk, (depth - 1) * 40 / 2 + 1)):
        diagonal = tangent_kernel(x, x, scheme(shape), shape).diagonal()
        torch.testing.assert_close(diagonal, torch.full_like(diagonal, expected), rtol=1e-12, atol=0)


@given(st.floats(-1, 1), st.integers(2, 9), st.integers(1, 300))
def test_lecun_is_he_divided_by_two_per_hidden_layer(cosine, depth, width):
    cosines = torch.tensor([cosine, 1.0], dtype=torch.float64)
    shape = architecture(5, width, depth)
    of_lecun, of_he = (kernel_profiles(cosines, scheme(shape), shape)[1] for scheme in (lecun, he))
    torch.testing.assert_close(of_lecun * 2 ** (depth - 1), of_he, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_are_homogeneous_in_each_input(kernel, generator):
    x, other = normal(generator, 4, 5), normal(generator, 3, 5)
    factors, others = torch.tensor([0.1, 2.0, 1.0, 30.0]).double(), torch.tensor([5.0, 0.3, 1.0]).double()
    scaled = kernel(factors.unsqueeze(1) * x, others.unsqueeze(1) * other, STDS, SHAPE)
    expected = factors.unsqueeze(1) * others * kernel(x, other, STDS, SHAPE)
    torch.testing.assert_close(scaled, expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("depth", [2, 5])
def test_kernels_are_symmetric_and_positive(kernel, depth, generator):
    x = 1.4 * normal(generator, 30, 4)
    matrix = kernel(x, x, STDS, architecture(4, 7, depth))
    torch.testing.assert_close(matrix, matrix.T, rtol=1e-13, atol=0)
    assert torch.linalg.eigvalsh(matrix)[0] > 1e-6 * matrix.diagonal().mean()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", [3, 784])
def test_rounding_does_not_spoil_the_diagonal(dtype, dim, generator):
    x = normal(generator, 60, dim).to(dtype)
    values = tangent_kernel(x, x, LayerStds(1.0, 1.0, 1.0), architecture(dim, 2, 8)).diagonal()
    assert values.dtype == dtype
    expected = 8 * x.square().sum(dim=1)
    torch.testing.assert_close(values, expected, rtol=20 * torch.finfo(dtype).eps, atol=0)


def test_kernels_stay_finite_at_the_extremes():
    x, other = pair(0.4, 5)
    for width, depth in ((10**7, 2), (10**7, 1000), (1, 3)):
        shape = architecture(5, width, depth)
        for scheme in INITIALIZATIONS.values():
            assert torch.isfinite(tangent_kernel(x, other, scheme(shape), shape)).all()
            assert torch.isfinite(nngp_kernel(x, x, scheme(shape), shape)).all()
    assert tangent_kernel(x, other, LayerStds(0.0, 0.0, 0.0), architecture(5, 4, 3)).item() == 0


@pytest.mark.parametrize("kernel", KERNELS)
def test_each_entry_is_that_of_its_two_inputs(kernel, generator):
    x, other = 1.3 * normal(generator, 4, 5), normal(generator, 3, 5)
    matrix = kernel(x, other, STDS, SHAPE)
    assert (matrix.shape, matrix.dtype) == ((4, 3), torch.float64)
    for i in range(4):
        for j in range(3):
            entry = kernel(x[i : i + 1], other[j : j + 1], STDS, SHAPE).item()
            assert isclose(matrix[i, j].item(), entry, rel_tol=1e-13)


def test_lengths_and_cosines_worked_out_by_hand():
    a = torch.tensor([[3.0, 4.0], [0.0, -2.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, 0.0], [0.0, 7.0], [-6.0, -8.0]], dtype=torch.float64)
    lengths, cosines = lengths_and_cosines(a, b)
    assert lengths.tolist() == [[5, 35, 50], [2, 14, 20]]
    expected = torch.tensor([[0.6, 0.8, -1], [0, -1, 0.8]], dtype=torch.float64)
    torch.testing.assert_close(cosines, expected, rtol=1e-15, atol=0)


def test_opposite_inputs_have_no_neuron_in_common():
    # So the first relu makes a right angle of them: kappa_1(0) = 1 / pi, and of T_2 = 0 only H_2 is left.
    cosines = torch.tensor([-1.0, -1 - 1e-15], dtype=torch.float64)
    for profile in kernel_profiles(cosines, STDS, SHAPE.replace(depth=2)):
        torch.testing.assert_close(profile, torch.zeros_like(cosines), rtol=0, atol=1e-14)
    gains = (7 * STDS.first**2 / 2) * (7 * STDS.hidden**2 / 2)
    covariance, tangent = kernel_profiles(cosines, STDS, SHAPE.replace(depth=3))
    torch.testing.assert_close(covariance, torch.full_like(cosines, STDS.last**2 * gains / pi), rtol=1e-6, atol=0)
    torch.testing.assert_close(tangent, torch.full_like(cosines, gains / pi), rtol=1e-6, atol=0)


def test_cosines_are_not_taken_for_one_before_rounding_does_it():
    # 1 - cosine = 1e-12 is beyond rounding: kappa_0 = 1 - sqrt(2e-12) / pi, and kappa_1 is 1 to 1e-12.
    cosines = torch.tensor([1 - 1e-12, 1.0], dtype=torch.float64)
    close, equal = kernel_profiles(cosines, LayerStds(1.0, 1.0, 1.0), architecture(5, 2, 2))[1].tolist()
    assert isclose(equal - close, sqrt(2e-12) / pi, rel_tol=1e-3)


@pytest.mark.parametrize("name", ["width", "depth"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_depend_on_width_and_depth(kernel, name, generator):
    x = normal(generator, 3, 5)
    changed = kernel(x, x, STDS, SHAPE.replace(**{name: 5}))
    assert not torch.isclose(changed, kernel(x, x, STDS, SHAPE), rtol=0.01).any()


# Random networks.


def networks(generator, shape, num_networks, *, stds=STDS):
    return ReLUMLP(stds, shape, output_divisor=1.6, num_networks=num_networks, generator=generator)


def worst_deviation(draws, expected):
    """Largest deviation of a mean of matrices in standard errors, and the largest relative error bar."""
    errors = draws.std(dim=0) / sqrt(len(draws))
    return ((draws.mean(dim=0) - expected).abs() / errors).max(), (4 * errors / expected.abs().max()).max()


def test_the_mean_kernel_of_two_layers_is_the_closed_form_at_every_width(generator):
    shape = architecture(5, 3, 2)
    models, x = networks(generator, shape, 60_000), 1.3 * normal(generator, 4, 5)
    expected = tangent_kernel(x, x, STDS, shape) / 1.6**2
    deviation, caught = worst_deviation(empirical_tangent_kernel(models, x, x), expected)
    assert caught < 0.03  # the smallest error that it catches, relative to the largest entry
    assert deviation < 4


def test_the_mean_product_of_outputs_of_two_layers_is_the_closed_form(generator):
    shape = architecture(5, 3, 2)
    models, x = networks(generator, shape, 60_000), 1.3 * normal(generator, 4, 5)
    outputs = models(x).detach()
    expected = nngp_kernel(x, x, STDS, shape) / 1.6**2
    deviation, caught = worst_deviation(outputs.unsqueeze(1) * outputs.unsqueeze(2), expected)
    assert caught < 0.06  # the smallest error that it catches, relative to the largest entry
    assert deviation < 4


def test_the_mean_kernel_of_more_layers_is_the_closed_form_at_large_width(generator):
    stds, shape = LayerStds(first=0.3, hidden=0.11, last=0.2), architecture(5, 256, 3)  # hidden gain 1.55
    models, x = networks(generator, shape, 200, stds=stds), 1.3 * normal(generator, 4, 5)
    expected = tangent_kernel(x, x, stds, shape) / 1.6**2
    deviation, caught = worst_deviation(empirical_tangent_kernel(models, x, x), expected)
    assert caught < 0.07  # the bias at this width is below 1 %
    assert deviation < 4


# Bad input.


PAIRS_THAT_DO_NOT_FIT = [
    (torch.ones(2, 5), torch.ones(2, 4), r"^inputs_a and inputs_b must have one dimension, got 5 and 4$"),
    (torch.ones(5), torch.ones(2, 5), r"^inputs_a must have shape \(batch, dim\) and not be empty, got \(5,\)$"),
    (torch.ones(2, 5), torch.ones(0, 5), r"^inputs_b must have shape \(batch, dim\) and not be empty, got \(0, 5\)"),
    (torch.ones(2, 5) / 0, torch.ones(2, 5), "^inputs_a must be finite, got nan or infinity$"),
    (torch.ones(2, 5), torch.zeros(2, 5) / 0, "^inputs_b must be finite, got nan or infinity$"),
    (torch.ones(2, 5), torch.eye(5)[:2] * torch.tensor([[1.0], [0.0]]), "^inputs_b must not hold a zero input"),
    (torch.zeros(1, 5), torch.ones(2, 5), "^inputs_a must not hold a zero input"),
]


@pytest.mark.parametrize(("x", "other", "message"), PAIRS_THAT_DO_NOT_FIT)
@pytest.mark.usefixtures("as_a_reader")
def test_inputs_that_do_not_fit_are_refused(x, other, message):
    x, other = x.double(), other.double()
    for kernel in KERNELS:
        with pytest.raises(ValueError, match=message):
            kernel(x, other, STDS, SHAPE)
    for function in (require_kernel_inputs, lengths_and_cosines):
        with pytest.raises(ValueError, match=message):
            function(x, other)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.usefixtures("as_a_reader")
def test_inputs_of_another_kind_or_precision_are_refused(kernel):
    with pytest.raises(ValueError, match=r"^inputs_b must be torch.float64 on cpu like the rest, got torch.float32"):
        kernel(torch.ones(2, 5).double(), torch.ones(2, 5), STDS, SHAPE)
    with pytest.raises(TypeError, match=r"^inputs_a must hold floating-point .* got torch.int64$"):
        kernel(torch.ones(2, 5).long(), torch.ones(2, 5).long(), STDS, SHAPE)
    with pytest.raises(TypeError, match=r"^cosines must hold floating-point .* got torch.float16$"):
        kernel_profiles(torch.ones(2).half(), STDS, SHAPE)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_input_dimension_must_be_that_of_the_inputs(kernel):
    with pytest.raises(ValueError, match=r"^architecture must have input_dim 4 here, got Architecture\(input_dim=5,"):
        kernel(torch.ones(2, 4), torch.ones(2, 4), STDS, SHAPE)


@pytest.mark.usefixtures("as_a_reader")
def test_what_is_no_network_is_refused():
    x, other = pair(0.4, 5)
    for kernel in KERNELS:
        with pytest.raises(TypeError, match=r"^stds must be LayerStds, such as .*, got \(1.0, 1.0, 1.0\)$"):
            kernel(x, other, (1.0, 1.0, 1.0), SHAPE)
        with pytest.raises(TypeError, match=r"^architecture must be an Architecture, got 7$"):
            kernel(x, other, STDS, 7)


def test_sizes_out_of_range_are_refused():
    x, other = pair(0.4, 5)
    with pytest.raises(ValueError, match=r"^width must be an integer >= 1, got 0$"):
        tangent_kernel(x, other, STDS, SHAPE.replace(width=0))
    with pytest.raises(ValueError, match=r"^depth counts weight matrices and must be >= 2, got 1$"):
        nngp_kernel(x, other, STDS, SHAPE.replace(depth=1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cosines_of_parallel_inputs_stay_between_minus_one_and_one(dtype, generator):
    x = normal(generator, 300, 7).to(dtype)
    _, cosines = lengths_and_cosines(x, torch.cat([3 * x, -x]))
    assert cosines.max() == 1
    assert cosines.min() == -1
