"""Write requirements.txt: the whole tree that a fresh environment resolves for pyproject.toml.

Standard library only. Run it through `make lock`.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TORCH = "torch==2.13.0"  # exactly, and without a local suffix: a range takes the newest CUDA build
HEADER = """\
# The exact set of packages of the book, its tests and CI. Written by `make lock`, from pyproject.toml.
# On Linux torch's wheel brings CUDA along (several GB). The CPU build is enough: the README says how to
# take it, by an extra index of PyTorch's own, before the first `make`.
"""


def locked(frozen: str) -> list[str]:
    """Pins of `pip freeze`, without the suffix that only one wheel index knows (+cpu)."""
    return [line.split("+")[0] for line in frozen.splitlines() if "==" in line]


def main() -> None:
    """Resolve in a temporary environment, so that nothing left over from work gets into the lock."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [str(Path(folder) / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", TORCH, ".[book,site,study,test]"], cwd=ROOT, check=True)
        freeze = [*pip, "freeze", "--all", "--exclude", "pip", "--exclude", "tutorial_lib"]
        frozen = subprocess.run(freeze, check=True, capture_output=True, text=True).stdout
    (ROOT / "requirements.txt").write_text(HEADER + "\n".join(locked(frozen)) + "\n", encoding="utf-8")
    print(f"Wrote {len(locked(frozen))} pins to requirements.txt.")


if __name__ == "__main__":
    sys.exit(main())
