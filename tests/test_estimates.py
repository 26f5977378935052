"""Mean and standard error pinned by hand: a test in standard errors would reward wide bars."""

import operator
from math import exp, inf, isclose, isnan, nan, sqrt

import numpy as np
import pytest
import torch

from tutorial_lib.estimates import Estimate, log_log_slopes, pooled, ratio_of_means


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


def test_the_z_score_counts_standard_errors_with_their_sign():
    estimate = Estimate(mean=2.0, standard_error=0.25, num_draws=9)
    assert (estimate.z_score(1.5), estimate.z_score(3.0)) == (2.0, -4.0)


def test_the_z_score_refuses_a_vanishing_error():
    with pytest.raises(ValueError, match="needs a standard_error > 0, got 0: all draws are equal"):
        Estimate.from_draws([1.0, 1.0]).z_score(0.5)


def test_equal_draws_have_no_error_at_all():
    assert Estimate.from_draws([0.1] * 7) == Estimate(0.1, 0.0, 7)


def test_draws_far_from_zero_keep_their_error():
    estimate = Estimate.from_draws([1e9 + 0.25, 1e9 + 0.75])
    assert (estimate.mean, estimate.num_draws) == (1e9 + 0.5, 2)
    assert isclose(estimate.standard_error, 0.25)


@pytest.mark.usefixtures("as_a_reader")
def test_draws_may_come_in_an_array():
    assert Estimate.from_draws(np.array([1, 5, 2, 8])) == Estimate.from_draws([1.0, 5.0, 2.0, 8.0])


def test_no_draws_are_refused():
    with pytest.raises(ValueError, match=r"^draws must hold at least one number, got none$"):
        Estimate.from_draws([])


def test_draws_that_are_not_finite_are_counted_and_refused():
    with pytest.raises(ValueError, match=r"^draws must be finite, got 2 of 3 that are not$"):
        Estimate.from_draws([1.0, nan, -inf])


@pytest.mark.parametrize("draws", [3.0, [1.0, None], ["one"], np.ones((2, 3)), [1j]])
@pytest.mark.usefixtures("as_a_reader")
def test_draws_that_are_no_numbers_are_refused(draws):
    with pytest.raises(TypeError, match=r"^draws must be numbers, got "):
        Estimate.from_draws(draws)


def test_an_estimate_cannot_be_changed():
    with pytest.raises(AttributeError):
        Estimate(1.0, 0.1, 3).mean = 2.0


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.123449, 0.00562, 8), "0.1234 ± 0.0056 (n = 8)"),
        (Estimate(1234.56, 25.4, 5), "1235 ± 25 (n = 5)"),
        (Estimate(2.0, 0.0, 3), "2.0000 ± 0.0000 (n = 3)"),
        (Estimate(2.0, nan, 1), "2 (n = 1, error unknown)"),
        (Estimate(-0.5, 0.0123, 4), "-0.500 ± 0.012 (n = 4)"),
        (Estimate(0.0, 0.0, 3), "0.0000 ± 0.0000 (n = 3)"),
        (Estimate(0.03, 12.7, 3), "0 ± 13 (n = 3)"),
        # Far from 1, and the last numbers on this side of it.
        (Estimate(1.2e-7, 1.5e-8, 8), "(1.20 ± 0.15)e-07 (n = 8)"),
        (Estimate(-1.234e-12, 5e-15, 8), "(-1.2340 ± 0.0050)e-12 (n = 8)"),
        (Estimate(1e-20, 2.3e-5, 8), "(0.0 ± 2.3)e-05 (n = 8)"),
        (Estimate(2e-5, 0.0, 3), "(2.0000 ± 0.0000)e-05 (n = 3)"),
        (Estimate(3e-5, nan, 1), "3e-05 (n = 1, error unknown)"),
        (Estimate(1e-4, 1.5e-5, 8), "0.000100 ± 0.000015 (n = 8)"),
        (Estimate(999_999.0, 4321.0, 5), "999999 ± 4321 (n = 5)"),
        (Estimate(1e6, 4321.0, 5), "(1.0000 ± 0.0043)e+06 (n = 5)"),
        (Estimate(1_234_567.0, 25_400.0, 5), "(1.235 ± 0.025)e+06 (n = 5)"),
        (Estimate(-2.5e120, 3e118, 5), "(-2.500 ± 0.030)e+120 (n = 5)"),
    ],
)
def test_printing_keeps_two_digits_of_the_error(estimate, text):
    assert str(estimate) == text


def test_the_error_of_a_difference_adds_the_errors_in_squares():
    assert Estimate(2.0, 3.0, 12) - Estimate(5.0, 4.0, 7) == Estimate(-3.0, 5.0, 7)


@pytest.mark.parametrize("estimate", [Estimate(inf, 0.1, 3), Estimate(-inf, nan, 1)])
def test_an_infinite_mean_can_be_printed(estimate):
    assert "inf" in str(estimate)


@pytest.mark.parametrize("draws", ["123", ["1.5", "2"]])
@pytest.mark.usefixtures("as_a_reader")
def test_texts_of_digits_are_no_draws(draws):
    with pytest.raises(TypeError, match=r"^draws must be numbers, got "):
        Estimate.from_draws(draws)


def test_less_a_number_the_error_stays_and_over_a_number_it_is_divided():
    assert Estimate(2.0, 3.0, 12) - 5 == Estimate(-3.0, 3.0, 12)
    assert Estimate(2.0, 3.0, 12) / -4 == Estimate(-0.5, 0.75, 12)
    assert Estimate(2.0, 3.0, 12) / np.float64(0.5) == Estimate(4.0, 6.0, 12)
    one = Estimate(3.0, nan, 1)
    assert isnan((one - 1.0).standard_error)
    assert isnan((one / 2).standard_error)
    assert ((one - 1.0).mean, (one / 2).mean) == (2.0, 1.5)


@pytest.mark.parametrize("size", [1e-170, 1e170])
def test_a_quotient_keeps_its_error_at_every_size(size):
    assert isclose((Estimate(2 * size, 0.3 * size, 5) / 2).standard_error, 0.15 * size)
    quotient = Estimate(3 * size, 0.4 * size, 5) / Estimate(size, 0.1 * size, 5)
    assert isclose(quotient.standard_error, 0.5)


@pytest.mark.parametrize("operation", [operator.sub, operator.truediv])
@pytest.mark.usefixtures("as_a_reader")
def test_what_is_no_finite_number_is_refused(operation):
    for other in (nan, inf):
        with pytest.raises(ValueError, match=rf"^other must be a finite number, got {other}$"):
            operation(Estimate(1.0, 0.1, 3), other)
    for other in ("1", None, True):
        with pytest.raises(TypeError, match=r"^other must be a finite number, got "):
            operation(Estimate(1.0, 0.1, 3), other)


def test_nothing_is_divided_by_zero():
    with pytest.raises(ValueError, match=r"^the estimate divided by must have a mean other than 0$"):
        Estimate(1.0, 0.1, 3) / 0


def test_a_difference_or_quotient_with_an_unknown_error_has_an_unknown_error():
    known, one = Estimate(2.0, 0.5, 9), Estimate(4.0, nan, 1)
    for result in (known - one, one - known, known / one, one / known):
        assert isnan(result.standard_error)
        assert result.num_draws == 1


def test_the_error_of_a_quotient_adds_the_relative_errors_in_squares():
    # Relative errors 3 / 10 and 2 / 5, together 1 / 2; the quotient is -2.
    quotient = Estimate(10.0, 3.0, 12) / Estimate(-5.0, 2.0, 7)
    assert quotient.mean == -2.0
    assert isclose(quotient.standard_error, 1.0)
    assert quotient.num_draws == 7
    with pytest.raises(ValueError, match="must have a mean other than 0"):
        Estimate(1.0, 0.1, 3) / Estimate(0.0, 0.1, 3)


def test_a_ratio_of_means_worked_out_by_hand():
    # Means 4 and 2. What is left of the numerators, over 2: -1.5, 0.5, -2 and 3, whose squares add up to 15.5.
    ratio = ratio_of_means(iter([1.0, 5.0, 2.0, 8.0]), iter([2.0, 2.0, 3.0, 1.0]))
    assert (ratio.mean, ratio.num_draws) == (2.0, 4)
    assert isclose(ratio.standard_error, sqrt(15.5 / 3 / 4))


def test_numbers_that_go_together_leave_no_error_in_their_ratio():
    assert ratio_of_means([-3.0, -9.0, 3.0], [1.0, 3.0, -1.0]) == Estimate(-3.0, 0.0, 3)
    one = ratio_of_means([3.0], [4.0])
    assert (one.mean, one.num_draws) == (0.75, 1)
    assert isnan(one.standard_error)


@pytest.mark.parametrize(
    ("above", "below", "message"),
    [
        ([1.0, 2.0], [1.0], r"^numerators and denominators must be equally many, got 2 and 1$"),
        ([], [], r"^numerators and denominators must be equally many, got 0 and 0$"),
        ([1.0, 2.0], [1.0, -1.0], r"^denominators must have a mean other than 0$"),
        ([1.0, nan], [1.0, 2.0], r"^draws must be finite, got 1 of 2 that are not$"),
        ([1.0, 2.0], [inf, 2.0], r"^draws must be finite, got 1 of 2 that are not$"),
    ],
)
def test_a_ratio_of_means_refuses_what_has_none(above, below, message):
    with pytest.raises(ValueError, match=message):
        ratio_of_means(above, below)


def test_slopes_of_power_laws_are_their_exponents_whatever_the_axes():
    exponents = np.array([[-2.0, 0.0, 0.5], [1.0, 3.0, -0.25]])
    sizes = [2.0, 3.0, 10.0, 50.0]
    values = 7.0 * np.array(sizes)[:, None, None] ** exponents
    assert np.allclose(log_log_slopes(sizes, values), exponents, atol=1e-12)


def test_slope_is_least_squares_worked_out_by_hand():
    # log values 0, 1, 5 at log sizes -1, 0, 1: slope (5 - 0) / 2.
    assert log_log_slopes([exp(-1), 1.0, exp(1)], [1.0, exp(1), exp(5)]) == pytest.approx(2.5)
    # Log values 0, 3, 3 at log sizes 0, 1, 3, so the middle counts: 4 / (42 / 9).
    assert log_log_slopes([1.0, exp(1), exp(3)], [1.0, exp(3), exp(3)]) == pytest.approx(6 / 7)


@pytest.mark.parametrize(
    ("sizes", "values", "words"),
    [
        ([4, 8], [1.0, 2.0, 3.0], "one entry for each"),
        ([4], [1.0], "2 or more"),
        ([4, 8], [1.0, 0.0], "finite and > 0"),
        ([0, 8], [1.0, 2.0], "finite and > 0"),
        ([4, 8], [1.0, nan], "finite and > 0"),
        ([4, 8], [1.0, inf], "finite and > 0"),
    ],
)
def test_slopes_refuse_what_has_no_logarithm(sizes, values, words):
    with pytest.raises(ValueError, match=words):
        log_log_slopes(sizes, values)


@pytest.mark.usefixtures("as_a_reader")
def test_slopes_are_of_real_numbers_in_float64():
    sizes = [2, 3, 5, 9]
    exact = log_log_slopes(sizes, np.array([1.1, 2.3, 4.1, 9.7]))
    rounded = log_log_slopes(sizes, np.array([1.1, 2.3, 4.1, 9.7], dtype=np.float32))
    # Computed in float64: only the inputs are rounded.
    assert 0 < abs(rounded - exact) < 1e-6
    assert log_log_slopes(sizes, np.float32([[1.5], [2.5], [4.5], [9.5]])).dtype == np.float64
    for wrong in ({"sizes": 3}, {"sizes": [[1, 2]]}, {"sizes": [1, 2j]}, {"values": [1, 2j]}):
        with pytest.raises(TypeError, match="^sizes must be a list of numbers, and values real, got sizes"):
            log_log_slopes(**{"sizes": [1, 2], "values": [1.0, 2.0], **wrong})


@pytest.mark.usefixtures("as_a_reader")
def test_one_number_is_no_list_of_draws():
    for one in (np.array(2.0), torch.tensor(2.0), 3):
        with pytest.raises(TypeError, match="^draws must be numbers, got"):
            Estimate.from_draws(one)
    assert Estimate.from_draws(draw for draw in (1.0, 2.0)).mean == 1.5


def test_zero_is_printed_without_a_power_of_ten():
    assert str(Estimate(0.0, 0.0, 3)) == "0.0000 ± 0.0000 (n = 3)"


# Several estimates of one quantity.


def test_pooled_estimates_are_that_of_all_draws_together():
    draws = np.random.default_rng(0).normal(size=23)
    parts = [Estimate.from_draws(part) for part in (draws[:4], draws[4:15], draws[15:])]
    whole, together = Estimate.from_draws(draws), pooled(*parts)
    assert together.num_draws == 23
    np.testing.assert_allclose([together.mean, together.standard_error], [whole.mean, whole.standard_error], rtol=1e-12)
    assert pooled(parts[0]).standard_error == pytest.approx(parts[0].standard_error, rel=1e-12)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ((), ValueError, "^estimates must be one or more, got none$"),
        ((Estimate(1.0, 0.1, 4), 2.0), TypeError, "^estimates must be of the kind Estimate, got 2.0$"),
        ((Estimate(1.0, nan, 1),), ValueError, "^estimates must have two or more draws each, got 1 "),
    ],
)
@pytest.mark.usefixtures("as_a_reader")
def test_what_cannot_be_pooled_is_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        pooled(*wrong)
