"""Test with other versions than the locked ones: `python -m tools.lanes newest` or `lowest`. See `make newest`.

Standard library only. `newest` takes the newest release of everything that the package, its figures and its tests
need; `lowest` the floors of `pyproject.toml`. The book itself is built from the lock alone: what tests it, the folder
tests/project, stays out.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass

from tools.environment import BINARIES, ROOT, pip
from tools.lock import OF_TORCH, uv

TESTS = ["-m", "not browser", "-p", "no:benchmark", "--ignore=tests/project"]
NOTEBOOKS = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=240", "--dist", "loadfile", "notebooks"]


@dataclass(frozen=True)
class Lane:
    """What a lane makes of a range of the package and of a pin of its tests, and how it runs the tests."""

    of_range: Callable[[str], str]
    of_pin: Callable[[str], str]
    options: tuple[str, ...] = ()


LANES = {
    "newest": Lane(lambda wanted: wanted, lambda pin: re.split("[=<>]", pin)[0]),
    # Old releases use what newer ones of others have deprecated: nothing that could be mended here.
    "lowest": Lane(
        lambda wanted: wanted.replace(">=", "=="), lambda pin: pin, options=("-W", "default::DeprecationWarning")
    ),
}


def requirements(lane: str) -> list[str]:
    """Return what a lane asks for, besides the package itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    made = LANES[lane]
    ranges, pins = project["dependencies"] + extras["book"], extras["test"] + extras["study"]
    return [*map(made.of_range, ranges), *map(made.of_pin, pins)]


def resolved(lane: str) -> list[str]:
    """Return every package that a lane installs, with its version; an error says which requirements disagree."""
    options = ["--python", sys.executable, "--no-header", "--no-annotate", "--no-python-downloads", "--quiet"]
    with uv() as command:  # pip alone tries version after version for the lowest ones, and does not end
        compiled = subprocess.run(
            [*command, "pip", "compile", "-", *options],
            cwd=ROOT, input="\n".join(requirements(lane)), stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    return compiled.stdout.split()


def install(lane: str) -> str:
    """Make the environment of a lane anew and return its Python."""
    folder = ROOT / f".{lane}"
    pins = resolved(lane)
    print("\n".join(pins), flush=True)
    torch = [pin for pin in pins if pin.startswith("torch==")]
    others = [pin for pin in pins if not OF_TORCH.match(pin)]
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    # torch with whatever its build for this machine needs, as requirements/torch.txt is installed.
    for what in (["--no-deps", *others], torch, ["--no-deps", "--no-build-isolation", "--editable", "."]):
        subprocess.run([*pip(folder), "install", "--quiet", *what], cwd=ROOT, check=True)
    return str(folder / BINARIES / "python")


def main(lane: str) -> int:
    """Run the package's tests and the notebooks in the environment of a lane; return 1 if some fail."""
    python = install(lane)
    command = [python, "-m", "pytest", "-n", "2", *LANES[lane].options]
    runs = [subprocess.run([*command, *run], cwd=ROOT) for run in (TESTS, NOTEBOOKS)]
    return int(any(run.returncode != 0 for run in runs))


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in LANES:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
