"""Collect the verdicts that the chapters show into package data, from which the last chapter is made."""

import json
from pathlib import Path
from typing import Any

from tools.repository import ROOT, notebook_paths
from tools.writing import write
from tutorial_lib.book.verdicts import METADATA_KEY

FILE = ROOT / "tutorial_lib" / "book" / "stored" / "verdicts.json"


def verdicts_of(path: Path) -> list[dict[str, Any]]:
    """Return the verdicts in the stored outputs of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [verdict for output in outputs for verdict in output.get("metadata", {}).get(METADATA_KEY, [])]


def collected() -> str:
    """Return the content of the file: for each chapter that shows verdicts, these."""
    found = {path.stem: verdicts_of(path) for path in notebook_paths()}
    kept = {chapter: verdicts for chapter, verdicts in found.items() if verdicts}
    return json.dumps(kept, indent=1, ensure_ascii=False) + "\n"


def collect() -> None:
    """Write the file."""
    write(FILE, collected())
