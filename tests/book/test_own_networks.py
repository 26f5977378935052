"""Measurements of single networks: each number worked out again by hand, and a stored row computed again."""

from dataclasses import asdict
from math import inf

import pytest
import torch
from torch import nn

from tools.own_networks import NUM_NETWORKS, RADII_AFTER
from tutorial_lib.book.own_networks import mnist, network_rows, share_attacked, trained_network, true_over_first_order
from tutorial_lib.book.results import rows_as_text, stored_networks
from tutorial_lib.images.networks import NETWORKS


def linear(*rows):
    """Scores W x with the given rows of W."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, len(rows), bias=False)).double().eval()
    model[1].weight.data = torch.tensor(rows, dtype=torch.float64)
    return model


def test_an_attack_on_scores_that_are_linear_alters_those_within_its_radius():
    model = linear([1.0, 0, 0, 0], [0, 1.0, 0, 0])
    # Leads 0.1, 0.3 and 0.5 of class 0; the lead falls by sqrt(2) per unit of radius.
    x = torch.tensor([[0.6, 0.5, 0, 0], [0.6, 0.3, 0, 0], [0.6, 0.1, 0, 0]], dtype=torch.float64).reshape(3, 1, 2, 2)
    shares = [share_attacked(model, x, lead / 2**0.5).mean for lead in (0.09, 0.11, 0.31, 0.51)]
    assert shares == [0, pytest.approx(1 / 3), pytest.approx(2 / 3), 1]


def test_pixels_that_must_stay_in_their_range_protect():
    model = linear([1.0, 0, 0, 0], [-1.0, 0, 0, 0])
    x = torch.tensor([0.2, 0, 0, 0], dtype=torch.float64).reshape(1, 1, 2, 2)
    assert share_attacked(model, x, 0.3, pixel_range=(-inf, inf)).mean == 1
    assert share_attacked(model, x, 0.3, pixel_range=(0, 1)).mean == 0


def test_linear_scores_change_as_first_order_says_and_a_square_changes_more():
    x = torch.zeros(2000, 1, 2, 2, dtype=torch.float64)
    value = true_over_first_order(linear([3.0, 0, 0, 0], [0, 0, 2.0, 1.0]), x, 0.7)
    assert value.num_draws == 2000 and abs(value.z_score(1)) < 4 and value.standard_error < 0.02

    class Root(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, 0].sign() * x.flatten(1)[:, 0].abs().sqrt()

    ones = torch.ones_like(x)
    small, large = (true_over_first_order(Root().eval(), ones, radius) for radius in (0.01, 0.9))
    assert abs(small.z_score(1)) < 4 and large.z_score(1) > 4


def test_no_epoch_is_no_training_and_more_epochs_fit():
    before, after = (trained_network("MLP", seed=3, num_epochs=epochs) for epochs in (0, 3))
    images = mnist()
    losses = [nn.functional.cross_entropy(n(images.train_images), images.train_classes).item() for n in (before, after)]
    assert losses[1] < losses[0] / 2 and not after.training


def test_the_stored_rows_are_those_of_the_tool():
    rows = stored_networks()
    assert {(row.kind, row.seed, row.num_epochs, row.radius) for row in rows} == {
        (kind, seed, epochs, radius)
        for kind in NETWORKS
        for seed in range(NUM_NETWORKS)
        for epochs, radii in RADII_AFTER.items()
        for radius in radii
    }
    assert len({(row.kind, row.seed, row.num_epochs, row.radius) for row in rows}) == len(rows)


def test_a_stored_row_is_computed_again():
    (row,) = network_rows("MLP", seed=1, num_epochs=10, radii=[0.5])
    key = ("kind", "seed", "num_epochs", "radius")
    stored = [old for old in stored_networks() if all(getattr(old, name) == getattr(row, name) for name in key)]
    assert len(stored) == 1 and asdict(row).keys() == asdict(stored[0]).keys()
    for name in ("stability", "over_lead", "accuracy", "loss", "chosen", "random", "agreement"):
        assert getattr(row, name) == pytest.approx(getattr(stored[0], name), rel=1e-3, abs=5e-3), name
    assert (
        abs(row.attacked - stored[0].attacked) < 0.02
        and abs(row.attacked_in_range - stored[0].attacked_in_range) < 0.02
    )


def test_rows_come_back_as_they_were_written(tmp_path, monkeypatch):
    rows = list(network_rows("MLP", seed=0, num_epochs=0, radii=[0.25, 0.5]))
    (tmp_path / "stored").mkdir()
    monkeypatch.setattr("tutorial_lib.book.results.files", lambda _package: tmp_path)
    (tmp_path / "stored" / "mine.csv").write_text(rows_as_text(list(map(asdict, rows)), {}), encoding="utf-8")
    for old, new in zip(rows, stored_networks("mine"), strict=True):
        assert new.kind == old.kind
        numbers = asdict(old) | {"kind": 0}
        assert asdict(new) | {"kind": 0} == pytest.approx(numbers, rel=1e-5)
