"""The networks of chapter 15: `python -m tools.own_networks` trains and measures them, and writes package data."""

import time
from dataclasses import asdict
from platform import python_version

import numpy
import torch
from tqdm import tqdm

from tools.checksums import record
from tools.repository import ROOT
from tools.writing import write
from tutorial_lib.book.own_networks import NetworkRow, network_rows
from tutorial_lib.book.results import rows_as_text
from tutorial_lib.images.networks import NETWORKS

FILE = ROOT / "tutorial_lib" / "book" / "stored" / "own_networks.csv"
NUM_NETWORKS = 8
# At the end of training at several radii, before and on the way at one.
RADII_AFTER = {0: [0.5], 10: [0.5], 30: [0.25, 0.5, 1.0, 2.0]}


def cells() -> list[tuple[str, int]]:
    """List kind and number of epochs of every network of a seed."""
    return [(kind, epochs) for kind in NETWORKS for epochs in RADII_AFTER]


def run_cell(kind: str, num_epochs: int, *, seed: int) -> list[NetworkRow]:
    """Train one network and measure it at each radius."""
    return list(network_rows(kind, seed=seed, num_epochs=num_epochs, radii=RADII_AFTER[num_epochs]))


def main() -> None:
    """Train every network of every kind for each number of epochs; the file grows seed by seed."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    rows = []
    for seed in tqdm(range(NUM_NETWORKS), desc="seeds"):
        for cell in cells():
            rows += map(asdict, run_cell(*cell, seed=seed))
        settings = {
            "command": "python -m tools.own_networks",
            "data": "MNIST, 768 images to train and 256 to measure, pixels in [0, 1]",
            "num_networks": seed + 1,
            "radii_after_epochs": RADII_AFTER,
            "seconds": round(time.perf_counter() - start),
            "threads": 1,
            "versions": {
                "numpy": numpy.__version__,
                "python": python_version(),
                "torch": torch.__version__.split("+")[0],
            },
        }
        write(FILE, rows_as_text(rows, settings))
        record(FILE)


if __name__ == "__main__":
    main()
