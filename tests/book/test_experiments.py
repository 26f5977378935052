"""The sweeps: exact and sampled agree, schemes are paired, and no draw depends on what else is asked."""

from math import isclose, sqrt

import pytest
import torch

from tutorial_lib.book.data import load
from tutorial_lib.book.experiments import (
    exact_by_width,
    exact_stability,
    random_networks,
    reference_stds,
    sampled_stability,
    trained_networks,
    trained_rows,
)
from tutorial_lib.exact import initial_perturbation_stability
from tutorial_lib.initializations import INITIALIZATIONS, he, lecun
from tutorial_lib.laziness import lazy_ratio
from tutorial_lib.randomness import random_stream
from tutorial_lib.stability import perturbation_stability
from tutorial_lib.training import CROSS_ENTROPY, HALF_SQUARE, Loss, learning_rate, train


def inputs(generator):
    return 1.3 * torch.randn(5, 6, generator=generator, dtype=torch.float64)


def test_a_scheme_is_its_standard_deviations():
    sizes = {"input_dim": 6, "width": 9, "depth": 4, "output_dim": 3}
    expected = initial_perturbation_stability(lecun(input_dim=6, width=9), **sizes)
    assert exact_stability("lecun", **sizes) == expected
    values = exact_by_width("lecun", [3, 9, 70], input_dim=6, depth=4, output_dim=3)
    assert values == [exact_stability("lecun", **(sizes | {"width": width})) for width in (3, 9, 70)]
    assert len(set(values)) == 3


@pytest.mark.parametrize("output_dim", [1, 3])
@pytest.mark.parametrize("scheme", ["lecun", "he", "ntk"])
def test_sampled_and_exact_agree(scheme, output_dim, generator):
    sizes = {"width": 9, "depth": 4, "output_dim": output_dim}
    sampled = sampled_stability(scheme, inputs(generator), **sizes, num_networks=4000)
    exact = exact_stability(scheme, input_dim=6, **sizes)
    assert sampled.num_draws == 4000
    assert 4 * sampled.standard_error < 0.06 * exact  # the smallest relative error that it catches
    assert abs(sampled.z_score(exact)) < 4


def test_schemes_are_paired(generator):
    x, sizes = inputs(generator), {"width": 9, "depth": 4, "num_networks": 7, "seed": 3}
    means = {scheme: sampled_stability(scheme, x, **sizes).mean for scheme in ("lecun", "he", "ntk")}
    assert isclose(means["ntk"] / means["he"], sqrt(6 / 2), rel_tol=1e-12)
    assert isclose(means["he"] / means["lecun"], sqrt(2) ** 4, rel_tol=1e-12)


def test_networks_depend_on_the_seed_and_on_every_size_and_on_nothing_else():
    sizes = {"input_dim": 6, "width": 9, "depth": 4, "output_dim": 2, "num_networks": 3, "seed": 3}
    first = random_networks("he", **sizes).weights[0]
    random_networks("he", **(sizes | {"width": 64}))
    torch.manual_seed(5)
    assert torch.equal(random_networks("he", **sizes).weights[0], first)
    assert first.shape == (3, 9, 6)
    for other in ({"seed": 4}, {"depth": 3}, {"output_dim": 1}):
        assert not torch.equal(random_networks("he", **(sizes | other)).weights[0], first)
    narrow = random_networks("he", **(sizes | {"width": 8})).weights[0]
    assert not torch.equal(narrow, first[:, :8])


def test_the_sampled_value_is_that_of_these_networks_in_the_dtype_of_the_inputs(generator):
    x = inputs(generator)
    networks = random_networks("ntk", input_dim=6, width=9, depth=4, num_networks=7)
    expected = perturbation_stability(networks, x)
    assert sampled_stability("ntk", x, width=9, depth=4, num_networks=7) == expected
    rounded = sampled_stability("ntk", x.float(), width=9, depth=4, num_networks=7)
    assert rounded != expected
    assert isclose(rounded.mean, expected.mean, rel_tol=1e-5)


def test_an_unknown_scheme_is_refused_with_the_known_ones(generator):
    message = "^scheme must be one of he, lecun, ntk, got 'xavier'$"
    with pytest.raises(ValueError, match=message):
        exact_stability("xavier", input_dim=6, width=9, depth=4)
    with pytest.raises(ValueError, match=message):
        random_networks("xavier", input_dim=6, width=9, depth=4, num_networks=3)
    with pytest.raises(ValueError, match=message):
        sampled_stability("xavier", inputs(generator), width=9, depth=4, num_networks=3)


# After training.


def test_the_learning_rate_is_limited_by_the_scheme_itself_or_by_he():
    sizes = {"input_dim": 6, "width": 9}
    assert reference_stds("lecun", **sizes) == reference_stds("he", **sizes) == he(**sizes)
    assert reference_stds("ntk", **sizes) == INITIALIZATIONS["ntk"](**sizes)
    with pytest.raises(ValueError, match="^scheme must be one of he, lecun, ntk, got 'xavier'$"):
        reference_stds("xavier", **sizes)


@pytest.mark.parametrize("scheme", ["lecun", "ntk"])
def test_a_trained_row_is_what_training_by_hand_gives(scheme):
    split, sizes = load(num_train=40, num_test=30), {"width": 12, "depth": 3, "num_networks": 5}
    (row,) = trained_rows(scheme, split, **sizes, record_at=[20], seed=2)
    train_x, train_y, test_x, test_y = split
    start = random_networks(scheme, input_dim=64, **sizes, seed=2)
    networks = random_networks(scheme, input_dim=64, **sizes, seed=2)
    rates = stable_learning_rate(networks, train_x, reference=reference_stds(scheme, input_dim=64, width=12))
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
    split, sizes = load(num_train=40, num_test=30), {"width": 12, "depth": 3, "num_networks": 5, "seed": 2}
    full = trained_rows(scheme, split, **sizes, record_at=[10, 20])
    batches = trained_rows(scheme, split, **sizes, record_at=[10, 20], batch_size=40)
    smaller = trained_rows(scheme, split, **sizes, record_at=[10, 20], batch_size=7)
    for one, other, noisy in zip(full, batches, smaller, strict=True):
        for name in ("stability", "loss", "lazy_ratio"):
            assert isclose(getattr(one, name).mean, getattr(other, name).mean, rel_tol=1e-4)
        assert not isclose(one.stability.mean, noisy.stability.mean, rel_tol=1e-3)
        assert (one.num_steps, one.num_dead) == (noisy.num_steps, noisy.num_dead)


@pytest.mark.parametrize("task", ["parity", "ten"])
def test_rows_of_batches_are_training_by_hand_with_the_loss_of_all_rows(task):
    split, sizes = load(num_train=40, num_test=30, task=task), {"width": 12, "depth": 3, "num_networks": 5}
    (row,) = trained_rows("he", split, **sizes, record_at=[8], batch_size=7, seed=2)
    x, y = split.train_x, split.train_y
    outputs = {"output_dim": 1 if task == "parity" else 10}
    networks = random_networks("he", input_dim=64, **sizes, **outputs, seed=2)
    rates = stable_learning_rate(networks, x, reference=reference_stds("he", input_dim=64, width=12))
    order = random_stream(2, "batches of 7 out of 40")
    train(networks, x, y, learning_rate=rates, num_steps=8, batch_size=7, generator=order)
    squares = (networks(x).reshape(5, 40, -1) - y.reshape(40, -1)).square().sum(dim=2).mean(dim=1) / 2
    assert isclose(row.loss.mean, squares.mean().item(), rel_tol=1e-4)
    assert row.stability.num_draws == 5
    assert isclose(row.stability.mean, perturbation_stability(networks, split.test_x).mean, rel_tol=1e-4)


def test_the_loss_of_a_row_is_the_one_trained_on():
    split, sizes = load(num_train=40, num_test=30, task="ten"), {"width": 12, "depth": 3, "num_networks": 5}
    row, _ = trained_rows("he", split, **sizes, record_at=[0, 1], loss=CROSS_ENTROPY)
    outputs = random_networks("he", input_dim=64, **sizes, output_dim=10)(split.train_x)
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
    sizes = {"width": 12, "depth": 3, "num_networks": 5}
    with pytest.raises(ValueError, match="^target_loss needs the loss on all rows .* so no batch_size, got 7$"):
        trained_rows("he", load(), **sizes, record_at=[9], target_loss=0.1, batch_size=7)


def test_trained_networks_are_those_of_the_rows():
    split, sizes = load(num_train=40, num_test=30), {"width": 12, "depth": 3, "num_networks": 5, "seed": 2}
    (row,) = trained_rows("lecun", split, **sizes, record_at=[20])
    start, networks = trained_networks("lecun", split, **sizes, num_steps=20)
    assert perturbation_stability(networks, split.test_x) == row.stability
    assert isclose(row.lazy_ratio.mean, lazy_ratio(start, networks).mean().item(), rel_tol=1e-6)
    with pytest.raises(DivergedError, match="^[1-5] of 5 networks diverged: lower factor$"):
        trained_networks("lecun", split, **sizes, num_steps=60, factor=1e20)
