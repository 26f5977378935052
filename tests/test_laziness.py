"""Movement of weights, of the kernel and of the linearization: by hand, by autograd and against each other."""

from copy import deepcopy
from math import inf, isclose, nan, pi, sqrt

import numpy as np
import pytest
import torch

from tutorial_lib.architecture import Architecture
from tutorial_lib.estimates import Estimate
from tutorial_lib.initializations import LayerStds, he
from tutorial_lib.kernels import tangent_kernel
from tutorial_lib.laziness import (
    empirical_tangent_kernel,
    input_weight_movement,
    kernel_drift,
    lazy_ratio,
    linearized_gradients,
    linearized_outputs,
)
from tutorial_lib.models import ReLUMLP
from tutorial_lib.training import train

STDS = LayerStds(first=0.6, hidden=0.4, last=0.9)
PAIRS_THAT_DO_NOT_FIT = [
    (torch.ones(2, 5), torch.ones(2, 4), r"^inputs_a and inputs_b must have one dimension, got 5 and 4$"),
    (torch.ones(5), torch.ones(2, 5), r"^inputs_a must have shape \(batch, dim\) and not be empty, got \(5,\)$"),
    (torch.ones(2, 5), torch.ones(0, 5), r"^inputs_b must have shape \(batch, dim\) and not be empty, got \(0, 5\)"),
    (torch.ones(2, 5) / 0, torch.ones(2, 5), "^inputs_a must be finite, got nan or infinity$"),
    (torch.ones(2, 5), torch.zeros(2, 5) / 0, "^inputs_b must be finite, got nan or infinity$"),
    (torch.ones(2, 5), torch.eye(5)[:2] * torch.tensor([[1.0], [0.0]]), "^inputs_b must not hold a zero input"),
]


def network(generator, *, stds=STDS, num_networks=None, **sizes):
    shape = Architecture(**({"input_dim": 5, "width": 7, "depth": 4} | sizes))
    return ReLUMLP(stds, shape, output_divisor=1.6, num_networks=num_networks, generator=generator)


def inputs(generator):
    return 1.3 * torch.randn(6, 5, generator=generator, dtype=torch.float64)


def normal(generator, *shape):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def two_layers(first, last):
    return ReLUMLP.from_weights([torch.as_tensor(np.array(weight, dtype=np.float64)) for weight in (first, last)])


def scaled(model, generator, factor):
    result = network(generator, num_networks=model.num_networks)
    result.load_state_dict({key: factor * value for key, value in model.state_dict().items()})
    return result


@pytest.mark.usefixtures("as_a_reader")
def test_movement_worked_out_by_hand():
    start = two_layers([[3.0, 0.0], [0.0, 4.0]], [[0.0, 10.0]])  # norms 5 and 10
    end = two_layers([[3.0, 3.0], [4.0, 4.0]], [[0.0, 11.0]])  # moved by 5 and 1
    assert isclose(lazy_ratio(start, end).item(), (5 + 1) / (5 + 10))
    assert isclose(input_weight_movement(start, end).item(), 5 / 5)
    # At x = (1, 1): hidden layer (3, 4), then (6, 8); kernel 25 + 2 * 10^2, then 100 + 2 * 11^2.
    x = torch.ones(1, 2, dtype=torch.float64)
    assert isclose(empirical_tangent_kernel(start, x, x).item(), 225)
    assert isclose(kernel_drift(start, end, x).item(), (342 - 225) / 225)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_every_layer_counts_in_the_lazy_ratio_and_only_the_first_in_the_other(layer, generator):
    start = network(generator, depth=3)
    end, lengths = deepcopy(start), [weight.detach().norm().item() for weight in start.weights]
    with torch.no_grad():
        end.weights[layer] *= 1.5
    assert isclose(lazy_ratio(start, end).item(), 0.5 * lengths[layer] / sum(lengths), rel_tol=1e-12)
    assert isclose(input_weight_movement(start, end).item(), 0.5 if layer == 0 else 0, rel_tol=1e-12)


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
    copy = deepcopy(model)
    assert lazy_ratio(model, copy).item() == 0
    assert input_weight_movement(model, copy).item() == 0
    assert kernel_drift(model, copy, x).item() == 0


@pytest.mark.parametrize(
    "measure", [lazy_ratio, input_weight_movement, lambda a, b: kernel_drift(a, b, torch.ones(2, 5))]
)
def test_a_network_is_not_compared_with_itself(measure, generator):
    model = network(generator)
    with pytest.raises(
        ValueError, match=r"^initial must be a copy made before training, copy.deepcopy\(networks\), got"
    ):
        measure(model, model)


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


@pytest.mark.usefixtures("as_a_reader")
def test_the_lazy_ratio_sums_norms_and_not_squares():
    start, end = two_layers(np.eye(2), [[1.0, 0.0]]), two_layers(2 * np.eye(2), [[1.0, 0.0]])
    assert isclose(lazy_ratio(start, end).item(), sqrt(2) / (sqrt(2) + 1))


def test_a_dead_network_has_no_drift_to_speak_of(generator):
    dead, x = scaled(network(generator), generator, 0.0), inputs(generator)
    assert torch.isnan(kernel_drift(dead, deepcopy(dead), x))
    assert torch.isinf(kernel_drift(dead, network(generator), x))


@pytest.mark.parametrize(
    "other", [{"width": 8}, {"depth": 3}, {"output_dim": 2}, {"num_networks": 2}, {"input_dim": 6}]
)
def test_networks_of_different_shapes_are_refused(other, generator):
    start, end, x = network(generator), network(generator, **other), inputs(generator)
    for measure in (lazy_ratio, input_weight_movement, lambda a, b: kernel_drift(a, b, x)):
        with pytest.raises(ValueError, match=r"^initial and trained must have one shape, got \[\(7, 5\), "):
            measure(start, end)


MEASURES = [lazy_ratio, input_weight_movement, lambda a, b: kernel_drift(a, b, torch.ones(2, 5, dtype=torch.float64))]


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.usefixtures("as_a_reader")
def test_weights_that_are_not_finite_or_of_another_precision_are_refused(measure, generator):
    start, end = network(generator), network(generator)
    with pytest.raises(ValueError, match=r"^trained must be torch.float64 on cpu like the rest, got torch.float32"):
        measure(start, deepcopy(end).float())
    with torch.no_grad():
        end.weights[2][0, 0] = nan
    with pytest.raises(ValueError, match=r"^trained must be finite, got nan or infinity$"):
        measure(start, end)
    with pytest.raises(ValueError, match=r"^initial must be finite, got nan or infinity$"):
        measure(end, start)
    with pytest.raises(TypeError, match=r"^trained must be a ReLUMLP, got Sequential$"):
        measure(start, torch.nn.Sequential(start))


# The tangent kernel of a network.


def gradients_by_weights(model, x):
    """One row per input: the derivatives of the output by all weights, by autograd."""
    rows = [torch.autograd.grad(model(row.unsqueeze(0)).sum(), list(model.weights)) for row in x]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])


def kernel_by_autograd(model, x, other):
    return gradients_by_weights(model, x) @ gradients_by_weights(model, other).T


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_empirical_kernel_is_the_product_of_jacobians(depth, generator):
    model, x, other = network(generator, depth=depth), inputs(generator), normal(generator, 4, 5)
    kernel = empirical_tangent_kernel(model, x, other)
    assert kernel.shape == (6, 4)
    assert not kernel.requires_grad
    torch.testing.assert_close(kernel, kernel_by_autograd(model, x, other), rtol=1e-12, atol=1e-14)


def test_the_empirical_kernels_of_an_ensemble_are_those_of_its_members(generator):
    models, x, other = network(generator, num_networks=3), normal(generator, 6, 5), normal(generator, 4, 5)
    kernels = empirical_tangent_kernel(models, x, other)
    assert kernels.shape == (3, 6, 4)
    single = network(generator)
    for index in range(3):
        single.load_state_dict({key: value[index] for key, value in models.state_dict().items()})
        torch.testing.assert_close(kernels[index], kernel_by_autograd(single, x, other), rtol=1e-12, atol=1e-14)


@pytest.mark.usefixtures("as_a_reader")
def test_a_neuron_at_the_kink_has_no_part_in_the_kernel():
    # Neurons at 0, 5 and -5: only the second one's input weights and its output weight count.
    model = two_layers([[2.0, -1.0], [1.0, 2.0], [-1.0, -2.0]], [[3.0, 4.0, 5.0]])
    x = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    assert empirical_tangent_kernel(model, x, x).item() == 5**2 + 5 * 4**2
    assert kernel_by_autograd(model, x, x).item() == 5**2 + 5 * 4**2


@pytest.mark.parametrize("depth", [2, 3])
def test_the_empirical_kernel_approaches_the_closed_form_like_one_over_the_root_of_the_width(depth, generator):
    x, widths, squares = normal(generator, 5, 6), [64, 128, 256, 512], []
    for width in widths:
        shape = Architecture(input_dim=6, width=width, depth=depth)
        models = ReLUMLP(he(shape), shape, output_divisor=1.6, num_networks=50, generator=generator)
        expected = tangent_kernel(x, x, he(shape), shape) / 1.6**2
        relative = (empirical_tangent_kernel(models, x, x) - expected).flatten(1).norm(dim=1) / expected.norm()
        squares.append(Estimate.from_draws(relative.square().tolist()))
    errors = [square.standard_error / square.mean / 2 for square in squares]
    fit, covariance = np.polyfit(
        np.log(widths), [np.log(s.mean) / 2 for s in squares], 1, w=1 / np.array(errors), cov="unscaled"
    )
    assert sqrt(covariance[0, 0]) < 0.08
    assert abs(fit[0] + 0.5) < 4 * sqrt(covariance[0, 0])


@pytest.mark.parametrize(("x", "other", "message"), PAIRS_THAT_DO_NOT_FIT)
@pytest.mark.usefixtures("as_a_reader")
def test_inputs_of_the_empirical_kernel_that_do_not_fit_are_refused(x, other, message, generator):
    with pytest.raises(ValueError, match=message):
        empirical_tangent_kernel(network(generator), x.double(), other.double())


@pytest.mark.usefixtures("as_a_reader")
def test_the_empirical_kernel_is_that_of_one_output_and_of_its_own_inputs(generator):
    with pytest.raises(ValueError, match=r"^architecture must have output_dim 1 here, got .*output_dim=3\)$"):
        empirical_tangent_kernel(network(generator, output_dim=3), normal(generator, 2, 5), normal(generator, 2, 5))
    with pytest.raises(ValueError, match=r"^inputs_a must have shape \(batch, 5\) and not be empty, got \(2, 4\)$"):
        empirical_tangent_kernel(network(generator), normal(generator, 2, 4), normal(generator, 2, 4))
    with pytest.raises(ValueError, match=r"^inputs_a must be torch.float64 on cpu like the weights, got torch.float32"):
        empirical_tangent_kernel(network(generator), torch.ones(2, 5), torch.ones(2, 5))
    with pytest.raises(ValueError, match=r"^inputs_b must be finite, got nan or infinity$"):
        empirical_tangent_kernel(network(generator), normal(generator, 2, 5), torch.full((2, 5), torch.nan).double())
    with pytest.raises(TypeError, match=r"^model must be a ReLUMLP, got Linear$"):
        empirical_tangent_kernel(torch.nn.Linear(5, 1), torch.ones(2, 5), torch.ones(2, 5))


# The linearization of a network.


def labels(generator):
    return torch.randn(6, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("num_steps", [0, 1, 7])
def test_the_linearization_is_gradient_descent_on_the_weights_of_a_linear_model(num_steps, generator):
    model, x, y = network(generator), inputs(generator), labels(generator)
    test_x = inputs(generator)[:4]
    slopes, start = gradients_by_weights(model, x), model(x).detach()
    movement = torch.zeros_like(slopes[0])
    for _ in range(num_steps):
        movement = movement - 0.1 * slopes.T @ (start + slopes @ movement - y) / 6
    expected = model(test_x).detach() + gradients_by_weights(model, test_x) @ movement
    outputs = linearized_outputs(model, x, y, test_x, learning_rate=0.1, num_steps=num_steps)
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


def largest_stable_rate(model, x):
    slopes = gradients_by_weights(model, x)
    return 2 * len(x) / torch.linalg.matrix_norm(slopes, ord=2).item() ** 2


def test_a_linearization_converges_up_to_the_learning_rate_at_which_it_diverges(generator):
    model, x, y = network(generator), inputs(generator), labels(generator)
    limit = largest_stable_rate(model, x)
    gaps = [
        (linearized_outputs(model, x, y, x, learning_rate=0.999 * limit, num_steps=steps) - y).norm().item()
        for steps in (0, 20_000)
    ]
    assert gaps[1] < gaps[0]
    for factor in (1.001, 2.0, 50.0):
        with pytest.raises(ValueError, match=r"^learning_rate must be below .*, where the linearization diverges"):
            linearized_outputs(model, x, y, x, learning_rate=factor * limit, num_steps=1)


@pytest.mark.usefixtures("as_a_reader")
def test_the_limit_of_the_learning_rate_is_named_and_is_itself_refused():
    # Kernel 225 at the one input of the example by hand: the limit is 2 / 225.
    model, x = two_layers([[3.0, 0.0], [0.0, 4.0]], [[0.0, 10.0]]), torch.ones(1, 2, dtype=torch.float64)
    y = torch.ones(1, dtype=torch.float64)
    linearized_outputs(model, x, y, x, learning_rate=0.00888, num_steps=1)
    with pytest.raises(ValueError, match=r"^learning_rate must be below 0.00888889, where .*, got 0.0089$"):
        linearized_outputs(model, x, y, x, learning_rate=0.0089, num_steps=1)
    # A kernel of 2^2: at 1/2, exact in binary, the linearization swings for ever.
    model = two_layers([[2.0]], [[0.0]])
    x = torch.ones(1, 1, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"^learning_rate must be below 0.5, where .*, got 0.5$"):
        linearized_outputs(model, x, y, x, learning_rate=0.5, num_steps=1)


@pytest.mark.usefixtures("as_a_reader")
def test_one_network_of_an_ensemble_that_would_diverge_is_enough(generator):
    models, x, y = network(generator, num_networks=3), inputs(generator), labels(generator)
    with torch.no_grad():
        for weight in models.weights:
            weight[1] *= 2
    members = [ReLUMLP.from_weights([w[i].detach() for w in models.weights], output_divisor=1.6) for i in range(3)]
    limits = [largest_stable_rate(member, x) for member in members]
    assert limits[1] < 0.5 * min(limits[0], limits[2])
    linearized_outputs(models, x, y, x, learning_rate=0.99 * limits[1], num_steps=1)
    with pytest.raises(ValueError, match=r"^learning_rate must be below"):
        linearized_outputs(models, x, y, x, learning_rate=1.01 * limits[1], num_steps=1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"learning_rate": 0.0}, r"^learning_rate must be a finite number > 0, got 0.0$"),
        ({"learning_rate": inf}, r"^learning_rate must be a finite number > 0, got inf$"),
        ({"num_steps": -1}, r"^num_steps must be an integer >= 0, got -1$"),
        ({"train_y": torch.ones(5, dtype=torch.float64)}, r"^train_y must have shape \(6,\), got \(5,\)$"),
        ({"train_y": torch.ones(6, 1, dtype=torch.float64)}, r"^train_y must have shape \(6,\), got \(6, 1\)$"),
        ({"train_y": torch.full((6,), nan, dtype=torch.float64)}, r"^train_y must be finite, got nan or infinity$"),
        (
            {"train_y": torch.ones(6)},
            r"^train_y must be torch.float64 on cpu like the rest, got torch.float32 on cpu: ",
        ),
        (
            {"x": torch.ones(2, 4, dtype=torch.float64)},
            r"^x must have shape \(batch, 5\) and not be empty, got \(2, 4\)$",
        ),
    ],
)
@pytest.mark.usefixtures("as_a_reader")
def test_a_linearization_refuses_settings_that_make_no_sense(wrong, message, generator):
    model, x, y = network(generator), inputs(generator), labels(generator)
    settings = {"train_x": x, "train_y": y, "x": x, "learning_rate": 0.1, "num_steps": 2} | wrong
    with pytest.raises(ValueError, match=message):
        linearized_outputs(model, **settings)


def test_the_largest_learning_rate_of_a_linearization_is_told(generator):
    model, x = network(generator), normal(generator, 6, 5)
    limit = 12 / torch.linalg.eigvalsh(empirical_tangent_kernel(model, x, x))[-1].item()
    settings = {"train_x": x, "train_y": normal(generator, 6), "x": x, "num_steps": 3}
    with pytest.raises(ValueError, match=f"^learning_rate must be below {limit:.6g}, where the linearization diverges"):
        linearized_outputs(model, learning_rate=1.001 * limit, **settings)
    assert torch.isfinite(linearized_outputs(model, learning_rate=0.999 * limit, **settings)).all()


# Its slopes.


def linearization(model, movement):
    """The linearized network as a function of x, by autograd."""
    weights, sizes = dict(model.named_parameters()), [weight.numel() for weight in model.parameters()]
    parts = [part.view_as(w) for part, w in zip(movement.split(sizes), weights.values(), strict=True)]
    moved = dict(zip(weights, parts, strict=True))

    def outputs(x):
        value, change = torch.func.jvp(lambda w: torch.func.functional_call(model, w, (x,)), (weights,), (moved,))
        return value + change

    return outputs


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize("num_steps", [0, 1, 7])
def test_the_slopes_of_a_linearization_are_those_that_autograd_finds(depth, num_steps, generator):
    model, x, y, test_x = network(generator, depth=depth), inputs(generator), labels(generator), inputs(generator)[:4]
    slopes, start = gradients_by_weights(model, x), model(x).detach()
    movement = torch.zeros_like(slopes[0])
    for _ in range(num_steps):
        movement = movement - 0.03 * slopes.T @ (start + slopes @ movement - y) / 6
    points = test_x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(linearization(model, movement)(points).sum(), points)
    found = linearized_gradients(model, x, y, test_x, learning_rate=0.03, num_steps=num_steps)
    assert found.shape == (4, 5)
    assert not found.requires_grad
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


def test_the_slopes_of_a_linearization_are_its_differences_where_no_mask_switches(generator):
    models, x, y, test_x = network(generator, num_networks=3), inputs(generator), labels(generator), inputs(generator)
    settings = {"learning_rate": 0.03, "num_steps": 7}
    slopes = linearized_gradients(models, x, y, test_x, **settings)
    assert slopes.shape == (3, 6, 5)
    direction = normal(generator, 5)
    ahead, behind = (linearized_outputs(models, x, y, test_x + step * direction, **settings) for step in (1e-7, -1e-7))
    torch.testing.assert_close(slopes @ direction, (ahead - behind) / 2e-7, rtol=1e-5, atol=1e-6)


def test_a_linearization_jumps_where_a_mask_switches_as_the_statement_says(generator):
    model, x, y = network(generator, depth=2), inputs(generator), labels(generator)
    inner, outer = (weight.detach() for weight in model.weights)
    # Its coefficients, from its outputs at the training points.
    settings = {"learning_rate": 0.03, "num_steps": 7}
    learnt = linearized_outputs(model, x, y, x, **settings) - model(x).detach()
    coefficients = torch.linalg.solve(empirical_tangent_kernel(model, x, x), learnt)
    point, jumps = normal(generator, 5), {}
    for index, row in enumerate(inner):
        edge = point - (point @ row) / (row @ row) * row
        step = 1e-9 * row / row.norm()
        before, after = linearized_outputs(model, x, y, torch.stack([edge - step, edge + step]), **settings)
        expected = (outer[0, index] / 1.6) ** 2 * (coefficients * (x @ row > 0)) @ (x @ edge)
        jumps[index] = expected.item()
        assert isclose((after - before).item(), expected.item(), rel_tol=1e-5, abs_tol=1e-7)
    assert max(map(abs, jumps.values())) > 1e-2


@pytest.mark.usefixtures("as_a_reader")
def test_the_slopes_refuse_what_the_outputs_refuse(generator):
    model, x, y = network(generator), inputs(generator), labels(generator)
    with pytest.raises(ValueError, match=r"^train_y must have shape \(6,\), got \(5,\)$"):
        linearized_gradients(model, x, y[:5], x, learning_rate=0.03, num_steps=2)
    with pytest.raises(ValueError, match=r"^learning_rate must be below .*, where the linearization diverges"):
        linearized_gradients(model, x, y, x, learning_rate=1e9, num_steps=2)


def test_the_flips_give_what_the_linearization_lacks(generator):
    """Stm. Linearized gradient: fixed coefficients, two layers, NTK; mean and spread of the flip term."""
    x, points, weights = normal(generator, 4), normal(generator, 3, 4), normal(generator, 3)
    apart = points - ((points @ x) / (x @ x)).unsqueeze(1) * x
    kinks = (points @ x).unsqueeze(1) * apart / (2 * pi * x.norm() * apart.norm(dim=1, keepdim=True))
    missing, spreads = weights @ kinks, []
    for width in (2**12, 2**16):
        terms = []
        for _ in range(200):
            inner, outer = sqrt(2 / width) * normal(generator, width, 4), normal(generator, width)
            moved = outer * ((inner @ points.T > 0).double() @ (weights / width * (points @ x)))
            flipped = (inner @ x + moved > 0).double() - (inner @ x > 0).double()
            terms.append((outer * flipped) @ inner)
        draws = torch.stack(terms)
        spreads.append(draws.var(dim=0).sum().item())
        shares = Estimate.from_draws((draws @ missing / missing.square().sum()).tolist())
        assert 4 * shares.standard_error < 0.3  # the smallest relative error that it catches
        assert abs(shares.z_score(1.0)) < 4
    # The variance falls like the inverse root of the width: by 4 here.
    assert 3 < spreads[0] / spreads[1] < 5.4
