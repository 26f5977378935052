"""Real data: scikit-learn's digits by default, MNIST and Fashion-MNIST on request."""

from collections.abc import Callable, Mapping
from importlib.resources import as_file, files
from typing import NamedTuple
from urllib.error import URLError

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tutorial_lib.arguments import require_at_least, require_member

_Arrays = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]


class Split(NamedTuple):
    """Inputs of unit Euclidean length and labels, for training and for testing."""

    train_x: Float[Tensor, "train dim"]
    train_y: Float[Tensor, "train ..."]
    test_x: Float[Tensor, "test dim"]
    test_y: Float[Tensor, "test ..."]


class ImageSplit(NamedTuple):
    """Grey images with pixels in [0, 1] and their classes, for training and for testing."""

    train_images: Float[Tensor, "train 1 height width"]
    train_classes: Int[Tensor, " train"]
    test_images: Float[Tensor, "test 1 height width"]
    test_classes: Int[Tensor, " test"]


def _digits() -> _Arrays:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.data.astype(np.float64) / 16, bunch.target.astype(np.int64)


def _openml(name: str) -> _Arrays:
    from sklearn.datasets import fetch_openml

    try:
        bunch = fetch_openml(name, version=1, as_frame=False, parser="liac-arff")
    except (URLError, OSError) as error:
        raise ConnectionError(
            f"{name} is downloaded from OpenML once and then kept in scikit-learn's data folder; "
            f"the download failed ({error}). Use source='digits', which needs no network."
        ) from error
    return bunch.data.astype(np.float64) / 255, bunch.target.astype(np.int64)


SOURCES: Mapping[str, Callable[[], _Arrays]] = {
    "digits": _digits,
    "mnist": lambda: _openml("mnist_784"),
    "fashion_mnist": lambda: _openml("Fashion-MNIST"),
}
# First rows of the fixed shuffle that ship with the package, so that small experiments need no download.
BUNDLED: Mapping[str, str] = {"mnist": "mnist_1024.npz"}


def fixed_shuffle(num_rows: int, count: int) -> npt.NDArray[np.int64]:
    """Return the first ``count`` of the numbers 0 ... num_rows - 1 in the one order the book uses."""
    return np.random.default_rng(0).permutation(num_rows)[:count]


def _bundled(source: str) -> _Arrays:
    with as_file(files("tutorial_lib.book") / "datasets" / BUNDLED[source]) as path, np.load(path) as rows:
        return rows["pixels"].astype(np.float64) / 255, rows["classes"].astype(np.int64)


def _first_rows(source: str, *, num_train: int, num_test: int) -> _Arrays:
    """Pixels in [0, 1] and classes of the first rows of the fixed shuffle of all rows of a source."""
    require_member(SOURCES, source=source)
    require_at_least(1, num_train=num_train, num_test=num_test)
    count = num_train + num_test
    if source in BUNDLED:
        pixels, classes = _bundled(source)
        if count <= len(classes):
            return pixels[:count], classes[:count]
    pixels, classes = SOURCES[source]()
    if count > len(classes):
        raise ValueError(
            f"num_train + num_test must be at most {len(classes)}, the rows of {source}, got {num_train} + {num_test}"
        )
    rows = fixed_shuffle(len(classes), count)
    return pixels[rows], classes[rows]


def _signs(positive: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    return np.where(positive, 1.0, -1.0)


TASKS: Mapping[str, Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]]] = {
    "parity": lambda classes: _signs(classes % 2 == 0),
    "low": lambda classes: _signs(classes < 5),
    "ten": lambda classes: np.eye(10)[classes],
}


def load(source: str = "digits", *, num_train: int = 256, num_test: int = 256, task: str = "parity") -> Split:
    """Return the first ``num_train`` rows of one fixed shuffle, and the ``num_test`` next ones.

    ``source``: digits (8 x 8 pixels, 1797 rows), mnist or fashion_mnist (28 x 28, 70000 rows, downloaded
    once; the first 1024 of mnist come with the package). ``task``: parity (+1 even, -1 odd), low (+1 for
    classes 0 to 4, else -1), ten (one-hot). Rows are scaled to Euclidean length 1; float64 on the CPU.
    Raises ``ConnectionError`` if a download fails.
    """
    require_member(TASKS, task=task)
    pixels, classes = _first_rows(source, num_train=num_train, num_test=num_test)
    unit = pixels / np.linalg.norm(pixels, axis=1, keepdims=True)
    x, y = torch.from_numpy(unit), torch.from_numpy(TASKS[task](classes))
    return Split(x[:num_train], y[:num_train], x[num_train:], y[num_train:])


def load_images(source: str = "digits", *, num_train: int = 1400, num_test: int = 397) -> ImageSplit:
    """Return the same rows as ``load``, as square images with pixels in [0, 1], and their classes.

    Here lengths are kept: a radius is in units of a pixel's full range. Sources and errors as in ``load``.
    """
    pixels, classes = _first_rows(source, num_train=num_train, num_test=num_test)
    side = round(pixels.shape[1] ** 0.5)
    x, y = torch.from_numpy(pixels).reshape(-1, 1, side, side), torch.from_numpy(classes)
    return ImageSplit(x[:num_train], y[:num_train], x[num_train:], y[num_train:])


def mnist_parts() -> ImageSplit:
    """Return the bundled rows of MNIST, divided into training and test images as its makers divided them.

    Pixels as in ``load_images``. The network that reads digits in the page has seen none of the test images.
    """
    pixels, classes = _bundled("mnist")
    x, y = torch.from_numpy(pixels).reshape(-1, 1, 28, 28), torch.from_numpy(classes)
    # Rows keep the order of the source: 60,000 training images, then 10,000 test images.
    test = torch.from_numpy(fixed_shuffle(70_000, len(classes)) >= 60_000)
    return ImageSplit(x[~test], y[~test], x[test], y[test])
