"""Points of the ball and of the sphere have the law that their names promise."""

from math import inf, nan, sqrt

import pytest
import torch
from scipy.stats import kstest

from tutorial_lib.perturbations import uniform_in_ball, uniform_on_sphere

SHAPES = [(20_000, 3), (20_000, 2, 3, 2)]


def zeros(shape, dtype=torch.float64):
    return torch.zeros(shape, dtype=dtype)


@pytest.mark.parametrize("shape", SHAPES)
def test_points_of_the_ball_are_inside_and_their_length_to_the_dim_is_uniform(shape, generator):
    points = uniform_in_ball(zeros(shape), radius=1.7, generator=generator)
    assert points.shape == shape
    lengths = points.flatten(1).norm(dim=1)
    assert lengths.max() <= 1.7
    # 20,000 draws: a distribution function that is off by 0.016 somewhere falls below 1e-4.
    assert kstest((lengths / 1.7) ** points[0].numel(), "uniform").pvalue > 1e-4


@pytest.mark.parametrize("shape", SHAPES)
def test_points_of_the_sphere_have_length_one_and_no_preferred_direction(shape, generator):
    points = uniform_on_sphere(zeros(shape), generator=generator).flatten(1)
    dim = points.shape[1]
    torch.testing.assert_close(points.norm(dim=1), torch.ones(len(points), dtype=torch.float64), rtol=1e-14, atol=0)
    # A coordinate has mean 0 and mean square 1 / dim; the mean square of its square is 3 / (dim (dim + 2)).
    second_error = sqrt((3 / (dim * (dim + 2)) - 1 / dim**2) / len(points))
    assert points.mean(dim=0).abs().max() < 4 / sqrt(dim * len(points))
    assert (points.square().mean(dim=0) - 1 / dim).abs().max() < 4 * second_error


def test_direction_and_length_in_the_ball_are_independent_of_each_other(generator):
    points = uniform_in_ball(zeros((20_000, 3)), radius=2.0, generator=generator)
    inner = points[points.norm(dim=1) < points.norm(dim=1).median()]
    directions = inner / inner.norm(dim=1, keepdim=True)
    assert directions.mean(dim=0).abs().max() < 4 / sqrt(3 * len(inner))


def test_one_dimension_and_one_row_are_enough(generator):
    points = uniform_in_ball(zeros((5000, 1)), radius=1.0, generator=generator)
    assert (points != points.float().double()).double().mean() > 0.99  # drawn in float64
    assert kstest(points.squeeze(1), "uniform", args=(-1, 2)).pvalue > 1e-4
    assert uniform_on_sphere(zeros((1, 4)), generator=generator).shape == (1, 4)


def test_dtype_follows_the_inputs_and_changes_no_draw():
    draws = {
        dtype: uniform_in_ball(zeros((9, 4), dtype), radius=0.3, generator=torch.Generator().manual_seed(5))
        for dtype in (torch.float32, torch.float64)
    }
    assert draws[torch.float32].dtype == torch.float32
    torch.testing.assert_close(draws[torch.float32].double(), draws[torch.float64], rtol=1e-6, atol=0)


def test_directions_are_those_of_float64_gaussians_and_rows_differ(generator):
    gaussians = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = gaussians / gaussians.square().sum(dim=(1, 2), keepdim=True).sqrt()
    torch.testing.assert_close(uniform_on_sphere(zeros((6, 2, 3)), generator=generator), expected, rtol=1e-14, atol=0)


def test_the_radius_scales_the_points():
    small, large = (
        uniform_in_ball(zeros((9, 4)), radius=radius, generator=torch.Generator().manual_seed(5))
        for radius in (0.3, 4.5)
    )
    torch.testing.assert_close(15 * small, large, rtol=1e-14, atol=0)


@pytest.mark.parametrize("radius", [0.0, -0.1, nan, inf])
def test_a_radius_that_is_not_positive_and_finite_is_refused(radius, generator):
    with pytest.raises(ValueError, match=rf"^radius must be a finite number > 0, got {radius}$"):
        uniform_in_ball(zeros((2, 3)), radius=radius, generator=generator)


DRAWS = [
    lambda like, generator: uniform_in_ball(like, radius=1.0, generator=generator),
    lambda like, generator: uniform_on_sphere(like, generator=generator),
]


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex128, torch.float16])
@pytest.mark.usefixtures("as_a_reader")
def test_rows_of_integers_or_of_another_kind_are_refused(draw, dtype, generator):
    with pytest.raises(TypeError, match=rf"^like must hold floating-point numbers, float32 or float64, got {dtype}$"):
        draw(zeros((2, 3), dtype), generator)


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("shape", [(), (3,), (0, 3), (2, 0)])
@pytest.mark.usefixtures("as_a_reader")
def test_what_holds_no_rows_is_refused(draw, shape, generator):
    with pytest.raises(ValueError, match=r"^like must have shape \(batch, \.\.\.\) and not be empty, got \("):
        draw(zeros(shape), generator)


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.usefixtures("as_a_reader")
def test_no_generator_is_refused(draw):
    with pytest.raises(TypeError, match=r"^generator must be a torch.Generator, .* got None$"):
        draw(zeros((2, 3)), None)
