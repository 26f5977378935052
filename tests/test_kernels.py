"""Closed-form kernels against reference values, formulas and networks; the empirical kernel against autograd."""

from math import isclose, pi, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tutorial_lib.book.data import load
from tutorial_lib.estimates import Estimate
from tutorial_lib.initializations import INITIALIZATIONS, LayerStds, he, lecun
from tutorial_lib.initializations import ntk as ntk_scheme
from tutorial_lib.kernels import empirical_tangent_kernel, kernel_profiles, nngp, ntk
from tutorial_lib.models import ReLUMLP

STDS = LayerStds(first=0.6, hidden=0.4, last=0.9)  # hidden gain m 0.08: 0.56 at width 7
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


def pair(cosine, dim):
    """Two unit vectors with this cosine."""
    x = torch.zeros(2, dim, dtype=torch.float64)
    x[:, 0], x[0, 1], x[1, 0], x[1, 1] = 1, 0, cosine, sqrt(1 - cosine**2)
    return x[:1], x[1:]


@pytest.mark.parametrize(("cosine", "depth", "lecun_ntk", "he_ntk", "ntk_ntk", "he_nngp"), REFERENCE)
def test_kernels_have_their_reference_values(cosine, depth, lecun_ntk, he_ntk, ntk_ntk, he_nngp):
    x, other = pair(cosine, 64)
    for scheme, expected in (("lecun", lecun_ntk), ("he", he_ntk), ("ntk", ntk_ntk)):
        stds = INITIALIZATIONS[scheme](input_dim=64, width=256)
        assert isclose(ntk(x, other, stds=stds, width=256, depth=depth).item(), expected, rel_tol=5e-12)
    value = nngp(x, other, stds=he(input_dim=64, width=256), width=256, depth=depth).item()
    assert isclose(value, he_nngp, rel_tol=5e-12)


def test_kernels_agree_with_neural_tangents():
    rows = np.random.default_rng(0).standard_normal((50, 64))
    x = torch.from_numpy(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    # There a layer's term carries its own variance; with all of ours equal to 1 and m/2 = 1 the terms
    # are the bare ones, and the product of its variances and of the relus' halves is 1/d.
    settings = {"stds": LayerStds(1.0, 1.0, 1.0), "width": 2, "depth": 4}
    for kernel, expected in ((ntk, NEURAL_TANGENTS_NTK), (nngp, NEURAL_TANGENTS_NNGP)):
        values = kernel(x, x, **settings) / 64
        for place, value in expected.items():
            assert isclose(values[place].item(), value, rel_tol=1e-11)


@pytest.mark.parametrize("depth", LARGEST)
def test_kernels_of_the_digits_have_their_reference_eigenvalues(depth):
    x = load(num_train=256).train_x
    settings = [(scheme, width) for scheme in (he, ntk_scheme) for width in (64, 256, 512)]
    for (scheme, width), expected in zip(settings, LARGEST[depth], strict=True):
        kernel = ntk(x, x, stds=scheme(input_dim=64, width=width), width=width, depth=depth)
        assert isclose(torch.linalg.eigvalsh(kernel)[-1].item() / 256, expected, rel_tol=5e-9)


def kappa_0(u):
    return (pi - np.arccos(u)) / pi


def kappa_1(u):
    return (u * (pi - np.arccos(u)) + np.sqrt(1 - u**2)) / pi


@given(st.floats(-0.999, 0.999), st.floats(0.2, 3), st.floats(0.2, 3), st.integers(1, 1000))
def test_two_layers_have_the_symbolic_formula(cosine, first, last, width):
    stds = LayerStds(first, 7.0, last)
    covariance, tangent = kernel_profiles(torch.tensor(cosine, dtype=torch.float64), stds=stds, width=width, depth=2)
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
    covariance, tangent = kernel_profiles(
        torch.tensor(cosine, dtype=torch.float64), stds=STDS, width=width, depth=depth
    )
    assert isclose(tangent.item(), total, rel_tol=1e-12)
    assert isclose(covariance.item(), STDS.last**2 * forward[depth - 1], rel_tol=1e-12)


@pytest.mark.parametrize("depth", [2, 3, 6])
def test_equal_inputs_have_the_value_of_the_page(depth, generator):
    x = normal(generator, 3, 24)
    x /= x.norm(dim=1, keepdim=True)
    sizes = {"width": 40, "depth": depth}
    for scheme, expected in ((he, (depth - 1) * 40 / 24 + 1), (ntk_scheme, (depth - 1) * 40 / 2 + 1)):
        diagonal = ntk(x, x, stds=scheme(input_dim=24, width=40), **sizes).diagonal()
        torch.testing.assert_close(diagonal, torch.full_like(diagonal, expected), rtol=1e-12, atol=0)


@given(st.floats(-1, 1), st.integers(2, 9), st.integers(1, 300))
def test_lecun_is_he_divided_by_two_per_hidden_layer(cosine, depth, width):
    cosines = torch.tensor([cosine, 1.0], dtype=torch.float64)
    sizes = {"width": width, "depth": depth}
    of_lecun = kernel_profiles(cosines, stds=lecun(input_dim=5, width=width), **sizes)[1]
    of_he = kernel_profiles(cosines, stds=he(input_dim=5, width=width), **sizes)[1]
    torch.testing.assert_close(of_lecun * 2 ** (depth - 1), of_he, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kernel", [nngp, ntk])
def test_kernels_are_homogeneous_in_each_input(kernel, generator):
    x, other, sizes = normal(generator, 4, 5), normal(generator, 3, 5), {"stds": STDS, "width": 7, "depth": 4}
    factors, others = torch.tensor([0.1, 2.0, 1.0, 30.0]).double(), torch.tensor([5.0, 0.3, 1.0]).double()
    scaled = kernel(factors.unsqueeze(1) * x, others.unsqueeze(1) * other, **sizes)
    expected = factors.unsqueeze(1) * others * kernel(x, other, **sizes)
    torch.testing.assert_close(scaled, expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("kernel", [nngp, ntk])
@pytest.mark.parametrize("depth", [2, 5])
def test_kernels_are_symmetric_and_positive(kernel, depth, generator):
    x = 1.4 * normal(generator, 30, 4)
    matrix = kernel(x, x, stds=STDS, width=7, depth=depth)
    torch.testing.assert_close(matrix, matrix.T, rtol=1e-13, atol=0)
    assert torch.linalg.eigvalsh(matrix)[0] > 1e-6 * matrix.diagonal().mean()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", [3, 784])
def test_rounding_does_not_spoil_the_diagonal(dtype, dim, generator):
    x = normal(generator, 60, dim).to(dtype)
    values = ntk(x, x, stds=LayerStds(1.0, 1.0, 1.0), width=2, depth=8).diagonal()
    assert values.dtype == dtype
    expected = 8 * x.square().sum(dim=1)
    torch.testing.assert_close(values, expected, rtol=20 * torch.finfo(dtype).eps, atol=0)


def test_kernels_stay_finite_at_the_extremes():
    x, other = pair(0.4, 5)
    for width, depth in ((10**7, 2), (10**7, 1000), (1, 3)):
        for scheme in INITIALIZATIONS.values():
            stds = scheme(input_dim=5, width=width)
            assert torch.isfinite(ntk(x, other, stds=stds, width=width, depth=depth)).all()
            assert torch.isfinite(nngp(x, x, stds=stds, width=width, depth=depth)).all()
    assert ntk(x, other, stds=LayerStds(0.0, 0.0, 0.0), width=4, depth=3).item() == 0


# Random networks.


def networks(generator, *, stds=STDS, width=7, depth=4, input_dim=5, output_dim=1, num_networks=None):
    sizes = {"input_dim": input_dim, "width": width, "depth": depth, "output_dim": output_dim}
    return ReLUMLP(stds, **sizes, output_divisor=1.6, num_networks=num_networks, generator=generator)


def kernel_by_autograd(model, x, other):
    def jacobian(rows):
        outputs = model(rows)
        gradients = [torch.autograd.grad(f, list(model.weights), retain_graph=True) for f in outputs]
        return torch.stack([torch.cat([g.flatten() for g in gradient]) for gradient in gradients])

    return jacobian(x) @ jacobian(other).T


@pytest.mark.parametrize("depth", [2, 4])
def test_the_empirical_kernel_is_the_product_of_jacobians(depth, generator):
    model, x, other = networks(generator, depth=depth), 1.3 * normal(generator, 6, 5), normal(generator, 4, 5)
    kernel = empirical_tangent_kernel(model, x, other)
    assert not kernel.requires_grad
    torch.testing.assert_close(kernel, kernel_by_autograd(model, x, other), rtol=1e-12, atol=1e-14)


def test_the_empirical_kernels_of_an_ensemble_are_those_of_its_members(generator):
    models, x, other = networks(generator, num_networks=3), normal(generator, 6, 5), normal(generator, 4, 5)
    kernels = empirical_tangent_kernel(models, x, other)
    assert kernels.shape == (3, 6, 4)
    single = networks(generator)
    for index in range(3):
        single.load_state_dict({key: value[index] for key, value in models.state_dict().items()})
        torch.testing.assert_close(kernels[index], kernel_by_autograd(single, x, other), rtol=1e-12, atol=1e-14)


def worst_deviation(draws, expected):
    """Largest deviation of a mean of matrices in standard errors, and the largest relative error bar."""
    errors = draws.std(dim=0) / sqrt(len(draws))
    return ((draws.mean(dim=0) - expected).abs() / errors).max(), (4 * errors / expected.abs().max()).max()


def test_the_mean_kernel_of_two_layers_is_the_closed_form_at_every_width(generator):
    models, x = networks(generator, depth=2, width=3, num_networks=60_000), 1.3 * normal(generator, 4, 5)
    expected = ntk(x, x, stds=STDS, width=3, depth=2) / 1.6**2
    deviation, caught = worst_deviation(empirical_tangent_kernel(models, x, x), expected)
    assert caught < 0.03  # the smallest error that it catches, relative to the largest entry
    assert deviation < 4


def test_the_mean_product_of_outputs_of_two_layers_is_the_closed_form(generator):
    models, x = networks(generator, depth=2, width=3, num_networks=60_000), 1.3 * normal(generator, 4, 5)
    outputs = models(x).detach()
    expected = nngp(x, x, stds=STDS, width=3, depth=2) / 1.6**2
    deviation, caught = worst_deviation(outputs.unsqueeze(1) * outputs.unsqueeze(2), expected)
    assert caught < 0.06  # the smallest error that it catches, relative to the largest entry
    assert deviation < 4


def test_the_mean_kernel_of_more_layers_is_the_closed_form_at_large_width(generator):
    stds = LayerStds(first=0.3, hidden=0.11, last=0.2)  # hidden gain 1.55
    models, x = networks(generator, stds=stds, depth=3, width=256, num_networks=200), 1.3 * normal(generator, 4, 5)
    expected = ntk(x, x, stds=stds, width=256, depth=3) / 1.6**2
    deviation, caught = worst_deviation(empirical_tangent_kernel(models, x, x), expected)
    assert caught < 0.07  # the bias at this width is below 1 %
    assert deviation < 4


@pytest.mark.parametrize("depth", [2, 3])
def test_the_empirical_kernel_approaches_the_closed_form_like_one_over_the_root_of_the_width(depth, generator):
    x, widths, squares = normal(generator, 5, 6), [64, 128, 256, 512], []
    for width in widths:
        stds = he(input_dim=6, width=width)
        models = networks(generator, stds=stds, depth=depth, width=width, input_dim=6, num_networks=50)
        expected = ntk(x, x, stds=stds, width=width, depth=depth) / 1.6**2
        relative = (empirical_tangent_kernel(models, x, x) - expected).flatten(1).norm(dim=1) / expected.norm()
        squares.append(Estimate.from_draws(relative.square().tolist()))
    errors = [square.standard_error / square.mean / 2 for square in squares]
    fit, covariance = np.polyfit(
        np.log(widths), [np.log(s.mean) / 2 for s in squares], 1, w=1 / np.array(errors), cov="unscaled"
    )
    assert sqrt(covariance[0, 0]) < 0.08
    assert abs(fit[0] + 0.5) < 4 * sqrt(covariance[0, 0])


# Bad input.


@pytest.mark.parametrize(
    ("x", "other", "message"),
    [
        (torch.ones(2, 5), torch.ones(2, 4), r"^inputs_a and inputs_b must have one dimension, got 5 and 4$"),
        (torch.ones(5), torch.ones(2, 5), r"^inputs_a must have shape \(batch, dim\) and not be empty, got \(5,\)$"),
        (
            torch.ones(2, 5),
            torch.ones(0, 5),
            r"^inputs_b must have shape \(batch, dim\) and not be empty, got \(0, 5\)",
        ),
        (torch.ones(2, 5) / 0, torch.ones(2, 5), "^inputs_a must be finite, got nan or infinity$"),
        (torch.ones(2, 5), torch.zeros(2, 5) / 0, "^inputs_b must be finite, got nan or infinity$"),
        (torch.ones(2, 5), torch.eye(5)[:2] * torch.tensor([[1.0], [0.0]]), "^inputs_b must not hold a zero input"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(as_a_reader, x, other, message, generator):  # noqa: ARG001
    x, other = x.double(), other.double()
    for kernel in (nngp, ntk):
        with pytest.raises(ValueError, match=message):
            kernel(x, other, stds=STDS, width=7, depth=4)
    with pytest.raises(ValueError, match=message):
        empirical_tangent_kernel(networks(generator), x, other)


def test_sizes_out_of_range_are_refused():
    x, other = pair(0.4, 5)
    with pytest.raises(ValueError, match=r"^width must be an integer >= 1, got 0$"):
        ntk(x, other, stds=STDS, width=0, depth=4)
    with pytest.raises(ValueError, match=r"^depth counts weight matrices and must be >= 2, got 1$"):
        nngp(x, other, stds=STDS, width=7, depth=1)


def test_the_empirical_kernel_is_that_of_one_output_and_of_its_own_inputs(generator):
    with pytest.raises(ValueError, match=r"^model must have one output, got 3$"):
        empirical_tangent_kernel(networks(generator, output_dim=3), normal(generator, 2, 5), normal(generator, 2, 5))
    with pytest.raises(ValueError, match=r"^inputs_a must have shape \(batch, 5\), got \(2, 4\)$"):
        empirical_tangent_kernel(networks(generator), normal(generator, 2, 4), normal(generator, 2, 4))
