"""Mean lengths of Gaussian vectors with any mean and covariance."""

from math import pi, sqrt

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import normalize

from tutorial_lib.arguments import require_at_least, require_shape
from tutorial_lib.tensors import require_finite, require_generator

# Numbers of a few rows that are handled at once, each at 40 points: 1 MiB, which the cache holds.
_BLOCK_NUMBERS = 2**17 // 40


def mean_gaussian_length(
    variances: Float[Tensor, "*batch axes"], means: Float[Tensor, "*batch axes"] | None = None
) -> Float[Tensor, "*batch"]:
    r"""Return E||g|| for independent coordinates g_j ~ N(mean_j, variance_j), mean 0 by default.

    .. math:: E\|g\| = \frac1{2\sqrt\pi}\int_0^\infty \Bigl(1 - \prod_j (1 + 2t\lambda_j)^{-1/2}
              e^{-t\mu_j^2/(1 + 2t\lambda_j)}\Bigr)\,t^{-3/2}\,dt

    After scaling E||g||^2 to 1, the integral is that of a single axis, sqrt(2 / pi), plus the difference of the
    two integrands, by the trapezoidal rule in log t: it converges exponentially. Computed in float64, relative
    error below 2e-7. All zero gives 0.
    """
    require_finite(variances=variances)
    if variances.ndim == 0 or variances.numel() == 0:
        raise ValueError(f"variances must have shape (..., axes) and not be empty, got {tuple(variances.shape)}")
    if not bool((variances >= 0).all()):
        raise ValueError(f"variances must be >= 0, got {float(variances.min()):g}")
    if means is not None:
        require_finite(means=means)
        require_shape(variances.shape, means=means.shape)
    # The axes come first: sums and products of whole rows are several times faster.
    scaled = variances.double().reshape(-1, variances.shape[-1]).mT.contiguous()
    squares = None if means is None else means.double().square().reshape(-1, variances.shape[-1]).mT.contiguous()
    total = scaled.sum(dim=0) if squares is None else (scaled + squares).sum(dim=0)
    unit = total.clamp(min=torch.finfo(torch.float64).tiny)
    columns = max(1, _BLOCK_NUMBERS // len(scaled))
    blocks = [torch.split(values / unit, columns, dim=1) for values in (scaled, squares) if values is not None]
    integral = torch.cat([_integral_beyond_one_axis(*block) for block in zip(*blocks, strict=True)])
    return (total.sqrt() * (sqrt(2) + integral / 2) / sqrt(pi)).reshape(variances.shape[:-1])


def _integral_beyond_one_axis(
    variances: Float[Tensor, "axes batch"], squared_means: Float[Tensor, "axes batch"] | None = None
) -> Float[Tensor, " batch"]:
    """Return the integral less that of one axis of variance 1, all points of the rule at once."""
    step = 0.7
    t = torch.arange(40, dtype=torch.float64, device=variances.device).mul(step).sub(11).exp().unsqueeze(1)
    spread = (2 * t * variances.unsqueeze(1)).add_(1)
    # A product of many axes may overflow to infinity, whose inverse root is 0 as it should be.
    laplace = spread.prod(dim=0).rsqrt_()
    if squared_means is not None:
        laplace *= (squared_means.unsqueeze(1) / spread).sum(dim=0).mul_(-t).exp_()
    integral: Tensor = (step / t.mT.sqrt() @ ((1 + 2 * t).rsqrt() - laplace)).squeeze(0)
    return integral


def mean_length_of_changes(
    means: Float[Tensor, "batch outputs dim"],
    covariances: Float[Tensor, "batch dim dim"],
    *,
    generator: Generator,
    num_directions: int = 64,
) -> Float[Tensor, " batch"]:
    """Estimate E||G u|| for u uniform on the unit sphere and independent rows G_k ~ N(mean_k, covariance).

    Exact given u, since G u is then Gaussian with independent entries of equal variance; averaged
    over ``num_directions`` draws of u for each member of the batch. In float64.
    """
    require_at_least(1, num_directions=num_directions)
    require_generator(generator)
    require_finite(means=means, covariances=covariances)
    if means.ndim != 3 or means.numel() == 0:
        raise ValueError(f"means must have shape (batch, outputs, dim) and not be empty, got {tuple(means.shape)}")
    batch, _, dim = means.shape
    require_shape([batch, dim, dim], covariances=covariances.shape)
    draws = torch.randn((batch, dim, int(num_directions)), generator=generator, dtype=torch.float64)
    directions = normalize(draws, dim=1)
    changes = (means.double() @ directions).mT
    variances = (directions * (covariances.double() @ directions)).sum(dim=1).clamp(min=0)
    return mean_gaussian_length(variances.unsqueeze(2).expand_as(changes), changes).mean(dim=1)
