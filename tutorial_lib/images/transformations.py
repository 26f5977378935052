"""Random changes of an image as a camera sees them: rotation, shift and scale."""

from dataclasses import dataclass
from math import pi

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample

from tutorial_lib.arguments import require_number, require_shape
from tutorial_lib.tensors import require_finite, require_generator


def require_images(**images: Tensor) -> None:
    """Raise unless every named argument is a batch of finite images: (batch, channels, height, width), not empty."""
    for name, value in images.items():
        require_finite(**{name: value})
        if value.ndim != 4 or value.numel() == 0:
            wanted = "(batch, channels, height, width) and not be empty"
            raise ValueError(f"{name} must have shape {wanted}, got {tuple(value.shape)}")


@dataclass(frozen=True)
class Transformations:
    """A distribution of transformations, the T of expectation over transformations [AEIK18].

    Angle, both shifts and scale are independent and uniform. A field that is 0 leaves its part out.
    """

    max_angle: float = 0.0  # degrees, either way
    max_shift: float = 0.0  # either way, in halves of the image's side, along each axis
    max_scale: float = 0.0  # sizes from 1 - max_scale to 1 + max_scale

    def __post_init__(self) -> None:
        """Refuse what is no amount of change."""
        for name, largest in (("max_angle", 180), ("max_shift", 2), ("max_scale", 0.9)):
            require_number(**{name: getattr(self, name)})
            if not 0 <= getattr(self, name) <= largest:
                raise ValueError(f"{name} must be between 0 and {largest}, got {getattr(self, name)}")

    def sample(
        self, images: Float[Tensor, "batch channels height width"], *, generator: Generator
    ) -> Float[Tensor, "batch channels height width"]:
        """Return each image under a transformation of its own; differentiable in the images.

        Bilinear interpolation, black outside; pixels stay in [0, 1]. Draws are made in float64 on the
        generator's device. ``Transformations()`` draws nothing and returns the images themselves.
        """
        require_images(images=images)
        require_generator(generator)
        if self == Transformations():
            return images
        device, exact = generator.device, torch.float64
        draws = 2 * torch.rand(4, len(images), generator=generator, device=device, dtype=exact) - 1
        moved = move(
            images,
            angles=draws[0] * self.max_angle,
            shifts=draws[1:3].T * self.max_shift,
            scales=1 + draws[3] * self.max_scale,
        )
        rounding = moved.detach() - moved.detach().clamp(0, 1)
        return moved - rounding  # not through clamp: its derivative where a pixel is 0 or 1 depends on the version


def move(
    images: Float[Tensor, "batch channels height width"],
    *,
    angles: Float[Tensor, " batch"],
    shifts: Float[Tensor, "batch 2"],
    scales: Float[Tensor, " batch"],
) -> Float[Tensor, "batch channels height width"]:
    """Return each image scaled about its centre, turned by its angle and shifted, in this order.

    Angles in degrees, counter-clockwise; shifts to the right and downwards in halves of the side. Square images
    only: the coordinates run from -1 to 1 along both axes.
    """
    require_images(images=images)
    if images.shape[2] != images.shape[3]:
        raise ValueError(f"images must be square, of shape (batch, channels, side, side), got {tuple(images.shape)}")
    require_finite(angles=angles, shifts=shifts, scales=scales)
    require_shape([len(images)], angles=angles.shape, scales=scales.shape)
    require_shape([len(images), 2], shifts=shifts.shape)
    if not bool((scales > 0).all()):
        raise ValueError(f"scales must be > 0, got {scales.min():g}")
    radians = angles.to(images) * (pi / 180)
    cosines, sines = radians.cos() / scales.to(images), radians.sin() / scales.to(images)
    # Where in the old image a pixel of the new one looks: undo the shift, turn back, undo the scale.
    back = torch.stack([cosines, -sines, sines, cosines], dim=1).reshape(-1, 2, 2)
    offsets = -(back @ shifts.to(images).unsqueeze(2))
    grid = affine_grid(torch.cat([back, offsets], dim=2), list(images.shape), align_corners=False)
    return grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
