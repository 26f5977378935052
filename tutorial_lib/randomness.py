"""Named random streams: no draw depends on the order of calls, none is used twice."""

import numpy as np
from torch import Generator

from tutorial_lib.arguments import require_at_least


def random_stream(seed: int, name: str) -> Generator:
    """Return the generator (on the CPU) of one purpose of one run.

    Name the stream by purpose and size, such as ``"weights of width 64"``: the draws of width 64
    are then the same whichever other widths are asked for. Schemes that share a stream share
    their Gaussians, so their comparison is paired.
    """
    require_at_least(0, seed=seed)
    entropy = np.random.SeedSequence([seed, *name.encode()]).generate_state(1, np.uint64)
    return Generator().manual_seed(int(entropy[0]))
