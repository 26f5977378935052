"""What a reader takes away is complete, the same every time, and printed in the order of the contents."""

import subprocess
import sys
import zipfile

import pytest
from pypdf import PdfReader

from tools import downloads
from tools.book_pdf import parts_of
from tools.downloads import build_wheel, notebook_members, replacing, site_members, write_index, write_zip
from tools.repository import ROOT, version


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A built site of three pages, with downloads of an earlier time."""
    folder = tmp_path_factory.mktemp("built") / "html"
    pages = {
        "index": "<h1>Start</h1><p>To <a href='b/two.html#deep'>a place</a> and <a href='data.bin'>a file</a>.</p>",
        "a/one": "<h1>One</h1>" + "<p>words</p>" * 100 + "<p><a href='https://example.org/'>out</a></p>",
        "b/two": "<h1>Two</h1>" + "<p>words</p>" * 100 + "<h2 id='deep'>Deep</h2>",
    }
    for name, text in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.html").write_text(f"<!doctype html><article>{text}</article>", encoding="utf-8")
    (folder / "downloads").mkdir()
    (folder / "downloads" / "book.zip").write_bytes(b"old")
    toc = "root: index\nparts:\n  - caption: Last first\n    chapters: [{file: b/two}, {file: a/one}]\n"
    (folder.parent / "_toc.yml").write_text(toc, encoding="utf-8")
    return folder


def test_the_same_members_in_another_order_give_the_same_bytes(tmp_path):
    members = {"b/x": b"1", "a": b"22"}
    write_zip(tmp_path / "one.zip", members)
    write_zip(tmp_path / "two.zip", dict(reversed(members.items())))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    entries = zipfile.ZipFile(tmp_path / "one.zip").infolist()
    assert [(entry.filename, entry.date_time[0]) for entry in entries] == [("a", 1980), ("b/x", 1980)]


def test_two_builds_give_the_same_wheel(tmp_path, wheel):
    source = ROOT / "tutorial_lib" / "py.typed"
    source.touch()  # a fresh clone has other times
    assert build_wheel(tmp_path).read_bytes() == wheel.read_bytes()


def test_a_file_that_is_not_finished_leaves_the_old_one_alone(tmp_path):
    file = tmp_path / "book.pdf"
    file.write_text("old")
    with pytest.raises(RuntimeError), replacing(file) as unfinished:
        unfinished.write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["book.pdf"]
    assert file.read_text() == "old"


def test_the_wheel_holds_the_package_with_all_its_data(wheel):
    assert wheel.name == f"tutorial_lib-{version()}-py3-none-any.whl"
    files = {path.relative_to(ROOT) for path in (ROOT / "tutorial_lib").rglob("*") if path.is_file()}
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {path.as_posix() for path in files if "__pycache__" not in path.parts} - names == set()
    for ending in (".csv", ".npz", ".js", ".png", ".mplstyle"):
        assert any(name.endswith(ending) for name in names), ending


def test_the_chapters_come_with_the_package_and_two_commands(wheel):
    members = notebook_members(wheel, "A title")
    chapters = {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert set(members) == chapters | {f"notebooks/{wheel.name}", "notebooks/README.txt"}
    assert f'install "./{wheel.name}[book]"' in members["notebooks/README.txt"].decode()


def test_the_archive_of_the_site_holds_no_downloads_but_the_page_that_says_so(site):
    members = site_members(site)
    assert set(members) == {f"book/{name}.html" for name in ("index", "a/one", "b/two", "downloads/index")}
    assert b"built without downloads" in members["book/downloads/index.html"]


def test_no_archive_names_a_place_of_this_machine(site, wheel):
    members = site_members(site) | notebook_members(wheel, "A title")
    assert all(not name.startswith("/") and ".." not in name for name in members)
    everything = {**members, **{n: zipfile.ZipFile(wheel).read(n) for n in zipfile.ZipFile(wheel).namelist()}}
    assert [name for name, content in everything.items() if str(ROOT).encode() in content] == []


def test_the_page_lists_what_is_there_and_nothing_else(tmp_path):
    (tmp_path / "book.zip").write_bytes(b"x" * 2_340_000)
    (tmp_path / "tutorial_lib-9.whl").write_bytes(b"x" * 5_000)
    write_index(tmp_path)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert '<a href="book.zip" download>book.zip</a> (2.3 MB)' in page
    assert '<a href="tutorial_lib-9.whl" download>tutorial_lib-9.whl</a> (5 kB)' in page
    assert "book.pdf" not in page
    assert "built without" not in page


def test_without_a_browser_the_rest_is_made_and_the_last_line_says_what_is_missing(site, monkeypatch):
    monkeypatch.setattr(downloads, "BROWSER", None)
    with pytest.raises(SystemExit, match=r"^book\.pdf is missing: .*apt-get install chromium"):
        downloads.main(site)
    names = {path.name for path in (site / "downloads").iterdir()}
    assert names == {"book.zip", "notebooks.zip", f"tutorial_lib-{version()}-py3-none-any.whl", "index.html"}


# In a process of its own: Playwright runs once in each.
PRINT = """
import sys
from pathlib import Path
from tools.book_pdf import write_book
file, site = map(Path, sys.argv[1:])
write_book(file, site, site.parent / "_toc.yml", title="A title", byline="Its authors")
"""


@pytest.fixture(scope="module")
def book(browser, site):  # noqa: ARG001
    """The tiny site, printed; a machine without a browser skips what looks at it."""
    file = site.parent / "book.pdf"
    subprocess.run([sys.executable, "-c", PRINT, str(file), str(site)], cwd=ROOT, check=True)
    return PdfReader(file)


@pytest.mark.browser
def test_the_book_is_printed_in_the_order_of_the_contents(book):
    texts = [page.extract_text() for page in book.pages]
    heads = [next(n for n, text in enumerate(texts) if text.startswith(head)) for head in ("Start", "Two", "One")]
    assert heads == sorted(heads)
    assert [text.split()[-1] for text in texts[2:]] == [str(n) for n in range(3, len(texts) + 1)]
    start, part, entries = book.outline
    assert [start.title, part.title, *(entry.title for entry in entries)] == ["Start", "Last first", "Two", "One"]
    assert [book.get_destination_page_number(one) for one in (start, *entries)] == heads
    assert (book.metadata.title, book.metadata.author) == ("A title", "Its authors")


@pytest.mark.browser
def test_links_of_the_book_stay_in_it_and_none_leads_to_a_file(book):
    links = [(n, link.get_object()) for n, page in enumerate(book.pages) for link in page.get("/Annots", [])]
    outside = [link["/A"]["/URI"] for _, link in links if "/A" in link]
    assert outside == ["https://example.org/"]
    (place,) = [link["/Dest"] for n, link in links if n == 2]
    assert book.get_page_number(place[0].get_object()) == max(
        n for n, page in enumerate(book.pages) if "Deep" in page.extract_text()
    )
    assert place[3] < 700  # the place, not the top of its page


def test_every_page_of_the_contents_is_printed_once():
    names = [name for _, pages in parts_of(ROOT / "_toc.yml") for name in pages]
    assert len(names) == len(set(names))
    assert all((ROOT / f"{name}.md").exists() or (ROOT / f"{name}.ipynb").exists() for name in names)
