"""The exact laws before training for two relatives of the ReLU network: leaky ReLU, and residual blocks.

As in ``tutorial_lib.exact``: no biases, independent centred Gaussian weights, any fixed nonzero input, and each
layer or block multiplies the length of a signal by an independent random factor. Proofs: the statements page of
the book. This module does not load torch.

The means of these factors come from 1 / sqrt(S) = int_0^inf exp(-t S) (pi t)^(-1/2) dt, multiplied by S and
averaged: with the Laplace transform psi(t) = E exp(-t S) of a random S >= 0,

    E sqrt(S) = int_0^inf -psi'(t) (pi t)^(-1/2) dt.

In log t the integrand is positive, smooth and dies out on both sides, so that the trapezoidal rule is exact to
rounding, at a cost that does not depend on the width.
"""

from functools import cache
from math import exp, log, pi, sqrt

import numpy as np
import numpy.typing as npt

from tutorial_lib.architecture import Architecture, require_architecture
from tutorial_lib.arguments import require_at_least, require_not_negative, require_number
from tutorial_lib.exact import exp_or_inf, log_or_minus_infinity, log_weight_scale, mean_ball_length, mean_chi
from tutorial_lib.initializations import LayerStds, require_stds

_Floats = npt.NDArray[np.float64]

# The points t of the rule, for S of mean 1: less than exp(-39) of the integral lies beyond them.
_STEP = 0.25
_TIMES = np.exp(np.arange(-80, 80, _STEP))
_WEIGHTS = _STEP * np.sqrt(_TIMES / pi)


def mean_leaky_chi(width: int, *, slope: float) -> float:
    r"""Mean factor by which a leaky relu layer with weights N(0, 1) changes the length of a signal; exact.

    .. math:: k_m(a) = E\sqrt{\chi_N^2 + a^2\chi_{m-N}^2}, \qquad N \sim \mathrm{Binomial}(m, 1/2)

    The activation is z where z > 0 and ``slope`` times z elsewhere, -1 <= slope <= 1: neurons that are off pass on
    the part a of their signal. Slope 0 is the relu, k_m(0) = k_m; slopes 1 (no activation) and -1 (absolute value)
    have the same law, k_m(1) = E chi_m.

    >>> round(mean_leaky_chi(1, slope=0.5), 6) == round(0.75 * mean_chi(1), 6)
    True
    """
    require_at_least(1, width=width)
    _require_slope(slope)
    return _mean_leaky_chi(int(width), float(slope) ** 2)


def _require_slope(slope: float) -> None:
    require_number(slope=slope)
    if abs(slope) > 1:
        raise ValueError(f"slope must be a number from -1 to 1, got {slope}")


@cache
def _mean_leaky_chi(width: int, square: float) -> float:
    """Mean by the rule above; one neuron has the transform (1 + 2t)^(-1/2) / 2 + (1 + 2 a^2 t)^(-1/2) / 2."""
    mean = width * (1 + square) / 2
    on, off = np.log1p(2 * _TIMES / mean), np.log1p(2 * square * _TIMES / mean)
    # Taken out of the sum, the larger of its two terms cannot cost digits, at the power of any width.
    log_neuron = np.log1p(np.expm1((off - on) / 2) / 2) - off / 2
    slopes = (np.exp(-1.5 * on) + square * np.exp(-1.5 * off)) / (1 + square)
    return sqrt(mean) * float(slopes * np.exp((width - 1) * log_neuron) @ _WEIGHTS)


def leaky_relu_perturbation_stability(
    stds: LayerStds, architecture: Architecture, *, slope: float, output_divisor: float = 1.0
) -> float:
    r"""Perturbation stability before training, divided by the radius, with leaky relu; exact for all sizes.

    .. math:: \frac{P}{\epsilon} = \frac{d}{d+1}\,\frac{\beta_1\beta^{L-2}\beta_L}{\alpha}\,
              E[\chi_o]\,k_m(a)^{L-1}

    As ``initial_perturbation_stability``, which is the case of slope 0, with k_m(a) of ``mean_leaky_chi``. Slope 1
    is the deep linear network. The mean is over the weights and over the ball.
    """
    _require_slope(slope)
    log_scale = log_weight_scale(stds, architecture, output_divisor=output_divisor)
    log_layers = (architecture.depth - 1) * log(mean_leaky_chi(architecture.width, slope=slope))
    ends = mean_ball_length(architecture.input_dim) * mean_chi(architecture.output_dim)
    return ends * exp_or_inf(log_scale + log_layers)


def mean_residual_growth(width: int, *, weight_scale: float) -> float:
    r"""Mean factor by which a residual block changes the length of a signal, exact: above 1 unless the scale is 0.

    .. math:: q_m(\omega) = E\lVert e + \omega\,\chi_N\,g\rVert, \qquad N \sim \mathrm{Binomial}(m, 1/2)

    The block is h + tau V relu(U h); ``weight_scale`` is omega, tau times the standard deviations of U and of V;
    e is a unit vector of R^m and g standard Gaussian. The mean of the square is 1 + omega^2 m^2 / 2, and for
    small omega the mean is 1 + omega^2 m (m - 1) / 4.

    >>> round(mean_residual_growth(3, weight_scale=0.01) - 1, 6)
    0.00015
    """
    require_at_least(1, width=width)
    require_not_negative(weight_scale=weight_scale)
    return exp_or_inf(_log_residual_growth(int(width), log_or_minus_infinity(weight_scale)))


def _log_residual_growth(width: int, log_scale: float) -> float:
    """Logarithm of q_m, finite at any scale: identity and branch are divided by the larger of 1 and omega."""
    log_unit = max(0.0, log_scale)
    identity, branch = exp(-log_unit), exp(log_scale - log_unit)
    squares, probabilities = _chi_binomial_squares(width)
    lengths = _mean_shifted_lengths(width, identity, branch**2 * squares)
    return log_unit + log(0.5**width * identity + float(probabilities @ lengths))  # 0.5**width: nothing is on


def _mean_shifted_lengths(width: int, identity: float, variances: _Floats) -> _Floats:
    """E||identity e + sqrt(variance) g|| for each variance, g standard Gaussian in R^width; by the rule above."""
    mean = identity**2 + width * variances
    shift, variance = (share[:, np.newaxis] for share in (identity**2 / mean, variances / mean))
    shrink = 1 / (1 + 2 * variance * _TIMES)
    log_psi = -width / 2 * np.log1p(2 * variance * _TIMES) - shift * _TIMES * shrink
    slopes = (width * variance + shift * shrink) * shrink * np.exp(log_psi)
    lengths: _Floats = np.sqrt(mean) * (slopes @ _WEIGHTS)
    return lengths


@cache
def _chi_binomial_squares(width: int) -> tuple[_Floats, _Floats]:
    """Values of chi_N^2 above 0 and their probabilities, which make means of smooth functions exact to rounding.

    The trapezoidal rule in log chi_N^2, whose standard deviation is about sqrt(5 / width), and in N: a sum to
    begin with, of which a wide network needs every stride-th term only.
    """
    from scipy.stats import binom  # takes most of a second to load, and the other formulas need none of it

    spread, stride = sqrt(5 / width), 1 + int(sqrt(width) / 8)
    below = max(20 * spread, 75 - width)  # a few neurons that are on reach far down
    logs = log(width / 2) + np.arange(-below, 10 * spread, min(0.25, spread / 3))
    degrees = np.arange(max(1, width // 2 - 50 * stride), min(width, width // 2 + 50 * stride) + 1, stride)
    # Normalized by their sums, the densities of log chi_N^2 need no Gamma function, which would cost digits.
    relative = logs - np.log(degrees)[:, np.newaxis]
    densities = np.exp(degrees[:, np.newaxis] / 2 * (relative - np.expm1(relative)))
    probabilities = binom.pmf(degrees, width, 0.5) @ (densities / densities.sum(axis=1, keepdims=True))
    return np.exp(logs), (1 - 0.5**width) * probabilities / probabilities.sum()


def residual_perturbation_stability(
    stds: LayerStds, architecture: Architecture, *, branch_scale: float, output_divisor: float = 1.0
) -> float:
    r"""Perturbation stability before training, divided by the radius, with residual blocks; exact for all sizes.

    .. math:: \frac{P}{\epsilon} = \frac{d}{d+1}\,\frac{\beta_1\beta_L}{\alpha}\,
              E[\chi_m]\,E[\chi_o]\,q_m(\tau\beta^2)^{(L-2)/2}

    The network is h_0 = W_1 x, then (L - 2) / 2 blocks h + tau V relu(U h) with tau = ``branch_scale``, then
    W_L h / alpha. Depth counts all weight matrices, two in each block, and must be even; U and V have standard
    deviation ``stds.hidden`` (only the product matters). The growth q_m is that of ``mean_residual_growth``: above
    1, so depth raises P before training, without limit unless tau is of order L^(-1/2).
    """
    num_blocks = _num_blocks(architecture)
    log_ends = log_weight_scale(stds, architecture.replace(depth=2), output_divisor=output_divisor)
    log_blocks = num_blocks * _log_residual_growth(architecture.width, _log_branch(stds, branch_scale))
    ends = mean_ball_length(architecture.input_dim) * mean_chi(architecture.width) * mean_chi(architecture.output_dim)
    return ends * exp_or_inf(log_ends + log_blocks)


def residual_mean_square_gradient(
    stds: LayerStds, architecture: Architecture, *, branch_scale: float, output_divisor: float = 1.0
) -> float:
    r"""Mean squared Frobenius norm of df/dx before training, with residual blocks; exact for all sizes.

    .. math:: d\,o\,m\,\Bigl(\frac{\beta_1\beta_L}{\alpha}\Bigr)^2
              \Bigl(1 + \frac{\tau^2\beta^4m^2}{2}\Bigr)^{(L-2)/2}

    The network is that of ``residual_perturbation_stability``. For tau = t (2 / (L - 2))^(1/2) the last factor
    rises with the depth to exp(t^2 beta^4 m^2 / 2): exp(t^2 / 2) for LeCun, exp(2 t^2) for He and NTK.
    """
    num_blocks = _num_blocks(architecture)
    log_ends = 2 * log_weight_scale(stds, architecture.replace(depth=2), output_divisor=output_divisor)
    log_square = 2 * (_log_branch(stds, branch_scale) + log(architecture.width)) - log(2)
    sizes = architecture.input_dim * architecture.output_dim * architecture.width
    return sizes * exp_or_inf(log_ends + num_blocks * float(np.logaddexp(0, log_square)))


def _num_blocks(architecture: Architecture) -> int:
    require_architecture(architecture)
    if architecture.depth % 2:
        raise ValueError(f"architecture must have an even depth here, two matrices in each block, got {architecture}")
    return architecture.depth // 2 - 1


def _log_branch(stds: LayerStds, branch_scale: float) -> float:
    """Logarithm of tau beta^2, finite where the product would not be."""
    require_stds(stds)
    require_not_negative(branch_scale=branch_scale)
    return log_or_minus_infinity(branch_scale) + 2 * log_or_minus_infinity(stds.hidden)
