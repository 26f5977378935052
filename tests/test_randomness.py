"""Streams depend on their seed and name, and on nothing else."""

import numpy as np
import pytest
import torch

from tutorial_lib.randomness import random_stream


def draws(seed, name):
    return torch.randn(5, generator=random_stream(seed, name), dtype=torch.float64).tolist()


def test_a_stream_does_not_depend_on_the_streams_drawn_before():
    alone = draws(3, "weights of width 64")
    draws(3, "weights of width 16")
    torch.rand(7)
    assert draws(3, "weights of width 64") == alone


def test_seeds_and_names_all_give_different_streams():
    names = [" ", "a", "b", "ab", "ba", "weights of width 6", "weights of width 64", "größe", "größf"]
    names += [90 * "x" + "y", 91 * "x"]
    seeds = [*range(50), 2**16, 2**31, 2**32 - 1]
    starts = {random_stream(seed, name).initial_seed() for seed in seeds for name in names}
    assert len(starts) == len(seeds) * len(names)


def test_the_streams_behind_the_stored_numbers_stay_the_same():
    assert random_stream(0, "weights").initial_seed() == 6490791970533958236


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match=r"^seed must be an integer >= 0, got -1$"):
        random_stream(-1, "weights")


# 65 * 2^32 used to be split in 0 and 65, which is the letter A: the stream (0, "Ax").
@pytest.mark.parametrize("seed", [2**32, 65 * 2**32])
def test_a_seed_that_would_run_into_the_name_is_refused(seed):
    with pytest.raises(ValueError, match=rf"^seed must be an integer from 0 to 2\*\*32 - 1, got {seed}$"):
        random_stream(seed, "x")


@pytest.mark.parametrize("name", ["", "\0", "x\0", "\0x"])
def test_a_name_that_would_be_lost_is_refused(name):
    with pytest.raises(ValueError, match=r"^name must be a non-empty string without null characters, got '"):
        random_stream(0, name)


@pytest.mark.parametrize(("name", "shown"), [(3, "3"), (b"weights", "b'weights'"), (["a", "b"], r"\['a', 'b'\]")])
@pytest.mark.usefixtures("as_a_reader")
def test_a_name_that_is_no_text_is_refused(name, shown):
    with pytest.raises(TypeError, match=rf"^name must be a string, got {shown}$"):
        random_stream(0, name)


@pytest.mark.parametrize("seed", [1.0, True, "0"])
@pytest.mark.usefixtures("as_a_reader")
def test_a_seed_that_is_no_integer_is_refused(seed):
    with pytest.raises(TypeError, match=r"^seed must be an integer (>= 0|from 0 to 2\*\*32 - 1), got "):
        random_stream(seed, "weights")


@pytest.mark.usefixtures("as_a_reader")
def test_an_integer_of_numpy_is_the_same_seed():
    assert random_stream(np.int32(7), "weights").initial_seed() == random_stream(7, "weights").initial_seed()
