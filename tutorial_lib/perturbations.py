"""Random perturbations of inputs: uniform on the sphere and in the ball."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from tutorial_lib.arguments import require_positive


def uniform_on_sphere(like: Float[Tensor, "batch ..."], *, generator: Generator) -> Float[Tensor, "batch ..."]:
    """Return one independent direction, uniform on the unit sphere, per row of ``like``.

    Drawn on the generator's device in float64, then moved to the dtype and device of ``like``.
    """
    draws = torch.randn(like.shape, generator=generator, device=generator.device, dtype=torch.float64)
    lengths = draws.flatten(1).norm(dim=1).reshape(-1, *(1,) * (like.ndim - 1))
    directions: Tensor = draws / lengths
    return directions.to(like)


def uniform_in_ball(
    like: Float[Tensor, "batch ..."], *, radius: float, generator: Generator
) -> Float[Tensor, "batch ..."]:
    """Return one independent point, uniform in the Euclidean ball around 0, per row of ``like``.

    ``radius`` is a Euclidean length in the units of the input.
    """
    require_positive(radius=radius)
    directions = uniform_on_sphere(like, generator=generator)
    levels = torch.rand(len(like), generator=generator, device=generator.device, dtype=torch.float64)
    # The volume inside radius r grows like r^dim, hence the dim-th root.
    lengths = radius * levels ** (1 / like[0].numel())
    return directions * lengths.reshape(-1, *(1,) * (like.ndim - 1)).to(like)
