"""Training against autograd, step by step; who stops, who diverges, who is dead; the learning rate."""

import os
import subprocess
import sys
from math import inf, isclose, nan
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from tutorial_lib.architecture import Architecture
from tutorial_lib.book.data import load
from tutorial_lib.initializations import INITIALIZATIONS, LayerStds, he
from tutorial_lib.laziness import empirical_tangent_kernel
from tutorial_lib.models import ReLUMLP
from tutorial_lib.training import (
    CROSS_ENTROPY,
    HALF_SQUARE,
    DivergedError,
    Loss,
    largest_kernel_eigenvalues,
    loss_and_gradients,
    stable_learning_rate,
    train,
)

STDS = LayerStds(first=0.7, hidden=0.5, last=0.9)
NOTHING = LayerStds(0.0, 0.0, 0.0)


def normal(generator, *shape):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


SHAPE = Architecture(input_dim=5, width=8, depth=4)


def networks(generator, *, stds=STDS, shape=SHAPE, num_networks=None, output_divisor=1.6, **sizes):
    shape = shape.replace(**sizes)
    return ReLUMLP(stds, shape, output_divisor=output_divisor, num_networks=num_networks, generator=generator)


def member(models, index):
    """One network of an ensemble on its own."""
    weights = [stacked[index] for stacked in models.weights]
    return ReLUMLP.from_weights(weights, output_divisor=models.output_divisor)


def weights_of(models):
    return [weight.detach().clone() for weight in models.weights]


def half_square(outputs, labels):
    return 0.5 * (outputs - labels).square().reshape(len(labels), -1).sum(dim=1).mean()


def step_by_autograd(model, x, y, rate, loss):
    """One step of plain gradient descent on the mean loss; return the loss before it."""
    value = loss(model(x), y)
    gradients = torch.autograd.grad(value, list(model.weights))
    for weight, gradient in zip(model.weights, gradients, strict=True):
        weight.data = weight.data - rate * gradient
    return value.item()


def labels(generator, rows, output_dim, loss):
    if loss is HALF_SQUARE:
        return (
            normal(generator, rows, output_dim).squeeze(1) if output_dim == 1 else normal(generator, rows, output_dim)
        )
    return torch.softmax(normal(generator, rows, output_dim), dim=1)


CASES = [(HALF_SQUARE, half_square, 1), (HALF_SQUARE, half_square, 3), (CROSS_ENTROPY, functional.cross_entropy, 3)]


@pytest.mark.parametrize(("loss", "by_torch", "output_dim"), CASES)
@pytest.mark.parametrize("depth", [2, 4])
@pytest.mark.parametrize("num_networks", [None, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_step_is_the_gradient_step_of_autograd(loss, by_torch, output_dim, depth, num_networks, dtype, generator):
    models = networks(generator, depth=depth, output_dim=output_dim, num_networks=num_networks).to(dtype)
    x, y = 1.3 * normal(generator, 9, 5).to(dtype), labels(generator, 9, output_dim, loss).to(dtype)
    stacked = [w if num_networks else w.unsqueeze(0) for w in weights_of(models)]
    rates = torch.tensor([0.3, 0.1, 0.7], dtype=dtype) if num_networks else 0.3
    training = train(models, x, y, learning_rate=rates, num_steps=1, loss=loss)
    assert [row["step"].item() for row in training.rows] == [0, 1]
    tolerance = {"rtol": 1e-10, "atol": 1e-13} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-6}
    for index in range(num_networks or 1):
        model = networks(generator, depth=depth, output_dim=output_dim).to(dtype)
        model.load_state_dict({f"weights.{layer}": w[index] for layer, w in enumerate(stacked)})
        before = step_by_autograd(model, x, y, float(rates[index]) if num_networks else rates, by_torch)
        after = by_torch(model(x), y).item()
        assert isclose(training.rows[0]["loss"][index].item(), before, rel_tol=1e-5)
        assert isclose(training.rows[1]["loss"][index].item(), after, rel_tol=1e-5)
        for ours, theirs in zip(models.weights, model.weights, strict=True):
            ours = ours[index] if num_networks else ours
            assert ours.dtype == dtype
            torch.testing.assert_close(ours.detach(), theirs.detach(), **tolerance)


def test_several_steps_are_that_many_steps(generator):
    models, x, y = networks(generator), normal(generator, 9, 5), normal(generator, 9)
    by_hand = networks(generator)
    by_hand.load_state_dict(models.state_dict())
    losses = [step_by_autograd(by_hand, x, y, 0.2, half_square) for _ in range(7)]
    by_hand_loss = half_square(by_hand(x), y).item()
    training = train(models, x, y, learning_rate=0.2, num_steps=7, record_at=[3, 5, 100])
    assert [row["step"].item() for row in training.rows] == [0, 3, 5, 7]
    for row, expected in zip(training.rows, [losses[0], losses[3], losses[5], by_hand_loss], strict=True):
        assert row["loss"].shape == (1,)
        assert isclose(row["loss"].item(), expected, rel_tol=1e-10)
    for ours, theirs in zip(models.weights, by_hand.weights, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_rows_hold_what_was_measured_before_the_update_of_their_step(generator):
    models, x, y = networks(generator, num_networks=3), normal(generator, 9, 5), normal(generator, 9)

    def measure(present):
        return {"outputs": present(x).detach()}

    training = train(models, x, y, learning_rate=0.2, num_steps=4, record_at=range(5), measure=measure)
    assert [row["step"].item() for row in training.rows] == [0, 1, 2, 3, 4]
    for row in training.rows:
        torch.testing.assert_close(row["loss"], (row["outputs"] - y).square().mean(dim=1) / 2, rtol=1e-12, atol=0)
    assert torch.equal(training.rows[-1]["outputs"], models(x).detach())


def test_labels_of_one_output_may_be_a_column_and_integers(as_a_reader, generator):  # noqa: ARG001
    x, y = normal(generator, 9, 5), torch.tensor([1, -1, 1, 1, -1, 1, -1, -1, 1])
    results = []
    for given_labels in (y.double(), y.double().unsqueeze(1), y):
        models = networks(generator.manual_seed(3))
        train(models, x, given_labels, learning_rate=0.2, num_steps=3)
        results.append(models.weights[0].detach())
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.parametrize(("loss", "by_torch", "output_dim"), CASES)
def test_losses_and_their_derivatives_are_those_of_torch(loss, by_torch, output_dim, generator):
    outputs, y = 3 * normal(generator, 2, 9, output_dim), labels(generator, 9, output_dim, loss).reshape(9, -1)
    for values, residuals, rows in zip(loss.values(outputs, y), loss.residuals(outputs, y), outputs, strict=True):
        rows = rows.requires_grad_()
        mean = by_torch(rows, y)
        assert isclose(values.mean().item(), mean.item(), rel_tol=1e-12)
        (gradient,) = torch.autograd.grad(mean, rows)
        torch.testing.assert_close(residuals.detach() / 9, gradient, rtol=1e-11, atol=1e-13)


def test_cross_entropy_stays_finite_for_large_outputs():
    outputs, y = torch.tensor([[1e4, -1e4, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    assert CROSS_ENTROPY.values(outputs, y).item() == 2e4
    assert CROSS_ENTROPY.residuals(outputs, y).tolist() == [[1.0, -1.0, 0.0]]


# Ensembles.


def test_a_member_is_trained_as_if_it_were_alone(generator):
    models, x, y = networks(generator, num_networks=4), normal(generator, 9, 5), normal(generator, 9)
    alone = [member(models, index) for index in range(4)]
    rates = torch.tensor([0.1, 0.3, 0.2, 0.05], dtype=torch.float64)
    together = train(models, x, y, learning_rate=rates, num_steps=20, record_at=[11])
    for index, model in enumerate(alone):
        training = train(model, x, y, learning_rate=float(rates[index]), num_steps=20, record_at=[11])
        for row, row_alone in zip(together.rows, training.rows, strict=True):
            assert isclose(row["loss"][index].item(), row_alone["loss"].item(), rel_tol=1e-10)
        for stacked, weight in zip(models.weights, model.weights, strict=True):
            torch.testing.assert_close(stacked[index], weight, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("batch_size", [None, 6])
def test_members_stop_on_their_own_and_keep_their_weights_bit_for_bit(batch_size, generator):
    models, x, y = networks(generator, num_networks=4), normal(generator, 9, 5), normal(generator, 9)
    rates = stable_learning_rate(models, x, reference=STDS) * torch.tensor([1, 0.5, 0.7, 1e-9])

    def measure(present):
        return {"first": present.weights[0].detach().clone(), "last": present.weights[-1].detach().clone()}

    training = train(
        models,
        x,
        y,
        learning_rate=rates,
        num_steps=400,
        record_at=range(401),
        measure=measure,
        target_loss=0.25,
        batch_size=batch_size,
        generator=generator,
    )
    losses = torch.stack([row["loss"] for row in training.rows])
    assert torch.equal(training.reached, (losses <= 0.25).any(dim=0))
    assert training.reached[:3].all()
    stops = [(losses[:, index] <= 0.25).nonzero()[0].item() for index in range(3)]
    assert len(set(stops)) == 3
    for index, stop in enumerate(stops):
        for name in ("first", "last"):
            history = torch.stack([row[name][index] for row in training.rows])
            assert (history[1 : stop + 1] != history[:stop]).flatten(1).any(dim=1).all()  # moved at every step
            assert torch.equal(history[stop:], history[stop].expand_as(history[stop:]))  # and then no more
    assert training.rows[-1]["step"] == 400 or batch_size
    assert training.diverged_at.tolist() == [-1] * 4


def test_training_ends_when_every_network_has_stopped(generator):
    models, x, y = networks(generator, num_networks=2), normal(generator, 9, 5), normal(generator, 9)
    training = train(models, x, y, learning_rate=0.05, num_steps=5000, target_loss=0.25)
    assert training.reached.all()
    assert 0 < training.rows[-1]["step"] < 5000
    again = train(models, x, y, learning_rate=0.05, num_steps=5000, target_loss=0.25)
    assert [row["step"].item() for row in again.rows] == [0]
    assert not train(models, x, y, learning_rate=0.2, num_steps=1).reached.any()


def test_a_single_network_that_diverges_says_at_which_step(generator):
    models, x, y = networks(generator, depth=2, num_networks=3), normal(generator, 9, 5), normal(generator, 9)
    alone = [member(models, index) for index in range(3)]
    rates = torch.tensor([0.1, 3.0, 0.2], dtype=torch.float64)
    training = train(models, x, y, learning_rate=rates, num_steps=60)
    step = training.diverged_at[1].item()
    assert 1 < step < 60
    assert training.diverged_at.tolist() == [-1, step, -1]
    assert training.rows[-1]["step"] == 60
    message = "^learning_rate must be smaller: 1 of {} networks diverged, the first at step {}$"
    with pytest.raises(DivergedError, match=message.format(3, step)):
        training.require_all_finite()
    with pytest.raises(DivergedError, match=message.format(1, step)):
        train(alone[1], x, y, learning_rate=3.0, num_steps=60)
    for index in (0, 2):
        train(alone[index], x, y, learning_rate=float(rates[index]), num_steps=60)
        torch.testing.assert_close(models.weights[0][index], alone[index].weights[0], rtol=1e-9, atol=1e-12)


def test_a_member_that_diverged_has_not_reached_its_target(generator):
    models, x, y = networks(generator, depth=2, num_networks=2), normal(generator, 9, 5), normal(generator, 9)
    rates = torch.tensor([1e200, 0.1], dtype=torch.float64)
    training = train(models, x, y, learning_rate=rates, num_steps=200, target_loss=0.4)
    assert training.diverged_at.tolist() == [1, -1]
    assert training.reached.tolist() == [False, True]
    with pytest.raises(ValueError, match="^networks must be finite, got nan or infinity$"):
        train(models, x, y, learning_rate=rates, num_steps=3, target_loss=1e-9)


def test_a_loss_that_is_infinite_at_the_start_is_a_divergence_at_step_0(generator):
    models, x, y = networks(generator, num_networks=2), normal(generator, 9, 5), normal(generator, 9)
    models.weights[-1].data[0] *= 1e200
    training = train(models, x, y, learning_rate=0.1, num_steps=3, target_loss=1e-9)
    assert training.diverged_at.tolist() == [0, -1]
    assert training.reached.tolist() == [False, False]


def test_training_in_which_every_network_diverges_raises(generator):
    models, x, y = networks(generator, num_networks=3), normal(generator, 9, 5), normal(generator, 9)
    message = "^learning_rate must be smaller: 3 of 3 networks diverged, the first at step 1$"
    with pytest.raises(DivergedError, match=message):
        train(models, x, y, learning_rate=1e200, num_steps=60)


def test_what_is_measured_is_measured_on_no_network_that_diverged(generator):
    x, y, rates = normal(generator, 9, 5), normal(generator, 9), torch.tensor([0.1, 1e200], dtype=torch.float64)
    start, seen = networks(generator, num_networks=2), []

    def measure(present):
        seen.append(all(bool(torch.isfinite(weight).all()) for weight in present.weights))
        return {}

    message = "^learning_rate must be smaller: 1 of 2 networks diverged, the first at step 1$"
    for record_at, records in (([], 1), ([1], 1), ([0, 3], 1), (range(6), 1)):
        models = ReLUMLP.from_weights(list(start.weights), output_divisor=1.6)
        with pytest.raises(DivergedError, match=message):
            train(models, x, y, learning_rate=rates, num_steps=5, record_at=record_at, measure=measure)
        assert seen == [True] * records
        seen.clear()
    models = ReLUMLP.from_weights(list(start.weights), output_divisor=1.6)
    training = train(models, x, y, learning_rate=rates, num_steps=5, record_at=[0, 3])
    assert training.diverged_at.tolist() == [-1, 1]
    assert [row["step"].item() for row in training.rows] == [0, 3, 5]
    assert torch.isfinite(torch.stack([row["loss"][0] for row in training.rows])).all()


def test_a_record_without_divergence_is_finite(generator):
    training = train(networks(generator), normal(generator, 9, 5), normal(generator, 9), learning_rate=0.1, num_steps=2)
    assert training.require_all_finite() is None


def test_dead_networks_are_told(generator):
    models, x, y = networks(generator, num_networks=3), normal(generator, 9, 5).abs(), normal(generator, 9)
    models.weights[0].data[1] = -models.weights[0].data[1].abs()  # no neuron is active on positive inputs
    before = weights_of(models)
    training = train(models, x, y, learning_rate=0.1, num_steps=5)
    assert training.dead.tolist() == [False, True, False]
    assert isclose(training.rows[-1]["loss"][1].item(), y.square().mean().item() / 2, rel_tol=1e-12)
    for weight, start in zip(models.weights, before, strict=True):
        assert torch.equal(weight[1], start[1])
        assert not torch.equal(weight[0], start[0])


@pytest.mark.parametrize("row", range(9))
def test_a_network_is_dead_by_all_training_rows_and_not_by_those_of_a_batch(row, generator):
    models, x = networks(generator, num_networks=2), -torch.ones(9, 5).double()
    for weight in models.weights:
        weight.data[0] = weight.data[0].abs()
    models.weights[0].data[1] = 0
    x[row] = 1  # the first network is 0 at all rows but this one
    assert (models(x)[0] != 0).tolist() == [place == row for place in range(9)]
    settings = {"learning_rate": 1e-3, "num_steps": 3, "batch_size": 1, "generator": generator}
    assert train(models, x, normal(generator, 9), **settings).dead.tolist() == [False, True]


# Batches.


def test_an_epoch_of_batches_takes_every_row_once(generator):
    models, x, y = networks(generator, num_networks=2), normal(generator, 10, 5), torch.arange(10.0).double()
    seen = []

    def values(outputs, batch_labels):
        seen.append(batch_labels.flatten().tolist())
        return HALF_SQUARE.values(outputs, batch_labels)

    loss = Loss(values, HALF_SQUARE.residuals)
    train(models, x, y, learning_rate=1e-3, num_steps=8, loss=loss, batch_size=4, generator=generator)
    assert [len(batch) for batch in seen] == [4, 4, 2] * 3
    epochs = [sum(seen[start : start + 3], []) for start in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert epochs[0] != list(range(10))


@pytest.mark.parametrize("num_rows", [10, 9])  # the last batch has two rows, or one
def test_a_batch_pairs_inputs_with_their_labels_and_averages_over_its_rows(num_rows, generator):
    models, x, y = networks(generator), normal(generator, num_rows, 5), normal(generator, num_rows)
    by_hand = networks(generator)
    by_hand.load_state_dict(models.state_dict())
    state = generator.get_state()
    train(models, x, y, learning_rate=0.2, num_steps=3, batch_size=4, generator=generator)
    generator.set_state(state)
    batches = torch.split(torch.randperm(num_rows, generator=generator), 4)
    assert len(batches) == 3
    for rows in batches:
        step_by_autograd(by_hand, x[rows], y[rows], 0.2, half_square)
    for ours, theirs in zip(models.weights, by_hand.weights, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_sizes_may_be_integers_of_numpy(as_a_reader, generator):  # noqa: ARG001
    x, y, results = normal(generator, 9, 5), normal(generator, 9), []
    for kind in (int, np.int64):
        models = networks(generator.manual_seed(3))
        sizes = {"batch_size": kind(2), "num_steps": kind(7), "record_at": [kind(3)]}
        training = train(models, x, y, learning_rate=0.2, **sizes, generator=generator)
        assert [row["step"].item() for row in training.rows] == [0, 3, 7]
        results.append(weights_of(models))
    assert all(map(torch.equal, *results))


def test_the_global_random_state_is_left_alone(generator):
    before = torch.get_rng_state()
    models, x, y = networks(generator, num_networks=2), normal(generator, 10, 5), normal(generator, 10)
    rates = stable_learning_rate(models, x, reference=STDS)
    train(models, x, y, learning_rate=rates, num_steps=3, batch_size=4, generator=generator)
    assert torch.equal(torch.get_rng_state(), before)
    assert not x.requires_grad
    assert all(weight.requires_grad and weight.grad is None for weight in models.weights)


# The learning rate.


@pytest.mark.parametrize(
    ("scheme", "width", "depth", "eigenvalue"),
    [("he", 64, 2, 1.28181274), ("he", 256, 4, 7.99659386), ("ntk", 64, 2, 17.7315299), ("ntk", 64, 8, 94.190343)],
)
def test_a_dead_network_gets_the_rate_of_the_closed_form(scheme, width, depth, eigenvalue, generator):
    x = load(num_train=256).train_x
    shape = Architecture(input_dim=64, width=width, depth=depth)
    dead = networks(generator, stds=NOTHING, shape=shape, num_networks=1)
    rates = stable_learning_rate(dead, x, reference=INITIALIZATIONS[scheme](shape))
    assert rates.shape == (1,)
    assert isclose(0.5 / rates.item(), eigenvalue / 1.6**2, rel_tol=5e-9)


@pytest.mark.parametrize("depth", [2, 4])
def test_the_own_eigenvalue_is_that_of_the_empirical_kernel(depth, generator):
    x = load(num_train=64).train_x
    shape = Architecture(input_dim=64, width=20, depth=depth)
    models = networks(generator, stds=he(shape), shape=shape, num_networks=6)
    largest = torch.linalg.eigvalsh(empirical_tangent_kernel(models, x, x))[:, -1]
    torch.testing.assert_close(largest_kernel_eigenvalues(models, x), largest, rtol=1e-3, atol=0)
    expected = largest / 64
    rates = stable_learning_rate(models, x, reference=NOTHING, factor=0.3)
    torch.testing.assert_close(0.3 / rates, expected, rtol=1e-3, atol=0)
    alone = stable_learning_rate(member(models, 2), x, reference=NOTHING, factor=0.3)
    torch.testing.assert_close(alone, rates[2:3], rtol=1e-10, atol=0)


def test_the_own_eigenvalue_covers_all_outputs(generator):
    x, model = load(num_train=20).train_x, networks(generator, input_dim=64, depth=3, output_dim=3)
    rows = [torch.autograd.grad(f, list(model.weights), retain_graph=True) for f in model(x).flatten()]
    jacobian = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])
    expected = torch.linalg.eigvalsh(jacobian @ jacobian.T)[-1] / 20
    rate = stable_learning_rate(model, x, reference=NOTHING)
    assert isclose(0.5 / rate.item(), expected.item(), rel_tol=0.02)


def test_the_larger_eigenvalue_decides(generator):
    x = load(num_train=64).train_x
    shape = Architecture(input_dim=64, width=20, depth=6)
    for scheme in ("he", "lecun"):
        models = networks(generator, stds=INITIALIZATIONS[scheme](shape), shape=shape, num_networks=8)
        own = stable_learning_rate(models, x, reference=NOTHING)
        dead = networks(generator, stds=NOTHING, shape=shape, num_networks=8)
        limit = stable_learning_rate(dead, x, reference=he(shape))
        rates = stable_learning_rate(models, x, reference=he(shape))
        torch.testing.assert_close(rates, torch.minimum(own, limit), rtol=1e-12, atol=0)
        if scheme == "lecun":
            assert (own > limit).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_learning_rate_follows_the_output_divisor_and_the_dtype(dtype, generator):
    x = load(num_train=32).train_x.to(dtype)
    rates, shape = [], Architecture(input_dim=64, width=20, depth=3)
    for divisor in (1.0, 3.0):
        stream = generator.manual_seed(1)
        models = networks(stream, shape=shape, num_networks=4, output_divisor=divisor).to(dtype)
        rates.append(stable_learning_rate(models, x, reference=he(shape)))
    assert rates[0].dtype == dtype
    torch.testing.assert_close(rates[1], 9 * rates[0], rtol=1e-4, atol=0)


def test_training_at_this_rate_reduces_the_loss(generator):
    split, shape = load(num_train=64), Architecture(input_dim=64, width=100, depth=4)
    models = networks(generator, stds=he(shape), shape=shape, num_networks=4)
    rates = stable_learning_rate(models, split.train_x, reference=he(shape))
    training = train(models, split.train_x, split.train_y, learning_rate=rates, num_steps=30)
    assert (training.rows[-1]["loss"] < 0.8 * training.rows[0]["loss"]).all()


# Progress.

PROGRAM = """
import sys, time, torch
from tutorial_lib.architecture import Architecture
from tutorial_lib.initializations import LayerStds
from tutorial_lib.models import ReLUMLP
from tutorial_lib.training import train
shape = Architecture(input_dim=2, width=3, depth=2)
model = ReLUMLP(LayerStds(1, 1, 1), shape, generator=torch.Generator())
def run(pause):
    wait = lambda model: time.sleep(pause) or {}
    train(model, torch.ones(1, 2).double(), torch.ones(1).double(), learning_rate=1e-3, num_steps=3,
          record_at=range(4), measure=wait)
run(0)
print("short run done", file=sys.stderr)
run(0.4)
"""


@pytest.mark.slow
@pytest.mark.parametrize("disabled", [False, True])
def test_a_bar_shows_in_long_runs_only_and_never_in_stored_outputs(disabled):
    environment = {key: value for key, value in os.environ.items() if key != "TQDM_DISABLE"}
    environment |= {"TQDM_DISABLE": "1"} if disabled else {}
    root = Path(__file__).parent.parent
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    short, long = result.stderr.split("short run done\n")
    assert (result.stdout, short) == ("", "")
    assert ("training" in long) is not disabled
    assert (long == "") is disabled


def test_the_bar_is_off_in_tests_and_notebooks():
    assert os.environ["TQDM_DISABLE"] == "1"


# Bad input.


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"x": torch.ones(9, 4).double()}, r"^x must have shape \(batch, 5\) and not be empty, got \(9, 4\)$"),
        ({"x": torch.ones(0, 5).double()}, r"^x must have shape \(batch, 5\) and not be empty, got \(0, 5\)$"),
        (
            {"x": torch.ones(5).double()},
            r"^x must have shape \(batch, 5\) and not be empty, got \(5,\): one input is x.unsqueeze\(0\)$",
        ),
        (
            {"x": torch.ones(9, 5)},
            r"^x must be torch.float64 on cpu like the weights, got torch.float32 on cpu: use x.to\(torch.float64\)$",
        ),
        ({"x": torch.ones(9, 5).double() / 0}, "^x must be finite, got nan or infinity$"),
        ({"y": torch.zeros(9) / 0}, "^y must be finite, got nan or infinity$"),
        ({"y": torch.ones(8)}, r"^y must have shape \(9,\), one label per row of x, got \(8,\)$"),
        ({"y": torch.ones(9, 3)}, r"^y must have shape \(9,\), one label per row of x, got \(9, 3\)$"),
        ({"y": torch.ones(1, 9)}, r"^y must have shape \(9,\), one label per row of x, got \(1, 9\)$"),
        ({"learning_rate": 0.0}, r"^learning_rate must be a finite number > 0, got 0\.0$"),
        ({"learning_rate": nan}, "^learning_rate must be a finite number > 0, got nan$"),
        ({"learning_rate": torch.tensor([0.1, inf])}, "^learning_rate must be one number or 2, finite and > 0, got "),
        ({"learning_rate": torch.ones(3)}, r"^learning_rate must be one number or 2, finite and > 0, got \[1\.0, "),
        ({"num_steps": 0}, "^num_steps must be an integer >= 1, got 0$"),
        ({"target_loss": 0.0}, r"^target_loss must be a finite number > 0, got 0\.0$"),
        ({"batch_size": 0}, "^batch_size must be an integer >= 1, got 0$"),
        ({"record_at": [2, -1]}, "^record_at must be an integer >= 0, got -1$"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_a_weight_changes(as_a_reader, wrong, message, generator):  # noqa: ARG001
    models = networks(generator, num_networks=2)
    before = weights_of(models)
    settings = {"x": normal(generator, 9, 5), "y": normal(generator, 9), "learning_rate": 0.1, "num_steps": 2} | wrong
    with pytest.raises(ValueError, match=message):
        train(models, settings.pop("x"), settings.pop("y"), **settings)
    assert all(torch.equal(*pair) for pair in zip(before, models.weights, strict=True))


def test_labels_of_several_outputs_have_a_column_each(as_a_reader, generator):  # noqa: ARG001
    models = networks(generator, output_dim=3)
    for y in (torch.ones(9), torch.ones(9, 2), torch.ones(9, 3, 1)):
        with pytest.raises(ValueError, match=r"^y must have shape \(9, 3\), one label per row of x, got "):
            train(models, normal(generator, 9, 5), y, learning_rate=0.1, num_steps=2)


def test_a_factor_that_is_not_positive_is_refused(generator):
    with pytest.raises(ValueError, match=r"^factor must be a finite number > 0, got 0\.0$"):
        stable_learning_rate(networks(generator), normal(generator, 3, 5), reference=STDS, factor=0.0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 4}, "^generator must be a torch.Generator, .* got None$"),
        ({"batch_size": 4.0}, r"^batch_size must be an integer >= 1, got 4\.0$"),
        ({"record_at": 3}, "^record_at must be a collection of steps, got 3$"),
        ({"record_at": "12"}, "^record_at must be a collection of steps, got '12'$"),
        ({"record_at": [1.5]}, r"^record_at must be an integer >= 0, got 1\.5$"),
        ({"learning_rate": "0.1"}, "^learning_rate must be a finite number > 0, got '0.1'$"),
        ({"y": torch.ones(9, dtype=torch.bool)}, "^y must be a tensor of real numbers, got torch.bool$"),
        ({"y": torch.ones(9, dtype=torch.complex128)}, "^y must be a tensor of real numbers, got torch.complex128$"),
        ({"y": [1.0] * 9}, "^y must be a tensor of real numbers, got list$"),
        ({"x": torch.ones(9, 5, dtype=torch.long)}, "^x must hold floating-point numbers, float32 or float64, got "),
    ],
)
def test_settings_of_another_kind_are_refused_before_a_weight_changes(as_a_reader, wrong, message, generator):  # noqa: ARG001
    models = networks(generator, num_networks=2)
    before = weights_of(models)
    settings = {"x": normal(generator, 9, 5), "y": normal(generator, 9), "learning_rate": 0.1, "num_steps": 2} | wrong
    with pytest.raises(TypeError, match=message):
        train(models, settings.pop("x"), settings.pop("y"), **settings)
    assert all(torch.equal(*pair) for pair in zip(before, models.weights, strict=True))


def test_labels_beyond_the_numbers_of_the_inputs_are_refused(generator):
    models, y = networks(generator).float(), torch.full((9,), 1e200, dtype=torch.float64)
    with pytest.raises(ValueError, match="^y must be finite, got nan or infinity$"):
        train(models, normal(generator, 9, 5).float(), y, learning_rate=0.1, num_steps=2)


@pytest.mark.parametrize("value", [nan, inf])
def test_weights_that_are_not_finite_are_refused(value, generator):
    models, x = networks(generator, num_networks=2), normal(generator, 9, 5)
    models.weights[2].data[1, 3, 4] = value
    for call in (
        lambda: train(models, x, normal(generator, 9), learning_rate=0.1, num_steps=2),
        lambda: stable_learning_rate(models, x, reference=STDS),
        lambda: largest_kernel_eigenvalues(models, x),
    ):
        with pytest.raises(ValueError, match="^networks must be finite, got nan or infinity$"):
            call()


def test_other_modules_are_refused(as_a_reader, generator):  # noqa: ARG001
    model, x, y = torch.nn.Linear(5, 1).double(), normal(generator, 9, 5), normal(generator, 9)
    with pytest.raises(TypeError, match="^networks must be a ReLUMLP, got Linear$"):
        train(model, x, y, learning_rate=0.1, num_steps=2)


def test_dead_networks_without_a_reference_have_no_learning_rate(generator):
    dead, x = networks(generator, stds=NOTHING, num_networks=2), normal(generator, 3, 5)
    assert largest_kernel_eigenvalues(dead, x).tolist() == [0, 0]
    with pytest.raises(ValueError, match="^networks must not all be 0 where reference is 0 too, got reference "):
        stable_learning_rate(dead, x, reference=NOTHING)
    with pytest.raises(ValueError, match="^num_iterations must be an integer >= 1, got 0$"):
        largest_kernel_eigenvalues(dead, x, num_iterations=0)


def test_a_network_that_diverges_at_once_is_left_alone_and_told(generator):
    models, x, y = networks(generator, num_networks=2), normal(generator, 9, 5), normal(generator, 9)
    models.weights[-1].data[0] *= 1e200
    before = weights_of(models)
    training = train(models, x, y, learning_rate=0.1, num_steps=3, target_loss=1e300)
    assert training.reached.tolist() == [False, True]
    training = train(models, x, y, learning_rate=0.1, num_steps=3)
    assert all(torch.equal(weight[0], start[0]) for weight, start in zip(models.weights, before, strict=True))
    with pytest.raises(DivergedError, match="^learning_rate must be smaller: 1 of 2 networks diverged, .* at step 0$"):
        training.require_all_finite()
    with pytest.raises(DivergedError, match="1 of 2 networks diverged, the first at step 0$"):
        train(models, x, y, learning_rate=0.1, num_steps=3, measure=lambda _: {})
    with pytest.raises(DivergedError, match="1 of 1 networks diverged, the first at step 0$"):
        train(member(models, 0), x, y, learning_rate=0.1, num_steps=3)


def test_a_loss_equal_to_the_target_has_reached_it(generator):
    model, x = networks(generator, stds=NOTHING), normal(generator, 4, 5)
    training = train(model, x, torch.ones(4).double(), learning_rate=0.1, num_steps=3, target_loss=0.5)
    assert training.reached.tolist() == [True]
    assert [row["step"].item() for row in training.rows] == [0]


def test_a_network_is_dead_by_its_outputs_and_not_by_an_earlier_layer(generator):
    x, y = normal(generator, 9, 5).abs(), normal(generator, 9)
    models = networks(generator, num_networks=2, depth=4, width=5)
    for weight in models.weights:
        weight.data.abs_()
    models.weights[2].data[1].neg_()  # the last hidden layer is silent, those before it speak
    assert train(models, x, y, learning_rate=1e-3, num_steps=1).dead.tolist() == [False, True]


def test_labels_of_other_precision_are_taken_to_that_of_the_inputs(generator):
    model, x, y = networks(generator), normal(generator, 9, 5), normal(generator, 9).round()
    other = ReLUMLP.from_weights(list(model.weights), output_divisor=1.6)
    train(model, x, y, learning_rate=0.1, num_steps=2)
    train(other, x, y.float(), learning_rate=0.1, num_steps=2)
    assert torch.equal(model.weights[0], other.weights[0])


@pytest.mark.usefixtures("as_a_reader")
def test_two_outputs_need_two_columns_and_every_rate_is_positive(generator):
    x, y = normal(generator, 9, 5), normal(generator, 9)
    with pytest.raises(
        ValueError, match=r"^y must have shape \(9, 2\), one label per row of x, got \(9,\): class numbers are one_hot"
    ):
        train(networks(generator, output_dim=2), x, y, learning_rate=0.1, num_steps=1)
    rates = torch.tensor([0.1, 0.0], dtype=torch.float64)
    with pytest.raises(ValueError, match="^learning_rate must be one number or 2, finite and > 0, got"):
        train(networks(generator, num_networks=2), x, y, learning_rate=rates, num_steps=1)
    with pytest.raises(ValueError, match=r"^x must have shape \(batch, 5\) and not be empty, got \(9, 4\)$"):
        largest_kernel_eigenvalues(networks(generator), x[:, :4])


def test_the_learning_rate_has_the_precision_of_the_inputs(generator):
    model, x = networks(generator).float(), normal(generator, 9, 5).float()
    assert stable_learning_rate(model, x, reference=he(SHAPE)).dtype == torch.float32


@pytest.mark.parametrize("output_dim", [1, 3])
def test_losses_residuals_and_gradients_are_those_of_autograd(output_dim, generator):
    models, x = networks(generator, num_networks=2, output_dim=output_dim, depth=3), normal(generator, 9, 5)
    y = normal(generator, 9, output_dim)
    weights = [weight.detach() for weight in models.weights]
    losses, residuals, gradients = loss_and_gradients(weights, x, y, loss=HALF_SQUARE, output_divisor=1.6)
    outputs = models(x).reshape(2, 9, output_dim)
    expected = (outputs - y).square().sum(dim=2).mean(dim=1) / 2
    torch.testing.assert_close(losses, expected.detach())
    torch.testing.assert_close(residuals, (outputs - y).detach())
    for found, gradient in zip(gradients, torch.autograd.grad(expected.sum(), list(models.weights)), strict=True):
        torch.testing.assert_close(found, gradient)


@pytest.mark.usefixtures("as_a_reader")
def test_a_cross_entropy_of_what_is_none_is_refused(generator):
    two, one = (networks(generator, output_dim=outputs) for outputs in (2, 1))
    x = normal(generator, 9, 5)
    settings = {"learning_rate": 0.1, "num_steps": 2, "loss": CROSS_ENTROPY}
    with pytest.raises(ValueError, match="^networks must have two or more outputs for CROSS_ENTROPY, got 1$"):
        train(one, x, torch.ones(9).double(), **settings)
    for wrong in (normal(generator, 9, 2), torch.ones(9, 2).double()):
        with pytest.raises(ValueError, match="^y must be rows of numbers >= 0 that sum to 1 for CROSS_ENTROPY"):
            train(two, x, wrong, **settings)
    with pytest.raises(TypeError, match="^loss must be HALF_SQUARE or CROSS_ENTROPY .*, got 'cross_entropy'$"):
        train(two, x, normal(generator, 9, 2), **settings | {"loss": "cross_entropy"})
