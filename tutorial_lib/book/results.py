"""Reference results of long runs: CSV files inside the package, each with what made it.

The first line of a file is a comment that holds, as JSON, settings, seed, versions, seconds and the
command. A chapter computes a part again and asserts that both agree within their errors.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from importlib.resources import files
from io import StringIO
from math import isnan
from pathlib import Path
from typing import TypeVar

from tutorial_lib.book.debate import SlopeRow
from tutorial_lib.book.equal_loss import LevelRow
from tutorial_lib.book.experiments import TrainedRow
from tutorial_lib.book.own_networks import NetworkRow
from tutorial_lib.book.silent_start import SilentRow
from tutorial_lib.estimates import Estimate

Row = TypeVar("Row", TrainedRow, LevelRow, SlopeRow, NetworkRow, SilentRow)


def _text(name: str) -> str:
    folder = files("tutorial_lib.book") / "stored"
    file = folder / f"{name}.csv"
    if not file.is_file():
        known = sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".csv"))
        raise ValueError(f"name must be one of {', '.join(known)}, got {name!r}")
    return file.read_text(encoding="utf-8")


def stored_settings(name: str) -> dict[str, object]:
    """Return what made a stored result: settings, seed, versions, seconds, command."""
    return dict(json.loads(_text(name).splitlines()[0].removeprefix("# ")))


def row_as_columns(row: TrainedRow | LevelRow | SlopeRow | SilentRow) -> dict[str, str | int | float]:
    """Return the numbers of a row by name: an estimate is its mean, its error, and with all others its networks."""
    columns: dict[str, str | int | float] = {"networks": 0}
    for name, value in vars(row).items():
        if isinstance(value, Estimate):
            columns |= {name: value.mean, f"{name} error": value.standard_error}
            columns["networks"] = max(int(columns["networks"]), value.num_draws)
        else:
            columns[name] = value
    return columns


def _row(kind: type[Row], columns: Mapping[str, str]) -> Row:
    values: dict[str, object] = {}
    for field in fields(kind):
        if field.type is Estimate:
            mean = float(columns[field.name])
            draws = 0 if isnan(mean) else int(columns["networks"])
            values[field.name] = Estimate(mean, float(columns[f"{field.name} error"]), draws)
        else:
            values[field.name] = {str: str, int: int, float: float}[field.type](columns[field.name])  # type: ignore[index]
    return kind(**values)  # type: ignore[arg-type]


def stored_rows(name: str) -> list[TrainedRow]:
    """Return the rows of a stored sweep, such as ``"budgets"``."""
    return [_row(TrainedRow, columns) for columns in csv.DictReader(_text(name).splitlines()[1:])]


def stored_levels(name: str) -> list[LevelRow]:
    """Return the rows of a stored study at equal loss, such as ``"flow_parity"``."""
    return list(_levels(_text(name)))


def stored_networks(name: str = "own_networks") -> list[NetworkRow]:
    """Return the rows of single networks, one for each stage and radius."""
    return [_row(NetworkRow, columns) for columns in csv.DictReader(_text(name).splitlines()[1:])]


def stored_silent(name: str) -> dict[tuple[float, int], list[SilentRow]]:
    """Return the rows of a study such as ``"silent"``, from the highest loss to the lowest, by exponent and width.

    Levels that no network reached are left out.
    """
    curves: dict[tuple[float, int], list[SilentRow]] = {}
    for columns in csv.DictReader(_text(name).splitlines()[1:]):
        row = _row(SilentRow, columns)
        if row.num_reached > 0:
            curves.setdefault((row.exponent, row.width), []).append(row)
    return {key: sorted(curves[key], key=lambda row: -row.level) for key in sorted(curves)}


@cache
def _levels(text: str) -> tuple[LevelRow, ...]:
    """Read a table once: a chapter asks for a hundred curves of it."""
    return tuple(_row(LevelRow, columns) for columns in csv.DictReader(text.splitlines()[1:]))


def stored_slopes(*, scheme: str, depth: int, level: float) -> dict[int, SlopeRow]:
    """Return by width how steep stored networks are at one level of the loss, or before training: ``level=inf``.

    Widths of which fewer than half of the networks reached the level are left out.
    """
    rows = [_row(SlopeRow, columns) for columns in csv.DictReader(_text("slopes").splitlines()[1:])]
    wanted = [row for row in rows if (row.scheme, row.depth, row.level) == (scheme, depth, level)]
    return {row.width: row for row in wanted if 2 * row.num_reached >= row.num_networks}


def rows_as_text(rows: Sequence[Mapping[str, str | int | float]], settings: Mapping[str, object]) -> str:
    """Return the content of a result file, of rows as columns; numbers are rounded to six digits."""
    table = StringIO()
    lines = [
        {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in columns.items()}
        for columns in rows
    ]
    writer = csv.DictWriter(table, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return f"# {json.dumps(settings, sort_keys=True)}\n{table.getvalue()}"


def stored_curves(name: str, *, scheme: str, depth: int, method: str = "flow") -> dict[int, list[LevelRow]]:
    """Return, for each width of a stored study, its rows from the highest level of the loss to the lowest.

    Levels that no network reached are left out; rows of epochs too.
    """
    curves: dict[int, list[LevelRow]] = {}
    for row in stored_levels(name):
        if (row.scheme, row.depth, row.method, row.epoch) == (scheme, depth, method, 0) and row.num_reached > 0:
            curves.setdefault(row.width, []).append(row)
    return {width: sorted(curves[width], key=lambda row: -row.level) for width in sorted(curves)}


def rows_at_level(
    name: str, level: float, *, scheme: str, method: str = "flow", width: int | None = None, depth: int | None = None
) -> list[LevelRow]:
    """Return the rows of a stored study at one level of the loss, of all widths or depths that are not given.

    By depth, then by width. Rows that fewer than half of the networks reached are left out: those that get there are
    not like the others, and a mean over them flatters.
    """
    wanted = (scheme, method, level)
    rows = [row for row in stored_levels(name) if (row.scheme, row.method, row.level) == wanted]
    rows = [row for row in rows if width in (None, row.width) and depth in (None, row.depth)]
    there = [row for row in rows if 2 * row.num_reached >= row.num_networks]
    return sorted(there, key=lambda row: (row.depth, row.width))
