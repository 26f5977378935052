"""Reference results of long runs: CSV files inside the package, each with what made it.

The first line of a file is a comment that holds, as JSON, settings, seed, versions, seconds and the
command. A chapter computes a part again and asserts that both agree within their errors.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.resources import files
from io import StringIO
from pathlib import Path

from tutorial_lib.book.experiments import TrainedRow
from tutorial_lib.estimates import Estimate

_KINDS: Mapping[str, object] = {field.name: field.type for field in fields(TrainedRow)}


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


def _columns(row: TrainedRow) -> dict[str, str | int | float]:
    columns: dict[str, str | int | float] = {}
    for name, value in vars(row).items():
        if isinstance(value, Estimate):
            columns |= {name: value.mean, f"{name} error": value.standard_error, "networks": value.num_draws}
        else:
            columns[name] = value
    return columns


def _row(columns: Mapping[str, str]) -> TrainedRow:
    values: dict[str, object] = {}
    for name, kind in _KINDS.items():
        if kind is Estimate:
            error = float(columns[f"{name} error"])
            values[name] = Estimate(float(columns[name]), error, int(columns["networks"]))
        else:
            values[name] = columns[name] if kind is str else int(columns[name])
    return TrainedRow(**values)  # type: ignore[arg-type]


def stored_rows(name: str) -> list[TrainedRow]:
    """Return the rows of a stored result, such as ``"budgets"``."""
    return [_row(columns) for columns in csv.DictReader(_text(name).splitlines()[1:])]


def rows_as_text(rows: Sequence[TrainedRow], settings: Mapping[str, object]) -> str:
    """Return the content of a result file; numbers are rounded to six digits."""
    table = StringIO()
    lines = [
        {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in _columns(row).items()}
        for row in rows
    ]
    writer = csv.DictWriter(table, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return f"# {json.dumps(settings, sort_keys=True)}\n{table.getvalue()}"
