"""Formulas of the talk and of the works it compares with, and one true inequality of ours.

A ``_bound`` is a true inequality with its constant. A ``_rate`` holds up to a constant that its
source does not name: compare its slope or its shape, never its value. Where a rate exceeds the
largest float it is ``inf``.
"""

from collections.abc import Callable, Mapping
from math import cbrt, exp, inf, log, sqrt

from tutorial_lib.architecture import Architecture, require_architecture
from tutorial_lib.arguments import require_at_least, require_depth, require_member, require_positive
from tutorial_lib.exact import exp_or_inf, log_weight_scale, mean_ball_length, mean_chi
from tutorial_lib.initializations import LayerStds, require_stds


def lazy_rate_hump(architecture: Architecture) -> float:
    r"""First term of the lazy theorem over its plateau (slides 16 to 18): sqrt(L^3 m) e^(-m/L^3).

    As a function of the width it peaks at ``lazy_rate_peak(depth)`` and then dies out.
    """
    require_architecture(architecture)
    width, depth = architecture.width, architecture.depth
    return exp((3 * log(depth) + log(width)) / 2 - width / depth**3)


def lazy_rate_peak(depth: int) -> float:
    """Width, not rounded, at which ``lazy_rate_hump`` is largest: depth cubed over 2."""
    require_depth(depth)
    return int(depth) ** 3 / 2


_LAZY_ROWS: Mapping[str, Callable[[float, Architecture], float]] = {
    "lecun": lambda hump, shape: (hump + 1) / sqrt(shape.input_dim) * 2 ** (-(shape.depth - 2) / 2),
    "he": lambda hump, shape: (hump + 1) / sqrt(shape.input_dim),
    "ntk": lambda hump, shape: hump / sqrt(shape.input_dim) + 1,
}


def lazy_rate(scheme: str, architecture: Architecture) -> float:
    r"""Row of the talk's lazy theorem as printed (slides 16 to 18), up to an unnamed constant.

    P / radius for unit inputs and one output. With h = sqrt(L^3 m) e^(-m/L^3): LeCun
    (h + 1) / sqrt(d) (sqrt(2)/2)^(L-2), He (h + 1) / sqrt(d), NTK h / sqrt(d) + 1. The NTK row is
    not homogeneous in the weights; ``homogeneous_lazy_rate`` is.
    """
    require_member(_LAZY_ROWS, scheme=scheme)
    return _LAZY_ROWS[scheme](lazy_rate_hump(architecture), architecture)


def homogeneous_lazy_rate(stds: LayerStds, architecture: Architecture) -> float:
    r"""Our construction: a lazy row for any standard deviations, up to an unnamed constant.

    .. math:: (\sqrt{L^3m}\,e^{-m/L^3} + 1)\,\sqrt{m}\,\beta_1\beta_L\,(\beta\sqrt{m/2})^{L-2}

    It gives the talk's LeCun row exactly, its He row times 2, and sqrt(2) (h + 1) for NTK: the
    row that homogeneity of the network in each weight matrix asks for. Not a formula of the talk.
    """
    hump, log_scale = lazy_rate_hump(architecture), log_weight_scale(stds, architecture)
    log_layers = log(architecture.width) / 2 + (architecture.depth - 2) * log(architecture.width / 2) / 2
    return (hump + 1) * exp_or_inf(log_scale + log_layers)


def wu2021_rate(architecture: Architecture) -> float:
    r"""[WCC+21] in the talk's comparison (slide 19, NTK), up to an unnamed constant.

    .. math:: L^2 m^{1/3}\sqrt{\log m} + \sqrt{mL}
    """
    require_architecture(architecture)
    width, depth = architecture.width, architecture.depth
    return depth**2 * cbrt(width) * sqrt(log(width)) + sqrt(width * depth)


def huang2021_rate(architecture: Architecture) -> float:
    r"""[HWE+21] in the talk's comparison (slide 19), up to an unnamed constant; free of width.

    .. math:: 2^{(3L-5)/2}\sqrt{L}

    The slide's text flattens the exponent onto the line; the exponent form is our reading.
    """
    require_architecture(architecture)
    depth = architecture.depth
    return exp_or_inf((3 * depth - 5) / 2 * log(2) + log(depth) / 2)


def non_lazy_rate(*, num_samples: int, width: int, exponent: float) -> float:
    r"""The talk's non-lazy theorem for two layers (slide 21), up to constants and logarithms.

    .. math:: n\,m^{-(c+3/2)}

    ``exponent`` is c in the standard deviation m^-c of both layers; the time range of the
    theorem is not on the slide.
    """
    require_at_least(1, num_samples=num_samples, width=width)
    require_positive(exponent=exponent)
    return num_samples * exp(-(exponent + 1.5) * log(width))


def non_lazy_threshold(stds: LayerStds, architecture: Architecture) -> float:
    r"""Output divisor far above which training is non-lazy (slide 20), up to a constant.

    .. math:: \Bigl(m^{3/2}\sum_{i=1}^L\beta_i\Bigr)^L

    Sufficient, by the talk; far from necessary at two layers.
    """
    require_stds(stds)
    require_architecture(architecture)
    total = stds.first + (architecture.depth - 2) * stds.hidden + stds.last
    log_sum = 1.5 * log(architecture.width) + log(total) if total > 0 else -inf
    return exp_or_inf(architecture.depth * log_sum)


def initial_stability_bound(stds: LayerStds, architecture: Architecture, *, output_divisor: float = 1.0) -> float:
    r"""Upper bound on the perturbation stability before training over the radius.

    .. math:: \frac{d}{d+1}\,\frac{\beta_1\beta^{L-2}\beta_L}{\alpha}\,E[\chi_o]\,(m/2)^{(L-1)/2}

    True inequality for all sizes: the exact law with Jensen's E chi_N <= sqrt(m/2) in each layer;
    the ratio to the exact value tends to 1 as the width grows.
    """
    log_scale = log_weight_scale(stds, architecture, output_divisor=output_divisor)
    log_layers = (architecture.depth - 1) * log(architecture.width / 2) / 2
    ends = mean_ball_length(architecture.input_dim) * mean_chi(architecture.output_dim)
    return ends * exp_or_inf(log_scale + log_layers)
