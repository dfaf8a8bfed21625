"""The controlled comparison: what it is, its folder, its cells, its verdict.

From Python: `as_text(compare(Comparison(…), Path("runs/mine")))`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triptych.compare.comparison import Comparison, Sequential, check
from triptych.study import Predictions

if TYPE_CHECKING:
    from triptych.compare.describe import describe as as_text
    from triptych.compare.run import compare

__all__ = ["Comparison", "Predictions", "Sequential", "as_text", "check", "compare"]


def __getattr__(name: str) -> Any:
    # Asked for by few: the statistics that they import would slow down every command.
    if name == "compare":
        from triptych.compare.run import compare

        return compare
    if name == "as_text":
        from triptych.compare.describe import describe

        return describe
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
