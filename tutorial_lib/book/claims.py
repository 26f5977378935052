"""Claims: a sentence of the book beside the condition that makes it true of the numbers at hand.

The repository's tests are strict: a claim that does not hold is an error. A reader who has changed a number reads one
line and goes on.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

STRICT = "TUTORIAL_LIB_STRICT"
# The tool that stores the outputs of a chapter names here the file that collects its claims.
RECORD = "TUTORIAL_LIB_CLAIMS"


@dataclass(frozen=True)
class Claim:
    """A sentence, and whether it holds of the numbers at hand."""

    sentence: str
    holds: bool

    def _ipython_display_(self) -> None:
        """Show nothing where a cell ends with a claim."""


def expect(sentence: str, holds: object) -> Claim:
    """Return the claim; where it does not hold, say so in one line, or raise where ``STRICT`` is set."""
    claim = Claim(sentence, bool(holds))
    if record := os.environ.get(RECORD):
        with Path(record).open("a", encoding="utf-8") as file:
            file.write(json.dumps(sentence, ensure_ascii=False) + "\n")
    if claim.holds:
        return claim
    if os.environ.get(STRICT):
        raise AssertionError(sentence)
    print(f"The book saw: {sentence} With your values this is not so.")
    return claim


def listing(claims: Mapping[str, Sequence[str]]) -> str:
    """Return HTML that lists the sentences of each chapter, folded below its name; one said twice stands once."""
    folds = []
    for name, sentences in claims.items():
        items = "".join(f"<li>{escape(sentence)}</li>" for sentence in dict.fromkeys(sentences))
        title = f"{escape(name)} ({len(dict.fromkeys(sentences))})"
        folds.append(f"<details><summary>{title}</summary><ul>{items}</ul></details>")
    return "".join(folds)


def stored_claims() -> dict[str, list[str]]:
    """Return the sentences that each notebook has checked, by the name of its file, in the order of the book."""
    text = (files("tutorial_lib.book") / "stored" / "claims.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
