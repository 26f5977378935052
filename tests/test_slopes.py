"""Slopes beyond the average: by hand where they are known, and in the order that must hold everywhere."""

from math import inf, sqrt

import pytest
import torch

from tutorial_lib.architecture import Architecture
from tutorial_lib.initializations import he
from tutorial_lib.models import ReLUMLP
from tutorial_lib.slopes import flip_distances, lipschitz_bound, steepest_found, survives_attack
from tutorial_lib.stability import input_jacobians


def network(first, last, divisor=1.0):
    weights = [torch.tensor(first, dtype=torch.float64), torch.tensor([last], dtype=torch.float64)]
    return ReLUMLP.from_weights(weights, output_divisor=divisor)


# f(x) = 3 max(x_1, 0) + max(x_2, 0): slopes 0, 1, 3 and, where both are positive, sqrt(10).
QUADRANTS = network([[3.0, 0.0], [0.0, 1.0]], [1.0, 1.0])
# f(x) = 3 x_1 + 4 x_2, as two neurons that mirror each other.
PLANE = network([[3.0, 4.0], [-3.0, -4.0]], [1.0, -1.0])


@pytest.fixture
def ensemble(generator):
    shape = Architecture(input_dim=5, width=7, depth=4)
    return ReLUMLP(he(shape), shape, num_networks=3, generator=generator, output_divisor=0.5)


@pytest.fixture
def x(generator):
    return torch.randn((20, 5), generator=generator, dtype=torch.float64)


def test_the_bound_is_the_product_of_spectral_norms_over_the_divisor():
    assert lipschitz_bound(QUADRANTS).item() == pytest.approx(3 * sqrt(2))
    assert lipschitz_bound(network([[3.0, 0.0], [0.0, 1.0]], [3.0, 4.0], divisor=2.0)).item() == pytest.approx(7.5)


def test_the_search_finds_the_steepest_quadrant_from_another_one(generator):
    start = torch.tensor([[1.0, -0.3]], dtype=torch.float64)
    assert steepest_found(QUADRANTS, start, generator=generator).item() == pytest.approx(sqrt(10))


def test_average_found_and_bound_stand_in_that_order(ensemble, x, generator):
    lengths = input_jacobians(ensemble, x).squeeze(-2).norm(dim=-1)
    found, bound = steepest_found(ensemble, x, generator=generator), lipschitz_bound(ensemble)
    assert found.shape == bound.shape == (3,)
    assert bool((lengths.max(dim=1).values <= found).all()) and bool((found <= bound).all())


def test_the_distance_to_a_flip_is_that_to_the_plane():
    x = torch.tensor([[1.0, 0.0], [-1.0, 2.0]], dtype=torch.float64)
    assert torch.allclose(flip_distances(PLANE, x), torch.tensor([3 / 5, 1.0], dtype=torch.float64))


def test_where_nothing_moves_no_step_flips():
    x = torch.tensor([[-1.0, -1.0]], dtype=torch.float64)
    assert flip_distances(QUADRANTS, x).tolist() == [inf]
    assert survives_attack(QUADRANTS, x, radius=0.5).tolist() == [True]


@pytest.mark.parametrize(("radius", "kept"), [(0.5999, [True, True]), (0.6001, [False, True]), (1.01, [False, False])])
def test_an_attack_on_a_plane_succeeds_from_the_distance_on(radius, kept):
    x = torch.tensor([[1.0, 0.0], [-1.0, 2.0]], dtype=torch.float64)
    assert survives_attack(PLANE, x, radius=radius, num_steps=3).tolist() == kept


def test_an_attack_stays_within_its_radius(ensemble, x):
    bound = lipschitz_bound(ensemble)
    safe = ensemble(x).abs() / bound.unsqueeze(1) > 0.05
    assert bool(safe.any())
    assert bool(survives_attack(ensemble, x, radius=0.05)[safe].all())


def test_an_ensemble_is_its_networks_one_by_one(ensemble, x):
    together = survives_attack(ensemble, x, radius=0.3), flip_distances(ensemble, x), lipschitz_bound(ensemble)
    for place in range(3):
        weights = [weight.detach()[place] for weight in ensemble.weights]
        one = ReLUMLP.from_weights(weights, output_divisor=ensemble.output_divisor)
        alone = survives_attack(one, x, radius=0.3), flip_distances(one, x), lipschitz_bound(one)
        assert all(torch.allclose(a[place].double(), b.double()) for a, b in zip(together, alone, strict=True))


def test_messages_name_what_is_wrong(generator):
    x = torch.ones((2, 2), dtype=torch.float64)
    with pytest.raises(ValueError, match="radius must be .*> 0, got 0"):
        survives_attack(PLANE, x, radius=0)
    with pytest.raises(ValueError, match="num_rounds"):
        steepest_found(PLANE, x, generator=generator, num_rounds=0)
    with pytest.raises(ValueError, match="num_steps"):
        survives_attack(PLANE, x, radius=1.0, num_steps=0)
    shape = Architecture(input_dim=2, width=3, depth=2, output_dim=2)
    two = ReLUMLP(he(shape), shape, generator=generator)
    with pytest.raises(ValueError, match="output_dim"):
        flip_distances(two, x)
