"""Random perturbations of inputs: uniform on the sphere and in the ball."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import normalize

from tutorial_lib.arguments import require_positive
from tutorial_lib.tensors import require_floating_point, require_generator


def _require_rows_to_perturb(like: Tensor) -> None:
    require_floating_point(like=like)
    if like.ndim < 2 or like.numel() == 0:
        raise ValueError(f"like must have shape (batch, ...) and not be empty, got {tuple(like.shape)}")


def uniform_on_sphere(like: Float[Tensor, "batch ..."], *, generator: Generator) -> Float[Tensor, "batch ..."]:
    """Return one independent direction, uniform on the unit sphere, per row of ``like``.

    Drawn on the generator's device in float64, then moved to the dtype and device of ``like``.
    """
    _require_rows_to_perturb(like)
    require_generator(generator)
    draws = torch.randn(like.shape, generator=generator, device=generator.device, dtype=torch.float64)
    return normalize(draws.flatten(1)).reshape(like.shape).to(like)


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
    lengths = float(radius) * levels ** (1 / like[0].numel())
    return directions * lengths.reshape(-1, *(1,) * (like.ndim - 1)).to(like)
