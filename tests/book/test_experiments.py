"""The experiments: exact and sampled agree, schemes are paired, training is what it would be by hand."""

from math import isclose, nan, sqrt

import pytest
import torch

from tutorial_lib.architecture import Architecture
from tutorial_lib.book.data import load
from tutorial_lib.book.experiments import (
    architecture_for,
    exact_by_width,
    exact_stability,
    limit_and_learning_rate,
    random_networks,
    reference_stds,
    row_beside_linearization,
    rows_beside_limit,
    sampled_stability,
    trained_networks,
    trained_rows,
)
from tutorial_lib.exact import initial_perturbation_stability, mean_abs_coordinate
from tutorial_lib.initializations import INITIALIZATIONS, he, lecun
from tutorial_lib.laziness import kernel_drift, lazy_ratio, linearized_gradients, linearized_outputs
from tutorial_lib.lazy_limit import Descent
from tutorial_lib.randomness import random_stream
from tutorial_lib.stability import input_jacobians, perturbation_stability, stability_per_input
from tutorial_lib.training import CROSS_ENTROPY, HALF_SQUARE, DivergedError, Loss, stable_learning_rate, train

SHAPE = Architecture(input_dim=6, width=9, depth=4)
OF_DIGITS = Architecture(input_dim=64, width=12, depth=3)
SIZES = {"width": 12, "depth": 3, "num_networks": 5}


def inputs(generator):
    return 1.3 * torch.randn(5, 6, generator=generator, dtype=torch.float64)


def test_a_scheme_is_its_standard_deviations():
    shape = SHAPE.replace(output_dim=3)
    expected = initial_perturbation_stability(lecun(shape), shape)
    assert exact_stability("lecun", shape) == expected
    values = exact_by_width("lecun", [3, 9, 70], input_dim=6, depth=4, output_dim=3)
    assert values == [exact_stability("lecun", shape.replace(width=width)) for width in (3, 9, 70)]
    assert len(set(values)) == 3


@pytest.mark.parametrize("output_dim", [1, 3])
@pytest.mark.parametrize("scheme", ["lecun", "he", "ntk"])
def test_sampled_and_exact_agree(scheme, output_dim, generator):
    shape = SHAPE.replace(output_dim=output_dim)
    sampled = sampled_stability(scheme, inputs(generator), shape, num_networks=4000)
    exact = exact_stability(scheme, shape)
    assert sampled.num_draws == 4000
    assert 4 * sampled.standard_error < 0.06 * exact  # the smallest relative error that it catches
    assert abs(sampled.z_score(exact)) < 4


def test_schemes_are_paired(generator):
    x, count = inputs(generator), {"num_networks": 7, "seed": 3}
    means = {scheme: sampled_stability(scheme, x, SHAPE, **count).mean for scheme in ("lecun", "he", "ntk")}
    assert isclose(means["ntk"] / means["he"], sqrt(6 / 2), rel_tol=1e-12)
    assert isclose(means["he"] / means["lecun"], sqrt(2) ** 4, rel_tol=1e-12)


def test_networks_depend_on_the_seed_and_on_every_size_and_on_nothing_else():
    shape, count = SHAPE.replace(output_dim=2), {"num_networks": 3, "seed": 3}
    first = random_networks("he", shape, **count).weights[0]
    random_networks("he", shape.replace(width=64), **count)
    torch.manual_seed(5)
    assert torch.equal(random_networks("he", shape, **count).weights[0], first)
    assert first.shape == (3, 9, 6)
    for sizes, seed in (({}, 4), ({"depth": 3}, 3), ({"output_dim": 1}, 3)):
        other = random_networks("he", shape.replace(**sizes), num_networks=3, seed=seed)
        assert not torch.equal(other.weights[0], first)
    narrow = random_networks("he", shape.replace(width=8), **count).weights[0]
    assert not torch.equal(narrow, first[:, :8])


def test_the_sampled_value_is_that_of_these_networks_in_the_dtype_of_the_inputs(generator):
    x = inputs(generator)
    networks = random_networks("ntk", SHAPE, num_networks=7)
    expected = perturbation_stability(networks, x)
    assert sampled_stability("ntk", x, SHAPE, num_networks=7) == expected
    rounded = sampled_stability("ntk", x.float(), SHAPE, num_networks=7)
    assert rounded != expected
    assert isclose(rounded.mean, expected.mean, rel_tol=1e-5)


def test_an_unknown_scheme_is_refused_with_the_known_ones(generator):
    message = "^scheme must be one of he, lecun, mup, ntk, got 'xavier'$"
    for call in (
        lambda: exact_stability("xavier", SHAPE),
        lambda: random_networks("xavier", SHAPE, num_networks=3),
        lambda: sampled_stability("xavier", inputs(generator), SHAPE, num_networks=3),
        lambda: limit_and_learning_rate("xavier", load(num_train=5, num_test=5), width=4, depth=2),
        lambda: trained_rows("xavier", load(num_train=5, num_test=5), **SIZES, record_at=[1]),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_inputs_of_another_architecture_or_kind_are_refused(as_a_reader, generator):  # noqa: ARG001
    with pytest.raises(ValueError, match=r"^x must have shape \(batch, 7\) and not be empty, got \(5, 6\)$"):
        sampled_stability("he", inputs(generator), SHAPE.replace(input_dim=7), num_networks=3)
    with pytest.raises(TypeError, match="^x must hold floating-point numbers, float32 or float64, got torch.int64$"):
        sampled_stability("he", torch.ones(5, 6, dtype=torch.long), SHAPE, num_networks=3)


# After training.


def test_the_learning_rate_is_limited_by_the_scheme_itself_or_by_he():
    assert reference_stds("lecun", SHAPE) == reference_stds("he", SHAPE) == he(SHAPE)
    assert reference_stds("ntk", SHAPE) == INITIALIZATIONS["ntk"](SHAPE)
    with pytest.raises(ValueError, match="^scheme must be one of he, lecun, mup, ntk, got 'xavier'$"):
        reference_stds("xavier", SHAPE)


@pytest.mark.parametrize(("task", "outputs"), [("parity", 1), ("low", 1), ("ten", 10)])
def test_the_architecture_for_data_takes_their_inputs_and_gives_their_labels(task, outputs):
    split = load(num_train=5, num_test=5, task=task)
    assert architecture_for(split, width=12, depth=3) == OF_DIGITS.replace(output_dim=outputs)


@pytest.mark.parametrize("scheme", ["lecun", "ntk"])
def test_a_trained_row_is_what_training_by_hand_gives(scheme):
    split = load(num_train=40, num_test=30)
    (row,) = trained_rows(scheme, split, **SIZES, record_at=[20], seed=2)
    train_x, train_y, test_x, test_y = split
    start, networks = (random_networks(scheme, OF_DIGITS, num_networks=5, seed=2) for _ in range(2))
    rates = stable_learning_rate(networks, train_x, reference=reference_stds(scheme, OF_DIGITS))
    result = train(networks, train_x, train_y, learning_rate=rates, num_steps=20)
    assert (row.scheme, row.width, row.depth, row.num_steps) == (scheme, 12, 3, 20)
    assert row.stability == perturbation_stability(networks, test_x)
    assert isclose(row.loss.mean, result.rows[-1]["loss"].mean().item(), rel_tol=1e-5)
    right = [((networks(test_x)[index] > 0) == (test_y > 0)).double().mean().item() for index in range(5)]
    assert isclose(row.accuracy.mean, sum(right) / 5, rel_tol=1e-9)
    assert isclose(row.lazy_ratio.mean, lazy_ratio(start, networks).mean().item(), rel_tol=1e-5)
    assert row.lazy_ratio.num_draws == row.loss.num_draws == row.accuracy.num_draws == 5
    assert (row.num_reached, row.num_dead) == (0, 0)


def test_a_trained_row_tells_who_reached_the_target_and_who_is_dead():
    split = load(num_train=40, num_test=30)
    (row,) = trained_rows("he", split, width=12, depth=3, num_networks=5, record_at=[2000], target_loss=0.3)
    assert row.num_reached == 5
    assert row.num_steps < 2000
    assert row.loss.mean <= 0.3
    # One neuron per layer: most networks are dead at the start.
    (narrow,) = trained_rows("he", split, width=1, depth=5, num_networks=50, record_at=[1])
    assert 25 < narrow.num_dead <= 50


@pytest.mark.parametrize("scheme", ["lecun", "ntk"])
def test_a_batch_of_all_rows_is_full_batch_training(scheme):
    split, sizes = load(num_train=40, num_test=30), SIZES | {"seed": 2}
    full = trained_rows(scheme, split, **sizes, record_at=[10, 20])
    batches = trained_rows(scheme, split, **sizes, record_at=[10, 20], batch_size=40)
    smaller = trained_rows(scheme, split, **sizes, record_at=[10, 20], batch_size=7)
    for one, other, noisy in zip(full, batches, smaller, strict=True):
        for name in ("stability", "loss", "lazy_ratio"):
            assert isclose(getattr(one, name).mean, getattr(other, name).mean, rel_tol=1e-4)
        assert not isclose(one.stability.mean, noisy.stability.mean, rel_tol=1e-3)
        assert (one.num_steps, one.num_dead) == (noisy.num_steps, noisy.num_dead)


@pytest.mark.parametrize("task", ["parity", "ten"])
@pytest.mark.parametrize("batch_size", [7, 39])  # the last batch of 39 has one row
def test_rows_of_batches_are_training_by_hand_with_the_loss_of_all_rows(batch_size, task):
    split = load(num_train=40, num_test=30, task=task)
    (row,) = trained_rows("he", split, **SIZES, record_at=[8], batch_size=batch_size, seed=2)
    x, y = split.train_x, split.train_y
    shape = OF_DIGITS.replace(output_dim=1 if task == "parity" else 10)
    networks = random_networks("he", shape, num_networks=5, seed=2)
    rates = stable_learning_rate(networks, x, reference=he(shape))
    order = random_stream(2, f"batches of {batch_size} out of 40")
    train(networks, x, y, learning_rate=rates, num_steps=8, batch_size=batch_size, generator=order)
    squares = (networks(x).reshape(5, 40, -1) - y.reshape(40, -1)).square().sum(dim=2).mean(dim=1) / 2
    assert isclose(row.loss.mean, squares.mean().item(), rel_tol=1e-4)
    assert row.stability.num_draws == 5
    assert isclose(row.stability.mean, perturbation_stability(networks, split.test_x).mean, rel_tol=1e-4)


def test_the_loss_of_a_row_is_the_one_trained_on():
    split = load(num_train=40, num_test=30, task="ten")
    row, _ = trained_rows("he", split, **SIZES, record_at=[0, 1], loss=CROSS_ENTROPY)
    outputs = random_networks("he", OF_DIGITS.replace(output_dim=10), num_networks=5)(split.train_x)
    by_hand = torch.nn.functional.cross_entropy(outputs.flatten(0, 1), split.train_y.argmax(dim=1).repeat(5))
    assert isclose(row.loss.mean, by_hand.item(), rel_tol=1e-9)


def test_a_seed_has_one_order_of_batches_whatever_else_is_asked():
    split, seen = load(num_train=40, num_test=30), []

    def values(outputs, labels):
        seen.append(labels.flatten().tolist())
        return HALF_SQUARE.values(outputs, labels)

    loss = Loss(values, HALF_SQUARE.residuals)
    for scheme, width, count, seed in (("he", 12, 3, 2), ("ntk", 5, 4, 2), ("he", 12, 3, 3)):
        sizes = {"width": width, "depth": 3, "num_networks": count}
        trained_rows(scheme, split, **sizes, record_at=[9], batch_size=7, seed=seed, loss=loss)
    batches = [labels for labels in seen if len(labels) < 40]
    first, second, third = (batches[10 * run : 10 * run + 10] for run in range(3))
    assert len(batches) == 30
    assert first == second != third


def test_a_target_for_the_loss_of_all_rows_is_refused_with_batches():
    with pytest.raises(ValueError, match="^target_loss needs the loss on all rows .* so no batch_size, got 7$"):
        trained_rows("he", load(), **SIZES, record_at=[9], target_loss=0.1, batch_size=7)


def test_trained_networks_are_those_of_the_rows():
    split, sizes = load(num_train=40, num_test=30), SIZES | {"seed": 2}
    (row,) = trained_rows("lecun", split, **sizes, record_at=[20])
    start, networks = trained_networks("lecun", split, **sizes, num_steps=20)
    assert perturbation_stability(networks, split.test_x) == row.stability
    assert isclose(row.lazy_ratio.mean, lazy_ratio(start, networks).mean().item(), rel_tol=1e-6)


def test_divergence_of_any_network_raises():
    split, message = (
        load(num_train=40, num_test=30),
        "^learning_rate must be smaller: {} of 5 networks diverged, the first",
    )
    settings = SIZES | {"factor": 1e20}
    with pytest.raises(DivergedError, match=message.format("[1-5]")):
        trained_networks("lecun", split, **settings, num_steps=60)
    with pytest.raises(DivergedError, match=message.format("[1-5]")):
        trained_rows("lecun", split, **settings, record_at=[60])
    with pytest.raises(DivergedError, match=message.format("[1-5]")):
        trained_rows("lecun", split, **settings, record_at=[60], batch_size=7)


@pytest.mark.parametrize("steps", ["all at once", "one by one"])
def test_divergence_of_one_network_out_of_several_raises(steps, monkeypatch):
    split, factors = load(num_train=40, num_test=30), torch.tensor([1, 1, 1e200, 1, 1], dtype=torch.float64)
    rates = lambda *args, **kwargs: stable_learning_rate(*args, **kwargs) * factors  # noqa: E731
    monkeypatch.setattr("tutorial_lib.book.experiments.stable_learning_rate", rates)
    message = "^learning_rate must be smaller: 1 of 5 networks diverged, the first at step 1$"
    with pytest.raises(DivergedError, match=message):
        trained_networks("he", split, **SIZES, num_steps=9)
    with pytest.raises(DivergedError, match=message):
        trained_rows("he", split, **SIZES, record_at=[9] if steps == "all at once" else range(10))


# Dead networks.


def half_dead(monkeypatch, dead):
    """Make some networks of an ensemble dead on the rows of which ``dead`` tells."""

    def networks(scheme, architecture, **settings):
        models = random_networks(scheme, architecture, **settings)
        for place in dead:
            models.weights[0].data[place] = -models.weights[0].data[place].abs()
        return models

    monkeypatch.setattr("tutorial_lib.book.experiments.random_networks", networks)


@pytest.mark.parametrize("task", ["parity", "ten"])
def test_dead_networks_stay_in_the_means_with_the_stability_0(task, monkeypatch):
    split = load(num_train=40, num_test=30, task=task)  # no pixel is negative
    half_dead(monkeypatch, [1, 4])
    (row,) = trained_rows("he", split, **SIZES, record_at=[20], seed=2)
    start, networks = trained_networks("he", split, **SIZES, num_steps=20, seed=2)
    assert row.num_dead == 2
    assert {row.stability.num_draws, row.loss.num_draws, row.accuracy.num_draws, row.lazy_ratio.num_draws} == {5}
    values = stability_per_input(networks, split.test_x).mean(dim=1)
    assert (values == 0).tolist() == [False, True, False, False, True]
    assert isclose(row.stability.mean, values.sum().item() / 5, rel_tol=1e-9)
    ratios = lazy_ratio(start, networks)
    assert ratios[[1, 4]].tolist() == [0, 0]
    assert isclose(row.lazy_ratio.mean, ratios.mean().item(), rel_tol=1e-9)


def test_outputs_of_0_are_not_accurate(monkeypatch):
    split = load(num_train=40, num_test=30)
    half_dead(monkeypatch, range(5))
    (row,) = trained_rows("he", split, **SIZES, record_at=[20])
    assert (row.accuracy.mean, row.accuracy.standard_error, row.num_dead) == (0, 0, 5)


def test_a_row_counts_the_networks_that_are_dead_on_the_test_inputs(monkeypatch):
    split = load(num_train=40, num_test=30)
    half_dead(monkeypatch, [0, 2, 3])
    (row,) = trained_rows("he", split, **SIZES, record_at=[20])
    assert row.num_dead == 3
    # Dead on the training inputs alone: on inputs of the other sign the same networks answer.
    (row,) = trained_rows("he", split._replace(test_x=-split.test_x), **SIZES, record_at=[20])
    assert row.num_dead == 0
    half = torch.cat([split.test_x[:1], -split.test_x[1:]])
    (row,) = trained_rows("he", split._replace(test_x=half), **SIZES, record_at=[20])
    assert row.num_dead == 0
    # Dead on the test inputs alone.
    (row,) = trained_rows("he", split._replace(train_x=-split.train_x), **SIZES, record_at=[0])
    assert row.num_dead == 3


# Bad input.


@pytest.mark.parametrize(
    ("record_at", "message"),
    [
        ([], "^record_at must hold at least one step, got none$"),
        ([-1], "^record_at must be an integer >= 0, got -1$"),
        ([3, -1], "^record_at must be an integer >= 0, got -1$"),
    ],
)
def test_steps_that_cannot_come_are_refused(record_at, message):
    split = load(num_train=5, num_test=5)
    with pytest.raises(ValueError, match=message):
        trained_rows("he", split, **SIZES, record_at=record_at)
    with pytest.raises(ValueError, match=message):
        rows_beside_limit("he", split, **SIZES, record_at=record_at)


def test_a_fraction_of_a_step_is_refused(as_a_reader):  # noqa: ARG001
    for rows in (trained_rows, rows_beside_limit):
        with pytest.raises(TypeError, match=r"^record_at must be an integer >= 0, got 1\.5$"):
            rows("he", load(num_train=5, num_test=5), **SIZES, record_at=[1.5])


@pytest.mark.parametrize("name", ["train_x", "train_y", "test_x", "test_y"])
def test_data_that_are_not_finite_are_refused(name):
    split = load(num_train=5, num_test=5)
    wrong = split._replace(**{name: torch.full_like(getattr(split, name), nan)})
    with pytest.raises(ValueError, match=f"^split.{name} must be finite, got nan or infinity$"):
        trained_rows("he", wrong, **SIZES, record_at=[1])


def test_labels_in_one_column_are_refused(as_a_reader):  # noqa: ARG001
    split = load(num_train=40, num_test=30)
    columns = split._replace(train_y=split.train_y.unsqueeze(1), test_y=split.test_y.unsqueeze(1))
    with pytest.raises(ValueError, match=r"^split.train_y must be one label per row without an axis, got \(40, 1\)$"):
        trained_rows("he", columns, **SIZES, record_at=[2])


# Beside the lazy limit.


@pytest.mark.parametrize("scheme", ["lecun", "ntk"])
def test_rows_beside_the_limit_are_trained_with_its_learning_rate(scheme):
    split, sizes = load(num_train=20, num_test=15), {"width": 9, "depth": 3}
    limit, rate = limit_and_learning_rate(scheme, split, **sizes)
    # He's kernel is 4 times LeCun's at depth 3.
    assert isclose(rate, limit.stable_learning_rate(0.125 if scheme == "lecun" else 0.5), rel_tol=1e-9)
    before, after = rows_beside_limit(scheme, split, **sizes, num_networks=4, record_at=[0, 6], seed=1)
    start, networks = (random_networks(scheme, limit.architecture, num_networks=4, seed=1) for _ in range(2))
    x, y, settings = split.train_x, split.train_y, {"learning_rate": rate, "num_steps": 6}
    train(networks, x, y, **settings)
    assert (before.num_steps, after.num_steps, after.loss.num_draws) == (0, 6, 4)
    assert before.lazy_ratio.mean == before.kernel_drift.mean == 0
    assert after.stability == perturbation_stability(networks, split.test_x)
    assert isclose(after.loss.mean, (networks(x) - y).square().mean().item() / 2, rel_tol=1e-5)
    assert isclose(after.lazy_ratio.mean, lazy_ratio(start, networks).mean().item(), rel_tol=1e-5)
    assert isclose(after.kernel_drift.mean, kernel_drift(start, networks, x).mean().item(), rel_tol=1e-5)
    assert after.predicted_stability == limit.perturbation_stability(split.test_x, Descent(**settings)).mean
    assert after.predicted_loss == limit.training_loss(Descent(**settings))
    assert isclose(after.gap.mean, after.stability.mean / after.predicted_stability - 1, rel_tol=1e-9)
    assert isclose(after.gap.standard_error, after.stability.standard_error / after.predicted_stability, rel_tol=1e-9)


def test_the_limit_is_that_of_the_data_and_of_the_scheme():
    split = load(num_train=5, num_test=5)
    for scheme, scheme_of in INITIALIZATIONS.items():
        limit, _ = limit_and_learning_rate(scheme, split, width=12, depth=3)
        assert (limit.stds, limit.architecture) == (scheme_of(OF_DIGITS), OF_DIGITS)
        assert torch.equal(limit.train_x, split.train_x) and torch.equal(limit.train_y, split.train_y)


def test_every_step_recorded_is_a_row_in_the_order_of_training():
    split = load(num_train=5, num_test=5)
    rows = rows_beside_limit("he", split, width=9, depth=2, num_networks=3, record_at=[4, 0, 2])
    assert [row.num_steps for row in rows] == [0, 2, 4]
    assert [row.num_steps for row in trained_rows("he", split, **SIZES, record_at=[4, 0, 2])] == [0, 2, 4]


@pytest.mark.parametrize("depth", [2, 3])
def test_a_row_beside_linearizations_is_what_both_are_by_hand(depth):
    split, sizes = load(num_train=20, num_test=15), {"width": 30, "depth": depth}
    row = row_beside_linearization("ntk", split, **sizes, num_networks=4, num_steps=20, seed=3)
    limit, rate = limit_and_learning_rate("ntk", split, **sizes)
    start, networks = (random_networks("ntk", limit.architecture, num_networks=4, seed=3) for _ in range(2))
    settings = {"learning_rate": rate, "num_steps": 20}
    train(networks, split.train_x, split.train_y, **settings)
    slopes = linearized_gradients(start, split.train_x, split.train_y, split.test_x, **settings)
    others = input_jacobians(networks, split.test_x)[:, :, 0]
    outputs = linearized_outputs(start, split.train_x, split.train_y, split.test_x, **settings)
    own, distances, flips = networks(split.test_x).detach(), [], []
    for index in range(4):
        linearized = mean_abs_coordinate(64) * slopes[index].norm(dim=1).mean().item()
        trained = stability_per_input(networks, split.test_x)[index].mean().item()
        away = (others[index] - slopes[index]).square().sum() / others[index].square().sum()
        apart = (own[index] - outputs[index]).square().sum() / own[index].square().sum()
        distances.append((trained, linearized, linearized / trained, away.sqrt().item(), apart.sqrt().item()))
        masks = [split.test_x @ model.weights[0][index].T > 0 for model in (start, networks)]
        flips.append((masks[0] != masks[1]).sum().item() / 15)
    names = ("stability", "linearized", "share", "gradient_distance", "output_distance")
    for name, values in zip(names, zip(*distances, strict=True), strict=True):
        assert isclose(getattr(row, name).mean, sum(values) / 4, rel_tol=1e-9)
        assert getattr(row, name).num_draws == 4
    assert isclose(row.num_flips.mean, sum(flips) / 4, rel_tol=1e-9)
    assert row.num_flips.mean > 1
    for name, is_so in (("predicted_stability", False), ("predicted_linearized", True)):
        expected = limit.perturbation_stability(split.test_x, Descent(**settings), linearized=is_so).mean
        assert getattr(row, name) == expected
