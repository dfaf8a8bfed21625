"""What was judged by other rules, or began from other weights, is told apart."""

from __future__ import annotations

import numpy as np
import pytest

from triptych.compare.new_items import of_fixed, of_runs
from triptych.errors import UserError
from triptych.study import Items


def items(rules: str) -> Items:
    return Items(("a", "b", "c"), None, np.array([0.0, 1.0, 1.0]), rules=rules)


def test_evaluations_by_other_rules_are_not_compared() -> None:
    strict, loose = items("iou 0.7"), items("iou 0.5")
    with pytest.raises(UserError, match=r"other rules: iou 0\.7 and iou 0\.5; score them alike"):
        of_fixed(strict, loose, None, True)
    with pytest.raises(UserError, match="other rules"):
        of_runs([strict] * 3, [strict, strict, loose], None, True, 0.95)
    assert of_fixed(strict, items("iou 0.7"), None, True)["difference"] == 0
