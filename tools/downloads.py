"""What a reader can take away: the site, the chapters, the package and the printed book. See `make downloads`.

The same tree gives the same bytes of both archives and of the wheel. A file is written whole or not at all.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from html import escape
from pathlib import Path

import yaml

from tools.book_pdf import write_book
from tools.browser import BROWSER
from tools.build import SITE
from tools.repository import ROOT, version
from tools.writing import replacing

NO_DOWNLOADS = ROOT / "book" / "site_root" / "downloads" / "index.html"
EPOCH = 315532800  # the first moment that a zip file can name: 1980
WORDS = {
    "book.pdf": "The whole book as one PDF, to print or to read offline.",
    "book.zip": "This site: unpack it and open <code>index.html</code>; it needs no network.",
    "notebooks.zip": "The chapters as notebooks, with the package and how to start.",
    ".whl": "The package <code>tutorial_lib</code> alone, for pip.",
}
README = """\
The chapters of "{title}" as notebooks, and the package that they use.

In this folder, with Python 3.11 or newer, two commands:

    python -m pip install "./{wheel}[book]" jupyterlab
    python -m jupyter lab

The first cell of a chapter then finds the package and does nothing. On Linux pip takes torch with CUDA (several GB);
nothing here needs it: https://pytorch.org/get-started/locally/ shows how to take the CPU build first.
"""
MARK = "<!-- the list -->"


def write_zip(file: Path, members: Mapping[str, bytes]) -> None:
    """Write an archive whose bytes depend on nothing but names and contents."""
    with replacing(file) as unfinished, zipfile.ZipFile(unfinished, "w") as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # as on Unix, wherever it is written
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, members[name])


def build_wheel(folder: Path) -> Path:
    """Build the wheel of the package into ``folder``, without asking the network."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel", "--no-index"]
    with tempfile.TemporaryDirectory() as built:
        command = [*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", built, str(ROOT)]
        subprocess.run(command, check=True, env=os.environ | {"SOURCE_DATE_EPOCH": str(EPOCH)})
        (wheel,) = Path(built).glob("*.whl")
        with replacing(folder / wheel.name) as unfinished:
            unfinished.write_bytes(wheel.read_bytes())
    return folder / wheel.name


def site_members(site: Path) -> dict[str, bytes]:
    """Return what the archive of the site holds: no downloads, but the page that says so, to which pages link."""
    files = (path for path in site.rglob("*") if path.is_file())
    names = {path.relative_to(site): path for path in files}
    kept = {
        f"book/{name.as_posix()}": path.read_bytes() for name, path in names.items() if name.parts[0] != "downloads"
    }
    return kept | {"book/downloads/index.html": NO_DOWNLOADS.read_bytes()}


def notebook_members(wheel: Path, title: str) -> dict[str, bytes]:
    """Return what the archive of the chapters holds."""
    chapters = {f"notebooks/{path.name}": path.read_bytes() for path in (ROOT / "notebooks").glob("*.ipynb")}
    readme = README.format(title=title, wheel=wheel.name)
    return chapters | {f"notebooks/{wheel.name}": wheel.read_bytes(), "notebooks/README.txt": readme.encode()}


def size(file: Path) -> str:
    """Return the size of a file as a reader wants it."""
    count = file.stat().st_size
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.0f} kB"


def write_index(folder: Path) -> None:
    """Write the page that lists what is in ``folder``."""
    page = NO_DOWNLOADS.read_text(encoding="utf-8")
    before, _, after = page.split(MARK)
    lines = []
    for ending, words in WORDS.items():
        for file in sorted(folder.glob(f"*{ending}")):
            lines.append(
                f'  <li><a href="{escape(file.name)}" download>{escape(file.name)}</a> ({size(file)})<br>{words}</li>'
            )
    with replacing(folder / "index.html") as unfinished:
        unfinished.write_text("\n".join([before + "<ul>", *lines, "</ul>" + after]), encoding="utf-8")


def main(site: Path = SITE) -> None:
    """Write all downloads into the built ``site``; without a browser, all but the PDF, and say so."""
    folder = site / "downloads"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.*"):
        if old.name != "index.html":
            old.unlink()
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    wheel = build_wheel(folder)
    write_zip(folder / "notebooks.zip", notebook_members(wheel, config["title"]))
    write_zip(folder / "book.zip", site_members(site))
    if BROWSER is not None:
        byline = f"{config['author']}, version {version()}"
        with replacing(folder / "book.pdf") as unfinished:
            write_book(unfinished, site, ROOT / "_toc.yml", title=config["title"], byline=byline)
    write_index(folder)
    for file in sorted(folder.iterdir()):
        print(f"{size(file):>8}  {os.path.relpath(file)}")
    if BROWSER is None:
        sys.exit("book.pdf is missing: printing it needs Chromium (Debian and Ubuntu: apt-get install chromium).")


if __name__ == "__main__":
    main()
