"""Create the virtual environment of the project from the locked requirements.

Standard library only: this runs before anything is installed. Usage: python tools/environment.py FOLDER
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def fail(sentence: str) -> None:
    """End with one sentence for the reader."""
    sys.exit(f"\n{sentence}")


def main(folder: Path) -> None:
    """Make the environment, or end in one clear sentence and leave no stamp."""
    if sys.version_info < (3, 11):
        fail(
            f"This book needs Python 3.11 or newer, and {sys.executable} is {sys.version.split()[0]}: "
            "name another one, such as `make book PYTHON=python3.12`."
        )
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        fail(
            f"{sys.executable} cannot create virtual environments: install its venv package "
            "(Debian and Ubuntu: apt-get install python3-venv) or name another Python with PYTHON=..."
        )
    stamp = folder / "installed"
    stamp.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    print(f"Creating {folder} from requirements.txt: about 1.5 GB with torch's CPU build.", flush=True)
    # Not the Python of this very folder, which an activated environment would name and which is gone now.
    outside = getattr(sys, "_base_executable", sys.executable)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    # The font cache of matplotlib is built now, so that no notebook prints a message about it.
    steps = {
        "creating it": [outside, "-m", "venv", str(folder)],
        "installing requirements.txt": [*pip, "install", "-r", "requirements.txt"],
        "installing tutorial_lib": [*pip, "install", "--no-deps", "--no-build-isolation", "--editable", "."],
        "loading matplotlib": [str(python), "-c", "import matplotlib.font_manager"],
    }
    for name, command in steps.items():
        if subprocess.run(command, cwd=ROOT).returncode != 0:
            fail(f"No environment {folder}: {name} failed, see above; check the network and run make again.")
    stamp.touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
