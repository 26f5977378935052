"""Every refused argument is named, with its value and with what is allowed."""

from math import inf, nan

import numpy as np
import pytest

from tutorial_lib.arguments import (
    require_at_least,
    require_depth,
    require_member,
    require_not_negative,
    require_number,
    require_positive,
    require_shape,
)


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: require_at_least(1, width=0), r"^width must be an integer >= 1, got 0$"),
        (lambda: require_at_least(0, seed=-3), r"^seed must be an integer >= 0, got -3$"),
        (lambda: require_at_least(1, input_dim=4, width=-2), r"^width must be an integer >= 1, got -2$"),
        (lambda: require_depth(1), r"^depth counts weight matrices and must be >= 2, got 1$"),
        (lambda: require_positive(radius=0), r"^radius must be a finite number > 0, got 0$"),
        (lambda: require_positive(radius=-0.5), r"^radius must be a finite number > 0, got -0\.5$"),
        (lambda: require_positive(radius=nan), r"^radius must be a finite number > 0, got nan$"),
        (lambda: require_positive(radius=inf), r"^radius must be a finite number > 0, got inf$"),
        (lambda: require_number(shift=-2.5, other=nan), r"^other must be a finite number, got nan$"),
        (lambda: require_number(other=-inf), r"^other must be a finite number, got -inf$"),
        (lambda: require_not_negative(radius=-0.5), r"^radius must be a finite number >= 0, got -0\.5$"),
        (lambda: require_not_negative(shift=0, radius=nan), r"^radius must be a finite number >= 0, got nan$"),
        (lambda: require_not_negative(radius=inf), r"^radius must be a finite number >= 0, got inf$"),
        (lambda: require_positive(shift=1, radius=0), r"^radius must be a finite number > 0, got 0$"),
        (lambda: require_shape((2, 3), x=(2, 3), y=(3, 2)), r"^y must have shape \(2, 3\), got \(3, 2\)$"),
        (lambda: require_shape([4], y=[4, 1]), r"^y must have shape \(4,\), got \(4, 1\)$"),
        (
            lambda: require_member(("ntk", "he"), scheme="glorot"),
            r"^scheme must be one of he, ntk, got 'glorot'$",
        ),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(check, message):
    with pytest.raises(ValueError, match=message):
        check()


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: require_at_least(1, width=4.5), r"^width must be an integer >= 1, got 4\.5$"),
        (lambda: require_at_least(1, width=4.0), r"^width must be an integer >= 1, got 4\.0$"),
        (lambda: require_at_least(1, width="4"), r"^width must be an integer >= 1, got '4'$"),
        (lambda: require_at_least(1, width=True), r"^width must be an integer >= 1, got True$"),
        (lambda: require_depth(2.5), r"^depth must be an integer >= 2, got 2\.5$"),
        (lambda: require_positive(radius="1"), r"^radius must be a finite number > 0, got '1'$"),
        (lambda: require_positive(radius=1 + 0j), r"^radius must be a finite number > 0, got \(1\+0j\)$"),
        (lambda: require_positive(radius=True), r"^radius must be a finite number > 0, got True$"),
        (lambda: require_depth(True), r"^depth must be an integer >= 2, got True$"),
        (lambda: require_depth(3.0), r"^depth must be an integer >= 2, got 3\.0$"),
        (lambda: require_number(shift=1, other="1"), r"^other must be a finite number, got '1'$"),
        (lambda: require_number(other=True), r"^other must be a finite number, got True$"),
        (lambda: require_not_negative(radius=None), r"^radius must be a finite number >= 0, got None$"),
        (lambda: require_not_negative(radius=False), r"^radius must be a finite number >= 0, got False$"),
        (lambda: require_member(("ntk", "he"), scheme=3), r"^scheme must be one of the strings he, ntk, got 3$"),
        (
            lambda: require_member(("ntk", "he"), scheme=["he"]),
            r"^scheme must be one of the strings he, ntk, got \['he'\]$",
        ),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_with_what_is_allowed(as_a_reader, check, message):  # noqa: ARG001
    with pytest.raises(TypeError, match=message):
        check()


def test_numbers_of_numpy_are_numbers(as_a_reader):  # noqa: ARG001
    require_at_least(1, width=np.int64(3))
    require_depth(np.int32(2))
    require_positive(radius=np.float64(0.1), divisor=3)
    require_not_negative(radius=np.float32(0.0), shift=3)
    require_number(shift=np.float64(-0.1), other=np.int64(-3))


def test_the_least_values_allowed_pass():
    require_at_least(1, width=1)
    require_at_least(0, seed=0)
    require_depth(2)
    require_positive(radius=5e-324)
    require_not_negative(radius=0.0)
    require_number(other=-1.7e308)
    require_shape((), loss=())
    require_member(("ntk", "he"), scheme="he", other="ntk")
