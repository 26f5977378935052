"""Parts of stored tables made again: what agrees passes, what differs is named, and nothing expensive is drawn."""

import random
import shutil
from dataclasses import replace

import pytest
import torch

from tools import recompute
from tools.recompute import OF_A_SHARE, STORED, Part, agrees, comparable, differences, drawn, main, parts, stored
from tutorial_lib.book.results import stored_settings

NAMES = sorted(path.stem for path in STORED.glob("*.csv"))
# The cheapest cell of a sweep, of each kind of study, of the slopes, and an untrained network.
CHEAP = {
    "budgets": {"scheme": "he", "width": "8", "depth": "2"},
    "optimizers": {"scheme": "he", "width": "256", "depth": "2", "method": "Adam"},
    "own_networks": {"kind": "MLP", "seed": "3", "num_epochs": "0"},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Stored tables that a test may change."""
    for name in NAMES:
        shutil.copy(STORED / f"{name}.csv", tmp_path)
    monkeypatch.setattr(recompute, "STORED", tmp_path)
    return tmp_path


def part_of(name):
    (part,) = [part for part in parts(name) if part.place == CHEAP[name]]
    return part


def changed(folder, name, column, value):
    """Write another value into the first row of the cheap part of a table; return its line and the value there was."""
    line, row = next((line, row) for line, row in stored(name) if CHEAP[name].items() <= row.items())
    path = folder / f"{name}.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[line - 1] = ",".join((row | {column: value}).values())
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return line, row[column]


@pytest.mark.parametrize("name", NAMES)
def test_every_row_of_a_table_belongs_to_one_part(name):
    rows = [row for _, row in stored(name)]
    sizes = [sum(part.place.items() <= row.items() for row in rows) for part in parts(name)]
    assert min(sizes) > 0 and sum(sizes) == len(rows)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_drawn_is_cheap_and_another_seed_draws_others(name):
    candidates, seconds = parts(name), float(str(stored_settings(name)["seconds"]))
    draws = [
        drawn(candidates, of_seconds=seconds, at_most=30, stream=random.Random(f"{seed} {name}")) for seed in range(8)
    ]
    total = sum(part.work for part in candidates)
    for draw in draws:
        assert draw and all(map(comparable, draw))
        assert seconds * sum(part.work for part in draw) / total <= 30
    assert len({part.place.__repr__() for draw in draws for part in draw}) > 1


def test_one_part_is_drawn_where_all_take_too_long():
    candidates = [Part({"width": str(width)}, width, list) for width in (64, 16, 32)]
    (part,) = drawn(candidates, of_seconds=1e6, at_most=1, stream=random.Random(0))
    assert part.place == {"width": "16"}


def test_deep_networks_of_a_few_neurons_are_not_drawn():
    narrow = Part({"width": "16", "depth": "6"}, 1, list)
    assert not comparable(narrow) and comparable(replace(narrow, place={"width": "16", "depth": "4"}))


@pytest.mark.slow
@pytest.mark.parametrize("name", CHEAP)
def test_a_part_made_again_agrees_and_a_changed_number_is_named(folder, name):
    torch.set_num_threads(1)
    rows = part_of(name).make()
    part = replace(part_of(name), make=lambda: rows)
    assert differences(name, part) == []
    line, old = changed(folder, name, "accuracy", "0.512")
    (found,) = differences(name, part)
    assert found.startswith(f"{name}.csv, line {line} ({', '.join(part.place.values())}), accuracy: 0.512 is stored, ")
    assert float(found.split(", ")[-1].split()[0]) == pytest.approx(float(old), abs=OF_A_SHARE)


def test_a_row_that_is_missing_is_named(folder):
    path = folder / "own_networks.csv"
    place = CHEAP["own_networks"]
    line = next(line for line, row in stored("own_networks") if place.items() <= row.items())
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[: line - 1] + lines[line:]), encoding="utf-8")
    (found,) = differences("own_networks", replace(part_of("own_networks"), make=lambda: [{"kind": "MLP"}]))
    assert found == "own_networks.csv (MLP, 3, 0): 0 rows are stored, 1 are made now"


def test_the_whole_ends_with_an_error_where_a_number_differs(folder, monkeypatch, capsys):
    row = next(row for _, row in stored("own_networks") if CHEAP["own_networks"].items() <= row.items())
    part = Part(CHEAP["own_networks"], 1, lambda: [row])
    monkeypatch.setattr(recompute, "parts", lambda name: [part])  # noqa: ARG005
    main(["--files", "own_networks"])
    assert "own_networks (MLP, 3, 0): agrees" in capsys.readouterr().out
    changed(folder, "own_networks", "loss", "2.5")
    with pytest.raises(SystemExit, match=f"loss: 2.5 is stored, {row['loss']} comes out now"):
        main(["--files", "own_networks"])


def test_an_unknown_table_is_refused_with_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        main(["--files", "budget"])
    assert "NAME must be one of budgets, flow_parity" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("0.5", "0.5014", True),  # within 0.003 of it
        ("0.5", "0.5016", False),
        ("0.5", "nan", False),
        ("nan", "nan", True),
        ("12", "13", False),
        ("he", "ntk", False),
    ],
)
def test_numbers_agree_within_what_another_processor_changes(old, new, same):
    assert agrees({"stability": old}, {"stability": new}, "stability") is same


def test_an_error_widens_what_agrees_for_its_mean_and_itself():
    row = {"loss": "0.5", "loss error": "0.01"}
    assert agrees(row, row | {"loss": "0.5064"}, "loss") and not agrees(row, row | {"loss": "0.5066"}, "loss")
    assert agrees({"steps": "951", "steps error": "7"}, {"steps": "950"}, "steps")  # a mean that happens to be whole
    assert agrees(row, row | {"loss error": "0.0164"}, "loss error")
    assert not agrees(row, row | {"loss error": "0.0166"}, "loss error")


def test_the_mean_of_one_network_has_no_error_and_still_agrees_within_what_another_processor_changes():
    row = {"loss": "0.5", "loss error": "nan"}
    assert agrees(row, row | {"loss": "0.5014"}, "loss") and not agrees(row, row | {"loss": "0.5016"}, "loss")


def test_a_share_may_move_by_two_images():
    assert agrees({"attacked": "0.25"}, {"attacked": "0.257812"}, "attacked")
    assert not agrees({"attacked": "0.25"}, {"attacked": "0.261719"}, "attacked")
    assert not agrees({"attacked": "0.25"}, {}, "attacked")
    several = {"accuracy": "0.929688", "accuracy error": "0.004"}
    assert agrees(several, several | {"accuracy": "0.933594"}, "accuracy")
    assert not agrees(several, several | {"accuracy": "0.945313"}, "accuracy")
