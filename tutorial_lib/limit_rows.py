"""Trained networks beside the prediction of their lazy limit: settings in, rows out."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

from torch import Tensor

from tutorial_lib.arguments import require_member
from tutorial_lib.data import Split
from tutorial_lib.estimates import Estimate
from tutorial_lib.experiments import random_networks, reference_stds
from tutorial_lib.initializations import INITIALIZATIONS
from tutorial_lib.laziness import kernel_drift, lazy_ratio
from tutorial_lib.lazy_limit import LazyLimit
from tutorial_lib.models import ReLUMLP
from tutorial_lib.stability import stability_per_input
from tutorial_lib.training import train


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
        value = self.predicted_stability
        return Estimate(
            self.stability.mean / value - 1, self.stability.standard_error / value, self.stability.num_draws
        )


def lazy_limit(scheme: str, split: Split, *, width: int, depth: int) -> tuple[LazyLimit, float]:
    """Return the lazy limit of a scheme and its learning rate, n / (2 x largest eigenvalue) of the reference kernel.

    The reference of LeCun is He, as in ``trained_rows``.
    """
    require_member(INITIALIZATIONS, scheme=scheme)
    sizes = {"input_dim": split.train_x.shape[1], "width": width}
    own, reference = INITIALIZATIONS[scheme](**sizes), reference_stds(scheme, **sizes)
    # One limit where both are the same: its eigenvalues are the costly part.
    limits = {
        stds: LazyLimit(split.train_x, split.train_y, stds=stds, width=width, depth=depth) for stds in {own, reference}
    }
    return limits[own], limits[reference].stable_learning_rate()


def rows_beside_limit(
    scheme: str, split: Split, *, width: int, depth: int, num_networks: int, record_at: Sequence[int], seed: int = 0
) -> list[LimitRow]:
    """Train networks with the learning rate of ``lazy_limit``; return a row for each step in ``record_at``.

    One output, one learning rate for all networks, full batch, mean half square, in the dtype of the data.
    """
    limit, rate = lazy_limit(scheme, split, width=width, depth=depth)
    train_x, train_y, test_x, _ = split
    sizes = {"input_dim": train_x.shape[1], "width": width, "depth": depth}
    networks = random_networks(scheme, **sizes, num_networks=num_networks, seed=seed).to(train_x)
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
        num_steps=max(record_at),
        record_at=record_at,
        measure=measure,
    )
    measured = ("stability", "loss", "lazy_ratio", "kernel_drift")
    return [
        LimitRow(
            num_steps=step,
            predicted_stability=limit.perturbation_stability(split.test_x, learning_rate=rate, num_steps=step).mean,
            predicted_loss=limit.training_loss(learning_rate=rate, num_steps=step),
            **{name: Estimate.from_draws(row[name].tolist()) for name in measured},
        )
        for row in result.rows
        if (step := int(row["step"])) in record_at
    ]
