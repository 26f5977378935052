"""Verdicts on the claims of the talk: each chapter shows its own, the last chapter shows them all.

A chapter builds ``Verdicts`` from numbers it has just computed. The tool that stores the outputs of a
chapter keeps them with the package as well, so that the last chapter types no number.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from importlib.resources import files
from typing import Any

from tutorial_lib.arguments import require_member
from tutorial_lib.book.claims import Claim

MISREADING = "a tempting misreading"
VERDICTS = ("holds", "holds under a condition", "not seen", MISREADING)
WHOSE = {"talk": "", "cited": "cited work", "reading": "nobody's claim", "book": "this book's"}
# Where the metadata of an output holds the data behind its table. (A type of its own beside the HTML would
# make the build of the book warn.)
METADATA_KEY = "verdicts"


@dataclass(frozen=True)
class Verdict:
    """What became of one claim.

    ``about``: before, during or after training; ``because``: the condition, what was tried, or the
    argument; ``evidence``: numbers of the chapter that show it; ``decided_by``: the claims, checked in the chapter,
    that decide it: where one of them does not hold, neither does the verdict; ``whose``: the talk's, of a work that it
    cites, this book's, or a reading that nobody has printed. Such a reading is not judged: its ``verdict`` is
    "a tempting misreading", and ``because`` says what is true instead.
    """

    claim: str
    slides: str
    about: str
    verdict: str
    because: str
    evidence: str
    decided_by: Sequence[Claim]
    whose: str = "talk"

    def __post_init__(self) -> None:
        """Refuse another verdict, an unknown owner, empty words, no claim, and a verdict on what nobody printed."""
        require_member(VERDICTS, verdict=self.verdict)
        require_member(WHOSE, whose=self.whose)
        if (self.verdict == MISREADING) != (self.whose == "reading"):
            raise ValueError(f"verdict must be {MISREADING!r} for a reading and for nothing else, got {self.verdict!r}")
        if not self.decided_by:
            raise ValueError("decided_by must name at least one claim, got none")
        for name, text in asdict(self).items():
            if isinstance(text, str) and not text.strip():
                raise ValueError(f"{name} must say something, got {text!r}")


class Verdicts:
    """A table of verdicts, which a notebook shows as it is."""

    def __init__(self, *verdicts: Verdict) -> None:
        """Take at least one verdict."""
        if not verdicts:
            raise ValueError("verdicts must hold at least one Verdict, got none")
        self.verdicts = verdicts

    def _repr_mimebundle_(self, **_settings: object) -> tuple[dict[str, str], dict[str, object]]:
        lines = [f"{v.claim} ({_place(v)}): {_word(v)}: {v.because} [{v.evidence}]" for v in self.verdicts]
        data = {"text/html": table({"": self.verdicts}), "text/plain": "\n".join(lines)}
        return data, {METADATA_KEY: [asdict(verdict) for verdict in self.verdicts]}


def table(verdicts: Mapping[str, Sequence[Verdict]], *, name: str = "Verdicts") -> str:
    """Return one HTML table of verdicts, with a chapter's name above those of the chapter; ``name`` is read aloud."""
    return (
        f'<div role="region" aria-label="{escape(name)}" tabindex="0" style="overflow-x: auto">'
        '<table class="verdicts"><thead><tr><th scope="col">Claim</th><th scope="col">Verdict</th>'
        '<th scope="col">Condition or reason</th><th scope="col">Measured</th></tr></thead>'
        f"<tbody>{''.join(row for title, some in verdicts.items() for row in _rows(title, some))}</tbody></table></div>"
    )


def _place(verdict: Verdict) -> str:
    slides = "slide" if verdict.slides.isdigit() else "slides"
    owner = WHOSE[verdict.whose]
    return f"{slides} {verdict.slides}; {verdict.about}" + (f"; {owner}" if owner else "")


def _word(verdict: Verdict) -> str:
    """Return the verdict, which stands only while the claims that decide it hold."""
    return verdict.verdict if all(claim.holds for claim in verdict.decided_by) else "not with your values"


def _evidence(verdict: Verdict) -> str:
    claims = "".join(f"<li>{escape(claim.sentence)}</li>" for claim in verdict.decided_by)
    return f"{escape(verdict.evidence)}<details><summary>decided by</summary><ul>{claims}</ul></details>"


def _rows(name: str, verdicts: Iterable[Verdict]) -> Iterable[str]:
    if name:
        yield f'<tr><th scope="rowgroup" colspan="4">{escape(name)}</th></tr>'
    for verdict in verdicts:
        claim = f"{escape(verdict.claim)}<br><small>{escape(_place(verdict))}</small>"
        cells = [claim, f"<strong>{_word(verdict)}</strong>", escape(verdict.because), _evidence(verdict)]
        yield "<tr>" + "".join(f'<td style="text-align: left">{cell}</td>' for cell in cells) + "</tr>"


def stored_verdicts() -> dict[str, list[Verdict]]:
    """Return the verdicts of all chapters, by the name of the chapter's file, in the order of the book."""
    text = (files("tutorial_lib.book") / "stored" / "verdicts.json").read_text(encoding="utf-8")
    return {chapter: [_verdict(**verdict) for verdict in some] for chapter, some in json.loads(text).items()}


def _verdict(decided_by: Sequence[Mapping[str, Any]], **words: str) -> Verdict:
    return Verdict(**words, decided_by=[Claim(**claim) for claim in decided_by])
