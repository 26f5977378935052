"""One network: time over the floor, memory, and variance per unit of time."""

from math import sqrt

import numpy as np
import pytest
import torch
from contenders import LOOP_SAMPLES, digits, estimators, inputs, network
from interleave import assert_one_thread, flops, interleaved, quartiles, rounded, summary

from tutorial_lib.estimates import Estimate
from tutorial_lib.stability import input_jacobians, perturbation_stability, random_direction_stability

ROWS, DEPTH = 1024, 4
ROUNDS = {256: 41, 1024: 15}
PEERS = ["ours, exact", "ours, one direction", "torch.func.jvp", "vmap(jacrev)", "batched backward"]


@pytest.mark.parametrize("outputs", [1, 10])
@pytest.mark.parametrize("width", [256, 1024])
def test_time_over_the_floor(benchmark, results, quick, width, outputs):
    assert_one_thread()
    model, x = network(width=width, depth=DEPTH, outputs=outputs), inputs(ROWS)
    contenders = estimators(model, x)
    check_agreement(contenders, model, x)
    double, x_double = network(width=width, depth=DEPTH, outputs=outputs, dtype=torch.float64), x.double()
    timed = contenders | {"ours, exact, float64": lambda: perturbation_stability(double, x_double)}
    scale = {"loop over samples": ROWS / LOOP_SAMPLES}
    seconds = interleaved(benchmark, timed, rounds=2 if quick else ROUNDS[width], scale=scale)
    # The floor is the faster of its two forms.
    floor = min(("floor", "floor in blocks"), key=lambda name: np.median(seconds[name]))
    methods = summary(seconds, floor)
    products = flops(contenders["floor"])
    for name, contender in contenders.items():
        methods[name]["products"] = rounded(flops(contender) * scale.get(name, 1) / products)
    gigaflops = rounded(products / np.median(seconds[floor]) / 1e9)
    record = {"floor": floor, "floor_gigaflops": gigaflops, "methods": methods, "settings": sizes(width, outputs)}
    results.setdefault("estimators", {})[f"width {width}, outputs {outputs}"] = record
    benchmark.extra_info |= record


def sizes(width, outputs, depth=DEPTH):
    return {"input_dim": 64, "width": width, "depth": depth, "outputs": outputs, "rows": ROWS, "dtype": "float32"}


def check_agreement(contenders, model, x):
    """Different answers would make the comparison of times worthless."""
    expected = input_jacobians(model, x)
    for name in ("vmap(jacrev)", "batched backward"):
        torch.testing.assert_close(contenders[name]().reshape(expected.shape), expected, rtol=1e-3, atol=1e-4)
    loop = contenders["loop over samples"]()
    torch.testing.assert_close(loop, expected[:LOOP_SAMPLES], rtol=1e-3, atol=1e-4)
    exact, one = contenders["ours, exact"](), contenders["ours, one direction"]()
    assert abs(one.z_score(exact.mean)) < 5
    lengths = contenders["torch.func.jvp"]().double() * 64 / 65
    assert abs(Estimate.from_draws(lengths.tolist()).z_score(exact.mean)) < 5


@pytest.mark.parametrize("outputs", [1, 10])
def test_extra_memory(benchmark, results, measured_memory, outputs):
    task = {"width": 1024, "outputs": outputs, "rows": ROWS}
    found = {}

    def measure():
        found.update({name: round(measured_memory(task | {"method": name}), 1) for name in PEERS})

    benchmark.pedantic(measure, rounds=1, iterations=1)
    record = {"mebibytes": found, "settings": sizes(1024, outputs)}
    results.setdefault("memory", {})[f"outputs {outputs}"] = record
    benchmark.extra_info |= record


@pytest.mark.parametrize("outputs", [1, 10])
def test_variance_per_unit_of_time(benchmark, results, quick, outputs):
    """Variance over inputs of one network, of one direction per input over that of the exact mean."""
    assert_one_thread()
    width, depth = 256, 3
    x = digits(ROWS)
    model = network(width=width, depth=depth, outputs=outputs)
    stream = torch.Generator().manual_seed(0)
    timed = {
        "ours, exact": lambda: perturbation_stability(model, x),
        "ours, one direction": lambda: random_direction_stability(model, x, generator=stream),
    }
    seconds = interleaved(benchmark, timed, rounds=2 if quick else 41)
    gains = [variance_ratio(width, depth, outputs, x, index) for index in range(4 if quick else 32)]
    gain = Estimate.from_draws(gains)
    time_ratio = np.array(seconds["ours, exact"]) / np.array(seconds["ours, one direction"])
    record = {
        "gain": [rounded(gain.mean), rounded(gain.standard_error)],
        "networks": gain.num_draws,
        "time_ratio": quartiles(time_ratio),
        "gain_per_time": [rounded(v / np.median(time_ratio)) for v in (gain.mean, gain.standard_error)],
        "settings": sizes(width, outputs, depth) | {"data": "digits"},
    }
    results.setdefault("variance", {})[f"outputs {outputs}"] = record
    benchmark.extra_info |= record


def variance_ratio(width, depth, outputs, x, index):
    """Variance of one direction over the exact mean's, both of the mean over the same inputs."""
    stream = torch.Generator().manual_seed(index)
    model = network(width=width, depth=depth, outputs=outputs, member=index)
    exact, one = perturbation_stability(model, x), random_direction_stability(model, x, generator=stream)
    errors = [estimate.standard_error / estimate.mean * sqrt(estimate.num_draws) for estimate in (exact, one)]
    return (errors[1] / errors[0]) ** 2
