"""What the pages say about the chapters, compared with the chapters."""

import json
import re
from pathlib import Path

import pytest

from tools.heroes import caption_of, hero_of, local_links, sentence_of
from tools.knobs import path_of

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ROW = re.compile(
    r"^\| \[(?P<title>[^\]]+)\]\(\.\./notebooks/(?P<name>\w+)\.ipynb\) \| .+ \| (?P<minutes>\d+) \|$", re.M
)
PLAN = re.compile(r"^## (?P<minutes>\d+) minutes.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def cells_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def page(name):
    return (ROOT / "book" / name).read_text(encoding="utf-8")


def test_the_table_of_chapters_has_their_titles_and_minutes():
    rows = {row["name"]: (row["title"], int(row["minutes"])) for row in ROW.finditer(page("introduction.md"))}
    found = {}
    for path in CHAPTERS:
        text = "\n".join("".join(cell["source"]) for cell in cells_of(path) if cell["cell_type"] == "markdown")
        found[path.stem] = (re.match(r"# (.+)", text)[1], int(re.search(r"About (\d+) minutes", text)[1]))
    assert rows == found, "the table of book/introduction.md"


def test_the_whole_book_reads_in_four_to_five_hours():
    assert 240 <= sum(int(row["minutes"]) for row in ROW.finditer(page("introduction.md"))) <= 300


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_has_a_sentence_a_picture_and_a_finding_in_its_caption(path):
    cells = cells_of(path)
    assert sentence_of(cells)[-1] in ".?" and hero_of(cells)
    assert re.match(r"\*\*[^*]+[.:]\*\*", caption_of(cells))


def test_the_words_of_a_picture_are_those_of_its_own_cell():
    other = {"metadata": {"mystnb": {"image": {"alt": "of another cell"}}}, "outputs": []}
    own = {"metadata": {"mystnb": {"image": {"alt": "its own"}}}, "outputs": [{"data": {"image/png": "AAAA"}}]}
    assert hero_of([other, own]) == ("AAAA", "its own")
    assert hero_of([{"outputs": [{"data": {"text/html": "<companion-law>"}}]}, own]) == ("<companion-law>", "")


def test_the_book_in_ten_minutes_has_every_chapter_once():
    shown = re.findall(r"^```\{hero\} (\w+)$", page("ten_minutes.md"), re.M)
    assert shown == [path.stem for path in CHAPTERS], "the blocks {hero} of book/ten_minutes.md"


def test_links_of_a_caption_lead_to_the_same_place_from_a_page():
    text = "[5](05_a.ipynb) [s](../book/statements.md#x) [w](https://example.org/a.ipynb) [v](../book/v.ipynb)"
    expected = "[5](../notebooks/05_a.ipynb) [s](statements.md#x) [w](https://example.org/a.ipynb) [v](v.ipynb)"
    assert local_links(text) == expected


def test_a_chapter_without_an_answer_or_a_picture_is_refused():
    with pytest.raises(ValueError, match="give its answer in bold"):
        sentence_of([{"source": "# 1 A title"}])
    with pytest.raises(ValueError, match="show a picture or an explorable"):
        hero_of([{"source": "print(1)", "outputs": [{"data": {"text/plain": "1"}}]}])


# Each longer plan begins with the shorter one.
@pytest.mark.parametrize(("minutes", "more"), [(60, 60), (90, 30), (180, 90)])
def test_the_minutes_of_a_plan_add_up(minutes, more):
    plan = next(plan[0] for plan in PLAN.finditer(page("session_plans.md")) if int(plan["minutes"]) == minutes)
    assert sum(map(int, re.findall(r"^\| (\d+) \|", plan, re.MULTILINE))) == more


def test_a_plan_names_figures_and_predictions_that_exist():
    for row in re.findall(r"^\| \d+ \| \[(\d+)\].+$", page("session_plans.md"), re.MULTILINE):
        text = "\n".join("".join(cell["source"]) for cell in cells_of(path_of(int(row))))
        (line,) = (found for found in page("session_plans.md").splitlines() if f"| [{row}](" in found)
        for figure in re.findall(r"\d+\.\d+", line.split("|")[3]):
            assert f"*Figure {figure}.*" in text, figure
        for section in re.findall(r"[pv](?:rediction|ote)s? of sections? (\d)(?: and (\d))?", line):
            for number in filter(None, section):
                start = text.index(f"\n## {number} ")
                assert "**Predict:**" in text[start : text.index("\n## ", start + 5)], (row, number)
