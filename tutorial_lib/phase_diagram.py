"""The plane (gamma, gamma') of two-layer ReLU networks [LXMZ21], in the order of letters of the talk.

f(x) = (1 / alpha) sum_k a_k relu(w_k x). LXMZ21 call the standard deviation of the outputs a_k beta_1
and that of the inputs w_k beta_2, the reverse of the talk; here they are ``last`` and ``first``.
"""

from collections.abc import Sequence
from copy import deepcopy
from math import log

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from tutorial_lib.arguments import require_at_least
from tutorial_lib.initializations import Initialization, LayerStds
from tutorial_lib.kernels import empirical_ntk
from tutorial_lib.models import ReLUMLP
from tutorial_lib.randomness import random_stream
from tutorial_lib.training import train


def stds_at(gamma: float, gamma_prime: float, *, width: int) -> LayerStds:
    r"""Return standard deviations on the point of the plane, with output divisor 1.

    .. math:: \beta_{out} = m^{-(\gamma+\gamma')/2},\qquad \beta_{in} = m^{-(\gamma-\gamma')/2}

    So that gamma = -log(beta_out beta_in) / log m and gamma' = -log(beta_out / beta_in) / log m.
    """
    require_at_least(2, width=width)
    last, first = (width ** (-(gamma + sign * gamma_prime) / 2) for sign in (1, -1))
    return LayerStds(first=first, hidden=0.0, last=last)


def networks_at(
    points: Sequence[tuple[float, float]],
    *,
    input_dim: int,
    width: int,
    num_networks: int,
    output_divisor: float = 1.0,
    generator: Generator,
) -> ReLUMLP:
    """Return one ensemble of two-layer networks: ``num_networks`` for each point (gamma, gamma'), point by point.

    All points share the same Gaussians, so they differ by their standard deviations alone.
    """
    networks = ReLUMLP(
        LayerStds(first=1.0, hidden=0.0, last=1.0),
        input_dim=input_dim,
        width=width,
        depth=2,
        output_divisor=output_divisor,
        num_networks=num_networks,
        generator=generator,
    )
    stds = [stds_at(gamma, gamma_prime, width=width) for gamma, gamma_prime in points]
    for weight, scales in zip(networks.weights, ([s.first for s in stds], [s.last for s in stds]), strict=True):
        scale = torch.tensor(scales, dtype=weight.dtype).reshape(-1, 1, 1, 1)
        weight.data = (scale * weight.data).flatten(0, 1)
    return networks


def trained_on_plane(
    points: Sequence[tuple[float, float]],
    x: Float[Tensor, "batch dim"],
    y: Float[Tensor, " batch"],
    *,
    width: int,
    num_networks: int,
    num_steps: int,
    output_divisor: float = 1.0,
    seed: int = 0,
) -> tuple[ReLUMLP, ReLUMLP]:
    """Return two-layer networks on points of the phase diagram, before and after training, as ``networks_at`` orders.

    Full-batch gradient descent on the mean half square, rate 0.3 / max(largest eigenvalue of the
    network's own tangent kernel / n, 0.5 / output_divisor), computed anew every 25 steps: outside the
    linear regime the kernel starts near 0 and grows. In the dtype of x. Raises if a network diverged.
    """
    generator = random_stream(seed, f"plane of width {width}")
    sizes = {"input_dim": x.shape[1], "width": width, "num_networks": num_networks}
    initial = networks_at(points, **sizes, output_divisor=output_divisor, generator=generator).to(x)
    networks = deepcopy(initial)
    for start in range(0, num_steps, 25):
        largest = torch.linalg.eigvalsh(empirical_ntk(networks, x, x))[:, -1] / len(x)
        rates = 0.3 / largest.clamp(min=0.5 / output_divisor)
        result = train(networks, x, y, learning_rate=rates, num_steps=min(25, num_steps - start))
        if bool((result.diverged_at >= 0).any()):
            raise FloatingPointError(f"training diverged between steps {start} and {start + 25}")
    return initial, networks


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
    deviations fall faster than m^(-3/2), hence gamma > 3 + abs(gamma').
    """
    return gamma > 3 + abs(gamma_prime)


def orientations_and_amplitudes(
    model: ReLUMLP,
) -> tuple[Float[Tensor, "*networks width"], Float[Tensor, "*networks width"]]:
    """Return angle of w_k in radians and amplitude abs(a_k) ||w_k|| of each neuron; inputs have two coordinates."""
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
