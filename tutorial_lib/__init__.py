"""Robustness of ReLU networks: exact laws, bounds and estimators behind the book."""

__version__ = "0.1.0"
