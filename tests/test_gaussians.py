"""The mean length of a Gaussian vector against closed cases and against sampling."""

from math import erf, exp, inf, isclose, nan, pi, sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ellipe, gamma, hyp1f1

from tutorial_lib.estimates import Estimate
from tutorial_lib.exact import mean_chi
from tutorial_lib.gaussians import mean_gaussian_length, mean_length_of_changes

REL = 2e-7  # what the docstring promises


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


@pytest.mark.parametrize("with_means", [False, True])
def test_float32_is_taken_as_it_is_and_computed_in_float64(with_means, generator):
    variances = torch.rand(50, 4, generator=generator)
    means = torch.randn(50, 4, generator=generator) if with_means else None
    lengths = mean_gaussian_length(variances, means)
    expected = mean_gaussian_length(variances.double(), None if means is None else means.double())
    torch.testing.assert_close(lengths, expected, rtol=1e-15, atol=0)


def test_every_variance_and_every_mean_counts():
    variances, means = [0.3, 1.4, 2.2], [0.9, -0.1, 0.5]
    value = length(variances, means)
    for place in range(3):
        larger, further = list(variances), list(means)
        larger[place], further[place] = larger[place] + 0.3, 2 * further[place]
        assert min(length(larger, means), length(variances, further)) > value + 1e-3
        opposite = [-mean if index == place else mean for index, mean in enumerate(means)]
        assert isclose(length(variances, opposite), value, rel_tol=1e-14)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (-0.1, r"^variances must be >= 0, got -0\.1$"),
        (nan, r"^variances must be finite, got nan or infinity$"),
        (inf, r"^variances must be finite, got nan or infinity$"),
    ],
)
def test_numbers_that_are_no_variances_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        length([1.0, wrong])


@pytest.mark.parametrize(
    ("variances", "means", "error", "message"),
    [
        (
            torch.tensor(1.0),
            None,
            ValueError,
            r"^variances must have shape \(\.\.\., axes\) and not be empty, got \(\)$",
        ),
        (
            torch.ones(3, 0),
            None,
            ValueError,
            r"^variances must have shape \(\.\.\., axes\) and not be empty, got \(3, 0\)$",
        ),
        (torch.ones(3), torch.ones(1), ValueError, r"^means must have shape \(3,\), got \(1,\)$"),
        (torch.ones(3), torch.full((3,), nan), ValueError, r"^means must be finite, got nan or infinity$"),
        (torch.ones(3).long(), None, TypeError, r"^variances must hold floating-point numbers, .* got torch.int64$"),
        (torch.ones(3), [0.0] * 3, TypeError, r"^means must be a tensor of float32 or float64, got list$"),
    ],
)
@pytest.mark.usefixtures("as_a_reader")
def test_what_has_no_mean_length_is_refused(variances, means, error, message):
    with pytest.raises(error, match=message):
        mean_gaussian_length(variances, means)


# Random matrices along random directions.


def changes(means, covariances, *, seed=0, num_directions=64):
    generator = torch.Generator().manual_seed(seed)
    return mean_length_of_changes(means, covariances, generator=generator, num_directions=num_directions)


@pytest.mark.parametrize("outputs", [1, 3])
def test_equal_variances_in_all_directions_give_the_same_chi_whatever_the_draw(outputs):
    covariances = torch.stack([std**2 * torch.eye(4, dtype=torch.float64) for std in (0.3, 2.0)])
    lengths = changes(torch.zeros(2, outputs, 4, dtype=torch.float64), covariances, num_directions=3)
    expected = mean_chi(outputs) * torch.tensor([0.3, 2.0], dtype=torch.float64)
    torch.testing.assert_close(lengths, expected, rtol=REL, atol=0)


def test_on_a_line_the_direction_does_not_matter():
    means, variance = torch.tensor([[[0.4], [-1.1], [0.2]]], dtype=torch.float64), 0.7
    lengths = changes(means, torch.full((1, 1, 1), variance, dtype=torch.float64), num_directions=2)
    assert isclose(lengths.item(), length([variance] * 3, means.flatten().tolist()), rel_tol=1e-13)


@pytest.mark.parametrize(("outputs", "with_means"), [(1, True), (3, True), (3, False)])
def test_the_length_of_changes_matches_sampling_of_matrices_and_directions(outputs, with_means, generator):
    root = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    means = with_means * torch.randn(outputs, 5, generator=generator, dtype=torch.float64)
    matrices = means + torch.randn(200_000, outputs, 5, generator=generator, dtype=torch.float64) @ root.T
    directions = torch.randn(200_000, 5, 1, generator=generator, dtype=torch.float64)
    directions /= directions.norm(dim=1, keepdim=True)
    sampled = Estimate.from_draws((matrices @ directions).flatten(1).norm(dim=1).tolist())
    batch = 400  # equal members with directions of their own: independent draws
    lengths = changes(means.expand(batch, outputs, 5), (root @ root.T).expand(batch, 5, 5))
    difference = Estimate.from_draws(lengths.tolist()) - sampled
    assert 4 * difference.standard_error < 0.02 * sampled.mean  # the smallest relative error that it catches
    assert abs(difference.z_score(0)) < 4
    assert len(set(lengths.tolist())) == batch


def test_the_directions_are_those_of_the_generator(generator):
    means, covariances = torch.randn(2, 3, 4, generator=generator), torch.eye(4).expand(2, 4, 4)
    values = changes(means, covariances)
    assert torch.equal(changes(means, covariances), values)
    assert not torch.isclose(changes(means, covariances, seed=1), values, rtol=1e-6).any()
    assert not torch.isclose(changes(means, covariances, num_directions=65), values, rtol=1e-6).any()


def test_members_of_a_batch_have_their_own_means_and_covariances(generator):
    means = torch.randn(3, 2, 4, generator=generator)
    roots = torch.randn(3, 4, 4, generator=generator)
    together = changes(means, roots @ roots.mT, num_directions=20_000)
    assert together.dtype == torch.float64
    for index in range(3):
        alone = changes(means[index : index + 1], (roots @ roots.mT)[index : index + 1], num_directions=20_000)
        assert isclose(together[index].item(), alone.item(), rel_tol=0.03)
    assert together.std() > 0.1 * together.mean()


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"generator": None}, TypeError, "^generator must be a torch.Generator, "),
        ({"num_directions": 0}, ValueError, "^num_directions must be an integer >= 1, got 0$"),
        ({"means": torch.ones(2, 4)}, ValueError, r"^means must have shape \(batch, outputs, dim\) .* got \(2, 4\)$"),
        ({"means": torch.ones(0, 3, 4)}, ValueError, r"^means must .* not be empty, got \(0, 3, 4\)$"),
        ({"means": torch.ones(2, 3, 4) / 0}, ValueError, "^means must be finite, got nan or infinity$"),
        (
            {"covariances": torch.ones(2, 3, 3)},
            ValueError,
            r"^covariances must have shape \(2, 4, 4\), got ",
        ),
        ({"covariances": torch.ones(2, 4, 4).long()}, TypeError, "^covariances must hold floating-point numbers"),
    ],
)
@pytest.mark.usefixtures("as_a_reader")
def test_changes_that_have_no_length_are_refused(wrong, error, message, generator):
    good = {"means": torch.ones(2, 3, 4), "covariances": torch.eye(4).expand(2, 4, 4), "generator": generator}
    with pytest.raises(error, match=message):
        mean_length_of_changes(**(good | wrong))


def test_by_default_64_directions_are_drawn(generator):
    means = torch.randn(1, 2, 3, generator=generator, dtype=torch.float64)
    covariances = torch.eye(3, dtype=torch.float64).unsqueeze(0)
    state = generator.get_state()
    default = mean_length_of_changes(means, covariances, generator=generator)
    generator.set_state(state)
    assert torch.equal(default, mean_length_of_changes(means, covariances, generator=generator, num_directions=64))


def test_means_of_changes_must_be_finite(generator):
    covariances = torch.eye(3, dtype=torch.float64).unsqueeze(0)
    with pytest.raises(ValueError, match="^means must be finite, got nan or infinity$"):
        mean_length_of_changes(torch.full((1, 2, 3), torch.nan).double(), covariances, generator=generator)


def test_rows_of_a_batch_may_be_of_very_different_sizes():
    variances = torch.tensor([[1.0, 2.0], [1e-30, 2e-30], [0.0, 0.0]], dtype=torch.float64)
    lengths = mean_gaussian_length(variances)
    assert isclose(lengths[1].item(), 1e-15 * lengths[0].item(), rel_tol=1e-12)
    assert lengths[2] == 0
