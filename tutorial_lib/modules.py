"""Any torch module as a function of single rows: refused unless it is one, then differentiated.

A derivative of a whole batch is the derivative of each row only if rows do not meet inside the module and
its answers do not change from call to call. Both are tried out on a few rows, and so is the derivative.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from tutorial_lib.tensors import require_finite, require_like

# Derivative and finite difference may differ where a kink lies between; a wrong derivative differs by more.
_LARGEST_DISAGREEMENT = 0.5
# Slopes ahead and behind differ at a kink; by so much of their size it is one that matters.
_LARGEST_BEND = 0.1
# Rounding beyond this part of the slopes says nothing about them.
_LARGEST_ROUNDING = 0.1


def require_eval_mode(model: nn.Module) -> None:
    """Raise unless ``model`` is a module all of whose parts are in eval mode."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    training = [(name or "model", part) for name, part in model.named_modules() if part.training]
    if training:
        # Where there is one whose mode matters, it is named.
        changing = nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd
        name, part = min(training, key=lambda named: not isinstance(named[1], changing))
        where = f"{name} ({type(part).__name__})"
        raise ValueError(f"model must be in eval mode, call model.eval() first; in training mode: {where}")


@contextmanager
def _derivatives_possible() -> Iterator[None]:
    """Derivatives whatever the caller's mode; attention by the one implementation that has all of them."""
    with torch.inference_mode(False), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        yield


class DifferentiableModule:
    """A module whose rows do not interact, checked at construction on a few rows of x.

    Raises ``ValueError`` or ``TypeError``, which say what is wrong with ``model`` or ``x``.
    """

    num_networks: int | None = None
    largest_layer = 0  # not known

    def __init__(self, model: nn.Module, x: Float[Tensor, "batch ..."], *, name: str = "x") -> None:
        require_eval_mode(model)
        require_finite(**{name: x})
        if x.ndim < 2 or x.numel() == 0:
            remedy = f": one input is {name}.unsqueeze(0)" if x.ndim == 1 and len(x) > 0 else ""
            raise ValueError(f"{name} must have shape (batch, ...) and not be empty, got {tuple(x.shape)}{remedy}")
        _require_parameters_like(model, x, name)
        self.model, self.name = model, name
        rows = _three_rows(x)
        devices = [x.device] if x.device.type == "cuda" else []
        with torch.random.fork_rng(devices), _derivatives_possible():
            self.output_dim = self._require_function_of_rows(rows)
            self._require_right_derivative(rows)

    def outputs(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch outputs"]:
        """Return the answers to rows of x as a matrix, whatever the module does to its input in place."""
        return _answers(self.model, x, self.name)

    def _require_function_of_rows(self, rows: Tensor) -> int:
        """Return the number of outputs; raise unless the answer to a row depends on this row alone."""
        with torch.no_grad():
            answers, again, fewer = (self.outputs(x) for x in (rows, rows, rows[[0, 2]]))
        if not bool(torch.isfinite(answers).all()):
            raise ValueError(f"model must give finite outputs at {self.name}, got nan or infinity")
        tolerance = torch.finfo(answers.dtype).eps ** 0.5 * float(answers.abs().max())
        if float((answers - again).abs().max()) > tolerance:
            raise ValueError(
                "model must give the same answer twice, got two: is there dropout or noise in its forward?"
            )
        if fewer.shape[1] != answers.shape[1] or float((answers[[0, 2]] - fewer).abs().max()) > tolerance:
            raise ValueError(
                f"model must treat each row of {self.name} on its own, but a row's answer changes with the other rows: "
                "batch normalization without running statistics, or attention or recurrence along the batch axis?"
            )
        return answers.shape[1]

    def _require_right_derivative(self, rows: Tensor) -> None:
        """Raise where the rows are at a kink, or the derivative is grossly other than a finite difference.

        In float64 if a copy of the model can be made to compute so: what is small then is no rounding.
        """
        model = _in_float64(self.model, rows)
        rows = rows if model is self.model else rows.double()
        generator = Generator().manual_seed(0)
        direction, weights = (
            torch.randn(shape, generator=generator, dtype=torch.float64).to(rows)
            for shape in (rows.shape, (len(rows), self.output_dim))
        )

        def value(x: Tensor) -> Float[Tensor, " rows"]:
            answers = _answers(model, x, self.name)
            total: Tensor = (weights.to(answers) * answers).sum(dim=1)
            return total

        leaf = rows.clone().requires_grad_()
        slopes = (_gradient(value(leaf).sum(), leaf) * direction).flatten(1).sum(dim=1)
        if not bool(torch.isfinite(slopes).all()):
            raise ValueError(f"model must have finite derivatives at {self.name}, got nan or infinity")
        size = rows.flatten(1).norm(dim=1).max().clamp(min=1e-3) / direction.flatten(1).norm(dim=1).max()
        epsilon, disagreement = torch.finfo(rows.dtype).eps, None
        for power in (0.7, 1 / 2, 1 / 3, 1 / 4):
            step = size * epsilon**power
            with torch.no_grad():
                below, here, above = (value(rows + sign * step * direction) for sign in (-1, 0, 1))
            ahead, behind, quotients = (above - here) / step, (here - below) / step, (above - below) / (2 * step)
            largest = float(torch.stack([slopes.norm(), ahead.norm(), behind.norm()]).max())
            rounding = float((10 * epsilon * (above.abs() + below.abs()) / step).norm())
            if rounding > _LARGEST_ROUNDING * largest > 0:
                continue  # it would hide a wrong derivative
            if disagreement is None and float((ahead - behind).norm()) > _LARGEST_BEND * largest + 2 * rounding:
                raise ValueError(
                    f"{self.name} must not be where model has a kink, such as a flat area of an image under max "
                    "pooling: the change there is no linear one. Add a little noise, such as "
                    f"1e-3 * torch.randn_like({self.name})"
                )
            disagreement = float((slopes - quotients).norm()) / largest if largest > 0 else 0.0
            if disagreement <= _LARGEST_DISAGREEMENT + (rounding / largest if largest > 0 else 0.0):
                return
        if disagreement is None:
            raise ValueError(
                f"model must have derivatives that can be checked in {rows.dtype}, but its outputs are too large "
                f"beside their changes: use model.double() and {self.name}.double()"
            )
        raise ValueError(
            "model must agree with its derivative as torch computes it, but a finite difference differs by "
            f"{disagreement:.0%} of its size: does its forward detach a tensor, use numpy, or replace a gradient?"
        )

    def jacobians(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "outputs batch dim"]:
        """Return df/dx at each row; one backward pass for each output."""
        with _derivatives_possible():
            leaf = x.detach().clone().requires_grad_()
            columns = self.outputs(leaf).unbind(dim=1)
            jacobians = x.new_empty(len(columns), *x.shape)
            for place, column in enumerate(columns):
                jacobians[place] = _gradient(column.sum(), leaf)
        return jacobians.flatten(2)

    def gradients(
        self, x: Float[Tensor, "batch ..."], weights: Float[Tensor, "batch outputs"]
    ) -> Float[Tensor, "batch dim"]:
        """Return the derivative of the weighted sum of the outputs at each row; one backward pass."""
        with _derivatives_possible():
            leaf = x.detach().clone().requires_grad_()
            return _gradient((weights * self.outputs(leaf)).sum(), leaf).flatten(1)

    def changes(
        self, x: Float[Tensor, "batch ..."], directions: Float[Tensor, "batch ..."]
    ) -> Float[Tensor, "batch outputs"]:
        """Return J u at each row for one direction u each, by forward-mode differentiation."""
        with _derivatives_possible(), warnings.catch_warnings():
            # The first call loads derivatives of torch's own, of which torch says that they use a deprecated function.
            warnings.filterwarnings("ignore", r".*torch\.jit\.script.* is deprecated")
            try:
                changes: Tensor = torch.func.jvp(self.outputs, (x.detach().clone(),), (directions,))[1]
            except (NotImplementedError, RuntimeError, ValueError) as error:
                advice = "perturbation_stability works without it"
                raise ValueError(
                    f"model has no forward-mode derivative, which directions need; {advice}: {error}"
                ) from error
        return changes.detach()


def _answers(model: nn.Module, x: Float[Tensor, "batch ..."], name: str) -> Float[Tensor, "batch outputs"]:
    """Return the answers to rows of x as a matrix; raise where they are none."""
    try:
        answers = model(x.clone())
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
        remedy = f". A single input is {name}.unsqueeze(0)" if x.ndim <= 3 else ""
        raise ValueError(f"model fails on rows of {name}, of shape {tuple(x.shape[1:])}: {error}{remedy}") from error
    if not isinstance(answers, Tensor):
        raise TypeError(f"model must return one tensor, got {type(answers).__name__}")
    if not answers.is_floating_point():
        raise TypeError(f"model must return real floating-point numbers, got {answers.dtype}")
    if answers.ndim not in (1, 2) or len(answers) != len(x) or answers.numel() == 0:
        shapes = f"{tuple(answers.shape)} for {len(x)} rows of shape {tuple(x.shape[1:])}"
        raise ValueError(f"model must map (batch, ...) to (batch,) or (batch, outputs), got {shapes}")
    return answers.reshape(len(x), -1)


def _in_float64(model: nn.Module, rows: Tensor) -> nn.Module:
    """Return a copy that computes in float64, or the model itself where there is none that does."""
    if rows.dtype == torch.float64:
        return model
    try:
        copy = deepcopy(model).double()
        with torch.no_grad():
            answers = copy(rows.double())
    except Exception:  # whatever goes wrong in a copy nobody asked for is no fault of the caller's
        return model
    return copy if isinstance(answers, Tensor) and answers.dtype == torch.float64 else model


def _gradient(value: Tensor, leaf: Tensor) -> Tensor:
    """Return the derivative of a sum by the leaf: 0 where the value does not depend on it."""
    if not value.requires_grad:
        return torch.zeros_like(leaf)
    (gradient,) = torch.autograd.grad(value, leaf, retain_graph=True, allow_unused=True, materialize_grads=True)
    return gradient


def _three_rows(x: Float[Tensor, "batch ..."]) -> Float[Tensor, "3 ..."]:
    """Return the first three rows of x; where there are fewer, random ones of the same size beside them."""
    rows = x[:3].detach().clone()
    generator = Generator().manual_seed(1)
    while len(rows) < 3:
        noise = torch.randn(rows[:1].shape, generator=generator, dtype=torch.float64).to(x)
        rows = torch.cat([rows, noise * rows[:1].square().mean().sqrt()])
    return rows


def _require_parameters_like(model: nn.Module, x: Tensor, name: str) -> None:
    """Raise unless x has the dtype and the device of a parameter of the model, if it has any."""
    parameters = [p for p in model.parameters() if p.is_floating_point()]
    if parameters and all((x.dtype, x.device) != (p.dtype, p.device) for p in parameters):
        require_like(parameters[0], "the model", **{name: x})
