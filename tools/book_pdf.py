"""The book as one PDF: the pages of the built site, in the order of the contents, printed by a browser.

A link inside the book leads to its place in the PDF; a link to a file that is not printed becomes plain words.
Code that a page folds away is left out: the site and the notebooks have it. Folded text is printed.
"""

import io
from collections.abc import Mapping, Sequence
from html import escape
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urldefrag

import yaml
from playwright.sync_api import Page, sync_playwright
from pypdf import PageObject, PdfReader, PdfWriter
from pypdf.generic import ArrayObject, FloatObject, NameObject, NullObject

from tools.browser import launched

MARGINS = {"top": "16mm", "bottom": "22mm", "left": "24mm", "right": "24mm"}
SCALE = 0.72  # the type of a screen at the size of a book's
DRAWN = """async () => {
  if (window.MathJax?.startup) await MathJax.startup.promise;
  await document.fonts.ready;
  await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
}"""
STYLE = """
  .bd-content { margin: 0 !important; }
  .bd-article { padding: 0 !important; }
  #jb-print-toc, details.hide.above-input { display: none !important; }
  #jb-print-docs-body { margin-bottom: 1.5rem; }
  article img { max-height: 23rem; width: auto; }
  article details { break-inside: avoid; }
"""
# Chromium keeps the place of an element only if a link of the same page leads to it.
KEEP_PLACES = """() => {
  const links = document.createElement('div');
  for (const { id } of document.querySelectorAll('article [id]')) {
    const link = document.createElement('a');
    link.href = `#${id}`;
    links.append(link);
  }
  document.body.append(links);
}"""
FACE = """<!doctype html><meta charset="utf-8"><style>
  @font-face {
    font-family: "Source Sans 3"; font-weight: 200 900;
    src: url("%s/fonts/source-sans-3-latin-wght-normal.woff2") format("woff2");
  }
  body { margin: 0; font-family: "Source Sans 3", sans-serif; }
"""
FRONT = """
  @page { size: A4; margin: 20mm 24mm; }
  body { font-size: 11pt; line-height: 1.5; }
  h1 { font-size: 26pt; line-height: 1.2; font-weight: 600; margin: 60mm 0 8mm; }
  h2 { break-before: page; font-weight: 600; margin: 0; }
  h3 { font-size: 11pt; font-weight: 600; margin: 3mm 0 0; }
  a { display: flex; justify-content: space-between; color: inherit; text-decoration: none; }
</style>"""
FOOT = """
  @page { size: A4; margin: 0; }
  body { font-size: 8.5pt; }
  div { box-sizing: border-box; height: 296.9mm; padding: 281mm 24mm 0; display: flex; justify-content: space-between; }
  div + div { break-before: page; }
</style>"""


class Printed(NamedTuple):
    """A page of the site on paper."""

    address: str
    title: str
    document: PdfReader


class Place(NamedTuple):
    """A place in the PDF: its page, counted from 0, and how high on it; None is the top."""

    page: int
    top: float | None


Part = tuple[str, list[Printed]]


def parts_of(toc: Path) -> list[tuple[str, list[str]]]:
    """Return the parts of the book with the names of their pages; the first page belongs to no part."""
    contents = yaml.safe_load(toc.read_text(encoding="utf-8"))
    parts = [(part["caption"], [chapter["file"] for chapter in part["chapters"]]) for part in contents["parts"]]
    return [("", [contents["root"]]), *parts]


def on_paper(tab: Page, **options: Any) -> PdfReader:
    """Return what the browser shows, printed."""
    return PdfReader(io.BytesIO(tab.pdf(print_background=True, tagged=False, **options)))


def print_page(tab: Page, address: str) -> Printed:
    """Print a page of the site, once its formulas and pictures are drawn."""
    tab.goto(address)
    tab.evaluate(DRAWN)
    title = tab.locator("h1").first.evaluate("heading => heading.firstChild.textContent.trim()")
    tab.add_style_tag(content=STYLE)
    tab.evaluate(KEEP_PLACES)
    return Printed(address, title, on_paper(tab, format="A4", margin=MARGINS, scale=SCALE))


def print_front(tab: Page, site: Path, title: str, byline: str, parts: Sequence[Part], before: int) -> PdfReader:
    """Print title and contents, as they are when ``before`` pages come before the first page of the site."""
    lines = [FACE % site.as_uri(), FRONT, f"<h1>{escape(title)}</h1><p>{escape(byline)}</p><h2>Contents</h2>"]
    number = before + 1
    for caption, pages in parts:
        lines.append(f"<h3>{escape(caption)}</h3>")
        for page in pages:
            lines.append(f'<a href="{page.address}"><span>{escape(page.title)}</span><span>{number}</span></a>')
            number += len(page.document.pages)
    tab.set_content("\n".join(lines))
    return on_paper(tab, prefer_css_page_size=True)


def print_feet(tab: Page, site: Path, words: Sequence[str]) -> PdfReader:
    """Print sheets that are empty but for their foot: words, and the number of the sheet."""
    feet = [f"<div><span>{escape(one)}</span><span>{n}</span></div>" for n, one in enumerate(words, start=1)]
    tab.set_content("\n".join([FACE % site.as_uri(), FOOT, *feet]))
    return on_paper(tab, prefer_css_page_size=True)


def places_of(page: Printed, start: int) -> dict[str, Place]:
    """Return where the address of a page, and all that has a name on it, is in the PDF."""
    found = {page.address: Place(start, None)}
    for name, there in page.document.named_destinations.items():
        number = page.document.get_destination_page_number(there)
        if number is not None:
            found[f"{page.address}#{unquote(name.removeprefix('/'))}"] = Place(start + number, there.top)
    return found


def relink(writer: PdfWriter, sheet: PageObject, address: str, places: Mapping[str, Place]) -> None:
    """Lead the links of a sheet to places in the PDF, and drop those to files that are not in it."""
    kept = ArrayObject()
    for reference in sheet.get("/Annots", []):
        link = reference.get_object()
        target = unquote(link["/A"]["/URI"] if "/A" in link else f"{address}#{link['/Dest'].removeprefix('/')}")
        place = places.get(target) or places.get(urldefrag(target).url)
        if place:
            link.pop("/A", None)
            top = NullObject() if place.top is None else FloatObject(place.top)
            there = [writer.pages[place.page].indirect_reference, NameObject("/XYZ"), NullObject(), top, NullObject()]
            link[NameObject("/Dest")] = ArrayObject(there)
        if place or not target.startswith("file:"):
            kept.append(reference)
    sheet[NameObject("/Annots")] = kept


def put_together(front: PdfReader, parts: Sequence[Part]) -> PdfWriter:
    """Return one document of the front and all pages, with its outline, and with links that stay inside."""
    writer = PdfWriter()
    pages = [Printed("", "", front), *(page for _, pages in parts for page in pages)]
    starts = [0, *accumulate(len(page.document.pages) for page in pages)]
    places: dict[str, Place] = {}
    for page, start in zip(pages, starts, strict=False):
        writer.append(page.document, import_outline=False)
        places |= places_of(page, start)
    for page, start in zip(pages, starts, strict=False):
        for sheet in writer.pages[start : start + len(page.document.pages)]:
            relink(writer, sheet, page.address, places)
    for caption, entries in parts:
        parent = writer.add_outline_item(caption, places[entries[0].address].page) if caption else None
        for page in entries:
            writer.add_outline_item(page.title, places[page.address].page, parent)
    return writer


def number(writer: PdfWriter, feet: PdfReader, first: int) -> None:
    """Put its foot under every sheet from the ``first`` on."""
    for sheet, foot in list(zip(writer.pages, feet.pages, strict=True))[first:]:
        sheet.merge_page(foot)
        sheet.compress_content_streams()


def write_book(file: Path, site: Path, toc: Path, *, title: str, byline: str) -> None:
    """Print the ``site`` in the order of ``toc`` into ``file``."""
    with sync_playwright() as playwright:
        browser = launched(playwright)
        tab = browser.new_page(color_scheme="light", reduced_motion="reduce")
        parts = [(c, [print_page(tab, f"{site.as_uri()}/{name}.html") for name in names]) for c, names in parts_of(toc)]
        length = len(print_front(tab, site, title, byline, parts, 0).pages)
        front = print_front(tab, site, title, byline, parts, length)
        words = [page.title for _, pages in parts for page in pages for _ in page.document.pages]
        feet = print_feet(tab, site, [""] * length + words)
        browser.close()
    writer = put_together(front, parts)
    number(writer, feet, length)
    writer.compress_identical_objects()
    writer.page_mode = "/UseOutlines"
    writer.add_metadata({"/Title": title, "/Author": byline})
    writer.write(file)
