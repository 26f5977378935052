"""No progress bars in tests, nor in the kernels that nbval starts: set before tqdm is imported."""

import os

os.environ.setdefault("TQDM_DISABLE", "1")
