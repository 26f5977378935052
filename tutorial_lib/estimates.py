"""``Estimate``: what every estimator returns and every plot of measurements accepts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor, hypot, isfinite, log10, nan, sqrt

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Estimate:
    """Mean of independent draws with its standard error.

    With one draw the error is not known and ``standard_error`` is nan, so that any comparison
    with it is false.
    """

    mean: float
    standard_error: float
    num_draws: int

    @classmethod
    def from_draws(cls, draws: Iterable[float]) -> "Estimate":
        """Return mean and standard error (sample standard deviation / sqrt(n)) of ``draws``.

        The draws must be independent: pass one number per network, not one per input.
        """
        values = np.array([float(draw) for draw in draws])
        if len(values) == 0:
            raise ValueError("draws must hold at least one number, got none")
        wrong = len(values) - int(np.isfinite(values).sum())
        if wrong:
            raise ValueError(f"draws must be finite, got {wrong} of {len(values)} that are not")
        # Relative to the first draw, so that the error of equal draws is 0 to the last bit.
        shifts = values - values[0]
        error = float(shifts.std(ddof=1)) / sqrt(len(values)) if len(values) > 1 else nan
        return cls(float(values[0] + shifts.mean()), error, len(values))

    def errors_from(self, value: float) -> float:
        """Return how many standard errors the mean lies above ``value`` (negative: below)."""
        if self.standard_error == 0:
            raise ValueError("errors_from needs a standard_error > 0, got 0: all draws are equal")
        return (self.mean - value) / self.standard_error

    def __sub__(self, other: "Estimate") -> "Estimate":
        """Return the difference of two independent means, draws the fewer of both."""
        error = hypot(self.standard_error, other.standard_error)
        return Estimate(self.mean - other.mean, error, min(self.num_draws, other.num_draws))

    def __truediv__(self, other: "Estimate") -> "Estimate":
        """Return the quotient of two independent means; its error to first order, draws the fewer of both."""
        if other.mean == 0:
            raise ValueError("the estimate divided by must have a mean other than 0")
        quotient = self.mean / other.mean
        error = sqrt(self.standard_error**2 + (quotient * other.standard_error) ** 2) / abs(other.mean)
        return Estimate(quotient, error, min(self.num_draws, other.num_draws))

    def __str__(self) -> str:
        """Mean and error, rounded to two digits of the error: ``0.1234 ± 0.0056 (n = 8)``."""
        digits = 4
        if isfinite(self.standard_error) and self.standard_error > 0:
            digits = max(0, 1 - floor(log10(self.standard_error)))
        return f"{self.mean:.{digits}f} ± {self.standard_error:.{digits}f} (n = {self.num_draws})"


def log_log_slopes(sizes: Sequence[float], values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the least-squares slopes of log value against log size along the first axis.

    ``values`` has one entry per size first; the other axes stay. With independent networks on
    the last axis, the first ones of all sizes give one slope, the second ones another: these
    slopes are independent draws, fit for ``Estimate.from_draws``.
    """
    table = np.asarray(values, dtype=np.float64)
    if len(sizes) < 2 or table.shape[:1] != (len(sizes),):
        raise ValueError(
            f"values must have one entry for each of 2 or more sizes, got {table.shape}, {len(sizes)} sizes"
        )
    if not (np.min(sizes) > 0 and np.all(np.isfinite(table)) and np.all(table > 0)):
        raise ValueError("sizes and values must be finite and > 0 to have logarithms")
    slopes = np.polyfit(np.log(sizes), np.log(table).reshape(len(sizes), -1), 1)[0]
    return np.asarray(slopes, dtype=np.float64).reshape(table.shape[1:])
