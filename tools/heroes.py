"""Two directives of the book's pages: the sentence and the picture of a chapter, and an explorable.

A page that tells the whole story takes both from the chapters themselves, so that it never says anything else.
"""

import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tutorial_lib.book.explorables import element

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "_build" / "heroes"  # `make book` removes the folder first
SENTENCE = re.compile(r"^\*\*(.+?)\*\*", re.MULTILINE | re.DOTALL)


def source(cell: dict[str, Any]) -> str:
    """Return the text of a cell."""
    return "".join(cell["source"])


def sentence_of(cells: list[dict[str, Any]]) -> str:
    """Return the answer that a chapter gives on its first screen: what its first cell says in bold."""
    found = SENTENCE.search(source(cells[0]))
    if found is None:
        raise ValueError("the first cell of a chapter must give its answer in bold")
    return found[1]


def caption_of(cells: list[dict[str, Any]]) -> str:
    """Return the first caption of a chapter, without its number."""
    captions = (source(cell) for cell in cells if source(cell).startswith("*Figure "))
    return re.sub(r"^\*Figure [\d.]+\*\s*", "", next(captions).split("\n\n")[0])


def hero_of(cells: list[dict[str, Any]]) -> tuple[str, str]:
    """Return the first picture of a chapter: an explorable as HTML and "", or a figure as base64 and its words."""
    for cell in cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "<companion-" in "".join(data.get("text/html", "")):
                return "".join(data["text/html"]), ""
            if "image/png" in data:
                return "".join(data["image/png"]), cell["metadata"]["mystnb"]["image"]["alt"]
    raise ValueError("a chapter must show a picture or an explorable")


class Hero(SphinxDirective):
    """``{hero} 08_width_the_good``: the sentence of a chapter, its first picture, and the caption below it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the content in a box of class ``hero``."""
        name = self.arguments[0]
        path = ROOT / "notebooks" / f"{name}.ipynb"
        self.env.note_dependency(str(path))
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        picture, alt = hero_of(cells)
        box = nodes.container(classes=["hero"])
        self._parse(f"**{sentence_of(cells)}** [Chapter {int(name[:2])}](../notebooks/{name}.ipynb)", box)
        if not alt:
            box += nodes.raw("", picture, format="html")
        else:
            PICTURES.mkdir(parents=True, exist_ok=True)
            (PICTURES / f"{name}.png").write_bytes(b64decode(picture))
            self._parse(f"![{alt}](/_build/heroes/{name}.png)", box)
        self._parse(local_links(caption_of(cells)), box)
        return [box]

    def _parse(self, text: str, into: nodes.Element) -> None:
        self.state.nested_parse(StringList([text], self.get_source_info()[0]), self.content_offset, into)


def local_links(text: str) -> str:
    """Return Markdown of a chapter with its links as they are from a page in book/."""
    return re.sub(r"\]\((?!\.\./|https?:)([^)#]+\.ipynb)", r"](../notebooks/\1", text).replace("](../book/", "](")


class Explorable(SphinxDirective):
    """``{explorable} collapse``: a figure that computes in the page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return its element, with the still picture inside."""
        return [nodes.raw("", element(self.arguments[0]), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives."""
    app.add_directive("hero", Hero)
    app.add_directive("explorable", Explorable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
