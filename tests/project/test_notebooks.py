"""The rules of a chapter hold for every notebook, and each rule can fail."""

import copy
import json

import pytest

from tools.notebook_rules import problems
from tools.notebooks import STATE, VIEW
from tools.repository import INSTALL_TAG, install_cell, name_of, notebook_paths, stamp

ALT = "The curve falls from 2 at width 16 to 1 at width 64 and stays there."


@pytest.mark.parametrize("path", notebook_paths(), ids=lambda path: path.stem)
def test_notebook_keeps_the_rules(path):
    assert problems(json.loads(path.read_text(encoding="utf-8")), name_of(path)) == []


def markdown(*lines):
    return {"cell_type": "markdown", "metadata": {}, "source": "\n".join(lines)}


def code(source, *outputs, tags=(), **metadata):
    metadata |= {"tags": list(tags)} if tags else {}
    return {"cell_type": "code", "metadata": metadata, "source": source, "outputs": list(outputs)}


def printed(text, stream="stdout"):
    return {"output_type": "stream", "name": stream, "text": text}


def shown(**data):
    kinds = {"png": "image/png", "svg": "image/svg+xml", "html": "text/html", "view": VIEW}
    return {"output_type": "display_data", "metadata": {}, "data": {kinds[k]: v for k, v in data.items()}}


FLIPBOOK = f'<figure class="flipbook"><img alt="{ALT} (1)" src="x"><img alt="{ALT} (2)" src="x"></figure>'
SETUP, FIGURE, ASSERT, FRAMES, CONTROL, SOLUTION = 1, 2, 3, 4, 6, 7  # places among the code cells


PREDICTION = "**Predict:** does it fall?\n\n- (a) Yes.\n- (b) No.\n- (c) Now and then."
ANSWER = "<details>\n<summary>Answer</summary>\n\n(a).\n\n</details>"


@pytest.fixture
def chapter():
    """A small chapter that keeps every rule."""
    words = "Each sentence here explains one thing about the numbers and the figure below. " * 15
    notebook = {
        "metadata": {
            "widgets": {
                STATE: {
                    "state": {
                        "a": {
                            "model_name": "VBoxModel",
                            "state": {"children": ["IPY_MODEL_" + "b" * 32]},
                        },
                        "b" * 32: {
                            "model_name": "HTMLModel",
                            "state": {"_dom_classes": ["needs-kernel"], "disabled": True},
                        },
                    }
                }
            }
        },
        "cells": [
            markdown("# 1 A title", "", "Does it fall?", "", "**It falls.** Look. 20 minutes.", "", words),
            code(install_cell(), tags=[INSTALL_TAG, "hide-input"]),
            code("from math import sqrt\n\nimport numpy as np\n\n# Change me\nWIDTH = 16"),
            markdown(PREDICTION),
            code("_ = plot()", shown(png="AAAA"), mystnb={"image": {"alt": ALT}}),
            code('expect("Two.", sqrt(4) == 2)'),
            code("flipbook()", shown(html=FLIPBOOK)),
            code('expect("Three.", sqrt(9) == 3)\nprint(np.pi)', printed("3.14")),
            code("controls()", shown(view={"model_id": "a"})),
            markdown(
                ANSWER,
                "",
                "## Key points",
                "",
                "- It falls.",
                "",
                "## Exercise 1",
                "<details>",
                "",
                "Yes.",
                "",
                "</details>",
            ),
            markdown("## Exercise 2", "<details>", "", "No.", "", "</details>"),
            code("print(1)", printed("1"), tags=["hide-input", "solution"]),
            markdown("## Sources"),
        ],
    }
    stamp(notebook, "01_a.ipynb")
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for count, cell in enumerate(cells, start=1):
        cell["execution_count"] = count
    return notebook


def test_a_good_chapter_has_no_problems(chapter):
    assert problems(chapter, "01_a.ipynb") == []


def test_a_page_of_the_book_needs_no_frame_of_a_chapter_but_its_own_launch_link(chapter):
    chapter["cells"] = [cell for cell in chapter["cells"] if "Exercise" not in "".join(cell["source"])]
    stamp(chapter, "book/page.ipynb")
    assert problems(chapter, "book/page.ipynb") == []
    assert any("launch link" in problem for problem in problems(chapter, "page.ipynb"))
    assert any("headings 'Exercise'" in problem for problem in problems(chapter, "page.ipynb"))


def in_code(place, source):
    def plant(notebook):
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        cells[place]["source"] = source

    return plant


def with_output(place, output):
    def plant(notebook):
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        cells[place]["outputs"].append(output)

    return plant


def with_metadata(place, **metadata):
    def plant(notebook):
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        cells[place]["metadata"] = metadata

    return plant


def unexecuted(notebook):
    notebook["cells"][-2]["execution_count"] = None


def replaced(old, new):
    """Replace words of the Markdown cells."""

    def plant(notebook):
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = "".join(cell["source"]).replace(old, new)

    return plant


def without_state(notebook):
    notebook["metadata"]["widgets"][STATE].pop("state")


def enabled(notebook):
    notebook["metadata"]["widgets"][STATE]["state"]["b" * 32]["state"]["disabled"] = False


def without_words(notebook):
    notebook["metadata"]["widgets"][STATE]["state"]["b" * 32]["state"]["_dom_classes"] = []


def stored_output_widget(notebook):
    notebook["metadata"]["widgets"][STATE]["state"]["o"] = {"model_name": "OutputModel", "state": {}}


LONG = "\n".join(["x = 1"] * 16)
FAULTS = [
    (unexecuted, "not executed in order"),
    (with_output(SOLUTION, printed("x", "stderr")), "stderr"),
    (with_output(SOLUTION, {"output_type": "error", "traceback": []}), "stores an error"),
    (with_output(SOLUTION, shown(svg="<svg/>")), "svg"),
    (with_output(SOLUTION, printed("file.py:1: UserWarning: x")), "shows a warning"),
    (with_output(SOLUTION, printed("read /home/a/b.csv")), "shows an absolute path"),
    (with_output(SOLUTION, printed("<object at 0x7f00aa>")), "address of an object"),
    (in_code(SOLUTION, "print(1);"), "trailing semicolon"),
    (in_code(SOLUTION, "clear_output()"), "clear_output"),
    (in_code(SOLUTION, "display(1, display_id='a')"), "display update"),
    (in_code(SOLUTION, "widgets.Output()"), "Output widget"),
    (in_code(SOLUTION, "interact(f, x=1)"), "interact"),
    (in_code(SOLUTION, "%matplotlib inline"), "magic"),
    (in_code(SOLUTION, "warnings.filterwarnings('ignore')"), "warning filter"),
    (in_code(SOLUTION, "sys.path.append('x')"), "sys.path"),
    (in_code(SOLUTION, "torch.manual_seed(0)"), "global seed"),
    (in_code(SOLUTION, "def main(): pass"), "def main"),
    (in_code(SOLUTION, "open('/home/a/b.csv')"), "contains an absolute path"),
    (in_code(ASSERT, LONG), "lines of code, at most 15"),
    (in_code(ASSERT, "\n".join(["x = 1"] * 151)), "at most 150"),
    (in_code(ASSERT, "\n".join(["x = 1"] * 40)), "words for"),
    (in_code(ASSERT, "def a(): 0\ndef b(): 0\ndef c(): 0\nclass D: 0"), "4 definitions"),
    (in_code(SETUP, "\n".join(["import math"] * 13)), "13 import lines"),
    (with_metadata(SOLUTION, tags=["solution"]), "without the tag hide-input"),
    (with_metadata(SOLUTION, tags=["nbval-skip"]), "tags other than"),
    (with_metadata(FIGURE, mystnb={"image": {"alt": "a picture"}}), "fewer than 40 characters"),
    (with_metadata(FIGURE), "fewer than 40 characters"),
    (with_metadata(FIGURE, mystnb={"image": {"alt": f"{ALT} (1)"}}), "repeats an alt text"),
    (with_output(FIGURE, shown(png="BBBB")), "draws 2 figures"),
    (with_output(FRAMES, shown(html='<figure><img alt="" src="x"></figure>')), "fewer than 40 characters"),
    (in_code(ASSERT, "print(1)"), "checks nothing"),
    (replaced("20 minutes", "a while"), "minutes"),
    (replaced("## Sources", "## More"), "Sources"),
    (replaced("## Exercise 2", "## More"), "1 headings 'Exercise'"),
    (replaced("No.", "```python\nx\n```"), "inside <details>"),
    (replaced("<details>", "Solution:"), "no folded solution"),
    (replaced("- It falls.", ":::{note}\nIt falls."), "MyST"),
    (replaced("- It falls.", "{cite}`zhu2022`"), "MyST"),
    (replaced("- It falls.", "/home/me /tmp/a"), "Markdown cell contains an absolute path"),
    (replaced("- It falls.", "![x](https://example.org/x.svg)"), "shows an image"),
    (replaced("Open in Colab", "Colab"), "no launch link"),
    (in_code(0, "import tutorial_lib"), "not the install cell"),
    (with_output(0, printed("Installed")), "install cell stores outputs"),
    (without_state, "no state"),
    (with_output(SOLUTION, shown(view={"model_id": "z"})), "no stored state for the widget z"),
    (without_words, "needs-kernel"),
    (enabled, "not disabled"),
    (stored_output_widget, "Output widget is stored"),
]


@pytest.mark.parametrize(("plant", "expected"), FAULTS, ids=[expected for _, expected in FAULTS])
def test_a_planted_fault_is_found(chapter, plant, expected):
    faulty = copy.deepcopy(chapter)
    plant(faulty)
    assert any(expected in problem for problem in problems(faulty, "01_a.ipynb"))


PROMISES = [
    (replaced("# 1 A title", "# A title"), "'# Number Title'"),
    (replaced("# 1 A title", "# 2 A title"), "'# 2' stands in chapter 1"),
    (replaced("- It falls.", "*Figure 2.1.* It falls."), "'*Figure 2.1' stands in chapter 1"),
    (replaced("**It falls.**", "It falls."), "give its answer"),
    (replaced("20 minutes", "a while"), "minutes"),
    (replaced("## Sources", "## More"), "Sources"),
    (replaced("- It falls.", "word " * 2000), "words, at most 2000"),
    (replaced("- It falls.", f"{PREDICTION}\n\n{ANSWER}\n\n" * 3), "4 predictions, at most 3"),
    (replaced("does it fall?\n", "It falls.\n"), "no question with options"),
    (replaced("- (c) Now and then.", "(c) Now and then."), "no question with options"),
    (replaced(ANSWER, "Yes."), "no fold 'Answer'"),
    (in_code(ASSERT, "assert 1 == 1"), "use expect"),
    (in_code(SETUP, "import numpy as np"), "# Change me"),
    (in_code(ASSERT, "print(1)"), "checks nothing"),
]


@pytest.mark.parametrize(("plant", "expected"), PROMISES, ids=[expected for _, expected in PROMISES])
def test_a_broken_promise_is_found(chapter, plant, expected):
    faulty = copy.deepcopy(chapter)
    plant(faulty)
    assert any(expected in problem for problem in problems(faulty, "01_a.ipynb"))


def test_many_long_cells_break_the_median(chapter):
    cells = [cell for cell in chapter["cells"] if cell["cell_type"] == "code"]
    for cell in cells[2:]:
        cell["source"] = "\n".join(["x = 1"] * 7)
    assert any("median code cell has 7 lines" in problem for problem in problems(chapter, "01_a.ipynb"))
