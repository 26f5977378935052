"""Write the MNIST rows that ship with the package: `python -m tools.bundled_mnist FOLDER`.

FOLDER holds the four files in which LeCun, Cortes and Burges published the data, unpacked:
train-images-idx3-ubyte and so on. The rows are those that `load("mnist")` would take first from
the download: OpenML keeps the order of these files, the training rows before the test rows.
"""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tools.checksums import record
from tools.repository import ROOT
from tutorial_lib.book.data import BUNDLED, fixed_shuffle

NUM_ROWS = 1024
FILE = ROOT / "tutorial_lib" / "book" / "datasets" / BUNDLED["mnist"]


def read(path: Path, header_bytes: int) -> npt.NDArray[np.uint8]:
    """Return what follows the header of an IDX file of bytes."""
    return np.frombuffer(path.read_bytes(), np.uint8, offset=header_bytes)


def main(folder: Path) -> None:
    """Read both parts, shuffle, write the first rows."""
    pixels = np.concatenate([read(folder / f"{part}-images-idx3-ubyte", 16) for part in ("train", "t10k")])
    classes = np.concatenate([read(folder / f"{part}-labels-idx1-ubyte", 8) for part in ("train", "t10k")])
    rows = fixed_shuffle(len(classes), NUM_ROWS)
    np.savez_compressed(FILE, pixels=pixels.reshape(len(classes), -1)[rows], classes=classes[rows])
    record(FILE)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
