"""One result file out of all groups, written when every group has run."""

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tools.checksums import record
from tools.writing import write

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "tutorial_lib" / "book" / "stored" / "benchmarks.json"
GROUPS = {"estimators", "memory", "variance", "evaluation", "training", "growth", "explorables"}
# BENCH_QUICK=1: few rounds, small sizes, and the stored file stays as it is.
QUICK = bool(os.environ.get("BENCH_QUICK"))


def settings() -> dict[str, object]:
    """What the numbers depend on, without a name of the machine."""
    return {
        "clock": "CPU seconds of the process",
        "processor": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "numpy": np.__version__,
    }


@pytest.fixture(scope="session")
def results():
    """Where each group puts its numbers."""
    found: dict[str, object] = {}
    yield found
    if set(found) == GROUPS:
        text = json.dumps({"settings": settings()} | found, indent=1, sort_keys=True)
        target = ROOT / "_build" / "benchmarks.json" if QUICK else RESULTS
        write(target, compact(text) + "\n")
        if target == RESULTS:
            record(target)


def compact(text: str) -> str:
    """JSON with each innermost list or object on one line."""

    return re.sub(r"[\[{][^\[\]{}]*[\]}]", lambda match: " ".join(match.group().split()), text)


@pytest.fixture(scope="session")
def quick() -> bool:
    """Whether this run only shows that the benchmarks work."""
    return QUICK


@pytest.fixture(scope="session")
def measured_memory():
    """Run memory.py on one task in a fresh process."""

    def run(task):
        command = [sys.executable, str(Path(__file__).with_name("memory.py")), json.dumps(task)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    return run
