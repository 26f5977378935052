"""Named random streams: no draw depends on the order of calls, none is used twice."""

import numpy as np
from torch import Generator

from tutorial_lib.arguments import require_at_least


def random_stream(seed: int, name: str) -> Generator:
    """Return a random generator (on the CPU) for one purpose, such as drawing weights.

    The same ``seed`` (an integer from 0 to 2^32 - 1) and ``name`` always give the same numbers, and two names give
    independent ones. Name the stream by its purpose and size, such as ``"weights of width 64"``: then the networks
    of width 64 do not depend on which other widths are drawn. Schemes that share a stream share their Gaussians,
    which makes a comparison between them a paired one.
    """
    if isinstance(seed, str):  # the two in the wrong order
        raise TypeError(f"seed must be an integer from 0 to 2**32 - 1, got {seed!r}: it comes before the name")
    require_at_least(0, seed=seed)
    # A larger seed would be split in two words, and its second one taken for a letter of the name.
    if seed >= 2**32:
        raise ValueError(f"seed must be an integer from 0 to 2**32 - 1, got {seed}")
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {name!r}")
    if not name or "\0" in name:
        raise ValueError(f"name must be a non-empty string without null characters, got {name!r}")
    entropy = np.random.SeedSequence([int(seed), *name.encode()]).generate_state(1, np.uint64)
    return Generator().manual_seed(int(entropy[0]))
