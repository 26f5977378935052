"""The plane (gamma, gamma') of two-layer ReLU networks [LXMZ21], in the order of letters of the talk.

f(x) = (1 / alpha) sum_k a_k relu(w_k x). LXMZ21 call the standard deviation of the outputs a_k beta_1
and that of the inputs w_k beta_2, the reverse of the talk; here they are ``last`` and ``first``.
"""

from collections.abc import Sequence
from copy import deepcopy
from math import inf, log

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from tutorial_lib.architecture import Architecture, require_architecture
from tutorial_lib.arguments import require_at_least, require_callable, require_number, require_shape
from tutorial_lib.gradient_flow import FlowRecord, follow_gradient_flow
from tutorial_lib.initializations import Initialization, LayerStds
from tutorial_lib.laziness import input_weight_movement, lazy_ratio
from tutorial_lib.models import ReLUMLP, require_network
from tutorial_lib.randomness import random_stream
from tutorial_lib.tensors import require_finite, require_rows


def stds_at(gamma: float, gamma_prime: float, *, width: int) -> LayerStds:
    r"""Return standard deviations on the point of the plane, with output divisor 1.

    .. math:: \beta_{out} = m^{-(\gamma+\gamma')/2},\qquad \beta_{in} = m^{-(\gamma-\gamma')/2}

    So that gamma = -log(beta_out beta_in) / log m and gamma' = -log(beta_out / beta_in) / log m.
    """
    require_at_least(2, width=width)
    require_number(gamma=gamma, gamma_prime=gamma_prime)
    powers = [-(float(gamma) + sign * float(gamma_prime)) / 2 for sign in (1, -1)]
    # Beyond the largest float: LayerStds refuses infinity in words.
    last, first = (int(width) ** power if power * log(width) < 709 else inf for power in powers)
    return LayerStds(first=first, hidden=0.0, last=last)


def networks_at(
    points: Sequence[tuple[float, float]],
    architecture: Architecture,
    *,
    num_networks: int,
    output_divisor: float = 1.0,
    generator: Generator,
) -> ReLUMLP:
    """Return one ensemble of two-layer networks: ``num_networks`` for each point (gamma, gamma'), point by point.

    All points share the same Gaussians, so they differ by their standard deviations alone.
    """
    require_architecture(architecture, depth=2)
    if not isinstance(points, Sequence) or not all(isinstance(point, Sequence) and len(point) == 2 for point in points):
        raise TypeError(f"points must be pairs (gamma, gamma'), got {points!r}")
    if len(points) == 0:
        raise ValueError("points must hold at least one pair (gamma, gamma'), got none")
    stds = [stds_at(gamma, gamma_prime, width=architecture.width) for gamma, gamma_prime in points]
    standard = LayerStds(first=1.0, hidden=0.0, last=1.0)
    drawn = ReLUMLP(standard, architecture, num_networks=num_networks, generator=generator)
    weights = [
        (torch.tensor(scales, dtype=weight.dtype).reshape(-1, 1, 1, 1) * weight).flatten(0, 1)
        for weight, scales in zip(drawn.weights, ([s.first for s in stds], [s.last for s in stds]), strict=True)
    ]
    return ReLUMLP.from_weights(weights, output_divisor=output_divisor)


def trained_on_plane(
    points: Sequence[tuple[float, float]],
    x: Float[Tensor, "batch dim"],
    y: Float[Tensor, " batch"],
    *,
    levels: Sequence[float],
    width: int,
    num_networks: int,
    output_divisor: float = 1.0,
    max_steps: int = 20_000,
    seed: int = 0,
) -> tuple[ReLUMLP, ReLUMLP, FlowRecord]:
    """Return two-layer networks on points of the phase diagram, before and after training, and the record of the run.

    In the order of ``networks_at``, in the dtype of x. They follow the gradient flow of the mean half square,
    solved by ``follow_gradient_flow``, down to the last of ``levels``. A number of steps, or a time, would compare
    nothing: on the plane the speed of learning differs by orders of magnitude. At each level the record holds
    "movement", of the input weights alone (the RD of LXMZ21), and "lazy_ratio", of both layers; nan for a network
    that did not arrive: narrow ones can get stuck.
    """
    require_rows(x=x)
    x = x.detach()
    shape = Architecture(input_dim=x.shape[1], width=width, depth=2)
    generator = random_stream(seed, f"plane of width {width}")
    initial = networks_at(
        points, shape, num_networks=num_networks, output_divisor=output_divisor, generator=generator
    ).to(x)

    def moved(networks: ReLUMLP, members: Tensor) -> dict[str, Tensor]:
        started = [weight.detach()[members] for weight in initial.weights]
        start = ReLUMLP.from_weights(started, output_divisor=initial.output_divisor)
        return {"movement": input_weight_movement(start, networks), "lazy_ratio": lazy_ratio(start, networks)}

    networks = deepcopy(initial)
    record = follow_gradient_flow(networks, x, y, levels=levels, measure=moved, max_steps=max_steps)
    return initial, networks, record


def exponents(initialization: Initialization, *, input_dim: int, output_exponent: float = 0.0) -> tuple[float, float]:
    """Return (gamma, gamma') of a scheme at fixed input dimension, as a slope between two widths.

    ``output_exponent`` is that of the output divisor, m to this power.
    """
    widths = 10**3, 10**6
    require_number(output_exponent=output_exponent)
    require_callable(initialization=initialization)
    shape = Architecture(input_dim=input_dim, width=widths[0], depth=2)
    small, large = (initialization(shape.replace(width=width)) for width in widths)
    decades = log(widths[1] / widths[0])
    of_input, of_output = log(small.first / large.first) / decades, log(small.last / large.last) / decades
    return of_output + of_input + output_exponent, of_output - of_input


def regime(gamma: float, gamma_prime: float) -> str:
    """Return linear, critical or condensed: LXMZ21's theorem for the limit of infinite width.

    Linear if gamma < 1 or gamma' > gamma - 1 (input weights hardly move), condensed if gamma > 1 and
    gamma' < gamma - 1 (they move by much more than their length), critical on the border.
    """
    require_number(gamma=gamma, gamma_prime=gamma_prime)
    lead = max(1 - gamma, gamma_prime - (gamma - 1))
    return "linear" if lead > 0 else "condensed" if lead < 0 else "critical"


def slide_condition(gamma: float, gamma_prime: float) -> bool:
    """Return whether the talk's sufficient condition for non-lazy training (slide 20) covers a point.

    At two layers and output divisor 1 it asks m^(3/2) (beta_in + beta_out) -> 0: both standard
    deviations fall faster than m^(-3/2), hence gamma > 3 + abs(gamma').
    """
    require_number(gamma=gamma, gamma_prime=gamma_prime)
    return gamma > 3 + abs(gamma_prime)


def orientations_and_amplitudes(
    model: ReLUMLP,
) -> tuple[Float[Tensor, "*networks width"], Float[Tensor, "*networks width"]]:
    """Return angle of w_k in radians and amplitude abs(a_k) ||w_k|| of each neuron; inputs have two coordinates."""
    require_network(model, depth=2, input_dim=2, output_dim=1)
    inner, outer = (weight.detach() for weight in model.weights)
    amplitudes: Tensor = inner.norm(dim=-1) * outer.norm(dim=-2)
    return torch.atan2(inner[..., 1], inner[..., 0]), amplitudes


def occupied_orientations(
    orientations: Float[Tensor, " width"], amplitudes: Float[Tensor, " width"], *, num_bins: int = 72
) -> float:
    """Return the effective number of angle bins that hold the amplitude: exp of its entropy."""
    require_at_least(1, num_bins=num_bins)
    require_finite(orientations=orientations, amplitudes=amplitudes)
    require_shape(orientations.shape, amplitudes=amplitudes.shape)
    if not (bool((amplitudes >= 0).all()) and bool((amplitudes > 0).any())):
        raise ValueError("amplitudes must be >= 0 and not all 0, got others")
    bins = ((orientations / (2 * torch.pi) + 0.5) * num_bins).long().clamp(0, num_bins - 1)
    shares = torch.zeros(num_bins, dtype=amplitudes.dtype).index_add_(0, bins, amplitudes)
    return float(torch.special.entr(shares / shares.sum()).sum().exp())


def occupied_directions(model: ReLUMLP) -> Float[Tensor, "*networks"]:
    r"""Return the effective number of directions that the neurons of each network share, in any input dimension.

    .. math:: \exp\Bigl(-\sum_j\lambda_j\log\lambda_j\Bigr),\qquad
        \sum_k p_k\,u_k u_k^\top=\sum_j\lambda_j\,e_j e_j^\top

    with u_k = w_k / ||w_k|| and p_k the neuron's share of the size sum_k ||a_k|| ||w_k||. It is 1 if all neurons lie
    on one line through the origin, j if they share j orthogonal lines equally, and at most the input dimension.
    """
    require_network(model, depth=2)
    # In float64: lengths are squared, and before training they can be tiny.
    inner, outer = (weight.detach().double() for weight in model.weights)
    require_finite(**{"the first weights": inner, "the last weights": outer})
    lengths = inner.norm(dim=-1)
    amplitudes = lengths * outer.norm(dim=-2)
    size = amplitudes.sum(dim=-1, keepdim=True)
    if not bool((size > 0).all()):
        raise ValueError("model must have a neuron that is not 0 in each network, got none")
    shares = (amplitudes / size / lengths.square()).nan_to_num(nan=0.0).sqrt()
    scaled = shares.unsqueeze(-1) * inner
    eigenvalues = torch.linalg.eigvalsh(scaled.mT @ scaled)
    numbers: Tensor = torch.special.entr(eigenvalues.clamp(min=0)).sum(dim=-1).exp()
    return numbers
