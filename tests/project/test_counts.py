"""Words of the pages that count something: each is compared with what it counts."""

import re
from pathlib import Path

import pytest

from tutorial_lib.book.verdicts import MISREADING, VERDICTS
from tutorial_lib.initializations import INITIALIZATIONS

ROOT = Path(__file__).parents[2]
WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
WORDS += ["eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]


def page(name):
    return (ROOT / name).read_text(encoding="utf-8")


def section(name, heading):
    """The text of a page below a heading, up to the next of any size."""
    return re.split(r"^#+ ", page(name).partition(heading)[2], flags=re.MULTILINE)[0]


def found(name, pattern):
    return len(re.findall(pattern, page(name), re.MULTILINE))


def below(name, heading, pattern):
    return len(re.findall(pattern, section(name, heading), re.MULTILINE))


def proved_at_any_time():
    proved = page("book/statements.md").partition("## What can be proved exactly")[2].partition("## Slide map")[0]
    return sum("At any time" in text for text in proved.split("\n### ")[1:])


CHAPTERS = len(list((ROOT / "notebooks").glob("*.ipynb")))
JUDGED = len(set(VERDICTS) - {MISREADING})
HOW, INTRODUCTION, STATEMENTS = "book/how_to_use.md", "book/introduction.md", "book/statements.md"
PLANS = found("book/session_plans.md", r"^## \d+ minutes")
COUNTS = [
    ("README.md", r"^(\w+) chapters: what", CHAPTERS),
    ("book/ten_minutes.md", r"the whole story: (\w+) sentences", CHAPTERS),
    ("book/ten_minutes.md", r"the whole story: (\w+) sentences", found("book/ten_minutes.md", r"^```\{hero\}")),
    (INTRODUCTION, r"## The story in (\w+) sentences", below(INTRODUCTION, "## The story in", r"^\d+\. \*\*")),
    (INTRODUCTION, r"## The talk in (\w+) sentences", below(INTRODUCTION, "## The talk in", r"[a-z]\.$")),
    (INTRODUCTION, r"\[(\w+) plans\]", PLANS),
    ("book/session_plans.md", r"^(\w+) plans for a live session", PLANS),
    (INTRODUCTION, r"sets (\w+) things\s+side by side", below(INTRODUCTION, "## What you get here", r"\*\*[^*]+\*\*")),
    (INTRODUCTION, r"\[(\w+) verdicts\]", JUDGED),
    (HOW, r"^## The (\w+) verdicts", JUDGED),
    (HOW, r"gets one of (\w+) \[verdicts\]", below(HOW, "## The three verdicts", r"\*\*[^*]+\*\*")),
    (STATEMENTS, r"The (\w+) verdicts are explained", JUDGED),
    (HOW, r"is one of (\w+) kinds", len(re.findall(r"\*(?:explorable|flipbook|live control)\*", page(HOW)))),
    (INTRODUCTION, r"(\w+) papers measure", below(STATEMENTS, "### Stm. Debate", r"^- \*(?:Helps|Hurts):\*")),
    (INTRODUCTION, r"Why do (\w+) papers disagree", below(STATEMENTS, "### Stm. Debate", r"^- \*(?:Helps|Hurts):\*")),
    (
        "book/bibliography.md",
        r"first (\w+) works",
        1 + found("book/bibliography.md", r"\b[A-Z]+\+?\d\d\b(?=,| and|\n)"),
    ),
    (STATEMENTS, r"^:::\{prf:definition\} (\w+) initializations", len(INITIALIZATIONS)),
    ("book/notation.md", r"The (\w+) named ones of this book", len(INITIALIZATIONS)),
    (
        STATEMENTS,
        r"prf:remark\} (\w+) bounds under",
        below(STATEMENTS, "### Stm. Comparison", r"^\| (?:talk|[A-Z]+\+21)"),
    ),
    (
        STATEMENTS,
        r"prf:definition\} (\w+) function classes",
        below(STATEMENTS, "### Stm. Function classes", r"azy regime:\*"),
    ),
    (STATEMENTS, r"except for the (\w+) statements that say \*at any time\*", proved_at_any_time()),
]


@pytest.mark.parametrize(("name", "pattern", "count"), COUNTS)
def test_a_word_that_counts_is_right(name, pattern, count):
    assert [word.lower() for word in re.findall(pattern, page(name), re.MULTILINE)] == [WORDS[count]]


def test_the_minutes_of_the_plans_are_their_headings():
    minutes = re.findall(r"^## (\d+) minutes", page("book/session_plans.md"), re.MULTILINE)
    for name, pattern in [
        (INTRODUCTION, r"(\d+), (\d+) or (\d+) minutes"),
        (HOW, r"for (\d+), (\d+) and (\d+) minutes"),
    ]:
        assert list(re.search(pattern, page(name)).groups()) == minutes
