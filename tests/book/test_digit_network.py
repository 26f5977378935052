"""The network that reads digits in the page: its stored accuracy is believable, and its weights are bytes."""

import numpy as np
import torch

from tutorial_lib.book.data import load_images
from tutorial_lib.book.digit_network import FILE, digit_network, digit_network_accuracy, predicted_digits


def test_it_reads_the_bundled_rows_about_as_well_as_the_test_images():
    split = load_images("mnist", num_train=1000, num_test=24)
    right = (predicted_digits(split.train_images) == split.train_classes).double().mean().item()
    # Most of these rows were trained on; the error of 1000 rows is half a percent.
    assert 0.95 < digit_network_accuracy() < 0.99
    assert abs(right - digit_network_accuracy()) < 0.03


def test_weights_are_bytes_and_the_module_is_ready_to_be_measured():
    with np.load(FILE) as stored:
        assert stored["first"].dtype == stored["last"].dtype == np.int8
    network = digit_network()
    assert not network.training and network(torch.zeros(2, 1, 28, 28, dtype=torch.float64)).shape == (2, 10)
    assert FILE.stat().st_size < 60_000


def test_a_random_change_hardly_fools_it_and_a_chosen_one_nearly_always_does():
    images = load_images("mnist", num_train=1000, num_test=24).train_images
    answers, coins = predicted_digits(images), torch.Generator().manual_seed(0)
    leaf = images.clone().requires_grad_()
    torch.nn.functional.cross_entropy(digit_network()(leaf), answers).backward()
    signs = 2.0 * torch.randint(2, images.shape, generator=coins) - 1, leaf.grad.sign()
    random, chosen = (
        (predicted_digits((images + 0.1 * sign).clamp(0, 1)) != answers).double().mean().item() for sign in signs
    )
    assert random < 0.03 and chosen > 0.8
