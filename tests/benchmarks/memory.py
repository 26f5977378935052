"""Peak of extra memory of one call, in a process of its own: python memory.py CASE ...

The kernel counts the process's highest resident memory, so everything is in it: tensors, scratch
space of the matrix library, whatever the allocator keeps. Linux only.
"""

import ctypes
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident(kind: str) -> float:
    """VmRSS (now) or VmHWM (highest since the last reset) in MiB."""
    return int(re.findall(rf"{kind}:\s+(\d+) kB", STATUS.read_text())[0]) / 1024


def extra_memory(call: Callable[[int], object], rows: int) -> float:
    """MiB by which a call on all rows raises the resident memory, after a call on a few."""
    call(min(16, rows))  # loads what is loaded once
    ctypes.CDLL(None).malloc_trim(0)  # freed memory that is kept would hide what the call needs
    RESET.write_text("5")
    before = resident("VmRSS")
    call(rows)
    return resident("VmHWM") - before


def of_method(method: str, width: int, outputs: int, rows: int) -> float:
    """Extra memory of one contender of ``contenders.estimators``."""
    from contenders import estimators, inputs, network

    model, x = network(width=width, outputs=outputs), inputs(rows)
    calls = {few: estimators(model, x[:few])[method] for few in (min(16, rows), rows)}
    return extra_memory(lambda few: calls[few](), rows)


def of_sweep(sizes: list[dict[str, int]]) -> list[float]:
    """Extra memory of ours, exact, at several sizes."""
    from contenders import ensemble, inputs, network

    from tutorial_lib.stability import perturbation_stability

    found = []
    for size in sizes:
        rest = {k: v for k, v in size.items() if k != "rows"}
        model, x = (ensemble if "members" in size else network)(**rest), inputs(size["rows"])
        found.append(extra_memory(lambda few, model=model, x=x: perturbation_stability(model, x[:few]), len(x)))
    return found


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    task = json.loads(sys.argv[1])
    print(json.dumps(of_sweep(task) if isinstance(task, list) else of_method(**task)))
