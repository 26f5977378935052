"""Mean and standard error pinned by hand: a test in standard errors would reward wide bars."""

from math import exp, inf, isclose, isnan, nan, sqrt

import numpy as np
import pytest

from tutorial_lib.estimates import Estimate, log_log_slopes


def test_mean_and_standard_error_worked_out_by_hand():
    # Squared deviations 9 + 1 + 4 + 16 = 30; over n - 1 = 3 the variance is 10, of the mean 10 / 4.
    estimate = Estimate.from_draws(iter([1.0, 5.0, 2.0, 8.0]))
    assert estimate.mean == 4.0
    assert isclose(estimate.standard_error, sqrt(10 / 4))
    assert estimate.num_draws == 4


def test_one_draw_has_an_unknown_error_and_every_comparison_with_it_is_false():
    estimate = Estimate.from_draws([3.0])
    assert (estimate.mean, estimate.num_draws) == (3.0, 1)
    assert isnan(estimate.standard_error)
    assert not abs(estimate.mean - 3.0) < 4 * estimate.standard_error
    assert not abs(estimate.mean - 9.0) > 4 * estimate.standard_error
    assert isnan(estimate.z_score(2.0))


def test_errors_from_counts_standard_errors_with_their_sign():
    estimate = Estimate(mean=2.0, standard_error=0.25, num_draws=9)
    assert (estimate.z_score(1.5), estimate.z_score(3.0)) == (2.0, -4.0)


def test_errors_from_refuses_a_vanishing_error():
    with pytest.raises(ValueError, match="needs a standard_error > 0, got 0: all draws are equal"):
        Estimate.from_draws([1.0, 1.0]).z_score(0.5)


def test_no_draws_are_refused():
    with pytest.raises(ValueError, match=r"^draws must hold at least one number, got none$"):
        Estimate.from_draws([])


def test_draws_that_are_not_finite_are_counted_and_refused():
    with pytest.raises(ValueError, match=r"^draws must be finite, got 2 of 3 that are not$"):
        Estimate.from_draws([1.0, nan, -inf])


def test_an_estimate_cannot_be_changed():
    with pytest.raises(AttributeError):
        Estimate(1.0, 0.1, 3).mean = 2.0


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.123449, 0.00562, 8), "0.1234 ± 0.0056 (n = 8)"),
        (Estimate(1234.56, 25.4, 5), "1235 ± 25 (n = 5)"),
        (Estimate(2.0, 0.0, 3), "2.0000 ± 0.0000 (n = 3)"),
        (Estimate(2.0, nan, 1), "2.0000 ± nan (n = 1)"),
    ],
)
def test_printing_keeps_two_digits_of_the_error(estimate, text):
    assert str(estimate) == text


def test_the_error_of_a_difference_adds_the_errors_in_squares():
    assert Estimate(2.0, 3.0, 12) - Estimate(5.0, 4.0, 7) == Estimate(-3.0, 5.0, 7)


def test_the_error_of_a_quotient_adds_the_relative_errors_in_squares():
    # Relative errors 3 / 10 and 2 / 5, together 1 / 2; the quotient is -2.
    quotient = Estimate(10.0, 3.0, 12) / Estimate(-5.0, 2.0, 7)
    assert quotient.mean == -2.0
    assert isclose(quotient.standard_error, 1.0)
    assert quotient.num_draws == 7
    with pytest.raises(ValueError, match="must have a mean other than 0"):
        Estimate(1.0, 0.1, 3) / Estimate(0.0, 0.1, 3)


def test_slopes_of_power_laws_are_their_exponents_whatever_the_axes():
    exponents = np.array([[-2.0, 0.0, 0.5], [1.0, 3.0, -0.25]])
    sizes = [2.0, 3.0, 10.0, 50.0]
    values = 7.0 * np.array(sizes)[:, None, None] ** exponents
    assert np.allclose(log_log_slopes(sizes, values), exponents, atol=1e-12)


def test_slope_is_least_squares_worked_out_by_hand():
    # log values 0, 1, 5 at log sizes -1, 0, 1: slope (5 - 0) / 2.
    assert log_log_slopes([exp(-1), 1.0, exp(1)], [1.0, exp(1), exp(5)]) == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("sizes", "values", "words"),
    [
        ([4, 8], [1.0, 2.0, 3.0], "one entry for each"),
        ([4], [1.0], "2 or more"),
        ([4, 8], [1.0, 0.0], "finite and > 0"),
        ([0, 8], [1.0, 2.0], "finite and > 0"),
    ],
)
def test_slopes_refuse_what_has_no_logarithm(sizes, values, words):
    with pytest.raises(ValueError, match=words):
        log_log_slopes(sizes, values)
