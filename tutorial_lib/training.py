"""Gradient descent on many ReLU networks at once, by hand-written backward passes.

Each member of an ensemble has its own learning rate and stops on its own: at the target loss it
keeps its weights from then on, bit for bit.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from math import inf

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from tutorial_lib.arguments import require_at_least, require_callable, require_positive
from tutorial_lib.initializations import LayerStds, require_stds
from tutorial_lib.kernels import tangent_kernel
from tutorial_lib.models import ReLUMLP, backward_signals, layer_inputs, mask_, require_inputs, require_network
from tutorial_lib.progress import progress
from tutorial_lib.tensors import kind_of, require_finite, require_generator

Measure = Callable[[ReLUMLP], dict[str, Tensor]]


class DivergedError(ValueError):
    """Training diverged: the learning rate was too large. The message says when, and how many networks."""


@dataclass(frozen=True)
class Loss:
    """A loss per row, averaged over rows, and its derivative with respect to the outputs."""

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
class TrainingRecord:
    """What a training run left behind; the networks themselves were trained in place.

    ``rows``: one dictionary per recorded step with "step", "loss" and what was measured; ``reached``: the
    target loss, if there is one; ``diverged_at``: step at which the loss ceased to be finite, or -1;
    ``dead``: all outputs on the training rows are 0 at the end. A single network counts as an ensemble of one.
    """

    rows: list[dict[str, Tensor]]
    reached: Bool[Tensor, " networks"]
    diverged_at: Int[Tensor, " networks"]
    dead: Bool[Tensor, " networks"]

    def require_all_finite(self) -> None:
        """Raise ``DivergedError`` if a network diverged: call it before a mean over all of them."""
        _require_none_diverged(self.diverged_at)


def _require_none_diverged(diverged_at: Tensor) -> None:
    diverged = diverged_at[diverged_at >= 0]
    if len(diverged):
        when = f"{len(diverged)} of {len(diverged_at)} networks diverged, the first at step {int(diverged.min())}"
        raise DivergedError(f"learning_rate must be smaller: {when}")


def ensemble_weights(networks: ReLUMLP) -> list[Float[Tensor, "networks rows columns"]]:
    """Return views of the weights with an axis of networks, so that one network is an ensemble of one."""
    return [w.data if w.ndim == 3 else w.data.unsqueeze(0) for w in networks.weights]


def _layers(weights: list[Tensor], x: Tensor) -> list[Tensor]:
    # With an axis of networks from the start, so that each product is one batched product.
    return layer_inputs(weights, x.expand(len(weights[0]), *x.shape))


def _signals(weights: list[Tensor], layers: list[Tensor], last: Tensor) -> list[Tensor]:
    """Return the derivatives with respect to what each weight matrix puts out, in the order of the matrices."""
    hidden = backward_signals(weights[:-1], layers[1:], last @ weights[-1])
    return [last, *hidden][::-1]


def require_trainable(networks: ReLUMLP, **inputs: Tensor) -> None:
    """Raise unless ``networks`` are a ``ReLUMLP`` of finite weights, and every named argument is a batch of inputs."""
    require_network(networks, name="networks")
    for weight in networks.weights:
        require_finite(networks=weight)
    require_inputs(networks, **inputs)


def _batches(num_rows: int, batch_size: int | None, generator: Generator | None) -> Iterator[Tensor | slice]:
    """Yield all rows for ever, or blocks of one random order of the rows after another."""
    while batch_size is None:
        yield slice(None)
    while True:
        yield from torch.split(torch.randperm(num_rows, generator=generator), int(batch_size))


def require_labels(networks: ReLUMLP, x: Tensor, y: Tensor) -> None:
    """Raise unless ``y`` holds one finite label per row of x, in a column for each of several outputs."""
    if not isinstance(y, Tensor) or y.is_complex() or y.dtype == torch.bool or y.is_meta:
        kind = y.dtype if isinstance(y, Tensor) else kind_of(y)
        raise TypeError(f"y must be a tensor of real numbers, got {kind}")
    column = (len(x), networks.output_dim)
    allowed = [column] if networks.output_dim > 1 else [(len(x),), column]
    if tuple(y.shape) not in allowed:
        remedy = f": class numbers are one_hot(y, {networks.output_dim}) of torch.nn.functional"
        hint = remedy if networks.output_dim > 1 and y.shape == (len(x),) else ""
        raise ValueError(f"y must have shape {allowed[0]}, one label per row of x, got {tuple(y.shape)}{hint}")
    require_finite(y=y.to(x))


def require_loss(networks: ReLUMLP, y: Tensor, loss: Loss) -> None:
    """Raise unless ``loss`` is one, and the labels are what it takes."""
    if not isinstance(loss, Loss):
        raise TypeError(f"loss must be HALF_SQUARE or CROSS_ENTROPY of tutorial_lib.training, got {loss!r}")
    if loss is not CROSS_ENTROPY:
        return
    if networks.output_dim == 1:
        raise ValueError("networks must have two or more outputs for CROSS_ENTROPY, got 1")
    sums = y.double().sum(dim=1)
    if not bool((y >= 0).all()) or float((sums - 1).abs().max()) > 1e-4:
        raise ValueError("y must be rows of numbers >= 0 that sum to 1 for CROSS_ENTROPY, such as one-hot labels")


def _rates(learning_rate: float | Tensor, num_networks: int, like: Tensor) -> Float[Tensor, " networks"]:
    if not isinstance(learning_rate, Tensor):
        require_positive(learning_rate=learning_rate)
        learning_rate = float(learning_rate)
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
) -> TrainingRecord:
    """Train one network or an ensemble by gradient descent, in place; return a record of the run.

    The networks themselves are changed: keep a ``copy.deepcopy`` of them if you want to compare, for
    example with ``lazy_ratio``. ``learning_rate``: one number, or one per network. ``loss``: ``HALF_SQUARE``
    or ``CROSS_ENTROPY`` from ``tutorial_lib.training``, the latter with one-hot labels; its mean over the
    rows is what is made small. Without a ``batch_size`` each step uses all rows; with one, each row is used once
    per epoch, in a random order that needs a ``generator``.

    A network stops on its own when its loss on the rows of a step is at most ``target_loss``; training
    ends when all have stopped, or after ``num_steps``. The first and the last step and those in ``record_at``
    are recorded, before their update, together with what ``measure`` returns for the networks.

    A network whose loss is no longer finite is not trained further and may hold nan: ``diverged_at`` says when
    that happened. ``DivergedError`` is raised if all have diverged, or if ``measure`` would look at one that has.
    """
    require_at_least(1, num_steps=num_steps)
    target = -inf
    if target_loss is not None:
        require_positive(target_loss=target_loss)
        target = float(target_loss)
    if batch_size is not None:
        require_at_least(1, batch_size=batch_size)
        require_generator(generator)
    if not isinstance(record_at, Collection) or isinstance(record_at, str | Tensor):
        raise TypeError(f"record_at must be a collection of steps, got {record_at!r}")
    for step in record_at:
        require_at_least(0, record_at=step)
    if measure is not None:
        require_callable(measure=measure)
    require_trainable(networks, x=x)
    require_labels(networks, x, y)
    require_loss(networks, y, loss)
    x, y = x.detach(), y.detach()
    weights = ensemble_weights(networks)
    rates = _rates(learning_rate, len(weights[0]), x)
    y = y.reshape(len(x), -1).to(x)
    rows: list[dict[str, Tensor]] = []
    reached = torch.zeros_like(rates, dtype=torch.bool)
    diverged_at = torch.full_like(rates, -1, dtype=torch.long)
    steps = progress(range(num_steps + 1), "training")
    for step, batch in zip(steps, _batches(len(x), batch_size, generator), strict=False):
        layers = _layers(weights, x[batch])
        outputs = (layers[-1] @ weights[-1].mT) / networks.output_divisor
        losses = loss.values(outputs, y[batch]).mean(dim=1)
        diverged_at[~torch.isfinite(losses) & (diverged_at < 0)] = step
        reached |= (losses <= target) & (diverged_at < 0)
        active = ~reached & (diverged_at < 0)
        ends = step == num_steps or not bool(active.any())
        recorded = ends or step == 0 or step in record_at
        if bool((diverged_at >= 0).all()) or (recorded and measure):
            _require_none_diverged(diverged_at)
        if recorded:
            rows.append({"step": torch.tensor(step), "loss": losses, **(measure(networks) if measure else {})})
        if ends:
            break
        scale = torch.where(active, rates, 0) / (outputs.shape[1] * networks.output_divisor)
        residuals = loss.residuals(outputs, y[batch]) * scale.reshape(-1, 1, 1)
        # All signals before the first update: they belong to the weights as they are.
        signals = _signals(weights, layers, residuals)
        for weight, layer, signal in zip(weights, layers, signals, strict=True):
            weight.baddbmm_(signal.mT, layer, alpha=-1)
    dead = (_layers(weights, x)[-1] @ weights[-1].mT == 0).flatten(1).all(dim=1)
    return TrainingRecord(rows, reached, diverged_at, dead)


def loss_and_gradients(
    weights: list[Tensor],
    x: Float[Tensor, "batch dim"],
    y: Float[Tensor, "batch outputs"],
    *,
    loss: Loss,
    output_divisor: float,
) -> tuple[Float[Tensor, " networks"], Float[Tensor, "networks batch outputs"], list[Tensor]]:
    """Return mean loss, residuals and gradients by each weight matrix, of all networks of an ensemble."""
    layers = _layers(weights, x)
    outputs = (layers[-1] @ weights[-1].mT) / output_divisor
    residuals = loss.residuals(outputs, y)
    signals = _signals(weights, layers, residuals / (len(x) * output_divisor))
    gradients = [signal.mT @ layer for signal, layer in zip(signals, layers, strict=True)]
    return loss.values(outputs, y).mean(dim=1), residuals, gradients


def stable_learning_rate(
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
    require_stds(reference)
    own = largest_kernel_eigenvalues(networks, x)
    limit = tangent_kernel(
        x.detach().double(), x.detach().double(), reference, networks.architecture.replace(output_dim=1)
    )
    largest = torch.maximum(own, torch.linalg.eigvalsh(limit)[-1] / networks.output_divisor**2)
    if not bool((largest > 0).all()):
        raise ValueError(f"networks must not all be 0 where reference is 0 too, got reference {reference}")
    return (float(factor) * len(x) / largest).to(x.dtype)


def largest_kernel_eigenvalues(
    networks: ReLUMLP, x: Float[Tensor, "batch dim"], *, num_iterations: int = 12
) -> Float[Tensor, " networks"]:
    """Return the largest eigenvalue of each network's tangent kernel over rows and outputs, by power iteration.

    0 for a dead network. Twelve iterations are within one percent on the data of the book, whose kernels have one
    eigenvalue far above the others.
    """
    require_at_least(1, num_iterations=num_iterations)
    require_trainable(networks, x=x)
    x = x.detach()
    weights = ensemble_weights(networks)
    layers = _layers(weights, x)
    vector = torch.ones_like(layers[-1] @ weights[-1].mT)
    for _ in range(num_iterations):
        vector = vector / vector.norm(dim=(1, 2), keepdim=True)
        signals = _signals(weights, layers, vector / networks.output_divisor)
        gradients = [signal.mT @ layer for signal, layer in zip(signals, layers, strict=True)]
        tangent = layers[0] @ gradients[0].mT
        for weight, gradient, layer in zip(weights[1:], gradients[1:], layers[1:], strict=True):
            tangent = mask_(tangent, layer) @ weight.mT + layer @ gradient.mT
        vector = tangent / networks.output_divisor
    # A dead network has the kernel zero, which the normalization turns into nan.
    eigenvalues: Tensor = vector.norm(dim=(1, 2)).nan_to_num(nan=0.0)
    return eigenvalues
