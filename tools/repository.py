"""The repository's address and version, and every file that must repeat them.

`pyproject.toml` holds the address, `tutorial_lib/__init__.py` the version. Usage, through `make address`:
python -m tools.repository [NEW ADDRESS]
"""

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REPEATED_IN = ["pyproject.toml", "_config.yml", "CITATION.cff", "README.md", "CONTRIBUTING.md", "book/*.md"]
BADGE = re.compile(r"\[Open in Colab\]\([^)]*\)")
INSTALL_TAG = "colab-install"
Notebook = dict[str, Any]


def address() -> str:
    """Return the address of the repository, such as https://github.com/owner/name."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["urls"]["Repository"])


def version() -> str:
    """Return the version of the package, without importing it."""
    text = (ROOT / "tutorial_lib" / "__init__.py").read_text(encoding="utf-8")
    return re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)[0]


def colab_link(path: str) -> str:
    """Return the link that opens the notebook at ``path`` in Colab, at the version of the package."""
    slug = address().removeprefix("https://github.com/")
    return f"https://colab.research.google.com/github/{slug}/blob/v{version()}/{path}"


def notebook_paths() -> list[Path]:
    """Return the chapters, then the pages of the book that are notebooks, last the one that lists what all claim."""
    pages = sorted((ROOT / "book").glob("*.ipynb"), key=lambda path: (path.stem == "claims", path.name))
    return [*sorted((ROOT / "notebooks").glob("*.ipynb")), *pages]


def name_of(path: Path) -> str:
    """Return the name of a notebook in the repository: `01_a.ipynb` for a chapter, `book/a.ipynb` for a page."""
    return f"book/{path.name}" if path.parent.name == "book" else path.name


def badge(name: str) -> str:
    """Return the Markdown link of the notebook ``name``, as ``name_of`` gives it."""
    return f"[Open in Colab]({colab_link(name if '/' in name else f'notebooks/{name}')})"


def install_cell() -> str:
    """Return the first code cell of every notebook."""
    return f"""\
# For Colab: adds the book's package and the two small ones it needs, and changes nothing else.
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("tutorial_lib") is None:
    book = "{address()}/archive/refs/tags/v{version()}.tar.gz"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    if subprocess.run([*pip, book, "jaxtyping", "wadler-lindig"], capture_output=True).returncode != 0:
        raise RuntimeError("The book's package could not be installed: no network, or no release at " + book)
    print("Installed tutorial_lib {version()}.")"""


def stamp(notebook: Notebook, name: str) -> None:
    """Write the launch link (under the title) and the install cell (first code cell) into a notebook."""
    cells = notebook["cells"]
    texts = [cell for cell in cells if cell["cell_type"] == "markdown"]
    linked = [cell for cell in texts if BADGE.search("".join(cell["source"]))]
    if linked:
        text = BADGE.sub(badge(name), "".join(linked[0]["source"]))
        linked[0]["source"] = text.splitlines(keepends=True)
    elif texts:
        title, *rest = "".join(texts[0]["source"]).split("\n")
        texts[0]["source"] = "\n".join([title, "", badge(name), *rest]).splitlines(keepends=True)
    source = install_cell().splitlines(keepends=True)
    installs = [cell for cell in cells if INSTALL_TAG in cell["metadata"].get("tags", [])]
    if installs:
        installs[0]["source"] = source
    else:
        metadata = {"tags": [INSTALL_TAG, "hide-input"]}
        cell = {"cell_type": "code", "id": INSTALL_TAG, "metadata": metadata, "source": source}
        first = next((i for i, c in enumerate(cells) if c["cell_type"] == "code"), len(cells))
        cells.insert(first, cell | {"execution_count": None, "outputs": []})


def replace_everywhere(old: str, new: str) -> None:
    """Replace owner/name in the files that repeat it, outputs of notebooks included."""
    for pattern in [*REPEATED_IN, "notebooks/*.ipynb", "book/*.ipynb"]:
        for path in sorted(ROOT.glob(pattern)):
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(old, new), encoding="utf-8")


def main(arguments: list[str]) -> None:
    """Write a new address, if there is one, and stamp address and version everywhere."""
    if arguments:
        new = arguments[0].rstrip("/")
        if not re.fullmatch(r"https://github\.com/[\w-]+/[\w.-]+", new):
            sys.exit(f"The address must look like https://github.com/owner/name, got {new}")
        prefix = "https://github.com/"
        replace_everywhere(address().removeprefix(prefix), new.removeprefix(prefix))
    for name, pattern, line in [
        ("_config.yml", r"^  branch: .*$", f"  branch: v{version()}"),
        ("CITATION.cff", r"^version: .*$", f"version: {version()}"),
    ]:
        path = ROOT / name
        text = re.sub(pattern, line, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        path.write_text(text, encoding="utf-8")
    for path in notebook_paths():
        notebook = json.loads(path.read_text(encoding="utf-8"))
        stamp(notebook, name_of(path))
        text = json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")
    print(f"{address()} at v{version()}")


if __name__ == "__main__":
    main(sys.argv[1:])
