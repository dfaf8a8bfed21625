"""The table of the samples that arms need for a score."""

from __future__ import annotations

import csv
import io
from typing import Any

from triptych.report.reach_table import reach_table

Record = dict[str, Any]


def test_a_row_for_every_score(reached: Record) -> None:
    table = reach_table(reached)
    assert table is not None
    assert table.rows[1] == (
        "vit against conv",
        "top1 0.3500, 75% of the way (shown)",
        "150",
        "300",
        "1.5",
        "3.0",
        # Of 1234.4, 1300.2 and 310 s the shares that 140, 150 and 160 of 384 samples are.
        f"{(1234.4 * 1300.2 * 310 * 140 * 150 * 160) ** (1 / 3) / 384:.0f}",
        "0.24",
        "2.0",
        "1.5 to 2.7 (95 %)",
    )
    assert table.rows[2][3:5] == ("> 369", "1.7")
    assert table.rows[2][-2:] == ("≥ 2.2", "at least 1.8 (95 %)")
    assert len(table.rows) == 3


def test_without_times_there_are_none(reached: Record) -> None:
    reached["times"] = {}
    table = reach_table(reached)
    assert table is not None
    assert table.rows[0][6:8] == ("–", "–")


def test_csv_has_every_seed_and_its_bound(reached: Record) -> None:
    reached["pairs"][0]["samples_to_reach"]["scores"][2]["arm"]["bound"]["1"] = "at most"
    table = reach_table(reached)
    assert table is not None
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert [row["shown"] for row in rows] == ["false", "true", "false"]
    assert rows[2]["baseline_samples_by_seed"] == ">400 350 360"
    assert rows[2]["arm_samples_by_seed"] == "160 ≤170 180"
    assert (rows[2]["kind"], rows[2]["low"], rows[2]["high"]) == ("at least", "1.8", "")


def test_bounds_in_both_directions(reached: Record) -> None:
    each = reached["pairs"][0]["samples_to_reach"]["scores"][0]
    each |= {"kind": None, "ratio": None, "low": None, "high": None}
    each["arm"]["bound"] = {"0": "at most", "1": "more than", "2": "exact"}
    table = reach_table(reached)
    assert table is not None
    assert table.rows[0][2] == "≈ 110"
    assert table.rows[0][-2:] == ("–", "none")


def test_exploratory_rows_come_below(reached: Record) -> None:
    reached["exploratory"] = {"seeds": [0, 1, 2, 3], "pairs": reached["pairs"][:1]}
    table = reach_table(reached)
    assert table is not None
    assert [row["judged_on"] for row in table.data] == ["plan"] * 3 + ["exploratory"] * 3


def test_no_curves_no_table(verdict: Record, fixed: Record) -> None:
    assert reach_table(verdict) is None
    assert reach_table(fixed) is None
