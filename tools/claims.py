"""The claims that the notebooks check, as package data, from which the page of all claims is made."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

from tools.repository import ROOT, notebook_paths
from tools.writing import write

FILE = ROOT / "tutorial_lib" / "book" / "stored" / "claims.json"


def keep(path: Path, sentences: list[str]) -> None:
    """Write what a run of one notebook has claimed beside what the others have, in the order of the book."""
    stored = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    stored[path.stem] = sentences
    kept = {other.stem: stored[other.stem] for other in notebook_paths() if stored.get(other.stem)}
    write(FILE, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def patterns(path: Path) -> Iterator[str]:
    """Return what the sentence of each ``expect`` in a notebook's source must look like: a value may be anything."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        if cell["cell_type"] == "code":
            for node in ast.walk(ast.parse("".join(cell["source"]))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "expect":
                    yield _pattern(node.args[0])


def _pattern(sentence: ast.expr) -> str:
    if isinstance(sentence, ast.Constant):
        return re.escape(str(sentence.value))
    if isinstance(sentence, ast.JoinedStr):
        return "".join(_pattern(part) for part in sentence.values)
    return ".*"


def differences(path: Path, sentences: list[str]) -> list[str]:
    """Return the stored sentences that the notebook no longer claims, and the claims it has no sentence of."""
    expected = list(patterns(path))
    stale = [one for one in sentences if not any(re.fullmatch(p, one, re.DOTALL) for p in expected)]
    unseen = [p for p in expected if not any(re.fullmatch(p, one, re.DOTALL) for one in sentences)]
    return [*(f"stored, no longer claimed: {one}" for one in stale), *(f"claimed, not stored: {one}" for one in unseen)]
