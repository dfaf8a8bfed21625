"""The tables: values worked by hand, nothing dropped, forms that other programs read."""

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser
from typing import Any

import pytest
from markdown_it import MarkdownIt

from triptych.report.beside_table import beside_table
from triptych.report.joined import fixed_part
from triptych.report.readme import limits
from triptych.report.tables import (
    Table,
    arms_of,
    arms_table,
    audit_table,
    pairs_table,
)

Record = dict[str, Any]


class Cells(HTMLParser):
    """The texts of a table's cells, row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1] and data != "\n":
            self.rows[-1][-1] += data


def read_markdown(text: str) -> list[list[str]]:
    parser = Cells()
    parser.feed(MarkdownIt("commonmark").enable("table").render(text))
    return parser.rows


def read_csv(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.to_csv())))


def row(table: Table, name: str) -> dict[str, str]:
    (found,) = [row for row in table.rows if row[0] == name]
    return dict(zip(table.header, found, strict=True))


def test_arms(verdict: Record) -> None:
    table = arms_table(verdict)
    assert [row[0] for row in table.rows] == ["conv", "vit", "late"]
    assert row(table, "conv") == {
        "arm": "conv",
        "top1, mean ± std (n), fraction": "0.1200 ± 0.0200 (n = 3)",
        "cells": "3 done",
        "parameters": "25,546",
        "MACs an image": "611,968",
        "samples trained on": "384",
        "updates": "12",
        "training, GFLOP": "1.4",
        "time, s a seed": "0.3 to 0.4",
    }


def test_cells_that_ended_badly_are_in_the_table(verdict: Record) -> None:
    table = arms_table(verdict)
    assert row(table, "vit")["cells"] == "2 done, 1 diverged (seed 2)"
    assert row(table, "vit")["samples trained on"] == "96 to 384"
    assert row(table, "vit")["MACs an image"] == "–"
    assert row(table, "vit")["time, s a seed"] == "310 to 1,300"
    assert row(table, "late")["cells"] == "1 done, 1 failed (seed 0), 1 missing (seed 2)"
    assert row(table, "late")["top1, mean ± std (n), fraction"] == "0.2000 (n = 1)"
    conv, vit, late = read_csv(table)
    assert (conv["mean"], conv["n"], conv["done"]) == ("0.12", "3", "3")
    assert float(conv["std"]) == pytest.approx(0.02)
    assert (vit["done"], vit["diverged"], vit["samples"], vit["MACs"]) == (
        *("2", "1"),
        *("384 384 96", ""),
    )
    assert (late["failed"], late["missing"], late["std"]) == ("1", "1", "")


def test_an_arm_without_any_score_stays(verdict: Record) -> None:
    late = verdict["arms"]["late"]
    late["scores"]["1"], late["states"]["1"], late["cost"] = None, "begun", {}
    verdict["times"]["late"] = {}
    found = row(arms_table(verdict), "late")
    assert found["top1, mean ± std (n), fraction"] == "no score (n = 0)"
    assert found["cells"] == "1 failed (seed 0), 1 unfinished (seed 1), 1 missing (seed 2)"
    assert found["parameters"] == "–"


def test_seeds_that_a_decided_plan_did_not_need(verdict: Record) -> None:
    verdict["plan"] = {"kind": "sequential", "n_max": 3, "seeds": [0, 1, 2]}
    assert "1 missing (seed 2)" in row(arms_table(verdict), "late")["cells"]
    verdict["pairs"][1]["verdict"] = "equivalent"
    assert "1 not needed (seed 2)" in row(arms_table(verdict), "late")["cells"]


def test_pairs(verdict: Record) -> None:
    first, second = pairs_table(verdict).rows
    assert dict(zip(pairs_table(verdict).header, first, strict=True)) == {
        "arm against baseline": "vit against conv",
        "top1 difference, fraction": "+0.1000",
        "interval (level)": "+0.0547 to +0.1453 (95 %)",
        "interval, all pairs together (level)": "+0.0400 to +0.1600 (97.5 %)",
        "verdict on this test set": "better",
        "why": "the difference exceeds the margin; vit: 1 of 3 diverged",
        "p of a difference, adjusted": "4e-4",
        "p of equivalence, adjusted": "1.000",
        "new items": "not shown: that it holds on new images is unknown",
        "what differs: baseline → arm": "lr: 0.1 → 0.2; model: resnext → vit",
        "method": "Welch t over seeds, Holm over 2 comparisons",
    }
    assert second[1:5] == ("–", "none", "none", "undecided")
    record, other = read_csv(pairs_table(verdict))
    assert (record["judged_on"], record["arm"], record["baseline"]) == ("plan", "vit", "conv")
    assert (record["low"], record["level"]) == ("0.0547", "0.95")
    assert (record["adjusted_level"], record["exceeds_margin"]) == ("0.975", "true")
    assert (record["p_difference"], record["p_difference_adjusted"]) == ("0.00018", "0.00036")
    assert (other["low"], other["seeds_needed"], other["verdict"]) == ("", "73", "undecided")


def test_the_drives_of_a_pair_are_in_its_table(verdict: Record) -> None:
    assert "difference by group" not in pairs_table(verdict).header  # no pair has drives
    sentence = "ahead in 1 of 2 drives; new drives cannot be judged from 2"
    verdict["pairs"][0]["new_items"] = {
        "new_items": "cannot be judged",
        "sentence": sentence,
        "by_group": {"0016E5": 0.0112, "0001TP": -0.02},
    }
    table = pairs_table(verdict)
    vit, late = (dict(zip(table.header, row, strict=True)) for row in table.rows)
    assert vit["difference by group"] == "0016E5: +0.0112; 0001TP: −0.0200"
    assert vit["new items"] == f"cannot be judged: {sentence}"
    assert late["difference by group"] == "–"
    first, second = read_csv(table)
    assert (first["difference on 0001TP"], first["difference on 0016E5"]) == ("-0.02", "0.0112")
    assert second["difference on 0001TP"] == ""


def test_arms_of_a_sequential_plan_are_of_the_seeds_that_were_judged(verdict: Record) -> None:
    verdict["plan"] = {"kind": "sequential", "n_max": 3, "seeds": [0, 1, 2], "shown": [0, 1]}
    assert "0.1100 ± 0.0141 (n = 2)" in row(arms_table(verdict), "conv").values()


def test_a_difference_over_two_test_sets_is_no_difference_of_recipes(verdict: Record) -> None:
    line = "Where two arms were scored on different data, the difference is of recipe and data"
    assert not any(text.startswith(line) for text in limits(verdict))
    verdict["pairs"][0]["warnings"].append("scored on different data: vit on a and conv on b")
    assert any(text.startswith(line) for text in limits(verdict))


def test_what_is_exploratory_stands_apart(extended: Record) -> None:
    table = pairs_table(extended)
    planned, added = (dict(zip(table.header, row, strict=True)) for row in table.rows)
    assert planned["judged on"] == "plan: seeds 0, 1, 2"
    assert planned["verdict on this test set"] == "better"
    assert added["judged on"] == "exploratory: seeds 0, 1, 2, 3, 4"
    assert added["verdict on this test set"] == "none; exploratory: undecided"
    assert [row["judged_on"] for row in read_csv(table)] == ["plan", "exploratory"]
    arms = arms_table(extended)
    conv = row(arms, "conv")
    assert conv["top1, mean ± std (n), fraction"] == "0.1200 ± 0.0200 (n = 3)"
    # Mean 1.16 / 5; squares of the deviations add up to 0.11488.
    assert conv["exploratory: the same with added seeds"] == "0.2320 ± 0.1695 (n = 5)"
    assert read_csv(arms)[0]["exploratory_n"] == "5"


def test_fixed_predictions_show_every_group(fixed: Record) -> None:
    arms, pairs = arms_table(fixed), pairs_table(fixed)
    assert arms.header[3:] == ("mIoU on 0001TP", "mIoU on 0016E5", "mIoU on Seq05VD")
    assert arms.rows[1] == ("b", "0.5500", "101", "0.6000", "0.4500", "0.5500")
    assert pairs.rows[0][:6] == (
        *("b against a", "+0.0333", "+0.1000", "+0.0500", "−0.0500"),
        "none",
    )
    assert "ahead in 2 of 3 drives" in pairs.rows[0][7]
    assert read_csv(pairs)[0]["difference on Seq05VD"] == "-0.05"
    assert read_csv(arms)[1]["items"] == "101"


def test_fixed_predictions_without_groups(fixed: Record) -> None:
    for found in (*fixed["arms"].values(), *fixed["pairs"]):
        found["by_group"] = None
    assert arms_table(fixed).header == ("arm", "mIoU, fraction", "items")
    assert len(pairs_table(fixed).rows[0]) == 6


def test_audit(verdict: Record) -> None:
    assert [row[1] for row in audit_table(verdict).rows] == ["fair", "FLAW", "DIFFERS", "unknown"]
    assert read_csv(audit_table(verdict))[1]["text"] == "vit: 64 copies | 1 version"


@pytest.mark.parametrize("of", [arms_table, pairs_table, audit_table])
@pytest.mark.parametrize("name", ["verdict", "extended", "fixed"])
def test_markdown_and_csv_hold_what_the_table_holds(
    of: Any, name: str, request: pytest.FixtureRequest
) -> None:
    table = of(request.getfixturevalue(name))
    assert read_markdown(table.to_markdown()) == [list(table.header), *map(list, table.rows)]
    assert len(read_csv(table)) == len(table.rows)
    assert "\r" not in table.to_csv()


def test_a_cell_cannot_leave_its_cell() -> None:
    nasty = "a|b\nc `d|e` <b> *f* \\"
    table = Table(("h|1", "2"), ((nasty, "x"),), ({"h": nasty, "i": None},))
    shown = " ".join(nasty.split())
    assert read_markdown(table.to_markdown()) == [["h|1", "2"], [shown, "x"]]
    assert read_csv(table) == [{"h": nasty, "i": ""}]


def test_the_order_of_arms_survives_sorted_files(verdict: Record) -> None:
    assert arms_of(verdict) == ["conv", "vit", "late"]
    verdict["arms"] = dict(sorted(verdict["arms"].items()))
    assert arms_of(verdict) == ["conv", "vit", "late"]


def beside_of(verdict: Record) -> Table:
    table = beside_table(verdict)
    assert table is not None
    return table


def beside_rows(verdict: Record) -> list[dict[str, str]]:
    table = beside_of(verdict)
    return [dict(zip(table.header, row, strict=True)) for row in table.rows]


def beside_csv(verdict: Record) -> list[dict[str, str]]:
    return read_csv(beside_of(verdict))


def test_scores_beside_the_metric(beside: Record) -> None:
    rows = beside_rows(beside)
    assert len(rows) == 6
    assert rows[0] == {
        "arm against baseline": "vit against conv",
        "score, unit": "BF, fraction",
        "arm, mean ± std (n)": "0.6200 ± 0.0100 (n = 3)",
        "baseline, mean ± std (n)": "0.6000 ± 0.0100 (n = 3)",
        "difference": "+0.0200",
        "interval (level)": "−0.0123 to +0.0523 (95 %)",
        "difference on 0001TP": "+0.0100",
        "difference on 0016E5": "−0.0300",
        "note": "–",
        "method": "t",
    }
    assert rows[2]["score, unit"] == "loss, nats"
    assert (rows[2]["difference"], rows[2]["interval (level)"]) == ("−0.5000", "none")
    assert rows[2]["note"] == "the seed changed nothing in conv"
    assert rows[3]["arm, mean ± std (n)"] == "0.2000 (n = 1)"
    first, second, *_ = beside_csv(beside)
    assert (first["arm_mean"], first["baseline_n"], first["low"]) == ("0.62", "3", "-0.0123")
    assert first["difference on 0016E5"] == "-0.03"
    assert (second["arm_n"], second["arm_missing"], second["baseline_missing"]) == ("2", "1", "3")
    assert (second["baseline_mean"], second["difference"]) == ("", "")


def test_a_missing_score_is_shown_with_its_count(beside: Record) -> None:
    row = beside_rows(beside)[1]
    assert row["arm, mean ± std (n)"] == "0.4000 ± 0.0100 (n = 2), missing in 1 of 3"
    assert row["baseline, mean ± std (n)"] == "missing in 3 of 3"
    assert (row["difference"], row["interval (level)"]) == ("–", "none")


def test_scores_beside_from_added_seeds_are_marked(beside_extended: Record) -> None:
    rows = beside_rows(beside_extended)
    assert [row["seeds"] for row in rows[5:7]] == ["plan: 0, 1, 2", "exploratory: 0, 1, 2, 3, 4"]
    kinds = [row["described_on"] for row in beside_csv(beside_extended)]
    assert kinds == ["plan"] * 6 + ["exploratory"] * 6


def test_scores_beside_of_fixed_predictions(beside_fixed: Record) -> None:
    first, second = beside_rows(beside_fixed)
    assert (first["arm"], first["baseline"]) == ("0.6200", "0.6000")
    assert (first["difference over all items"], first["difference"]) == ("+0.0200", "+0.0400")
    assert first["difference on Seq05VD"] == "−0.0300"
    assert first["note"] == "mean over groups; new drives cannot be judged from 3"
    assert (second["arm"], second["difference"]) == ("missing", "–")
    assert beside_csv(beside_fixed)[0]["arm_score"] == "0.62"


@pytest.mark.parametrize("name", ["beside", "beside_extended", "beside_fixed"])
def test_markdown_of_scores_beside(name: str, request: pytest.FixtureRequest) -> None:
    table = beside_of(request.getfixturevalue(name))
    assert read_markdown(table.to_markdown()) == [list(table.header), *map(list, table.rows)]


@pytest.mark.parametrize("name", ["verdict", "extended", "fixed"])
def test_no_scores_beside_no_table(name: str, request: pytest.FixtureRequest) -> None:
    assert beside_table(request.getfixturevalue(name)) is None


def test_fixed_predictions_among_recipes(joined: Record) -> None:
    part = fixed_part(joined)
    assert part is not None
    arms, pairs, further = arms_table(part), pairs_table(part), beside_table(part)
    assert further is not None
    assert arms_of(part) == ["conv", "net", "vit"]
    assert arms.rows[1][:4] == ("net", "fixed predictions", "0.5500", "101")
    assert read_csv(arms)[2]["what"] == "recipe, mean over seeds 0, 1, 2"
    assert [row[:3] for row in pairs.rows] == [
        ("net against conv", "+0.0333", "+0.1000"),
        ("net against vit", "+1.0333", "+0.1000"),
    ]
    assert len(further.rows) == 6
    for table in (arms, pairs, further):
        assert read_markdown(table.to_markdown()) == [list(table.header), *map(list, table.rows)]
        assert len(read_csv(table)) == len(table.rows)


def test_they_stand_in_no_table_of_the_recipes(joined: Record) -> None:
    plain = {key: value for key, value in joined.items() if key != "fixed"}
    for table in (arms_table, pairs_table, beside_table):
        assert table(joined) == table(plain)
    assert audit_table(joined).rows[:-1] == audit_table(plain).rows
    assert audit_table(joined).rows[-1][1] == "unknown"
    assert fixed_part(plain) is None


def test_fixed_predictions_before_the_recipes_are_complete(joined_early: Record) -> None:
    part = fixed_part(joined_early)
    assert part is not None
    assert [row[:4] for row in arms_table(part).rows] == [
        ("net", "fixed predictions", "0.5500", "101"),
        ("other", "fixed predictions", "–", "0"),
    ]
    assert pairs_table(part).rows == ()
    assert beside_table(part) is None
