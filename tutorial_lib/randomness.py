"""Named random streams: no draw depends on the order of calls, none is used twice."""

import numpy as np
from torch import Generator

from tutorial_lib.arguments import require_at_least


def random_stream(seed: int, name: str) -> Generator:
    """Return the generator (on the CPU) of one purpose of one run.

    ``seed`` is an integer from 0 to 2^32 - 1. Name the stream by purpose and size, such as ``"weights of
    width 64"``: the draws of width 64 are then the same whichever other widths are asked for. Schemes that
    share a stream share their Gaussians, so their comparison is paired.
    """
    require_at_least(0, seed=seed)
    # A larger seed would be split in two words, and its second one taken for a letter of the name.
    if seed >= 2**32:
        raise ValueError(f"seed must be an integer from 0 to 2**32 - 1, got {seed}")
    if not isinstance(name, str):
        raise TypeError(f"name must be a text, got {name!r}")
    if not name or "\0" in name:
        raise ValueError(f"name must be a text of one or more letters, none of them a null, got {name!r}")
    entropy = np.random.SeedSequence([int(seed), *name.encode()]).generate_state(1, np.uint64)
    return Generator().manual_seed(int(entropy[0]))
