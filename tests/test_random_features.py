"""Random-feature fits against pinv, ridge regression, autograd and a general-purpose optimizer."""

from math import sqrt

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from tutorial_lib.architecture import Architecture
from tutorial_lib.initializations import he
from tutorial_lib.models import ReLUMLP
from tutorial_lib.random_features import (
    adversarial_fit,
    attacked_losses,
    feature_network,
    minimum_norm_fit,
    random_directions,
)
from tutorial_lib.stability import input_jacobians

DIM, ROWS, RIDGE = 5, 12, 1e-3


def normal(generator, *shape):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def problem(generator, num_features, rows=ROWS):
    """Directions, inputs of any length, labels that no linear function gives."""
    directions = random_directions(num_features=num_features, input_dim=DIM, generator=generator)
    x = normal(generator, rows, DIM)
    return directions, x, x[:, 0] + 0.7 * normal(generator, rows)


def features(directions, x):
    return torch.relu(x @ directions.T) / sqrt(len(directions))


def objective(model, x, y, radius, ridge):
    """What the adversarial fit minimizes, gradients by autograd."""
    x = x.clone().requires_grad_()
    values = model(x)
    (gradients,) = torch.autograd.grad(values.sum(), x)
    losses = ((values - y).abs() + radius * gradients.norm(dim=1)).square()
    return (losses.mean() + ridge * model.weights[1].square().sum()).item()


def test_directions_have_length_one_and_no_preferred_direction(generator):
    directions = random_directions(num_features=4000, input_dim=3, generator=generator)
    assert torch.allclose(directions.norm(dim=1), torch.ones(4000, dtype=torch.float64))
    # Standard error of a mean coordinate: 1 / sqrt(3 * 4000) = 0.009.
    assert directions.mean(dim=0).abs().max() < 4 * 0.0092
    assert torch.allclose(directions.T @ directions / 4000, torch.eye(3).double() / 3, atol=0.025)


def test_the_network_worked_out_by_hand():
    directions = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, -1.0]], dtype=torch.float64)
    model = feature_network(directions, torch.tensor([2.0, -1.0, 5.0], dtype=torch.float64))
    x = torch.tensor([[3.0, 1.0]], dtype=torch.float64)  # signals 3, 2.6, -1
    assert torch.allclose(model(x), torch.tensor([(2 * 3 - 2.6) / sqrt(3)]).double())
    assert torch.allclose(input_jacobians(model, x).flatten(), torch.tensor([2 - 0.6, -0.8]).double() / sqrt(3))


@pytest.mark.parametrize("num_features", [ROWS, 17, 60])
def test_with_enough_features_the_fit_interpolates(num_features, generator):
    directions, x, y = problem(generator, num_features)
    assert torch.linalg.matrix_rank(features(directions, x)) == ROWS
    assert torch.allclose(minimum_norm_fit(directions, x, y)(x), y, atol=1e-8)


@pytest.mark.parametrize("num_features", [4, 11, 12, 13, 60])
def test_the_fit_is_the_pseudoinverse_times_the_labels(num_features, generator):
    directions, x, y = problem(generator, num_features)
    outer = minimum_norm_fit(directions, x, y).weights[1][0]
    assert torch.allclose(outer, torch.linalg.pinv(features(directions, x)) @ y)


@pytest.mark.parametrize("num_features", [9, 12, 40])
def test_a_feature_that_is_zero_on_all_rows_gets_no_weight(num_features, generator):
    directions, x, y = problem(generator, num_features)
    x, directions[::4] = x.abs(), -directions[::4].abs()  # such features are common on images
    table = features(directions, x)
    dead = (table == 0).all(dim=0)
    assert 0 < dead.sum() < num_features
    outer = minimum_norm_fit(directions, x, y).weights[1][0]
    assert outer[dead].abs().max() < 1e-12
    assert torch.allclose(outer, torch.linalg.pinv(table) @ y)


@given(seed=st.integers(0, 2**30), num_features=st.integers(ROWS + 1, 40))
def test_no_other_interpolation_has_smaller_weights(seed, num_features):
    generator = torch.Generator().manual_seed(seed)
    directions, x, y = problem(generator, num_features)
    outer = minimum_norm_fit(directions, x, y).weights[1][0].detach()
    table = features(directions, x)
    other = normal(generator, num_features)
    other -= torch.linalg.pinv(table) @ (table @ other)  # does not change f on the rows
    assert torch.allclose(table @ (outer + other), table @ outer, atol=1e-7)
    assert (outer + other).norm() >= outer.norm() * (1 - 1e-9)


def test_attacked_losses_worked_out_by_hand():
    directions = torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    model = feature_network(directions, torch.tensor([2.0], dtype=torch.float64))  # f(3, 4) = 10, gradient of length 2
    x, y = torch.tensor([[3.0, 4.0]], dtype=torch.float64), torch.tensor([9.0], dtype=torch.float64)
    assert torch.allclose(attacked_losses(model, x, y, radius=0.25), torch.tensor([(1 + 0.25 * 2) ** 2]).double())


def test_attacked_losses_are_the_largest_of_the_tangent_plane(generator):
    directions, x, y = problem(generator, 30)
    model = minimum_norm_fit(directions, x, 0.5 * y)
    gradients = input_jacobians(model, x)[:, 0]
    steps = torch.nn.functional.normalize(normal(generator, 3000, 1, DIM), dim=-1)
    ends = (model(x).detach() - y + 0.3 * (steps * gradients).sum(dim=-1)).square()
    largest = attacked_losses(model, x, y, radius=0.3)
    assert (ends <= largest * (1 + 1e-12)).all()
    assert (ends.max(dim=0).values > 0.95 * largest).all()


def test_the_function_zero_pays_the_mean_square_of_the_labels_at_every_radius(generator):
    directions, x, y = problem(generator, 7, rows=40)
    zero = feature_network(directions, torch.zeros(7, dtype=torch.float64))
    for radius in (0, 0.3, 100.0):
        assert torch.allclose(attacked_losses(zero, x, y, radius=radius), y.square())


@pytest.mark.parametrize("num_features", [6, 12, 40])
def test_radius_zero_is_ridge_regression(num_features, generator):
    directions, x, y = problem(generator, num_features)
    fitted = adversarial_fit(directions, x, y, radius=0, ridge=RIDGE, num_steps=4)
    table = features(directions, x)
    matrix = table.T @ table + ROWS * RIDGE * torch.eye(num_features, dtype=torch.float64)
    assert torch.allclose(fitted.weights[1][0], torch.linalg.solve(matrix, table.T @ y), rtol=1e-5)


def test_a_huge_radius_forces_the_function_zero(generator):
    directions, x, y = problem(generator, 6)
    fitted = adversarial_fit(directions, x, y, radius=1e4, ridge=RIDGE, num_steps=50)
    assert fitted(x).abs().max() < 1e-3


@pytest.mark.parametrize("num_features", [6, 12, 40])
def test_no_step_makes_the_objective_larger(num_features, generator):
    directions, x, y = problem(generator, num_features)
    settings = {"radius": 0.4, "ridge": RIDGE}
    values = [
        objective(adversarial_fit(directions, x, y, **settings, num_steps=steps), x, y, *settings.values())
        for steps in (1, 2, 3, 5, 10, 20, 40)
    ]
    assert all(after <= before * (1 + 1e-9) for before, after in zip(values, values[1:], strict=False))
    assert values[0] > 1.001 * values[-1]


@pytest.mark.parametrize("num_features", [6, 12, 40])
def test_a_general_purpose_optimizer_finds_nothing_better(num_features, generator):
    directions, x, y = problem(generator, num_features)
    fitted = adversarial_fit(directions, x, y, radius=0.4, ridge=RIDGE, num_steps=300)

    def value(outer):
        return objective(feature_network(directions, torch.from_numpy(outer)), x, y, 0.4, RIDGE)

    found = fitted.weights[1][0].detach().numpy()
    search = minimize(value, found, method="Powell", options={"maxiter": 30, "xtol": 1e-6, "ftol": 1e-9})
    assert search.fun > value(found) * (1 - 1e-4)
    # Nor do random steps, small or large.
    rng = np.random.default_rng(0)
    for size in (1e-3, 1e-1):
        assert min(value(found + size * rng.standard_normal(num_features)) for _ in range(50)) > value(found)


def test_the_dtype_of_the_data_is_kept(generator):
    directions, x, y = (tensor.float() for tensor in problem(generator, 20))
    for fitted in (
        minimum_norm_fit(directions, x, y),
        adversarial_fit(directions, x, y, radius=0.1, ridge=RIDGE, num_steps=3),
    ):
        assert fitted(x).dtype == torch.float32


def test_a_row_on_which_nothing_can_be_lost_changes_nothing_but_the_mean(generator):
    directions, x, y = problem(generator, 20)
    settings = {"radius": 0.2, "num_steps": 5}
    alone = adversarial_fit(directions, x, y, ridge=RIDGE, **settings)
    # At x = 0 every f and its gradient are 0: neither part of the loss has a share.
    x, y = torch.cat([x, torch.zeros(1, DIM).double()]), torch.cat([y, torch.zeros(1).double()])
    fitted = adversarial_fit(directions, x, y, ridge=RIDGE * ROWS / (ROWS + 1), **settings)
    assert torch.allclose(fitted.weights[1], alone.weights[1])


@pytest.mark.parametrize("radius", [0, 1e-8, 0.1])
def test_float32_data_give_the_fit_of_float64(radius, generator):
    directions, x, y = (tensor.float() for tensor in problem(generator, 20))
    settings = {"radius": radius, "ridge": RIDGE, "num_steps": 5}
    exact = adversarial_fit(directions.double(), x.double(), y.double(), **settings)(x.double())
    assert torch.allclose(adversarial_fit(directions, x, y, **settings)(x).double(), exact, atol=1e-5)


def test_a_network_owns_its_weights(generator):
    directions, x, y = problem(generator, 20)
    before = directions.clone()
    minimum_norm_fit(directions, x, y).weights[0].data.zero_()
    assert torch.equal(directions, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"radius": -0.1}, r"radius must be a finite number >= 0, got -0.1"),
        ({"radius": float("nan")}, r"radius must be a finite number >= 0, got nan"),
        ({"ridge": 0.0}, r"ridge must be a finite number > 0, got 0.0"),
        ({"num_steps": 0}, r"num_steps must be an integer >= 1, got 0"),
        ({"y": torch.zeros(3).double()}, r"y must have shape \(12,\), one label per row of x, got \(3,\)"),
        ({"y": torch.full((12,), torch.nan).double()}, r"y must be finite, got nan or infinity"),
        ({"x": torch.full((12, 5), torch.inf).double()}, r"x must be finite, got nan or infinity"),
        ({"x": torch.zeros(12, 4).double()}, r"shapes \(features, dim\) and \(batch, dim\), got \(20, 5\) and \(12, 4"),
        ({"x": torch.zeros(0, 5).double()}, r"got \(20, 5\) and \(0, 5\)"),
    ],
)
def test_bad_arguments_are_named(change, message, generator, as_a_reader):  # noqa: ARG001
    directions, x, y = problem(generator, 20)
    settings = {"directions": directions, "x": x, "y": y, "radius": 0.1, "ridge": 0.1, "num_steps": 1} | change
    with pytest.raises(ValueError, match=message):
        adversarial_fit(**settings)


def test_bad_weights_and_bad_counts_are_named(generator, as_a_reader):  # noqa: ARG001
    directions, x, y = problem(generator, 20)
    with pytest.raises(ValueError, match=r"\(features, dim\) and \(features,\), got \(20, 5\) and \(4,\)"):
        feature_network(directions, torch.zeros(4).to(directions))
    with pytest.raises(ValueError, match="num_features must be an integer >= 1, got 0"):
        random_directions(num_features=0, input_dim=3, generator=generator)
    with pytest.raises(ValueError, match="radius must be a finite number >= 0, got -1"):
        attacked_losses(minimum_norm_fit(directions, x, y), x, y, radius=-1)
    with pytest.raises(ValueError, match="directions must be finite, got nan or infinity"):
        feature_network(directions * torch.nan, torch.zeros(20).double())
    with pytest.raises(ValueError, match="one label per row"):
        minimum_norm_fit(directions, x, y[:3])
    with pytest.raises(ValueError, match=r"^y must have shape \(12,\), one label per row of x, got \(12, 1\)$"):
        attacked_losses(minimum_norm_fit(directions, x, y), x, y.unsqueeze(1), radius=0.1)


def test_attacked_losses_are_those_of_one_network_with_one_output(generator):
    x, y = normal(generator, 3, DIM), normal(generator, 3)
    shape = Architecture(input_dim=DIM, width=4, depth=3)
    ensemble = ReLUMLP(he(shape), shape, num_networks=2, generator=generator)
    with pytest.raises(ValueError, match="^model must be one network, got an ensemble of 2$"):
        attacked_losses(ensemble, x, y, radius=0.1)
    shape = shape.replace(output_dim=2)
    with pytest.raises(ValueError, match="^architecture must have output_dim 1 here, got Architecture"):
        attacked_losses(ReLUMLP(he(shape), shape, generator=generator), x, y, radius=0.1)


def test_attacked_losses_of_a_deep_network_are_those_of_its_tangent_plane(generator):
    x, y, shape = normal(generator, 3, DIM), normal(generator, 3), Architecture(input_dim=DIM, width=4, depth=3)
    model = ReLUMLP(he(shape), shape, generator=generator)
    assert attacked_losses(model, x, y, radius=0.3).mean().item() == pytest.approx(objective(model, x, y, 0.3, 0))
