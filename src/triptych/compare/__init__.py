"""The controlled comparison: what it is, its folder, its cells, its verdict."""

from triptych.compare.comparison import Comparison, Sequential, check
from triptych.study import Predictions

__all__ = ["Comparison", "Predictions", "Sequential", "check"]
