"""Rows of trained networks beside their lazy limit: both sides are computed again here."""

from math import isclose

import pytest

from tutorial_lib.book.data import load
from tutorial_lib.book.experiments import random_networks
from tutorial_lib.book.experiments import limit_and_learning_rate, rows_beside_limit
from tutorial_lib.laziness import kernel_drift, lazy_ratio
from tutorial_lib.stability import perturbation_stability
from tutorial_lib.training import train


@pytest.mark.parametrize("scheme", ["lecun", "ntk"])
def test_rows_beside_the_limit_are_trained_with_its_learning_rate(scheme):
    split, sizes = load(num_train=20, num_test=15), {"width": 9, "depth": 3}
    limit, rate = limit_and_learning_rate(scheme, split, **sizes)
    # He's kernel is 4 times LeCun's at depth 3.
    assert isclose(rate, limit.stable_learning_rate(0.125 if scheme == "lecun" else 0.5), rel_tol=1e-9)
    before, after = rows_beside_limit(scheme, split, **sizes, num_networks=4, record_at=[0, 6], seed=1)
    networks = random_networks(scheme, input_dim=64, **sizes, num_networks=4, seed=1)
    start = random_networks(scheme, input_dim=64, **sizes, num_networks=4, seed=1)
    x, y, settings = split.train_x, split.train_y, {"learning_rate": rate, "num_steps": 6}
    train(networks, x, y, **settings)
    assert (before.num_steps, after.num_steps, after.loss.num_draws) == (0, 6, 4)
    assert before.lazy_ratio.mean == before.kernel_drift.mean == 0
    assert after.stability == perturbation_stability(networks, split.test_x)
    assert isclose(after.loss.mean, (networks(x) - y).square().mean().item() / 2, rel_tol=1e-5)
    assert isclose(after.lazy_ratio.mean, lazy_ratio(start, networks).mean().item(), rel_tol=1e-5)
    assert isclose(after.kernel_drift.mean, kernel_drift(start, networks, x).mean().item(), rel_tol=1e-5)
    assert after.predicted_stability == limit.perturbation_stability(split.test_x, **settings).mean
    assert after.predicted_loss == limit.training_loss(**settings)
    assert isclose(after.gap.mean, after.stability.mean / after.predicted_stability - 1, rel_tol=1e-9)
    assert isclose(after.gap.standard_error, after.stability.standard_error / after.predicted_stability, rel_tol=1e-9)


def test_an_unknown_scheme_is_refused():
    with pytest.raises(ValueError, match="^scheme must be one of he, lecun, ntk, got 'xavier'$"):
        limit_and_learning_rate("xavier", load(num_train=5, num_test=5), width=4, depth=2)
