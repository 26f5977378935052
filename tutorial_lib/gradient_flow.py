"""Training without a step size: gradient flow, solved to a stated tolerance, compared at equal loss.

Gradient descent with a large step leaves the flow dW/dt = -gradient, the more so the narrower and the
deeper the network, and a number of steps says nothing about what has been learnt. Here each network of an
ensemble takes steps of its own size, as long as the tolerance allows, and is measured when its loss on the
training rows first falls to each of several levels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from tutorial_lib.arguments import require_at_least, require_callable, require_positive
from tutorial_lib.models import ReLUMLP
from tutorial_lib.progress import progress
from tutorial_lib.training import (
    HALF_SQUARE,
    Loss,
    ensemble_weights,
    loss_and_gradients,
    require_labels,
    require_loss,
    require_trainable,
)

# What is measured of the networks that have just come down to a level; their places in the ensemble beside them.
MeasureAtLevel = Callable[[ReLUMLP, Int[Tensor, " some"]], dict[str, Float[Tensor, " some"]]]

# A step size changes at most by these factors from one step to the next.
_SMALLEST_FACTOR, _LARGEST_FACTOR, _SAFETY = 0.2, 2.0, 0.9


@dataclass(frozen=True)
class FlowRecord:
    """The record of a flow; the networks themselves are left where it ended, at the last level if they reached it.

    ``levels``: the training losses, in decreasing order. ``time``: when each network first reached each level, nan
    if it never did. ``measured``: what was measured at that moment, one entry per network and level, with nan in the
    same places. ``num_steps``: accepted steps of each network. ``stuck``: networks whose gradient vanished before the
    last level, such as dead ones. A network that neither arrived nor is stuck ran out of steps. A single network
    counts as an ensemble of one.
    """

    levels: tuple[float, ...]
    time: Float[Tensor, "networks levels"]
    measured: dict[str, Float[Tensor, "networks levels"]]
    num_steps: Int[Tensor, " networks"]
    stuck: Bool[Tensor, " networks"]

    @property
    def reached(self) -> Bool[Tensor, "networks levels"]:
        """Which networks came down to which levels."""
        return ~torch.isnan(self.time)


def require_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """Return ``levels`` as floats; raise unless they are one or more training losses that decrease."""
    if isinstance(levels, str | Tensor) or not isinstance(levels, Sequence) or len(levels) == 0:
        raise TypeError(f"levels must be a sequence of one or more training losses, such as [0.4, 0.1], got {levels!r}")
    for level in levels:
        require_positive(levels=level)
    if any(later >= earlier for earlier, later in zip(levels, levels[1:], strict=False)):
        raise ValueError(f"levels must decrease, the largest loss first, got {list(levels)}")
    return tuple(float(level) for level in levels)


def _norms(weights: Sequence[Float[Tensor, "networks ..."]]) -> Float[Tensor, " networks"]:
    """Return the length of all weights of each network together."""
    lengths: Tensor = torch.stack([weight.flatten(1).norm(dim=1) for weight in weights]).norm(dim=0)
    return lengths


def _each(values: Shaped[Tensor, " networks"]) -> Shaped[Tensor, "networks 1 1"]:
    return values.reshape(-1, 1, 1)


def follow_gradient_flow(
    networks: ReLUMLP,
    x: Float[Tensor, "batch dim"],
    y: Float[Tensor, "batch ..."],
    *,
    levels: Sequence[float],
    measure: MeasureAtLevel | None = None,
    tolerance: float = 0.01,
    max_steps: int = 20_000,
    loss: Loss = HALF_SQUARE,
) -> FlowRecord:
    r"""Train one network or an ensemble along dW/dt = -gradient of the mean loss, in place; return what was measured.

    Each network is measured when its loss on all rows first falls to each of ``levels``, and stops at the last one.
    A level above its loss at the start counts as reached at time 0. ``measure`` gets the networks that have just
    reached a level, and their places in the ensemble; it returns one number per network by name. ``loss``:
    ``HALF_SQUARE`` or ``CROSS_ENTROPY`` of ``tutorial_lib.training``.

    The flow is solved by Heun's method with a step size for each network. A step is accepted if its residuals on
    the training rows (outputs less labels for the half square, probabilities less labels for the cross-entropy)
    differ from those of Euler's step by at most ``tolerance``, as a root mean square over rows. The tolerance is not
    in the weights because there it would mean something different for each width and scheme: wide networks learn
    by moving little. When a step crosses a level, the weights are interpolated to the point where the loss
    equals that level.
    """
    levels = require_levels(levels)
    require_positive(tolerance=tolerance)
    require_at_least(1, max_steps=max_steps)
    if measure is not None:
        require_callable(measure=measure)
    require_trainable(networks, x=x)
    require_labels(networks, x, y)
    require_loss(networks, y, loss)
    x, y = x.detach(), y.detach().reshape(len(x), -1).to(x)
    flow = _Flow(networks, x, y, levels, measure, loss)
    for _ in progress(range(max_steps), "gradient flow"):
        if len(flow.members) == 0:
            break
        flow.advance(float(tolerance))
    flow.leave()
    return FlowRecord(levels, flow.level_times, flow.measured, flow.num_steps, flow.stuck)


class _Flow:
    """The networks that are still on their way, and what was seen of all of them."""

    def __init__(
        self,
        networks: ReLUMLP,
        x: Float[Tensor, "batch dim"],
        y: Float[Tensor, "batch outputs"],
        levels: tuple[float, ...],
        measure: MeasureAtLevel | None,
        loss: Loss,
    ) -> None:
        self.networks, self.x, self.y, self.loss = networks, x, y, loss
        self.levels, self.measure = levels, measure
        self.ensemble = ensemble_weights(networks)
        count = len(self.ensemble[0])
        # Of all networks.
        self.level_times = torch.full((count, len(levels)), nan, dtype=x.dtype, device=x.device)
        self.measured: dict[str, Tensor] = {}
        self.num_steps = torch.zeros(count, dtype=torch.long, device=x.device)
        self.stuck = torch.zeros(count, dtype=torch.bool, device=x.device)
        # Of those on their way.
        self.members = torch.arange(count, device=x.device)
        self.weights = [weight.clone() for weight in self.ensemble]
        self.losses, _, self.gradients = self.evaluate(self.weights)
        if not bool(torch.isfinite(self.losses).all()):
            raise ValueError("networks must have a finite loss at the start, got nan or infinity")
        self.time = torch.zeros_like(self.losses)
        # Small enough for any network; it doubles with each step that turns out to be accurate.
        smallest = torch.finfo(x.dtype).tiny
        self.step = 1e-6 * _norms(self.weights) / _norms(self.gradients).clamp(min=smallest)
        self.look(self.weights, self.losses, self.time)
        self.retire()

    def evaluate(self, weights: list[Tensor]) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return loss, residuals and gradients of networks with these weights."""
        return loss_and_gradients(weights, self.x, self.y, loss=self.loss, output_divisor=self.networks.output_divisor)

    def advance(self, tolerance: float) -> None:
        """Try one step of each network; those whose error is too large stay and take a smaller one next."""
        step = _each(self.step)
        euler = [weight - step * gradient for weight, gradient in zip(self.weights, self.gradients, strict=True)]
        _, euler_residuals, ahead = self.evaluate(euler)
        mean_slopes = [(now + later) / 2 for now, later in zip(self.gradients, ahead, strict=True)]
        heun = [weight - step * slope for weight, slope in zip(self.weights, mean_slopes, strict=True)]
        losses, residuals, gradients = self.evaluate(heun)
        error = (residuals - euler_residuals).square().sum(dim=2).mean(dim=1).sqrt() / tolerance
        accepted = (error <= 1) & torch.isfinite(losses)
        self.look(heun, losses.masked_fill(~accepted, torch.inf), self.time + self.step)
        self.weights = [torch.where(_each(accepted), *pair) for pair in zip(heun, self.weights, strict=True)]
        self.gradients = [torch.where(_each(accepted), *pair) for pair in zip(gradients, self.gradients, strict=True)]
        self.losses = torch.where(accepted, losses, self.losses)
        self.time = self.time + self.step * accepted
        self.num_steps[self.members] += accepted
        # The difference of Heun's step and Euler's grows with the square of its size; nan is as bad as it can be.
        factors = _SAFETY / error.nan_to_num(nan=torch.inf).clamp(min=1e-12).sqrt()
        self.step = self.step * factors.clamp(_SMALLEST_FACTOR, _LARGEST_FACTOR)
        self.retire()

    def look(self, ahead: list[Tensor], losses: Tensor, time: Tensor) -> None:
        """Measure those whose loss comes down to a level between where they are and ``ahead``, where it does."""
        for place, level in enumerate(self.levels):
            crossing = torch.isnan(self.level_times[self.members, place]) & (losses <= level)
            if not bool(crossing.any()):
                continue
            members = self.members[crossing]
            here, there = self.losses[crossing], losses[crossing]
            way = ((here - level) / (here - there)).nan_to_num(nan=0.0).clamp(0, 1)
            weights = [
                torch.lerp(start[crossing], end[crossing], _each(way))
                for start, end in zip(self.weights, ahead, strict=True)
            ]
            self.level_times[members, place] = torch.lerp(self.time[crossing], time[crossing], way)
            self._measure(weights, members, place)
            for everyone, weight in zip(self.ensemble, weights, strict=True):
                everyone[members] = weight

    def _measure(self, weights: list[Tensor], members: Tensor, place: int) -> None:
        if self.measure is None:
            return
        found = self.measure(ReLUMLP.from_weights(weights, output_divisor=self.networks.output_divisor), members)
        for name, values in found.items():
            table = self.measured.setdefault(name, torch.full_like(self.level_times, nan, dtype=torch.float64))
            table[members, place] = values.to(table)

    def retire(self) -> None:
        """Let go of networks that have arrived or cannot move; the others' weights are the ensemble's too."""
        arrived = ~torch.isnan(self.level_times[self.members, -1])
        stuck = ~arrived & (_norms(self.gradients) == 0)
        self.stuck[self.members[stuck]] = True
        if not bool((arrived | stuck).any()):
            return
        rest = ~(arrived | stuck)
        self.members, self.losses = self.members[rest], self.losses[rest]
        self.time, self.step = self.time[rest], self.step[rest]
        self.weights = [weight[rest] for weight in self.weights]
        self.gradients = [gradient[rest] for gradient in self.gradients]

    def leave(self) -> None:
        """Give the networks that did not arrive the weights that they have come to."""
        for everyone, weight in zip(self.ensemble, self.weights, strict=True):
            everyone[self.members] = weight
