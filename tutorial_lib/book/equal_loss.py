"""Networks compared at equal training loss: along gradient flow, or as optimizers that people use bring them there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from math import nan

import torch
from torch import Tensor

from tutorial_lib.arguments import require_at_least, require_member
from tutorial_lib.book.data import Split
from tutorial_lib.book.experiments import (
    architecture_for,
    random_networks,
    reference_stds,
    require_split,
    right_answers,
)
from tutorial_lib.estimates import Estimate
from tutorial_lib.gradient_flow import follow_gradient_flow, require_levels
from tutorial_lib.laziness import lazy_ratio
from tutorial_lib.models import ReLUMLP
from tutorial_lib.progress import progress
from tutorial_lib.randomness import random_stream
from tutorial_lib.stability import stability_per_input
from tutorial_lib.training import HALF_SQUARE, Loss, stable_learning_rate


@dataclass(frozen=True)
class LevelRow:
    """What networks of one size were like when their training loss had come down to a level, or after an epoch.

    Estimates are over the ``num_reached`` networks that got there, dead ones (0 on every test input) too, with
    P = 0. An estimate is nan, with 0 draws, if there are none, or if one of them has no such number: a mean over the
    others would be one of other networks than those of the rest of the row.
    """

    scheme: str
    width: int
    depth: int
    method: str  # "flow", or one of OPTIMIZERS
    level: float  # training loss; nan in the row of an epoch
    epoch: int  # 0 in the row of a level
    num_networks: int
    num_reached: int
    time: Estimate  # of the flow; nan for an optimizer
    steps: Estimate  # of the optimizer; for the flow the time in steps of stable_learning_rate, a quarter of the limit
    loss: Estimate  # mean over all training rows
    stability: Estimate  # P / radius on the test inputs
    over_lead: Estimate  # P / radius over the mean of ``leads`` on the test inputs; a dead network has none
    accuracy: Estimate  # fraction of test inputs with the right class
    lazy_ratio: Estimate


_MEASURED = ("loss", "stability", "over_lead", "accuracy", "lazy_ratio")


def leads(outputs: Tensor, num_outputs: int) -> Tensor:
    """Return how far the answer leads at each input: |f| for one output, else the first less the second."""
    if num_outputs == 1:
        return outputs.abs()
    first, second = outputs.topk(2, dim=-1).values.unbind(dim=-1)
    return first - second


def _training_losses(networks: ReLUMLP, split: Split, loss: Loss) -> Tensor:
    rows = len(split.train_x)
    with torch.no_grad():
        outputs = networks(split.train_x).reshape(-1, rows, networks.output_dim)
    return loss.values(outputs, split.train_y.reshape(rows, -1)).mean(dim=1)


def _members(networks: ReLUMLP, members: Tensor) -> ReLUMLP:
    return ReLUMLP.from_weights([weight.detach()[members] for weight in networks.weights])


def _measure(networks: ReLUMLP, initial: ReLUMLP, split: Split, losses: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        answers = networks(split.test_x)
    stability = stability_per_input(networks, split.test_x).mean(dim=1)
    return {
        "loss": losses,
        "stability": stability,
        "over_lead": stability / leads(answers, networks.output_dim).double().mean(dim=1),
        "accuracy": right_answers(answers, split.test_y),
        "lazy_ratio": lazy_ratio(initial, networks),
    }


def _estimate(values: Tensor) -> Estimate:
    """Return the mean over networks, nan if there are none or one has no number."""
    known = len(values) > 0 and not bool(torch.isnan(values).any())
    return Estimate.from_draws(values.double().numpy()) if known else Estimate(nan, nan, 0)


def _row(shared: Mapping[str, object], tables: Mapping[str, Tensor], place: int, level: float, epoch: int) -> LevelRow:
    """Return one row of tables that have an entry, or nan, for each network and place."""
    reached = ~torch.isnan(tables["loss"][:, place])
    counts = {"epoch": epoch, "num_networks": len(reached), "num_reached": int(reached.sum())}
    estimates = {name: _estimate(table[reached, place]) for name, table in tables.items()}
    return LevelRow(**shared, level=level, **counts, **estimates)  # type: ignore[arg-type]


def _start(
    scheme: str, split: Split, *, width: int, depth: int, num_networks: int, seed: int
) -> tuple[ReLUMLP, Tensor]:
    """Return networks before training, in the dtype of the data, and the stable learning rate of each."""
    require_split(split)
    shape = architecture_for(split, width=width, depth=depth)
    networks = random_networks(scheme, shape, num_networks=num_networks, seed=seed).to(split.train_x)
    return networks, stable_learning_rate(networks, split.train_x, reference=reference_stds(scheme, shape))


def flow_rows(
    scheme: str,
    split: Split,
    *,
    width: int,
    depth: int,
    num_networks: int,
    levels: Sequence[float],
    loss: Loss = HALF_SQUARE,
    tolerance: float = 0.01,
    max_steps: int = 20_000,
    seed: int = 0,
) -> list[LevelRow]:
    """Follow gradient flow from networks of a scheme; return a row for each level of the training loss.

    In the dtype of the data. Networks that do not come down to a level are in no mean of its row, which counts those
    that do. Between two steps of the solver weights are interpolated: a loss meets its level closely, not exactly.
    Settings as in ``follow_gradient_flow``.
    """
    sizes = {"width": width, "depth": depth, "num_networks": num_networks}
    networks, rates = _start(scheme, split, **sizes, seed=seed)
    initial = deepcopy(networks)
    flowed = follow_gradient_flow(
        networks,
        split.train_x,
        split.train_y,
        levels=levels,
        measure=lambda some, members: _measure(
            some, _members(initial, members), split, _training_losses(some, split, loss)
        ),
        tolerance=tolerance,
        max_steps=max_steps,
        loss=loss,
    )
    nothing = torch.full_like(flowed.time, nan)
    tables = {name: flowed.measured.get(name, nothing) for name in _MEASURED}
    tables |= {"time": flowed.time, "steps": flowed.time / rates.unsqueeze(1)}
    shared = {"scheme": scheme, "width": width, "depth": depth, "method": "flow"}
    return [_row(shared, tables, place, level, 0) for place, level in enumerate(flowed.levels)]


def networks_at_level(
    scheme: str,
    split: Split,
    *,
    width: int,
    depth: int,
    num_networks: int,
    level: float,
    tolerance: float = 0.01,
    max_steps: int = 20_000,
    seed: int = 0,
) -> tuple[ReLUMLP, ReLUMLP, Tensor]:
    """Follow gradient flow from networks of a scheme to a training loss, the mean half square.

    Return the networks before training, the networks there, and the times, for what the rows of ``flow_rows`` do not
    hold; at equal settings the networks are the same. The time of a network that does not come down to ``level`` is
    nan, and its weights are those that it ended with.
    """
    networks, _ = _start(scheme, split, width=width, depth=depth, num_networks=num_networks, seed=seed)
    initial = deepcopy(networks)
    flowed = follow_gradient_flow(
        networks, split.train_x, split.train_y, levels=[level], tolerance=tolerance, max_steps=max_steps
    )
    return initial, networks, flowed.time[:, 0]


# Of weights and the stable learning rates: an optimizer, and a factor for the loss of each network.
_Maker = Callable[[list[Tensor], Tensor], tuple[torch.optim.Optimizer, Tensor]]


def _descent(part: float) -> _Maker:
    # One rate for all weights, so each network takes its own from its loss.
    return lambda weights, stable: (torch.optim.SGD(weights, lr=1.0), part * stable)


def _adam(rate: float) -> _Maker:
    return lambda weights, stable: (torch.optim.Adam(weights, lr=rate), torch.ones_like(stable))


@dataclass(frozen=True)
class Optimizer:
    """How an optimizer that people use takes a step; without ``batch_size`` on all rows."""

    batch_size: int | None
    make: _Maker


# The stable step is ``stable_learning_rate`` with factor 1: n over the largest eigenvalue of the tangent kernel. From
# twice of it on, linearized training diverges.
OPTIMIZERS: Mapping[str, Optimizer] = {
    "half the stable step": Optimizer(None, _descent(0.5)),
    "a twentieth of it": Optimizer(None, _descent(0.05)),
    "batches of 32": Optimizer(32, _descent(0.1)),
    "batches of 8": Optimizer(8, _descent(0.1)),
    "Adam": Optimizer(32, _adam(1e-3)),
}


def optimizer_rows(
    scheme: str,
    split: Split,
    *,
    width: int,
    depth: int,
    num_networks: int,
    method: str,
    max_epochs: int,
    levels: Sequence[float] = (),
    epochs: Sequence[int] = (),
    loss: Loss = HALF_SQUARE,
    seed: int = 0,
) -> list[LevelRow]:
    """Train with one of ``OPTIMIZERS``; return a row for each level of the training loss, then for each epoch.

    A network belongs to a level when its loss on all training rows is first seen at or below it: before training and
    after every quarter of an epoch, or every step if an epoch has fewer. So a loss may be far below its level. A
    network whose loss, on a batch or on all rows, was once not finite belongs to no level and no epoch after that.
    Training ends when nothing more can be seen, after ``max_epochs`` at the latest. In the dtype of the data; a seed
    has one order of rows for all schemes, sizes and networks.
    """
    require_member(OPTIMIZERS, method=method)
    require_at_least(1, max_epochs=max_epochs)
    moments = _moments(levels, epochs, max_epochs)
    sizes = {"width": width, "depth": depth, "num_networks": num_networks}
    networks, rates = _start(scheme, split, **sizes, seed=seed)
    initial = deepcopy(networks)
    seen = {name: torch.full((num_networks, len(moments)), nan).double() for name in ("time", "steps", *_MEASURED)}
    sound = torch.ones(num_networks, dtype=torch.bool)
    for step, epoch, finite in _train(networks, split, OPTIMIZERS[method], 2 * rates, max_epochs, loss, seed):
        losses = _training_losses(networks, split, loss)
        sound = sound & finite & torch.isfinite(losses)
        for place, (level, wanted) in enumerate(moments):
            there = losses <= level if wanted == 0 else torch.full_like(sound, epoch == wanted)
            members = (there & sound & torch.isnan(seen["loss"][:, place])).nonzero().flatten()
            if len(members):
                some = _members(networks, members), _members(initial, members)
                measured = _measure(*some, split, losses[members]) | {"steps": torch.full((len(members),), step)}
                for name, values in measured.items():
                    seen[name][members, place] = values.double()
        if not bool(torch.isnan(seen["loss"][sound]).any()):
            break
    shared = {"scheme": scheme, "width": width, "depth": depth, "method": method}
    return [_row(shared, seen, place, *moment) for place, moment in enumerate(moments)]


def _moments(levels: Sequence[float], epochs: Sequence[int], max_epochs: int) -> list[tuple[float, int]]:
    """Return the moments to look for, as the level and the epoch of their rows; raise where none can come."""
    if isinstance(epochs, str) or not isinstance(epochs, Sequence):
        raise TypeError(f"epochs must be a sequence of numbers of epochs, got {epochs!r}")
    for epoch in epochs:
        require_at_least(1, epochs=epoch)
    if any(later <= earlier for earlier, later in pairwise((*epochs, max_epochs + 1))):
        raise ValueError(f"epochs must rise, up to max_epochs = {max_epochs}, got {list(epochs)}")
    only_epochs = len(epochs) > 0 and isinstance(levels, Sequence) and len(levels) == 0
    falling = () if only_epochs else require_levels(levels)
    return [(level, 0) for level in falling] + [(nan, int(epoch)) for epoch in epochs]


def _train(
    networks: ReLUMLP, split: Split, optimizer: Optimizer, stable: Tensor, max_epochs: int, loss: Loss, seed: int
) -> Iterator[tuple[int, int, Tensor]]:
    """Train in place; yield steps and whole epochs taken, and which networks have had finite losses on all batches."""
    rows, labels = len(split.train_x), split.train_y.reshape(len(split.train_y), -1)
    size = optimizer.batch_size or rows
    order = random_stream(seed, f"batches of {size} out of {rows}")
    steps_of, scale = optimizer.make(list(networks.weights), stable)
    finite = torch.ones_like(stable, dtype=torch.bool)
    yield 0, 0, finite
    step, per_epoch = 0, -(-rows // size)
    for epoch in progress(range(max_epochs), "epochs"):
        batches = torch.split(torch.randperm(rows, generator=order), size)
        for place, batch in enumerate(batches, start=1):
            steps_of.zero_grad()
            outputs = networks(split.train_x[batch])
            losses = loss.values(outputs.reshape(*outputs.shape[:2], -1), labels[batch]).mean(dim=1)
            (losses * scale).sum().backward()  # type: ignore[no-untyped-call]
            steps_of.step()
            finite = finite & torch.isfinite(losses)
            step += 1
            if 4 * place % per_epoch < 4:  # a quarter has just been passed
                yield step, epoch + (place == per_epoch), finite
