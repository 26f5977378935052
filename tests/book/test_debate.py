"""The experiments of "helps or hurts": what is measured is what its name says, and the file can be made again."""

from dataclasses import fields
from math import inf

import pytest
import torch

from tools import slopes as tool
from tutorial_lib.book import debate
from tutorial_lib.book.data import load
from tutorial_lib.book.results import row_as_columns, stored_settings, stored_slopes
from tutorial_lib.estimates import Estimate
from tutorial_lib.exact import mean_abs_coordinate

ESTIMATES = [field.name for field in fields(debate.SlopeRow) if field.type is Estimate]


@pytest.fixture(scope="module")
def rows():
    torch.set_num_threads(1)
    return debate.slope_rows(
        "he", load(num_train=64, num_test=40), width=12, depth=2, num_networks=4, levels=[0.3, 0.2]
    )


def test_the_first_row_is_before_training_and_the_others_are_at_their_levels(rows):
    assert [row.level for row in rows] == [inf, 0.3, 0.2]
    assert all(row.num_reached == row.num_networks == 4 for row in rows)


def test_the_measures_of_a_row_fit_together(rows):
    for row in rows:
        assert row.stability.mean == pytest.approx(mean_abs_coordinate(64) * row.average.mean)
        assert row.average.mean < row.largest.mean <= row.certified.mean
        assert 0 < row.flip_distance.mean < 1
        assert row.kept_far.mean <= row.kept_near.mean


def test_noise_is_fitted_more_smoothly_by_more_neurons():
    narrow, wide = (debate.noise_slopes(width, num_draws=3) for width in (32, 256))
    assert len(narrow) == len(wide) == 3
    assert max(wide) < min(narrow)


def test_training_against_the_attack_lowers_its_risk_and_answering_0_costs_what_it_must():
    standard, adversarial = (
        debate.attacked_risks(200, radius=0.3, train_radius=radius, num_draws=2) for radius in (0.0, 0.3)
    )
    assert len(standard) == len(adversarial) == 2
    assert max(adversarial) < 1.25 < min(standard)


def test_flipped_labels_are_the_same_digits_at_every_number_of_features():
    split = load(num_train=32, num_test=8)
    for features in (64, 128):
        fit = debate.digits_fit(split, features, num_train=32, flipped=0.3, seed=1)
        wrong = (fit(split.train_x) * split.train_y < 0).nonzero().squeeze(1).tolist()
        coins = torch.rand(32, generator=debate.random_stream(1, "flips"), dtype=torch.float64)
        assert wrong == (coins < 0.3).nonzero().squeeze(1).tolist()


def test_the_file_holds_every_cell_before_training_and_at_each_level():
    settings = stored_settings("slopes")
    assert settings["command"] == "python -m tools.slopes"
    assert settings["levels"] == list(tool.LEVELS)
    for level in (inf, *tool.LEVELS):
        for scheme, depth, width in tool.cells():
            row = stored_slopes(scheme=scheme, depth=depth, level=level)[width]
            assert row.num_networks == tool.NUM_NETWORKS[width]


@pytest.mark.slow
def test_a_cell_of_the_file_computed_again_agrees():
    again = debate.slope_rows("he", tool.data(), width=32, depth=2, num_networks=24, levels=tool.LEVELS[:2])
    for row in again:
        old = row_as_columns(stored_slopes(scheme="he", depth=2, level=row.level)[32])
        for name in ESTIMATES:
            # In float32; a search keeps the steepest of what it met, which another processor may rank differently.
            assert row_as_columns(row)[name] == pytest.approx(old[name], rel=0.02), name


def test_a_weaker_attack_leaves_more_answers_and_the_network_still_answers():
    split = load(num_train=96, num_test=96)
    strong, _ = debate.survivors_of_attack(split, 96, radius=0.2, num_draws=2)
    weak, right = debate.survivors_of_attack(split, 96, radius=0.01, num_draws=2)
    assert 0 < max(strong) < min(weak) <= 1
    assert len(right) == 2 and min(right) > 0.5


def test_the_stability_of_fits_is_largest_at_as_many_features_as_labels():
    split = load(num_train=32, num_test=64)
    few, same, many = (debate.log_stability_of_fits(split, k, num_train=32, num_draws=12) for k in (8, 32, 256))
    assert few.num_draws == 12
    assert (same - few).z_score(0) > 4 and (same - many).z_score(0) > 4
