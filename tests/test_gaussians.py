"""The mean length of a Gaussian vector against closed cases and against sampling."""

from math import erf, exp, inf, isclose, nan, pi, sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ellipe, gamma, hyp1f1

from tutorial_lib.estimates import Estimate
from tutorial_lib.gaussians import mean_gaussian_length

REL = 1e-6  # what the docstring promises


def length(variances, means=None):
    numbers = [None if v is None else torch.tensor(v, dtype=torch.float64) for v in (variances, means)]
    return mean_gaussian_length(*numbers).item()


@settings(max_examples=30)
@given(st.floats(1e-3, 1e3), st.floats(-30, 30))
def test_one_coordinate_is_a_folded_normal(std, mean):
    closed = std * sqrt(2 / pi) * exp(-((mean / std) ** 2) / 2) + mean * erf(mean / (std * sqrt(2)))
    assert isclose(length([std**2], [mean]), closed, rel_tol=REL)


@pytest.mark.parametrize("dim", [1, 2, 5, 64, 784])
def test_equal_variances_give_a_noncentral_chi(dim):
    central = 0.7 * sqrt(2) * gamma((dim + 1) / 2) / gamma(dim / 2) if dim < 300 else None
    if central is not None:
        assert isclose(length([0.49] * dim), central, rel_tol=REL)
        means = [0.3 * (index + 1) for index in range(dim)]
        closed = central * hyp1f1(-0.5, dim / 2, -sum(mean**2 for mean in means) / 0.49 / 2)
        assert isclose(length([0.49] * dim, means), closed, rel_tol=REL)
    else:
        # E chi_k = sqrt(k) (1 - 1/4k + 1/32k^2 + ...), the next term is below 1e-9 here.
        assert isclose(length([0.49] * dim), 0.7 * sqrt(dim) * (1 - 1 / (4 * dim) + 1 / (32 * dim**2)), rel_tol=REL)


@pytest.mark.parametrize("ratio", [1.0, 0.3, 1e-3, 1e-9])
def test_two_coordinates_give_an_elliptic_integral(ratio):
    assert isclose(length([2.5 * ratio, 2.5]), sqrt(2 / pi) * sqrt(2.5) * ellipe(1 - ratio), rel_tol=REL)


def test_without_variance_the_length_is_that_of_the_mean():
    assert isclose(length([0.0] * 3, [2.0, -3.0, 6.0]), 7, rel_tol=REL)
    assert isclose(length([1e-12, 0.0], [3.0, 4.0]), 5, rel_tol=REL)


def test_all_zero_gives_zero():
    assert length([0.0, 0.0]) == 0
    assert length([0.0, 0.0], [0.0, 0.0]) == 0


@pytest.mark.parametrize("with_means", [False, True])
def test_the_integral_matches_sampling(with_means, generator):
    variances = torch.tensor([1.9, 0.4, 0.02, 0.0, 0.7], dtype=torch.float64)
    means = torch.tensor([0.2, -1.1, 0.6, 0.3, 0.0], dtype=torch.float64) if with_means else None
    draws = torch.randn(400_000, 5, generator=generator, dtype=torch.float64) * variances.sqrt()
    sampled = Estimate.from_draws((draws if means is None else draws + means).norm(dim=1).tolist())
    value = mean_gaussian_length(variances, means).item()
    assert 4 * sampled.standard_error < 0.004 * value  # the smallest relative error that it catches
    assert abs(sampled.z_score(value)) < 4


@pytest.mark.parametrize("scale", [1e-120, 1e-3, 7.0, 1e120])
def test_scaling_the_vector_scales_its_length(scale):
    variances, means = [0.3, 1.4, 2.2], [0.9, -0.1, 0.5]
    scaled = length([scale**2 * v for v in variances], [scale * m for m in means])
    assert isclose(scaled, scale * length(variances, means), rel_tol=1e-12)


def test_rows_of_a_batch_are_computed_on_their_own(generator):
    variances = torch.rand(2, 3, 4, generator=generator)
    means = torch.randn(2, 3, 4, generator=generator)
    lengths = mean_gaussian_length(variances, means)
    assert (lengths.shape, lengths.dtype) == ((2, 3), torch.float64)
    for i in range(2):
        for j in range(3):
            expected = mean_gaussian_length(variances[i, j], means[i, j])
            torch.testing.assert_close(lengths[i, j], expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("wrong", [-0.1, nan, inf])
def test_numbers_that_are_no_variances_are_refused(wrong):
    with pytest.raises(ValueError, match=r"^variances must be finite and >= 0, got others$"):
        length([1.0, wrong])
