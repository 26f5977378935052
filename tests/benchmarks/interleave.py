"""Contenders timed in turn, so that a slow moment of the machine strikes all of them alike."""

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

# CPU seconds of the process. It has one thread, so on a quiet machine they are the seconds of the
# clock; on a busy one the waiting does not count.
CLOCK = time.process_time
Contenders = Mapping[str, Callable[[], object]]
Seconds = dict[str, list[float]]


def interleaved(benchmark, contenders: Contenders, *, rounds: int, scale: Mapping[str, float] = {}) -> Seconds:
    """Time every contender once a round, in an order that turns round each time.

    ``scale`` multiplies the seconds of a contender that does only a part of the work.
    """
    seconds: Seconds = {name: [] for name in contenders}
    names = list(contenders)

    def one_round():
        for name in names:
            start = CLOCK()
            contenders[name]()
            seconds[name].append((CLOCK() - start) * scale.get(name, 1))
        names.reverse()

    benchmark.pedantic(one_round, rounds=rounds, iterations=1, warmup_rounds=1)
    return {name: values[1:] for name, values in seconds.items()}


def rounded(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")


def quartiles(values) -> list[float]:
    """Return lower quartile, median, upper quartile."""
    return [rounded(value) for value in np.percentile(values, [25, 50, 75])]


def ratios(seconds: Seconds, reference: str) -> dict[str, list[float]]:
    """Quartiles of the seconds of each contender over those of ``reference`` in the same round."""
    base = np.array(seconds[reference])
    return {name: quartiles(np.array(values) / base) for name, values in seconds.items()}


def summary(seconds: Seconds, reference: str) -> dict[str, dict[str, list[float]]]:
    """Seconds and ratios of each contender, as quartiles."""
    over = ratios(seconds, reference)
    return {name: {"seconds": quartiles(values), "ratio": over[name]} for name, values in seconds.items()}


def slope(sizes, values) -> list[float]:
    """Slope of log(value) against log(size) by least squares, with its standard error."""
    x, y = np.log(sizes), np.log(values)
    x = x - x.mean()
    gradient = (x * y).sum() / (x * x).sum()
    residuals = y - y.mean() - gradient * x
    error = np.sqrt((residuals**2).sum() / (len(x) - 2) / (x * x).sum())
    return [rounded(gradient), rounded(error)]


class MatrixProducts(TorchDispatchMode):
    """Count the floating-point operations of the matrix products that torch runs."""

    def __init__(self):
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ARG002
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        self.flops += 0 if count is None else count(*args, **(kwargs or {}), out_val=result)
        return result


def flops(contender: Callable[[], object]) -> int:
    """Floating-point operations in matrix products of one call."""
    with MatrixProducts() as products:
        contender()
    return products.flops


def assert_one_thread() -> None:
    """Ratios at several threads would compare schedulers."""
    assert torch.get_num_threads() == 1
