"""Build the book beside the site that stands, and put it in its place: `make book`."""

import shutil
import subprocess
import sys
from pathlib import Path

from tools.environment import ROOT, fail, in_words
from tools.writing import alone

BUILT = ROOT / "_build"
SITE = BUILT / "html"
FRESH = BUILT / "fresh"
FORMER = BUILT / "former"
PICTURES = BUILT / "heroes"  # drawn anew by tools/heroes.py
END = "The HTML pages are in"  # what follows names the folder from which the site is moved


def build() -> None:
    """Build from nothing: a cached page repeats neither its warnings nor the removal of a file."""
    for folder in (FRESH, PICTURES):
        shutil.rmtree(folder, ignore_errors=True)
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "--path-output", str(FRESH)]
    options = ["-n", "-W", "--keep-going"]
    with subprocess.Popen([*command, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        ended = False
        for line in process.stdout or ():
            ended = ended or END in line
            if not ended:
                print(line, end="", flush=True)
    if process.returncode != 0:
        fail("The book was not built, see above. The former site, if there is one, is as it was.")


def take_back() -> None:
    """Put the former site back, after a run that was killed between the two steps of a swap."""
    if FORMER.exists() and not SITE.exists():
        FORMER.replace(SITE)


def swap() -> None:
    """Put the new site in the place of the former one."""
    shutil.rmtree(FORMER, ignore_errors=True)
    if SITE.exists():
        SITE.replace(FORMER)
    try:
        (FRESH / "_build" / "html").replace(SITE)
    finally:
        take_back()
    for folder in (FORMER, FRESH):
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Build the site; on any failure keep the one that stands."""
    try:
        BUILT.mkdir(exist_ok=True)
        with alone(BUILT / "lock", "Another process builds the book: waiting for it."):
            take_back()
            build()
            swap()
    except (KeyboardInterrupt, OSError) as error:
        fail(f"The book was not built: {in_words(error)} The former site, if there is one, is as it was.")


if __name__ == "__main__":
    main()
