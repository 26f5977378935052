"""The law of trained lazy networks: by hand, by draws of the same process, by networks."""

import re
from math import inf, isclose, nan, pi, sqrt

import numpy as np
import pytest
import torch

from tutorial_lib.architecture import Architecture
from tutorial_lib.book.data import load
from tutorial_lib.estimates import Estimate
from tutorial_lib.exact import mean_abs_coordinate
from tutorial_lib.gaussians import mean_gaussian_length
from tutorial_lib.initializations import INITIALIZATIONS, LayerStds
from tutorial_lib.kernels import nngp_kernel, tangent_kernel
from tutorial_lib.laziness import linearized_gradients
from tutorial_lib.lazy_limit import Descent, Flow, LazyLimit, predicted_perturbation_stability
from tutorial_lib.models import ReLUMLP
from tutorial_lib.randomness import random_stream
from tutorial_lib.stability import perturbation_stability
from tutorial_lib.training import train

STDS = LayerStds(first=0.5, hidden=0.7, last=0.8)  # hidden gain 1.715 at width 7
SHAPE = Architecture(input_dim=4, width=7, depth=3)


def normal(generator, *shape):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def data(generator, rows=6, dim=4):
    return 1.4 * normal(generator, rows, dim), normal(generator, rows) + 0.4


def half_rate(limit):
    """A rate that is neither tiny nor at the edge, with a number of steps beside it."""
    return {"learning_rate": limit.stable_learning_rate(0.8), "num_steps": 7}


def learnt_matrix(tangent, learning_rate, num_steps):
    """A_t as a sum over steps: no inverse and no eigenvalues."""
    rate = learning_rate / len(tangent)
    decay = torch.eye(len(tangent), dtype=torch.float64) - rate * tangent
    return rate * sum(torch.linalg.matrix_power(decay, step) for step in range(num_steps))


# By hand.


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
@pytest.mark.parametrize("scheme", [*INITIALIZATIONS, "made up"])
def test_before_training_the_prediction_is_the_large_width_limit_of_the_exact_law(scheme, depth, generator):
    (x, y), test_x = data(generator), normal(generator, 3, 4)
    shape = SHAPE.replace(depth=depth)
    stds = STDS if scheme == "made up" else INITIALIZATIONS[scheme](shape)
    limit = LazyLimit(x, y, stds, shape)
    settings = {"learning_rate": limit.stable_learning_rate(), "num_steps": 0}
    # Each hidden layer multiplies a length by std sqrt(width / 2).
    layers = stds.first * stds.hidden ** (depth - 2) * stds.last * sqrt(7 / 2) ** (depth - 1)
    estimate = limit.perturbation_stability(test_x, Descent(**settings))
    assert isclose(estimate.mean, 4 / 5 * sqrt(2 / pi) * layers, rel_tol=1e-6)
    assert estimate.num_draws == 3
    means, variances = limit.outputs(test_x, Descent(**settings))
    assert (means == 0).all()
    torch.testing.assert_close(variances, test_x.square().sum(dim=1) * layers**2, rtol=1e-12, atol=0)


def test_two_layers_and_one_training_point_worked_out_by_hand(generator):
    start, label, x = 1.4 * normal(generator, 4), 0.9, 0.7 * normal(generator, 4)
    rate, steps = 0.03, 5
    first, last = 7 * STDS.first**2 / 2, 7 * STDS.last**2 / 2
    a, b = x.numpy(), start.numpy()
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    u = a @ b / lengths
    slope_u = b / lengths - u * a / (a @ a)
    kappa_0, kappa_1 = (pi - np.arccos(u)) / pi, (u * (pi - np.arccos(u)) + np.sqrt(1 - u**2)) / pi
    slope_0, slope_1 = 1 / (pi * np.sqrt(1 - u**2)), kappa_0
    profile = first * kappa_1 + last * u * kappa_0
    slope = first * slope_1 + last * (kappa_0 + u * slope_0)
    growth = np.linalg.norm(b) / np.linalg.norm(a) * a
    by_ntk = growth * profile + lengths * slope * slope_u
    by_nngp = STDS.last**2 * first * (growth * kappa_1 + lengths * slope_1 * slope_u)
    tangent, covariance = (first + last) * (b @ b), STDS.last**2 * first * (b @ b)
    learnt = (1 - (1 - rate * tangent) ** steps) / tangent
    cross = learnt * np.outer(by_nngp, by_ntk)
    expected = STDS.last**2 * first * np.eye(4) + learnt**2 * covariance * np.outer(by_ntk, by_ntk) - cross - cross.T

    limit = LazyLimit(start.unsqueeze(0), torch.tensor([label]).double(), STDS, SHAPE.replace(depth=2))
    means, covariances = limit.gradients(x.unsqueeze(0), Descent(rate, steps))
    np.testing.assert_allclose(means[0].numpy(), by_ntk * learnt * label, rtol=1e-6)
    np.testing.assert_allclose(covariances[0].numpy(), expected, rtol=1e-9, atol=1e-12)
    loss = limit.training_loss(Descent(rate, steps))
    assert isclose(loss, (1 - rate * tangent) ** (2 * steps) * (label**2 + covariance) / 2, rel_tol=1e-6)


@pytest.mark.parametrize("depth", [2, 5])
def test_gradients_are_built_from_finite_differences_of_the_kernels(depth, generator):
    (x, y), test_x, step = data(generator), normal(generator, 3, 4), 1e-5
    network = STDS, SHAPE.replace(depth=depth)
    limit = LazyLimit(x, y, *network)
    settings = half_rate(limit)
    learnt = learnt_matrix(tangent_kernel(x, x, *network), **settings)
    means, covariances = limit.gradients(test_x, Descent(**settings))
    shifts = step * torch.eye(4, dtype=torch.float64)
    for point, mean, covariance in zip(test_x, means, covariances, strict=True):
        by_ntk, by_nngp = (
            (kernel(x, point + shifts, *network) - kernel(x, point - shifts, *network)) / (2 * step)
            for kernel in (tangent_kernel, nngp_kernel)
        )
        torch.testing.assert_close(mean, by_ntk.T @ learnt @ y, rtol=1e-6, atol=1e-8)
        before = nngp_kernel(point[None], point[None], *network).squeeze() / point.square().sum()
        trained = by_ntk.T @ learnt @ nngp_kernel(x, x, *network) @ learnt.T @ by_ntk
        cross = by_nngp.T @ learnt.T @ by_ntk
        expected = before * torch.eye(4) + trained - cross - cross.T
        torch.testing.assert_close(covariance, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("depth", [2, 4])
def test_the_mean_gradient_is_the_gradient_of_the_mean_output(depth, generator):
    (x, y), point, step = data(generator), normal(generator, 4), 1e-5
    limit = LazyLimit(x, y, STDS, SHAPE.replace(depth=depth))
    shifts = step * torch.eye(4, dtype=torch.float64)
    ahead, behind = (limit.outputs(point + sign * shifts, Descent(**half_rate(limit)))[0] for sign in (1, -1))
    (mean,), _ = limit.gradients(point[None], Descent(**half_rate(limit)))
    torch.testing.assert_close(mean, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-8)


def test_the_stability_is_the_mean_length_of_that_gaussian(generator):
    (x, y), test_x, draws = data(generator), normal(generator, 2, 4), 200_000
    limit = LazyLimit(x, y, STDS, SHAPE)
    means, covariances = limit.gradients(test_x, Descent(**half_rate(limit)))
    gaussians = normal(generator, draws, 4)
    predicted = limit.perturbation_stability(test_x, Descent(**half_rate(limit)))
    by_hand, lengths = [], 0
    for mean, covariance in zip(means, covariances, strict=True):
        lengths = lengths + (mean + gaussians @ torch.linalg.cholesky(covariance).T).norm(dim=1)
        variances, axes = np.linalg.eigh(covariance.numpy())
        by_hand.append(mean_gaussian_length(torch.from_numpy(variances), mean @ torch.from_numpy(axes)).item())
    assert isclose(predicted.mean, mean_abs_coordinate(4) * sum(by_hand) / 2, rel_tol=1e-10)
    sampled = Estimate.from_draws((mean_abs_coordinate(4) * lengths / 2).tolist())
    assert 4 * sampled.standard_error < 0.005 * sampled.mean  # the smallest relative error that it catches
    assert abs(sampled.z_score(predicted.mean)) < 4


def test_blocks_of_test_points_are_put_together_in_order(generator):
    (x, y), test_x = data(generator), normal(generator, 37, 4)
    limit = LazyLimit(x, y, STDS, SHAPE)
    means, covariances = limit.gradients(test_x, Descent(**half_rate(limit)))
    for index in (0, 15, 16, 36):
        mean, covariance = limit.gradients(test_x[index : index + 1], Descent(**half_rate(limit)))
        torch.testing.assert_close(means[index], mean[0], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(covariances[index], covariance[0], rtol=1e-9, atol=1e-12)


def test_the_loss_starts_at_its_known_value_and_falls(generator):
    x, y = data(generator)
    limit = LazyLimit(x, y, STDS, SHAPE)
    rate = limit.stable_learning_rate(0.9)
    losses = [limit.training_loss(Descent(rate, steps)) for steps in (0, 1, 2, 5, 50, 5000)]
    trace = nngp_kernel(x, x, STDS, SHAPE).trace()
    assert isclose(losses[0], (y.square().sum() + trace).item() / (2 * 6), rel_tol=1e-12)
    assert all(later < earlier for earlier, later in zip(losses, losses[1:], strict=False))
    decay = torch.eye(6, dtype=torch.float64) - rate / 6 * tangent_kernel(x, x, STDS, SHAPE)
    decay = torch.linalg.matrix_power(decay, 5)
    expected = (decay @ y).square().sum() + (decay @ nngp_kernel(x, x, STDS, SHAPE) @ decay).trace()
    assert isclose(losses[3], expected.item() / (2 * 6), rel_tol=1e-10)


def test_after_infinite_training_the_labels_are_met(generator):
    (x, y), test_x = data(generator), normal(generator, 3, 4)
    limit = LazyLimit(x, y, STDS, SHAPE)
    for rate in (limit.stable_learning_rate(1.7), limit.stable_learning_rate(1e-18)):
        settings = {"learning_rate": rate, "num_steps": inf}
        assert limit.training_loss(Descent(**settings)) == 0
        means, variances = limit.outputs(x, Descent(**settings))
        torch.testing.assert_close(means, y, rtol=1e-8, atol=1e-8)
        assert variances.max() < 1e-8
        late = limit.perturbation_stability(test_x, Descent(limit.stable_learning_rate(1.7), 10**6))
        assert isclose(limit.perturbation_stability(test_x, Descent(**settings)).mean, late.mean, rel_tol=1e-6)


def test_a_repeated_training_row_allows_any_number_of_steps_but_not_infinity(generator):
    x, y = data(generator)
    x, y = torch.cat([x, x[:1]]), torch.cat([y, y[:1] + 1])
    limit, test_x = LazyLimit(x, y, STDS, SHAPE), normal(generator, 3, 4)
    with pytest.raises(ValueError, match=r"^num_steps = inf needs an invertible kernel, its smallest eigenvalue is "):
        limit.training_loss(Descent(limit.stable_learning_rate(), inf))
    settings = half_rate(limit)
    learnt = learnt_matrix(tangent_kernel(x, x, STDS, SHAPE), **settings)
    means, _ = limit.outputs(test_x, Descent(**settings))
    torch.testing.assert_close(means, tangent_kernel(test_x, x, STDS, SHAPE) @ learnt @ y, rtol=1e-10, atol=1e-12)
    late = limit.outputs(x, Descent(settings["learning_rate"], 10**6))[0]
    assert isclose(late[0].item(), y[[0, -1]].mean().item(), rel_tol=1e-6)


def test_slow_modes_keep_their_digits(generator):
    (x, y), test_x = data(generator), normal(generator, 3, 4)
    limit = LazyLimit(x, y, STDS, SHAPE)
    rate = limit.stable_learning_rate(1e-14)
    means, _ = limit.outputs(test_x, Descent(rate, 1))
    torch.testing.assert_close(means, rate / 6 * tangent_kernel(test_x, x, STDS, SHAPE) @ y, rtol=1e-10, atol=0)


def test_the_function_is_the_class_and_takes_float32(generator):
    (x, y), test_x = data(generator), normal(generator, 3, 4)
    limit = LazyLimit(x, y, STDS, SHAPE.replace(depth=4))
    settings = half_rate(limit)
    value = predicted_perturbation_stability(x, y, test_x, STDS, SHAPE.replace(depth=4), Descent(**settings))
    assert value == limit.perturbation_stability(test_x, Descent(**settings))
    rounded = predicted_perturbation_stability(
        x.float(), y.float(), test_x.float(), STDS, SHAPE.replace(depth=4), Descent(**settings)
    )
    assert isclose(rounded.mean, value.mean, rel_tol=1e-5)


# In continuous time.


def test_the_flow_is_worked_out_by_the_exponential_of_the_kernel(generator):
    (x, y), test_x = data(generator), normal(generator, 3, 4)
    limit, time = LazyLimit(x, y, STDS, SHAPE), 1.7
    tangent, nngp = tangent_kernel(x, x, STDS, SHAPE), nngp_kernel(x, x, STDS, SHAPE)
    kept = torch.linalg.matrix_exp(-tangent * time / 6)
    learnt = tangent_kernel(test_x, x, STDS, SHAPE) @ torch.linalg.solve(tangent, torch.eye(6) - kept)
    means, _ = limit.outputs(test_x, Flow(time))
    torch.testing.assert_close(means, learnt @ y, rtol=1e-8, atol=1e-10)
    loss = ((kept @ y).square().sum() + (kept @ nngp @ kept).trace()) / (2 * 6)
    assert isclose(limit.training_loss(Flow(time)), loss.item(), rel_tol=1e-10)


def test_descent_approaches_the_flow_in_proportion_to_its_step(generator):
    (x, y), test_x = data(generator), normal(generator, 3, 4)
    limit = LazyLimit(x, y, STDS, SHAPE)
    rate = limit.stable_learning_rate(0.1)
    value = limit.perturbation_stability(test_x, Flow(40 * rate)).mean
    steps = [limit.perturbation_stability(test_x, Descent(rate / part, 40 * part)).mean for part in (1, 10, 100)]
    errors = [abs(step - value) for step in steps]
    assert isclose(errors[0] / errors[1], 10, rel_tol=0.1)
    assert isclose(errors[1] / errors[2], 10, rel_tol=0.02)


def test_the_flow_starts_where_descent_starts_and_ends_where_it_ends(generator):
    (x, y), test_x = data(generator), normal(generator, 3, 4)
    limit = LazyLimit(x, y, STDS, SHAPE)
    for steps, time in ((0, 0), (0, 0.0), (inf, inf)):
        by_steps = limit.perturbation_stability(test_x, Descent(limit.stable_learning_rate(), steps))
        assert isclose(limit.perturbation_stability(test_x, Flow(time)).mean, by_steps.mean, rel_tol=1e-12)
    assert limit.training_loss(Flow(inf)) == 0


def test_the_time_of_a_loss_is_when_the_flow_has_that_loss(generator):
    x, y = data(generator)
    limit = LazyLimit(x, y, STDS, SHAPE)
    start = limit.training_loss(Flow(0))
    for part in (0.9, 0.3, 1e-3, 1e-9):
        time = limit.time_of_loss(part * start)
        assert isclose(limit.training_loss(Flow(time)), part * start, rel_tol=1e-6)
    assert limit.time_of_loss(start) == limit.time_of_loss(2 * start) == 0
    again = LazyLimit(torch.cat([x, x[:1]]), torch.cat([y, y[:1] + 1]), STDS, SHAPE)  # two labels for one row
    left = again.training_loss(Flow(1e9))
    with pytest.raises(ValueError, match="^level must be above the loss that is left at the end, got "):
        again.time_of_loss(0.9 * left)
    assert again.time_of_loss(1.1 * left) > 0


def test_a_repeated_training_row_allows_any_time_but_not_infinity(generator):
    x, y = data(generator)
    limit = LazyLimit(torch.cat([x, x[:1]]), torch.cat([y, y[:1] + 1]), STDS, SHAPE)
    with pytest.raises(ValueError, match="^time = inf needs an invertible kernel, its smallest eigenvalue is "):
        limit.training_loss(Flow(inf))
    means, _ = limit.outputs(x, Flow(1e6))
    assert isclose(means[0].item(), y[0].item() + 0.5, rel_tol=1e-6)


@pytest.mark.usefixtures("as_a_reader")
def test_training_of_another_kind_is_refused(generator):
    limit = LazyLimit(*data(generator), STDS, SHAPE)
    with pytest.raises(
        TypeError, match=r"^training must be Descent\(learning_rate, num_steps\) or Flow\(time\), got 3$"
    ):
        limit.training_loss(3)
    with pytest.raises(ValueError, match=r"^time must be a finite number >= 0, got -1$"):
        Flow(-1)


# By draws: the Gaussian process at the training points and around the test points, then gradient descent.


@pytest.mark.parametrize("num_steps", [1, 12])
def test_draws_of_the_process_trained_step_by_step_have_the_predicted_law(num_steps, generator):
    (x, y), test_x, step, draws = data(generator, rows=5, dim=3), normal(generator, 2, 3), 1e-3, 40_000
    signs, network = torch.tensor([1.0, -1.0]).double(), (STDS, SHAPE.replace(input_dim=3))
    limit = LazyLimit(x, y, *network)
    rate = limit.stable_learning_rate(1.1)
    shifts = step * torch.cat([torch.eye(3), -torch.eye(3)]).double()
    around = (test_x.unsqueeze(1) + shifts).reshape(-1, 3)
    points = torch.cat([x, test_x, around])
    values, axes = torch.linalg.eigh(nngp_kernel(points, points, *network))
    f = normal(generator, draws, len(points)) @ (axes * values.clamp(min=0).sqrt()).T
    for _ in range(num_steps):
        f = f - rate / 5 * (f[:, :5] - y) @ tangent_kernel(x, points, *network)
    settings = {"learning_rate": rate, "num_steps": num_steps}

    loss = Estimate.from_draws(((f[:, :5] - y).square().mean(dim=1) / 2).tolist())
    assert 4 * loss.standard_error < 0.04 * loss.mean  # the smallest relative error that it catches
    assert abs(loss.z_score(limit.training_loss(Descent(**settings)))) < 4

    means, variances = limit.outputs(test_x, Descent(**settings))
    assert ((f[:, 5:7].mean(dim=0) - means).abs() < 4 * (variances / draws).sqrt()).all()
    assert ((f[:, 5:7].var(dim=0) / variances - 1).abs() < 4 * sqrt(2 / draws)).all()  # 3 %

    right = (signs * f[:, 5:7] > 0).double().mean(dim=1)
    accuracy = Estimate.from_draws(right.tolist())
    assert 4 * accuracy.standard_error < 0.01
    assert abs(accuracy.z_score(limit.accuracy(test_x, signs, Descent(**settings)))) < 4

    ahead, behind = f[:, 7:].reshape(draws, 2, 2, 3).unbind(dim=2)
    lengths = ((ahead - behind) / (2 * step)).norm(dim=2).mean(dim=1)
    measured = Estimate.from_draws((mean_abs_coordinate(3) * lengths).tolist())
    assert 4 * measured.standard_error < 0.015 * measured.mean  # the smallest relative error that it catches
    assert abs(measured.z_score(limit.perturbation_stability(test_x, Descent(**settings)).mean)) < 4


# By networks.


def wide_networks(scheme, *, num_networks, stream, **sizes):
    shape = Architecture(input_dim=64, **sizes)
    stds = INITIALIZATIONS[scheme](shape)
    models = ReLUMLP(stds, shape, num_networks=num_networks, generator=random_stream(0, stream))
    return (stds, shape), models.float()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheme", "depth", "width"), [("lecun", 2, 4096), ("he", 2, 4096), ("he", 3, 2048), ("ntk", 3, 2048)]
)
def test_wide_networks_trained_for_real_are_as_predicted(scheme, depth, width, generator):  # noqa: ARG001
    split = load(num_train=32, num_test=32)
    network, models = wide_networks(scheme, width=width, depth=depth, num_networks=6, stream="wide")
    limit = LazyLimit(split.train_x, split.train_y, *network)
    settings = {"learning_rate": limit.stable_learning_rate(), "num_steps": 30}
    training = train(models, split.train_x.float(), split.train_y.float(), **settings)
    assert training.rows[-1]["loss"].mean() < 0.5 * training.rows[0]["loss"].mean()
    outputs = models(split.test_x.float()).detach()
    loss = Estimate.from_draws(training.rows[-1]["loss"].tolist())
    assert abs(loss.z_score(limit.training_loss(Descent(**settings)))) < 4
    right = (outputs * split.test_y > 0).double().mean().item()
    assert abs(right - limit.accuracy(split.test_x, split.test_y, Descent(**settings))) < 0.04
    measured = perturbation_stability(models, split.test_x.float())
    predicted = limit.perturbation_stability(split.test_x, Descent(**settings)).mean
    assert 4 * measured.standard_error < 0.13 * predicted  # the smallest relative error that it catches
    assert abs(measured.z_score(predicted)) < 4


@pytest.mark.slow
def test_the_error_of_the_prediction_falls_like_one_over_the_root_of_the_width(generator):  # noqa: ARG001
    split, widths, squares = load(num_train=16, num_test=32), [512, 1024, 2048, 4096], []
    x, y, test_x = (part.float() for part in (split.train_x, split.train_y, split.test_x))
    for width in widths:
        network, models = wide_networks("ntk", width=width, depth=2, num_networks=24, stream=f"width {width}")
        starts, tests = models(x).detach(), models(test_x).detach()
        limit = LazyLimit(x, y, *network)
        settings = {"learning_rate": limit.stable_learning_rate(), "num_steps": 20}
        train(models, x, y, **settings)
        errors = []
        for start, test, trained in zip(starts, tests, models(test_x).detach(), strict=True):
            learnt, _ = LazyLimit(x, y - start, *network).outputs(test_x, Descent(**settings))
            errors.append((trained - test - learnt).square().mean().item())
        squares.append(Estimate.from_draws(errors))
    weights = [2 * square.mean / square.standard_error for square in squares]
    logs = [np.log(square.mean) / 2 for square in squares]
    fit, covariance = np.polyfit(np.log(widths), logs, 1, w=weights, cov="unscaled")
    assert sqrt(covariance[0, 0]) < 0.08
    assert abs(fit[0] + 0.5) < 4 * sqrt(covariance[0, 0])


# Bad input.


def test_rates_at_which_the_limit_diverges_are_refused(generator):
    x, y = data(generator)
    limit = LazyLimit(x, y, STDS, SHAPE)
    edge = limit.stable_learning_rate(2.0)
    assert isclose(edge, 12 / torch.linalg.eigvalsh(tangent_kernel(x, x, STDS, SHAPE))[-1].item(), rel_tol=1e-12)
    limit.training_loss(Descent(edge * (1 - 1e-9), 3))
    for rate in (edge * (1 + 1e-9), 10 * edge):
        with pytest.raises(ValueError, match=rf"^learning_rate must be below {edge:.6g}, got {rate}$"):
            limit.training_loss(Descent(rate, 3))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"learning_rate": 0.0}, r"^learning_rate must be a finite number > 0, got 0\.0$"),
        ({"learning_rate": nan}, "^learning_rate must be a finite number > 0, got nan$"),
        ({"num_steps": -1}, "^num_steps must be an integer >= 0, got -1$"),
        ({"num_steps": inf, "train_x": torch.ones(6, 4)}, "^num_steps = inf needs an invertible kernel, "),
        ({"architecture": SHAPE.replace(input_dim=5)}, "^architecture must have input_dim 4 here, got Architecture"),
        ({"architecture": SHAPE.replace(output_dim=2)}, "^architecture must have output_dim 1 here, got Architecture"),
        ({"train_x": torch.ones(0, 4)}, r"^train_x must have shape \(batch, dim\) and not be empty, got \(0, 4\)$"),
        ({"train_x": torch.ones(6, 4) / 0}, "^train_x must be finite, got nan or infinity$"),
        ({"train_y": torch.ones(5)}, r"^train_y must have shape \(6,\), got \(5,\)$"),
        ({"train_y": torch.ones(6, 1)}, r"^train_y must have shape \(6,\), got \(6, 1\)$"),
        ({"train_y": torch.ones(6) / 0}, "^train_y must be finite, got nan or infinity$"),
        ({"test_x": torch.ones(3, 5)}, r"^test_x must have shape \(3, 4\), got \(3, 5\)$"),
        ({"test_x": torch.ones(3, 4) / 0}, "^test_x must be finite, got nan or infinity$"),
        ({"test_x": torch.ones(0, 4)}, r"^test_x must have shape \(batch, dim\) and not be empty, got \(0, 4\)$"),
    ],
)
def test_settings_that_make_no_sense_are_refused(as_a_reader, wrong, message, generator):  # noqa: ARG001
    x, y = data(generator)
    settings = {"train_x": x, "train_y": y, "test_x": normal(generator, 3, 4), "stds": STDS, "architecture": SHAPE}
    settings |= {"learning_rate": 0.01, "num_steps": 3} | wrong
    training = {name: settings.pop(name) for name in ("learning_rate", "num_steps")}
    with pytest.raises(ValueError, match=message):
        predicted_perturbation_stability(**settings, training=Descent(**training))


@pytest.mark.parametrize("stds", [LayerStds(0.0, 0.0, 0.0), LayerStds(0.5, 0.0, 0.0)])
def test_weights_that_make_the_kernel_0_are_refused(stds, generator):
    with pytest.raises(ValueError, match="stds"):
        LazyLimit(*data(generator), stds, SHAPE)


def test_a_fraction_of_a_step_is_refused(as_a_reader, generator):  # noqa: ARG001
    x, y = data(generator)
    limit = LazyLimit(x, y, STDS, SHAPE)
    with pytest.raises(TypeError, match=r"^num_steps must be an integer >= 0, got 2\.5$"):
        limit.training_loss(Descent(0.01, 2.5))


@pytest.mark.parametrize("factor", [1.0, 0.3, -2.0])
def test_a_test_point_in_the_direction_of_a_training_point_is_refused(factor, generator):
    x, y = data(generator)
    limit = LazyLimit(x, y, STDS, SHAPE)
    test_x = torch.stack([normal(generator, 4), factor * x[2]])
    message = r"^test_x must not hold a multiple of a row of train_x: the kernel has a kink there$"
    with pytest.raises(ValueError, match=message):
        limit.gradients(test_x, Descent(0.01, 3))


@pytest.mark.parametrize(
    ("test_y", "message"),
    [
        (torch.ones(2), r"have shape \(3,\), got \(2,\)"),
        (torch.ones(3) / 0, "be finite, got nan or infinity"),
        (torch.tensor([1.0, nan, -1.0]), "be finite, got nan or infinity"),
        (torch.tensor([1.0, 0.0, 1.0]), r"be \+1 or -1, got labels from 0 to 1"),
        (torch.tensor([2.0, -2.0, 2.0]), r"be \+1 or -1, got labels from -2 to 2"),
    ],
)
def test_labels_of_the_test_points_must_fit(as_a_reader, test_y, message, generator):  # noqa: ARG001
    limit = LazyLimit(*data(generator), STDS, SHAPE)
    with pytest.raises(ValueError, match=f"^test_y must {message}$"):
        limit.accuracy(normal(generator, 3, 4), test_y, Descent(0.01, 3))


@pytest.mark.parametrize("change", [{}, {"output_dim": 2}])
@pytest.mark.parametrize("shape", [(5, 3), (5,), (5, 1), (6, 3), (6, 1), ()])
def test_labels_of_another_shape_are_reported_with_their_own(as_a_reader, shape, change, generator):  # noqa: ARG001
    x, y = normal(generator, 6, 4), torch.ones(shape).double()
    wanted = r"\(6, 2\)" if change else r"\(6,\)"
    got = re.escape(str(shape))
    with pytest.raises(ValueError, match=f"^train_y must have shape {wanted}, got {got}$"):
        LazyLimit(x, y, STDS, SHAPE.replace(**change))


def test_stds_and_architecture_must_be_what_they_are_called(as_a_reader, generator):  # noqa: ARG001
    x, y = data(generator)
    with pytest.raises(TypeError, match=r"^stds must be LayerStds, .*, got \(0\.5, 0\.7, 0\.8\)$"):
        LazyLimit(x, y, tuple(STDS), SHAPE)
    with pytest.raises(TypeError, match="^architecture must be an Architecture, got 7$"):
        LazyLimit(x, y, STDS, 7)


# Several outputs.


def three_columns(generator, rows=6):
    return normal(generator, rows, 3) + torch.tensor([0.4, -0.8, 1.5]).double()


def limit_of_three(x, y):
    return LazyLimit(x, y, STDS, SHAPE.replace(output_dim=3))


def test_each_of_several_outputs_has_the_law_of_a_single_one(generator):
    (x, _), y, test_x = data(generator), three_columns(generator), normal(generator, 3, 4)
    limit = limit_of_three(x, y)
    singles = [LazyLimit(x, column, STDS, SHAPE) for column in y.T]
    settings = half_rate(limit)
    means, covariances = limit.gradients(test_x, Descent(**settings))
    outputs, variances = limit.outputs(test_x, Descent(**settings))
    for index, single in enumerate(singles):
        mean, covariance = single.gradients(test_x, Descent(**settings))
        torch.testing.assert_close(means[:, index], mean, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(covariances, covariance, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(
            outputs[:, index], single.outputs(test_x, Descent(**settings))[0], rtol=1e-10, atol=1e-12
        )
        torch.testing.assert_close(variances, single.outputs(test_x, Descent(**settings))[1], rtol=1e-10, atol=1e-12)
    losses = [single.training_loss(Descent(**settings)) for single in singles]
    assert isclose(limit.training_loss(Descent(**settings)), sum(losses), rel_tol=1e-10)


def test_before_training_several_outputs_give_the_large_width_limit_of_the_exact_law(generator):
    (x, _), y, test_x = data(generator), three_columns(generator), normal(generator, 3, 4)
    estimate = limit_of_three(x, y).perturbation_stability(test_x, Descent(0.01, 0), generator=generator)
    layers = STDS.first * STDS.hidden * STDS.last * 7 / 2
    # E chi_3 = 2 sqrt(2 / pi); before training every direction is alike.
    assert isclose(estimate.mean, 4 / 5 * 2 * sqrt(2 / pi) * layers, rel_tol=1e-6)


def test_the_stability_of_several_outputs_is_the_mean_change_of_those_gaussians(generator):
    (x, _), y, test_x, draws = data(generator), three_columns(generator), normal(generator, 1, 4), 100_000
    limit = limit_of_three(x, y)
    (means,), (covariance,) = limit.gradients(test_x, Descent(**half_rate(limit)))
    rows = means + normal(generator, draws, 3, 4) @ torch.linalg.cholesky(covariance).T
    directions = normal(generator, draws, 4, 1)
    changes = (rows @ directions).squeeze(2).norm(dim=1) / directions.flatten(1).norm(dim=1)
    sampled = Estimate.from_draws((4 / 5 * changes).tolist())
    points = test_x.expand(200, 4)
    predicted = limit.perturbation_stability(points, Descent(**half_rate(limit)), generator=generator)
    error = sqrt(sampled.standard_error**2 + predicted.standard_error**2)
    assert 4 * error < 0.01 * sampled.mean  # the smallest relative error that it catches
    assert abs(sampled.mean - predicted.mean) < 4 * error


def test_several_outputs_need_a_generator_and_have_no_accuracy_by_sign(generator):
    (x, _), y, test_x = data(generator), three_columns(generator), normal(generator, 3, 4)
    limit = limit_of_three(x, y)
    with pytest.raises(TypeError, match="^generator must be a torch.Generator, .*, got None$"):
        limit.perturbation_stability(test_x, Descent(**half_rate(limit)))
    with pytest.raises(ValueError, match=r"^architecture must have output_dim 1 here, got .*output_dim=3\)$"):
        limit.accuracy(test_x, torch.ones(3).double(), Descent(**half_rate(limit)))


@pytest.mark.slow
def test_wide_networks_with_several_outputs_are_as_predicted(generator):
    split, sizes = load(num_train=32, num_test=32, task="ten"), {"width": 2048, "depth": 3, "output_dim": 10}
    network, models = wide_networks("ntk", **sizes, num_networks=6, stream="wide, ten outputs")
    limit = LazyLimit(split.train_x, split.train_y, *network)
    settings = {"learning_rate": limit.stable_learning_rate(), "num_steps": 30}
    training = train(models, split.train_x.float(), split.train_y.float(), **settings)
    loss = Estimate.from_draws(training.rows[-1]["loss"].tolist())
    assert abs(loss.z_score(limit.training_loss(Descent(**settings)))) < 4
    measured = perturbation_stability(models, split.test_x.float())
    predicted = limit.perturbation_stability(split.test_x, Descent(**settings), generator=generator)
    error = sqrt(measured.standard_error**2 + predicted.standard_error**2)
    assert 4 * error < 0.06 * predicted.mean  # the smallest relative error that it catches
    assert abs(measured.mean - predicted.mean) < 4 * error


# The statements page, formula by formula, with dense matrices: Stm. Lazy limit.


@pytest.mark.parametrize("scheme", [*INITIALIZATIONS, "made up"])
def test_the_constants_of_the_statement_are_those_of_the_code(scheme, generator):
    (x, y), point, depth, steps = data(generator), normal(generator, 4), 4, 5
    shape = SHAPE.replace(depth=depth)
    stds = STDS if scheme == "made up" else INITIALIZATIONS[scheme](shape)
    limit = LazyLimit(x, y, stds, shape)
    rate = limit.stable_learning_rate(0.8)
    theta, k, n = tangent_kernel(x, x, stds, shape), nngp_kernel(x, x, stds, shape), len(x)
    identity = torch.eye(n, dtype=torch.float64)
    left = torch.linalg.matrix_power(identity - rate / n * theta, steps)
    a = torch.linalg.solve(theta, identity - left)
    j_theta, j_k = (
        torch.autograd.functional.jacobian(lambda z, kernel=kernel: kernel(x, z[None], stds, shape)[:, 0], point)
        for kernel in (tangent_kernel, nngp_kernel)
    )
    c_0 = (stds.first * stds.hidden ** (depth - 2) * stds.last) ** 2 * (7 / 2) ** (depth - 1)
    mean = j_theta.T @ a @ y
    cross = j_k.T @ a.T @ j_theta
    covariance = c_0 * torch.eye(4, dtype=torch.float64) + j_theta.T @ a @ k @ a.T @ j_theta - cross - cross.T
    draws = mean + normal(generator, 200_000, 4) @ torch.linalg.cholesky(covariance).T
    c_d = 4 / 5 * torch.lgamma(torch.tensor(2.0)).exp() / (torch.lgamma(torch.tensor(2.5)).exp() * sqrt(pi))

    settings = {"learning_rate": rate, "num_steps": steps}
    means, covariances = limit.gradients(point[None], Descent(**settings))
    torch.testing.assert_close(means[0], mean, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(covariances[0], covariance, rtol=1e-8, atol=1e-10)
    loss = ((left @ y).square().sum() + (left @ k @ left.T).trace()).item() / (2 * n)
    assert isclose(limit.training_loss(Descent(**settings)), loss, rel_tol=1e-9)
    sampled = Estimate.from_draws((c_d * draws.norm(dim=1)).tolist())
    assert 4 * sampled.standard_error < 0.006 * sampled.mean  # the smallest relative error that it catches
    assert abs(sampled.z_score(limit.perturbation_stability(point[None], Descent(**settings)).mean)) < 4


# The same for linearized networks: Stm. Linearized gradient.


def test_two_layers_lack_the_kink_that_the_statement_names(generator):
    (x, y), points, shape = data(generator), normal(generator, 3, 4), SHAPE.replace(depth=2)
    limit = LazyLimit(x, y, STDS, shape)
    training = Descent(**half_rate(limit))
    learnt = learnt_matrix(tangent_kernel(x, x, STDS, shape), **half_rate(limit))
    (means, covariances), (linear, spread) = (
        limit.gradients(points, training, linearized=is_so) for is_so in (False, True)
    )
    for index, point in enumerate(points):
        apart = x - ((x @ point) / (point @ point)).unsqueeze(1) * point
        kink = 7 * STDS.last**2 / (2 * pi) * (x @ point / (point.norm() * apart.norm(dim=1))).unsqueeze(1) * apart
        torch.testing.assert_close(means[index] - linear[index], kink.T @ learnt @ y, rtol=1e-8, atol=1e-10)
        j_theta, j_k = (
            torch.autograd.functional.jacobian(lambda z, k=k: k(x, z[None], STDS, shape)[:, 0], point)
            for k in (tangent_kernel, nngp_kernel)
        )
        rest, cross = learnt @ (j_theta - kink), j_k.T @ learnt @ (j_theta - kink)
        expected = rest.T @ nngp_kernel(x, x, STDS, shape) @ rest - cross - cross.T
        expected += (STDS.first * STDS.last) ** 2 * 7 / 2 * torch.eye(4)
        torch.testing.assert_close(spread[index], expected, rtol=1e-8, atol=1e-10)
    assert (covariances - spread).abs().max() > 1e-3


def test_linearized_networks_start_like_the_others(as_a_reader, generator):  # noqa: ARG001
    (x, y), points = data(generator), normal(generator, 3, 4)
    limit = LazyLimit(x, y, STDS, SHAPE)
    start, linear = (
        limit.perturbation_stability(points, Descent(0.01, 0), linearized=is_so).mean for is_so in (False, True)
    )
    assert start == linear
    with pytest.raises(TypeError, match=r"^linearized must be of the kind bool, got 'no'$"):
        limit.gradients(points, Descent(0.01, 0), linearized="no")


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "depth", "width"), [("ntk", 2, 4096), ("he", 3, 2048), ("ntk", 4, 1024)])
def test_slopes_of_wide_linearized_networks_are_as_predicted_for_them(scheme, depth, width):
    split = load(num_train=32, num_test=32)
    network, models = wide_networks(scheme, width=width, depth=depth, num_networks=12, stream="linearized")
    limit = LazyLimit(split.train_x, split.train_y, *network)
    settings = {"learning_rate": limit.stable_learning_rate(), "num_steps": 100}
    slopes = linearized_gradients(models.double(), split.train_x, split.train_y, split.test_x, **settings)
    measured = Estimate.from_draws((mean_abs_coordinate(64) * slopes.norm(dim=-1).mean(dim=1)).tolist())
    of_linear, of_real = (
        limit.perturbation_stability(split.test_x, Descent(**settings), linearized=is_so).mean
        for is_so in (True, False)
    )
    assert abs(measured.z_score(of_linear)) < 4
    assert abs(of_real - of_linear) > 0.04 * of_real
