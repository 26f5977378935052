"""Do the links to other sites still lead somewhere? See `make links`; it needs the network, so no test asks it.

The links of the built pages and of the Markdown files of the repository are asked by Sphinx's own checker.
"""

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from bs4 import BeautifulSoup
from markdown_it import MarkdownIt

from tools.build import SITE
from tools.repository import ROOT

PLACEHOLDER = "your_organization"  # the owner in every link until `make address` writes the real one
# They refuse all robots, so "forbidden" says nothing about the page; "not found" still does.
REFUSE_ROBOTS = {"doi.org"}
SETTINGS = """\
linkcheck_timeout = {seconds}
linkcheck_retries = 2
linkcheck_anchors = False
linkcheck_report_timeouts_as_broken = False
"""
Links = Mapping[str, Iterable[str]]


def external_links(pages: Mapping[str, str]) -> dict[str, set[str]]:
    """Return every link to another site in the article of some HTML pages, with the names of these pages."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, text in pages.items():
        soup = BeautifulSoup(text, "html.parser")
        for tag in (soup.find("article") or soup).find_all("a", href=True):
            if urlsplit(tag["href"]).scheme in ("http", "https"):
                found[tag["href"]].add(name)
    return found


def pages_of(site: Path) -> dict[str, str]:
    """Return the pages of the built site, and the Markdown files of the repository, as HTML."""
    built = {
        path.relative_to(site).as_posix(): path
        for folder in ("book", "notebooks")
        for path in (site / folder).glob("*.html")
    }
    pages = {name: path.read_text(encoding="utf-8") for name, path in built.items()}
    texts = {path.name: MarkdownIt().render(path.read_text(encoding="utf-8")) for path in ROOT.glob("*.md")}
    return pages | texts


def answers(links: Iterable[str], seconds: float) -> list[dict[str, str]]:
    """Return what Sphinx's checker says about each link: its ``uri``, ``status`` and ``info``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "conf.py").write_text(SETTINGS.format(seconds=seconds), encoding="utf-8")
        listed = "\n".join(f"* `{n} <{link}>`__" for n, link in enumerate(sorted(links)))
        (folder / "index.rst").write_text(f"Links\n=====\n\n{listed}\n", encoding="utf-8")
        sphinx = [sys.executable, "-m", "sphinx", "-b", "linkcheck", "-Q", name, f"{name}/out"]
        subprocess.run(sphinx, check=False)  # its exit status counts the refusals of robots too
        text = (folder / "out" / "output.json").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def refused(answer: Mapping[str, str]) -> bool:
    """Return whether a site that refuses robots refused this one."""
    start = urlsplit(answer["uri"]).hostname in REFUSE_ROBOTS
    return start and answer["info"].startswith(("401", "403", "418", "429"))


def broken(links: Links, *, seconds: float = 30) -> list[str]:
    """Ask every link, and return one line for each that leads nowhere."""
    found = [one for one in answers(links, seconds) if one["status"] in ("broken", "timeout")]
    return [
        f"{one['uri']}: {one['info']} (in {', '.join(sorted(links[one['uri']]))})" for one in found if not refused(one)
    ]


def main() -> None:
    """Check the links of the built book; end in one line for each that is broken."""
    links = external_links(pages_of(SITE))
    real = {link: pages for link, pages in links.items() if PLACEHOLDER not in link}
    if waiting := len(links) - len(real):
        print(f"{waiting} links await the repository's address (make address) and are not asked.")
    lines = broken(real)
    if lines:
        sys.exit("\n".join(sorted(lines)))
    print(f"{len(real)} links lead somewhere.")


if __name__ == "__main__":
    main()
