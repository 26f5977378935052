"""Checks of arguments: every message names the argument, its value and what is allowed."""

from collections.abc import Callable, Collection, Mapping, Sequence
from math import isfinite
from numbers import Integral, Real

# Beyond it a float no longer tells neighbouring integers apart, and no computer holds so many of anything.
_LARGEST = 2**53


def require_at_least(minimum: int, **arguments: int) -> None:
    """Raise unless every named argument is an integer of at least ``minimum``, and at most 2^53."""
    for name, value in arguments.items():
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise TypeError(f"{name} must be an integer >= {minimum}, got {value!r}")
        if value < minimum:
            raise ValueError(f"{name} must be an integer >= {minimum}, got {value}")
        if value > _LARGEST:
            raise ValueError(f"{name} must be an integer of at most 2**53, got {value}")


def require_depth(depth: int) -> None:
    """Raise unless ``depth``, the number of weight matrices, is an integer of at least 2."""
    if isinstance(depth, Integral) and not isinstance(depth, bool) and depth < 2:
        raise ValueError(f"depth counts weight matrices and must be >= 2, got {depth}")
    require_at_least(2, depth=depth)


def _require_numbers(allowed: str, is_allowed: Callable[[float], bool], arguments: Mapping[str, float]) -> None:
    for name, value in arguments.items():
        if not isinstance(value, Real) or isinstance(value, bool):
            raise TypeError(f"{name} must be {allowed}, got {value!r}")
        if not (isfinite(value) and is_allowed(value)):
            raise ValueError(f"{name} must be {allowed}, got {value}")


def require_number(**arguments: float) -> None:
    """Raise unless every named argument is a finite real number."""
    _require_numbers("a finite number", lambda _: True, arguments)


def require_positive(**arguments: float) -> None:
    """Raise unless every named argument is a finite number above zero."""
    _require_numbers("a finite number > 0", lambda value: value > 0, arguments)


def require_not_negative(**arguments: float) -> None:
    """Raise unless every named argument is a finite number of at least zero."""
    _require_numbers("a finite number >= 0", lambda value: value >= 0, arguments)


def require_shape(shape: Sequence[int], **shapes: Sequence[int]) -> None:
    """Raise unless the shape of every named tensor is ``shape``."""
    for name, value in shapes.items():
        if tuple(value) != tuple(shape):
            raise ValueError(f"{name} must have shape {tuple(shape)}, got {tuple(value)}")


def require_instance(kind: type, **arguments: object) -> None:
    """Raise unless every named argument is of the given kind."""
    for name, value in arguments.items():
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be of the kind {kind.__name__}, got {value!r}")


def require_callable(**arguments: object) -> None:
    """Raise unless every named argument can be called."""
    for name, value in arguments.items():
        if not callable(value):
            raise TypeError(f"{name} must be a function, got {value!r}")


def require_member(allowed: Collection[str], **arguments: str) -> None:
    """Raise unless every named argument is one of the ``allowed`` names."""
    for name, value in arguments.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} must be one of the strings {', '.join(sorted(allowed))}, got {value!r}")
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(sorted(allowed))}, got {value!r}")
