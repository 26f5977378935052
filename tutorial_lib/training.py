"""Gradient descent on many ReLU networks at once, by hand-written backward passes.

Each member of an ensemble has its own learning rate and stops on its own: at the target loss it
keeps its weights from then on, bit for bit; one that diverged may hold nan.
"""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from math import inf

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor
from tqdm.auto import tqdm

from tutorial_lib.arguments import require_at_least, require_positive
from tutorial_lib.initializations import LayerStds
from tutorial_lib.kernels import ntk
from tutorial_lib.models import ReLUMLP, mask_

Measure = Callable[[ReLUMLP], dict[str, Tensor]]


@dataclass(frozen=True)
class Loss:
    """A loss per row, averaged over rows, and its derivative by the outputs."""

    values: Callable[[Tensor, Tensor], Tensor]
    residuals: Callable[[Tensor, Tensor], Tensor]


HALF_SQUARE = Loss(
    lambda outputs, labels: (outputs - labels).square().sum(dim=-1) / 2,
    lambda outputs, labels: outputs - labels,
)
CROSS_ENTROPY = Loss(
    lambda outputs, labels: -(labels * torch.log_softmax(outputs, dim=-1)).sum(dim=-1),
    lambda outputs, labels: torch.softmax(outputs, dim=-1) - labels,
)


@dataclass(frozen=True)
class Training:
    """What a training run left behind; the networks themselves were trained in place.

    ``rows``: one dictionary per recorded step with "step", "loss" and what was measured;
    ``diverged_at``: step at which the loss ceased to be finite, or -1; ``dead``: all outputs on the
    training rows are 0 at the end. A single network counts as an ensemble of one.
    """

    rows: list[dict[str, Tensor]]
    reached: Bool[Tensor, " networks"]
    diverged_at: Int[Tensor, " networks"]
    dead: Bool[Tensor, " networks"]


def _ensemble_weights(networks: ReLUMLP) -> list[Float[Tensor, "networks rows columns"]]:
    """Views of the weights with an axis of networks, so that one network is an ensemble of one."""
    return [w.data if w.ndim == 3 else w.data.unsqueeze(0) for w in networks.weights]


def _forward(weights: Sequence[Tensor], x: Tensor) -> tuple[list[Tensor], Tensor]:
    """Inputs of each weight matrix, and the output of the last one."""
    layers = [x.expand(len(weights[0]), *x.shape)]
    for weight in weights[:-1]:
        layers.append(torch.bmm(layers[-1], weight.mT).relu_())
    return layers, torch.bmm(layers[-1], weights[-1].mT)


def _signals(weights: Sequence[Tensor], layers: Sequence[Tensor], last: Tensor) -> list[Tensor]:
    """Derivatives by what each weight matrix puts out, from the first to the last."""
    signals = [last]
    for weight, layer in zip(weights[:0:-1], layers[:0:-1], strict=True):
        signals.append(mask_(torch.bmm(signals[-1], weight), layer))
    return signals[::-1]


def _batches(num_rows: int, batch_size: int | None, generator: Generator | None) -> Iterator[Tensor | slice]:
    """Yield all rows for ever, or blocks of one random order of the rows after another."""
    while batch_size is None:
        yield slice(None)
    require_at_least(1, batch_size=batch_size)
    if generator is None:
        raise ValueError("batch_size needs a generator to draw the batches from, got None")
    while True:
        yield from torch.split(torch.randperm(num_rows, generator=generator), batch_size)


def _require_data(networks: ReLUMLP, x: Tensor, y: Tensor) -> None:
    weight: Tensor = networks.weights[-1]
    if x.ndim != 2 or x.shape[1] != networks.input_dim or len(x) == 0:
        raise ValueError(f"x must have shape (batch, {networks.input_dim}) and not be empty, got {tuple(x.shape)}")
    if (x.dtype, x.device) != (weight.dtype, weight.device):
        raise ValueError(f"x must be {weight.dtype} on {weight.device} like the weights, got {x.dtype} on {x.device}")
    for name, values in (("x", x), ("y", y)):
        if not bool(torch.isfinite(values).all()):
            raise ValueError(f"{name} must be finite, got nan or infinity")
    wanted = (len(x),) if weight.shape[-2] == 1 else (len(x), weight.shape[-2])
    if tuple(y.shape) not in (wanted, (len(x), weight.shape[-2])):
        raise ValueError(f"y must have shape {wanted}, one label per row of x, got {tuple(y.shape)}")


def _rates(learning_rate: float | Tensor, num_networks: int, like: Tensor) -> Float[Tensor, " networks"]:
    rates = torch.as_tensor(learning_rate, dtype=like.dtype, device=like.device)
    if rates.shape not in ((), (num_networks,)) or not bool((torch.isfinite(rates) & (rates > 0)).all()):
        raise ValueError(f"learning_rate must be one number or {num_networks}, finite and > 0, got {rates.tolist()}")
    return rates.expand(num_networks)


def train(
    networks: ReLUMLP,
    x: Float[Tensor, "batch dim"],
    y: Float[Tensor, "batch ..."],
    *,
    learning_rate: float | Tensor,
    num_steps: int,
    record_at: Collection[int] = (),
    measure: Measure | None = None,
    target_loss: float | None = None,
    loss: Loss = HALF_SQUARE,
    batch_size: int | None = None,
    generator: Generator | None = None,
) -> Training:
    """Train one network or an ensemble in place by gradient descent; return what was recorded.

    ``learning_rate``: one number, or one per network. A network stops on its own when the loss
    on the rows of a step (all of them without ``batch_size``) is at most ``target_loss``; once all
    have, training ends. Steps in ``record_at`` and the first and last are recorded, before their
    update, with ``measure`` of the networks. ``batch_size`` takes each row once per epoch. A single
    network that diverges raises ``FloatingPointError`` with the step; an ensemble goes on without it.
    """
    require_at_least(1, num_steps=num_steps)
    require_positive(target_loss=1.0 if target_loss is None else target_loss)
    target = -inf if target_loss is None else target_loss
    _require_data(networks, x, y)
    weights = _ensemble_weights(networks)
    rates = _rates(learning_rate, len(weights[0]), x)
    y = y.reshape(len(x), -1).to(x)
    rows: list[dict[str, Tensor]] = []
    reached = torch.zeros_like(rates, dtype=torch.bool)
    diverged_at = torch.full_like(rates, -1, dtype=torch.long)
    # In a notebook tqdm does not look at its own variable.
    silent = bool(os.environ.get("TQDM_DISABLE"))
    progress = tqdm(range(num_steps + 1), desc="training", delay=1, leave=False, disable=silent)
    for step, batch in zip(progress, _batches(len(x), batch_size, generator), strict=False):
        layers, outputs = _forward(weights, x[batch])
        outputs = outputs / networks.output_divisor
        losses = loss.values(outputs, y[batch]).mean(dim=1)
        diverged_at[~torch.isfinite(losses) & (diverged_at < 0)] = step
        if networks.num_networks is None and int(diverged_at) >= 0:
            raise FloatingPointError(f"training diverged at step {step}: lower learning_rate")
        reached |= (losses <= target) & (diverged_at < 0)
        active = ~reached & (diverged_at < 0)
        ends = step == num_steps or not bool(active.any())
        if ends or step == 0 or step in record_at:
            rows.append({"step": torch.tensor(step), "loss": losses, **(measure(networks) if measure else {})})
        if ends:
            break
        scale = torch.where(active, rates, 0) / (outputs.shape[1] * networks.output_divisor)
        residuals = loss.residuals(outputs, y[batch]) * scale.reshape(-1, 1, 1)
        for weight, layer, signal in zip(weights, layers, _signals(weights, layers, residuals), strict=True):
            weight.baddbmm_(signal.mT, layer, alpha=-1)
    dead = (_forward(weights, x)[1] == 0).flatten(1).all(dim=1)
    return Training(rows, reached, diverged_at, dead)


def learning_rate(
    networks: ReLUMLP, x: Float[Tensor, "batch dim"], *, reference: LayerStds, factor: float = 0.5
) -> Float[Tensor, " networks"]:
    """Return one stable learning rate per network for the mean half square over the rows of x.

    factor / max(own, limit): the largest eigenvalue of the network's own tangent kernel over n,
    and that of the closed form at this width with the standard deviations ``reference``: He's for
    LeCun and He, NTK's for NTK. The own one alone fails for deep narrow LeCun networks, whose
    kernel starts 2^(L-1) times below He's and grows; a sampled He kernel is heavy-tailed. Below
    factor 2 the linearized dynamics converge.
    """
    require_positive(factor=factor)
    width, depth = networks.weights[0].shape[-2], len(networks.weights)
    limit = ntk(x.double(), x.double(), stds=reference, width=width, depth=depth) / networks.output_divisor**2
    largest = torch.maximum(_largest_eigenvalues(networks, x), torch.linalg.eigvalsh(limit)[-1])
    return (factor * len(x) / largest).to(x.dtype)


def _largest_eigenvalues(networks: ReLUMLP, x: Tensor, num_iterations: int = 12) -> Tensor:
    """Largest eigenvalue of each network's tangent kernel over rows and outputs, by power iteration."""
    weights = _ensemble_weights(networks)
    layers, outputs = _forward(weights, x)
    vector = torch.ones_like(outputs)
    for _ in range(num_iterations):
        vector = vector / vector.norm(dim=(1, 2), keepdim=True)
        signals = _signals(weights, layers, vector / networks.output_divisor)
        gradients = [torch.bmm(signal.mT, layer) for signal, layer in zip(signals, layers, strict=True)]
        tangent = torch.bmm(layers[0], gradients[0].mT)
        for weight, gradient, layer in zip(weights[1:], gradients[1:], layers[1:], strict=True):
            tangent = torch.bmm(mask_(tangent, layer), weight.mT) + torch.bmm(layer, gradient.mT)
        vector = tangent / networks.output_divisor
    # A dead network has the kernel zero, which the normalization turns into nan.
    eigenvalues: Tensor = vector.norm(dim=(1, 2)).nan_to_num(nan=0.0)
    return eigenvalues
