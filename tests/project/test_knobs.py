"""Knobs: every one is turned by `make knobs`, and the first turn of each chapter runs to the end here."""

import json

import pytest

from tools.knobs import TURNS, Turn, knobs_of, path_of, run, turned, turns
from tools.repository import notebook_paths

CELL = """import numpy as np

# Change me
SCHEME = "he"  # or "lecun"
SHALLOW, DEEP = 2, 5
PLACES = [(0.5, 0.0), (1.75, 0.0)]
yours = 3

OTHER = 7"""


def test_the_knobs_of_a_cell_are_what_is_assigned_below_change_me():
    assert knobs_of(CELL) == ["SCHEME", "SHALLOW, DEEP", "PLACES"]
    assert knobs_of("WIDTH = 3") == []


@pytest.mark.parametrize(
    ("knob", "value", "line"),
    [
        ("SCHEME", '"ntk"', 'SCHEME = "ntk"'),
        ("SHALLOW, DEEP", "3, 4", "SHALLOW, DEEP = 3, 4"),
        ("PLACES", "[(1, 1)]", "PLACES = [(1, 1)]"),
    ],
)
def test_a_turn_changes_one_line(knob, value, line):
    before, after = CELL.splitlines(), turned(CELL, knob, value).splitlines()
    (place,) = [k for k, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert after[place] == line and before[place].startswith(f"{knob} = ")


@pytest.mark.parametrize("path", [p for p in notebook_paths() if p.parent.name == "notebooks"], ids=lambda p: p.stem)
def test_every_knob_of_a_chapter_is_turned_to_other_values(path):
    sources = ["".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    knobs = [knob for source in sources for knob in knobs_of(source)]
    assert sorted(TURNS.get(int(path.name[:2]), [])) == sorted(knobs) and knobs, "TURNS in tools/knobs.py"
    for turn in turns([int(path.name[:2])]):
        (changed,) = {turned(source, turn.knob, turn.value) for source in sources} - set(sources)
        assert f"{turn.knob} = {turn.value}" in changed


def test_a_knob_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="^knob must be one of the chapter's, got 'NOISE' in chapter 7$"):
        run(Turn(7, "NOISE", "1"))


@pytest.mark.parametrize("chapter", sorted(TURNS))
def test_the_first_turn_of_a_chapter_runs_to_its_end(chapter):
    assert path_of(chapter).exists()
    run(next(turns([chapter])))
