"""Compute parts of the stored tables again: `python -m tools.recompute [--seed N] [--seconds S] [--files NAME ...]`.

A part is what one call makes, the networks of one scheme and size. Of each table parts are drawn at random until they
take about S seconds together; a part that takes longer is never drawn. They are made by the code and the settings that
made the table, and compared with its rows number by number.
"""

import argparse
import csv
import math
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import torch

from tools import own_networks, slopes, studies, sweeps
from tutorial_lib.book.results import row_as_columns, rows_as_text, stored_settings

Columns = dict[str, str | int | float]
STORED = sweeps.FOLDER
SECONDS = 20.0
# Another processor rounds otherwise. In training that moves a number by up to 0.003 of its size, in a search for the
# steepest place or by one step more by up to half a standard error, and a share by an image or two.
RELATIVE, OF_THE_ERROR, OF_A_SHARE = 0.003, 0.5, 2 / 256
SHARES = {"accuracy", "random", "chosen", "attacked", "attacked_in_range"}


@dataclass(frozen=True)
class Part:
    """The rows of a table with these texts in these columns, how much work they are, and the call that makes them."""

    place: dict[str, str]
    work: float
    make: Callable[[], Sequence[Columns]]


def _work(width: int, depth: int, num_networks: int) -> float:
    # A product of narrow matrices takes as long as one of width 64.
    return depth * (width + 64) ** 2 * num_networks


def _of_sweep(name: str) -> Iterator[Part]:
    sweep = sweeps.SWEEPS[name]
    for scheme, depth, width in sweep.cells():
        place = {"scheme": scheme, "width": str(width), "depth": str(depth)}
        cell = (sweep, scheme, depth, width)
        work = _work(width, depth, sweep.count(width))
        yield Part(place, work, lambda cell=cell: [row_as_columns(row) for row in sweeps.run_cell(*cell)])


def _of_study(name: str) -> Iterator[Part]:
    for cell in studies.STUDIES[name].cells():
        place = {"scheme": cell.scheme, "width": str(cell.width), "depth": str(cell.depth), "method": cell.method}
        if cell.scheme.startswith(studies.POWER):
            place = {"exponent": f"{float(cell.scheme.removeprefix(studies.POWER)):g}", "width": str(cell.width)}
        work = _work(cell.width, cell.depth, cell.num_networks)
        yield Part(place, work, lambda cell=cell: studies.run(cell)["rows"])


def _of_slopes() -> Iterator[Part]:
    for cell in slopes.cells():
        scheme, depth, width = cell
        place = {"scheme": scheme, "width": str(width), "depth": str(depth)}
        work = _work(width, depth, slopes.NUM_NETWORKS[width])
        yield Part(place, work, lambda cell=cell: [row_as_columns(row) for row in slopes.run_cell(*cell)])


def _of_own_networks() -> Iterator[Part]:
    for seed in range(own_networks.NUM_NETWORKS):
        for cell in own_networks.cells():
            kind, epochs = cell
            place = {"kind": kind, "seed": str(seed), "num_epochs": str(epochs)}
            work = epochs + 5 * len(own_networks.RADII_AFTER[epochs])
            one = partial(own_networks.run_cell, *cell, seed=seed)
            yield Part(place, work, lambda one=one: [asdict(row) for row in one()])


def comparable(part: Part) -> bool:
    """Return whether another processor gives the same numbers: deep networks of a few neurons amplify its rounding."""
    return int(part.place.get("width", 512)) >= 4 * int(part.place.get("depth", 2))


def parts(name: str) -> list[Part]:
    """Return all parts of a stored table."""
    if name in sweeps.SWEEPS:
        return list(_of_sweep(name))
    if name in studies.STUDIES:
        return list(_of_study(name))
    return list({"slopes": _of_slopes, "own_networks": _of_own_networks}[name]())


def drawn(candidates: Sequence[Part], *, of_seconds: float, at_most: float, stream: random.Random) -> list[Part]:
    """Draw parts at random that take at most so many seconds together, if all take ``of_seconds``; one at least."""
    second = of_seconds / sum(part.work for part in candidates)
    found: list[Part] = []
    for part in filter(comparable, stream.sample(candidates, len(candidates))):
        if second * sum(one.work for one in (*found, part)) <= at_most:
            found.append(part)
    return found or [min(filter(comparable, candidates), key=lambda part: part.work)]


def stored(name: str) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a stored table, each with its line in the file."""
    lines = (STORED / f"{name}.csv").read_text(encoding="utf-8").splitlines()
    return list(enumerate(csv.DictReader(lines[1:]), start=3))


def differences(name: str, part: Part) -> list[str]:
    """Make a part again; say of each number that differs from the stored one which it is, and both."""
    old = [row for row in stored(name) if part.place.items() <= row[1].items()]
    new = list(csv.DictReader(rows_as_text(part.make(), {}).splitlines()[1:]))
    label = ", ".join(part.place.values())
    if not old or len(old) != len(new):
        return [f"{name}.csv ({label}): {len(old)} rows are stored, {len(new)} are made now"]
    return [
        f"{name}.csv, line {line} ({label}), {column}: {row[column]} is stored, {again[column]} comes out now"
        for (line, row), again in zip(old, new, strict=True)
        for column in row.keys() | again.keys()
        if not agrees(row, again, column)
    ]


def agrees(old: dict[str, str], new: dict[str, str], column: str) -> bool:
    """Return whether two rows have the same text in a column, or numbers that another processor may give."""
    before, after = old.get(column, "nothing"), new.get(column, "nothing")
    if before == after:
        return True
    try:
        one, other = float(before), float(after)
    except ValueError:
        return False
    quantity = column.removesuffix(" error")
    size, error = abs(float(old[quantity])), float(old.get(f"{quantity} error", "nan"))
    if f"{quantity} error" not in old and "." not in before + after:
        return False  # a count
    known = 0.0 if math.isnan(error) else OF_THE_ERROR * error  # a single network has no error
    return abs(one - other) <= RELATIVE * size + known + (OF_A_SHARE if column in SHARES else 0.0)


def main(arguments: list[str]) -> None:
    """Make parts of each table again; end with an error if a number differs."""
    known = sorted(path.stem for path in STORED.glob("*.csv"))
    parser = argparse.ArgumentParser(prog="python -m tools.recompute", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="decides which parts; every week another")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"about how long a table, {SECONDS:g} if not given"
    )
    parser.add_argument("--files", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; all without a name")
    options = parser.parse_args(arguments)
    if unknown := set(options.files or ()) - set(known):
        parser.error(f"NAME must be one of {', '.join(known)}, got {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    found = []
    for name in options.files or known:
        stream, seconds = random.Random(f"{options.seed} {name}"), float(str(stored_settings(name)["seconds"]))
        for part in drawn(parts(name), of_seconds=seconds, at_most=options.seconds, stream=stream):
            start = time.perf_counter()
            found += (here := differences(name, part))
            label, verdict = ", ".join(part.place.values()), f"{len(here)} numbers differ" if here else "agrees"
            print(f"{name} ({label}): {verdict}, {time.perf_counter() - start:.0f} s", flush=True)
    if found:
        sys.exit("\n".join(["", *found, "", "Someone changed the code or the numbers: find out which is right."]))


if __name__ == "__main__":
    main(sys.argv[1:])
