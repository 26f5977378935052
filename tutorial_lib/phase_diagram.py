"""The plane (gamma, gamma') of two-layer ReLU networks [LXMZ21], in the order of letters of the talk.

f(x) = (1 / alpha) sum_k a_k relu(w_k x). LXMZ21 call the standard deviation of the outputs a_k beta_1
and that of the inputs w_k beta_2, the reverse of the talk; here they are ``last`` and ``first``.
"""

from math import log

import torch
from jaxtyping import Float
from torch import Tensor

from tutorial_lib.arguments import require_at_least
from tutorial_lib.initializations import Initialization, LayerStds
from tutorial_lib.models import ReLUMLP


def stds_at(gamma: float, gamma_prime: float, *, width: int) -> LayerStds:
    r"""Return standard deviations on the point of the plane, with output divisor 1.

    .. math:: \beta_{out} = m^{-(\gamma+\gamma')/2},\qquad \beta_{in} = m^{-(\gamma-\gamma')/2}

    So that gamma = -log(beta_out beta_in) / log m and gamma' = -log(beta_out / beta_in) / log m.
    """
    require_at_least(2, width=width)
    last, first = (width ** (-(gamma + sign * gamma_prime) / 2) for sign in (1, -1))
    return LayerStds(first=first, hidden=0.0, last=last)


def exponents(initialization: Initialization, *, input_dim: int, output_exponent: float = 0.0) -> tuple[float, float]:
    """Return (gamma, gamma') of a scheme at fixed input dimension, as a slope between two widths.

    ``output_exponent`` is that of the output divisor, m to this power.
    """
    widths = 10**3, 10**6
    small, large = (initialization(input_dim=input_dim, width=width) for width in widths)
    decades = log(widths[1] / widths[0])
    of_input, of_output = log(small.first / large.first) / decades, log(small.last / large.last) / decades
    return of_output + of_input + output_exponent, of_output - of_input


def regime(gamma: float, gamma_prime: float) -> str:
    """Return linear, critical or condensed: LXMZ21's theorem for the limit of infinite width.

    Linear if gamma < 1 or gamma' > gamma - 1 (input weights hardly move), condensed if gamma > 1 and
    gamma' < gamma - 1 (they move by much more than their length), critical on the border.
    """
    lead = max(1 - gamma, gamma_prime - (gamma - 1))
    return "linear" if lead > 0 else "condensed" if lead < 0 else "critical"


def slide_condition(gamma: float, gamma_prime: float) -> bool:
    """Return whether the talk's sufficient condition for non-lazy training (slide 20) covers a point.

    At two layers and output divisor 1 it asks m^(3/2) (beta_in + beta_out) -> 0: both standard
    deviations fall faster than m^(-3/2), hence gamma > 3 + |gamma'|.
    """
    return gamma > 3 + abs(gamma_prime)


def orientations_and_amplitudes(
    model: ReLUMLP,
) -> tuple[Float[Tensor, "*networks width"], Float[Tensor, "*networks width"]]:
    """Return angle of w_k in radians and |a_k| ||w_k|| of each neuron; inputs have two coordinates."""
    if len(model.weights) != 2 or model.input_dim != 2:
        raise ValueError(
            f"model must have depth 2 and two input coordinates, got depth {len(model.weights)} and {model.input_dim}"
        )
    inner, outer = (weight.detach() for weight in model.weights)
    amplitudes: Tensor = inner.norm(dim=-1) * outer.norm(dim=-2)
    return torch.atan2(inner[..., 1], inner[..., 0]), amplitudes


def occupied_orientations(
    orientations: Float[Tensor, " width"], amplitudes: Float[Tensor, " width"], *, num_bins: int = 72
) -> float:
    """Return the effective number of angle bins that hold the amplitude: exp of its entropy."""
    require_at_least(1, num_bins=num_bins)
    bins = ((orientations / (2 * torch.pi) + 0.5) * num_bins).long().clamp(0, num_bins - 1)
    shares = torch.zeros(num_bins, dtype=amplitudes.dtype).index_add_(0, bins, amplitudes)
    return float(torch.special.entr(shares / shares.sum()).sum().exp())
