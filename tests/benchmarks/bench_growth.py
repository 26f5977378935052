"""How time and memory of ours, exact, grow with each size, beside the count of operations."""

import numpy as np
from contenders import ensemble, inputs, network
from interleave import assert_one_thread, flops, interleaved, rounded, slope

from tutorial_lib.stability import perturbation_stability

BASE = {"width": 256, "depth": 4, "rows": 1024, "outputs": 1}
SWEEPS = {
    "width": [128, 256, 512, 1024, 2048],
    "depth": [4, 8, 16, 32, 64],
    "rows": [512, 1024, 2048, 4096, 8192],
    "outputs": [2, 4, 8, 16, 32],
    "members": [16, 32, 64, 128, 256],
}
# Of time and of memory, in the limit of large sizes.
THEORY = {"width": (2, 1), "depth": (1, 1), "rows": (1, 0), "outputs": (1, 1), "members": (1, 1)}


def sizes_of(sweep: str, size: int) -> dict[str, int]:
    base = {"width": 16, "depth": 4, "rows": 64} if sweep == "members" else BASE
    return base | {sweep: size}


def call(size: dict[str, int]):
    rest = {k: v for k, v in size.items() if k != "rows"}
    model, x = (ensemble if "members" in size else network)(**rest), inputs(size["rows"])
    return lambda: perturbation_stability(model, x)


def test_growth(benchmark, results, quick, measured_memory):
    assert_one_thread()
    sweeps = {name: sizes[:3] if quick else sizes for name, sizes in SWEEPS.items()}
    calls = {(name, size): call(sizes_of(name, size)) for name, sizes in sweeps.items() for size in sizes}
    seconds = interleaved(benchmark, calls, rounds=2 if quick else 7)
    results["growth"] = {}
    for name, sizes in sweeps.items():
        times = [rounded(np.median(seconds[name, size])) for size in sizes]
        counts = [flops(calls[name, size]) for size in sizes]
        memory = [round(value, 2) for value in measured_memory([sizes_of(name, size) for size in sizes])]
        results["growth"][name] = {
            "sizes": sizes,
            "seconds": times,
            "mebibytes": memory,
            "exponent": slope(sizes, times),
            "exponent_of_products": slope(sizes, counts)[0],
            "exponent_of_memory": slope(sizes, np.maximum(memory, 0.01)),
            "theory": THEORY[name],
            "settings": {k: v for k, v in sizes_of(name, 0).items() if k != name},
        }
    benchmark.extra_info |= results["growth"]
