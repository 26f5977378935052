"""For tests and the kernels that nbval starts: no progress bars, strict claims. Set before anything is imported."""

import os
from typing import Any

import pytest

os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("TUTORIAL_LIB_STRICT", "1")  # a claim that does not hold is an error


def pytest_configure(config: pytest.Config) -> None:
    """Let nbval compare the pictures of a cell too, once all else is equal."""
    if not config.getoption("--nbval", default=False):
        return
    from nbval.plugin import IPyNbCell

    from tests.pictures import difference, pictures

    others = IPyNbCell.compare_outputs

    def compare(cell: IPyNbCell, test: list[Any], ref: list[Any], skip_compare: Any = None) -> bool:
        if not others(cell, test, ref, skip_compare):
            return False
        if found := difference(pictures(ref), pictures(test)):
            cell.comparison_traceback.append(found)
        return found is None

    IPyNbCell.compare_outputs = compare
