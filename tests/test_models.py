"""The network against one written out by hand, and the law of its weights."""

from math import inf, isclose, nan, sqrt

import numpy as np
import pytest
import torch

from tutorial_lib.architecture import Architecture
from tutorial_lib.initializations import INITIALIZATIONS, LayerStds
from tutorial_lib.models import (
    ReLUMLP,
    antisymmetric,
    backward_signals,
    layer_inputs,
    mask_,
    require_inputs,
    require_network,
)
from tutorial_lib.randomness import random_stream
from tutorial_lib.stability import perturbation_stability

STDS = LayerStds(first=0.7, hidden=0.4, last=1.3)
SIZES = {"input_dim": 5, "width": 7, "depth": 4, "output_dim": 3}
SHAPE = Architecture(**SIZES)


def inputs(input_dim, batch=6):
    return torch.linspace(-1.3, 2.1, batch * input_dim, dtype=torch.float64).reshape(batch, input_dim).cos() * 1.7


def outputs_by_hand(weights, x, output_divisor):
    rows = []
    for row in x.numpy():
        for weight in weights[:-1]:
            row = np.array([max(0.0, sum(w * v for w, v in zip(line, row, strict=True))) for line in weight])
        rows.append([sum(w * v for w, v in zip(line, row, strict=True)) / output_divisor for line in weights[-1]])
    return np.array(rows)


@pytest.mark.parametrize(("depth", "output_dim"), [(2, 1), (2, 3), (3, 2), (4, 1), (5, 3)])
def test_outputs_are_those_worked_out_by_hand(depth, output_dim, generator):
    shape = SHAPE.replace(depth=depth, output_dim=output_dim)
    model = ReLUMLP(STDS, shape, output_divisor=2.5, generator=generator)
    expected = outputs_by_hand([weight.detach().numpy() for weight in model.weights], inputs(5), 2.5)
    outputs = model(inputs(5)).detach().numpy()
    assert outputs.shape == ((6,) if output_dim == 1 else (6, output_dim))
    np.testing.assert_allclose(outputs.reshape(6, output_dim), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("depth", "shapes"), [(2, [(7, 5), (3, 7)]), (4, [(7, 5), (7, 7), (7, 7), (3, 7)])])
def test_depth_counts_the_weight_matrices(depth, shapes, generator):
    model = ReLUMLP(STDS, SHAPE.replace(depth=depth), generator=generator)
    assert [tuple(weight.shape) for weight in model.weights] == shapes
    assert {weight.dtype for weight in model.weights} == {torch.float64}
    assert (model.input_dim, model.num_networks) == (5, None)


@pytest.mark.parametrize("num_networks", [None, 1, 2])
@pytest.mark.parametrize("shape", [SHAPE, Architecture(input_dim=7, width=3, depth=2), SHAPE.replace(depth=3)])
def test_a_network_knows_its_architecture(shape, num_networks, generator):
    model = ReLUMLP(STDS, shape, num_networks=num_networks, generator=generator)
    assert model.architecture == shape
    assert (model.input_dim, model.output_dim, model.num_networks) == (shape.input_dim, shape.output_dim, num_networks)
    assert {type(size) for size in vars(model.architecture).values()} == {int}


@pytest.mark.parametrize("output_dim", [1, 3])
def test_an_ensemble_is_the_loop_over_its_members(output_dim, generator):
    shape = SHAPE.replace(output_dim=output_dim)
    models = ReLUMLP(STDS, shape, output_divisor=1.6, num_networks=4, generator=generator)
    outputs = models(inputs(5)).detach().numpy()
    assert outputs.shape == ((4, 6) if output_dim == 1 else (4, 6, 3))
    assert (models.input_dim, models.num_networks) == (5, 4)
    for member in range(4):
        expected = outputs_by_hand([w[member].detach().numpy() for w in models.weights], inputs(5), 1.6)
        np.testing.assert_allclose(outputs[member].reshape(6, output_dim), expected, rtol=1e-12, atol=1e-14)
    assert len({weight[member, 0, 0].item() for weight in models.weights for member in range(4)}) == 16


@pytest.mark.parametrize("num_networks", [None, 20])
def test_weights_have_the_standard_deviation_of_their_layer(num_networks, generator):
    shape = Architecture(input_dim=50, width=60, depth=4, output_dim=40)
    model = ReLUMLP(STDS, shape, num_networks=num_networks, generator=generator)
    for weight, std in zip(model.weights, [0.7, 0.4, 0.4, 1.3], strict=True):
        count = weight.numel()
        # Sums of squares are chi-square. At least 2400 entries: catches 8 % in one standard deviation.
        chi_square = (weight.detach() / std).square().sum().item()
        assert abs(chi_square - count) < 4 * sqrt(2 * count)
        assert abs(weight.detach().mean().item()) < 4 * std / sqrt(count)
        assert (weight != weight.float().double()).double().mean() > 0.99  # drawn in float64


def test_schemes_that_share_a_stream_share_their_gaussians():
    models, gaussians = {}, {}
    for scheme, initialization in INITIALIZATIONS.items():
        stds = initialization(SHAPE)
        models[scheme] = ReLUMLP(stds, SHAPE, num_networks=9, generator=random_stream(4, "weights"))
        divisors = [stds.first, stds.hidden, stds.hidden, stds.last]
        gaussians[scheme] = [w.detach() / std for w, std in zip(models[scheme].weights, divisors, strict=True)]
    for scheme in ("he", "ntk"):
        for ours, theirs in zip(gaussians["lecun"], gaussians[scheme], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=0)
    means = {scheme: perturbation_stability(model, inputs(5)).mean for scheme, model in models.items()}
    assert isclose(means["ntk"] / means["he"], sqrt(5 / 2), rel_tol=1e-12)
    assert isclose(means["he"] / means["lecun"], 2 ** (4 / 2), rel_tol=1e-12)


def test_float32_networks_are_the_float64_ones_rounded(generator):
    model = ReLUMLP(STDS, SHAPE, generator=generator)
    outputs = model(inputs(5)).detach()
    model.to(torch.float32)
    rounded = model(inputs(5).float()).detach()
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded.double(), outputs, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("as_a_reader")
def test_a_network_is_in_eval_mode_from_the_start(generator):
    model = ReLUMLP(STDS, SHAPE, generator=generator)
    assert not any(part.training for part in [*model.modules(), *ReLUMLP.from_weights(model.weights).modules()])


# Weights as they are.


@pytest.mark.parametrize("num_networks", [None, 3])
@pytest.mark.parametrize("shape", [SHAPE, SHAPE.replace(depth=2, output_dim=1)])
@pytest.mark.usefixtures("as_a_reader")
def test_a_network_from_weights_is_the_one_they_were_taken_from(shape, num_networks, generator):
    model = ReLUMLP(STDS, shape, output_divisor=2.5, num_networks=num_networks, generator=generator)
    same = ReLUMLP.from_weights([weight.detach() for weight in model.weights], output_divisor=2.5)
    assert (same.architecture, same.num_networks, same.output_divisor) == (shape, num_networks, 2.5)
    assert torch.equal(same(inputs(5)), model(inputs(5)))
    without_divisor = ReLUMLP.from_weights(tuple(model.weights))
    torch.testing.assert_close(without_divisor(inputs(5)), 2.5 * model(inputs(5)), rtol=1e-14, atol=1e-14)
    assert all(weight.requires_grad and weight.is_leaf for weight in same.weights)
    assert list(same.state_dict()) == list(model.state_dict())


@pytest.mark.usefixtures("as_a_reader")
def test_a_network_from_weights_holds_copies(generator):
    weights = [torch.randn(shape, generator=generator) for shape in ((7, 5), (7, 7), (3, 7))]
    originals = [weight.clone() for weight in weights]
    model = ReLUMLP.from_weights(weights)
    assert {weight.dtype for weight in model.weights} == {torch.float32}
    with torch.no_grad():
        for weight in model.weights:
            weight.zero_()
    assert all(map(torch.equal, weights, originals))


def test_the_annotation_of_the_weights_lets_each_have_its_shape():
    for _ in range(50):  # the hook looks at one matrix of each call
        ReLUMLP.from_weights([torch.ones(7, 5), torch.ones(7, 7), torch.ones(3, 7)])


@pytest.mark.parametrize(
    "shapes",
    [
        [],
        [(7, 5)],
        [(5, 5)],
        [(7, 5), (3, 8)],
        [(7, 5), (6, 7), (3, 6)],
        [(7, 5), (7, 6), (3, 7)],
        [(7, 5), (7, 7), (7, 8), (3, 7)],
        [(2, 7, 5), (3, 7)],
        [(2, 7, 5), (3, 3, 7)],
        [(7, 5), (2, 3, 7)],
        [(2, 2, 7, 5), (2, 2, 3, 7)],
        [(7,), (3, 7)],
        [(7, 0), (3, 7)],
        [(0, 7, 5), (0, 3, 7)],
    ],
)
@pytest.mark.usefixtures("as_a_reader")
def test_weights_that_do_not_fit_behind_each_other_are_refused(shapes):
    with pytest.raises(ValueError, match=r"^weights must be .*, got shapes \[") as refusal:
        ReLUMLP.from_weights([torch.ones(shape) for shape in shapes])
    assert str(refusal.value).endswith(f"got shapes {shapes}")


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda w: w * nan, ValueError, "must be finite, got nan or infinity"),
        (lambda w: w / 0, ValueError, "must be finite, got nan or infinity"),
        (lambda w: w.long(), TypeError, "must hold floating-point numbers, float32 or float64, got torch.int64"),
        (lambda w: w.half(), TypeError, "must hold floating-point numbers, float32 or float64, got torch.float16"),
        (lambda w: w.tolist(), TypeError, "must be a tensor of float32 or float64, got list"),
    ],
)
@pytest.mark.usefixtures("as_a_reader")
def test_weights_that_are_no_real_numbers_are_refused_by_their_place(place, change, error, message):
    weights = [torch.ones(7, 5), torch.ones(7, 7), torch.ones(3, 7)]
    weights[place] = change(weights[place])
    with pytest.raises(error, match=rf"^weights\[{place}\] {message}$"):
        ReLUMLP.from_weights(weights)


@pytest.mark.usefixtures("as_a_reader")
def test_weights_of_mixed_precision_are_refused():
    with pytest.raises(
        ValueError, match=r"^weights\[1\] must be torch.float32 on cpu like the rest, got torch.float64"
    ):
        ReLUMLP.from_weights([torch.ones(7, 5), torch.ones(3, 7).double()])


@pytest.mark.parametrize("divisor", [0.0, -1.0, inf, nan])
def test_a_divisor_out_of_range_is_refused(divisor, generator):
    with pytest.raises(ValueError, match=rf"^output_divisor must be a finite number > 0, got {divisor}$"):
        ReLUMLP.from_weights([torch.ones(7, 5), torch.ones(3, 7)], output_divisor=divisor)
    with pytest.raises(ValueError, match=rf"^output_divisor must be a finite number > 0, got {divisor}$"):
        ReLUMLP(STDS, SHAPE, output_divisor=divisor, generator=generator)


# The chains of products, against autograd.


def single_jacobian(weights, row, output_divisor):
    """df/dx at one row of one network, by autograd on the formula."""

    def outputs(value):
        for weight in weights[:-1]:
            value = torch.relu(weight @ value)
        return weights[-1] @ value / output_divisor

    return torch.autograd.functional.jacobian(outputs, row)


@pytest.mark.parametrize("num_networks", [None, 1, 2])
@pytest.mark.parametrize(("depth", "output_dim"), [(2, 1), (2, 3), (3, 1), (4, 1), (4, 3)])
def test_jacobians_and_changes_are_those_of_autograd(depth, output_dim, num_networks, generator):
    shape = SHAPE.replace(depth=depth, output_dim=output_dim)
    model = ReLUMLP(STDS, shape, output_divisor=1.6, num_networks=num_networks, generator=generator)
    x, leading = inputs(5), () if num_networks is None else (num_networks,)
    stacks = [w.detach().reshape(num_networks or 1, *w.shape[-2:]) for w in model.weights]
    expected = torch.stack(
        [torch.stack([single_jacobian(ws, row, 1.6) for row in x]) for ws in zip(*stacks, strict=True)]
    )
    expected = expected.reshape(*leading, 6, output_dim, 5)
    jacobians = model.jacobians(x)
    assert not jacobians.requires_grad
    torch.testing.assert_close(jacobians, expected.transpose(-3, -2), rtol=1e-12, atol=1e-14)
    directions = torch.randn(*leading, 6, 5, generator=generator, dtype=torch.float64)
    by_hand = (expected @ directions.unsqueeze(-1)).squeeze(-1)
    before = x.clone(), directions.clone()
    torch.testing.assert_close(model.changes(x, directions), by_hand, rtol=1e-12, atol=1e-14)
    assert torch.equal(x, before[0])
    assert torch.equal(directions, before[1])


def test_layer_inputs_and_backward_signals_are_those_of_autograd(generator):
    model = ReLUMLP(STDS, SHAPE, num_networks=2, generator=generator)
    weights = [weight.detach() for weight in model.weights]
    value, expected, entering = inputs(5).expand(2, 6, 5), [inputs(5).expand(2, 6, 5)], []
    for weight in weights[:-1]:
        entering.append((value @ weight.mT).requires_grad_())
        value = torch.relu(entering[-1])
        expected.append(value.detach())
    layers = layer_inputs(weights, inputs(5).expand(2, 6, 5))
    assert len(layers) == 4
    for ours, theirs in zip(layers, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=1e-15)
    outer = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    gradients = torch.autograd.grad((outer * (value @ weights[-1].mT)).sum(), entering)
    signal = outer @ weights[-1]
    kept = [*map(torch.clone, [signal, *layers])]
    signals = list(backward_signals(weights[:-1], layers[1:], signal))
    assert len(signals) == 3
    for ours, theirs in zip(signals, gradients[::-1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    assert all(map(torch.equal, kept, [signal, *layers]))


@pytest.mark.parametrize("output_dim", [1, 3])
@pytest.mark.usefixtures("as_a_reader")
def test_a_neuron_at_the_kink_passes_no_derivative_on(output_dim):
    # Neuron 0 is at 0, neuron 1 at 5, neuron 2 at -5; autograd's relu has the derivative 0 there too.
    first = torch.tensor([[2.0, -1.0], [1.0, 2.0], [-1.0, -2.0]], dtype=torch.float64)
    last = torch.arange(1.0, 1 + 3 * output_dim, dtype=torch.float64).reshape(output_dim, 3)
    model, x = ReLUMLP.from_weights([first, last]), torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    expected = last[:, 1:2] * first[1]
    assert torch.equal(model.jacobians(x).squeeze(1), expected)
    assert torch.equal(model.changes(x, torch.ones_like(x)).squeeze(0), expected.sum(dim=1))
    layers = layer_inputs([first, last], x)
    assert torch.equal(layers[1], torch.tensor([[0.0, 5.0, 0.0]], dtype=torch.float64))
    (signal,) = backward_signals([first], layers[1:], last[:1])
    assert torch.equal(signal, torch.stack([torch.zeros(1), last[0, 1:2], torch.zeros(1)], dim=1).double())
    assert torch.equal(single_jacobian([first, last], x[0], 1.0), expected)


def test_a_mask_is_put_on_in_place_for_all_networks():
    signal = torch.arange(1.0, 13).reshape(2, 2, 3)
    layer = torch.tensor([[0.0, 2.0, -1.0], [1e-300, 0.0, 3.0]], dtype=torch.float64)
    expected = signal.double() * torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]], dtype=torch.float64)
    doubled = signal.double()
    assert mask_(doubled, layer) is doubled
    assert torch.equal(doubled, expected)


# Bad input.


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
    sizes = SIZES | {name: value for name, value in wrong.items() if name in SIZES}
    others = {name: value for name, value in wrong.items() if name not in SIZES}
    with pytest.raises(ValueError, match=message):
        ReLUMLP(STDS, Architecture(**sizes), **others, generator=generator)


@pytest.mark.usefixtures("as_a_reader")
def test_a_width_that_is_not_an_integer_is_refused(generator):
    with pytest.raises(TypeError, match=r"^width must be an integer >= 1, got 7\.5$"):
        ReLUMLP(STDS, Architecture(**(SIZES | {"width": 7.5})), generator=generator)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"generator": None},
            r"^generator must be a torch.Generator, such as random_stream\(0, 'what it is for'\), got None$",
        ),
        ({"generator": 0}, r"^generator must be a torch.Generator, .*, got 0$"),
        ({"stds": (0.7, 0.4, 1.3)}, r"^stds must be LayerStds, .*, got \(0.7, 0.4, 1.3\)$"),
        ({"architecture": SIZES}, r"^architecture must be an Architecture, got \{'input_dim': 5"),
        ({"num_networks": 2.0}, r"^num_networks must be an integer >= 1, got 2.0$"),
        ({"output_divisor": "2"}, r"^output_divisor must be a finite number > 0, got '2'$"),
    ],
)
@pytest.mark.usefixtures("as_a_reader")
def test_arguments_of_another_kind_are_refused(wrong, message, generator):
    arguments = {"stds": STDS, "architecture": SHAPE, "generator": generator} | wrong
    with pytest.raises(TypeError, match=message):
        ReLUMLP(**arguments)


def test_no_generator_is_refused_and_the_global_state_is_left_alone(as_a_reader):  # noqa: ARG001
    before = torch.get_rng_state()
    with pytest.raises(TypeError, match="^generator must be"):
        ReLUMLP(STDS, SHAPE, generator=None)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("as_a_reader")
def test_a_network_is_asked_for_with_the_sizes_needed(generator):
    model = ReLUMLP(STDS, SHAPE, generator=generator)
    require_network(model, output_dim=3, depth=4)
    with pytest.raises(ValueError, match=r"^architecture must have output_dim 1 here, got .*output_dim=3\)$"):
        require_network(model, output_dim=1)
    with pytest.raises(TypeError, match=r"^model must be a ReLUMLP, got Sequential$"):
        require_network(torch.nn.Sequential(model))


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.ones(3, 4).double(), ValueError, r"must have shape \(batch, 5\) and not be empty, got \(3, 4\)"),
        (torch.ones(0, 5).double(), ValueError, r"must have shape \(batch, 5\) and not be empty, got \(0, 5\)"),
        (
            torch.ones(5).double(),
            ValueError,
            r"must have shape \(batch, 5\) and not be empty, got \(5,\): one input is test_x.unsqueeze\(0\)",
        ),
        (torch.ones(2, 3, 5).double(), ValueError, r"must have shape \(batch, 5\) and not be empty, got \(2, 3, 5\)"),
        (torch.ones(3, 5).double() / 0, ValueError, "must be finite, got nan or infinity"),
        (
            torch.ones(3, 5),
            ValueError,
            r"must be torch.float64 on cpu like the weights, got torch.float32 on cpu: use test_x.to\(torch.float64\)",
        ),
        (torch.ones(3, 5).long(), TypeError, "must hold floating-point numbers, float32 or float64, got torch.int64"),
    ],
)
@pytest.mark.usefixtures("as_a_reader")
def test_inputs_that_do_not_fit_are_refused_by_their_name(x, error, message, generator):
    model = ReLUMLP(STDS, SHAPE, num_networks=2, generator=generator)
    require_inputs(model, train_x=inputs(5))
    with pytest.raises(error, match=rf"^test_x {message}$"):
        require_inputs(model, train_x=inputs(5), test_x=x)


# Networks that start at 0.


@pytest.mark.parametrize("leading", [(), (3,)])
@pytest.mark.usefixtures("as_a_reader")
def test_an_antisymmetric_network_is_zero_and_holds_the_neurons_given(leading, generator):
    inner = torch.randn(*leading, 4, 5, generator=generator, dtype=torch.float64)
    outer = torch.randn(*leading, 4, generator=generator, dtype=torch.float64)
    model = antisymmetric(inner, outer)
    assert (model.num_networks, model.weights[0].shape[-2]) == (leading[0] if leading else None, 8)
    assert model.architecture == Architecture(input_dim=5, width=8, depth=2)
    assert model(inputs(5)).abs().max() < 1e-14
    model.weights[1].data[..., 4:] = 0  # without the images: the neurons given, written out
    by_hand = (torch.relu(inputs(5) @ inner.mT) * outer.unsqueeze(-2)).sum(dim=-1)
    torch.testing.assert_close(model(inputs(5)).detach(), by_hand, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(("inner", "outer"), [((4, 5), (3,)), ((4, 5), (1, 4)), ((2, 2, 4, 5), (2, 2, 4)), ((5,), ())])
@pytest.mark.usefixtures("as_a_reader")
def test_an_antisymmetric_network_refuses_weights_that_do_not_fit(inner, outer):
    with pytest.raises(ValueError, match=r"^inner and outer must have shapes .* got \(") as refusal:
        antisymmetric(torch.ones(inner), torch.ones(outer))
    assert str(refusal.value).endswith(f"got {inner} and {outer}")


def test_an_antisymmetric_network_refuses_weights_that_are_not_finite():
    with pytest.raises(ValueError, match=r"^outer must be finite, got nan or infinity$"):
        antisymmetric(torch.ones(4, 5), torch.full((4,), nan))
