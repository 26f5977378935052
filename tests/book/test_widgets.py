"""Flipbooks and live figures: their structure, their texts, and what a change of a value does."""

import ast
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import ipywidgets
import pytest

from tutorial_lib.book import widgets
from tutorial_lib.book.widgets import choice, flipbook, live, number


class Elements(HTMLParser):
    """Every element as (tag, attributes), and the text of each."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.texts = [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")

    def handle_data(self, data):
        if self.texts:
            self.texts[-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag):
        texts = zip(self.elements, self.texts, strict=True)
        return next(text.strip() for (name, _), text in texts if name == tag)


def draw(ax, depth):
    ax.plot([1, 2, 3], [depth, 1, 2 * depth])


def describe(depth):
    return f"At depth {depth} the line ends at {2 * depth}."


def book(draw=draw, values=(2, 4, 8), label="depth", describe=describe, **settings):
    return flipbook(draw, list(values), label=label, describe=describe, **settings).data


# Flipbook.


def test_a_flipbook_is_one_figure_with_a_labelled_slider_and_one_frame_per_value():
    page = Elements(book(start=1))
    (figure,), (slider,), (label,) = page.all("figure"), page.all("input"), page.all("label")
    assert (figure["class"], slider["type"]) == ("flipbook", "range")
    assert label["for"] == slider["id"] == page.all("output")[0]["for"]
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "2", "1")
    assert (page.text("label"), page.text("output")) == ("depth", "4")
    frames = page.all("img")
    assert [frame["alt"] for frame in frames] == [describe(depth) for depth in (2, 4, 8)]
    assert ["hidden" in frame for frame in frames] == [True, False, True]
    assert all(frame["src"].startswith("data:image/png;base64,") for frame in frames)
    assert len({frame["src"] for frame in frames}) == 3


def test_frames_come_in_the_order_of_the_values():
    values = (8, 2, 4)
    frames = Elements(book(values=values)).all("img")
    alone = [Elements(book(values=[depth])).all("img")[0] for depth in values]
    for name in ("src", "alt"):
        assert [frame[name] for frame in frames] == [frame[name] for frame in alone]


def test_the_slider_reads_the_name_of_the_value():
    html = book(name=lambda depth: f"L = {depth}", start=2)
    assert Elements(html).text("output") == "L = 8"
    assert json.loads(re.search(r"names = (\[.*?\]);", html)[1]) == ["L = 2", "L = 4", "L = 8"]


def test_a_flipbook_needs_no_network():
    assert not re.search(r"https?://|<link|<script src", book())


def test_the_same_call_gives_the_same_page_and_other_texts_give_other_ids():
    def key(html):
        return Elements(html).all("figure")[0]["id"]

    once = book(values=[2])
    assert book(values=[2]) == once
    others = [
        book(values=[2], label="width"),
        book(values=[2], describe=lambda depth: f"Depth {depth}."),
        book(values=[2], name=lambda depth: f"L = {depth}"),
        book(values=[3]),
    ]
    assert len({key(html) for html in [once, *others]}) == 5
    assert once.count(key(once)) == once.count('"' + key(once)) >= 4


def test_quotes_and_angle_brackets_stay_text():
    nasty = """"a" < 'b' & </script><img src=x onerror="alert(1)"> $key"""
    page = Elements(book(values=(1, 2), label=nasty, describe=lambda d: nasty + str(d), name=lambda _: nasty))
    assert [tag for tag, _ in page.elements] == ["figure", "label", "input", "output", "div", "img", "img", "script"]
    assert page.text("label") == page.text("output") == nasty
    assert [frame["alt"] for frame in page.all("img")] == [nasty + "1", nasty + "2"]


def test_a_flipbook_without_values_or_with_a_start_outside_is_refused():
    with pytest.raises(ValueError, match=r"^values must be an integer >= 1, got 0$"):
        book(values=())
    for start in (-1, 3):
        with pytest.raises(ValueError, match=rf"^start must be an index of values, 0 to 2, got {start}$"):
            book(start=start)


# Controls.


def test_a_choice_shows_names_and_holds_values():
    control = choice("initialization", {"He": "he", "LeCun": "lecun"}, "lecun")
    assert (control.description, control.label, control.value) == ("initialization", "LeCun", "lecun")


def test_a_number_stays_within_its_limits():
    control = number("width", 64, minimum=1, maximum=4096)
    assert (control.description, control.value) == ("width", 64)
    control.value = 10_000
    assert control.value == 4096
    control.value = -5
    assert control.value == 1


# Live figures.


@pytest.fixture
def figure():
    def draw_or_refuse(ax, depth, scheme):
        if depth == 13:
            raise ValueError("depth 13 is <unlucky>")
        ax.plot([1, 2], [depth, len(scheme)])

    controls = {
        "depth": number("depth", 3, minimum=2, maximum=20),
        "scheme": choice("initialization", {"He": "he", "LeCun": "lecun"}, "he"),
    }
    box = live(
        draw_or_refuse,
        controls,
        describe=lambda depth, scheme: f"Depth {depth} under {scheme}.",
        chapter="07_bounds",
    )
    return box, controls


def picture(box):
    return Elements(box.children[2].value).all("img")[0]


def test_a_change_of_a_value_draws_again(figure):
    box, controls = figure
    start = picture(box)
    assert start["alt"] == "Depth 3 under he."
    controls["depth"].value = 5
    deeper = picture(box)
    assert deeper["alt"] == "Depth 5 under he."
    assert deeper["src"] != start["src"]
    controls["scheme"].value = "lecun"
    assert picture(box)["alt"] == "Depth 5 under lecun."
    assert picture(box)["src"] != deeper["src"]
    controls["depth"].value, controls["scheme"].value = 3, "he"
    assert picture(box) == start


def test_an_error_about_a_value_is_shown_as_text_until_the_value_changes(figure):
    box, controls = figure
    controls["depth"].value = 13
    page = Elements(box.children[2].value)
    assert page.elements == [("p", {"role": "alert"})]
    assert page.text("p") == "depth 13 is <unlucky>"
    controls["depth"].value = 4
    assert picture(box)["alt"] == "Depth 4 under he."


def test_the_controls_stand_in_a_row_above_a_note_that_a_kernel_hides(figure):
    box, controls = figure
    row, note, _ = box.children
    assert list(row.children) == list(controls.values())
    assert "needs-kernel" in note._dom_classes
    assert note.layout.display == "none"
    (link,) = Elements(note.value).all("a")
    assert link["href"] == f"{widgets.NOTEBOOKS}notebooks/07_bounds.ipynb"


def test_only_names_that_ipywidgets_7_knows_are_used():
    in_version_7_7 = {"BoundedIntText", "Dropdown", "HBox", "HTML", "VBox", "ValueWidget"}
    tree = ast.parse(Path(widgets.__file__).read_text(encoding="utf-8"))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ipywidgets"
    }
    assert used <= in_version_7_7
    assert all(hasattr(ipywidgets, name) for name in in_version_7_7)
