"""Stored results: nothing is lost on the way to the file and back, and each file can be computed again."""

import json
from dataclasses import asdict, replace
from math import nan

import pytest
import torch

from tools.studies import STUDIES, run
from tools.sweeps import FOLDER, LOSSES, SWEEPS
from tutorial_lib.book.data import load
from tutorial_lib.book.equal_loss import LevelRow
from tutorial_lib.book.experiments import TrainedRow, trained_rows
from tutorial_lib.book.results import (
    row_as_columns,
    rows_as_text,
    rows_at_level,
    stored_curves,
    stored_levels,
    stored_rows,
    stored_settings,
    stored_silent,
)
from tutorial_lib.book.silent_start import SilentRow
from tutorial_lib.estimates import Estimate

STORED = sorted(name for name in SWEEPS if (FOLDER / f"{name}.csv").exists())
# The studies of silent starts have rows of their own.
STORED_STUDIES = sorted(name for name in STUDIES if (FOLDER / f"{name}.csv").exists())
OF_LEVELS = [name for name in STORED_STUDIES if not name.startswith("silent")]
OF_SILENT_STARTS = [name for name in STORED_STUDIES if name.startswith("silent")]
ESTIMATES = ("time", "steps", "loss", "stability", "over_lead", "accuracy", "lazy_ratio")
SILENT = ("time", "stability", "accuracy", "lazy_ratio", "directions", "size")
NOTHING = Estimate(nan, nan, 0)
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
LEVEL_ROW = LevelRow(
    scheme="mup",
    width=8,
    depth=4,
    method="flow",
    level=0.1,
    epoch=0,
    num_networks=16,
    num_reached=12,
    time=Estimate(40.5, 2.25, 12),
    steps=Estimate(81.0, 4.5, 12),
    loss=Estimate(0.1, 1e-5, 12),
    stability=Estimate(0.25, 0.125, 12),
    over_lead=Estimate(0.375, 0.0625, 12),
    accuracy=Estimate(0.75, 0.03125, 12),
    lazy_ratio=Estimate(0.015625, 1e-5, 12),
)
EPOCH_ROW = replace(LEVEL_ROW, method="batches of 8", level=nan, epoch=3, time=NOTHING, over_lead=NOTHING)


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


def test_rows_of_levels_and_of_epochs_come_back_as_they_were_written(folder):
    nobody = replace(LEVEL_ROW, level=0.05, num_reached=0, **dict.fromkeys(ESTIMATES, NOTHING))
    alone = replace(
        LEVEL_ROW, level=0.02, num_reached=1, **{name: Estimate(0.5, nan, 1) for name in ESTIMATES}
    )  # one draw has no error
    rows = [LEVEL_ROW, nobody, alone, EPOCH_ROW]
    (folder / "mine.csv").write_text(rows_as_text([row_as_columns(row) for row in rows], {}), encoding="utf-8")
    back = stored_levels("mine")
    assert [repr(row) for row in back] == [repr(row) for row in rows]  # nan is not equal to itself
    assert [back[1].stability.num_draws, back[2].stability.num_draws] == [0, 1]
    assert [back[3].time.num_draws, back[3].over_lead.num_draws, back[3].stability.num_draws] == [0, 0, 12]


def test_curves_are_the_reached_levels_of_one_scheme_depth_and_method_by_width(folder):
    wide = [replace(LEVEL_ROW, width=16, level=level) for level in (0.1, 0.4, 0.2)]
    narrow = [LEVEL_ROW, replace(LEVEL_ROW, level=0.05, num_reached=0)]
    others = [
        replace(LEVEL_ROW, scheme="he"),
        replace(LEVEL_ROW, depth=2),
        replace(LEVEL_ROW, method="Adam"),
        EPOCH_ROW,
    ]
    text = rows_as_text([row_as_columns(row) for row in wide + narrow + others], {})
    (folder / "mine.csv").write_text(text, encoding="utf-8")
    curves = stored_curves("mine", scheme="mup", depth=4)
    assert list(curves) == [8, 16]
    assert curves == {8: [LEVEL_ROW], 16: [wide[1], wide[2], wide[0]]}
    assert stored_curves("mine", scheme="mup", depth=4, method="Adam") == {8: [others[2]]}
    assert stored_curves("mine", scheme="mup", depth=4, method="batches of 8") == {}


def test_rows_at_a_level_are_those_that_at_least_half_of_the_networks_reached(folder):
    half = replace(LEVEL_ROW, num_reached=8)
    wide, deep = replace(half, width=16), replace(half, depth=6)
    others = [
        replace(half, width=32, num_reached=7),
        replace(half, level=0.2),
        replace(half, scheme="he"),
        replace(half, method="Adam"),
        EPOCH_ROW,
    ]
    text = rows_as_text([row_as_columns(row) for row in [deep, wide, *others, half]], {})
    (folder / "mine.csv").write_text(text, encoding="utf-8")
    assert rows_at_level("mine", 0.1, scheme="mup") == [half, wide, deep]
    assert rows_at_level("mine", 0.1, scheme="mup", depth=4) == [half, wide]
    assert rows_at_level("mine", 0.1, scheme="mup", width=8) == [half, deep]
    assert rows_at_level("mine", 0.1, scheme="mup", method="Adam") == [others[3]]
    assert rows_at_level("mine", 0.3, scheme="mup") == []


def test_silent_rows_come_back_as_they_were_written_by_exponent_and_width(folder):
    row = SilentRow(
        exponent=0.75,
        width=16,
        level=0.1,
        num_networks=8,
        num_reached=5,
        time=Estimate(40.5, 2.25, 5),
        stability=Estimate(0.25, 0.125, 5),
        accuracy=Estimate(0.75, 0.03125, 5),
        lazy_ratio=Estimate(3.5, 0.25, 5),
        directions=Estimate(2.5, 0.5, 5),
        size=Estimate(12.5, 0.75, 5),
    )
    rows = [row, replace(row, level=0.2), replace(row, width=8), replace(row, exponent=0.5)]
    nobody = replace(row, level=0.05, num_reached=0, **{name: NOTHING for name in vars(row) if name in SILENT})
    text = rows_as_text([row_as_columns(one) for one in [*rows, nobody]], {})
    (folder / "mine.csv").write_text(text, encoding="utf-8")
    assert list(stored_silent("mine")) == [(0.5, 16), (0.75, 8), (0.75, 16)]
    assert stored_silent("mine")[0.75, 16] == [rows[1], row]


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
    assert len(rows) == 3 * len(sweep.widths) * len(sweep.depths) * len(sweep.record_at)
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
        loss=LOSSES[sweep.loss],
        factor=sweep.factor,
        batch_size=sweep.batch_size,
        seed=sweep.seed,
    )[0]
    (stored,) = [
        row
        for row in stored_rows(name)
        if (row.scheme, row.width, row.depth, row.num_steps) == ("he", width, depth, sweep.record_at[0])
    ]
    assert again.num_reached == stored.num_reached and again.num_dead == stored.num_dead
    for quantity in ("stability", "loss", "accuracy", "lazy_ratio"):
        new, old = getattr(again, quantity), getattr(stored, quantity)
        assert new.num_draws == old.num_draws
        # The same networks: what another processor rounds differently is far below the six digits of the file.
        assert abs(new.mean - old.mean) <= 1e-5 * abs(old.mean)


# Studies at equal loss.


@pytest.mark.parametrize("name", STORED_STUDIES)
def test_a_study_s_file_says_what_made_it_and_that_is_the_study_of_this_name(name):
    settings, cells = stored_settings(name), [asdict(cell) for cell in STUDIES[name].cells()]
    assert settings["command"] == f"python -m tools.studies {name}"
    assert settings["threads"] == 1
    assert settings["seconds"] > 0
    assert settings["versions"].keys() == {"numpy", "python", "torch"}
    # What all cells share; what JSON makes of a tuple is the same for both.
    shared = {key: value for key, value in cells[0].items() if all(cell[key] == value for cell in cells)}
    assert shared.keys() >= {"levels", "seed", "tolerance", "source", "task", "num_train", "loss"}
    assert {key: settings[key] for key in shared} == json.loads(json.dumps(shared))
    assert not {"scheme", "width", "depth", "method", "num_networks"} & (settings.keys() - shared.keys())


@pytest.mark.parametrize("name", OF_LEVELS)
def test_a_study_s_file_holds_every_cell_once_with_all_its_networks(name):
    wanted = [
        (cell.scheme, cell.method, cell.depth, cell.width, cell.num_networks, *moment)
        for cell in STUDIES[name].cells()
        for moment in [(0, str(level)) for level in cell.levels] + [(epoch, "nan") for epoch in cell.epochs]
    ]
    rows = stored_levels(name)
    found = [
        (row.scheme, row.method, row.depth, row.width, row.num_networks, row.epoch, str(row.level)) for row in rows
    ]
    assert sorted(found) == sorted(wanted)
    for row in rows:
        assert 0 <= row.num_reached <= row.num_networks
        assert row.stability.num_draws == row.num_reached
        if row.epoch == 0 and row.num_reached:
            assert row.loss.mean <= row.level * (1.01 if row.method == "flow" else 1)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "method"), [(name, method) for name in OF_LEVELS for method in STUDIES[name].methods])
def test_the_beginning_of_a_cell_of_each_study_computed_again_agrees(name, method):
    study = STUDIES[name]
    # Two layers: with more, small networks amplify what another processor rounds differently.
    place = ("he", method, study.depths[0], study.widths[1])
    (cell,) = [c for c in study.cells() if (c.scheme, c.method, c.depth, c.width) == place]
    # Training is the same whatever comes after.
    rows = run(replace(cell, levels=cell.levels[:3], epochs=cell.epochs[:1]))["rows"]
    stored = {
        (row.level if row.epoch == 0 else "after", row.epoch): row_as_columns(row)
        for row in stored_levels(name)
        if (row.scheme, row.method, row.depth, row.width) == place
    }
    assert len(rows) == 3 + len(cell.epochs[:1])
    assert rows[0]["num_reached"] > 0
    for new in rows:
        old = stored[(new["level"] if new["epoch"] == 0 else "after", new["epoch"])]
        assert (new["num_reached"], new["networks"]) == (old["num_reached"], old["networks"])
        for quantity in ESTIMATES:
            # In float32; the same in float64 differs by 0.0006 at most.
            assert new[quantity] == pytest.approx(old[quantity], rel=0.003, nan_ok=True), quantity


@pytest.mark.parametrize("name", OF_SILENT_STARTS)
def test_a_study_of_silent_starts_holds_every_cell_once_and_all_its_networks_arrived(name):
    curves = stored_silent(name)
    found = [
        (f"m^-{exponent:g}", width, row.num_networks, row.level)
        for (exponent, width), rows in curves.items()
        for row in rows
    ]
    wanted = [(c.scheme, c.width, c.num_networks, level) for c in STUDIES[name].cells() for level in c.levels]
    assert sorted(found) == sorted(wanted)
    assert all(row.num_reached == row.num_networks for rows in curves.values() for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [0.75, 1.0])
def test_the_beginning_of_a_cell_of_silent_starts_computed_again_agrees(exponent):
    (cell,) = [c for c in STUDIES["silent"].cells() if (c.scheme, c.width) == (f"m^-{exponent:g}", 64)]
    for new, row in zip(
        run(replace(cell, levels=cell.levels[:5]))["rows"], stored_silent("silent")[exponent, 64], strict=False
    ):
        old = row_as_columns(row)
        assert (new["level"], new["networks"]) == (old["level"], old["networks"])
        for quantity in SILENT:
            assert new[quantity] == pytest.approx(old[quantity], rel=0.003), quantity
