"""Measure your own network: one call for a classifier or a regressor, one report that reads as sentences."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import floor, log10
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn
from torch.utils.data import Dataset

from tutorial_lib.arguments import require_positive, require_shape
from tutorial_lib.estimates import Estimate, ratio_of_means
from tutorial_lib.models import ReLUMLP
from tutorial_lib.modules import DifferentiableModule
from tutorial_lib.perturbations import uniform_in_ball
from tutorial_lib.progress import progress
from tutorial_lib.randomness import random_stream
from tutorial_lib.stability import directional_lengths, rows_at_once, stability_of_jacobians
from tutorial_lib.tensors import kind_of, require_finite, require_generator

# Up to so many outputs the mean over directions is exact; each costs one backward pass.
EXACT_OUTPUTS = 32

Batches = Tensor | Iterable[object]
PerInput = dict[str, Float[Tensor, " batch"]]


@dataclass(frozen=True)
class StabilityReport:
    """How much one network reacts to small changes of its input, to first order; ``print(report)`` says it in words.

    ``stability``: P / radius, mean and standard error over the inputs; larger means less robust. ``over_size``: the
    same divided by the mean Euclidean length of the outputs. ``radius``: a Euclidean length, in units of the input.
    ``dim`` and ``output_dim``: how many numbers go in and come out. ``method``: how the mean over directions was taken.
    """

    stability: Estimate
    over_size: Estimate
    radius: float | None
    dim: int
    output_dim: int
    method: str
    seconds: float

    @property
    def num_inputs(self) -> int:
        """Number of inputs measured."""
        return self.stability.num_draws

    def _relative(self) -> str:
        """What the mean change is relative to."""
        return f"{_multiple(self.over_size, self.radius)} the mean length of the outputs"

    def _sentences(self) -> Iterator[str]:
        relative = self._relative()
        over = "its error is unknown for one input" if self.num_inputs == 1 else "mean and standard error over inputs"
        yield (
            f"Perturbation stability P / radius = {self.stability}, {over}: how far the outputs move, on average over "
            "random changes of the input, per unit of the radius that bounds them. Larger means less robust."
        )
        if self.radius is None:
            yield f"Per unit of radius that is {relative}."
        else:
            change = self.radius * self.stability.mean
            yield (
                f"Random changes of the input, of length at most {self.radius:g}, change the outputs by {change:.3g} "
                f"on average: {relative}."
            )

    def __str__(self) -> str:
        """Return the report in sentences."""
        inputs = f"{_count(self.num_inputs, 'input')} of {_count(self.dim, 'number')}"
        outputs = _count(self.output_dim, "output")
        measured = f"Measured on {inputs}, with {outputs}; {self.method}."
        scope = (
            "All lengths are Euclidean. All changes are first-order estimates, from how steep the network is at these "
            "inputs; for a large radius the true changes may differ."
        )
        return "\n".join([*self._sentences(), measured, scope])


@dataclass(frozen=True)
class ClassifierReport(StabilityReport):
    """The report of a classifier: also how P compares with the lead, and how many answers a change would alter.

    ``over_lead``: P / radius divided by the mean lead of the winning output over the second, which does not depend on
    the scale of the outputs, nor on a constant added to all of them. ``altered_by_random`` and ``altered_by_chosen``:
    the share of inputs whose answer changes, to first order, when the input moves to a random point of the ball of
    ``radius``, and to the worst one. With more than 32 outputs the second considers the runner-up only and may be too
    small. ``accuracy``: the share of right answers.
    """

    over_lead: Estimate
    altered_by_random: Estimate | None
    altered_by_chosen: Estimate | None
    accuracy: Estimate | None

    def _relative(self) -> str:
        lead = "the mean distance of the score from 0"
        if self.output_dim > 1:
            lead = "the mean lead of the highest output over the second highest"
        return f"{_multiple(self.over_lead, self.radius)} {lead}"

    def _sentences(self) -> Iterator[str]:
        yield from super()._sentences()
        if self.altered_by_random is not None and self.altered_by_chosen is not None:
            may_be_more = self.output_dim > EXACT_OUTPUTS and self.altered_by_chosen.mean < 1
            at_random, chosen = (_answers(share) for share in (self.altered_by_random, self.altered_by_chosen))
            more = " or more (only the second highest class was considered)" if may_be_more else ""
            yield f"Random changes of that size alter {at_random}."
            yield f"The worst changes of that size alter {chosen}{more}: an estimate to first order, not an attack."
        if self.accuracy is not None:
            yield f"The network gets {_answers(self.accuracy)} right."


@dataclass(frozen=True)
class RegressorReport(StabilityReport):
    """The report of a regressor; ``error``: root mean squared error over inputs and outputs, None without labels."""

    error: float | None

    def _sentences(self) -> Iterator[str]:
        yield from super()._sentences()
        if self.error is not None:
            yield f"The root mean squared error, over all inputs and outputs, is {self.error:.3g}."


def _count(number: int, noun: str) -> str:
    """Such as "1 input" or "64 inputs"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def _multiple(ratio: Estimate, radius: float | None) -> str:
    """Such as "11 % of" or "30 times"."""
    value = ratio.mean * (1.0 if radius is None else radius)
    number, unit = (100 * value, " % of") if value < 1 else (value, " times")
    return f"{number:,.0f}{unit}" if number >= 10 else f"{number:.2g}{unit}"


def _answers(share: Estimate) -> str:
    """Such as "1.8 ± 0.7 % of the answers"; the error of all or of none is not known."""
    if share.mean in (0, 1):
        return f"{'all' if share.mean else 'none'} of the answers (n = {share.num_draws})"
    mean, error = 100 * share.mean, 100 * share.standard_error
    digits = max(0, -floor(log10(error)))
    return f"{mean:.{digits}f} ± {error:.{digits}f} % of the answers"


def classifier_report(
    model: nn.Module,
    data: Batches,
    *,
    labels: Tensor | None = None,
    radius: float | None = None,
    generator: Generator | None = None,
) -> ClassifierReport:
    """Measure a classifier: its perturbation stability and lead, and how many answers a small change would alter.

    ``model`` maps (batch, ...) to logits (batch, classes), or to one score per row whose sign is the answer. It must
    be in eval mode and meet the other requirements of ``perturbation_stability``. Probabilities are refused: a final
    softmax saturates, and to first order the network would look far more robust than it is. ``data``: a tensor of
    inputs, or an iterable of batches such as a ``DataLoader``, where each batch is a tensor or a pair of inputs and
    labels; batches are moved to the device of the model. ``labels``: the class numbers, if ``data`` is a tensor (0
    and 1 for a single score). ``radius``: a Euclidean length, in units of the input.

    Up to 32 outputs the mean over directions is exact. With more, one random direction is drawn for each input, and
    the report says so. Random numbers come from ``generator``, or from a fixed stream if there is none.
    """
    start, stream = _start(radius, generator)

    def of_block(block: "_Block") -> PerInput:
        return {
            **block.stability(stream),
            **_altered(block, radius, stream),
            **_right(block),
            "probabilities": _are_probabilities(block.outputs),
        }

    values, shape = _measure(model, data, labels, of_block)
    _refuse_probabilities(values["probabilities"], num_outputs=shape[1])
    common = _common(values, shape, radius, start)
    if float(values["lead"].sum()) == 0:
        raise ValueError("model must prefer one answer to another at some input of data, got equal scores everywhere")
    return ClassifierReport(
        **common,
        over_lead=ratio_of_means(values["stability"].tolist(), values["lead"].tolist()),
        altered_by_random=_share(values, "random"),
        altered_by_chosen=_share(values, "chosen"),
        accuracy=_share(values, "right"),
    )


def regressor_report(
    model: nn.Module,
    data: Batches,
    *,
    labels: Tensor | None = None,
    radius: float | None = None,
    generator: Generator | None = None,
) -> RegressorReport:
    """Measure a regressor: its perturbation stability, also relative to the length of its outputs, and its error.

    Arguments as in ``classifier_report``, except that labels are real numbers in the shape of the outputs.
    """
    start, stream = _start(radius, generator)

    def of_block(block: "_Block") -> PerInput:
        return {**block.stability(stream), **_square_errors(block)}

    values, shape = _measure(model, data, labels, of_block)
    error = float(values["square"].mean().sqrt()) if "square" in values else None
    return RegressorReport(**_common(values, shape, radius, start), error=error)


def _start(radius: float | None, generator: Generator | None) -> tuple[float, Generator]:
    if radius is not None:
        require_positive(radius=radius)
    stream = random_stream(0, "directions of a report") if generator is None else require_generator(generator)
    return time.perf_counter(), stream


@dataclass(frozen=True)
class _Block:
    """A few rows, what the model answers to them, and its Jacobians where they are affordable."""

    function: DifferentiableModule
    x: Float[Tensor, "batch ..."]
    labels: Tensor | None
    outputs: Float[Tensor, "batch outputs"]
    jacobians: Float[Tensor, "outputs batch dim"] | None

    def stability(self, stream: Generator) -> PerInput:
        """P / radius at each row, and the length of its outputs."""
        if self.jacobians is None:
            values = directional_lengths(self.function, self.x, generator=stream)
        else:
            values = stability_of_jacobians(self.jacobians)
        return {"stability": values, "size": self.outputs.double().norm(dim=1)}

    def changes(self, delta: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch outputs"]:
        """J delta at each row."""
        if self.jacobians is None:
            return self.function.changes(self.x, delta)
        return torch.einsum("obd,bd->bo", self.jacobians, delta.flatten(1))


def _blocks(model: nn.Module, data: Batches, labels: Tensor | None) -> Iterator[_Block]:
    """Check each batch, then yield a few of its rows at a time."""
    device = _device_of(model)
    for x, y in progress(_pairs(data, labels), "measuring"):
        require_finite(data=x)
        x = x.to(device)
        function = DifferentiableModule(model, x, name="data")
        exact = function.output_dim <= EXACT_OUTPUTS
        rows = rows_at_once(x.shape[1:].numel(), function.output_dim if exact else 1)
        for place, block in enumerate(torch.split(x.detach(), rows)):
            with torch.no_grad():
                outputs = function.outputs(block)
            require_finite(**{"the outputs of model": outputs})
            jacobians = function.jacobians(block) if exact else None
            some = None if y is None else y[place * rows : place * rows + len(block)].to(outputs.device)
            yield _Block(function, block, some, outputs, jacobians)


def _pairs(data: Batches, labels: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield inputs and labels batch by batch, whatever form they came in."""
    if isinstance(data, Tensor):
        batches: Iterable[object] = [data if labels is None else (data, labels)]
    elif isinstance(data, Dataset):
        raise TypeError(f"data must give batches, got {type(data).__name__}: wrap it in a torch.utils.data.DataLoader")
    elif isinstance(data, str | np.ndarray) or not isinstance(data, Iterable):
        raise TypeError(f"data must be a tensor or an iterable of batches, got {kind_of(data)}")
    elif labels is not None:
        raise ValueError("labels must come in pairs with the inputs where data is an iterable of batches, got both")
    else:
        batches = data
        if isinstance(data, tuple) and len(data) == 2 and all(isinstance(part, Tensor) for part in data):
            remedy = "pass the labels as labels=, or the pair as one batch, [(inputs, labels)]"
            raise ValueError(f"data must not be a pair of tensors, which could be inputs and labels: {remedy}")
    for batch in batches:
        pair = batch if isinstance(batch, tuple | list) else (batch, None)
        if len(pair) == 2 and isinstance(pair[0], Tensor) and not isinstance(pair[1], Tensor | None):
            remedy = ": convert with torch.tensor(labels)" if isinstance(pair[1], tuple | list) else ""
            raise TypeError(f"labels must be a tensor, got {kind_of(pair[1])}{remedy}")
        if len(pair) != 2 or not isinstance(pair[0], Tensor):
            parts = batch if isinstance(batch, tuple | list) else [batch]
            kinds = ", ".join(kind_of(part) for part in parts[:3]) + (", ..." if len(parts) > 3 else "")
            raise TypeError(f"data must give tensors, or pairs of inputs and labels, got a batch of {kinds}")
        x, y = pair
        if x.ndim == 0 or (y is not None and (y.ndim == 0 or len(y) != len(x) or y.is_meta)):
            shapes = f"{tuple(x.shape)} and {None if y is None else tuple(y.shape)}"
            raise ValueError(f"data must give inputs and one label for each of them, got shapes {shapes}")
        yield x, y


def _device_of(model: nn.Module) -> torch.device:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if isinstance(model, ReLUMLP) and model.num_networks is not None:
        advice = "perturbation_stability takes an ensemble"
        raise ValueError(f"model must be one network, got an ensemble of {model.num_networks}: {advice}")
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def _measure(
    model: nn.Module, data: Batches, labels: Tensor | None, of_block: Callable[[_Block], PerInput]
) -> tuple[PerInput, tuple[int, int]]:
    """Return the numbers of all inputs, and how many numbers go in and come out of the model."""
    found, shapes = [], set()
    for block in _blocks(model, data, labels):
        found.append({name: values.double().cpu() for name, values in of_block(block).items()})
        shapes.add((block.x.shape[1:].numel(), block.outputs.shape[1]))
    if not found:
        raise ValueError("data must hold at least one batch, got none")
    if len(shapes) > 1 or any(set(values) != set(found[0]) for values in found):
        raise ValueError("data must be of one kind: inputs of one size, and labels for all batches or for none")
    values = {name: torch.cat([some[name] for some in found]) for name in found[0]}
    require_finite(**{"the derivatives of model": values["stability"]})
    return values, shapes.pop()


def _common(values: PerInput, shape: tuple[int, int], radius: float | None, start: float) -> dict[str, Any]:
    """Return what both reports say."""
    dim, outputs = shape
    if float(values["size"].sum()) == 0:
        raise ValueError("model must have outputs other than 0 at some input of data, got 0 everywhere")
    exact = "the mean over all directions of change is exact"
    if outputs > EXACT_OUTPUTS:
        exact = "one random direction of change for each input"
    return {
        "stability": Estimate.from_draws(values["stability"].tolist()),
        "over_size": ratio_of_means(values["stability"].tolist(), values["size"].tolist()),
        "radius": radius,
        "dim": dim,
        "output_dim": outputs,
        "method": exact,
        "seconds": time.perf_counter() - start,
    }


def _share(values: PerInput, name: str) -> Estimate | None:
    return Estimate.from_draws(values[name].tolist()) if name in values else None


def _scores(outputs: Float[Tensor, "..."], axis: int = 1) -> Float[Tensor, "..."]:
    """Return the scores of the classes; one score alone is that of class 1 against 0 for class 0."""
    return torch.cat([torch.zeros_like(outputs), outputs], dim=axis) if outputs.shape[axis] == 1 else outputs


def _altered(block: _Block, radius: float | None, stream: Generator) -> PerInput:
    """The lead of each answer, and whether a random and the worst change within the radius alter it to first order."""
    scores = _scores(block.outputs)
    (first, second), (answers, seconds) = (part.unbind(dim=1) for part in scores.topk(2, dim=1))
    found: PerInput = {"lead": (first - second).double()}
    if radius is not None:
        delta = uniform_in_ball(block.x, radius=float(radius), generator=stream)
        moved = scores + _scores(block.changes(delta))
        found["random"] = (moved.argmax(dim=1) != answers).double()
        found["chosen"] = (_first_order_distances(block, scores, answers, seconds) <= float(radius)).double()
    return found


def _first_order_distances(
    block: _Block, scores: Tensor, answers: Int[Tensor, " batch"], seconds: Int[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """Lead over the steepness of the lead, the least over the other classes: how far another answer is."""
    rows = torch.arange(len(scores), device=scores.device)
    if block.jacobians is None:
        weights = torch.zeros_like(scores)
        weights[rows, answers], weights[rows, seconds] = 1, -1
        steepness = block.function.gradients(block.x, weights).double().norm(dim=1)
        distances: Tensor = (scores[rows, answers] - scores[rows, seconds]).double() / steepness
        return distances.nan_to_num(nan=0.0, posinf=torch.inf)
    gradients = _scores(block.jacobians, axis=0).double()
    steepness = (gradients[answers, rows] - gradients).norm(dim=2).T
    leads = (scores[rows, answers].unsqueeze(1) - scores).double()
    distances = leads / steepness
    distances[rows, answers] = torch.inf  # the answer itself is no other answer
    # Two classes that are equal and move together are 0 / 0: any change may choose between them.
    nearest: Tensor = distances.nan_to_num(nan=0.0, posinf=torch.inf).amin(dim=1)
    return nearest


def _right(block: _Block) -> PerInput:
    if block.labels is None:
        return {}
    scores = _scores(block.outputs)
    labels = block.labels.squeeze(1) if block.labels.ndim == 2 and block.labels.shape[1] == 1 else block.labels
    if labels.shape == scores.shape:
        shown = f"one row of {scores.shape[1]} for each input"
        raise ValueError(f"labels must be class numbers, got {shown}: if it is one-hot, use labels.argmax(dim=1)")
    require_shape([len(scores)], labels=labels.shape)
    if labels.is_floating_point() or labels.is_complex():
        whole = not labels.is_complex() and bool((labels == labels.round()).all())
        remedy = "convert with labels.long()" if whole else "for real-valued targets use regressor_report"
        raise TypeError(f"labels must be class numbers, got {labels.dtype}: {remedy}")
    if bool(((labels < 0) | (labels >= scores.shape[1])).any()):
        extremes = f"{int(labels.min())} to {int(labels.max())}"
        remedy = ": if they are -1 and 1, use (labels + 1) // 2" if scores.shape[1] == 2 and labels.min() == -1 else ""
        raise ValueError(f"labels must be from 0 to {scores.shape[1] - 1}, got {extremes}{remedy}")
    return {"right": (scores.argmax(dim=1) == labels).double()}


def _square_errors(block: _Block) -> PerInput:
    if block.labels is None:
        return {}
    labels = block.labels.reshape(len(block.labels), -1).to(block.outputs)
    require_shape(block.outputs.shape, labels=labels.shape)
    require_finite(labels=labels)
    return {"square": (block.outputs - labels).double().square().mean(dim=1)}


def _are_probabilities(outputs: Float[Tensor, "batch outputs"]) -> Float[Tensor, " batch"]:
    """1 at each row that a softmax or a sigmoid could have given, else 0."""
    return ((outputs >= 0) & (outputs <= 1)).all(dim=1).double()


def _refuse_probabilities(found: Float[Tensor, " inputs"], *, num_outputs: int) -> None:
    """Raise if all outputs look like probabilities; a few numbers may lie between 0 and 1 all the same."""
    if bool(found.all()) and len(found) * num_outputs >= 20:
        raise ValueError(
            f"model must give logits, got {len(found) * num_outputs} outputs that all lie from 0 to 1, like "
            "probabilities: leave out a final softmax or sigmoid. If there is none, add inputs with other outputs"
        )
