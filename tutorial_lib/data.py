"""Real data: scikit-learn's digits by default, MNIST and Fashion-MNIST on request."""

from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.error import URLError

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from tutorial_lib.arguments import require_at_least, require_member

_Arrays = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]


class Split(NamedTuple):
    """Inputs of unit Euclidean length and labels, for training and for testing."""

    train_x: Float[Tensor, "train dim"]
    train_y: Float[Tensor, "train ..."]
    test_x: Float[Tensor, "test dim"]
    test_y: Float[Tensor, "test ..."]


def _digits() -> _Arrays:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.data.astype(np.float64), bunch.target.astype(np.int64)


def _openml(name: str) -> _Arrays:
    from sklearn.datasets import fetch_openml

    try:
        bunch = fetch_openml(name, version=1, as_frame=False, parser="liac-arff")
    except (URLError, OSError) as error:
        raise ConnectionError(
            f"{name} is downloaded from OpenML once and then kept in scikit-learn's data folder; "
            f"the download failed ({error}). Use source='digits', which needs no network."
        ) from error
    return bunch.data.astype(np.float64), bunch.target.astype(np.int64)


SOURCES: Mapping[str, Callable[[], _Arrays]] = {
    "digits": _digits,
    "mnist": lambda: _openml("mnist_784"),
    "fashion_mnist": lambda: _openml("Fashion-MNIST"),
}


def _signs(positive: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    return np.where(positive, 1.0, -1.0)


TASKS: Mapping[str, Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]]] = {
    "parity": lambda classes: _signs(classes % 2 == 0),
    "low": lambda classes: _signs(classes < 5),
    "ten": lambda classes: np.eye(10)[classes],
}


def load(source: str = "digits", *, num_train: int = 256, num_test: int = 256, task: str = "parity") -> Split:
    """Return the first ``num_train`` rows of one fixed shuffle, and the ``num_test`` next ones.

    ``source``: digits (8 x 8 pixels, 1797 rows, no download), mnist or fashion_mnist (28 x 28,
    downloaded once). ``task``: parity (+1 even, -1 odd), low (+1 for classes 0 to 4, else -1),
    ten (one-hot). Rows are scaled to Euclidean length 1; float64 on the CPU. Raises
    ``ConnectionError`` if a download fails.
    """
    require_member(SOURCES, source=source)
    require_member(TASKS, task=task)
    require_at_least(1, num_train=num_train, num_test=num_test)
    pixels, classes = SOURCES[source]()
    if num_train + num_test > len(pixels):
        raise ValueError(
            f"num_train + num_test must be at most {len(pixels)}, the rows of {source}, got {num_train} + {num_test}"
        )
    rows = np.random.default_rng(0).permutation(len(pixels))[: num_train + num_test]
    unit = pixels[rows] / np.linalg.norm(pixels[rows], axis=1, keepdims=True)
    x, y = torch.from_numpy(unit), torch.from_numpy(TASKS[task](classes[rows]))
    return Split(x[:num_train], y[:num_train], x[num_train:], y[num_train:])
