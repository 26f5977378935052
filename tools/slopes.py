"""How steep networks are by several measures, at equal loss: `python -m tools.slopes` writes package data."""

import time
from platform import python_version

import numpy
import torch
from tqdm import tqdm

from tools.checksums import record
from tools.studies import STORED
from tools.writing import write
from tutorial_lib.book.data import Split, load
from tutorial_lib.book.debate import SlopeRow, slope_rows
from tutorial_lib.book.results import row_as_columns, rows_as_text

LEVELS = (0.3, 0.2, 0.1, 0.05)
NUM_NETWORKS = {16: 24, 32: 24, 64: 16, 128: 12, 256: 8, 512: 6}
WIDTHS = {"he": (16, 32, 64, 128, 256, 512), "lecun": (16, 64, 256), "ntk": (16, 64, 256)}
DEPTHS = (2, 4)


def data() -> Split:
    """Return the digits in float32, which is as good here and twice as fast."""
    return Split(*(values.float() for values in load()))


def cells() -> list[tuple[str, int, int]]:
    """List scheme, depth and width of every cell."""
    return [(scheme, depth, width) for scheme, widths in WIDTHS.items() for depth in DEPTHS for width in widths]


def run_cell(scheme: str, depth: int, width: int) -> list[SlopeRow]:
    """Measure the networks of one cell."""
    sizes = {"width": width, "depth": depth, "num_networks": NUM_NETWORKS[width]}
    return slope_rows(scheme, data(), levels=LEVELS, **sizes)


def main() -> None:
    """Measure all cells and write the table."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    rows = [row for cell in tqdm(cells(), desc="cells") for row in run_cell(*cell)]
    settings = {
        "command": "python -m tools.slopes",
        "data": "digits, rows of length 1, float32",
        "levels": LEVELS,
        "seconds": round(time.perf_counter() - start),
        "seed": 0,
        "threads": 1,
        "versions": {"numpy": numpy.__version__, "python": python_version(), "torch": torch.__version__.split("+")[0]},
    }
    file = STORED / "slopes.csv"
    write(file, rows_as_text([row_as_columns(row) for row in rows], settings))
    record(file)


if __name__ == "__main__":
    main()
