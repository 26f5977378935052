"""Training by large steps, compared at equal numbers of them: `python -m tools.sweeps NAME ...` writes package data."""

import sys
import time
from dataclasses import dataclass
from platform import python_version

import numpy
import torch
from tqdm import tqdm

from tools.checksums import record
from tools.repository import ROOT
from tools.writing import write
from tutorial_lib.book.data import load
from tutorial_lib.book.experiments import TrainedRow, trained_rows
from tutorial_lib.book.results import row_as_columns, rows_as_text
from tutorial_lib.initializations import INITIALIZATIONS
from tutorial_lib.training import CROSS_ENTROPY, HALF_SQUARE

FOLDER = ROOT / "tutorial_lib" / "book" / "stored"


@dataclass(frozen=True)
class Sweep:
    """Everything that decides the numbers of one file."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    record_at: tuple[int, ...]
    num_networks: dict[int, int]  # largest width: number of networks up to it
    task: str = "parity"
    num_train: int = 256
    loss: str = "half square"
    factor: float = 0.5
    batch_size: int | None = None
    source: str = "digits"
    seed: int = 0

    def cells(self) -> list[tuple[str, int, int]]:
        """List scheme, depth and width of every cell."""
        return [(scheme, depth, width) for depth in self.depths for width in self.widths for scheme in INITIALIZATIONS]

    def count(self, width: int) -> int:
        """Return the number of networks of a width."""
        return next(count for largest, count in self.num_networks.items() if width <= largest)


MANY = {32: 32, 64: 16, 512: 8}
SWEEPS = {
    # One run of 300 steps holds the early and the middle budget as well.
    "budgets": Sweep((4, 8, 16, 32, 64, 128, 256, 512), (2, 4, 6, 8), (30, 100, 300), MANY),
}
LOSSES = {"half square": HALF_SQUARE, "cross entropy": CROSS_ENTROPY}
DATA = {"digits": "scikit-learn digits", "mnist": "MNIST"}


def run_cell(sweep: Sweep, scheme: str, depth: int, width: int) -> list[TrainedRow]:
    """Train the networks of one cell of a sweep."""
    return trained_rows(
        scheme,
        load(sweep.source, num_train=sweep.num_train, task=sweep.task),
        width=width,
        depth=depth,
        num_networks=sweep.count(width),
        record_at=sweep.record_at,
        loss=LOSSES[sweep.loss],
        factor=sweep.factor,
        batch_size=sweep.batch_size,
        seed=sweep.seed,
    )


def main(names: list[str]) -> None:
    """Run the named sweeps, or all."""
    torch.set_num_threads(1)
    for name in names or list(SWEEPS):
        start = time.perf_counter()
        rows = [row for cell in tqdm(SWEEPS[name].cells(), desc="cells") for row in run_cell(SWEEPS[name], *cell)]
        settings = vars(SWEEPS[name]) | {
            "command": f"python -m tools.sweeps {name}",
            "data": f"{DATA[SWEEPS[name].source]}, rows of length 1",
            "seconds": round(time.perf_counter() - start),
            "threads": 1,
            "versions": {
                "numpy": numpy.__version__,
                "python": python_version(),
                "torch": torch.__version__.split("+")[0],
            },
        }
        file = FOLDER / f"{name}.csv"
        write(file, rows_as_text([row_as_columns(row) for row in rows], settings))
        record(file)


if __name__ == "__main__":
    main(sys.argv[1:])
