"""The repository's address and version, and every file that must repeat them.

`pyproject.toml` holds the address, `tutorial_lib/__init__.py` the version. Standard library only, so that any Python
can run it: `python -m tools.repository address https://host/owner/name` for good; before publishing `stamp`, which
takes the address from the remote "origin" and the version from the last commit, and then `push`.
"""

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlsplit

from tools.environment import ROOT
from tools.lock import pins
from tools.writing import write

BRANCH = "published"  # what the publishing workflow pushes: links and first cells lead there
REPEATED_IN = ["pyproject.toml", "CITATION.cff", "*.md", "book/*.md", "tutorial_lib/book/widgets.py"]
BADGE = re.compile(r"\[(?:Open in Colab|Get this notebook)\]\([^)]*\)")
INSTALL_TAG = "colab-install"
NEEDED = ("jaxtyping", "wadler-lindig")  # what Colab lacks
Notebook = dict[str, Any]


@dataclass(frozen=True)
class Repository:
    """The address of a repository, such as https://github.com/owner/name, and what follows from it."""

    address: str

    @property
    def host(self) -> str:
        """Return the name of the forge's host, in small letters."""
        return urlsplit(self.address).netloc.lower()

    @property
    def path(self) -> str:
        """Return owner and name, such as /owner/name."""
        return urlsplit(self.address).path

    @property
    def opens_in_colab(self) -> bool:
        """Return whether Colab can open its notebooks; it can those of github.com."""
        return self.host == "github.com"

    @property
    def notebooks(self) -> str:
        """Return what comes before the path of a notebook in a link that leads to it."""
        if self.opens_in_colab:
            return f"https://colab.research.google.com/github{self.path}/blob/{BRANCH}/"
        return f"{self.address}#"

    @property
    def archive(self) -> str:
        """Return what pip installs the package from."""
        if self.opens_in_colab:
            return f"{self.address}/archive/refs/heads/{BRANCH}.tar.gz"
        return f"git+{self.address}@{BRANCH}"

    @property
    def site(self) -> str:
        """Return where GitHub Pages shows the book; for another forge, the repository."""
        if not self.opens_in_colab:
            return self.address
        owner, name = self.path.strip("/").split("/", 1)
        home = f"https://{owner.lower()}.github.io/"
        return home if f"https://{name.lower()}/" == home else f"{home}{name}/"

    @property
    def settings(self) -> dict[str, str]:
        """Return the lines of `_config.yml` that depend on the forge: the theme makes buttons for two of them."""
        known = "github" in self.host or "gitlab" in self.host
        return {
            "url": self.address if known else '""',
            "branch": BRANCH,
            "colab_url": "https://colab.research.google.com" if self.opens_in_colab else '""',
            "use_repository_button": str(known).lower(),
            "use_issues_button": str(known).lower(),
        }


def parsed(text: str) -> Repository:
    """Return the repository of an address as people and `git remote` write it."""
    scp = re.fullmatch(r"[\w.-]+@([\w.-]+):(?!//)(.+)", text)  # git@host:owner/name.git
    parts = urlsplit(f"https://{scp[1]}/{scp[2]}" if scp else text)
    path = parts.path.strip("/").removesuffix(".git")
    web = parts.scheme in ("http", "https", "ssh", "git+ssh") and parts.hostname
    if not web or not re.fullmatch(r"[\w.~-]+(/[\w.~-]+)+", path):
        raise ValueError(f"The address must look like https://github.com/owner/name, got {text}")
    port = f":{parts.port}" if parts.port and parts.scheme.startswith("http") else ""
    scheme = "http" if parts.scheme == "http" else "https"
    return Repository(f"{scheme}://{parts.hostname}{port}/{path}")


def current() -> Repository:
    """Return the repository as the files of this tree name it."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return Repository(str(tomllib.load(file)["project"]["urls"]["Repository"]))


def version() -> str:
    """Return the version of the package, without importing it."""
    text = (ROOT / "tutorial_lib" / "__init__.py").read_text(encoding="utf-8")
    return re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)[0]


def git(*arguments: str) -> str:
    """Return what a git command prints about this tree; end in one sentence if it fails."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    except FileNotFoundError:
        sys.exit("This needs git, and there is none on the PATH.")
    if done.returncode != 0:
        sys.exit(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def published_version() -> str:
    """Return the version with the minute of the last commit, so that a later publication counts as newer."""
    minute = git("log", "-1", "--date=format-local:%Y%m%d%H%M", "--format=%cd")
    return f"{version().split('.post')[0]}.post{minute}"


def notebook_paths() -> list[Path]:
    """Return the chapters, then the pages of the book that are notebooks, last the one that lists what all claim."""
    pages = sorted((ROOT / "book").glob("*.ipynb"), key=lambda path: (path.stem == "claims", path.name))
    return [*sorted((ROOT / "notebooks").glob("*.ipynb")), *pages]


def name_of(path: Path) -> str:
    """Return the name of a notebook in the repository: `01_a.ipynb` for a chapter, `book/a.ipynb` for a page."""
    return f"book/{path.name}" if path.parent.name == "book" else path.name


def badge(name: str) -> str:
    """Return the Markdown link that opens the notebook ``name``, as ``name_of`` gives it."""
    repository = current()
    words = "Open in Colab" if repository.opens_in_colab else "Get this notebook"
    return f"[{words}]({repository.notebooks}{name if '/' in name else f'notebooks/{name}'})"


def install_cell() -> str:
    """Return the first code cell of every notebook."""
    template = Template((ROOT / "tools" / "first_cell.txt").read_text(encoding="utf-8"))
    parts = [int(part) for part in re.findall(r"\d+", version())]
    locked = pins((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    needed = {name.replace("-", "_"): locked[name].split()[0] for name in NEEDED}
    cell = template.substitute(archive=current().archive, version=version(), numbers=parts, **needed)
    return cell.rstrip("\n")


def stamp(notebook: Notebook, name: str) -> None:
    """Write the launch link (under the title) and the install cell (first code cell) into a notebook."""
    cells = notebook["cells"]
    texts = [cell for cell in cells if cell["cell_type"] == "markdown"]
    linked = [cell for cell in texts if BADGE.search("".join(cell["source"]))]
    link = badge(name)
    if linked:
        text = BADGE.sub(link, "".join(linked[0]["source"]))
        linked[0]["source"] = text.splitlines(keepends=True)
    elif texts:
        title, *rest = "".join(texts[0]["source"]).split("\n")
        texts[0]["source"] = "\n".join([title, "", link, *rest]).splitlines(keepends=True)
    source = install_cell().splitlines(keepends=True)
    installs = [cell for cell in cells if INSTALL_TAG in cell["metadata"].get("tags", [])]
    if installs:
        installs[0]["source"] = source
        installs[0]["metadata"]["cellView"] = "form"  # Colab shows its title only
    else:
        metadata = {"cellView": "form", "tags": [INSTALL_TAG, "hide-input"]}
        cell = {"cell_type": "code", "id": INSTALL_TAG, "metadata": metadata, "source": source}
        first = next((i for i, c in enumerate(cells) if c["cell_type"] == "code"), len(cells))
        cells.insert(first, cell | {"execution_count": None, "outputs": []})


def replace_everywhere(old: Repository, new: Repository) -> None:
    """Replace an address, and what follows from it, in all files that repeat it, outputs of notebooks included."""
    for pattern in [*REPEATED_IN, "notebooks/*.ipynb", "book/*.ipynb"]:
        for path in sorted(ROOT.glob(pattern)):
            text = path.read_text(encoding="utf-8")
            for name in ("notebooks", "archive", "address"):  # the address last: the others contain it
                text = text.replace(getattr(old, name), getattr(new, name))
            write(path, text)


def write_everywhere(repository: Repository, number: str) -> None:
    """Write address and version into every file that repeats them."""
    replace_everywhere(current(), repository)
    lines = [
        ("tutorial_lib/__init__.py", r'^__version__ = ".*"$', f'__version__ = "{number}"'),
        ("CITATION.cff", r"^version: .*$", f"version: {number}"),
        ("README.md", r"\[Read the book\]\([^)]*\)", f"[Read the book]({repository.site})"),
        *(("_config.yml", rf"^  {key}: .*$", f"  {key}: {value}") for key, value in repository.settings.items()),
    ]
    for name, pattern, line in lines:
        path = ROOT / name
        write(path, re.sub(pattern, line.replace("\\", r"\\"), path.read_text(encoding="utf-8"), flags=re.MULTILINE))
    for path in notebook_paths():
        notebook = json.loads(path.read_text(encoding="utf-8"))
        stamp(notebook, name_of(path))
        write(path, json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    print(f"{repository.address} at {number}")


def push() -> None:
    """Commit the stamped tree on top of the published branch and of the commit it comes from, and push it.

    Nothing that was published is rewritten: an older notebook still finds its branch.
    """
    git("add", "--all")
    before = git("ls-remote", "origin", f"refs/heads/{BRANCH}").split()[:1]
    tree = git("write-tree")
    if before:
        git("fetch", "--depth=1", "origin", BRANCH)
        if git("rev-parse", "FETCH_HEAD^{tree}") == tree:
            print(f"The branch {BRANCH} is this tree already.")
            return
    parents = [word for commit in [*before, git("rev-parse", "HEAD")] for word in ("-p", commit)]
    commit = git("commit-tree", tree, *parents, "-m", f"{version()}, stamped with {current().address}")
    git("push", "origin", f"{commit}:refs/heads/{BRANCH}")
    print(f"Pushed {version()} to the branch {BRANCH} of {current().address}")


def main(arguments: list[str]) -> None:
    """Write a new address for good, or stamp what is about to be published, or push it."""
    try:
        match arguments:
            case ["address"]:
                write_everywhere(current(), version())
            case ["address", text]:
                write_everywhere(parsed(text), version())
            case ["stamp"]:
                write_everywhere(parsed(git("remote", "get-url", "origin")), published_version())
            case ["push"]:
                push()
            case _:
                sys.exit(__doc__)
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
