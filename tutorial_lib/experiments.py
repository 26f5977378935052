"""The sweeps behind the figures: a scheme's name, sizes and a seed in, numbers out."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from tutorial_lib.arguments import require_member
from tutorial_lib.estimates import Estimate
from tutorial_lib.exact import initial_perturbation_stability
from tutorial_lib.initializations import INITIALIZATIONS
from tutorial_lib.models import ReLUMLP
from tutorial_lib.randomness import random_stream
from tutorial_lib.stability import perturbation_stability


def exact_stability(scheme: str, *, input_dim: int, width: int, depth: int, output_dim: int = 1) -> float:
    """Return the exact P / radius before training of one of the talk's schemes."""
    require_member(INITIALIZATIONS, scheme=scheme)
    stds = INITIALIZATIONS[scheme](input_dim=input_dim, width=width)
    return initial_perturbation_stability(stds, input_dim=input_dim, width=width, depth=depth, output_dim=output_dim)


def exact_by_width(
    scheme: str, widths: Sequence[int], *, input_dim: int, depth: int, output_dim: int = 1
) -> list[float]:
    """Return ``exact_stability`` at each of the widths."""
    sizes = {"input_dim": input_dim, "depth": depth, "output_dim": output_dim}
    return [exact_stability(scheme, width=width, **sizes) for width in widths]


def random_networks(
    scheme: str,
    *,
    input_dim: int,
    width: int,
    depth: int,
    output_dim: int = 1,
    num_networks: int,
    seed: int = 0,
) -> ReLUMLP:
    """Return an ensemble of untrained networks of one of the talk's schemes, in float64.

    Schemes see the same Gaussians at equal sizes and seed, so their comparison is paired.
    """
    require_member(INITIALIZATIONS, scheme=scheme)
    return ReLUMLP(
        INITIALIZATIONS[scheme](input_dim=input_dim, width=width),
        input_dim=input_dim,
        width=width,
        depth=depth,
        output_dim=output_dim,
        num_networks=num_networks,
        generator=random_stream(seed, f"weights of {input_dim}-{width}-{output_dim}, depth {depth}"),
    )


def sampled_stability(
    scheme: str,
    x: Float[Tensor, "batch dim"],
    *,
    width: int,
    depth: int,
    output_dim: int = 1,
    num_networks: int,
    seed: int = 0,
) -> Estimate:
    """Estimate P / radius before training at the inputs x; each network is one draw."""
    networks = random_networks(
        scheme,
        input_dim=x.shape[1],
        width=width,
        depth=depth,
        output_dim=output_dim,
        num_networks=num_networks,
        seed=seed,
    )
    return perturbation_stability(networks.to(x), x)
