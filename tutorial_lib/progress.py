"""Progress of long work: a bar after one second, none where the environment says so."""

import os
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm.auto import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item], description: str) -> Iterator[Item]:
    """Yield the items; a bar that names the work shows from the second second on, unless TQDM_DISABLE is set."""
    # In a notebook tqdm does not look at its own variable.
    silent = bool(os.environ.get("TQDM_DISABLE"))
    yield from tqdm(items, desc=description, delay=1, leave=False, disable=silent)
