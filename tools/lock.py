"""Write the locks: every package that pyproject.toml needs, on every system, with the hashes of its files.

Run it through `make lock`. Pins stay what they are where they can: `python -m tools.lock --upgrade-package NAME` takes
a newer one, `--upgrade` the newest of everything. Standard library only.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.environment import BINARIES, LAB, LOCK, OLDEST, ROOT, TORCH
from tools.writing import write

UV = "uv==0.13.9"
# Installed by pip along with torch itself (requirements/torch.txt): what only its CUDA build needs.
OF_TORCH = re.compile(r"(torch|triton|nvidia|cuda)\b")
HEADERS = {
    LOCK: "All packages of the book, its tests and CI on Linux, macOS and Windows but torch (requirements/torch.txt)",
    LAB: "What `make lab` adds to requirements.txt",
}


@contextmanager
def uv() -> Iterator[list[str]]:
    """Install uv into a folder of its own for as long as it is used; yield how it is called."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        binaries = Path(folder) / BINARIES
        subprocess.run([binaries / "python", "-m", "pip", "install", "--quiet", UV], check=True)
        yield [str(binaries / "uv")]


def pins(lock: str) -> dict[str, str]:
    """Return the lines of a lock that belong to each package, by its name."""
    blocks = re.findall(r"^\w.*\n(?:[ \t]+.*\n)*", lock, re.MULTILINE)
    return {re.match(r"[\w.-]+", block).group(): block for block in blocks}


def compiled(command: list[str], sources: list[str], name: str) -> dict[str, str]:
    """Return the pins that the sources need, those of the present file wherever they fit."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "lock.txt"
        if (ROOT / name).exists():
            output.write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
        options = ["--universal", "--python-version", ".".join(map(str, OLDEST)), "--generate-hashes", "--no-annotate"]
        subprocess.run(
            [*command, "pip", "compile", *sources, *options, "--quiet", "-o", str(output)], cwd=ROOT, check=True
        )
        return pins(output.read_text(encoding="utf-8"))


def store(name: str, packages: dict[str, str]) -> None:
    """Write a lock with its header."""
    header = f"# {HEADERS[name]}.\n# Written by `make lock`, from pyproject.toml.\n"
    write(ROOT / name, header + "".join(packages.values()))
    print(f"Wrote {len(packages)} pins to {name}.")


def main(options: list[str]) -> None:
    """Resolve both locks; the second repeats nothing of the first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with tempfile.TemporaryDirectory() as folder, uv() as command:
        extras = [f"--extra={name}" for name in project["optional-dependencies"] if name != "lab"]
        book = compiled(command, ["pyproject.toml", TORCH, *extras, *options], LOCK)
        book = {name: block for name, block in book.items() if not OF_TORCH.match(name)}
        store(LOCK, book)
        lab = Path(folder) / "lab.in"
        lab.write_text("\n".join(project["optional-dependencies"]["lab"]), encoding="utf-8")
        both = compiled(command, [str(lab), "--constraints", LOCK, *options], LAB)
        store(LAB, {name: block for name, block in both.items() if book.get(name) != block})


if __name__ == "__main__":
    main(sys.argv[1:])
