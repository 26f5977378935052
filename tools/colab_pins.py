"""Compare requirements/colab.txt with the list of packages that Colab publishes: `make colab-pins COLAB_LIST=file`.

The list is `pip-freeze.txt` of the repository googlecolab/backend-info. Standard library only.
"""

import re
import sys
from pathlib import Path

from tools.environment import ROOT

PINS = ROOT / "requirements" / "colab.txt"
ADDED = {"nbval"}  # Colab lacks it; the lane needs it


def versions(text: str) -> dict[str, str]:
    """Return the version of each package of a list as `pip freeze` writes it, without suffixes such as +cpu."""
    found = re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def moved(pins: dict[str, str], published: dict[str, str]) -> list[str]:
    """Return a line for each pin that is not what Colab ships now."""
    return [
        f"{name}: {pins[name]} here, {published.get(name, 'no such package')} in Colab"
        for name in sorted(pins)
        if name not in ADDED and published.get(name) != pins[name]
    ]


def main(arguments: list[str]) -> None:
    """End with one line for each package that has moved."""
    if len(arguments) != 1 or not Path(arguments[0]).is_file():
        sys.exit("Name the published list: make colab-pins COLAB_LIST=pip-freeze.txt")
    published = versions(Path(arguments[0]).read_text(encoding="utf-8"))
    if lines := moved(versions(PINS.read_text(encoding="utf-8")), published):
        sys.exit("\n".join(["Colab has moved; change requirements/colab.txt and run `make colab`:", *lines]))
    print("requirements/colab.txt is what Colab ships.")


if __name__ == "__main__":
    main(sys.argv[1:])
