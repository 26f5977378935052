"""``Estimate``: what every estimator returns and every plot of measurements accepts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import floor, hypot, isfinite, log10, nan, sqrt

import numpy as np
import numpy.typing as npt

from tutorial_lib.arguments import require_number


@dataclass(frozen=True)
class Estimate:
    """The mean of independent draws with its standard error.

    A single draw has no known error: ``standard_error`` is nan then, and every comparison with it is false.
    """

    mean: float
    standard_error: float
    num_draws: int

    @classmethod
    def from_draws(cls, draws: Iterable[float]) -> "Estimate":
        """Return mean and standard error (sample standard deviation / sqrt(n)) of ``draws``.

        The draws must be independent: pass one number per network, not one per input.
        """
        values = _numbers(draws)
        if len(values) == 0:
            raise ValueError("draws must hold at least one number, got none")
        wrong = len(values) - int(np.isfinite(values).sum())
        if wrong:
            raise ValueError(f"draws must be finite, got {wrong} of {len(values)} that are not")
        # Relative to the first draw, so that the error of equal draws is 0 to the last bit.
        shifts = values - values[0]
        error = float(shifts.std(ddof=1)) / sqrt(len(values)) if len(values) > 1 else nan
        return cls(float(values[0] + shifts.mean()), error, len(values))

    def z_score(self, value: float) -> float:
        """Return how many standard errors the mean lies above ``value`` (negative: below)."""
        require_number(value=value)
        if self.standard_error == 0:
            raise ValueError("z_score needs a standard_error > 0, got 0: all draws are equal")
        return (self.mean - value) / self.standard_error

    def __sub__(self, other: "Estimate | float") -> "Estimate":
        """Return the difference of two independent means, draws the fewer of both; or less a known number."""
        if not isinstance(other, Estimate):
            require_number(other=other)
            return Estimate(self.mean - other, self.standard_error, self.num_draws)
        error = hypot(self.standard_error, other.standard_error)
        return Estimate(self.mean - other.mean, error, min(self.num_draws, other.num_draws))

    def __truediv__(self, other: "Estimate | float") -> "Estimate":
        """Return the quotient of two independent means, or by a known number.

        The error of a quotient of means is to first order, its draws the fewer of both.
        """
        if not isinstance(other, Estimate):
            require_number(other=other)
            other = Estimate(float(other), 0.0, self.num_draws)
        if other.mean == 0:
            raise ValueError("the estimate divided by must have a mean other than 0")
        quotient = self.mean / other.mean
        error = hypot(self.standard_error, quotient * other.standard_error) / abs(other.mean)
        return Estimate(quotient, error, min(self.num_draws, other.num_draws))

    def __str__(self) -> str:
        """Return mean and error, rounded to two digits of the error: ``0.1234 ± 0.0056 (n = 8)``.

        Numbers far from 1 share a power of ten: ``(1.20 ± 0.15)e-07 (n = 8)``.
        """
        sizes = [abs(value) for value in (self.mean, self.standard_error) if isfinite(value) and value != 0]
        power = floor(log10(max(sizes))) if sizes else 0
        power = 0 if -4 <= power < 6 else power
        digits = 4
        if isfinite(self.standard_error) and self.standard_error > 0:
            digits = max(0, 1 - floor(log10(self.standard_error)) + power)
        if self.num_draws == 1 and not isfinite(self.standard_error):
            return f"{self.mean:.4g} (n = 1, error unknown)"
        if power == 0:
            return f"{self.mean:.{digits}f} ± {self.standard_error:.{digits}f} (n = {self.num_draws})"
        # By decimals: no float is ten to the power of 320.
        mean, error = (f"{Decimal(value).scaleb(-power):.{digits}f}" for value in (self.mean, self.standard_error))
        return f"({mean} ± {error.lower()})e{power:+03d} (n = {self.num_draws})"


def _numbers(draws: Iterable[float]) -> npt.NDArray[np.float64]:
    if not isinstance(draws, Iterable) or getattr(draws, "ndim", 1) == 0:
        raise TypeError(f"draws must be numbers, got {draws!r}")
    if isinstance(draws, np.ndarray) and draws.dtype == np.float64 and draws.ndim == 1:
        return draws  # thousands of numbers one by one would take longer than a network's derivatives
    items = list(draws)  # an error raised while they are made is the caller's own
    if any(isinstance(item, str | bytes) for item in items):
        raise TypeError(f"draws must be numbers, got {items[:3]!r}")
    try:
        return np.array([float(item) for item in items])
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"draws must be numbers, got {items[:3]!r}") from error


def pooled(*estimates: Estimate) -> Estimate:
    """Return mean and error of the draws of several estimates of one quantity taken together: exact, from their sums.

    A difference between the estimates widens the error, as it would if all draws were known.
    """
    if not estimates:
        raise ValueError("estimates must be one or more, got none")
    for estimate in estimates:
        if not isinstance(estimate, Estimate):
            raise TypeError(f"estimates must be of the kind Estimate, got {estimate!r}")
        if estimate.num_draws < 2 or not isfinite(estimate.standard_error):
            raise ValueError(f"estimates must have two or more draws each, got {estimate}")
    total = sum(estimate.num_draws for estimate in estimates)
    mean = sum(estimate.num_draws * estimate.mean for estimate in estimates) / total
    within = sum(e.num_draws * (e.num_draws - 1) * e.standard_error**2 for e in estimates)
    between = sum(e.num_draws * (e.mean - mean) ** 2 for e in estimates)
    return Estimate(mean, sqrt((within + between) / (total - 1) / total), total)


def ratio_of_means(numerators: Iterable[float], denominators: Iterable[float]) -> Estimate:
    """Return the mean of the numerators over the mean of the denominators, two numbers of each draw.

    The error is to first order and takes into account that the two numbers of a draw go together.
    """
    above, below = _numbers(numerators), _numbers(denominators)
    if above.shape != below.shape or len(above) == 0:
        raise ValueError(f"numerators and denominators must be equally many, got {len(above)} and {len(below)}")
    mean_below = Estimate.from_draws(below).mean
    if mean_below == 0:
        raise ValueError("denominators must have a mean other than 0")
    ratio = Estimate.from_draws(above).mean / mean_below
    return Estimate(ratio, Estimate.from_draws((above - ratio * below) / mean_below).standard_error, len(above))


def log_log_slopes(sizes: Sequence[float], values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the least-squares slopes of log value against log size along the first axis.

    ``values`` has one entry per size first; the other axes stay. With independent networks on
    the last axis, the first ones of all sizes give one slope, the second ones another: these
    slopes are independent draws, fit for ``Estimate.from_draws``.
    """
    if np.ndim(sizes) != 1 or np.iscomplexobj(sizes) or np.iscomplexobj(values):
        raise TypeError(f"sizes must be a list of numbers, and values real, got sizes {sizes!r}")
    try:
        table = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"values must be numbers, got {values!r}") from error
    if len(sizes) < 2 or table.shape[:1] != (len(sizes),):
        raise ValueError(
            f"values must have one entry for each of 2 or more sizes, got {table.shape}, {len(sizes)} sizes"
        )
    if not (np.min(sizes) > 0 and np.all(np.isfinite(table)) and np.all(table > 0)):
        raise ValueError("sizes and values must be finite and > 0 to have logarithms")
    slopes = np.polyfit(np.log(sizes), np.log(table).reshape(len(sizes), -1), 1)[0]
    return np.asarray(slopes, dtype=np.float64).reshape(table.shape[1:])
