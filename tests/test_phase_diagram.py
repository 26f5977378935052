"""The plane of two-layer networks: its corners by hand, the order of the letters, and neurons by hand."""

from math import exp, inf, isclose, log, nan, pi, sqrt

import pytest
import torch

from tutorial_lib.architecture import Architecture
from tutorial_lib.gradient_flow import follow_gradient_flow
from tutorial_lib.initializations import INITIALIZATIONS, LayerStds
from tutorial_lib.laziness import input_weight_movement, lazy_ratio
from tutorial_lib.models import ReLUMLP
from tutorial_lib.phase_diagram import (
    exponents,
    networks_at,
    occupied_directions,
    occupied_orientations,
    orientations_and_amplitudes,
    regime,
    slide_condition,
    stds_at,
    trained_on_plane,
)
from tutorial_lib.randomness import random_stream


def ones(_architecture):
    return LayerStds(1.0, 1.0, 1.0)


def xavier(architecture):
    input_dim, width = architecture.input_dim, architecture.width
    return LayerStds(sqrt(2 / (input_dim + width)), 1.0, sqrt(2 / (width + 1)))


def test_standard_deviations_worked_out_by_hand():
    # Width 16: product 16^(-3/2) = 1/64, output over input 16^(-1/2) = 1/4.
    stds = stds_at(1.5, 0.5, width=16)
    assert isclose(stds.last * stds.first, 1 / 64)
    assert isclose(stds.last / stds.first, 1 / 4)  # red if gamma and gamma' are exchanged, or the two layers


@pytest.mark.parametrize("scheme, place", [("lecun", (0.5, 0.5)), ("he", (0.5, 0.5)), ("ntk", (0.5, -0.5))])
def test_the_talks_schemes_are_linear(scheme, place):
    found = exponents(INITIALIZATIONS[scheme], input_dim=7)
    assert found == pytest.approx(place)
    assert regime(*found) == "linear"


def test_mean_field_and_xavier_are_critical_and_jacots_kernel_scaling_is_linear():
    assert exponents(ones, input_dim=7, output_exponent=1.0) == (1, 0)
    assert exponents(xavier, input_dim=7) == pytest.approx((1, 0), abs=2e-3)
    assert exponents(ones, input_dim=7, output_exponent=0.5) == (0.5, 0)
    assert [regime(1, 0), regime(0.5, 0)] == ["critical", "linear"]


@pytest.mark.parametrize("place", [(0.3, -0.4), (1.7, 0.6), (2.2, -1.1)])
def test_exponents_undo_stds_at(place):
    found = exponents(lambda architecture: stds_at(*place, width=architecture.width), input_dim=7)
    assert found == pytest.approx(place)


@pytest.mark.parametrize(
    "place, name",
    [
        ((0.9, -5.0), "linear"),
        ((1.0, -0.3), "critical"),
        ((1.1, -5.0), "condensed"),
        ((1.5, 0.4), "condensed"),
        ((1.5, 0.5), "critical"),
        ((1.5, 0.6), "linear"),
        ((0.5, 1.5), "linear"),  # gamma and gamma' of the first condensed point below, exchanged
        ((1.5, -0.6), "condensed"),  # red if gamma' has the sign of LXMZ21's letters read in the talk's order
    ],
)
def test_regimes(place, name):
    assert regime(*place) == name


def test_exchanging_the_exponents_changes_the_regime():
    assert regime(1.75, 0.25) == "condensed"
    assert regime(0.25, 1.75) == "linear"


@pytest.mark.parametrize("place", [(3.1, 0.0), (4.0, 0.9), (4.0, -0.9)])
def test_the_slides_condition_is_sufficient(place):
    assert slide_condition(*place)
    assert regime(*place) == "condensed"


@pytest.mark.parametrize("place", [(3.0, 0.0), (4.0, 1.1), (4.0, -1.1), (1.2, 0.0)])
def test_the_slides_condition_is_silent_elsewhere(place):
    assert not slide_condition(*place)


@pytest.mark.parametrize("place", [(3.2, 0.1), (2.8, 0.1), (4.5, 1.3), (4.5, -1.7)])
def test_the_slides_condition_is_its_formula_at_large_width(place):
    # alpha = 1 >> (m^(3/2) (beta_in + beta_out))^2: does the right side vanish or grow with the width?
    sides = [
        width ** (3 / 2) * (stds.first + stds.last)
        for width in (10**9, 10**12)
        for stds in [stds_at(*place, width=width)]
    ]
    assert (sides[1] < sides[0]) == slide_condition(*place)


def test_networks_at_scales_the_same_gaussians_point_by_point(generator):
    points, shape = [(1.5, 0.5), (0.8, -0.6)], Architecture(input_dim=3, width=16, depth=2, output_dim=2)
    networks = networks_at(points, shape, num_networks=4, output_divisor=1.7, generator=generator)
    plain = ReLUMLP(LayerStds(1.0, 0.0, 1.0), shape, num_networks=4, generator=generator.manual_seed(0))
    assert (networks.num_networks, networks.output_divisor, networks.architecture) == (8, 1.7, shape)
    for i, point in enumerate(points):
        stds = stds_at(*point, width=16)
        for weight, gaussian, std in zip(networks.weights, plain.weights, (stds.first, stds.last), strict=True):
            assert torch.allclose(weight[4 * i : 4 * i + 4], std * gaussian)


def two_layers(generator, *, num_networks=None, **sizes):
    shape = Architecture(**{"input_dim": 2, "width": 3, "depth": 2} | sizes)
    return ReLUMLP(LayerStds(1.0, 0.0, 1.0), shape, num_networks=num_networks, generator=generator)


def test_neurons_worked_out_by_hand():
    inner, outer = [[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]], [[2.0, -1.0, 0.5]]
    model = ReLUMLP.from_weights([torch.tensor(weight, dtype=torch.float64) for weight in (inner, outer)])
    angles, amplitudes = orientations_and_amplitudes(model)
    assert angles.tolist() == pytest.approx([0.9272952180016122, pi / 2, pi])
    assert amplitudes.tolist() == [10.0, 2.0, 0.5]
    assert not amplitudes.requires_grad


def test_an_ensemble_gives_one_row_of_neurons_per_network(generator):
    networks = two_layers(generator, num_networks=4)
    angles, amplitudes = orientations_and_amplitudes(networks)
    assert angles.shape == amplitudes.shape == (4, 3)
    single = ReLUMLP.from_weights([weight[2] for weight in networks.weights])
    assert torch.equal(orientations_and_amplitudes(single)[0], angles[2])
    assert torch.allclose(orientations_and_amplitudes(single)[1], amplitudes[2])


@pytest.mark.parametrize(
    ("sizes", "needed"),
    [({"depth": 3}, "depth 2"), ({"input_dim": 3}, "input_dim 2"), ({"output_dim": 2}, "output_dim 1")],
)
def test_neurons_need_two_layers_two_coordinates_and_one_output(sizes, needed, generator):
    with pytest.raises(ValueError, match=f"^architecture must have {needed} here, got Architecture"):
        orientations_and_amplitudes(two_layers(generator, **sizes))


def test_networks_on_the_plane_need_two_layers_and_a_point(generator):
    shape = Architecture(input_dim=3, width=16, depth=2)
    with pytest.raises(ValueError, match="^architecture must have depth 2 here, got Architecture"):
        networks_at([(1.0, 0.0)], shape.replace(depth=3), num_networks=4, generator=generator)
    with pytest.raises(ValueError, match=r"^points must hold at least one pair \(gamma, gamma'\), got none$"):
        networks_at([], shape, num_networks=4, generator=generator)


def test_occupied_orientations_worked_out_by_hand():
    centres = (torch.arange(8, dtype=torch.float64) + 0.5) / 8 * 2 * pi - pi
    assert isclose(occupied_orientations(centres, torch.full_like(centres, 0.3), num_bins=8), 8)
    assert isclose(occupied_orientations(centres, torch.eye(8, dtype=torch.float64)[3], num_bins=8), 1)
    shares = torch.tensor([0.5, 0.25, 0.25, 0, 0, 0, 0, 0], dtype=torch.float64)
    # entropy 1.5 log 2, whatever the unit of the amplitude
    assert isclose(occupied_orientations(centres, 7 * shares, num_bins=8), exp(1.5 * log(2)))
    # Neurons of one bin count as one.
    assert isclose(occupied_orientations(torch.tensor([0.1, 0.11, 0.12]), torch.ones(3), num_bins=8), 1, rel_tol=1e-6)


def neurons(inner, outer):
    return ReLUMLP.from_weights([torch.tensor(weight, dtype=torch.float64) for weight in (inner, outer)])


def test_occupied_directions_worked_out_by_hand():
    # One line, both ways and of any size; a neuron of length 0 counts for nothing.
    line = neurons([[3.0, 4.0, 0.0], [-0.3, -0.4, 0.0], [0.0, 0.0, 0.0]], [[2.0, -1.0, 5.0]])
    assert isclose(occupied_directions(line).item(), 1, rel_tol=1e-12)
    # Sizes 2 * 1 and 1 * 2 along two axes.
    assert isclose(occupied_directions(neurons([[2.0, 0, 0], [0, 1, 0]], [[1.0, -2.0]])).item(), 2, rel_tol=1e-12)
    # Sizes 3 and 1 along two axes: shares 3/4 and 1/4.
    uneven = occupied_directions(neurons([[3.0, 0, 0], [0, 1, 0]], [[1.0, 1.0]])).item()
    assert isclose(uneven, exp(-0.75 * log(0.75) - 0.25 * log(0.25)), rel_tol=1e-12)
    # Equal sizes at 60 degrees: the eigenvalues are (1 +- cos 60) / 2.
    slanted = occupied_directions(neurons([[1.0, 0, 0], [0.5, 0.75**0.5, 0]], [[1.0, 1.0]])).item()
    assert isclose(slanted, exp(-0.75 * log(0.75) - 0.25 * log(0.25)), rel_tol=1e-12)


def test_occupied_directions_of_many_random_neurons_are_all_and_of_each_network_its_own(generator):
    shape = Architecture(input_dim=5, width=4000, depth=2, output_dim=2)
    networks = ReLUMLP(LayerStds(1e-9, 0.0, 1e-9), shape, num_networks=2, generator=generator)
    counts = occupied_directions(networks)
    assert counts.shape == (2,)
    assert ((counts > 4.98) & (counts <= 5 + 1e-9)).all()
    single = ReLUMLP.from_weights([weight[1] for weight in networks.weights])
    assert isclose(occupied_directions(single).item(), counts[1].item(), rel_tol=1e-12)
    assert isclose(occupied_directions(networks.float())[0].item(), counts[0].item(), rel_tol=1e-5)


def test_a_network_without_neurons_occupies_nothing():
    with pytest.raises(ValueError, match="^model must have a neuron that is not 0 in each network, got none$"):
        occupied_directions(neurons([[1.0, 2.0], [0.0, 0.0]], [[0.0, 3.0]]))


def test_the_whole_circle_has_bins():
    ends = torch.tensor([-pi, pi], dtype=torch.float64)
    assert isclose(occupied_orientations(ends, torch.ones(2, dtype=torch.float64), num_bins=8), 2)


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match=r"^width must be an integer >= 2, got 1$"):
        stds_at(1.0, 0.0, width=1)
    with pytest.raises(ValueError, match=r"^num_bins must be an integer >= 1, got 0$"):
        occupied_orientations(torch.zeros(1), torch.ones(1), num_bins=0)


@pytest.mark.parametrize("value", [nan, inf])
def test_points_that_are_not_finite_are_refused(value):
    for call in (regime, slide_condition, lambda *place: stds_at(*place, width=16)):
        with pytest.raises(ValueError, match=f"^gamma must be a finite number, got {value}$"):
            call(value, 0.0)
        with pytest.raises(ValueError, match=f"^gamma_prime must be a finite number, got {value}$"):
            call(0.0, value)
    with pytest.raises(ValueError, match=f"^output_exponent must be a finite number, got {value}$"):
        exponents(ones, input_dim=7, output_exponent=value)


@pytest.mark.parametrize(
    ("orientations", "amplitudes", "message"),
    [
        ([0.1, nan], [1.0, 1.0], "^orientations must be finite, got nan or infinity$"),
        ([0.1, 0.2], [1.0, nan], "^amplitudes must be finite, got nan or infinity$"),
        ([0.1, 0.2], [0.0, 0.0], "^amplitudes must be >= 0 and not all 0, got others$"),
        ([0.1, 0.2], [1.0, -0.5], "^amplitudes must be >= 0 and not all 0, got others$"),
        ([0.1, 0.2], [1.0], r"^amplitudes must have shape \(2,\), got \(1,\)$"),
        ([], [], "^amplitudes must be >= 0 and not all 0, got others$"),
    ],
)
def test_neurons_that_occupy_nothing_are_refused(orientations, amplitudes, message, as_a_reader):  # noqa: ARG001
    with pytest.raises(ValueError, match=message):
        occupied_orientations(torch.tensor(orientations), torch.tensor(amplitudes))


def line_data():
    position = torch.tensor([-1, -0.3, 0.2, 0.9], dtype=torch.float64)
    return torch.stack([position, torch.ones_like(position)], dim=1), torch.tensor([0.5, -0.4, 0.3, 0.1]).double()


def test_training_on_the_plane_is_the_gradient_flow_of_networks_drawn_there():
    x, y = line_data()
    points, levels = [(0.5, 0.0), (1.5, 0.3)], [0.04, 0.01]
    start, end, record = trained_on_plane(points, x, y, levels=levels, width=64, num_networks=2, seed=3)
    shape = Architecture(input_dim=2, width=64, depth=2)
    stream = random_stream(3, "plane of width 64")
    networks = networks_at(points, shape, num_networks=2, generator=stream)
    assert all(map(torch.equal, start.weights, networks.weights))
    by_hand = follow_gradient_flow(networks, x, y, levels=levels)
    assert all(map(torch.equal, end.weights, networks.weights))
    assert torch.equal(record.time, by_hand.time)
    assert record.levels == (0.04, 0.01)
    losses = (end(x) - y).square().mean(dim=1) / 2
    assert torch.allclose(losses, torch.full_like(losses, 0.01), rtol=1e-2)


def test_movement_is_measured_at_every_level():
    x, y = line_data()
    settings = {"width": 64, "num_networks": 3, "output_divisor": 1.3}
    points = [(0.5, 0.2), (1.5, 0.3)]
    start, end, record = trained_on_plane(points, x, y, levels=[0.04, 0.01], **settings)
    early = trained_on_plane(points, x, y, levels=[0.04], **settings)[1]
    for place, networks in enumerate((early, end)):
        assert torch.allclose(record.measured["movement"][:, place], input_weight_movement(start, networks))
        assert torch.allclose(record.measured["lazy_ratio"][:, place], lazy_ratio(start, networks))
    # Red if the two are exchanged: the second layer moves, too.
    assert not torch.isclose(record.measured["movement"], record.measured["lazy_ratio"]).any()


def test_a_divisor_is_a_smaller_start():
    # Dividing by 8 = 64^(1/2) is a step of 1/2 to the right: the same path, with weights twice as long.
    x, y = line_data()
    sizes = {"width": 64, "num_networks": 3, "levels": [0.05, 0.01]}
    divided = trained_on_plane([(1.0, 0.2)], x, y, output_divisor=8.0, **sizes)
    shifted = trained_on_plane([(1.5, 0.2)], x, y, **sizes)
    assert torch.allclose(divided[2].measured["lazy_ratio"], shifted[2].measured["lazy_ratio"])
    assert torch.allclose(divided[1](x), shifted[1](x))


def test_points_share_their_gaussians_and_seeds_do_not():
    x, y = line_data()
    sizes = {"width": 16, "num_networks": 3, "levels": [0.05]}
    one, two = (trained_on_plane([(0.5, 0.0), (1.0, 0.0)], x, y, **sizes, seed=seed)[0] for seed in (0, 1))
    first = one.weights[0]
    assert torch.allclose(first[:3] / first[3:], torch.full_like(first[:3], 16**0.25))
    assert not torch.isclose(first, two.weights[0]).any()


def test_input_weights_settle_in_the_linear_region_and_run_off_in_the_condensed_one():
    # Red if gamma and gamma' are exchanged anywhere between the point and the trained network.
    x, y = line_data()
    points, moved = [(1.25, 1.0), (1.75, -0.5)], []
    for width in (32, 128, 512):
        record = trained_on_plane(points, x, y, levels=[0.02], width=width, num_networks=8)[2]
        assert record.reached.all()
        moved.append(record.measured["movement"].log().reshape(2, 8).mean(dim=1))
    assert [regime(*point) for point in points] == ["linear", "condensed"]
    assert moved[0][0] > moved[1][0] + 0.3 > moved[2][0] + 0.6
    assert moved[0][1] < moved[1][1] - 0.3 < moved[2][1] - 0.6


def test_a_network_that_cannot_learn_is_told_apart():
    # On the inputs (1, 0) and (0, 1), of width 2 and in 40 draws, some networks are dead.
    x = torch.eye(2, dtype=torch.float64)
    _, _, record = trained_on_plane([(1.0, 0.0)], x, x.sum(dim=1), levels=[0.1], width=2, num_networks=40, max_steps=90)
    missing = ~record.reached[:, -1]
    assert 0 < missing.sum() < 40
    assert record.measured["movement"][missing].isnan().all()


def test_training_stops_after_the_last_step():
    x, y = line_data()
    record = trained_on_plane([(1.0, 0.0)], x, y, levels=[1e-6], width=8, num_networks=3, max_steps=7)[2]
    assert not record.reached.any()
    assert 0 < record.num_steps.max() <= 7


def test_networks_on_the_plane_have_the_dtype_of_the_data():
    x, y = (part.float() for part in line_data())
    runs = trained_on_plane([(1.0, 0.0)], x, y, levels=[0.05], width=4, num_networks=2, max_steps=30)
    assert {weight.dtype for networks in runs[:2] for weight in networks.weights} == {torch.float32}


# What mutants survived.


def test_standard_deviations_are_not_rounded_to_float32():
    # 4^(-0.3) is no float32.
    generator = torch.Generator().manual_seed(0)
    shape = Architecture(input_dim=3, width=4, depth=2)
    networks = networks_at([(0.6, 0.0)], shape, num_networks=2, generator=generator)
    standard = ReLUMLP(LayerStds(1.0, 0.0, 1.0), shape, num_networks=2, generator=generator.manual_seed(0))
    torch.testing.assert_close(networks.weights[0], 4**-0.3 * standard.weights[0], rtol=1e-15, atol=0)
    assert networks.output_divisor == 1.0


def test_a_standard_deviation_beyond_the_largest_float_is_refused():
    with pytest.raises(ValueError, match="^last is a standard deviation and must be finite"):
        stds_at(-2000.0, -2000.0, width=4)
    assert stds_at(-1000.0, 0.0, width=2).last == 2.0**500
    assert stds_at(1.0, 0.0, width=4).hidden == 0.0


@pytest.mark.parametrize("points", [3, [1.0, 2.0], [(1.0, 2.0, 3.0)], {(1.0, 2.0)}])
def test_points_are_pairs(points):
    shape = Architecture(input_dim=3, width=4, depth=2)
    with pytest.raises((TypeError, ValueError), match="points"):
        networks_at(points, shape, num_networks=2, generator=torch.Generator())


def test_exponents_do_not_depend_on_where_the_slope_is_taken():
    # He with an input dimension that is no power of ten: the slopes are exact.
    assert exponents(INITIALIZATIONS["he"], input_dim=7) == pytest.approx((0.5, 0.5), abs=1e-12)


def test_defaults_of_the_plane():
    x, y = line_data()
    settings = {"levels": [0.05], "width": 8, "num_networks": 2, "max_steps": 60}
    for default, said in (({}, {"seed": 0}), ({}, {"output_divisor": 1.0})):
        one, two = (trained_on_plane([(1.0, 0.0)], x, y, **settings, **extra)[1] for extra in (default, said))
        assert all(map(torch.equal, one.weights, two.weights))
    angles = torch.linspace(-3, 3, 200, dtype=torch.float64)
    amplitudes = torch.ones(200, dtype=torch.float64)
    assert occupied_orientations(angles, amplitudes) == occupied_orientations(angles, amplitudes, num_bins=72)
