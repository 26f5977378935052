"""The network against one written out by hand, and the law of its weights."""

from math import isclose, sqrt

import numpy as np
import pytest
import torch

from tutorial_lib.initializations import INITIALIZATIONS, LayerStds
from tutorial_lib.models import ReLUMLP, mirrored
from tutorial_lib.randomness import random_stream
from tutorial_lib.stability import perturbation_stability

STDS = LayerStds(first=0.7, hidden=0.4, last=1.3)
SIZES = {"input_dim": 5, "width": 7, "depth": 4, "output_dim": 3}


def inputs(input_dim, batch=6):
    return torch.linspace(-1.3, 2.1, batch * input_dim, dtype=torch.float64).reshape(batch, input_dim).cos() * 1.7


def outputs_by_hand(weights, x, output_divisor):
    rows = []
    for row in x.numpy():
        for weight in weights[:-1]:
            row = np.array([max(0.0, sum(w * v for w, v in zip(line, row, strict=True))) for line in weight])
        rows.append([sum(w * v for w, v in zip(line, row, strict=True)) / output_divisor for line in weights[-1]])
    return np.array(rows)


@pytest.mark.parametrize(("depth", "output_dim"), [(2, 1), (2, 3), (4, 1), (5, 3)])
def test_outputs_are_those_worked_out_by_hand(depth, output_dim, generator):
    sizes = SIZES | {"depth": depth, "output_dim": output_dim, "output_divisor": 2.5}
    model = ReLUMLP(STDS, **sizes, generator=generator)
    expected = outputs_by_hand([weight.detach().numpy() for weight in model.weights], inputs(5), 2.5)
    outputs = model(inputs(5)).detach().numpy()
    assert outputs.shape == ((6,) if output_dim == 1 else (6, 3))
    np.testing.assert_allclose(outputs.reshape(6, output_dim), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("depth", "shapes"), [(2, [(7, 5), (3, 7)]), (4, [(7, 5), (7, 7), (7, 7), (3, 7)])])
def test_depth_counts_the_weight_matrices(depth, shapes, generator):
    model = ReLUMLP(STDS, **(SIZES | {"depth": depth}), generator=generator)
    assert [tuple(weight.shape) for weight in model.weights] == shapes
    assert {weight.dtype for weight in model.weights} == {torch.float64}
    assert (model.input_dim, model.num_networks) == (5, None)


@pytest.mark.parametrize("output_dim", [1, 3])
def test_an_ensemble_is_the_loop_over_its_members(output_dim, generator):
    sizes = SIZES | {"output_dim": output_dim, "output_divisor": 1.6}
    models = ReLUMLP(STDS, **sizes, num_networks=4, generator=generator)
    outputs = models(inputs(5)).detach().numpy()
    assert outputs.shape == ((4, 6) if output_dim == 1 else (4, 6, 3))
    assert (models.input_dim, models.num_networks) == (5, 4)
    for member in range(4):
        expected = outputs_by_hand([w[member].detach().numpy() for w in models.weights], inputs(5), 1.6)
        np.testing.assert_allclose(outputs[member].reshape(6, output_dim), expected, rtol=1e-12, atol=1e-14)
    assert len({weight[member, 0, 0].item() for weight in models.weights for member in range(4)}) == 16


@pytest.mark.parametrize("num_networks", [None, 20])
def test_weights_have_the_standard_deviation_of_their_layer(num_networks, generator):
    sizes = {"input_dim": 50, "width": 60, "depth": 4, "output_dim": 40}
    model = ReLUMLP(STDS, **sizes, num_networks=num_networks, generator=generator)
    for weight, std in zip(model.weights, [0.7, 0.4, 0.4, 1.3], strict=True):
        count = weight.numel()
        # Sums of squares are chi-square. At least 2400 entries: catches 8 % in one standard deviation.
        chi_square = (weight.detach() / std).square().sum().item()
        assert abs(chi_square - count) < 4 * sqrt(2 * count)
        assert abs(weight.detach().mean().item()) < 4 * std / sqrt(count)


def test_schemes_that_share_a_stream_share_their_gaussians():
    sizes = {"input_dim": 5, "width": 7, "depth": 4, "output_dim": 3, "num_networks": 9}
    models, gaussians = {}, {}
    for scheme, initialization in INITIALIZATIONS.items():
        stds = initialization(input_dim=5, width=7)
        models[scheme] = ReLUMLP(stds, **sizes, generator=random_stream(4, "weights"))
        divisors = [stds.first, stds.hidden, stds.hidden, stds.last]
        gaussians[scheme] = [w.detach() / std for w, std in zip(models[scheme].weights, divisors, strict=True)]
    for scheme in ("he", "ntk"):
        for ours, theirs in zip(gaussians["lecun"], gaussians[scheme], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=0)
    means = {scheme: perturbation_stability(model, inputs(5)).mean for scheme, model in models.items()}
    assert isclose(means["ntk"] / means["he"], sqrt(5 / 2), rel_tol=1e-12)
    assert isclose(means["he"] / means["lecun"], 2 ** (4 / 2), rel_tol=1e-12)


def test_float32_networks_are_the_float64_ones_rounded(generator):
    model = ReLUMLP(STDS, **SIZES, generator=generator)
    outputs = model(inputs(5)).detach()
    model.to(torch.float32)
    rounded = model(inputs(5).float()).detach()
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded.double(), outputs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"input_dim": 0}, r"^input_dim must be an integer >= 1, got 0$"),
        ({"width": 0}, r"^width must be an integer >= 1, got 0$"),
        ({"depth": 1}, r"^depth counts weight matrices and must be >= 2, got 1$"),
        ({"output_dim": 0}, r"^output_dim must be an integer >= 1, got 0$"),
        ({"output_divisor": 0.0}, r"^output_divisor must be a finite number > 0, got 0\.0$"),
        ({"num_networks": 0}, r"^num_networks must be an integer >= 1, got 0$"),
    ],
)
def test_sizes_out_of_range_are_refused(wrong, message, generator):
    with pytest.raises(ValueError, match=message):
        ReLUMLP(STDS, **(SIZES | wrong), generator=generator)


def test_a_width_that_is_not_an_integer_is_refused(as_a_reader, generator):  # noqa: ARG001
    with pytest.raises(TypeError, match=r"^width must be an integer >= 1, got 7\.5$"):
        ReLUMLP(STDS, **(SIZES | {"width": 7.5}), generator=generator)


@pytest.mark.parametrize("leading", [(), (3,)])
def test_a_mirrored_network_is_zero_and_holds_the_neurons_given(leading, generator):
    inner = torch.randn(*leading, 4, 5, generator=generator, dtype=torch.float64)
    outer = torch.randn(*leading, 4, generator=generator, dtype=torch.float64)
    model = antisymmetric(inner, outer)
    assert (model.num_networks, model.weights[0].shape[-2]) == (leading[0] if leading else None, 8)
    assert model(inputs(5)).abs().max() < 1e-14
    model.weights[1].data[..., 4:] = 0  # without the images: the neurons given, written out
    by_hand = (torch.relu(inputs(5) @ inner.mT) * outer.unsqueeze(-2)).sum(dim=-1)
    torch.testing.assert_close(model(inputs(5)).detach(), by_hand)


@pytest.mark.usefixtures("as_a_reader")
def test_a_mirrored_network_refuses_weights_that_do_not_fit():
    with pytest.raises(ValueError, match=r"inner and outer must have shapes .* got \(4, 5\) and \(3,\)"):
        antisymmetric(torch.ones(4, 5), torch.ones(3))
