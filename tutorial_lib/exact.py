"""Exact laws of a random ReLU network before training, as plain floats.

The network is f(x) = W_L relu(W_{L-1} ... relu(W_1 x)) / alpha without biases; its weights are
independent centred Gaussians and x is any fixed nonzero point. There each neuron is active with
probability 1/2, independently of all others, and a hidden layer of width m multiplies the length
of a signal by beta chi_N with N ~ Binomial(m, 1/2). Proofs: the statements page of the book.
This module does not load torch.
"""

from functools import cache
from math import exp, expm1, inf, log, log1p, pi, sqrt

import numpy as np
import numpy.typing as npt

from tutorial_lib.architecture import Architecture, require_architecture
from tutorial_lib.arguments import require_at_least, require_positive
from tutorial_lib.initializations import LayerStds, require_stds

# Both expansions below are exact to rounding from these sizes on, and quicker than the sums.
_CHI_EXPANSION_FROM = 1_000
_BINOMIAL_EXPANSION_FROM = 10_000


# By hand and not by scipy.special.poch, which loses four digits at a few thousand degrees.
@cache
def _mean_chi_table() -> npt.NDArray[np.float64]:
    """E chi_0 ... E chi_999, by E chi_{k+2} = (k + 1) / k E chi_k."""
    table = np.zeros(_CHI_EXPANSION_FROM)
    degrees = np.arange(_CHI_EXPANSION_FROM - 2)
    table[1:3] = sqrt(2 / pi), sqrt(pi / 2)
    table[3::2] = table[1] * np.cumprod(1 + 1 / degrees[1::2])
    table[4::2] = table[2] * np.cumprod(1 + 1 / degrees[2::2])
    return table


def _mean_chis(degrees: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    inverse = 1 / np.maximum(degrees, _CHI_EXPANSION_FROM)
    series = 1 + inverse * (-1 / 4 + inverse * (1 / 32 + inverse * (5 / 128 - inverse * 21 / 2048)))
    small = _mean_chi_table()[np.minimum(degrees, _CHI_EXPANSION_FROM - 1)]
    return np.where(degrees < _CHI_EXPANSION_FROM, small, series * np.sqrt(degrees))


def mean_chi(degrees: int) -> float:
    r"""Mean length of a standard Gaussian vector with ``degrees`` entries; exact, 0 for none.

    .. math:: E\chi_k = \sqrt2\,\Gamma((k+1)/2)\,/\,\Gamma(k/2)

    >>> round(mean_chi(1) ** 2, 6) == round(2 / pi, 6)
    True
    """
    require_at_least(0, degrees=degrees)
    return _mean_chi(int(degrees))


@cache
def _mean_chi(degrees: int) -> float:
    return float(_mean_chis(np.asarray(degrees)))


def mean_ball_length(dim: int) -> float:
    """Mean length of a point uniform in the unit ball of R^dim: dim / (dim + 1), exact."""
    require_at_least(1, dim=dim)
    return int(dim) / (int(dim) + 1)


def mean_abs_coordinate(dim: int) -> float:
    r"""Mean of abs(u_1), u uniform in the unit ball of R^dim: the constant c_d; exact.

    .. math:: c_d = \frac{d}{d+1}\,\frac{E\chi_1}{E\chi_d}

    The length of u has mean d / (d + 1) and its direction is that of a Gaussian vector, whose
    length is independent of it. P / radius is c_d times the mean gradient norm (one output).

    >>> [round(mean_abs_coordinate(dim), 6) for dim in (1, 3)]
    [0.5, 0.375]
    """
    return mean_ball_length(dim) * mean_chi(1) / mean_chi(dim)


def mean_chi_binomial(width: int) -> float:
    r"""Mean of chi_N with N ~ Binomial(width, 1/2): the constant k_m; exact.

    .. math:: k_m = \sum_{j=1}^m \binom mj 2^{-m}\, E\chi_j
              = \sqrt{m/2}\,\bigl(1 - \tfrac5{8m} - \tfrac{23}{128m^2} - \dots\bigr)

    The mean factor by which a relu layer with weights N(0, 1) changes the length of a signal.

    >>> round(mean_chi_binomial(1), 6) == round(mean_chi(1) / 2, 6)
    True
    """
    require_at_least(1, width=width)
    return _mean_chi_binomial(int(width))


@cache
def _mean_chi_binomial(width: int) -> float:
    if width >= _BINOMIAL_EXPANSION_FROM:
        series = 1 - 5 / (8 * width) - 23 / (128 * width**2) - 95 / (1024 * width**3)
        return sqrt(width / 2) * series
    from scipy.stats import binom  # takes most of a second to load, and most formulas need none of it

    successes = np.arange(width + 1)
    return float(binom.pmf(successes, width, 0.5) @ _mean_chis(successes))


def log_or_minus_infinity(value: float) -> float:
    """Natural logarithm; ``-inf`` at 0."""
    return log(value) if value > 0 else -inf


def exp_or_inf(exponent: float) -> float:
    """Exponential function; ``inf`` where it exceeds the largest float."""
    try:
        return exp(exponent)
    except OverflowError:
        return inf


def log_weight_scale(stds: LayerStds, architecture: Architecture, *, output_divisor: float = 1.0) -> float:
    """Logarithm of beta_1 beta^(L-2) beta_L / alpha, finite at any depth; -inf if a factor is 0."""
    require_stds(stds)
    require_architecture(architecture)
    require_positive(output_divisor=output_divisor)
    num_hidden = architecture.depth - 2
    hidden = num_hidden * log_or_minus_infinity(stds.hidden) if num_hidden else 0.0
    ends = log_or_minus_infinity(stds.first) + log_or_minus_infinity(stds.last)
    return ends + hidden - log(output_divisor)


def initial_perturbation_stability(
    stds: LayerStds, architecture: Architecture, *, output_divisor: float = 1.0
) -> float:
    r"""Return P / radius before training, the mean over the random weights: exact for all sizes.

    .. math:: \frac{P}{\epsilon} = \frac{d}{d+1}\,\frac{\beta_1\beta^{L-2}\beta_L}{\alpha}\,
              E[\chi_o]\,k_m^{L-1}

    P, the perturbation stability, is the mean length of the first-order change of the outputs when the input moves
    to a random point of the ball of that radius around it; larger means less robust. The unit of P / radius is change
    of the outputs per change of the input, both in Euclidean length. Dead networks count as 0, and the value does not
    depend on the input.
    """
    log_scale = log_weight_scale(stds, architecture, output_divisor=output_divisor)
    log_layers = (architecture.depth - 1) * log(mean_chi_binomial(architecture.width))
    ends = mean_ball_length(architecture.input_dim) * mean_chi(architecture.output_dim)
    return ends * exp_or_inf(log_scale + log_layers)


def initial_mean_square_gradient(stds: LayerStds, architecture: Architecture, *, output_divisor: float = 1.0) -> float:
    r"""Mean squared Frobenius norm of df/dx before training; exact for all sizes.

    .. math:: d\,o\,\Bigl(\frac{\beta_1\beta^{L-2}\beta_L}{\alpha}\Bigr)^2 (m/2)^{L-1}

    Flipping the sign of a weight row swaps active and inactive, so each relu keeps half of the
    second moment. For the talk's schemes with one output: He 2, NTK d, LeCun 2^-(L-1).
    """
    log_scale = 2 * log_weight_scale(stds, architecture, output_divisor=output_divisor)
    log_layers = (architecture.depth - 1) * log(architecture.width / 2)
    return architecture.input_dim * architecture.output_dim * exp_or_inf(log_scale + log_layers)


def initial_relative_variance(architecture: Architecture) -> float:
    r"""Variance of the squared gradient norm over its squared mean, one output; exact.

    .. math:: (1 + 2/d)\,(1 + 5/m)^{L-1} - 1

    Over the draw of the weights at one fixed x, the same for every initialization. From
    E chi_N^4 = m^2/4 + 5m/4. It grows with depth whatever the mean does; ``inf`` where it
    exceeds the largest float.
    """
    require_architecture(architecture, output_dim=1)
    log_ratio = log1p(2 / architecture.input_dim) + (architecture.depth - 1) * log1p(5 / architecture.width)
    return exp_or_inf(log_ratio) if log_ratio > 40 else expm1(log_ratio)  # beyond e^40 the 1 is below rounding


def dead_network_probability(architecture: Architecture) -> float:
    r"""Probability that the gradient at x vanishes because a layer has no active neuron; exact.

    .. math:: 1 - (1 - 2^{-m})^{L-1}
    """
    require_architecture(architecture)
    return -expm1((architecture.depth - 1) * log1p(-(0.5**architecture.width)))
