"""Movement of weights and of the kernel, worked out by hand and against each other."""

from copy import deepcopy
from math import isclose, sqrt

import numpy as np
import pytest
import torch

from tutorial_lib.initializations import LayerStds
from tutorial_lib.kernels import empirical_tangent_kernel
from tutorial_lib.laziness import input_weight_movement, kernel_drift, lazy_ratio, linearized_outputs
from tutorial_lib.models import ReLUMLP
from tutorial_lib.training import train

STDS = LayerStds(first=0.6, hidden=0.4, last=0.9)


def network(generator, *, width=7, depth=4, output_dim=1, num_networks=None):
    sizes = {"input_dim": 5, "width": width, "depth": depth, "output_dim": output_dim, "num_networks": num_networks}
    return ReLUMLP(STDS, **sizes, output_divisor=1.6, generator=generator)


def inputs(generator):
    return 1.3 * torch.randn(6, 5, generator=generator, dtype=torch.float64)


def set_weights(model, *matrices):
    for weight, matrix in zip(model.weights, matrices, strict=True):
        weight.data = torch.tensor(matrix, dtype=torch.float64)
    return model


def scaled(model, generator, factor):
    result = network(generator, num_networks=model.num_networks)
    result.load_state_dict({key: factor * value for key, value in model.state_dict().items()})
    return result


def test_movement_worked_out_by_hand(generator):
    start = set_weights(network(generator, depth=2), [[3.0, 0.0], [0.0, 4.0]], [[0.0, 10.0]])  # norms 5 and 10
    end = set_weights(network(generator, depth=2), [[3.0, 3.0], [4.0, 4.0]], [[0.0, 11.0]])  # moved by 5 and 1
    assert isclose(lazy_ratio(start, end).item(), (5 + 1) / (5 + 10))
    assert isclose(input_weight_movement(start, end).item(), 5 / 5)


def test_the_initial_network_sets_the_scale(generator):
    start, end = network(generator), network(generator)
    forth, back = lazy_ratio(start, end), lazy_ratio(end, start)
    norms = [sum(np.linalg.norm(w.detach().numpy()) for w in model.weights) for model in (start, end)]
    assert isclose(forth.item() / back.item(), norms[1] / norms[0], rel_tol=1e-12)
    firsts = [np.linalg.norm(model.weights[0].detach().numpy()) for model in (start, end)]
    forth, back = input_weight_movement(start, end), input_weight_movement(end, start)
    assert isclose(forth.item() / back.item(), firsts[1] / firsts[0], rel_tol=1e-12)
    x = inputs(generator)
    kernels = [np.linalg.norm(empirical_tangent_kernel(model, x, x).numpy()) for model in (start, end)]
    forth, back = kernel_drift(start, end, x), kernel_drift(end, start, x)
    assert isclose(forth.item() / back.item(), kernels[1] / kernels[0], rel_tol=1e-12)


def test_a_network_that_stayed_has_moved_by_zero(generator):
    model, x = network(generator), inputs(generator)
    assert lazy_ratio(model, model).item() == 0
    assert input_weight_movement(model, model).item() == 0
    assert kernel_drift(model, model, x).item() == 0


@pytest.mark.parametrize("factor", [1.1, 0.5, 3.0])
def test_scaling_all_weights_moves_the_kernel_by_the_power_of_the_other_layers(factor, generator):
    model, x = network(generator), inputs(generator)
    end = scaled(model, generator, factor)
    assert isclose(lazy_ratio(model, end).item(), abs(factor - 1), rel_tol=1e-12)
    assert isclose(input_weight_movement(model, end).item(), abs(factor - 1), rel_tol=1e-12)
    # Each layer's term holds all other 3 layers, squared.
    assert isclose(kernel_drift(model, end, x).item(), abs(factor ** (2 * 3) - 1), rel_tol=1e-10)


@pytest.mark.parametrize("output_dim", [1, 3])
def test_an_ensemble_gives_one_number_per_network(output_dim, generator):
    sizes = {"output_dim": output_dim}
    starts, ends = (network(generator, num_networks=4, **sizes) for _ in range(2))
    start, end, x = network(generator, **sizes), network(generator, **sizes), inputs(generator)
    ratios, movements = lazy_ratio(starts, ends), input_weight_movement(starts, ends)
    assert ratios.shape == movements.shape == (4,)
    assert not ratios.requires_grad
    for index in range(4):
        start.load_state_dict({key: value[index] for key, value in starts.state_dict().items()})
        end.load_state_dict({key: value[index] for key, value in ends.state_dict().items()})
        assert isclose(ratios[index].item(), lazy_ratio(start, end).item(), rel_tol=1e-12)
        assert isclose(movements[index].item(), input_weight_movement(start, end).item(), rel_tol=1e-12)
        if output_dim == 1:
            drift = kernel_drift(starts, ends, x)[index]
            assert isclose(drift.item(), kernel_drift(start, end, x).item(), rel_tol=1e-12)


def test_the_lazy_ratio_sums_norms_and_not_squares(generator):
    start = set_weights(network(generator, depth=2), np.eye(2), [[1.0, 0.0]])
    end = set_weights(network(generator, depth=2), 2 * np.eye(2), [[1.0, 0.0]])
    assert isclose(lazy_ratio(start, end).item(), sqrt(2) / (sqrt(2) + 1))


def test_a_dead_network_has_no_drift_to_speak_of(generator):
    dead, x = scaled(network(generator), generator, 0.0), inputs(generator)
    assert torch.isnan(kernel_drift(dead, dead, x))
    assert torch.isinf(kernel_drift(dead, network(generator), x))


@pytest.mark.parametrize("other", [{"width": 8}, {"depth": 3}, {"output_dim": 2}, {"num_networks": 2}])
def test_networks_of_different_shapes_are_refused(other, generator):
    start, end, x = network(generator), network(generator, **other), inputs(generator)
    for measure in (lazy_ratio, input_weight_movement, lambda a, b: kernel_drift(a, b, x)):
        with pytest.raises(ValueError, match=r"^initial and trained must have one shape, got \[\(7, 5\), "):
            measure(start, end)


def gradients_by_weights(model, x):
    """One row per input: the derivatives of the output by all weights, by autograd."""
    rows = [torch.autograd.grad(model(row.unsqueeze(0)).sum(), list(model.weights)) for row in x]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])


def labels(generator):
    return torch.randn(6, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("num_steps", [0, 1, 7])
def test_the_linearization_is_gradient_descent_on_the_weights_of_a_linear_model(num_steps, generator):
    model, x, y = network(generator), inputs(generator), labels(generator)
    test_x = inputs(generator)[:4]
    slopes, start = gradients_by_weights(model, x), model(x).detach()
    movement = torch.zeros_like(slopes[0])
    for _ in range(num_steps):
        movement = movement - 0.3 * slopes.T @ (start + slopes @ movement - y) / 6
    expected = model(test_x).detach() + gradients_by_weights(model, test_x) @ movement
    outputs = linearized_outputs(model, x, y, test_x, learning_rate=0.3, num_steps=num_steps)
    assert torch.allclose(outputs, expected, rtol=1e-12, atol=1e-13)


def test_a_network_with_a_small_learning_rate_follows_its_linearization(generator):
    starts, x, y = network(generator, num_networks=3), inputs(generator), labels(generator)
    gaps = []
    for learning_rate in (1e-3, 1e-4):
        ends = deepcopy(starts)
        train(ends, x, y, learning_rate=learning_rate, num_steps=3)
        outputs = linearized_outputs(starts, x, y, x, learning_rate=learning_rate, num_steps=3)
        assert outputs.shape == (3, 6)
        gaps.append((ends(x).detach() - outputs).norm() / (outputs - starts(x).detach()).norm())
    # The second order of the movement, relative to the first.
    assert gaps[0] < 0.1
    assert 5 < gaps[0] / gaps[1] < 20


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"learning_rate": 0.0}, r"^learning_rate must be"),
        ({"num_steps": -1}, r"^num_steps must be"),
        ({"train_y": torch.ones(5, dtype=torch.float64)}, r"^train_y must have shape \(6,\), got \(5,\)$"),
    ],
)
@pytest.mark.usefixtures("as_a_reader")
def test_a_linearization_refuses_settings_that_make_no_sense(wrong, message, generator):
    model, x, y = network(generator), inputs(generator), labels(generator)
    settings = {"train_x": x, "train_y": y, "x": x, "learning_rate": 0.1, "num_steps": 2} | wrong
    with pytest.raises(ValueError, match=message):
        linearized_outputs(model, **settings)
