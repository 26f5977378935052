"""The estimators against loops written out by hand, closed cases, sampling and each other."""

from math import gamma, isclose, isnan, pi, sqrt

import numpy as np
import pytest
import torch
from scipy.special import ellipe
from torch import nn

from tutorial_lib.architecture import Architecture
from tutorial_lib.exact import mean_ball_length, mean_chi
from tutorial_lib.gaussians import mean_gaussian_length
from tutorial_lib.initializations import LayerStds
from tutorial_lib.models import ReLUMLP
from tutorial_lib.stability import (
    directional_lengths,
    input_jacobians,
    perturbation_stability,
    random_direction_stability,
    rows_at_once,
    sampled_perturbation_stability,
    stability_of_jacobians,
    stability_per_input,
)

STDS = LayerStds(first=0.6, hidden=0.4, last=0.9)
DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()


def mlp(generator, *, input_dim=5, width=8, depth=4, output_dim=1, num_networks=None):
    shape = Architecture(input_dim=input_dim, width=width, depth=depth, output_dim=output_dim)
    return ReLUMLP(STDS, shape, output_divisor=1.6, num_networks=num_networks, generator=generator)


def normal(generator, *shape):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def members(models):
    """The weights of each network of an ensemble."""
    return [[w[i].detach().numpy() for w in models.weights] for i in range(models.num_networks)]


def jacobian_by_hand(weights, row, output_divisor):
    """df/dx at one input: the values and the matrix go through the layers neuron by neuron."""
    values, matrix = row, np.eye(len(row))
    for weight in weights[:-1]:
        new_values, new_matrix = np.zeros(len(weight)), np.zeros((len(weight), len(row)))
        for neuron, line in enumerate(weight):
            if line @ values > 0:
                new_values[neuron], new_matrix[neuron] = line @ values, line @ matrix
        values, matrix = new_values, new_matrix
    return weights[-1] @ matrix / output_divisor


def jacobians_by_hand(weights, x):
    return np.stack([jacobian_by_hand(weights, row, 1.6) for row in x.numpy()])


def stability_by_hand(gradient):
    """c_d times the length of one gradient, c_d from the gamma function."""
    dim = len(gradient)
    return dim / (dim + 1) * gamma(dim / 2) / (sqrt(pi) * gamma((dim + 1) / 2)) * np.linalg.norm(gradient)


class Linear(nn.Module):
    """f(x) = J x, so that the Jacobian is known."""

    def __init__(self, jacobian):
        super().__init__()
        self.jacobian = jacobian
        self.eval()

    def forward(self, x):
        return x @ self.jacobian.T


class Wrapped(nn.Module):
    """Any other module: the fast path of ReLUMLP is not taken."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.eval()

    def forward(self, x):
        return self.inner(x)


def convolutional(*extra):
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 3, 3), *extra, nn.ReLU(), nn.Flatten(), nn.Linear(3 * 36, 4)]
    return nn.Sequential(*layers).double()


@pytest.fixture
def unseeded():
    """Leave the global state of torch as it was: layers of torch.nn draw from it."""
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


# Jacobians.


@pytest.mark.parametrize(
    ("input_dim", "width", "depth", "output_dim"), [(5, 8, 2, 1), (7, 3, 4, 1), (3, 9, 5, 4), (4, 6, 3, 11)]
)
def test_jacobians_are_those_worked_out_by_hand(input_dim, width, depth, output_dim, generator):
    model = mlp(generator, input_dim=input_dim, width=width, depth=depth, output_dim=output_dim)
    x = 1.7 * normal(generator, 13, input_dim)
    expected = jacobians_by_hand([w.detach().numpy() for w in model.weights], x)
    jacobians = input_jacobians(model, x)
    assert jacobians.shape == (13, output_dim, input_dim)
    np.testing.assert_allclose(jacobians.numpy(), expected, rtol=1e-10, atol=1e-12)
    rounded = input_jacobians(model.float(), x.float())
    assert rounded.dtype == torch.float32
    np.testing.assert_allclose(rounded.numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("output_dim", [1, 3])
def test_jacobians_of_an_ensemble_are_those_of_its_members(output_dim, generator):
    models, x = mlp(generator, output_dim=output_dim, num_networks=6), normal(generator, 7, 5)
    expected = np.stack([jacobians_by_hand(weights, x) for weights in members(models)])
    jacobians = input_jacobians(models, x)
    assert jacobians.shape == (6, 7, output_dim, 5)
    np.testing.assert_allclose(jacobians.numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("output_dim", [1, 3])
def test_any_module_gives_what_the_fast_path_gives(output_dim, generator):
    model, x = mlp(generator, output_dim=output_dim), normal(generator, 300, 5)
    torch.testing.assert_close(input_jacobians(Wrapped(model), x), input_jacobians(model, x), rtol=1e-10, atol=1e-12)
    fast, general = perturbation_stability(model, x), perturbation_stability(Wrapped(model), x)
    assert isclose(fast.mean, general.mean, rel_tol=1e-10)
    assert isclose(fast.standard_error, general.standard_error, rel_tol=1e-9)


@pytest.mark.parametrize("extra", [(), (nn.BatchNorm2d(3), nn.Dropout(0.4))])
def test_jacobians_of_a_convolutional_network_are_finite_differences(unseeded, extra, generator):  # noqa: ARG001
    model, x, step = convolutional(*extra).eval(), 1.3 * normal(generator, 2, 1, 8, 8), 1e-6
    jacobians = input_jacobians(model, x)
    assert jacobians.shape == (2, 4, 64)
    pixels = step * torch.eye(64, dtype=torch.float64).reshape(64, 1, 8, 8)
    for image, jacobian in zip(x, jacobians, strict=True):
        differences = (model(image + pixels) - model(image - pixels)).detach() / (2 * step)
        torch.testing.assert_close(jacobian, differences.T, rtol=1e-7, atol=1e-8)
    estimate = perturbation_stability(model, x)
    linear = [perturbation_stability(Linear(jacobian), x.flatten(1)[:1]).mean for jacobian in jacobians]
    assert isclose(estimate.mean, sum(linear) / 2, rel_tol=1e-12)


@pytest.mark.parametrize("output_dim", [1, 3])
@pytest.mark.parametrize("wrap", [lambda model: model, Wrapped])
def test_a_large_batch_gives_what_single_rows_give(output_dim, wrap, generator):
    model, x = wrap(mlp(generator, output_dim=output_dim)), normal(generator, 600, 5)
    single = torch.cat([input_jacobians(model, row.unsqueeze(0)) for row in x])
    torch.testing.assert_close(input_jacobians(model, x), single, rtol=1e-12, atol=1e-14)
    parts = [perturbation_stability(model, rows).mean for rows in x.split(60)]
    ours = perturbation_stability(model, x)
    assert isclose(ours.mean, sum(parts) / 10, rel_tol=1e-12)
    assert ours.num_draws == 600


# The mean over the ball.


def test_one_output_gives_the_constant_times_the_mean_gradient_length(generator):
    model, x = mlp(generator), normal(generator, 11, 5)
    gradients = jacobians_by_hand([w.detach().numpy() for w in model.weights], x)[:, 0]
    values = np.array([stability_by_hand(gradient) for gradient in gradients])
    estimate = perturbation_stability(model, x)
    # One network: the draws are its inputs.
    assert isclose(estimate.mean, values.mean(), rel_tol=1e-12)
    assert isclose(estimate.standard_error, values.std(ddof=1) / sqrt(11), rel_tol=1e-12)
    assert estimate.num_draws == 11


@pytest.mark.parametrize("ratio", [1.0, 0.3, 1e-3, 1e-6, 0.0])
@pytest.mark.parametrize("output_dim", [2, 10])
def test_two_singular_values_give_the_elliptic_integral(ratio, output_dim, generator):
    # Mean over the circle of sqrt(a^2 cos^2 + b^2 sin^2) = a 2 / pi E(1 - (b / a)^2); ball factor 2/3.
    left = torch.linalg.qr(normal(generator, output_dim, 2)).Q
    right = torch.linalg.qr(normal(generator, 2, 2)).Q
    model = Linear(left @ torch.diag(torch.tensor([7.0, 7.0 * ratio], dtype=torch.float64)) @ right)
    estimate = perturbation_stability(model, normal(generator, 3, 2))
    assert isclose(estimate.mean, 2 / 3 * 7 * 2 / pi * ellipe(1 - ratio**2), rel_tol=1e-6)


@pytest.mark.parametrize(("output_dim", "dim"), [(2, 2), (2, 5), (10, 64), (30, 784)])
def test_orthonormal_rows_give_the_length_of_a_part_of_a_direction(output_dim, dim, generator):
    jacobian = torch.linalg.qr(normal(generator, dim, output_dim)).Q.T
    estimate = perturbation_stability(Linear(jacobian), normal(generator, 3, dim))
    # A direction is g / ||g||: its part in the rows is chi_o / chi_d, both independent of direction.
    log_ratio = torch.lgamma(torch.tensor([output_dim + 1, dim, output_dim, dim + 1], dtype=torch.float64) / 2)
    ratio = (log_ratio[0] + log_ratio[1] - log_ratio[2] - log_ratio[3]).exp().item()
    assert isclose(estimate.mean, dim / (dim + 1) * ratio, rel_tol=1e-6)


def test_several_singular_values_give_the_mean_over_sampled_directions(generator):
    values = torch.tensor([5.0, 1.0, 0.2, 0.01], dtype=torch.float64)
    jacobian = torch.linalg.qr(normal(generator, 4, 4)).Q @ torch.diag(values)
    jacobian = jacobian @ torch.linalg.qr(normal(generator, 6, 4)).Q.T
    directions = np.random.default_rng(1).normal(size=(400_000, 6))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = np.linalg.norm(directions @ jacobian.numpy().T, axis=1) * 6 / 7
    error = lengths.std() / sqrt(len(lengths))
    assert 4 * error < 0.005 * lengths.mean()  # the smallest relative error that it catches
    assert abs(perturbation_stability(Linear(jacobian), normal(generator, 3, 6)).mean - lengths.mean()) < 4 * error


@pytest.mark.parametrize("output_dim", [1, 10])
@pytest.mark.parametrize("wrap", [lambda model: model, Wrapped])
def test_a_dead_network_does_not_move(output_dim, wrap, generator):
    model, x = mlp(generator, output_dim=output_dim), normal(generator, 4, 5).abs()
    with torch.no_grad():
        model.weights[0].abs_().neg_()
    estimate = perturbation_stability(wrap(model), x)
    assert (estimate.mean, estimate.standard_error, estimate.num_draws) == (0, 0, 4)


# One random direction per input instead of the mean over all.


@pytest.mark.parametrize("output_dim", [1, 10])
@pytest.mark.parametrize("wrap", [lambda model: model, Wrapped])
def test_one_random_direction_per_input_has_the_same_mean(output_dim, wrap, generator):
    model = wrap(mlp(generator, output_dim=output_dim))
    x = normal(generator, 1, 5).expand(40_000, 5)  # one point many times: all spread comes from directions
    estimate = random_direction_stability(model, x, generator=generator)
    exact = perturbation_stability(model, x[:1]).mean
    assert estimate.num_draws == 40_000
    assert 4 * estimate.standard_error < 0.02 * exact  # the smallest relative error that it catches
    assert abs(estimate.z_score(exact)) < 4


@pytest.mark.parametrize("output_dim", [1, 3])
def test_random_directions_of_the_networks_of_an_ensemble_are_independent(output_dim, generator):
    models = mlp(generator, output_dim=output_dim, num_networks=20_000)
    with torch.no_grad():
        for weight in models.weights:
            weight.copy_(weight[:1].clone())  # equal networks: all spread comes from directions
    x = normal(generator, 1, 5)
    estimate = random_direction_stability(models, x, generator=generator)
    exact = perturbation_stability(models, x).mean
    assert estimate.num_draws == 20_000
    assert 4 * estimate.standard_error < 0.03 * exact  # the smallest relative error that it catches
    assert abs(estimate.z_score(exact)) < 4


# What counts as a draw.


@pytest.mark.parametrize("output_dim", [1, 3])
def test_the_draws_of_an_ensemble_are_its_networks(output_dim, generator):
    models, x = mlp(generator, output_dim=output_dim, num_networks=6), normal(generator, 7, 5)
    jacobians = [jacobians_by_hand(weights, x) for weights in members(models)]
    if output_dim == 1:
        values = [np.mean([stability_by_hand(jacobian[0]) for jacobian in network]) for network in jacobians]
    else:
        values = [
            np.mean([perturbation_stability(Linear(torch.from_numpy(j)), x[:1]).mean for j in network])
            for network in jacobians
        ]
    estimate = perturbation_stability(models, x)
    assert estimate.num_draws == 6
    assert isclose(estimate.mean, np.mean(values), rel_tol=1e-10)
    assert isclose(estimate.standard_error, np.std(values, ddof=1) / sqrt(6), rel_tol=1e-10)


@pytest.mark.parametrize("wrap", [lambda model: model, Wrapped])
def test_the_draws_of_several_modules_are_the_modules(wrap, generator):
    models, x = mlp(generator, output_dim=3, num_networks=5), normal(generator, 7, 5)
    single = [mlp(generator, output_dim=3) for _ in range(5)]
    for index, model in enumerate(single):
        model.load_state_dict({key: value[index] for key, value in models.state_dict().items()})
    estimate, expected = perturbation_stability(map(wrap, single), x), perturbation_stability(models, x)
    assert estimate.num_draws == expected.num_draws == 5
    assert isclose(estimate.mean, expected.mean, rel_tol=1e-10)
    assert isclose(estimate.standard_error, expected.standard_error, rel_tol=1e-9)


def test_one_draw_has_an_unknown_error(generator):
    estimate = perturbation_stability(mlp(generator, num_networks=1), normal(generator, 7, 5))
    assert estimate.num_draws == 1
    assert isnan(estimate.standard_error)


# The definition.


@pytest.mark.parametrize("output_dim", [1, 10])
@pytest.mark.parametrize("radius", [0.01, 1.0, 30.0])
def test_the_sampled_definition_agrees_at_every_radius(output_dim, radius, generator):
    model = mlp(generator, output_dim=output_dim)
    x = normal(generator, 1, 5).expand(2000, 5)  # one point many times: all spread comes from sampling
    sampled = sampled_perturbation_stability(model, x, radius=radius, num_samples=25, generator=generator)
    exact = perturbation_stability(model, x[:1]).mean
    assert sampled.num_draws == 2000
    assert 4 * sampled.standard_error < 0.015 * exact  # the smallest relative error that it catches
    assert abs(sampled.z_score(exact)) < 4


def test_the_sampled_definition_over_the_radius_is_free_of_the_radius(generator):
    model, x, state = mlp(generator, output_dim=3), normal(generator, 7, 5), generator.get_state()
    means = []
    for radius in (1e-3, 1, 50.0):
        generator.set_state(state)
        estimate = sampled_perturbation_stability(model, x, radius=radius, num_samples=3, generator=generator)
        means.append((estimate.mean, estimate.standard_error))
    np.testing.assert_allclose(means, [means[0]] * 3, rtol=1e-12)


def test_the_sampled_definition_takes_its_draws_from_different_inputs(unseeded, generator):  # noqa: ARG001
    model, x = convolutional().eval(), normal(generator, 3, 1, 8, 8).repeat(300, 1, 1, 1)
    sampled = sampled_perturbation_stability(model, x, radius=0.2, num_samples=20, generator=generator)
    exact = perturbation_stability(model, x[:3]).mean
    assert 4 * sampled.standard_error < 0.03 * exact  # the smallest relative error that it catches
    assert abs(sampled.z_score(exact)) < 4


# What must not change.


@pytest.mark.parametrize("wrap", [lambda model: model, Wrapped])
def test_parameters_and_inputs_are_left_as_they_were(wrap, generator):
    inner, x = mlp(generator, output_dim=3), normal(generator, 7, 5)
    model = wrap(inner)
    inner.weights[1].requires_grad_(False)
    inner(x).sum().backward()
    before = [(w.requires_grad, None if w.grad is None else w.grad.clone()) for w in inner.weights]
    for evaluate in (
        perturbation_stability,
        input_jacobians,
        lambda m, y: random_direction_stability(m, y, generator=generator),
        lambda m, y: sampled_perturbation_stability(m, y, radius=1.0, num_samples=2, generator=generator),
    ):
        evaluate(model, x)
        with torch.no_grad():
            evaluate(model, x)
    assert not x.requires_grad
    for weight, (requires_grad, grad) in zip(inner.weights, before, strict=True):
        assert weight.requires_grad == requires_grad
        assert weight.grad is None if grad is None else torch.equal(weight.grad, grad)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("output_dim", [1, 3])
def test_dtype_and_device_follow_the_inputs(device, dtype, output_dim, generator):
    model, x = mlp(generator, output_dim=output_dim, num_networks=4), normal(generator, 7, 5)
    expected = perturbation_stability(model, x)
    model, x = model.to(device, dtype), x.to(device, dtype)
    jacobians = input_jacobians(model, x)
    assert (jacobians.dtype, jacobians.device.type) == (dtype, device)
    assert random_direction_stability(model, x, generator=generator).num_draws == 4
    assert isclose(perturbation_stability(model, x).mean, expected.mean, rel_tol=1e-4)
    single = mlp(generator, output_dim=output_dim).to(device, dtype)
    sampled = sampled_perturbation_stability(single, x, radius=1.0, num_samples=2, generator=generator)
    assert sampled.num_draws == 7


# Bad input.


def sample(model, x, radius=1.0, num_samples=2):
    return sampled_perturbation_stability(model, x, radius=radius, num_samples=num_samples, generator=torch.Generator())


@pytest.mark.parametrize("evaluate", [perturbation_stability, input_jacobians, sample])
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.ones(3, 4), ValueError, r"^x must have shape \(batch, 5\) and not be empty, got \(3, 4\)$"),
        (torch.ones(3, 5, 1), ValueError, r"^x must have shape \(batch, 5\) and not be empty, got \(3, 5, 1\)$"),
        (
            torch.ones(5),
            ValueError,
            r"^x must have shape \(batch, 5\) and not be empty, got \(5,\): one input is x.unsqueeze\(0\)$",
        ),
        (torch.ones(0, 5), ValueError, r"^x must have shape \(batch, 5\) and not be empty, got \(0, 5\)$"),
        (torch.ones(3, 5) / 0, ValueError, "^x must be finite, got nan or infinity$"),
        (torch.zeros(3, 5) / 0, ValueError, "^x must be finite, got nan or infinity$"),
        (
            torch.ones(3, 5, dtype=torch.int64),
            TypeError,
            "^x must hold floating-point numbers, float32 or float64, got torch.int64$",
        ),
        (
            torch.ones(3, 5),
            ValueError,
            "^x must be torch.float64 on cpu like the weights, got torch.float32 on cpu: use x.to\\(torch.float64\\)$",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(as_a_reader, evaluate, x, error, message, generator):  # noqa: ARG001
    with pytest.raises(error, match=message):
        evaluate(mlp(generator), x)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"radius": 0.0}, r"^radius must be a finite number > 0, got 0\.0$"),
        ({"radius": -1.0}, r"^radius must be a finite number > 0, got -1\.0$"),
        ({"num_samples": 0}, r"^num_samples must be an integer >= 1, got 0$"),
    ],
)
def test_sampling_refuses_settings_out_of_range(settings, message, generator):
    with pytest.raises(ValueError, match=message):
        sample(mlp(generator), normal(generator, 4, 5), **settings)


def test_sampling_takes_one_network_at_a_time(generator):
    with pytest.raises(ValueError, match=r"^model must be one network, got an ensemble of 6$"):
        sample(mlp(generator, num_networks=6), normal(generator, 7, 5))


def test_no_models_are_refused(generator):
    with pytest.raises(ValueError, match="^model must be a module or an iterable of one or more modules, got none$"):
        perturbation_stability([], normal(generator, 4, 5))


# Memory, precision and pairs.


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("wrap", [lambda model: model, Wrapped])
@pytest.mark.parametrize("rows", [257, 513])
def test_the_last_row_of_a_batch_counts(rows, outputs, wrap, generator):
    # Blocks of 256 rows leave a last block of one row.
    model, x = wrap(mlp(generator, output_dim=outputs)), normal(generator, rows, 5)
    assert stability_per_input(model, x).shape == (rows,)
    last = stability_per_input(model, x[-1:])
    torch.testing.assert_close(stability_per_input(model, x)[-1:], last, rtol=1e-12, atol=0)
    assert random_direction_stability(model, x, generator=generator).num_draws == rows


@pytest.mark.parametrize("outputs", [1, 4])
@pytest.mark.parametrize("wrap", [lambda model: model, Wrapped])
def test_several_outputs_in_float64_are_computed_in_float64(outputs, wrap, generator):
    model, x = mlp(generator, output_dim=outputs, depth=3, width=6), normal(generator, 9, 5)
    exact = stability_per_input(wrap(model), x)
    jacobians = torch.from_numpy(jacobians_by_hand([w.detach().numpy() for w in model.weights], x))
    expected = torch.stack([stability_per_input(Linear(j), x[:1])[0] for j in jacobians])
    assert exact.dtype == torch.float64
    torch.testing.assert_close(exact, expected, rtol=1e-12, atol=0)


def test_random_directions_are_not_drawn_in_pairs(generator):
    # Of equal rows a direction and its mirror image would have equal lengths; so would one direction used twice.
    x = normal(generator, 1, 5).expand(64, 5)
    for model in (mlp(generator, output_dim=3), Wrapped(mlp(generator, output_dim=3))):
        seen = [random_direction_stability(model, x[:1], generator=generator).mean for _ in range(20)]
        assert len({round(value, 9) for value in seen}) == 20
        both = random_direction_stability(model, x, generator=generator)
        assert both.standard_error > 0.3 * both.mean / 64**0.5 * 0.5


@pytest.mark.parametrize("wrap", [lambda model: model, Wrapped])
def test_several_directions_are_averaged(wrap, generator):
    model, x = wrap(mlp(generator, output_dim=3)), normal(generator, 1, 5).expand(4000, 5)
    one, nine = (random_direction_stability(model, x, generator=generator, num_directions=n) for n in (1, 9))
    assert isclose(one.standard_error / nine.standard_error, 3, rel_tol=0.15)
    assert abs(nine.z_score(perturbation_stability(model, x[:1]).mean)) < 4
    assert nine.num_draws == 4000


def test_a_thousand_outputs_need_little_memory(generator):
    # The derivatives of one block only, whatever the batch: a row times 1000 outputs.
    from tutorial_lib.stability import rows_at_once

    for dim, outputs, networks in [(3072, 1000, 1), (150_528, 1000, 1), (64, 10, 1), (16, 1, 20_000), (2, 1, 1)]:
        rows = rows_at_once(dim, outputs, networks)
        assert 1 <= rows <= 256
        assert rows == 1 or rows * networks * outputs * max(dim, outputs) <= 2**24
    shape = Architecture(input_dim=6, width=8, depth=2, output_dim=1000)
    model, x = ReLUMLP(STDS, shape, generator=generator), normal(generator, 3, 6)
    exact, sampled = perturbation_stability(model, x), random_direction_stability(model, x, generator=generator)
    assert isclose(exact.mean, sampled.mean, rel_tol=0.3)


def test_a_jacobian_that_fits_nowhere_is_refused_with_the_way_out(generator):
    shape = Architecture(input_dim=2**15, width=1, depth=2, output_dim=2**14)
    model = ReLUMLP(STDS, shape, generator=generator).float()
    with pytest.raises(
        ValueError, match="model has 16384 outputs on inputs of 32768 .*: use random_direction_stability"
    ):
        perturbation_stability(model, torch.ones(1, 2**15))


def test_weights_that_are_not_numbers_are_refused(generator):
    model = mlp(generator)
    with torch.no_grad():
        model.weights[1][0, 0] = float("nan")
    for evaluate in (perturbation_stability, input_jacobians, sample):
        with pytest.raises(ValueError, match="^model must be finite, got nan or infinity$"):
            evaluate(model, normal(generator, 3, 5))


@pytest.mark.parametrize("settings", [{"num_directions": 0}, {"num_directions": 1.5}])
def test_the_number_of_directions_is_a_whole_number(as_a_reader, settings, generator):  # noqa: ARG001
    with pytest.raises((ValueError, TypeError), match="num_directions must be an integer >= 1, got"):
        random_direction_stability(mlp(generator), normal(generator, 3, 5), generator=generator, **settings)


def test_without_a_generator_nothing_is_sampled(as_a_reader, generator):  # noqa: ARG001
    with pytest.raises(TypeError, match="^generator must be a torch.Generator, .*, got None$"):
        random_direction_stability(mlp(generator), normal(generator, 3, 5), generator=None)
    with pytest.raises(TypeError, match="^generator must be a torch.Generator, .*, got None$"):
        sampled_perturbation_stability(
            mlp(generator), normal(generator, 3, 5), radius=1.0, num_samples=2, generator=None
        )


# Precision, draws and axes.


def test_lengths_of_float32_derivatives_are_summed_in_float64(generator):
    model, x = mlp(generator, input_dim=500).float(), normal(generator, 7, 500).float()
    lengths = model.jacobians(x).squeeze(0).double().norm(dim=1)
    expected = mean_ball_length(500) * mean_chi(1) / mean_chi(500) * lengths
    torch.testing.assert_close(stability_per_input(model, x), expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(stability_of_jacobians(model.jacobians(x)), expected, rtol=1e-12, atol=0)
    assert stability_per_input(model, x).dtype == torch.float64


def test_lengths_along_float32_directions_are_divided_in_float64(generator):
    model, x, state = mlp(generator, input_dim=500).float(), normal(generator, 7, 500).float(), generator.get_state()
    lengths = directional_lengths(model, x, generator=generator)
    generator.set_state(state)
    draws = torch.randn(7, 500, generator=generator)
    expected = model.changes(x, draws).double().norm(dim=1) / draws.double().norm(dim=1) * mean_ball_length(500)
    torch.testing.assert_close(lengths, expected, rtol=1e-12, atol=0)


def test_directions_come_from_the_generator_alone(generator):
    model, x, state = mlp(generator), normal(generator, 20, 5), torch.get_rng_state()
    seen = []
    for seed in (3, 3, 4):
        torch.manual_seed(len(seen))
        seen.append(random_direction_stability(model, x, generator=torch.Generator().manual_seed(seed)).mean)
    torch.set_rng_state(state)
    assert seen[0] == seen[1] != seen[2]
    default = random_direction_stability(model, x, generator=torch.Generator().manual_seed(3), num_directions=1)
    assert default.mean == seen[0]


def test_directions_in_images_are_uniform_on_the_sphere_of_all_pixels(generator):
    flat = mlp(generator, input_dim=12)
    images = nn.Sequential(nn.Flatten(), Wrapped(flat)).eval()
    x = normal(generator, 4000, 12)
    found = random_direction_stability(images, x.reshape(-1, 3, 4), generator=generator)
    assert 4 * found.standard_error < 0.1 * found.mean
    assert abs(found.z_score(perturbation_stability(flat, x).mean)) < 4


@pytest.mark.parametrize("output_dim", [1, 3])
def test_a_large_batch_of_an_ensemble_is_that_of_its_members(output_dim, generator):
    models, x = mlp(generator, num_networks=2, output_dim=output_dim), normal(generator, 600, 5)
    values = stability_per_input(models, x)
    assert values.shape == (2, 600)
    for index in range(2):
        alone = ReLUMLP.from_weights([w[index] for w in models.weights], output_divisor=1.6)
        torch.testing.assert_close(values[index], stability_per_input(alone, x), rtol=1e-10, atol=0)
    found = random_direction_stability(models, x, generator=generator, num_directions=3)
    assert found.num_draws == 2
    assert abs(found.mean / values.mean().item() - 1) < 0.2


@pytest.mark.parametrize(
    ("sizes", "rows"),
    [
        ({"dim": 2}, 256),
        ({"dim": 2**14}, 64),
        ({"dim": 2**21}, 1),
        ({"dim": 64, "outputs": 2**12}, 1),
        ({"dim": 64, "outputs": 2**11}, 4),
        ({"dim": 2**10, "outputs": 2**4, "networks": 2**6}, 16),
    ],
)
def test_fewer_rows_at_a_time_the_more_numbers_a_row_needs(sizes, rows):
    assert rows_at_once(**sizes) == rows


def test_long_rows_of_a_jacobian_are_taken_in_parts_and_put_together(generator):
    jacobian = normal(generator, 2, 40_000) / 200
    (found,) = stability_per_input(Linear(jacobian), torch.ones(1, 40_000).double())
    variances = torch.linalg.svdvals(jacobian).square()
    expected = mean_gaussian_length(variances) / mean_chi(40_000) * mean_ball_length(40_000)
    assert isclose(found.item(), expected.item(), rel_tol=1e-10)
