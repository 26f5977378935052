"""The rows are those of the measurements, and a failed download says what to do instead."""

from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import sklearn.datasets
import torch

from tools import bundled_mnist
from tutorial_lib.book.data import load, load_images, mnist_parts


def as_set(x):
    return {row.numpy().tobytes() for row in x}


def test_rows_are_those_of_the_fixed_shuffle():
    split = load(num_train=8, num_test=3, task="ten")
    digits = sklearn.datasets.load_digits()
    rows = [360, 1773, 1482, 600, 850, 196, 968, 1742]
    assert split.train_y.argmax(dim=1).tolist() == digits.target[rows].tolist() == [6, 6, 6, 2, 5, 6, 6, 2]
    pixels = digits.data[rows]
    expected = pixels / np.sqrt((pixels**2).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(split.train_x.numpy(), expected, rtol=1e-14)


def test_inputs_have_unit_length_and_float64():
    split = load()
    for x in (split.train_x, split.test_x):
        assert x.shape == (256, 64)
        torch.testing.assert_close(x.norm(dim=1), torch.ones(256, dtype=torch.float64))
    assert {tensor.dtype for tensor in split} == {torch.float64}


def test_training_and_test_rows_are_different_and_follow_each_other():
    split, longer = load(num_train=100, num_test=200), load(num_train=300, num_test=50)
    assert not as_set(split.train_x) & as_set(split.test_x)
    assert torch.equal(torch.cat([split.train_x, split.test_x]), longer.train_x)


def test_parity_has_the_measured_share_of_positive_labels():
    split = load()
    assert set(split.train_y.tolist()) == {-1.0, 1.0}
    assert round(100 * (split.train_y > 0).double().mean().item(), 1) == 47.3
    assert round(100 * (split.test_y > 0).double().mean().item(), 1) == 49.6


def test_tasks_say_the_same_about_the_same_classes():
    parity, low, ten = (load(num_train=500, task=task).train_y for task in ("parity", "low", "ten"))
    assert ten.shape == (500, 10)
    assert torch.equal(ten.sum(dim=1), torch.ones(500, dtype=torch.float64))
    classes = ten.argmax(dim=1).tolist()
    assert set(classes) == set(range(10))
    assert parity.tolist() == [1 if digit in {0, 2, 4, 6, 8} else -1 for digit in classes]
    assert low.tolist() == [1 if digit in {0, 1, 2, 3, 4} else -1 for digit in classes]


@pytest.mark.parametrize(("source", "name"), [("mnist", "mnist_784"), ("fashion_mnist", "Fashion-MNIST")])
def test_a_download_gives_unit_rows_in_the_same_shuffle(source, name, monkeypatch):
    monkeypatch.setattr("tutorial_lib.book.data.BUNDLED", {})
    pixels = np.arange(1, 61).reshape(12, 5)
    labels = np.array([str(row % 10) for row in range(12)], dtype=object)
    asked = []

    def fetch_openml(name, **_settings):
        asked.append(name)
        return SimpleNamespace(data=pixels, target=labels)

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch_openml)
    split = load(source, num_train=7, num_test=5, task="ten")
    assert asked == [name]
    order = np.random.default_rng(0).permutation(12)
    assert torch.cat([split.train_y, split.test_y]).argmax(dim=1).tolist() == (order % 10).tolist()
    expected = pixels[order[7:]] / np.linalg.norm(pixels[order[7:]], axis=1, keepdims=True)
    np.testing.assert_allclose(split.test_x.numpy(), expected, rtol=1e-14)


@pytest.mark.parametrize("error", [URLError("no route to host"), TimeoutError("no route to host")])
def test_a_failed_download_names_the_data_that_need_none(error, monkeypatch):
    def fetch_openml(*_arguments, **_settings):
        raise error

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch_openml)
    message = r"^mnist_784 is downloaded from OpenML .* failed \(.*no route to host.*\)\. Use source='digits'"
    with pytest.raises(ConnectionError, match=message):
        load("mnist", num_train=1024, num_test=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "cifar"}, "^source must be one of digits, fashion_mnist, mnist, got 'cifar'$"),
        ({"task": "three"}, "^task must be one of low, parity, ten, got 'three'$"),
        ({"num_train": 0}, "^num_train must be an integer >= 1, got 0$"),
        ({"num_test": 0}, "^num_test must be an integer >= 1, got 0$"),
        (
            {"num_train": 1700, "num_test": 98},
            r"^num_train \+ num_test must be at most 1797, the rows of digits, got 1700 \+ 98$",
        ),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        load(**settings)


def test_all_rows_can_be_used():
    assert len(load(num_train=1700, num_test=97).test_x) == 97


def test_mnist_comes_with_the_package(monkeypatch):
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", None)
    split = load("mnist", num_train=900, num_test=124, task="ten")
    assert split.train_x.shape == (900, 784)
    # Real digits: most images lie closest to the mean of their own class.
    means = torch.stack([split.train_x[split.train_y[:, digit] == 1].mean(dim=0) for digit in range(10)])
    nearest = torch.cdist(split.test_x, means).argmin(dim=1)
    assert (nearest == split.test_y.argmax(dim=1)).sum() > 90


def test_bundled_rows_are_the_first_of_the_shuffle_of_all(tmp_path, monkeypatch):
    pixels = np.arange(2000 * 4, dtype=np.uint64).astype(np.uint8).reshape(2000, 4)
    classes = (np.arange(2000) % 10).astype(np.uint8)
    for part, rows in (("train", slice(0, 1500)), ("t10k", slice(1500, 2000))):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(bytes(16) + pixels[rows].tobytes())
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(bytes(8) + classes[rows].tobytes())
    monkeypatch.setattr(bundled_mnist, "FILE", tmp_path / "rows.npz")
    bundled_mnist.main(tmp_path)
    order = np.random.default_rng(0).permutation(2000)[:1024]
    with np.load(tmp_path / "rows.npz") as written:
        np.testing.assert_array_equal(written["pixels"], pixels[order])
        np.testing.assert_array_equal(written["classes"], classes[order])


def test_the_parts_of_mnist_are_those_of_its_makers():
    parts, rows = mnist_parts(), load_images("mnist", num_train=1000, num_test=24)
    images = torch.cat([rows.train_images, rows.test_images])
    classes = torch.cat([rows.train_classes, rows.test_classes])
    # The published order: 60,000 rows for training, then 10,000 for testing.
    test = torch.from_numpy(np.random.default_rng(0).permutation(70_000)[:1024] >= 60_000)
    assert torch.equal(parts.test_images, images[test]) and torch.equal(parts.test_classes, classes[test])
    assert torch.equal(parts.train_images, images[~test]) and torch.equal(parts.train_classes, classes[~test])
    assert not as_set(parts.train_images) & as_set(parts.test_images)


def test_pixels_of_mnist_are_in_the_unit_interval_whether_bundled_or_downloaded(monkeypatch):
    bundled = load_images("mnist", num_train=20, num_test=5)
    assert bundled.train_images.shape == (20, 1, 28, 28)
    pixels = np.tile(np.arange(0, 256, 17), (12, 1))
    bunch = SimpleNamespace(data=pixels, target=np.array(["3"] * 12))
    monkeypatch.setattr("tutorial_lib.book.data.BUNDLED", {})
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", lambda *_, **__: bunch)
    for images in (bundled, load_images("mnist", num_train=10, num_test=2)):
        assert images.train_images.min() == 0 and images.train_images.max() == 1


def test_images_are_the_rows_before_scaling():
    images, split = load_images(num_train=50, num_test=20), load(num_train=50, num_test=20, task="ten")
    assert images.train_images.shape == (50, 1, 8, 8) and images.train_images.dtype == torch.float64
    assert images.train_images.min() == 0 and images.train_images.max() == 1
    rows = images.test_images.flatten(1)
    torch.testing.assert_close(rows / rows.norm(dim=1, keepdim=True), split.test_x)
    assert images.train_classes.tolist() == split.train_y.argmax(dim=1).tolist()
