"""Silent starts: what one network after another gives by hand, and the bound of Stm. Silent phase."""

from math import exp, isclose, isnan, log

import pytest
import torch

from tutorial_lib.book.data import load
from tutorial_lib.book.silent_start import silent_networks, silent_rows, stability_over_time
from tutorial_lib.estimates import Estimate
from tutorial_lib.exact import mean_abs_coordinate
from tutorial_lib.gradient_flow import follow_gradient_flow
from tutorial_lib.laziness import lazy_ratio
from tutorial_lib.models import ReLUMLP
from tutorial_lib.phase_diagram import occupied_directions
from tutorial_lib.stability import perturbation_stability

SIZES = {"width": 9, "num_networks": 3}


@pytest.fixture(scope="module")
def split():
    return load(num_train=40, num_test=30)


def one_by_one(split, exponent, **settings):
    networks = silent_networks([exponent], split, **SIZES, **settings)
    return [ReLUMLP.from_weights([weight[place] for weight in networks.weights]) for place in range(3)]


def test_exponents_share_their_gaussians(split):
    networks = silent_networks([0.5, 1.75], split, width=16, num_networks=4, seed=3)
    assert networks.num_networks == 8
    for weight in networks.weights:
        assert torch.allclose(weight[:4], 16**1.25 * weight[4:])
    other = silent_networks([0.5], split, width=16, num_networks=4, seed=4)
    assert not torch.isclose(other.weights[0], networks.weights[0][:4]).any()


def test_rows_are_the_flow_of_one_network_after_another(split):
    levels, seen = (0.45, 0.3), [[], []]
    rows = silent_rows(0.8, split, **SIZES, levels=levels, seed=2)
    for network in one_by_one(split, 0.8, seed=2):
        initial, passed = ReLUMLP.from_weights(network.weights), []

        def note(some, _members, passed=passed):
            passed.append(ReLUMLP.from_weights([weight[0] for weight in some.weights]))
            return {}

        times = follow_gradient_flow(network, split.train_x, split.train_y, levels=levels, measure=note).time[0]
        for place, now in enumerate(passed):
            inner, outer = now.weights
            seen[place].append(
                {
                    "time": times[place].item(),
                    "stability": perturbation_stability(now, split.test_x).mean,
                    "accuracy": (now(split.test_x).sign() == split.test_y).double().mean().item(),
                    "lazy_ratio": lazy_ratio(initial, now).item(),
                    "directions": occupied_directions(now).item(),
                    "size": sum(abs(a) * w.norm() for a, w in zip(outer[0], inner, strict=True)).item(),
                }
            )
    for row, level, networks in zip(rows, levels, seen, strict=True):
        assert (row.exponent, row.width, row.level, row.num_networks, row.num_reached) == (0.8, 9, level, 3, 3)
        for name in networks[0]:
            expected = Estimate.from_draws([found[name] for found in networks])
            assert isclose(getattr(row, name).mean, expected.mean, rel_tol=1e-6), name
            assert isclose(getattr(row, name).standard_error, expected.standard_error, rel_tol=1e-4), name


def test_a_level_that_nobody_reaches_has_a_row_of_nothing(split):
    (row,) = silent_rows(1.0, split, **SIZES, levels=[1e-4], max_steps=5)
    assert (row.num_networks, row.num_reached) == (3, 0)
    for name in ("time", "stability", "accuracy", "lazy_ratio", "directions", "size"):
        assert isnan(getattr(row, name).mean) and getattr(row, name).num_draws == 0


def test_stability_over_time_is_gradient_descent_of_one_network_after_another(split):
    values = stability_over_time([1.0, 0.6], split, **SIZES, times=[0, 1.5, 0.5], step=0.5, seed=1)
    assert values.shape == (3, 2, 3)
    for place, network in enumerate(one_by_one(split, 0.6, seed=1)):
        weights = [weight.detach().clone().requires_grad_() for weight in network.weights]
        for step in range(4):
            if step in (0, 1, 3):
                found = values[{0: 0, 3: 1, 1: 2}[step], 1, place]
                assert isclose(found, perturbation_stability(ReLUMLP.from_weights(weights), split.test_x).mean)
            outputs = (torch.relu(split.train_x @ weights[0].T) @ weights[1].T).squeeze(1)
            gradients = torch.autograd.grad((outputs - split.train_y).square().mean() / 2, weights)
            weights = [(w - 0.5 * g).detach().requires_grad_() for w, g in zip(weights, gradients, strict=True)]


def test_times_between_steps_are_refused(split):
    with pytest.raises(ValueError, match=r"^times must be multiples of step = 0.5, got \[0, 0.7\]$"):
        stability_over_time([1.0], split, **SIZES, times=[0, 0.7], step=0.5)
    with pytest.raises(ValueError, match="^step must be"):
        stability_over_time([1.0], split, **SIZES, times=[0], step=0)


# The statements page: Stm. Silent phase, on three points of the circle, where G can be found on a grid.


def circle():
    """Inputs, labels, a grid of directions, G and where it is."""
    angles, y = torch.tensor([0.3, 1.4, 4.0]).double(), torch.tensor([1.0, 0.7, -0.4]).double()
    x = torch.stack([angles.cos(), angles.sin()], dim=1)
    grid = torch.linspace(0, 2 * torch.pi, 100_001, dtype=torch.float64)
    directions = torch.stack([grid.cos(), grid.sin()], dim=1)
    heights = (torch.relu(directions @ x.T) @ y / 3).abs()
    return x, y, directions, heights.max().item(), directions[heights.argmax()]


def steps_of_flow(weights, x, y, *, step):
    """Yield time, weights and outputs along small steps of gradient descent, for ever."""
    time = 0.0
    while True:
        inner, outer = weights
        hidden = torch.relu(x @ inner.T)
        outputs = (hidden @ outer.T).squeeze(1)
        yield time, weights, outputs
        signals = ((outputs - y).unsqueeze(1) * outer) * (hidden > 0)
        weights = [inner - step * signals.T @ x / 3, outer - step * ((outputs - y) @ hidden).unsqueeze(0) / 3]
        time += step


@pytest.mark.parametrize("small", [0.02, 0.2])
def test_a_silent_network_keeps_below_its_bound_and_is_silent_as_long_as_promised(small):
    x, y, directions, largest, _ = circle()
    stream = torch.Generator().manual_seed(5)
    weights = [3e-3 * torch.randn(sizes, generator=stream, dtype=torch.float64) for sizes in ((6, 2), (1, 6))]
    start = sum(weight.square().sum().item() for weight in weights)
    promised = log(2 * small / start) / (2 * (largest + small))
    for time, now, outputs in steps_of_flow(weights, x, y, step=0.01):
        if time > promised:
            break
        assert outputs.abs().max() <= small
        bound = mean_abs_coordinate(2) / 2 * start * exp(2 * (largest + small) * time)
        assert perturbation_stability(ReLUMLP.from_weights(now), directions[::5000]).mean <= bound
    assert promised > 5


def test_a_neuron_at_the_top_reaches_the_bound():
    x, y, _, largest, top = circle()
    start = 2 * 1e-4**2
    weights = [1e-4 * top.unsqueeze(0), torch.full((1, 1), 1e-4).double()]
    time, now, _ = next(entry for entry in steps_of_flow(weights, x, y, step=1e-3) if entry[0] > 3)
    stability = perturbation_stability(ReLUMLP.from_weights(now), top.unsqueeze(0)).mean
    assert isclose(stability, mean_abs_coordinate(2) / 2 * start * exp(2 * largest * time), rel_tol=3e-3)
