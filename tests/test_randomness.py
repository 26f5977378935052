"""Streams depend on their seed and name, and on nothing else."""

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
    names = ["", "a", "b", "ab", "ba", "weights of width 6", "weights of width 64", "größe"]
    starts = {random_stream(seed, name).initial_seed() for seed in range(50) for name in names}
    assert len(starts) == 50 * len(names)


def test_the_streams_behind_the_stored_numbers_stay_the_same():
    assert random_stream(0, "weights").initial_seed() == 6490791970533958236


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match=r"^seed must be an integer >= 0, got -1$"):
        random_stream(-1, "weights")
