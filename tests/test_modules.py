"""Any module: what cannot be measured is refused with the reason, what can is measured rightly and left alone."""

import subprocess
import sys
from copy import deepcopy
from math import isclose
from pathlib import Path

import pytest
import torch
from torch import nn

from tutorial_lib.architecture import Architecture
from tutorial_lib.initializations import LayerStds
from tutorial_lib.models import ReLUMLP
from tutorial_lib.modules import DifferentiableModule, require_eval_mode
from tutorial_lib.stability import (
    input_jacobians,
    perturbation_stability,
    random_direction_stability,
    sampled_perturbation_stability,
)

STDS = LayerStds(first=0.6, hidden=0.4, last=0.9)


def normal(generator, *shape):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def by_direction(model, x):
    return random_direction_stability(model, x, generator=torch.Generator().manual_seed(3))


def by_sampling(model, x):
    generator = torch.Generator().manual_seed(3)
    return sampled_perturbation_stability(model, x, radius=0.1, num_samples=2, generator=generator)


EVALUATE = [perturbation_stability, input_jacobians, by_direction, by_sampling]


class Function(nn.Module):
    """A module out of a function, in eval mode."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.eval()

    def forward(self, x):
        return self.function(x)


@pytest.fixture(autouse=True)
def unseeded():
    """Leave the global state of torch as it was: layers of torch.nn draw from it."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    yield
    torch.set_rng_state(state)


def ensemble():
    shape = Architecture(input_dim=5, width=4, depth=3)
    return ReLUMLP(STDS, shape, num_networks=8, generator=torch.Generator().manual_seed(0))


ATTENTION = nn.MultiheadAttention(6, 2, dtype=torch.float64).eval()
RECURRENT = nn.LSTM(6, 3, dtype=torch.float64).eval()  # its first axis is time
REFUSED = {
    "several networks in disguise": (
        lambda: nn.Sequential(ensemble()).eval(),
        r"got \(8, 3\) for 3 rows of shape \(5,\)",
    ),
    "two rows out of many": (lambda: Function(lambda x: x[:2]), r"got \(2, 5\) for 3 rows of shape \(5,\)"),
    "one number for all rows": (lambda: Function(lambda x: x.sum()), r"got \(\) for 3 rows of shape \(5,\)"),
    "three axes": (lambda: Function(lambda x: x.unsqueeze(2)), r"got \(3, 5, 1\) for 3 rows of shape \(5,\)"),
    "a tuple": (lambda: Function(lambda x: (x, x)), "model must return one tensor, got tuple"),
    "complex numbers": (lambda: Function(lambda x: x + 1j), "model must return real .* got torch.complex128"),
    "class numbers": (lambda: Function(lambda x: x.argmax(dim=1)), "model must return real .* got torch.int64"),
    "a detached part": (lambda: Function(lambda x: x.detach() * 3 + 0.1 * x), "but a finite difference differs by"),
    "numbers by numpy": (
        lambda: Function(lambda x: torch.from_numpy(3 * x.detach().numpy())),
        "but a finite difference differs by",
    ),
    "batch statistics": (
        lambda: nn.BatchNorm1d(5, track_running_stats=False, dtype=torch.float64).eval(),
        "model must treat each row of x on its own",
    ),
    "the mean of the batch": (lambda: Function(lambda x: x - 0.1 * x.mean(dim=0)), "each row of x on its own"),
    "attention along the batch": (
        lambda: Function(
            lambda x: ATTENTION(
                x[:, :1] * torch.ones(6), x[:, 1:2] * torch.ones(6), x[:, :1] + 0 * x[:, :1] * torch.ones(6)
            )[0]
        ),
        "each row of x on its own",
    ),
    "recurrence along the batch": (
        lambda: Function(lambda x: RECURRENT(torch.cat([x, x[:, :1]], dim=1))[0]),
        "each row of x on its own",
    ),
    "dropout that does not know eval mode": (
        lambda: Function(lambda x: nn.functional.dropout(x, 0.5)),
        "model must give the same answer twice",
    ),
    "random slopes": (lambda: Function(lambda x: nn.functional.rrelu(-x, training=True)), "the same answer twice"),
    "an infinite output": (lambda: Function(lambda x: x / 0), "model must give finite outputs"),
    "an infinite slope": (lambda: Function(lambda x: (x * 0).sqrt()), "model must have finite derivatives"),
    "another input size": (
        lambda: nn.Linear(4, 2, dtype=torch.float64).eval(),
        r"model fails on rows of x, of shape \(5,\): ",
    ),
    "another dtype": (
        lambda: nn.Linear(5, 2).eval(),
        "x must be torch.float32 on cpu like the model, got torch.float64",
    ),
    "a part in training mode": (
        lambda: nn.Sequential(nn.Linear(5, 2, dtype=torch.float64).eval(), nn.Dropout()).train(),
        "model must be in eval mode, call model.eval",
    ),
    "only a part in training mode": (
        lambda: nn.Sequential(nn.Linear(5, 2, dtype=torch.float64).eval(), Function(torch.relu)).eval()[0].train(),
        "model must be in eval mode",
    ),
}


@pytest.mark.parametrize("evaluate", EVALUATE)
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_measured_is_refused_with_the_reason(as_a_reader, name, evaluate, generator):  # noqa: ARG001
    build, message = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=message):
        evaluate(build(), 0.5 + normal(generator, 8, 5).abs())


@pytest.mark.parametrize("evaluate", EVALUATE)
@pytest.mark.parametrize("model", ["a name", None, torch.relu, 3])
def test_what_is_no_module_is_refused(as_a_reader, model, evaluate, generator):  # noqa: ARG001
    with pytest.raises(TypeError, match=r"^model must be a torch.nn.Module"):
        evaluate(model, normal(generator, 4, 5))


@pytest.mark.parametrize("rows", [1, 2])
def test_interaction_is_found_with_few_rows_too(rows, generator):
    model = Function(lambda x: x - x.mean(dim=0) / 2)
    with pytest.raises(ValueError, match="each row of x on its own"):
        perturbation_stability(model, normal(generator, rows, 5))


def test_the_part_in_training_mode_is_named():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), nn.Dropout())).eval()
    require_eval_mode(model)
    model[1][1].train()
    with pytest.raises(ValueError, match=r"in training mode: 1\.1 \(Dropout\)$"):
        require_eval_mode(model)


# What is measured rightly.


class Residual(nn.Module):
    """Two convolutions with batch normalization around a shortcut, in place as in torchvision."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.Conv2d(2, 2, 1)
        )
        self.head = nn.Linear(2 * 25, 3)

    def forward(self, x):
        return self.head((x + self.body(x)).flatten(1))


class Recurrent(nn.Module):
    """The rows of an image one after another."""

    def __init__(self):
        super().__init__()
        self.memory, self.head = nn.LSTM(10, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.memory(x.flatten(1).reshape(-1, 5, 10))[0][:, -1])


class Transformer(nn.Module):
    """A transformer over the rows of an image, with layer normalization and attention."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(10, 2, 12, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(10, 3)

    def forward(self, x):
        return self.head(self.encoder(x.flatten(1).reshape(-1, 5, 10)).mean(dim=1))


MODELS = {
    "MLP with biases": lambda: nn.Sequential(nn.Flatten(), nn.Linear(50, 9), nn.GELU(), nn.Linear(9, 3)),
    "regressor without an axis of outputs": lambda: nn.Sequential(nn.Flatten(), nn.Linear(50, 1), nn.Flatten(0)),
    "CNN with batch normalization": lambda: nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(27, 4), nn.Dropout()
    ),
    "in place at once": lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(50, 3)),
    "residual": Residual,
    "LSTM": Recurrent,
    "transformer": Transformer,
}


def build(name):
    return MODELS[name]().double().eval()


def differences(model, x, step=1e-6):
    """Jacobians by central finite differences, coordinate by coordinate."""
    columns = []
    with torch.no_grad():
        for place in range(x[0].numel()):
            shift = torch.zeros_like(x[0]).flatten()
            shift[place] = step
            ends = [model(x + sign * shift.reshape(x[0].shape)).reshape(len(x), -1) for sign in (1, -1)]
            columns.append((ends[0] - ends[1]) / (2 * step))
    return torch.stack(columns, dim=2)


@pytest.mark.parametrize("name", MODELS)
def test_derivatives_are_finite_differences(name, generator):
    model, x = build(name), normal(generator, 4, 2, 5, 5)
    expected = differences(model, x)
    torch.testing.assert_close(input_jacobians(model, x), expected, rtol=1e-6, atol=1e-7)
    function, direction = DifferentiableModule(model, x), normal(generator, 4, 2, 5, 5)
    weights = normal(generator, *expected.shape[:2])
    combined = torch.einsum("bo,bod->bd", weights, expected)
    torch.testing.assert_close(function.gradients(x, weights), combined, rtol=1e-6, atol=1e-7)
    moved = torch.einsum("bod,bd->bo", expected, direction.flatten(1))
    torch.testing.assert_close(function.changes(x, direction), moved, rtol=1e-6, atol=1e-7)


def test_a_direction_warns_of_nothing_that_the_caller_could_change():
    program = (
        "import torch; from torch import nn; from tutorial_lib.stability import random_direction_stability as measure; "
        "measure(nn.Linear(3, 2).eval(), torch.ones(4, 3), generator=torch.Generator().manual_seed(0))"
    )
    # In a process of its own: torch warns once, when it loads its forward-mode derivatives.
    subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=Path(__file__).parents[1], check=True)


class BackwardOnly(torch.autograd.Function):
    """The square, differentiable backwards only."""

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(context, gradient):
        return 2 * context.saved_tensors[0] * gradient


def test_a_part_without_forward_derivatives_is_refused_with_the_way_out(generator):
    model, x = Function(BackwardOnly.apply), normal(generator, 4, 5)
    torch.testing.assert_close(input_jacobians(model, x), torch.diag_embed(2 * x))
    message = "^model has no forward-mode derivative, which directions need; perturbation_stability works without it: "
    with pytest.raises(ValueError, match=message):
        by_direction(model, x)


@pytest.mark.parametrize("name", MODELS)
def test_float32_gives_nearly_the_same(name, generator):
    model, x = build(name), normal(generator, 5, 2, 5, 5)
    exact = perturbation_stability(model, x).mean
    assert isclose(perturbation_stability(model.float(), x.float()).mean, exact, rel_tol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", MODELS)
def test_a_gpu_gives_nearly_the_same(name, generator):
    model, x = build(name), normal(generator, 5, 2, 5, 5)
    exact = perturbation_stability(model, x).mean
    assert isclose(perturbation_stability(model.cuda(), x.cuda()).mean, exact, rel_tol=1e-4)


def test_a_constant_has_stability_zero(generator):
    estimate = perturbation_stability(Function(lambda x: torch.ones(len(x), 2).to(x)), normal(generator, 4, 5))
    assert (estimate.mean, estimate.standard_error) == (0, 0)


def test_a_staircase_is_flat_almost_everywhere(generator):
    assert perturbation_stability(Function(lambda x: torch.round(255 * x)), normal(generator, 4, 5)).mean == 0


def test_a_list_of_modules_is_several_networks(generator):
    x = normal(generator, 4, 5)
    members = [nn.Linear(5, 2, dtype=torch.float64).eval() for _ in range(3)]
    estimate = perturbation_stability(nn.ModuleList(members), x)
    assert estimate == perturbation_stability(members, x)
    assert estimate.num_draws == 3


# What is left alone.


def snapshot(model, x):
    """All that a measurement could change."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [part.training for part in model.modules()]
    wants = [(p.requires_grad, None if p.grad is None else p.grad.clone()) for p in model.parameters()]
    return deepcopy((state, modes, wants, x.detach().clone(), x.requires_grad, x.grad, torch.get_rng_state()))


def assert_same(before, after):
    for one, other in zip(before[0].values(), after[0].values(), strict=True):
        assert torch.equal(one, other)
    assert before[1] == after[1]
    for one, other in zip(before[2], after[2], strict=True):
        assert one[0] == other[0]
        assert one[1] is other[1] is None or torch.equal(one[1], other[1])
    assert torch.equal(before[3], after[3])
    assert before[4:6] == after[4:6]
    assert torch.equal(before[6], after[6])


@pytest.mark.parametrize("evaluate", EVALUATE)
@pytest.mark.parametrize("name", MODELS)
def test_model_input_and_random_state_are_left_alone(name, evaluate, generator):
    model, x = build(name), normal(generator, 4, 2, 5, 5).requires_grad_()
    next(model.parameters()).requires_grad_(False)
    before = snapshot(model, x)
    evaluate(model, x)
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            evaluate(model, x)
    assert_same(before, snapshot(model, x))


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_leaves_everything_alone(as_a_reader, name, generator):  # noqa: ARG001
    model, x = REFUSED[name][0](), 0.5 + normal(generator, 8, 5).abs()
    before = snapshot(model, x)
    with pytest.raises((ValueError, TypeError)):
        perturbation_stability(model, x)
    assert_same(before, snapshot(model, x))


def test_inputs_made_in_inference_mode_are_measured(generator):
    model = build("CNN with batch normalization")
    x = normal(generator, 4, 2, 5, 5)
    with torch.inference_mode():
        made = x.clone()
    assert perturbation_stability(model, made) == perturbation_stability(model, x)


def test_the_refusal_names_kinks_and_noise_on_the_inputs_helps():
    pool = nn.Sequential(nn.MaxPool2d(4), nn.Flatten(), nn.Linear(4, 3)).double().eval()
    pool[2].weight.data = torch.tensor([[1.0, 2, 3, 4], [0, 1, 1, 1], [-3, 1, 2, 1]], dtype=torch.float64)
    flat = torch.zeros(8, 1, 8, 8, dtype=torch.float64)
    with pytest.raises(ValueError, match="where model has a kink, such as a flat area of an image under max pooling"):
        perturbation_stability(pool, flat)
    noise = 1e-3 * torch.rand(flat.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert perturbation_stability(pool, flat + noise).num_draws == 8


def pooling(seed):
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(100, 3)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
        model[0].bias.abs_()  # what is flat is not switched off
    return model


@pytest.mark.parametrize("seed", range(8))
def test_flat_images_under_max_pooling_are_refused_whatever_the_weights(seed):
    x = torch.zeros(5, 1, 12, 12)
    x[:, :, 4:8, 5:7] = torch.rand(5, 1, 4, 2, generator=torch.Generator().manual_seed(seed))
    with pytest.raises(ValueError, match=r"^x must not be where model has a kink, .* 1e-3 \* torch.randn_like\(x\)$"):
        perturbation_stability(pooling(seed), x)
    noise = 1e-3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    assert perturbation_stability(pooling(seed), x + noise).mean > 0


def test_columns_of_very_different_sizes_are_measured_in_float32():
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(300, 4, generator=draws) * torch.tensor([10.0, 2e4, 0.3, 1e6]) + torch.tensor([40.0, 5e4, 0.5, 3e6])
    for seed in range(4):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 30), nn.ReLU(), nn.Linear(30, 2))
            model(x)  # running statistics after one pass
            model[0].running_mean, model[0].running_var = x.mean(dim=0), x.var(dim=0)
        single = perturbation_stability(model.eval(), x).mean
        assert single == pytest.approx(perturbation_stability(model.double(), x.double()).mean, rel=1e-4)


def test_a_detached_part_is_found_behind_large_outputs_in_float32():
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))

    class Houses(nn.Module):
        def forward(self, rows):
            return 1e3 * rows.detach().sin().sum(dim=1) + 3e5 + 0 * rows.sum(dim=1)

    with pytest.raises(ValueError, match="^model must agree with its derivative as torch computes it"):
        perturbation_stability(Houses().eval(), x)


def test_what_cannot_be_checked_is_refused_and_the_model_stays_as_it_was():
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))

    class Stubborn(nn.Module):
        """Computes in float32 whatever it is told."""

        def forward(self, rows):
            return 1e-3 * rows.float().sin().sum(dim=1) + 3e5

    with pytest.raises(ValueError, match="^model must have derivatives that can be checked in torch.float32"):
        perturbation_stability(Stubborn().eval(), x)
    model = nn.Sequential(nn.Linear(4, 3), nn.GELU()).eval()
    perturbation_stability(model, x)
    assert model[0].weight.dtype == torch.float32
