"""Estimators of the perturbation stability P / radius: how much f moves, to first order.

P(f, radius) is the mean of ||J(x) (x - x_hat)||, J = df/dx, over inputs x and over x_hat uniform
in the Euclidean ball of that radius around x. Being first order in x - x_hat it is proportional
to the radius, so everything here returns P / radius: change of the outputs (Euclidean) per
Euclidean length of the input. Larger means less robust.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from math import pi, sqrt

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from tutorial_lib.arguments import require_at_least, require_positive
from tutorial_lib.estimates import Estimate
from tutorial_lib.exact import mean_abs_coordinate, mean_ball_length
from tutorial_lib.gaussians import mean_gaussian_length
from tutorial_lib.models import ReLUMLP, require_inputs
from tutorial_lib.modules import DifferentiableModule
from tutorial_lib.perturbations import uniform_in_ball
from tutorial_lib.tensors import require_finite, require_generator

# What is handled at once, so that memory does not grow with the batch: rows, rows times outputs (both as
# measured to be quick), numbers in the inputs, numbers in the derivatives.
_BLOCK_ROWS = 256
_BLOCK_SIGNALS = 1280
_BLOCK_INPUTS = 2**20
_BLOCK_NUMBERS = 2**24
# Numbers of one row's Jacobian beyond which it is not built: 1 GiB in float32.
_LARGEST_JACOBIAN = 2**28


# Both have num_networks, output_dim, largest_layer, jacobians and changes: by hand, or by torch's derivatives.
Differentiable = ReLUMLP | DifferentiableModule


def _differentiable(model: nn.Module, x: Float[Tensor, "batch ..."]) -> Differentiable:
    """Return the model as the estimators want it; raise where its derivatives would mean nothing."""
    if not isinstance(model, ReLUMLP):
        return DifferentiableModule(model, x)
    require_inputs(model, x=x)
    # One check of the smallest and the largest weights; nan counts as both.
    require_finite(model=torch.stack([end for weight in model.weights for end in torch.aminmax(weight.detach())]))
    return model


def _jacobians(model: nn.Module, x: Tensor) -> Iterator[Float[Tensor, "*networks outputs rows dim"]]:
    """Check that model and inputs fit, then yield the Jacobians of a few rows at a time."""
    function = _differentiable(model, x)
    dim, outputs = x.shape[1:].numel(), function.output_dim
    if outputs * dim > _LARGEST_JACOBIAN:
        raise ValueError(
            f"model has {outputs} outputs on inputs of {dim} numbers, too many for the exact mean over directions: "
            "use random_direction_stability"
        )
    rows = rows_at_once(max(dim, function.largest_layer), outputs, function.num_networks or 1)
    if isinstance(function, ReLUMLP):  # it takes all outputs at once
        rows = max(1, min(rows, _BLOCK_SIGNALS // outputs))
    return (function.jacobians(block) for block in torch.split(x.detach(), rows))


def rows_at_once(dim: int, outputs: int = 1, networks: int = 1) -> int:
    """Return how many rows to differentiate at once, so that memory does not grow with the batch."""
    numbers = networks * outputs * max(dim, outputs)
    return max(1, min(_BLOCK_ROWS, _BLOCK_INPUTS // dim, _BLOCK_NUMBERS // numbers))


def input_jacobians(model: nn.Module, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "*networks batch outputs dim"]:
    """Return the matrix df/dx at each row of x, all input axes flattened into one.

    Any module that ``perturbation_stability`` takes. Memory: rows times outputs times inputs.
    """
    return torch.cat(list(_jacobians(model, x)), dim=-2).transpose(-3, -2)


def _squared_singular_values(jacobians: Float[Tensor, "... outputs batch dim"]) -> Float[Tensor, "... batch outputs"]:
    matrices = jacobians.transpose(-3, -2)
    # Some input coordinates at a time: in float64 a whole Jacobian would be twice as large.
    blocks = (block.double() for block in torch.split(matrices, 2**14, dim=-1))
    products: Tensor = reduce(torch.add, (block @ block.mT for block in blocks))
    _require_finite_derivatives(products)
    squares: Tensor = torch.linalg.eigvalsh(products).clamp(min=0)
    return squares


def _mean_lengths(jacobians: Float[Tensor, "*networks outputs batch dim"]) -> Float[Tensor, "*networks batch"]:
    """Return E||J g|| / E|g_1| at each row for g standard Gaussian, in float64: the gradient's length if one output."""
    if jacobians.shape[-3] == 1:
        lengths: Tensor = torch.linalg.vector_norm(jacobians.squeeze(-3), dim=-1, dtype=torch.float64)
        return lengths
    return mean_gaussian_length(_squared_singular_values(jacobians)) * sqrt(pi / 2)


def stability_of_jacobians(
    jacobians: Float[Tensor, "*networks outputs batch dim"],
) -> Float[Tensor, "*networks batch"]:
    """Return P / radius at each row from its Jacobian, in float64."""
    # For u uniform on the unit sphere E||J u|| = E||J g|| / E chi_d.
    return _mean_lengths(jacobians) * mean_abs_coordinate(jacobians.shape[-1])


def stability_per_input(model: nn.Module, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "*networks batch"]:
    """Return P / radius at each row of x, in float64: what ``perturbation_stability`` averages."""
    lengths = torch.cat([_mean_lengths(jacobians) for jacobians in _jacobians(model, x)], dim=-1)
    _require_finite_derivatives(lengths)
    return lengths * mean_abs_coordinate(x.shape[1:].numel())


def _require_finite_derivatives(values: Float[Tensor, "..."]) -> None:
    # The smallest and the largest in one pass; nan counts as both.
    if not bool(torch.isfinite(torch.stack(torch.aminmax(values))).all()):
        raise ValueError("model must have finite derivatives at x, got nan or infinity")


def _mean_over_draws(
    model: nn.Module | Iterable[nn.Module], per_input: Callable[[nn.Module], Float[Tensor, "*networks batch"]]
) -> Estimate:
    """Average over inputs, then over networks if there are several; a single network's draws are its inputs."""
    if isinstance(model, Tensor):
        raise TypeError("model must be a torch.nn.Module, got a tensor")
    if isinstance(model, Iterable) and not isinstance(model, nn.Sequential):
        means = [per_input(member).mean().item() for member in model]
        if not means:
            raise ValueError("model must be a module or an iterable of one or more modules, got none")
        return Estimate.from_draws(means)
    values = per_input(model)
    return Estimate.from_draws((values.mean(dim=1) if values.ndim == 2 else values).cpu().numpy())


def perturbation_stability(model: nn.Module | Iterable[nn.Module], x: Float[Tensor, "batch ..."]) -> Estimate:
    """Return P / radius at the inputs x, with its standard error. Larger means less robust.

    P, the perturbation stability, is the mean length of the first-order change of the outputs when an input moves to
    a random point of the ball of that radius around it. The mean over the ball is exact: nothing is sampled. With one
    output P / radius is c_d times the mean gradient norm (``mean_abs_coordinate``); with several it is the mean of
    ||J u|| over the ball of radius 1, an integral over the singular values of the Jacobian J. For k outputs that takes
    k backward passes. Memory stays bounded (below 1 GiB for 1000 outputs), time does not: for hundreds of outputs use
    ``random_direction_stability``, which takes one pass.

    For an ensemble or an iterable of modules the draws are the networks, averaged over x first:
    gradients of one network share its weights. For a single module the draws are the inputs,
    and the error is that of the mean over inputs for this one network.

    Any module from (batch, ...) to (batch,) or (batch, outputs) in float32 or float64 will do, if it is in
    eval mode, its rows do not interact and its answers do not change from call to call; otherwise
    ``ValueError`` or ``TypeError`` says what is wrong.
    """
    return _mean_over_draws(model, lambda member: stability_per_input(member, x))


def random_direction_stability(
    model: nn.Module | Iterable[nn.Module],
    x: Float[Tensor, "batch ..."],
    *,
    generator: Generator,
    num_directions: int = 1,
) -> Estimate:
    """Estimate P / radius at the inputs x with random directions in place of the mean over the ball.

    ``num_directions`` for each input and network, uniform on the unit sphere; unbiased. For k outputs one
    direction is about k times cheaper than ``perturbation_stability``, whose draws and models it shares.
    """
    require_at_least(1, num_directions=num_directions)
    require_generator(generator)
    return _mean_over_draws(model, lambda member: _lengths_in_random_directions(member, x, generator, num_directions))


def _lengths_in_random_directions(
    model: nn.Module, x: Float[Tensor, "batch ..."], generator: Generator, num_directions: int
) -> Float[Tensor, "*networks batch"]:
    function = _differentiable(model, x)
    blocks = torch.split(x.detach(), rows_at_once(x.shape[1:].numel(), networks=function.num_networks or 1))
    values = torch.cat(
        [
            torch.stack([directional_lengths(function, block, generator=generator) for _ in range(num_directions)])
            for block in blocks
        ],
        dim=-1,
    ).mean(dim=0)
    _require_finite_derivatives(values)
    return values


def directional_lengths(
    function: Differentiable, x: Float[Tensor, "batch ..."], *, generator: Generator
) -> Float[Tensor, "*networks batch"]:
    """Return ||J u|| d / (d+1) for one u per input and network, uniform on the unit sphere: P / radius in the mean."""
    shape = x.shape if function.num_networks is None else (function.num_networks, *x.shape)
    # float32 whatever x is: enough for a direction, and five times as fast as float64.
    draws = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float32).to(x)
    axes = draws.flatten(1) if function.num_networks is None else draws
    changes, sizes = (
        torch.linalg.vector_norm(values, dim=-1, dtype=torch.float64) for values in (function.changes(x, draws), axes)
    )
    # A draw of one coordinate is exactly 0 once in 2^24 times.
    lengths: Tensor = changes / sizes.clamp(min=torch.finfo(torch.float32).tiny)
    return lengths * mean_ball_length(x.shape[1:].numel())


def sampled_perturbation_stability(
    model: nn.Module,
    x: Float[Tensor, "batch ..."],
    *,
    radius: float,
    num_samples: int,
    generator: Generator,
) -> Estimate:
    """Estimate P / radius of one network word for word: draw x_hat, project, take the length.

    ``num_samples`` points x_hat per input, uniform in the ball of ``radius`` (Euclidean, units
    of x) around it; draws are the inputs, averaged over their samples first. Slower and noisier
    than ``perturbation_stability``; it exists to be compared with it.
    """
    require_positive(radius=radius)
    require_at_least(1, num_samples=num_samples)
    require_generator(generator)
    function = _differentiable(model, x)
    if function.num_networks is not None:
        raise ValueError(f"model must be one network, got an ensemble of {function.num_networks}")
    total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for _ in range(num_samples):
        delta = uniform_in_ball(x.detach(), radius=radius, generator=generator)
        total += function.changes(x.detach(), delta).double().norm(dim=1)
    _require_finite_derivatives(total)
    return Estimate.from_draws((total / (num_samples * float(radius))).tolist())
