"""Every refused tensor is named, with what came and with what is allowed."""

from math import inf, nan

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tutorial_lib.tensors import (
    require_finite,
    require_floating_point,
    require_generator,
    require_like,
    require_rows,
)

CHECKS = [require_floating_point, require_finite, require_rows]
GOOD = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_rows_pass_every_check(check, dtype):
    check(x=GOOD.to(dtype), other=GOOD.to(dtype).requires_grad_())
    check()


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64]
)
def test_numbers_of_another_kind_are_refused(check, dtype):
    with pytest.raises(TypeError, match=rf"^y must hold floating-point numbers, float32 or float64, got {dtype}$"):
        check(x=GOOD, y=torch.ones(2, 3).to(dtype))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([[1.0]], "list"),
        (np.ones((2, 3)), r"ndarray: convert with torch.from_numpy\(...\)"),
        (DataLoader([torch.ones(2)]), r"DataLoader: take one batch, x, y = next\(iter\(loader\)\); .* take loaders"),
        (None, "NoneType"),
    ],
)
@pytest.mark.usefixtures("as_a_reader")
def test_what_is_no_tensor_is_refused(check, value, kind):
    with pytest.raises(TypeError, match=rf"^y must be a tensor of float32 or float64, got {kind}$"):
        check(x=GOOD, y=value)


@pytest.mark.parametrize("check", [require_finite, require_rows])
@pytest.mark.parametrize("wrong", [nan, inf, -inf])
@pytest.mark.parametrize("place", [(0, 0), (1, 1), (1, 2)])
def test_one_number_that_is_not_finite_is_enough_to_be_refused(check, wrong, place):
    y = GOOD.clone()
    y[place] = wrong
    with pytest.raises(ValueError, match=r"^y must be finite, got nan or infinity$"):
        check(x=GOOD, y=y)


def test_finite_numbers_of_any_size_and_shape_pass():
    require_finite(one=torch.tensor(1.7e308, dtype=torch.float64), none=torch.zeros(0, 3))
    require_finite(several=torch.full((2, 1, 2), -3e38))
    require_floating_point(wrong=torch.tensor(nan), none=torch.zeros(0))


@pytest.mark.parametrize("shape", [(), (6,), (1, 2, 3), (0, 3), (2, 0)])
def test_what_holds_no_rows_is_refused_with_its_shape(shape):
    with pytest.raises(ValueError) as refusal:
        require_rows(x=GOOD, y=torch.zeros(shape))
    assert str(refusal.value) == f"y must have shape (batch, dim) and not be empty, got {shape}"


def test_tensors_of_one_dtype_and_device_are_like_each_other():
    require_like(GOOD, x=GOOD[0], y=torch.zeros(0, dtype=torch.float64))


@pytest.mark.parametrize(
    ("other", "got", "remedy"),
    [
        (torch.ones(2), "torch.float32 on cpu", "torch.float64"),
        (torch.ones(2, dtype=torch.float64, device="meta"), "torch.float64 on meta", "'cpu'"),
        (torch.ones(2, device="meta"), "torch.float32 on meta", "'cpu', torch.float64"),
    ],
)
def test_another_dtype_or_device_is_refused_with_the_call_that_converts(other, got, remedy):
    message = rf"^y must be torch.float64 on cpu like the rest, got {got}: use y.to\({remedy}\)$"
    with pytest.raises(ValueError, match=message):
        require_like(GOOD, x=GOOD, y=other)


def test_a_generator_is_handed_back(generator):
    assert require_generator(generator) is generator


@pytest.mark.parametrize("value", [None, 0, np.random.default_rng(0)])
@pytest.mark.usefixtures("as_a_reader")
def test_no_generator_is_refused(value):
    with pytest.raises(
        TypeError, match=r"^generator must be a torch.Generator, such as random_stream\(0, 'what it is for'\), got "
    ):
        require_generator(value)
