"""Make the virtual environment of the project from the locked requirements, unless it stands: see `make help`.

Usage, in the folder of the repository: python -m tools.environment .venv. The environment that worked is kept until its
successor works. Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

from tools.writing import alone, write

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = (3, 11), (3, 14)  # jaxtyping needs 3.11; torch 2.13.0 has no wheel for 3.15
LOCK = "requirements.txt"
TORCH = "requirements/torch.txt"
LAB = "requirements/lab.txt"
STAMP = "installed"
BINARIES = "Scripts" if os.name == "nt" else "bin"
NETWORK = (
    "connection broken|NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ProxyError"
    "|SSLError|IncompleteRead|Connection reset"
)
FULL = {errno.ENOSPC, errno.EDQUOT}
# What pip wrote to stderr, and what it means: the first that is found. The network comes late, because pip also tells
# of a connection that it lost and found again.
CAUSES = {
    "DO NOT MATCH THE HASHES": "a downloaded file is not the one that the lock names",
    "No space left on device|Disk quota exceeded": "the disk is full",
    "Permission denied|Read-only file system": "a folder cannot be written to",
    NETWORK: "the network did not answer; try again when it does",
    "No matching distribution found": "a package of the lock does not exist for this Python on this system",
}


def fail(sentence: str) -> None:
    """End with one sentence for the reader."""
    sys.exit(f"\n{sentence}")


def recipe(*names: str, root: Path = ROOT) -> str:
    """Return a hash of what an environment is made from: its place, Python's version and the pins without comments."""
    version = ".".join(map(str, sys.version_info[:2]))
    lines = [line for name in names for line in (root / name).read_text(encoding="utf-8").splitlines()]
    pins = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return hashlib.sha256("\n".join([str(root), version, *pins]).encode()).hexdigest()


def stands(stamp: Path, made_from: str) -> bool:
    """Whether the stamp says that this was installed, and installed to the end."""
    return stamp.is_file() and stamp.read_text(encoding="utf-8").strip() == made_from


def refuse_unfit_python() -> None:
    """End in a sentence where this Python cannot make the environment."""
    version = sys.version.split()[0]
    call = "py -3.12 -m tools.environment .venv" if os.name == "nt" else "make book PYTHON=python3.12"
    another = f"name another one, such as `{call}`."
    if sys.version_info < OLDEST:
        fail(f"This book needs Python 3.11 or newer, and {sys.executable} is {version}: {another}")
    if sys.version_info[:2] > NEWEST:
        fail(f"This book needs Python 3.14 or older, since torch 2.13.0 ends there, and this is {version}: {another}")
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        fail(
            f"{sys.executable} cannot create virtual environments: install its venv package "
            "(Debian and Ubuntu: apt-get install python3-venv) or name another Python with PYTHON=..."
        )


def pip(folder: Path) -> list[str]:
    """Return the beginning of every call of the environment's pip."""
    return [str(folder / BINARIES / "python"), "-m", "pip", "--disable-pip-version-check"]


def steps(folder: Path) -> dict[str, list[str]]:
    """Return what makes an environment, in order, each with its name."""
    # Not the Python of this very folder, which `make` names by default and which has been moved aside.
    outside = getattr(sys, "_base_executable", sys.executable)
    return {
        "creating it": [outside, "-m", "venv", str(folder)],
        f"installing {LOCK}": [*pip(folder), "install", "--require-hashes", "--no-deps", "-r", LOCK],
        f"installing {TORCH}": [*pip(folder), "install", "-r", TORCH],
        "installing tutorial_lib": [*pip(folder), "install", "--no-deps", "--no-build-isolation", "--editable", "."],
        # Matplotlib's font cache is built now, so that no notebook prints a message about it.
        "loading matplotlib": [str(folder / BINARIES / "python"), "-c", "import matplotlib.font_manager"],
    }


def run(name: str, command: list[str], lock: int) -> None:
    """Run a command and show what it says; raise a RuntimeError that explains why it failed.

    An interrupt ends the command too. It holds the lock as well: should this process be killed, nobody else begins
    while pip still writes.
    """
    inherited = {} if os.name == "nt" else {"pass_fds": [lock]}
    read = {"stderr": subprocess.PIPE, "encoding": "utf-8", "errors": "replace"}
    said = []
    with subprocess.Popen(command, cwd=ROOT, **read, **inherited) as process:
        try:
            for line in process.stderr:
                said.append(line)
                sys.stderr.write(line)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode != 0:
        raise RuntimeError(f"{name} failed: {explained(''.join(said))}")


def explained(said: str) -> str:
    """Return what pip's words mean, and its last error in its own words."""
    meaning = next((meaning for words, meaning in CAUSES.items() if re.search(words, said, re.IGNORECASE)), "see above")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.split(":", 1)[1] for line in lines if line.startswith("ERROR:")] or lines
    return f"{meaning} ({textwrap.shorten(errors[-1].rstrip('.'), 150)})." if errors else f"{meaning}."


def warn_of_cuda(folder: Path) -> None:
    """Say before the download that torch will be large, where that can be avoided."""
    if sys.platform == "linux":
        settings = subprocess.run([*pip(folder), "config", "list"], stdout=subprocess.PIPE, encoding="utf-8").stdout
        if not re.search(r"\.(extra-index-url|index-url|find-links)=", settings):
            print(
                "On Linux pip takes torch's CUDA build, several GB, unless it is given another index: "
                'README.md says how under "Two commands". Stop with Ctrl-C to do that first.',
                flush=True,
            )


def build(folder: Path, made_from: str, lock: int) -> None:
    """Make the environment, and stamp it when it is finished."""
    for name, command in steps(folder).items():
        run(name, command, lock)
        if name == "creating it":
            warn_of_cuda(folder)
    write(folder / STAMP, made_from + "\n")


def take_back(folder: Path, former: Path) -> None:
    """Put the former environment, if there is one, in the place of an unfinished one."""
    if not (folder / STAMP).exists():
        shutil.rmtree(folder, ignore_errors=True)
        if former.exists():
            former.replace(folder)


def replace(folder: Path, made_from: str, lock: int) -> None:
    """Make the environment anew; keep the former one until then, and on any failure."""
    if folder.exists() and not folder.is_dir():
        raise RuntimeError(f"{folder} is a file, and must be a folder: move it away.")
    former = folder.with_name(f"{folder.name}.former")
    take_back(folder, former)  # after a run that was killed
    shutil.rmtree(former, ignore_errors=True)
    if stands(folder / STAMP, made_from):
        return
    print(f"Creating {folder} from {LOCK}: about 1.5 GB with torch's CPU build.", flush=True)
    if folder.exists():
        folder.replace(former)
    try:
        build(folder, made_from, lock)
    finally:
        take_back(folder, former)
    shutil.rmtree(former, ignore_errors=True)


def main(folder: Path) -> None:
    """See to it that the environment stands, or end in one clear sentence."""
    refuse_unfit_python()
    made_from = recipe(LOCK, TORCH)
    if stands(folder / STAMP, made_from):
        return
    try:
        with alone(folder.with_name(f"{folder.name}.lock"), f"Another process makes {folder}: waiting for it.") as lock:
            replace(folder, made_from, lock)
    except (RuntimeError, OSError, KeyboardInterrupt) as error:
        kept = f" The former {folder} is as it was." if (folder / STAMP).exists() else ""
        fail(f"No new environment: {in_words(error)}{kept}")


def in_words(error: BaseException) -> str:
    """Return one sentence on what ended the work."""
    if isinstance(error, KeyboardInterrupt):
        return "it was stopped; the next run begins again."
    if isinstance(error, OSError):
        if error.errno in FULL:
            return f"the disk is full ({error.filename or error.strerror})."
        remedy = "close what runs from it" if os.name == "nt" else "use a copy of the repository that you may write to"
        return f"{error.filename} cannot be changed ({error.strerror}): {remedy}."
    return str(error)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
