"""Test with other versions than the locked ones: `python tools/lanes.py newest` or `lowest`. See `make newest`.

Standard library only. `newest` takes the newest release of everything that the package, its figures and its tests
need; `lowest` the floors of `pyproject.toml`. The book itself is built from the lock alone.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable

from tools.environment import BINARIES, ROOT, pip

TESTS = ["-m", "not browser", "-p", "no:benchmark"]
NOTEBOOKS = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=240", "--dist", "loadfile", "notebooks"]
LANES: dict[str, tuple[Callable[[str], str], Callable[[str], str]]] = {
    # What is done to a range of the package, and to a pin of its tests.
    "newest": (lambda wanted: wanted, lambda pin: re.split("[=<>]", pin)[0]),
    "lowest": (lambda wanted: wanted.replace(">=", "=="), lambda pin: pin),
}


def requirements(lane: str) -> list[str]:
    """Return what pip installs in a lane, besides the package itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ranges = [*project["dependencies"], *project["optional-dependencies"]["book"]]
    change_range, change_pin = LANES[lane]
    pins = project["optional-dependencies"]["test"] + project["optional-dependencies"]["study"]
    return [*map(change_range, ranges), *map(change_pin, pins)]


def main(lane: str) -> int:
    """Make the environment of a lane anew, run the package's tests and the notebooks in it; return 1 if some fail."""
    folder = ROOT / f".{lane}"
    python = str(folder / BINARIES / "python")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    for what in (requirements(lane), ["--no-deps", "--no-build-isolation", "--editable", "."]):
        subprocess.run([*pip(folder), "install", *what], cwd=ROOT, check=True)
    subprocess.run([*pip(folder), "freeze", "--exclude-editable"], check=True)  # which versions this was
    runs = [subprocess.run([python, "-m", "pytest", "-n", "2", *run], cwd=ROOT) for run in (TESTS, NOTEBOOKS)]
    return int(any(run.returncode != 0 for run in runs))


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in LANES:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
