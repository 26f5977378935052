"""For tests and the kernels that nbval starts: no progress bars, strict claims. Set before anything is imported."""

import os

os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("TUTORIAL_LIB_STRICT", "1")  # a claim that does not hold is an error
