"""Random initializations: from the name of a scheme to three standard deviations."""

from collections.abc import Iterable, Mapping
from math import isfinite, sqrt
from typing import NamedTuple, Protocol, runtime_checkable

from tutorial_lib.arguments import require_at_least


class _ThreeStds(NamedTuple):
    first: float
    hidden: float
    last: float


class LayerStds(_ThreeStds):
    """Standard deviations of the independent Gaussian weights of a network.

    ``first`` belongs to W_1, shape (width, input_dim); ``hidden`` to W_2 ... W_{L-1}, shape
    (width, width), and is not used at depth 2; ``last`` to W_L, shape (output_dim, width).
    In the talk they are beta_1, beta and beta_L. They must be finite and not negative.
    """

    __slots__ = ()

    def __new__(cls, first: float, hidden: float, last: float) -> "LayerStds":
        """Check the three numbers, so that no formula has to."""
        for name, value in (("first", first), ("hidden", hidden), ("last", last)):
            if not (isfinite(value) and value >= 0):
                raise ValueError(f"{name} is a standard deviation and must be finite and >= 0, got {value}")
        return super().__new__(cls, first, hidden, last)

    @classmethod
    def _make(cls, iterable: Iterable[float]) -> "LayerStds":  # type: ignore[override]
        """Check them in ``_replace`` too, which builds its result here."""
        return cls(*iterable)


@runtime_checkable
class Initialization(Protocol):
    """A scheme: sizes in, standard deviations out."""

    def __call__(self, *, input_dim: int, width: int) -> LayerStds:
        """Return the standard deviations at these sizes."""


def lecun(*, input_dim: int, width: int) -> LayerStds:
    """Variance 1 / fan_in in every layer (fan_in: number of inputs of a neuron; slide 10)."""
    require_at_least(1, input_dim=input_dim, width=width)
    return LayerStds(sqrt(1 / input_dim), sqrt(1 / width), sqrt(1 / width))


def he(*, input_dim: int, width: int) -> LayerStds:
    """Variance 2 / fan_in in every layer, the last one included (slide 10)."""
    require_at_least(1, input_dim=input_dim, width=width)
    return LayerStds(sqrt(2 / input_dim), sqrt(2 / width), sqrt(2 / width))


def ntk(*, input_dim: int, width: int) -> LayerStds:
    """Variance 2 / width in every layer but the last, which has variance 1 (slide 10).

    This is the talk's "NTK initialization". It is not Jacot's parametrization, in which all
    weights have variance 1 and explicit factors carry the width.
    """
    require_at_least(1, input_dim=input_dim, width=width)
    return LayerStds(sqrt(2 / width), sqrt(2 / width), 1.0)


INITIALIZATIONS: Mapping[str, Initialization] = {"lecun": lecun, "he": he, "ntk": ntk}
