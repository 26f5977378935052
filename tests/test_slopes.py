"""Slopes beyond the average: by hand where they are known, and in the order that must hold everywhere."""

from math import copysign, cos, inf, radians, sin, sqrt

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
    found = steepest_found(QUADRANTS, start, generator=generator)
    assert found.shape == ()
    assert found.item() == pytest.approx(sqrt(10), rel=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_climb_leads_where_no_neighbour_is(sign, generator):
    # f = 1/2 max(x_1, 0) + max(x_1 + 4 x_2, 0) - 3/4 max(x_3, 0) - max(x_3 + 2 x_4, 0), over 8. From the first row the
    # gradient leads to where both neurons of the plus are on; two rounds of neighbours reach 59 degrees at most,
    # and from no row those are nearer than 70. The other rows: f < 0 and larger, f = 0, no slope.
    first = [[1.0, 0.0, 0.0, 0.0], [1.0, 4.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 2.0]]
    valleys = network(first, [sign * weight for weight in (0.5, 1.0, -0.75, -1.0)], divisor=8.0)
    rows = [[0.06, -1.0, 0.02, -0.02], [-0.01, -1.0, 0.1, -0.1], [3.0, -100.0, 2.0, -2.0], [-0.01, -1.0, -0.01, -0.01]]
    x = torch.tensor(rows, dtype=torch.float64)
    at_once, found = (steepest_found(valleys, x, generator=generator, num_rounds=rounds).item() for rounds in (1, 2))
    assert found == pytest.approx(sqrt(1.5**2 + 4**2) / 8, rel=1e-12)
    assert at_once < 0.8 * found


@pytest.mark.parametrize(("degrees", "reached"), [(25, True), (35, False)])
def test_the_first_neighbours_are_within_30_degrees(degrees, reached, generator):
    start, bend = torch.tensor([[1.0, 0.0]], dtype=torch.float64), radians(degrees)
    steep = network([[1.0, 0.0], [-3 * sin(bend), 3 * cos(bend)]], [1.0, 1.0])  # the second is on from the bend on
    found = steepest_found(steep, start.repeat(16, 1), generator=generator, num_rounds=1).item()
    assert found == pytest.approx(sqrt(10 - 6 * sin(bend)) if reached else 1.0)


def test_the_neighbours_come_nearer_until_a_narrow_cone_is_found(generator):
    # In R^5, f = sum over k = 1, ..., 9 of max(h - 2^k r, 0), with h = max(x_1, 0) and r the sum of the other
    # |x_i|: cones in cones, the steeper the narrower; the innermost holds a share of 4e-13 of all directions.
    axis, others = torch.eye(5, dtype=torch.float64).split([1, 4])
    narrowing = -(2.0 ** torch.arange(1, 10, dtype=torch.float64)).unsqueeze(1).expand(9, 8)
    ones = torch.ones((9, 1), dtype=torch.float64)
    cones = ReLUMLP.from_weights([torch.cat([axis, others, -others]), torch.cat([ones, narrowing], dim=1), ones.T])
    start = torch.tensor([[1.0, 0.1, 0.1, -0.1, 0.1]], dtype=torch.float64)
    found = steepest_found(cones, start, generator=generator, num_rounds=100).item()
    assert found == pytest.approx(sqrt(9**2 + 4 * (2**10 - 2) ** 2))


def test_a_search_takes_40_rounds_unless_told_otherwise():
    default, stated = (torch.Generator().manual_seed(1) for _ in range(2))
    x = torch.tensor([[1.0, -0.3]], dtype=torch.float64)
    steepest_found(QUADRANTS, x, generator=default)
    steepest_found(QUADRANTS, x, generator=stated, num_rounds=40)
    assert torch.equal(default.get_state(), stated.get_state())  # as many neighbours


def test_an_ensemble_of_one_network_keeps_its_axis(x, generator):
    shape = Architecture(input_dim=5, width=7, depth=4)
    model = ReLUMLP(he(shape), shape, num_networks=1, generator=generator)
    assert steepest_found(model, x, generator=generator, num_rounds=1).shape == lipschitz_bound(model).shape == (1,)
    assert survives_attack(model, x, radius=0.1).shape == flip_distances(model, x).shape == (1, 20)


def test_average_found_and_bound_stand_in_that_order(ensemble, x, generator):
    lengths = input_jacobians(ensemble, x).squeeze(-2).norm(dim=-1)
    found, bound = steepest_found(ensemble, x, generator=generator), lipschitz_bound(ensemble)
    assert found.shape == bound.shape == (3,)
    assert bool((lengths.max(dim=1).values <= found).all()) and bool((found <= bound).all())


def test_the_distance_to_a_flip_is_that_to_the_plane():
    x = torch.tensor([[1.0, 0.0], [-1.0, 2.0]], dtype=torch.float64)
    expected = torch.tensor([3 / 5, 1.0], dtype=torch.float64)
    assert torch.allclose(flip_distances(PLANE, x), expected)
    flat = network([[3.0, 4.0], [-3.0, -4.0]], [1.0, -1.0], divisor=10.0)  # whatever the size of f
    assert torch.allclose(flip_distances(flat, x), expected)


def test_where_nothing_moves_no_step_flips():
    x = torch.tensor([[-1.0, -1.0]], dtype=torch.float64)
    assert flip_distances(QUADRANTS, x).tolist() == [inf]
    assert survives_attack(QUADRANTS, x, radius=0.5).tolist() == [True]


@pytest.mark.parametrize(("radius", "kept"), [(0.5999, [True, True]), (0.6001, [False, True]), (1.01, [False, False])])
def test_an_attack_on_a_plane_succeeds_from_the_distance_on(radius, kept):
    x = torch.tensor([[1.0, 0.0], [-1.0, 2.0]], dtype=torch.float64)
    assert survives_attack(PLANE, x, radius=radius, num_steps=3).tolist() == kept


def test_an_attack_that_leaves_a_valley_again_has_flipped_the_sign():
    # f = 20 |x_2| - max(x_1, 0) is negative near the axis; the first step ends there, the second is beyond.
    valley = network([[0.0, 1.0], [0.0, -1.0], [1.0, 0.0]], [20.0, 20.0, -1.0])
    x = torch.tensor([[1.0, 0.5]], dtype=torch.float64)
    assert survives_attack(valley, x, radius=0.54, num_steps=2).tolist() == [False]
    assert survives_attack(valley, x, radius=0.44, num_steps=2).tolist() == [True]


def test_an_attack_stays_within_its_radius(ensemble, x):
    bound = lipschitz_bound(ensemble)
    safe = ensemble(x).abs() / bound.unsqueeze(1) > 0.05
    assert bool(safe.any())
    assert bool(survives_attack(ensemble, x, radius=0.05)[safe].all())


def step_that_flips(weights, x, radius, num_steps):
    """The first step of an attack on one point that changes the sign of f, or inf; by products of active rows."""

    def value_and_gradient(point):
        jacobian = torch.eye(len(point), dtype=point.dtype)
        for weight in weights[:-1]:
            jacobian = weight @ jacobian
            jacobian[jacobian @ point <= 0] = 0
        gradient = (weights[-1] @ jacobian)[0]
        return (gradient @ point).item(), gradient

    (start, gradient), moved = value_and_gradient(x), x
    for step in range(1, num_steps + 1):
        moved = moved - copysign(radius if step == 1 else radius / 4, start) * gradient / gradient.norm()
        if (moved - x).norm() > radius:
            moved = x + radius * (moved - x) / (moved - x).norm()
        value, gradient = value_and_gradient(moved)
        if value * start <= 0 and start != 0:  # 0 is another sign
            return step
    return inf


def test_an_attack_is_that_of_single_points_step_by_step_and_takes_ten_steps(ensemble, x):
    members = [[weight.detach()[place] for weight in ensemble.weights] for place in range(3)]
    steps = torch.tensor([[step_that_flips(weights, point, 0.6, num_steps=11) for point in x] for weights in members])
    assert {1, 2, 4, 7, 11, inf} == set(steps.flatten().tolist())
    for num_steps in range(1, 12):
        assert torch.equal(survives_attack(ensemble, x, radius=0.6, num_steps=num_steps), steps > num_steps)
    assert torch.equal(survives_attack(ensemble, x, radius=0.6), steps > 10)


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
    for call in (
        lambda: flip_distances(two, x),
        lambda: survives_attack(two, x, radius=1.0),
        lambda: steepest_found(two, x, generator=generator),
    ):
        with pytest.raises(ValueError, match="output_dim"):
            call()
    with pytest.raises(ValueError, match="x must be .* like the weights"):
        steepest_found(PLANE, x.float(), generator=generator)


@pytest.mark.usefixtures("as_a_reader")
def test_inputs_that_do_not_fit_are_refused_by_their_name(ensemble, x):
    with pytest.raises(ValueError, match=r"^x must have shape \(batch, 5\)"):
        survives_attack(ensemble, x[:, :4], radius=0.1)
    with pytest.raises(ValueError, match=r"use x.to\(torch.float64\)$"):
        survives_attack(ensemble, x.float(), radius=0.1)
