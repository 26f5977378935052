"""Gradient flow against a solver of scipy, gradient descent of ever smaller steps, and what the flow conserves."""

from math import isclose, nan, sqrt

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from tutorial_lib.architecture import Architecture
from tutorial_lib.gradient_flow import follow_gradient_flow
from tutorial_lib.initializations import LayerStds, he
from tutorial_lib.laziness import empirical_tangent_kernel
from tutorial_lib.models import ReLUMLP
from tutorial_lib.training import CROSS_ENTROPY, HALF_SQUARE, train

STDS = LayerStds(first=0.7, hidden=0.6, last=0.9)
SHAPE = Architecture(input_dim=5, width=16, depth=3)
LEVELS = (0.3, 0.2, 0.1)


def normal(generator, *shape):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def data(generator, rows=9):
    x = normal(generator, rows, 5)
    return x, 1.5 * x.sum(dim=1).tanh()  # what any of the small networks here can learn


def networks(generator, *, num_networks=None, stds=STDS, **sizes):
    return ReLUMLP(stds, SHAPE.replace(**sizes), output_divisor=1.6, num_networks=num_networks, generator=generator)


def copy(models):
    return ReLUMLP.from_weights(list(models.weights), output_divisor=models.output_divisor)


def first_weights(models, members):  # noqa: ARG001
    return {"first": models.weights[0].detach().flatten(1).norm(dim=1)}


@pytest.mark.parametrize("loss", [HALF_SQUARE, CROSS_ENTROPY])
def test_times_and_weights_are_those_of_a_solver_of_scipy(loss, generator):
    x, outputs = normal(generator, 9, 5), 1 if loss is HALF_SQUARE else 3
    y = normal(generator, 9).sign() if outputs == 1 else torch.eye(3).double()[[0, 1, 2] * 3]
    model = networks(generator, output_dim=outputs)
    shapes = [tuple(weight.shape) for weight in model.weights]
    start = np.concatenate([weight.detach().numpy().ravel() for weight in model.weights])

    def loss_at(flat):
        parts = np.split(flat, np.cumsum([np.prod(shape) for shape in shapes])[:-1])
        weights = [
            torch.tensor(part.reshape(shape), requires_grad=True) for part, shape in zip(parts, shapes, strict=True)
        ]
        hidden = x
        for weight in weights[:-1]:
            hidden = torch.relu(hidden @ weight.T)
        value = hidden @ weights[-1].T / 1.6
        mean = (
            (value.squeeze(1) - y).square().mean() / 2
            if outputs == 1
            else torch.nn.functional.cross_entropy(value, y.argmax(dim=1))
        )
        return mean, weights

    def slope(time, flat):  # noqa: ARG001
        mean, weights = loss_at(flat)
        return -np.concatenate([g.numpy().ravel() for g in torch.autograd.grad(mean, weights)])

    level = 0.6 * loss_at(start)[0].item()

    def crossing(time, flat):  # noqa: ARG001
        return loss_at(flat)[0].item() - level

    crossing.terminal = True
    solved = solve_ivp(slope, (0, 1000), start, events=crossing, method="RK23", rtol=1e-5, atol=1e-8)
    flowed = follow_gradient_flow(model, x, y, levels=[level], tolerance=1e-5, loss=loss)
    assert isclose(flowed.time.item(), solved.t_events[0][0], rel_tol=2e-3)
    end = np.concatenate([weight.detach().numpy().ravel() for weight in model.weights])
    moved = np.linalg.norm(end - start)
    assert np.linalg.norm(end - solved.y_events[0][0]) < 2e-3 * moved


def test_gradient_descent_approaches_the_flow_in_proportion_to_its_step(generator):
    (x, y), start = data(generator), networks(generator)
    flowed = follow_gradient_flow(copy(start), x, y, levels=[0.2], tolerance=1e-4)
    errors = []
    for rate in (0.04, 0.02, 0.01, 0.005):
        record_at = range(round(2 * flowed.time.item() / rate))
        losses = torch.stack(
            [
                row["loss"]
                for row in train(
                    copy(start), x, y, learning_rate=rate, num_steps=len(record_at), record_at=record_at
                ).rows
            ]
        ).flatten()
        after = int((losses <= 0.2).nonzero()[0])
        part = (losses[after - 1] - 0.2) / (losses[after - 1] - losses[after])
        errors.append(abs(rate * (after - 1 + part.item()) - flowed.time.item()))
    slope = np.polyfit(np.log([0.04, 0.02, 0.01, 0.005]), np.log(errors), 1)[0]
    assert abs(slope - 1) < 0.15


def test_balance_of_consecutive_layers_is_conserved_to_tolerance(generator):
    # Of each hidden neuron: squared length of what comes in less that of what goes out.
    def balances(models):
        weights = [weight.detach() for weight in models.weights]
        pairs = zip(weights, weights[1:], strict=False)
        return torch.cat([a.square().sum(dim=-1) - b.square().sum(dim=-2) for a, b in pairs], dim=-1)

    (x, y), start = data(generator), networks(generator, num_networks=3, depth=4)
    drifts = []
    for tolerance in (0.03, 0.003):
        models = copy(start)
        follow_gradient_flow(models, x, y, levels=[0.05], tolerance=tolerance)
        scale = sum(weight.detach().square().sum() for weight in models.weights) / 3
        drifts.append(((balances(models) - balances(start)).abs().max() / scale).item())
    assert drifts[0] < 1e-5  # of all squared weights
    assert drifts[1] < drifts[0]


def test_a_tighter_tolerance_changes_times_by_less_than_the_tolerance(generator):
    (x, y), start = data(generator), networks(generator, num_networks=4)
    loose, tight = (
        follow_gradient_flow(copy(start), x, y, levels=LEVELS, measure=first_weights, tolerance=tolerance)
        for tolerance in (0.01, 0.001)
    )
    torch.testing.assert_close(loose.time, tight.time, rtol=0.01, atol=0)
    torch.testing.assert_close(loose.measured["first"], tight.measured["first"], rtol=0.01, atol=0)
    assert (tight.num_steps > 2 * loose.num_steps).all()


def test_networks_are_measured_where_their_loss_is_that_of_the_level(generator):
    (x, y), models, seen = data(generator), networks(generator, num_networks=4), []

    def measure(present, members):
        losses = (present(x) - y).square().mean(dim=1).detach() / 2
        seen.append((members.tolist(), losses))
        return {"loss": losses, "place": members}

    flowed = follow_gradient_flow(models, x, y, levels=LEVELS, measure=measure)
    assert flowed.reached.all()
    torch.testing.assert_close(flowed.measured["loss"], torch.tensor([LEVELS] * 4).double(), rtol=5e-3, atol=0)
    torch.testing.assert_close(flowed.measured["place"], torch.arange(4).double().unsqueeze(1).expand(4, 3))
    assert sorted(member for members, _ in seen for member in members) == sorted([0, 1, 2, 3] * 3)
    torch.testing.assert_close(
        (models(x) - y).square().mean(dim=1) / 2, torch.full((4,), 0.1).double(), rtol=5e-3, atol=0
    )
    assert (flowed.time[:, 1:] > flowed.time[:, :-1]).all()


def test_members_flow_as_if_they_were_alone(generator):
    (x, y), models = data(generator), networks(generator, num_networks=3)
    alone = [ReLUMLP.from_weights([w[index] for w in models.weights], output_divisor=1.6) for index in range(3)]
    together = follow_gradient_flow(models, x, y, levels=LEVELS, measure=first_weights)
    for index, model in enumerate(alone):
        single = follow_gradient_flow(
            model, x, y, levels=LEVELS, measure=lambda n, _: {"first": n.weights[0].flatten(1).norm(dim=1)}
        )
        torch.testing.assert_close(single.time[0], together.time[index], rtol=1e-7, atol=0)
        torch.testing.assert_close(single.measured["first"][0], together.measured["first"][index], rtol=1e-7, atol=0)
        assert single.num_steps == together.num_steps[index]
        torch.testing.assert_close(model.weights[0], models.weights[0][index], rtol=1e-7, atol=1e-12)


def test_who_does_not_arrive_is_told_and_keeps_what_it_learnt(generator):
    x, y = normal(generator, 9, 5).abs(), torch.ones(9).double()
    models = networks(generator, num_networks=3)
    models.weights[0].data[1] = -models.weights[0].data[1].abs()  # no neuron is active on positive inputs
    for weight in models.weights:
        weight.data[2] *= 1e-4  # starts so small that it needs more than the steps allowed
    before = [weight.detach().clone() for weight in models.weights]
    flowed = follow_gradient_flow(models, x, y, levels=[0.51, 0.3], measure=first_weights, max_steps=30)
    assert flowed.stuck.tolist() == [False, True, False]
    assert flowed.reached[:, 1].tolist()[1:] == [False, False]
    assert flowed.reached[1].tolist() == [True, False]
    assert flowed.time[1, 0] == 0
    assert torch.isnan(flowed.measured["first"][1:, 1]).all()
    assert flowed.num_steps[1] == 0
    assert flowed.num_steps.max() <= 30
    assert torch.equal(models.weights[0][1], before[0][1])
    assert not torch.equal(models.weights[0][2], before[0][2])


def test_levels_above_the_first_loss_are_reached_at_time_0(generator):
    (x, y), models = data(generator), networks(generator, num_networks=2)
    first = ((models(x) - y).square().mean(dim=1) / 2).detach()
    levels = [2 * first.max().item(), 0.9 * first.min().item()]
    flowed = follow_gradient_flow(models, x, y, levels=levels, measure=first_weights)
    assert flowed.time[:, 0].tolist() == [0, 0]
    assert (flowed.time[:, 1] > 0).all()
    resting = networks(generator)
    before = [weight.detach().clone() for weight in resting.weights]
    assert follow_gradient_flow(resting, x, y, levels=[1e6]).time.tolist() == [[0]]
    assert all(torch.equal(weight, start) for weight, start in zip(resting.weights, before, strict=True))


def test_wide_networks_reach_their_levels_when_the_lazy_limit_says(generator):
    # The loss of a lazy network is known at every time: half the mean square of exp(-K t / n) (f_0 - y).
    shape = Architecture(input_dim=5, width=4096, depth=2)
    models = ReLUMLP(he(shape), shape, num_networks=2, generator=generator)
    x, y = data(generator, rows=6)
    kernels, starts = empirical_tangent_kernel(models, x, x), models(x).detach()
    flowed = follow_gradient_flow(models, x, y, levels=LEVELS, tolerance=1e-3)
    for kernel, start, times in zip(kernels, starts, flowed.time, strict=True):
        for level, time in zip(LEVELS, times, strict=True):
            left = torch.linalg.matrix_exp(-kernel * time / 6) @ (start - y)
            assert isclose(left.square().mean().item() / 2, level, rel_tol=0.03)


def test_nothing_of_the_callers_is_changed_but_the_weights(generator):
    (x, y), models, state = data(generator), networks(generator, num_networks=2), torch.get_rng_state()
    x_before, y_before = x.clone(), y.clone()
    follow_gradient_flow(models, x.requires_grad_(), y, levels=[0.3])
    assert torch.equal(x.detach(), x_before)
    assert torch.equal(y, y_before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.usefixtures("as_a_reader")
@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (
            {"levels": []},
            TypeError,
            r"^levels must be a sequence of one or more training losses, such as \[0.4, 0.1\], got \[\]$",
        ),
        (
            {"levels": 0.1},
            TypeError,
            r"^levels must be a sequence of one or more training losses, such as \[0.4, 0.1\], got 0.1$",
        ),
        ({"levels": [0.1, 0.1]}, ValueError, r"^levels must decrease, the largest loss first, got \[0.1, 0.1\]$"),
        ({"levels": [0.1, 0.0]}, ValueError, r"^levels must be a finite number > 0, got 0.0$"),
        ({"tolerance": nan}, ValueError, "^tolerance must be a finite number > 0, got nan$"),
        ({"max_steps": 0}, ValueError, "^max_steps must be an integer >= 1, got 0$"),
        ({"measure": 3}, TypeError, "^measure must be a function, got 3$"),
        ({"y": torch.ones(4).double()}, ValueError, r"^y must have shape \(9,\), one label per row of x, got \(4,\)$"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, error, message, generator):
    x, y = data(generator)
    with pytest.raises(error, match=message):
        follow_gradient_flow(networks(generator), **({"x": x, "y": y, "levels": LEVELS} | wrong))


def test_networks_that_start_with_an_infinite_loss_are_refused(generator):
    (x, y), models = data(generator), networks(generator)
    models.weights[-1].data *= 1e200
    with pytest.raises(ValueError, match="^networks must have a finite loss at the start, got nan or infinity$"):
        follow_gradient_flow(models, x, y, levels=LEVELS)


def test_the_error_of_a_mean_over_networks_is_larger_than_that_of_the_tolerance(generator):
    (x, y), start = data(generator, rows=30), networks(generator, num_networks=16, width=16)
    means = []
    for tolerance in (0.01, 0.005):
        found = follow_gradient_flow(copy(start), x, y, levels=[0.2], measure=first_weights, tolerance=tolerance)
        means.append(found.measured["first"].mean().item())
        error = found.measured["first"].std().item() / sqrt(16)
    assert abs(means[0] - means[1]) < 0.25 * error
