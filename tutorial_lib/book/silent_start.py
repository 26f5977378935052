"""Two-layer networks that start with weights of size m^-c, compared at equal training loss along gradient flow."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import nan

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tutorial_lib.arguments import require_positive
from tutorial_lib.book.data import Split
from tutorial_lib.book.experiments import architecture_for, require_split, right_answers
from tutorial_lib.estimates import Estimate
from tutorial_lib.gradient_flow import follow_gradient_flow
from tutorial_lib.laziness import lazy_ratio
from tutorial_lib.models import ReLUMLP
from tutorial_lib.phase_diagram import networks_at, occupied_directions
from tutorial_lib.randomness import random_stream
from tutorial_lib.stability import stability_per_input
from tutorial_lib.training import train


@dataclass(frozen=True)
class SilentRow:
    """What networks of one exponent and width were like when their training loss had come down to a level.

    Estimates are over the ``num_reached`` networks that got there, nan if there are none.
    """

    exponent: float  # c: all weights start with standard deviation width^-c
    width: int
    level: float  # training loss
    num_networks: int
    num_reached: int
    time: Estimate  # of the flow
    stability: Estimate  # P / radius on the test inputs
    accuracy: Estimate  # fraction of test inputs with the right sign
    lazy_ratio: Estimate
    directions: Estimate  # occupied_directions
    size: Estimate  # sum over neurons of abs(a_k) ||w_k||


_MEASURED = ("stability", "accuracy", "lazy_ratio", "directions", "size")


def _estimate(values: Tensor) -> Estimate:
    return Estimate.from_draws(values.double().numpy()) if len(values) > 0 else Estimate(nan, nan, 0)


def silent_networks(
    exponents: Sequence[float], split: Split, *, width: int, num_networks: int, seed: int = 0
) -> ReLUMLP:
    """Return two-layer networks with weights of size width^-c, ``num_networks`` for each c, in the dtype of the data.

    All exponents share their Gaussians, so they differ by the scale of the start alone.
    """
    require_split(split)
    shape = architecture_for(split, width=width, depth=2)
    stream = random_stream(seed, f"silent start, width {width}")
    points = [(2 * exponent, 0.0) for exponent in exponents]  # on the plane of phase_diagram
    return networks_at(points, shape, num_networks=num_networks, generator=stream).to(split.train_x)


def stability_over_time(
    exponents: Sequence[float],
    split: Split,
    *,
    width: int,
    num_networks: int,
    times: Sequence[float],
    step: float,
    seed: int = 0,
) -> npt.NDArray[np.float64]:
    """Return P / radius on the test inputs by time, exponent and network, along gradient descent on all rows.

    ``times`` are multiples of ``step``, which is the learning rate: one step takes that much time.
    """
    require_positive(step=step)
    record_at = [round(time / step) for time in times]
    if any(abs(steps * step - time) > 1e-9 * step for steps, time in zip(record_at, times, strict=True)):
        raise ValueError(f"times must be multiples of step = {step}, got {list(times)}")
    networks = silent_networks(exponents, split, width=width, num_networks=num_networks, seed=seed)
    record = train(
        networks,
        split.train_x,
        split.train_y,
        learning_rate=step,
        num_steps=max(record_at),
        record_at=record_at,
        measure=lambda now: {"stability": stability_per_input(now, split.test_x).mean(dim=1)},
    )
    values = {int(row["step"]): row["stability"].double().numpy() for row in record.rows}
    return np.array([values[steps] for steps in record_at]).reshape(len(times), len(exponents), num_networks)


def silent_rows(
    exponent: float,
    split: Split,
    *,
    width: int,
    num_networks: int,
    levels: Sequence[float],
    tolerance: float = 0.01,
    max_steps: int = 20_000,
    seed: int = 0,
) -> list[SilentRow]:
    """Follow gradient flow from weights of size width^-exponent in both layers; return a row for each level.

    In the dtype of the data; networks of ``silent_networks``. Settings as in ``follow_gradient_flow``.
    """
    networks = silent_networks([exponent], split, width=width, num_networks=num_networks, seed=seed)
    initial = deepcopy(networks)

    def measure(now: ReLUMLP, members: Tensor) -> dict[str, Tensor]:
        start = ReLUMLP.from_weights([weight.detach()[members] for weight in initial.weights])
        with torch.no_grad():
            answers = now(split.test_x)
            inner, outer = now.weights
            size = (inner.norm(dim=2) * outer.norm(dim=1)).sum(dim=1)
        return {
            "stability": stability_per_input(now, split.test_x).mean(dim=1),
            "accuracy": right_answers(answers, split.test_y),
            "lazy_ratio": lazy_ratio(start, now),
            "directions": occupied_directions(now),
            "size": size,
        }

    settings = {"levels": levels, "tolerance": tolerance, "max_steps": max_steps}
    flowed = follow_gradient_flow(networks, split.train_x, split.train_y, measure=measure, **settings)  # type: ignore[arg-type]
    nobody = torch.full_like(flowed.time, nan)
    tables = {name: flowed.measured.get(name, nobody) for name in _MEASURED} | {"time": flowed.time}
    rows = []
    for place, level in enumerate(flowed.levels):
        reached = flowed.reached[:, place]
        counts = {"num_networks": num_networks, "num_reached": int(reached.sum())}
        estimates = {name: _estimate(table[reached, place]) for name, table in tables.items()}
        rows.append(SilentRow(float(exponent), width, level, **counts, **estimates))  # type: ignore[arg-type]
    return rows
