"""Checksums of what the book stores and no test computes again: `python -m tools.checksums PATH ...` records new ones.

tests/checksums.txt is what sha256sum writes, so `sha256sum --check tests/checksums.txt` reads it. Tools record the sum
of each file that they write. By hand one records what others made: vendored scripts and fonts.
"""

import hashlib
import json
import sys
from pathlib import Path

from tools.repository import ROOT
from tools.writing import write

FILE = ROOT / "tests" / "checksums.txt"
VENDORED = "python -m tools.checksums {path}"
# What has a sum, and what rightly writes it anew; a result file says so itself, in its first line.
COMMANDS = {
    "tutorial_lib/book/stored/*.csv": "",
    "tutorial_lib/book/stored/benchmarks.json": "make bench",
    "tutorial_lib/book/datasets/mnist_1024.npz": "python -m tools.bundled_mnist FOLDER",
    "tutorial_lib/book/datasets/digit_network.npz": "python -m tools.digit_network FOLDER",
    "tutorial_lib/book/site_root/explorables/*.data.js": "python -m tools.explorables",
    "tutorial_lib/book/site_root/explorables/*.png": "python -m tools.explorables",
    "book/site_root/fonts/*": VENDORED,
    "book/site_root/vendor/**/*": VENDORED,
    "tests/vendor/*": VENDORED,
}


def record(*paths: Path) -> None:
    """Keep the sums of files as they are now, forget those that are gone; outside the repository none are kept."""
    sums = recorded()
    for path in paths:
        if path.resolve().is_relative_to(ROOT):
            sums[path.resolve().relative_to(ROOT).as_posix()] = sum_of(path) if path.is_file() else ""
    write(FILE, "".join(f"{found}  {name}\n" for name, found in sorted(sums.items()) if found))


def recorded() -> dict[str, str]:
    """Return the recorded sums by path."""
    lines = FILE.read_text(encoding="utf-8").splitlines() if FILE.exists() else []
    return {name: found for found, name in (line.split("  ", 1) for line in lines)}


def sum_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def covered() -> dict[str, str]:
    """Return the files that must have a sum, each with what rightly writes it anew."""
    found: dict[str, str] = {}
    for pattern, command in COMMANDS.items():
        paths = [path for path in ROOT.glob(pattern) if path.is_file()]
        found |= {path.relative_to(ROOT).as_posix(): command or command_of(path) for path in paths}
    return {name: command.format(path=name) for name, command in found.items()}


def command_of(result: Path) -> str:
    """Return the command in the first line of a result file."""
    first = result.read_text(encoding="utf-8").split("\n", 1)[0]
    try:
        return str(json.loads(first.removeprefix("# "))["command"])
    except (ValueError, KeyError):
        return "the tool that wrote it: its first line no longer says which"


def problems() -> list[str]:
    """Say of each file that is changed, gone or without a sum which it is, and what makes it right."""
    sums, files = recorded(), covered()
    changed = [
        f"{name} is not what was recorded: take the committed file back or, if the change is meant: {command}"
        for name, command in files.items()
        if name in sums and sum_of(ROOT / name) != sums[name]
    ]
    new = [f"{name} has no checksum: {command} records it" for name, command in files.items() if name not in sums]
    gone = [
        f"{name} is gone: take the committed file back or, if the change is meant: {VENDORED.format(path=name)}"
        for name in sums
        if name not in files
    ]
    return changed + new + gone


def main(paths: list[str]) -> None:
    """Record the sums of the named files."""
    if not paths:
        sys.exit(f"Name the files whose sums are to be recorded: {VENDORED.format(path='PATH ...')}")
    if unknown := [path for path in paths if not (ROOT / path).is_file() and path not in recorded()]:
        sys.exit(f"There is no file {', '.join(unknown)}: give paths as seen from the top of the repository.")
    record(*(ROOT / path for path in paths))


if __name__ == "__main__":
    main(sys.argv[1:])
