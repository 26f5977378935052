"""Attacks: small changes of an image that a gradient finds, to change what a classifier answers.

An attack makes an objective large within a set of perturbations, by projected gradient ascent [MMSTV18].
Both are chosen independently: the class to leave or to reach, now or in the mean over transformations
[AEIK18]; a ball in the largest pixel change or in the Euclidean norm, all over or under a mask [EEF+18].
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from tutorial_lib.arguments import (
    require_at_least,
    require_callable,
    require_instance,
    require_positive,
    require_shape,
)
from tutorial_lib.images.transformations import Transformations, require_images
from tutorial_lib.modules import require_eval_mode
from tutorial_lib.perturbations import uniform_in_ball
from tutorial_lib.tensors import require_generator

# One number per image of a fixed batch, to be made large.
Objective = Callable[[Tensor], Tensor]
Images = Float[Tensor, "batch channels height width"]


def untargeted(model: nn.Module, classes: Int[Tensor, " batch"]) -> Objective:
    """Return the objective of an untargeted attack: the cross entropy of the right classes.

    The model must be in eval mode, here and in the attack: a forward pass in training mode changes it.
    """
    require_eval_mode(model)
    return lambda images: _cross_entropies(model, images, "classes", classes)


def targeted(model: nn.Module, targets: Int[Tensor, " batch"]) -> Objective:
    """Return the objective of a targeted attack: the logarithm of the probability of the targets."""
    require_eval_mode(model)
    return lambda images: -_cross_entropies(model, images, "targets", targets)


def _cross_entropies(model: nn.Module, images: Tensor, name: str, classes: Tensor) -> Tensor:
    require_eval_mode(model)
    scores = scores_of(model, images)
    require_classes(scores, **{name: classes})
    return cross_entropy(scores, classes, reduction="none")


def scores_of(model: nn.Module, images: Images) -> Float[Tensor, "..."]:
    """Return what a classifier answers; raise where it cannot, or gives no row of scores per image."""
    try:
        scores = model(images)
    except RuntimeError as error:
        raise ValueError(f"model fails on images of shape {tuple(images.shape)}, {images.dtype}: {error}") from error
    if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != len(images):
        got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(f"model must give one row of scores per image, got {got} for {len(images)} images")
    return scores


def require_classes(scores: Float[Tensor, "..."], **classes: Tensor) -> None:
    """Raise unless the named classes are numbers of columns of the scores, one per row."""
    for name, values in classes.items():
        if not isinstance(values, Tensor) or values.dtype != torch.int64 or values.is_meta:
            kind = f"{values.dtype} on {values.device}" if isinstance(values, Tensor) else repr(values)
            raise TypeError(f"{name} must be a tensor of class numbers, torch.int64, got {kind}")
        require_shape([len(scores)], **{name: values.shape})
        if bool(((values < 0) | (values >= scores.shape[1])).any()):
            extremes = f"{int(values.min())} to {int(values.max())}"
            raise ValueError(f"{name} must be from 0 to {scores.shape[1] - 1}, got {extremes}")


def expected(
    objective: Objective, transformations: Transformations, *, num_transformations: int, generator: Generator
) -> Objective:
    """Return the objective's mean over transformations, estimated afresh at each call [AEIK18].

    Each image gets ``num_transformations`` of its own; gradient ascent on it is stochastic.
    """
    require_at_least(1, num_transformations=num_transformations)
    require_callable(objective=objective)
    require_instance(Transformations, transformations=transformations)
    require_generator(generator)

    def mean(images: Tensor) -> Tensor:
        values = [objective(transformations.sample(images, generator=generator)) for _ in range(num_transformations)]
        return torch.stack(values).mean(dim=0)

    return mean


@dataclass(frozen=True)
class LinfBall:
    """No pixel may change by more than ``radius``, in units of the pixel range [0, 1].

    Of every set here: ``project`` gives the nearest allowed perturbations, ``steepest`` those of size 1
    along which a linear function with these gradients grows most, ``random`` some allowed ones.
    """

    radius: float

    def __post_init__(self) -> None:
        """Refuse an empty ball."""
        require_positive(radius=self.radius)

    def project(self, perturbations: Images) -> Images:
        """Clip each pixel."""
        return perturbations.clamp(-self.radius, self.radius)

    def steepest(self, gradients: Images) -> Images:
        """Return the signs: every pixel moves by 1."""
        return gradients.sign()

    def random(self, like: Images, *, generator: Generator) -> Images:
        """Return each pixel uniform in [-radius, radius]."""
        draws = torch.rand(like.shape, generator=generator, device=generator.device, dtype=torch.float64).to(like)
        return self.radius * (2 * draws - 1)


@dataclass(frozen=True)
class L2Ball:
    """The Euclidean length over all pixels is at most ``radius``, in units of the pixel range [0, 1]."""

    radius: float

    def __post_init__(self) -> None:
        """Refuse an empty ball."""
        require_positive(radius=self.radius)

    def project(self, perturbations: Images) -> Images:
        """Shorten what is too long."""
        return perturbations * (self.radius / _lengths(perturbations).clamp(min=self.radius))

    def steepest(self, gradients: Images) -> Images:
        """Return the gradients at length 1; a gradient of 0 stays 0."""
        return gradients / _lengths(gradients).clamp(min=torch.finfo(gradients.dtype).tiny)

    def random(self, like: Images, *, generator: Generator) -> Images:
        """Return points uniform in the ball."""
        return uniform_in_ball(like, radius=self.radius, generator=generator)


def _lengths(images: Images) -> Float[Tensor, "batch 1 1 1"]:
    lengths: Tensor = images.flatten(1).norm(dim=1)
    return lengths.reshape(-1, 1, 1, 1)


@dataclass(frozen=True, eq=False)  # tensors do not compare to one truth value
class Masked:
    """The perturbations of ``ball`` that are 0 outside ``mask``, where it is False: a sticker, as in [EEF+18].

    With ``LinfBall(1)`` the pixels under the mask are free.
    """

    ball: LinfBall | L2Ball
    mask: Bool[Tensor, "height width"]

    def __post_init__(self) -> None:
        """Refuse what is no ball, and what is no mask."""
        if not isinstance(self.ball, LinfBall | L2Ball):
            raise TypeError(f"ball must be an LinfBall or an L2Ball, got {self.ball!r}")
        if not isinstance(self.mask, Tensor) or self.mask.dtype != torch.bool or self.mask.ndim != 2:
            raise TypeError(f"mask must be a matrix of bool, got {self.mask!r}")

    @property
    def radius(self) -> float:
        """Radius of the ball."""
        return self.ball.radius

    def project(self, perturbations: Images) -> Images:
        """Erase outside the mask, then project on the ball: nearest, since the balls are symmetric."""
        return self.ball.project(self._erased(perturbations))

    def steepest(self, gradients: Images) -> Images:
        """Return the ball's direction for the gradient under the mask."""
        return self.ball.steepest(self._erased(gradients))

    def random(self, like: Images, *, generator: Generator) -> Images:
        """Return random perturbations of the ball, erased outside the mask."""
        return self._erased(self.ball.random(like, generator=generator))

    def _erased(self, images: Images) -> Images:
        require_shape(images.shape[2:], mask=self.mask.shape)
        return images * self.mask.to(images.device)


def attack(
    objective: Objective,
    images: Images,
    within: LinfBall | L2Ball | Masked,
    *,
    num_steps: int = 40,
    num_restarts: int = 0,
    generator: Generator | None = None,
    pixel_range: tuple[float, float] = (0.0, 1.0),
) -> Images:
    """Return images near ``images`` at which the objective is large, by projected gradient ascent [MMSTV18].

    Starts: the image itself and ``num_restarts`` random points of the set, which need a ``generator``. A
    step goes along the set's steepest direction and back into the set and the ``pixel_range``; its size
    falls linearly from 5 radius / num_steps to 0. Of the image and the ends the one with the largest objective
    is returned, so that the result is never worse than the image (if the objective is random: as measured once).
    ``pixel_range``: ``(-inf, inf)`` for images that are normalized, or for the whole ball.
    """
    require_at_least(1, num_steps=num_steps)
    require_at_least(0, num_restarts=num_restarts)
    require_callable(objective=objective)
    if not isinstance(within, LinfBall | L2Ball | Masked):
        raise TypeError(f"within must be an LinfBall, an L2Ball or Masked, got {within!r}")
    require_images(images=images)
    least, most = _ends(pixel_range)
    if not bool(((images >= least) & (images <= most)).all()):
        found = f"pixels from {images.min():g} to {images.max():g}"
        raise ValueError(f"images must be in [{least:g}, {most:g}], got {found}: pixel_range allows more")
    images = images.detach()
    starts = [torch.zeros_like(images)]
    if num_restarts > 0:
        stream = require_generator(generator)
        starts += [within.random(images, generator=stream) for _ in range(num_restarts)]
    best, largest = images, _values(objective, images)
    for start in starts:
        end = _ascend(objective, images, within, start, num_steps, (least, most))
        values = _values(objective, end)
        better = values > largest
        best = torch.where(better.reshape(-1, 1, 1, 1), end, best)
        largest = torch.where(better, values, largest)
    return best


def _values(objective: Objective, images: Tensor) -> Tensor:
    with torch.no_grad():
        values = objective(images)
    if values.shape != (len(images),) or bool(values.isnan().any()):
        got = f"shape {tuple(values.shape)} with {int(values.isnan().sum())} nan"
        raise ValueError(f"objective must give {len(images)} numbers, one per image, got {got}")
    return values


def _ends(pixel_range: tuple[float, float]) -> tuple[float, float]:
    """Return the least and the largest value that a pixel may have."""
    try:
        least, most = (float(end) for end in pixel_range)
    except (TypeError, ValueError) as error:
        raise TypeError(f"pixel_range must be two numbers, got {pixel_range!r}") from error
    if not least < most:
        raise ValueError(f"pixel_range must be a smaller and a larger number, got {pixel_range!r}")
    return least, most


def _ascend(
    objective: Objective,
    images: Tensor,
    within: LinfBall | L2Ball | Masked,
    start: Tensor,
    num_steps: int,
    pixel_range: tuple[float, float],
) -> Tensor:
    """Return the last point of one ascent."""
    # Pixels in the range lie between the image and any point outside: clipping keeps a point in the set.
    points = (images + within.project(start)).clamp(*pixel_range)
    for step in range(num_steps):
        points = points.detach().requires_grad_()
        with torch.enable_grad():
            (gradients,) = torch.autograd.grad(objective(points).sum(), points)
        size = 5 * within.radius / num_steps * (1 - step / num_steps)
        moved = points.detach() - images + size * within.steepest(gradients)
        points = (images + within.project(moved)).clamp(*pixel_range)
    return points


def hit_rate(
    model: nn.Module,
    images: Images,
    classes: Int[Tensor, " batch"],
    transformations: Transformations,
    *,
    num_transformations: int,
    generator: Generator,
) -> Float[Tensor, " batch"]:
    """Return the fraction of fresh transformations under which each image is put into its class of ``classes``."""
    require_at_least(1, num_transformations=num_transformations)
    require_eval_mode(model)
    require_images(images=images)
    require_instance(Transformations, transformations=transformations)
    with torch.no_grad():
        require_classes(scores_of(model, images), classes=classes)
        samples = (transformations.sample(images, generator=generator) for _ in range(num_transformations))
        hits = torch.stack([model(moved).argmax(dim=1) == classes for moved in samples])
    return hits.double().mean(dim=0)
