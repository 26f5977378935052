"""Estimators of the perturbation stability P / radius: how much f moves, to first order.

P(f, radius) is the mean of ||J(x) (x - x_hat)||, J = df/dx, over inputs x and over x_hat uniform
in the Euclidean ball of that radius around x. Being first order in x - x_hat it is proportional
to the radius, so everything here returns P / radius: change of the outputs (Euclidean) per
Euclidean length of the input. Larger means less robust.
"""

from collections.abc import Iterable, Iterator
from math import isfinite

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from tutorial_lib.arguments import require_at_least, require_positive
from tutorial_lib.estimates import Estimate
from tutorial_lib.exact import mean_chi
from tutorial_lib.gaussians import mean_gaussian_length
from tutorial_lib.models import ReLUMLP, mask_
from tutorial_lib.perturbations import uniform_in_ball

# Rows handled at once, so that memory does not grow with the batch.
_BLOCK_ROWS = 256


def _require_fitting(model: nn.Module, x: Tensor) -> None:
    if not x.is_floating_point():
        raise TypeError(f"x must hold floating-point numbers, got {x.dtype}")
    if x.ndim < 2 or x.numel() == 0:
        raise ValueError(f"x must have shape (batch, ...) and not be empty, got {tuple(x.shape)}")
    # The smallest and the largest in one pass; nan counts as both.
    if not all(map(isfinite, map(float, torch.aminmax(x)))):
        raise ValueError("x must be finite, got nan or infinity")
    if isinstance(model, ReLUMLP):
        _require_mlp_inputs(model, x)
    else:
        _require_independent_rows(model)


def _require_mlp_inputs(model: ReLUMLP, x: Tensor) -> None:
    if x.ndim != 2 or x.shape[1] != model.input_dim:
        raise ValueError(f"x must have shape (batch, {model.input_dim}), got {tuple(x.shape)}")
    weight: Tensor = model.weights[0]
    if x.dtype != weight.dtype or x.device != weight.device:
        raise ValueError(f"x must be {weight.dtype} on {weight.device} like the weights, got {x.dtype} on {x.device}")


def _require_independent_rows(model: nn.Module) -> None:
    for name, module in model.named_modules():
        couples = isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd)
        if couples and module.training:
            raise ValueError(f"model must be in eval mode, got {name!r} in training mode")


def _mlp_jacobians(model: ReLUMLP, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "*networks outputs batch dim"]:
    """Chain of masked matrix products from the output back to the input."""
    *hidden, last = (weight.detach() for weight in model.weights)
    layers = []
    for weight in hidden:
        x = (x @ weight.mT).relu_()
        layers.append(x.unsqueeze(-3))
    signal: Tensor = last.unsqueeze(-2).expand(*last.shape[:-1], x.shape[-2], -1) / model.output_divisor
    for weight, layer in zip(reversed(hidden), reversed(layers), strict=True):
        matrix = weight if weight.ndim == 2 else weight.unsqueeze(-3)
        signal = mask_(signal, layer) @ matrix
    return signal


def _mlp_changes(
    model: ReLUMLP, x: Float[Tensor, "batch dim"], directions: Float[Tensor, "*networks batch dim"]
) -> Float[Tensor, "*networks batch outputs"]:
    """Forward chain: J u beside f itself, at the cost of two forward passes."""
    *hidden, last = (weight.detach() for weight in model.weights)
    for weight in hidden:
        x = (x @ weight.mT).relu_()
        directions = mask_(directions @ weight.mT, x)
    changes: Tensor = directions @ last.mT / model.output_divisor
    return changes


def _module_jacobians(model: nn.Module, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "outputs batch dim"]:
    """One backward pass per output; rows do not interact, so the sum over rows is harmless."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        outputs = model(x)
        if outputs.ndim not in (1, 2) or len(outputs) != len(x):
            shapes = f"{tuple(outputs.shape)} from {tuple(x.shape)}"
            raise ValueError(f"model must map (batch, ...) to (batch,) or (batch, outputs), got {shapes}")
        columns = outputs.reshape(len(x), -1).unbind(dim=1)
        gradients = [torch.autograd.grad(c.sum(), x, retain_graph=True)[0] for c in columns]
    return torch.stack(gradients).flatten(2)


def _jacobians(model: nn.Module, x: Tensor) -> Iterator[Float[Tensor, "*networks outputs rows dim"]]:
    """Check that model and inputs fit, then yield the Jacobians of a few rows at a time."""
    _require_fitting(model, x)
    if isinstance(model, ReLUMLP):
        outputs = model.weights[-1].shape[-2]
        yield from (_mlp_jacobians(model, rows) for rows in torch.split(x, max(32, _BLOCK_ROWS // outputs)))
    else:
        yield from (_module_jacobians(model, rows) for rows in torch.split(x, _BLOCK_ROWS))


def input_jacobians(model: nn.Module, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "*networks batch outputs dim"]:
    """Return the matrix df/dx at each row of x, all input axes flattened into one."""
    return torch.cat(list(_jacobians(model, x)), dim=-2).transpose(-3, -2)


def _lengths_in_random_directions(
    model: nn.Module, x: Float[Tensor, "batch ..."], generator: Generator
) -> Float[Tensor, "*networks batch"]:
    """||J u|| for one u per input and network, uniform on the unit sphere: ||J g|| / ||g||."""
    networks = model.num_networks if isinstance(model, ReLUMLP) else None
    shape = x.shape if networks is None else (networks, *x.shape)
    # float32 whatever x is: enough for a direction, and five times as fast as float64.
    draws = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float32).to(x)
    if isinstance(model, ReLUMLP):
        changes = _mlp_changes(model, x, draws)
    else:
        changes = torch.func.jvp(model, (x.contiguous(),), (draws,))[1].detach().reshape(len(x), -1)
        draws = draws.flatten(1)
    # A draw of one coordinate is exactly 0 once in 2^24 times.
    lengths: Tensor = changes.norm(dim=-1) / draws.norm(dim=-1).clamp(min=torch.finfo(x.dtype).tiny)
    return lengths


def _squared_singular_values(jacobians: Float[Tensor, "... outputs batch dim"]) -> Float[Tensor, "... batch outputs"]:
    if jacobians.shape[-3] == 1:
        squares: Tensor = jacobians.squeeze(-3).norm(dim=-1, keepdim=True).double().square()
    else:
        matrices = jacobians.transpose(-3, -2).double()
        squares = torch.linalg.eigvalsh(matrices @ matrices.mT).clamp(min=0)
    return squares


def stability_per_input(
    model: nn.Module, x: Float[Tensor, "batch ..."], *, generator: Generator | None = None
) -> Float[Tensor, "*networks batch"]:
    """Return P / radius at each row of x, in float64: what ``perturbation_stability`` averages.

    The length of a uniform point of the ball has mean d/(d+1).
    """
    dim = x.shape[1:].numel()
    if generator is not None:
        _require_fitting(model, x)
        blocks = [_lengths_in_random_directions(model, rows, generator) for rows in torch.split(x, _BLOCK_ROWS)]
        return torch.cat(blocks, dim=-1).double() * (dim / (dim + 1))
    # For g standard Gaussian and u uniform on the unit sphere E||J u|| = E||J g|| / E chi_d.
    variances = torch.cat([_squared_singular_values(block) for block in _jacobians(model, x)], dim=-2)
    one_output = variances.shape[-1] == 1
    lengths = variances.squeeze(-1).sqrt() * mean_chi(1) if one_output else mean_gaussian_length(variances)
    return lengths / mean_chi(dim) * (dim / (dim + 1))


def perturbation_stability(
    model: nn.Module | Iterable[nn.Module],
    x: Float[Tensor, "batch ..."],
    *,
    generator: Generator | None = None,
) -> Estimate:
    """Estimate P / radius at the inputs x; the mean over the ball is exact, nothing is sampled.

    One output: c_d times the mean gradient norm. Several: the mean of ||J u|| over directions,
    an integral over the singular values of J. With a ``generator`` one random direction per
    input replaces that mean: unbiased, and for k outputs about k times cheaper.

    For an ensemble or an iterable of modules the draws are the networks, averaged over x first:
    gradients of one network share its weights. For a single module the draws are the inputs,
    and the error is that of the mean over inputs for this one network. Any module from
    (batch, ...) to (batch,) or (batch, outputs) will do, if its rows do not interact (batch
    normalization in eval mode).
    """
    if isinstance(model, nn.Module):
        values = stability_per_input(model, x, generator=generator)
        return Estimate.from_draws((values.mean(dim=1) if values.ndim == 2 else values).tolist())
    return Estimate.from_draws(stability_per_input(m, x, generator=generator).mean().item() for m in model)


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
    _require_fitting(model, x)
    if isinstance(model, ReLUMLP) and model.num_networks is not None:
        raise ValueError(f"model must be one network, got an ensemble of {model.num_networks}")
    total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for _ in range(num_samples):
        delta = uniform_in_ball(x, radius=radius, generator=generator)
        change: Tensor = torch.func.jvp(model, (x.contiguous(),), (delta,))[1]
        total += change.detach().reshape(len(x), -1).norm(dim=1).double()
    return Estimate.from_draws((total / (num_samples * radius)).tolist())
