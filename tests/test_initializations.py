"""The three schemes as on slide 10, muP written with its multipliers, and what a standard deviation must be."""

from math import inf, isclose, nan, sqrt

import pytest

from tutorial_lib.architecture import Architecture
from tutorial_lib.initializations import (
    INITIALIZATIONS,
    SCHEMES,
    LayerStds,
    he,
    lecun,
    mup,
    ntk,
    require_stds,
    stds_of_scheme,
)


@pytest.mark.parametrize(
    ("scheme", "input_dim", "width", "expected"),
    [
        ("lecun", 16, 4, (1 / 4, 1 / 2, 1 / 2)),
        ("he", 8, 32, (1 / 2, 1 / 4, 1 / 4)),
        ("ntk", 3, 8, (1 / 2, 1 / 2, 1)),
        ("mup", 3, 8, (1 / 2, 1 / 2, 1 / 2)),
        ("lecun", 3, 8, (sqrt(1 / 3), sqrt(1 / 8), sqrt(1 / 8))),
        ("he", 3, 8, (sqrt(2 / 3), 1 / 2, 1 / 2)),
    ],
)
@pytest.mark.parametrize(("depth", "output_dim"), [(2, 1), (5, 7)])
def test_standard_deviations_worked_out_by_hand(scheme, input_dim, width, expected, depth, output_dim):
    shape = Architecture(input_dim=input_dim, width=width, depth=depth, output_dim=output_dim)
    stds = SCHEMES[scheme](shape)
    assert all(isclose(*pair, rel_tol=1e-15) for pair in zip(stds, expected, strict=True))
    assert stds_of_scheme(scheme, shape) == stds


def test_the_names_of_the_schemes_are_those_of_the_talk():
    assert dict(INITIALIZATIONS) == {"lecun": lecun, "he": he, "ntk": ntk}
    assert list(INITIALIZATIONS) == ["lecun", "he", "ntk"]
    assert dict(SCHEMES) == INITIALIZATIONS | {"mup": mup}
    assert list(SCHEMES) == ["lecun", "he", "ntk", "mup"]


@pytest.mark.parametrize("output_dim", [1, 3])
def test_mup_with_its_multipliers_trains_as_the_plain_network(output_dim, generator):
    import torch

    from tutorial_lib.models import ReLUMLP
    from tutorial_lib.training import train

    width, rate, steps = 12, 0.02, 200
    shape = Architecture(input_dim=5, width=width, depth=4, output_dim=output_dim)
    plain = ReLUMLP(mup(shape), shape, generator=generator)
    x = torch.randn(9, 5, generator=generator, dtype=torch.float64)
    y = torch.randn(9, output_dim, generator=generator, dtype=torch.float64)
    multiplied = [weight.detach().clone().requires_grad_() for weight in plain.weights]

    def outputs():
        hidden = torch.relu(sqrt(width) * (x @ multiplied[0].T))
        for weight in multiplied[1:-1]:
            hidden = torch.relu(hidden @ weight.T)
        return hidden @ multiplied[-1].T / sqrt(width)

    losses = []
    for _ in range(steps):  # Euler's steps along the flow, with one rate for all layers
        loss = (outputs() - y).square().sum(dim=1).mean() / 2
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, multiplied)
        with torch.no_grad():
            for weight, gradient in zip(multiplied, gradients, strict=True):
                weight -= rate * gradient
    start = [weight.detach().clone() for weight in plain.weights]
    record = train(plain, x, y, learning_rate=rate, num_steps=steps, record_at=range(steps))
    assert losses[-1] < 0.7 * losses[0]  # far from where it began
    assert all(isclose(row["loss"].item(), loss, rel_tol=1e-9) for row, loss in zip(record.rows, losses, strict=False))
    for ours, theirs, first in zip(plain.weights, multiplied, start, strict=True):
        assert not torch.allclose(ours, first, rtol=1e-3)
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_another_name_is_refused_with_those_allowed():
    with pytest.raises(ValueError, match=r"^scheme must be one of he, lecun, mup, ntk, got 'glorot'$"):
        stds_of_scheme("glorot", Architecture(input_dim=3, width=4, depth=2))


def test_fields_are_first_hidden_last():
    stds = LayerStds(first=1.0, hidden=0.0, last=2.0)
    assert (stds.first, stds.hidden, stds.last) == stds == (1.0, 0.0, 2.0)


@pytest.mark.parametrize("value", [-0.1, nan, inf])
@pytest.mark.parametrize("name", ["first", "hidden", "last"])
def test_a_standard_deviation_must_be_finite_and_not_negative(name, value):
    message = rf"^{name} is a standard deviation and must be finite and >= 0, got {value}$"
    good = LayerStds(first=1.0, hidden=1.0, last=1.0)
    with pytest.raises(ValueError, match=message):
        LayerStds(**{**good._asdict(), name: value})
    with pytest.raises(ValueError, match=message):
        good._replace(**{name: value})


@pytest.mark.parametrize(("depth", "expected"), [(2, [1.5, 0.5]), (3, [1.5, 0.25, 0.5]), (5, [1.5, *[0.25] * 3, 0.5])])
def test_each_layer_has_its_standard_deviation(depth, expected):
    stds = LayerStds(first=1.5, hidden=0.25, last=0.5)
    assert stds.of_layers(Architecture(input_dim=3, width=4, depth=depth)) == expected


@pytest.mark.parametrize("value", ["1", None, True, 1j])
@pytest.mark.parametrize("name", ["first", "hidden", "last"])
@pytest.mark.usefixtures("as_a_reader")
def test_a_standard_deviation_must_be_a_number(name, value):
    with pytest.raises(TypeError, match=rf"^{name} is a standard deviation and must be a number >= 0, got "):
        LayerStds(**({"first": 1.0, "hidden": 1.0, "last": 1.0} | {name: value}))


@pytest.mark.parametrize("scheme", SCHEMES.values())
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"input_dim": 0, "width": 3}, "input_dim must be an integer >= 1, got 0"),
        ({"input_dim": 3, "width": 0}, "width must be an integer >= 1, got 0"),
    ],
)
def test_a_scheme_refuses_sizes_below_one(scheme, sizes, message):
    with pytest.raises(ValueError, match=message):
        scheme(Architecture(**sizes, depth=2))


@pytest.mark.parametrize("scheme", SCHEMES.values())
@pytest.mark.usefixtures("as_a_reader")
def test_a_scheme_refuses_what_is_no_architecture(scheme):
    with pytest.raises(TypeError, match=r"^architecture must be an Architecture, got 64$"):
        scheme(64)


@pytest.mark.usefixtures("as_a_reader")
def test_three_numbers_are_not_yet_standard_deviations():
    require_stds(LayerStds(1.0, 1.0, 1.0))
    with pytest.raises(TypeError, match=r"^stds must be LayerStds, such as he\(architecture\), got \(1.0, 1.0, 1.0\)$"):
        require_stds((1.0, 1.0, 1.0))
