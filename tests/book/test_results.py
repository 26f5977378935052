"""Stored results: nothing is lost on the way to the file and back, and each file can be computed again."""

import json
from dataclasses import replace

import pytest
import torch

from tools.sweeps import FOLDER, LOSSES, SWEEPS
from tutorial_lib.book.data import load
from tutorial_lib.book.experiments import TrainedRow, trained_rows
from tutorial_lib.book.results import row_as_columns, rows_as_text, stored_rows, stored_settings
from tutorial_lib.estimates import Estimate

STORED = sorted(name for name in SWEEPS if (FOLDER / f"{name}.csv").exists())
ROW = TrainedRow(
    scheme="he",
    width=8,
    depth=4,
    num_steps=30,
    stability=Estimate(0.25, 0.125, 16),
    loss=Estimate(0.5, 0.0625, 16),
    accuracy=Estimate(0.75, 0.03125, 16),
    lazy_ratio=Estimate(0.015625, 1e-5, 16),
    num_reached=3,
    num_dead=2,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A package whose results are those that a test writes."""
    (tmp_path / "stored").mkdir()
    monkeypatch.setattr("tutorial_lib.book.results.files", lambda _package: tmp_path)
    return tmp_path / "stored"


def test_rows_and_settings_come_back_as_they_were_written(folder):
    rows = [ROW, replace(ROW, scheme="ntk", width=16, stability=Estimate(0.375, 0.25, 16), num_dead=0)]
    settings = {"command": "python -m anything", "depths": [4], "seed": 0, "factor": 0.5}
    (folder / "mine.csv").write_text(rows_as_text([row_as_columns(row) for row in rows], settings), encoding="utf-8")
    assert stored_rows("mine") == rows
    assert stored_settings("mine") == settings


def test_numbers_are_rounded_to_six_digits(folder):
    row = replace(ROW, stability=Estimate(0.123456789, 0.00123456789, 16))
    (folder / "mine.csv").write_text(rows_as_text([row_as_columns(row)], {}), encoding="utf-8")
    assert stored_rows("mine")[0].stability == Estimate(0.123457, 0.00123457, 16)


def test_an_unknown_name_is_refused_with_the_stored_ones(folder):
    for name in ("mine", "yours"):
        (folder / f"{name}.csv").write_text(rows_as_text([row_as_columns(ROW)], {}), encoding="utf-8")
    (folder / "notes.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="^name must be one of mine, yours, got 'ours'$"):
        stored_rows("ours")
    with pytest.raises(ValueError, match="^name must be one of mine, yours, got 'ours'$"):
        stored_settings("ours")


@pytest.mark.parametrize("name", STORED)
def test_a_file_says_what_made_it_and_that_is_the_sweep_of_this_name(name):
    settings = stored_settings(name)
    assert settings.keys() >= {"command", "data", "seconds", "seed", "threads", "versions"}
    assert settings["command"] == f"python -m tools.sweeps {name}"
    # What JSON makes of a tuple or of a number as a key is the same for both.
    sweep = json.loads(json.dumps(vars(SWEEPS[name])))
    assert {key: settings[key] for key in sweep} == sweep


@pytest.mark.parametrize("name", STORED)
def test_a_file_holds_every_cell_once_with_enough_networks(name):
    sweep, rows = SWEEPS[name], stored_rows(name)
    steps = 1 if sweep.target_loss is not None else len(sweep.record_at)
    assert len(rows) == 3 * len(sweep.widths) * len(sweep.depths) * steps
    assert len({(row.scheme, row.width, row.depth, row.num_steps) for row in rows}) == len(rows)
    assert all(row.stability.num_draws >= 8 for row in rows)


@pytest.mark.parametrize("name", STORED)
def test_a_cell_of_each_file_computed_again_agrees(name):
    torch.set_num_threads(1)
    sweep = SWEEPS[name]
    # Two layers: with more, small networks amplify what another processor rounds differently.
    width, depth = sweep.widths[2], sweep.depths[0]
    count = next(networks for largest, networks in sweep.num_networks.items() if width <= largest)
    again = trained_rows(
        "he",
        load(sweep.source, num_train=sweep.num_train, task=sweep.task),
        width=width,
        depth=depth,
        num_networks=count,
        record_at=sweep.record_at[:1],
        target_loss=sweep.target_loss,
        loss=LOSSES[sweep.loss],
        factor=sweep.factor,
        batch_size=sweep.batch_size,
        seed=sweep.seed,
    )[0]
    (stored,) = [
        row
        for row in stored_rows(name)
        if (row.scheme, row.width, row.depth) == ("he", width, depth)
        and (sweep.target_loss is not None or row.num_steps == sweep.record_at[0])
    ]
    assert again.num_reached == stored.num_reached and again.num_dead == stored.num_dead
    for quantity in ("stability", "loss", "accuracy", "lazy_ratio"):
        new, old = getattr(again, quantity), getattr(stored, quantity)
        assert new.num_draws == old.num_draws
        # The same networks: what another processor rounds differently is far below the six digits of the file.
        assert abs(new.mean - old.mean) <= 1e-5 * abs(old.mean)
