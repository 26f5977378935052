"""Open a chapter in JupyterLab, where its controls work: `make lab`. What that needs is installed the first time."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from tools.environment import LAB, ROOT, fail, in_words, pip, recipe, run, stands
from tools.writing import alone, write

# Of the Makefile: right for stored outputs, wrong for a reader.
FOR_STORING = {"TUTORIAL_LIB_STRICT", "TQDM_DISABLE"}


def install(folder: Path) -> None:
    """Add JupyterLab to the environment, if this version of it is not there."""
    stamp, made_from = folder / "lab", recipe(LAB)
    with alone(folder / "lab.lock", "Another process installs JupyterLab: waiting for it.") as lock:
        if not stands(stamp, made_from):
            command = [*pip(folder), "install", "--require-hashes", "--no-deps", "-r", LAB]
            run(f"installing {LAB}", command, lock)
            write(stamp, made_from + "\n")


def main(names: list[str]) -> None:
    """Open the named notebook, or the first chapter."""
    try:
        install(Path(sys.prefix))
    except (RuntimeError, OSError, KeyboardInterrupt) as error:
        fail(f"No JupyterLab: {in_words(error)}")
    chapters = names or [str(min((ROOT / "notebooks").glob("*.ipynb")))]
    environment = {name: value for name, value in os.environ.items() if name not in FOR_STORING}
    options = ["--ServerApp.root_dir", str(ROOT), "--ServerApp.answer_yes=True"]
    if os.name != "nt" and os.geteuid() == 0:
        options.append("--allow-root")  # in a container; the server listens to this machine alone
    with subprocess.Popen([sys.executable, "-m", "jupyterlab", *options, *chapters], env=environment) as server:
        while server.poll() is None:
            with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C reaches the server too, which then ends its kernels
                server.wait()
    sys.exit(server.returncode)


if __name__ == "__main__":
    main(sys.argv[1:])
