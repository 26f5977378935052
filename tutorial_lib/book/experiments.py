"""The experiments behind the figures: a scheme's name, sizes and a seed in, numbers out."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from tutorial_lib.architecture import Architecture
from tutorial_lib.arguments import require_at_least
from tutorial_lib.book.data import Split
from tutorial_lib.estimates import Estimate
from tutorial_lib.exact import initial_perturbation_stability, mean_abs_coordinate
from tutorial_lib.initializations import LayerStds, stds_of_scheme
from tutorial_lib.laziness import kernel_drift, lazy_ratio, linearized_gradients, linearized_outputs
from tutorial_lib.lazy_limit import Descent, LazyLimit
from tutorial_lib.models import ReLUMLP
from tutorial_lib.randomness import random_stream
from tutorial_lib.stability import input_jacobians, perturbation_stability, stability_per_input
from tutorial_lib.tensors import require_finite, require_floating_point
from tutorial_lib.training import HALF_SQUARE, Loss, stable_learning_rate, train


def exact_stability(scheme: str, architecture: Architecture) -> float:
    """Return the exact P / radius before training of one of the talk's schemes."""
    return initial_perturbation_stability(stds_of_scheme(scheme, architecture), architecture)


def exact_by_width(
    scheme: str, widths: Sequence[int], *, input_dim: int, depth: int, output_dim: int = 1
) -> list[float]:
    """Return ``exact_stability`` at each of the widths."""
    sizes = {"input_dim": input_dim, "depth": depth, "output_dim": output_dim}
    return [exact_stability(scheme, Architecture(width=width, **sizes)) for width in widths]


def random_networks(scheme: str, architecture: Architecture, *, num_networks: int, seed: int = 0) -> ReLUMLP:
    """Return an ensemble of untrained networks of one of the talk's schemes, in float64.

    Schemes see the same Gaussians at equal sizes and seed, so their comparison is paired.
    """
    stds, shape = stds_of_scheme(scheme, architecture), architecture
    name = f"weights of {shape.input_dim}-{shape.width}-{shape.output_dim}, depth {shape.depth}"
    return ReLUMLP(stds, shape, num_networks=num_networks, generator=random_stream(seed, name))


def sampled_stability(
    scheme: str, x: Float[Tensor, "batch dim"], architecture: Architecture, *, num_networks: int, seed: int = 0
) -> Estimate:
    """Estimate P / radius before training at the inputs x; each network is one draw."""
    require_floating_point(x=x)
    networks = random_networks(scheme, architecture, num_networks=num_networks, seed=seed)
    return perturbation_stability(networks.to(x), x)


@dataclass(frozen=True)
class TrainedRow:
    """What training had made of several networks of one size after some steps; estimates are over networks."""

    scheme: str
    width: int
    depth: int
    num_steps: int
    stability: Estimate  # P / radius on the test inputs
    loss: Estimate  # on all training rows
    accuracy: Estimate  # fraction of test inputs with the right class
    lazy_ratio: Estimate
    num_reached: int  # networks at or below the target loss, if there is one
    num_dead: int  # networks whose output is 0 on every test input; they count, with P = 0


def reference_stds(scheme: str, architecture: Architecture) -> LayerStds:
    """Return the standard deviations whose kernel limits the learning rate: He's also for LeCun."""
    return stds_of_scheme("he" if scheme == "lecun" else scheme, architecture)


def architecture_for(split: Split, *, width: int, depth: int) -> Architecture:
    """Return the architecture of a network that takes the inputs of a data set and gives its labels."""
    outputs = 1 if split.train_y.ndim == 1 else split.train_y.shape[1]
    return Architecture(input_dim=split.train_x.shape[1], width=width, depth=depth, output_dim=outputs)


def require_split(split: Split) -> None:
    """Raise unless the data are finite, and labels of a single output have no axis of their own."""
    if split.train_y.ndim == 2 and split.train_y.shape[1] == 1:
        raise ValueError(f"split.train_y must be one label per row without an axis, got {tuple(split.train_y.shape)}")
    require_finite(**{f"split.{name}": values for name, values in split._asdict().items()})


def right_answers(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the fraction of inputs put into the right class: by sign for one output, else by the largest."""
    if labels.ndim == 1:
        return (outputs * labels > 0).double().mean(dim=-1)
    return (outputs.argmax(dim=-1) == labels.argmax(dim=-1)).double().mean(dim=-1)


def _networks_and_rates(
    scheme: str, split: Split, *, width: int, depth: int, num_networks: int, factor: float, seed: int
) -> tuple[ReLUMLP, Tensor]:
    """Untrained networks in the dtype of the data, with a learning rate for each."""
    shape = architecture_for(split, width=width, depth=depth)
    networks = random_networks(scheme, shape, num_networks=num_networks, seed=seed).to(split.train_x)
    reference = reference_stds(scheme, shape)
    return networks, stable_learning_rate(networks, split.train_x, reference=reference, factor=factor)


def trained_rows(
    scheme: str,
    split: Split,
    *,
    width: int,
    depth: int,
    num_networks: int,
    record_at: Sequence[int],
    target_loss: float | None = None,
    loss: Loss = HALF_SQUARE,
    factor: float = 0.5,
    batch_size: int | None = None,
    seed: int = 0,
) -> list[TrainedRow]:
    """Train networks by gradient descent; return a row for each step in ``record_at``.

    With ``target_loss`` each network stops when it gets there, and there is one row, the last.
    With ``batch_size`` a step sees that many rows; a seed has one order of them for all schemes,
    sizes and networks. Learning rates by ``stable_learning_rate`` with ``factor``, one per network.
    In the dtype of the data: float64 unless it was changed, since narrow networks amplify rounding. Raises
    ``DivergedError`` if a network diverged: its numbers are in no mean.
    """
    _require_steps(record_at)
    require_split(split)
    if batch_size is not None and target_loss is not None:
        raise ValueError(f"target_loss needs the loss on all rows at each step, so no batch_size, got {batch_size}")
    train_x, train_y, test_x, test_y = split
    sizes = {"width": width, "depth": depth, "num_networks": num_networks}
    networks, rates = _networks_and_rates(scheme, split, **sizes, factor=factor, seed=seed)
    initial = deepcopy(networks)

    def measure(networks: ReLUMLP) -> dict[str, Tensor]:
        with torch.no_grad():
            answers, fitted = networks(test_x), networks(train_x)
        losses = loss.values(fitted.reshape(num_networks, len(train_x), -1), train_y.reshape(len(train_x), -1))
        return {
            "loss": losses.mean(dim=1),  # replaces that of the step, which sees one batch only
            "stability": stability_per_input(networks, test_x).mean(dim=1),
            "accuracy": right_answers(answers, test_y),
            "lazy_ratio": lazy_ratio(initial, networks),
            "dead": (answers == 0).flatten(1).all(dim=1),
        }

    result = train(
        networks,
        train_x,
        train_y,
        learning_rate=rates,
        num_steps=max(1, *record_at),
        record_at=record_at,
        measure=measure,
        target_loss=target_loss,
        loss=loss,
        batch_size=batch_size,
        generator=random_stream(seed, f"batches of {batch_size} out of {len(train_x)}"),
    )
    wanted = [row for row in result.rows if int(row["step"]) in record_at]
    return [
        TrainedRow(
            scheme=scheme,
            width=width,
            depth=depth,
            num_steps=int(row["step"]),
            num_reached=int(result.reached.sum()),
            num_dead=int(row["dead"].sum()),
            **{
                name: Estimate.from_draws(row[name].tolist())
                for name in ("stability", "loss", "accuracy", "lazy_ratio")
            },
        )
        for row in (wanted if target_loss is None else result.rows[-1:])
    ]


def _require_steps(record_at: Sequence[int]) -> None:
    """Raise unless there is a step to record, and every one can come."""
    if len(record_at) == 0:
        raise ValueError("record_at must hold at least one step, got none")
    for step in record_at:
        require_at_least(0, record_at=step)


def trained_networks(
    scheme: str,
    split: Split,
    *,
    width: int,
    depth: int,
    num_networks: int,
    num_steps: int,
    target_loss: float | None = None,
    factor: float = 0.5,
    seed: int = 0,
) -> tuple[ReLUMLP, ReLUMLP]:
    """Return networks before and after the training of ``trained_rows``, for what its rows do not hold.

    In the dtype of the data, mean half square. Raises ``DivergedError`` if a network diverged.
    """
    sizes = {"width": width, "depth": depth, "num_networks": num_networks}
    networks, rates = _networks_and_rates(scheme, split, **sizes, factor=factor, seed=seed)
    initial = deepcopy(networks)
    result = train(
        networks, split.train_x, split.train_y, learning_rate=rates, num_steps=num_steps, target_loss=target_loss
    )
    result.require_all_finite()
    return initial, networks


@dataclass(frozen=True)
class LimitRow:
    """Networks of one size after some steps, beside the prediction of their lazy limit; estimates are over networks."""

    num_steps: int
    predicted_stability: float  # P / radius on the test inputs
    stability: Estimate
    predicted_loss: float  # mean over initial weights, on the training rows
    loss: Estimate
    lazy_ratio: Estimate
    kernel_drift: Estimate  # on the training rows

    @property
    def gap(self) -> Estimate:
        """P trained over P predicted, minus 1."""
        return self.stability / self.predicted_stability - 1


def limit_and_learning_rate(scheme: str, split: Split, *, width: int, depth: int) -> tuple[LazyLimit, float]:
    """Return the lazy limit of a scheme and its learning rate, n / (2 x largest eigenvalue) of the reference kernel.

    The reference of LeCun is He, as in ``trained_rows``.
    """
    shape = architecture_for(split, width=width, depth=depth)
    own, reference = stds_of_scheme(scheme, shape), reference_stds(scheme, shape)
    # One limit where both are the same: its eigenvalues are the costly part.
    limits = {stds: LazyLimit(split.train_x, split.train_y, stds, shape) for stds in {own, reference}}
    return limits[own], limits[reference].stable_learning_rate()


def rows_beside_limit(
    scheme: str, split: Split, *, width: int, depth: int, num_networks: int, record_at: Sequence[int], seed: int = 0
) -> list[LimitRow]:
    """Train networks beside their lazy limit, with its learning rate; return a row for each step in ``record_at``.

    One output, one learning rate for all networks, full batch, mean half square, in the dtype of the data.
    """
    _require_steps(record_at)
    limit, rate = limit_and_learning_rate(scheme, split, width=width, depth=depth)
    train_x, train_y, test_x, _ = split
    networks = random_networks(scheme, limit.architecture, num_networks=num_networks, seed=seed).to(train_x)
    initial = deepcopy(networks)

    def measure(networks: ReLUMLP) -> dict[str, Tensor]:
        return {
            "stability": stability_per_input(networks, test_x).mean(dim=1),
            "lazy_ratio": lazy_ratio(initial, networks),
            "kernel_drift": kernel_drift(initial, networks, train_x),
        }

    result = train(
        networks,
        train_x,
        train_y,
        learning_rate=rate,
        num_steps=max(1, *record_at),
        record_at=record_at,
        measure=measure,
    )
    measured = ("stability", "loss", "lazy_ratio", "kernel_drift")
    return [
        LimitRow(
            num_steps=step,
            predicted_stability=limit.perturbation_stability(split.test_x, Descent(rate, step)).mean,
            predicted_loss=limit.training_loss(Descent(rate, step)),
            **{name: Estimate.from_draws(row[name].tolist()) for name in measured},
        )
        for row in result.rows
        if (step := int(row["step"])) in record_at
    ]


@dataclass(frozen=True)
class LinearizedRow:
    """Networks of one size after some steps, beside their own linearizations; estimates are over networks."""

    predicted_stability: float  # P / radius on the test inputs, in the limit
    stability: Estimate
    predicted_linearized: float  # the same for linearizations
    linearized: Estimate
    share: Estimate  # linearized over trained
    output_distance: Estimate  # root mean square over test inputs, relative to that of the trained network
    gradient_distance: Estimate
    num_flips: Estimate  # first-layer masks that training flipped, per test input


def row_beside_linearization(
    scheme: str, split: Split, *, width: int, depth: int, num_networks: int, num_steps: int, seed: int = 0
) -> LinearizedRow:
    """Train networks and their linearizations alike, with the learning rate of ``limit_and_learning_rate``.

    One output, full batch, mean half square, in float64.
    """
    limit, rate = limit_and_learning_rate(scheme, split, width=width, depth=depth)
    settings: dict[str, Any] = {"learning_rate": rate, "num_steps": num_steps}
    trained = random_networks(scheme, limit.architecture, num_networks=num_networks, seed=seed)
    initial = deepcopy(trained)
    train(trained, split.train_x, split.train_y, **settings).require_all_finite()
    arguments = (initial, split.train_x, split.train_y, split.test_x)
    slopes = linearized_gradients(*arguments, **settings)
    stability = stability_per_input(trained, split.test_x).mean(dim=1)
    linearized = mean_abs_coordinate(limit.architecture.input_dim) * slopes.norm(dim=2).mean(dim=1)
    with torch.no_grad():
        outputs = trained(split.test_x)
    start, end = (split.test_x @ model.weights[0].detach().mT > 0 for model in (initial, trained))
    descent = Descent(rate, num_steps)
    measured = {
        "stability": stability,
        "linearized": linearized,
        "share": linearized / stability,
        "output_distance": _relative_distance(outputs, linearized_outputs(*arguments, **settings)),
        "gradient_distance": _relative_distance(input_jacobians(trained, split.test_x).squeeze(2), slopes),
        "num_flips": (start ^ end).sum(dim=2).double().mean(dim=1),
    }
    return LinearizedRow(
        predicted_stability=limit.perturbation_stability(split.test_x, descent).mean,
        predicted_linearized=limit.perturbation_stability(split.test_x, descent, linearized=True).mean,
        **{name: Estimate.from_draws(values.tolist()) for name, values in measured.items()},
    )


def _relative_distance(
    values: Float[Tensor, "networks ..."], others: Float[Tensor, "networks ..."]
) -> Float[Tensor, " networks"]:
    distances: Tensor = (values - others).flatten(1).norm(dim=1) / values.flatten(1).norm(dim=1)
    return distances
