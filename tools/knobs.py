"""Turn the knobs: does a chapter run to its end with other values in its cell "# Change me"?

`python -m tools.knobs [CHAPTER ...]`, through `make knobs`: each knob of each chapter takes three values (a scheme all
others), one after the other, while the rest stays as it is. As in a reader's hands, a claim that no longer holds prints
a line; an exception is a failure. `make test` takes the first turn of each chapter.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError

from tools.notebooks import words_of
from tools.repository import ROOT
from tutorial_lib.book.claims import STRICT

SECONDS_PER_CELL = 240  # other values may take longer than the stored ones
CHANGE_ME = re.compile(r"^# Change me\n((?:.+\n?)*)", re.MULTILINE)
KNOB = re.compile(r"^(?P<names>[A-Z]\w*(?:, [A-Z]\w*)*) = (?P<value>.*?)(?P<comment>  #.*)?$", re.MULTILINE)
SCHEMES = ('"lecun"', '"ntk"')
# By the number of the chapter: the values of each knob, the quickest turn of the chapter first.
TURNS: dict[int, dict[str, tuple[str, ...]]] = {
    1: {"DIGIT": ("0", "5", "9"), "CHANGE": ("0.02", "0.2", "0.4"), "WIDTH": ("64", "128", "200")},
    2: {
        "SCALES": ("[0.1, 1.0]", "[0.02, 0.5, 5.0]", "[2, 0.3, 0.1]"),
        "NEURONS": ("8", "32", "100"),
        "SEED": ("1", "2", "3"),
    },
    3: {"WIDTH": ("32", "64", "256"), "SCHEME": SCHEMES, "DEPTH": ("2", "6", "8")},
    4: {
        "WIDTH": ("64", "200", "1024"),
        "PLACES": ("[(0.7, 0.0), (1.5, 0.5)]", "[(0.5, -0.5), (1.2, 0.0)]", "[(0.5, 0.5), (2.0, 0.0)]"),
        "LABELS": ("[0.5, 0.4, -0.5, 0.1]", "[-0.3, 0.7, 0.2, -0.6]", "[0.2, 0.2, -0.2, -0.2]"),
    },
    5: {"RADIUS": ("0.01", "1", "3"), "DEPTH": ("2", "6", "10"), "WIDTH": ("16", "64", "1024")},
    6: {"SCHEME": SCHEMES, "WIDTH": ("1", "20", "100"), "DEPTH": ("2", "3", "12")},
    7: {"INPUTS": ("10", "200", "784"), "SCHEME": SCHEMES, "DEPTH": ("2", "7", "12")},
    8: {"LEVEL": ("0.4", "0.1", "0.05"), "SCHEME": ('"lecun"', '"ntk"', '"mup"'), "DEPTH": ("2", "6", "8")},
    9: {"WIDTH": ("32", "64", "8"), "SCHEME": SCHEMES, "SHALLOW, DEEP": ("2, 3", "3, 4", "2, 6")},
    10: {"LEVEL": ("0.2", "0.1", "0.07"), "DEPTH": ("2", "3", "6"), "WIDTH": ("16", "64", "128")},
    11: {"LEVEL": ("0.3", "0.2", "0.05"), "SCHEME": SCHEMES, "DEPTH, WIDTH": ("2, 128", "3, 256", "4, 512")},
    12: {"LEVEL": ("0.2", "0.1", "0.05"), "C": ("0.5", "1.5", "2.0"), "NARROW, WIDE": ("8, 32", "32, 128", "16, 256")},
    13: {"LEVEL": ("0.4", "0.2", "0.05"), "SCHEME": ('"lecun"', '"ntk"', '"mup"'), "DEPTH": ("2", "3", "6")},
    14: {"WIDTH": ("16", "256", "512"), "DEPTH": ("2", "4", "6")},
    15: {"KIND": ('"MLP"', '"ResNet"', '"transformer"'), "RADIUS": ("0.1", "1.0", "2.0"), "SEED": ("1", "2", "3")},
}


class Turn(NamedTuple):
    """One knob of a chapter and the value it takes, as it would be typed."""

    chapter: int
    knob: str
    value: str


def path_of(chapter: int) -> Path:
    """Return the notebook of a chapter."""
    (path,) = (ROOT / "notebooks").glob(f"{chapter:02}_*.ipynb")
    return path


def knobs_of(source: str) -> list[str]:
    """Name the knobs in the source of a cell: what is assigned in the lines below "# Change me"."""
    found = CHANGE_ME.search(source)
    return [knob["names"] for knob in KNOB.finditer(found[1])] if found else []


def turned(source: str, knob: str, value: str) -> str:
    """Return the source of a cell with another value of a knob."""

    def turn(match: re.Match[str]) -> str:
        return f"{knob} = {value}" if match["names"] == knob else match[0]

    return KNOB.sub(turn, source)


def turns(chapters: list[int]) -> Iterator[Turn]:
    """Return all turns of some chapters, in their order."""
    for chapter in chapters:
        for knob, values in TURNS[chapter].items():
            yield from (Turn(chapter, knob, value) for value in values)


def run(turn: Turn) -> list[str]:
    """Run the chapter as a reader who changed this value; return the lines of claims that no longer hold."""
    path = path_of(turn.chapter)
    notebook: Any = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    changed = 0
    for cell in notebook.cells:
        if turn.knob in knobs_of(cell.source):
            cell.source, changed = turned(cell.source, turn.knob, turn.value), changed + 1
    if changed != 1:
        raise ValueError(f"knob must be one of the chapter's, got {turn.knob!r} in chapter {turn.chapter}")
    settings = {"timeout": SECONDS_PER_CELL, "kernel_name": "python3", "coalesce_streams": True}
    client = NotebookClient(notebook, **settings, resources={"metadata": {"path": str(path.parent)}})
    reader = {name: value for name, value in os.environ.items() if name != STRICT} | {"TQDM_DISABLE": "1"}
    client.execute(stderr=subprocess.DEVNULL, env=reader)
    outputs = [output for cell in json.loads(json.dumps(notebook))["cells"] for output in cell.get("outputs", [])]
    lines = "\n".join("".join(output.get("text", "")) for output in outputs).splitlines()
    return [line for line in lines if line.startswith("The book saw:")]


def main(names: list[str]) -> None:
    """Run every turn of the named chapters, or of all; fail at the end if one did."""
    failed = 0
    for turn in turns([int(name) for name in names] or sorted(TURNS)):
        start = time.perf_counter()
        try:
            said = f"{len(run(turn))} claims say that your values differ"
        except (CellExecutionError, CellTimeoutError) as error:
            failed += 1
            said = f"FAILED\n{words_of(error)}"
        print(
            f"chapter {turn.chapter:2}  {turn.knob} = {turn.value}: {said} ({time.perf_counter() - start:.0f} s)",
            flush=True,
        )
    sys.exit(bool(failed))


if __name__ == "__main__":
    main(sys.argv[1:])
