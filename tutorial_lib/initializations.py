"""Random initializations: from the name of a scheme to three standard deviations."""

from collections.abc import Callable, Iterable, Mapping
from math import isfinite, sqrt
from numbers import Real
from typing import NamedTuple

from tutorial_lib.architecture import Architecture, require_architecture
from tutorial_lib.arguments import require_member


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
            if not isinstance(value, Real) or isinstance(value, bool):
                raise TypeError(f"{name} is a standard deviation and must be a number >= 0, got {value!r}")
            if not (isfinite(value) and value >= 0):
                raise ValueError(f"{name} is a standard deviation and must be finite and >= 0, got {value}")
        return super().__new__(cls, float(first), float(hidden), float(last))

    def of_layers(self, architecture: Architecture) -> list[float]:
        """Return the standard deviation of each weight matrix, from the first to the last."""
        return [self.first] + [self.hidden] * (architecture.depth - 2) + [self.last]

    @classmethod
    def _make(cls, iterable: Iterable[float]) -> "LayerStds":  # type: ignore[override]
        """Check them in ``_replace`` too, which builds its result here."""
        return cls(*iterable)


# A scheme: sizes in, standard deviations out.
Initialization = Callable[[Architecture], LayerStds]


def lecun(architecture: Architecture) -> LayerStds:
    """Return the standard deviations of LeCun's scheme: variance 1 / fan_in in every layer (slide 10).

    fan_in is the number of inputs of a neuron.
    """
    require_architecture(architecture)
    of_width = sqrt(1 / architecture.width)
    return LayerStds(sqrt(1 / architecture.input_dim), of_width, of_width)


def he(architecture: Architecture) -> LayerStds:
    """Return the standard deviations of He's scheme: variance 2 / fan_in in every layer, the last too (slide 10)."""
    require_architecture(architecture)
    of_width = sqrt(2 / architecture.width)
    return LayerStds(sqrt(2 / architecture.input_dim), of_width, of_width)


def ntk(architecture: Architecture) -> LayerStds:
    """Return the standard deviations of the talk's NTK scheme: variance 2 / width, and 1 in the last layer (slide 10).

    This is the talk's "NTK initialization". It is not Jacot's parametrization, in which all
    weights have variance 1 and explicit factors carry the width.
    """
    require_architecture(architecture)
    of_width = sqrt(2 / architecture.width)
    return LayerStds(of_width, of_width, 1.0)


def mup(architecture: Architecture) -> LayerStds:
    """Return the standard deviations of muP under gradient flow: variance 2 / width in every layer.

    muP is the maximal update parametrization. In the table of Yang and Hu (Tensor Programs IV, arXiv 2011.14522) it
    multiplies the first layer by the root of the width and the last by its inverse, over weights of variance
    1 / width, with one learning rate. relu commutes with positive factors, so the two multipliers cancel, and
    training is that of the plain network. The 2 in place of 1 keeps the lengths of hidden layers, as in He's scheme.
    """
    require_architecture(architecture)
    of_width = sqrt(2 / architecture.width)
    return LayerStds(of_width, of_width, of_width)


# The talk's three, and those that the book compares.
INITIALIZATIONS: Mapping[str, Initialization] = {"lecun": lecun, "he": he, "ntk": ntk}
SCHEMES: Mapping[str, Initialization] = {**INITIALIZATIONS, "mup": mup}


def stds_of_scheme(scheme: str, architecture: Architecture) -> LayerStds:
    """Return the standard deviations of a scheme known by its name: one of ``SCHEMES``."""
    require_member(SCHEMES, scheme=scheme)
    return SCHEMES[scheme](architecture)


def require_stds(stds: LayerStds) -> None:
    """Raise unless ``stds`` are the standard deviations of a network's layers."""
    if not isinstance(stds, LayerStds):
        raise TypeError(f"stds must be LayerStds, such as he(architecture), got {stds!r}")
