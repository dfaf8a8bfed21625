from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from triptych.segment.baseline import commonest_class
from triptych.segment.scores import Item, items_table


def test_the_commonest_class_against_counts_worked_by_hand(tmp_path: Path) -> None:
    # Rows are the truth: 10 + 20 pixels of a, 60 of b, none of c; the predictions do not matter.
    first = np.array([[10, 0, 0, 0], [0, 0, 60, 0], [0, 0, 0, 0]])
    second = np.array([[0, 20, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    items = [
        Item("x", "g", 100.0, first, [1.0, 0.0, None]),
        Item("y", "g", 100.0, second, [1.0, None, None]),
    ]
    pq.write_table(items_table(items, "abc"), tmp_path / "items.parquet")
    found = commonest_class(tmp_path / "items.parquet")
    assert found["class"] == "b"
    assert found["pixel_accuracy"] == pytest.approx(60 / 90)
    assert found["mIoU"] == pytest.approx(60 / 90 / 2)
