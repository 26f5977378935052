"""Robustness of ReLU networks: exact laws, bounds and estimators behind the book.

>>> from tutorial_lib import Architecture, he, initial_perturbation_stability
>>> shape = Architecture(input_dim=64, width=256, depth=4)
>>> round(initial_perturbation_stability(he(shape), shape), 4)
0.1379
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:  # for editors and type checkers; at run time names are loaded when they are asked for
    from tutorial_lib.architecture import Architecture as Architecture
    from tutorial_lib.bounds import initial_stability_bound as initial_stability_bound
    from tutorial_lib.bounds import lazy_rate as lazy_rate
    from tutorial_lib.estimates import Estimate as Estimate
    from tutorial_lib.exact import initial_perturbation_stability as initial_perturbation_stability
    from tutorial_lib.gradient_flow import follow_gradient_flow as follow_gradient_flow
    from tutorial_lib.initializations import LayerStds as LayerStds
    from tutorial_lib.initializations import he as he
    from tutorial_lib.initializations import lecun as lecun
    from tutorial_lib.initializations import ntk as ntk
    from tutorial_lib.laziness import lazy_ratio as lazy_ratio
    from tutorial_lib.lazy_limit import Descent as Descent
    from tutorial_lib.lazy_limit import Flow as Flow
    from tutorial_lib.lazy_limit import LazyLimit as LazyLimit
    from tutorial_lib.models import ReLUMLP as ReLUMLP
    from tutorial_lib.randomness import random_stream as random_stream
    from tutorial_lib.reports import classifier_report as classifier_report
    from tutorial_lib.reports import regressor_report as regressor_report
    from tutorial_lib.stability import perturbation_stability as perturbation_stability
    from tutorial_lib.stability import random_direction_stability as random_direction_stability
    from tutorial_lib.training import train as train

# Loaded one by one, so that a page of formulas does not wait for torch.
_MODULE_OF = {
    "Architecture": "architecture",
    "Descent": "lazy_limit",
    "Estimate": "estimates",
    "Flow": "lazy_limit",
    "LayerStds": "initializations",
    "LazyLimit": "lazy_limit",
    "ReLUMLP": "models",
    "classifier_report": "reports",
    "follow_gradient_flow": "gradient_flow",
    "he": "initializations",
    "initial_perturbation_stability": "exact",
    "initial_stability_bound": "bounds",
    "lazy_rate": "bounds",
    "lazy_ratio": "laziness",
    "lecun": "initializations",
    "ntk": "initializations",
    "perturbation_stability": "stability",
    "random_direction_stability": "stability",
    "random_stream": "randomness",
    "regressor_report": "reports",
    "train": "training",
}
__all__ = list(_MODULE_OF)  # noqa: PLE0604  # made of the table


def __getattr__(name: str) -> object:
    """Load a public name from its module (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'tutorial_lib' has no attribute {name!r}")
    return getattr(import_module(f"tutorial_lib.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return sorted([*globals(), *_MODULE_OF])
