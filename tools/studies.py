"""The studies behind part IV: `python -m tools.studies NAME ... [--jobs N | --cluster ADDRESS]`.

A study is a set of cells: networks of one scheme, width and depth, trained in one way. Each finished cell is a file in
.studies/NAME, written at once or not at all and named after all settings: a study that was stopped goes on where it
was, and a cell with other settings is another cell. After a change of the code that makes the numbers, remove the
folder. When all cells are there, the table becomes package data. Cells run in processes of this machine, or on a Dask
cluster whose workers can import this repository; only this process writes files.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from platform import python_version
from typing import Any

import numpy
import torch
from joblib import cpu_count
from joblib.externals.loky import get_reusable_executor
from tqdm import tqdm

from tools.checksums import record
from tools.repository import ROOT
from tools.writing import write
from tutorial_lib.book.data import Split, load
from tutorial_lib.book.equal_loss import LevelRow, flow_rows, optimizer_rows
from tutorial_lib.book.results import row_as_columns, rows_as_text
from tutorial_lib.book.silent_start import SilentRow, silent_rows
from tutorial_lib.training import CROSS_ENTROPY, HALF_SQUARE

WORK = ROOT / ".studies"
STORED = ROOT / "tutorial_lib" / "book" / "stored"
# A scheme "m^-0.75": two layers, all weights of size width^-0.75.
POWER = "m^-"
LOSSES = {"half square": HALF_SQUARE, "cross entropy": CROSS_ENTROPY}


@dataclass(frozen=True)
class Cell:
    """Everything that decides the numbers of one cell, as plain values that JSON keeps."""

    scheme: str
    depth: int
    width: int
    num_networks: int
    levels: tuple[float, ...]
    method: str = "flow"
    epochs: tuple[int, ...] = ()
    max_epochs: int = 0
    tolerance: float = 0.01
    max_steps: int = 20_000
    source: str = "digits"
    task: str = "parity"
    num_train: int = 256
    loss: str = "half square"
    seed: int = 0

    @property
    def name(self) -> str:
        """The name of its file: readable, and another one for other settings."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:10]
        return f"{self.scheme}-L{self.depth}-m{self.width}-{self.method.replace(' ', '_')}-{digest}"

    @property
    def cost(self) -> int:
        """Grows with the time it takes; the longest cells go first, so that none is left alone at the end."""
        return self.depth * self.width * self.width * self.num_networks


@dataclass(frozen=True)
class Study:
    """What varies from cell to cell, and what is common to all."""

    schemes: tuple[str, ...]
    depths: tuple[int, ...]
    widths: tuple[int, ...]
    num_networks: dict[int, int]  # largest width: number of networks up to it
    methods: tuple[str, ...] = ("flow",)
    common: dict[str, Any] = field(default_factory=dict)

    def cells(self) -> list[Cell]:
        """List all cells, the longest first."""
        cells = [
            Cell(scheme, depth, width, self._count(width), method=method, **self.common)
            for scheme in self.schemes
            for depth in self.depths
            for width in self.widths
            for method in self.methods
        ]
        return sorted(cells, key=lambda cell: cell.cost, reverse=True)

    def _count(self, width: int) -> int:
        return next(count for largest, count in self.num_networks.items() if width <= largest)


FOUR, THREE = ("lecun", "he", "ntk", "mup"), ("lecun", "he", "ntk")
PARITY_LEVELS = (0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02)
TEN_LEVELS = (2.0, 1.5, 1.0, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05)
TEN = {"levels": TEN_LEVELS, "task": "ten", "num_train": 512, "loss": "cross entropy"}
MANY, EIGHT, FEW = {64: 16, 128: 12, 256: 8, 1024: 4}, {1024: 8}, {64: 8, 256: 4, 1024: 2}
# Silent starts: at the border, beyond it, and in the range of the talk's example.
SILENT, EIGHT_WIDE, FEW_LEVELS = (f"{POWER}0.5", f"{POWER}1", f"{POWER}1.75"), {64: 16, 1024: 8}, (0.2, 0.1, 0.07, 0.05)
STUDIES = {
    "flow_parity": Study(FOUR, (2, 4, 6, 8), (8, 16, 32, 64, 128, 256, 512), MANY, common={"levels": PARITY_LEVELS}),
    "flow_parity_half_tolerance": Study(
        FOUR, (2, 8), (16, 128), MANY, common={"levels": PARITY_LEVELS, "tolerance": 0.005}
    ),
    "flow_parity_other_seed": Study(THREE, (2, 4), (16, 512), MANY, common={"levels": PARITY_LEVELS, "seed": 1}),
    "flow_parity_mnist": Study(
        THREE, (2, 4), (8, 16, 32, 64, 128, 256), MANY, common={"levels": PARITY_LEVELS, "source": "mnist"}
    ),
    "optimizers": Study(
        THREE,
        (2, 4),
        (16, 64, 256),
        FEW,
        ("half the stable step", "a twentieth of it", "batches of 32", "batches of 8", "Adam"),
        {"levels": (0.3, 0.2, 0.1, 0.05), "max_epochs": 1000},
    ),
    "silent": Study(
        tuple(f"{POWER}{exponent}" for exponent in (0.5, 0.75, 1, 1.75)),
        (2,),
        (16, 64, 256, 1024),
        EIGHT_WIDE,
        common={"levels": (0.45, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1, 0.07, 0.05)},
    ),
    "silent_mnist": Study(SILENT, (2,), (16, 256), EIGHT_WIDE, common={"levels": FEW_LEVELS, "source": "mnist"}),
    "silent_few": Study(
        SILENT, (2,), (16, 256), EIGHT_WIDE, common={"levels": (*FEW_LEVELS, 0.03, 0.02, 0.01), "num_train": 64}
    ),
    "flow_ten": Study(THREE, (2, 4, 6), (16, 32, 64, 128, 256), EIGHT, common=TEN),
    "flow_ten_mnist": Study(THREE, (2, 4, 6), (16, 64, 256), FEW, common=TEN | {"source": "mnist"}),
    "sgd_ten": Study(
        THREE,
        (2, 4, 6),
        (16, 64, 256),
        FEW,
        ("batches of 32",),
        TEN | {"epochs": (10, 30, 100), "max_epochs": 300},
    ),
}


def run(cell: Cell) -> dict[str, Any]:
    """Train the networks of a cell; return its rows and what made them."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    double = load(cell.source, num_train=cell.num_train, task=cell.task)
    split = Split(*(values.float() for values in double))
    sizes = {"width": cell.width, "depth": cell.depth, "num_networks": cell.num_networks}
    common: dict[str, Any] = {**sizes, "levels": cell.levels, "loss": LOSSES[cell.loss], "seed": cell.seed}
    solver: dict[str, Any] = {"tolerance": cell.tolerance, "max_steps": cell.max_steps}
    rows: list[LevelRow] | list[SilentRow]
    if cell.scheme.startswith(POWER):
        exponent = float(cell.scheme.removeprefix(POWER))
        del common["depth"], common["loss"]
        rows = silent_rows(exponent, split, **solver, **common)
    elif cell.method == "flow":
        rows = flow_rows(cell.scheme, split, **solver, **common)
    else:
        ends = {"epochs": cell.epochs, "max_epochs": cell.max_epochs}
        rows = optimizer_rows(cell.scheme, split, method=cell.method, **ends, **common)
    return {
        "cell": asdict(cell),
        "versions": versions(),
        "seconds": round(time.perf_counter() - start, 1),
        "rows": [row_as_columns(row) for row in rows],
    }


def versions() -> dict[str, str]:
    """Return the versions that a number depends on."""
    return {"numpy": numpy.__version__, "python": python_version(), "torch": torch.__version__.split("+")[0]}


def file_of(cell: Cell, folder: Path) -> Path:
    """Where a finished cell is kept."""
    return folder / f"{cell.name}.json"


@contextmanager
def workers(jobs: int, cluster: str | None) -> Iterator[Executor]:
    """Lend what runs the cells: processes of this machine, or the workers of a Dask cluster.

    What a worker of a cluster takes with it when it dies is run by another.
    """
    if cluster:
        from distributed import Client

        with Client(cluster) as client:  # leaving it cancels what has not been run
            client.wait_for_workers(1, timeout=60)
            yield client.get_executor()
    else:
        # One bar is enough, that of the study.
        executor = get_reusable_executor(max_workers=jobs, env={"TQDM_DISABLE": "1"})
        try:
            yield executor
        except BaseException:
            executor.shutdown(kill_workers=True)  # nobody waits any more for the cells that are running
            raise
        executor.shutdown()


def run_missing(name: str, cells: list[Cell], folder: Path, executor: Executor) -> None:
    """Run the cells that have no file yet, and write the file of each as soon as it is done.

    A cell that fails ends the run and is named; the files of the cells before it stay.
    """
    missing = [cell for cell in cells if not file_of(cell, folder).exists()]
    running = {executor.submit(run, cell): cell for cell in missing}
    for future in tqdm(as_completed(running), desc=name, total=len(running)):
        cell = running[future]
        try:
            result = future.result()
        except Exception as error:
            raise RuntimeError(f"the cell {cell.name} failed: {error}") from error
        write(file_of(cell, folder), json.dumps(result))


def publish(name: str, cells: list[Cell], folder: Path, stored: Path) -> bool:
    """Write the table of a study if every cell is there; return whether it is."""
    files = [file_of(cell, folder) for cell in cells]
    if not all(file.exists() for file in files):
        return False
    results = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    made_with = {name: sorted({result["versions"][name] for result in results}) for name in versions()}
    common = {key: value for key, value in asdict(cells[0]).items() if all(asdict(c)[key] == value for c in cells)}
    settings = common | {
        "command": f"python -m tools.studies {name}",
        "data": f"{cells[0].source}, rows of length 1, float32",
        "seconds": round(sum(result["seconds"] for result in results)),
        "threads": 1,
        "versions": {name: ", ".join(found) for name, found in made_with.items()},
    }
    rows = sorted((row for result in results for row in result["rows"]), key=_place)
    file = stored / f"{name}.csv"
    write(file, rows_as_text(rows, settings))
    record(file)
    return True


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    known = [row[name] for name in ("scheme", "exponent", "method", "depth", "width", "epoch") if name in row]
    return (*known, -row["level"])


def main(
    arguments: list[str], studies: Mapping[str, Study] = STUDIES, work: Path = WORK, stored: Path = STORED
) -> None:
    """Run the named studies, or all, as far as they are not done."""
    parser = argparse.ArgumentParser(prog="python -m tools.studies", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(studies)}; all without a name")
    parser.add_argument("--jobs", type=int, default=cpu_count(), help="processes on this machine")
    parser.add_argument("--cluster", metavar="ADDRESS", help="of a Dask scheduler, such as tcp://127.0.0.1:8786")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(studies):
        parser.error(f"NAME must be one of {', '.join(studies)}, got {', '.join(sorted(unknown))}")
    with workers(options.jobs, options.cluster) as executor:
        for name in options.names or list(studies):
            cells = studies[name].cells()
            run_missing(name, cells, work / name, executor)
            publish(name, cells, work / name, stored)
            print(f"{name}: {len(cells)} cells, in {stored / name}.csv")


if __name__ == "__main__":
    main(sys.argv[1:])
