"""Whether a difference holds on new items: by drives, with pairing, and beside every verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triptych.compare import new_items
from triptych.compare.describe import describe
from triptych.compare.run import compare
from triptych.report.tables import pairs_table
from triptych.stats import plan_seeds, two_way_difference, two_way_from_replicates
from triptych.study import Items

DRIVES = {"x": 0.3, "y": -0.05, "z": 0.2}


def drives(fake: Any, **changes: Any) -> Any:
    """Two arms on three drives, on one of which b is behind."""
    fake.groups = ("xyz" * 14)[:40]
    fake.favour["b"] = DRIVES
    return fake.comparison(0.5, 0.5, **changes)


def test_three_drives_are_counted_and_listed(fake: Any, tmp_path: Path) -> None:
    verdict = compare(drives(fake), tmp_path / "c")
    (pair,) = verdict["pairs"]
    new = pair["new_items"]
    assert new["sentence"] == "ahead in 2 of 3 groups; new groups cannot be judged from 3"
    assert (new["new_items"], new["interval"]) == ("cannot be judged", None)
    a, b = (fake.scores(arm, range(3)) for arm in verdict_arms(fake))
    assert new["by_group"]["y"] == pytest.approx(np.mean(b) - np.mean(a) - 0.05)
    (line,) = [text for text in describe(verdict).splitlines() if "difference in each" in text]
    each = ", ".join(f"{name} {value:+.4f}" for name, value in new["by_group"].items())
    assert line == f"    difference in each: {each}"
    table = pairs_table(verdict)
    cell = dict(zip(table.header, table.rows[0], strict=True))["difference by group"]
    assert cell == each.replace(", ", "; ").replace(" +", ": +").replace(" -", ": −")
    assert table.data[0]["difference on y"] == new["by_group"]["y"]


def verdict_arms(fake: Any) -> list[Any]:
    return list(fake.comparison(0.5, 0.5).arms.values())


def test_lower_is_ahead_where_lower_is_better(fake: Any, tmp_path: Path) -> None:
    plain = fake.run_items
    fake.run_items = lambda folder, metric: plain(folder, "top1")
    verdict = compare(drives(fake, metric="loss"), tmp_path / "c")
    assert verdict["pairs"][0]["new_items"]["sentence"].startswith("ahead in 1 of 3 groups; ")


def test_of_many_drives_the_lowest_and_highest_are_read(fake: Any, tmp_path: Path) -> None:
    fake.groups = "abcdefghijklmnopqrst" * 2
    fake.favour["b"] = {"c": 0.5, "t": -0.5}
    verdict = compare(fake.comparison(0.5, 0.5), tmp_path / "c")
    by_group = verdict["pairs"][0]["new_items"]["by_group"]
    assert len(by_group) == 20
    low, high = by_group["t"], by_group["c"]
    assert f"from {low:+.4f} (t) to {high:+.4f} (c)" in describe(verdict)
    table = pairs_table(verdict)
    cell = dict(zip(table.header, table.rows[0], strict=True))["difference by group"]
    assert cell == f"−{-low:.4f} (t) to {high:+.4f} (c), 20 in all"
    assert table.data[0]["difference on q"] == by_group["q"]


def interval(low: float, high: float) -> dict[str, Any]:
    return {"low": low, "high": high, "method": "two-way over seeds and drives"}


def found(low: float, high: float) -> dict[str, Any]:
    middle = (low + high) / 2
    holds = "yes" if low > 0 or high < 0 else "not shown"
    sentence = "ahead in 5 of 7 drives; whatever it was"
    return {
        "difference": middle,
        "interval": interval(low, high),
        "new_items": holds,
        "sentence": sentence,
    }


@pytest.mark.parametrize(
    ("low", "high", "verdict", "holds", "text"),
    [
        (0.01, 0.03, "better", "yes", "whatever it was"),
        (-0.01, 0.03, "better", "not shown", "whatever it was"),
        (
            *(0.01, 0.03, "undecided", "not shown"),
            "not shown, as the seeds alone do not show a difference",
        ),
        (-0.01, 0.03, "undecided", "not shown", "whatever it was"),
        (
            *(0.01, 0.03, "worse", "not shown"),
            "not shown: counting all drives alike it is better, over all items worse",
        ),
        (0.01, 0.03, "equivalent", "yes", "below the margin on new seeds and drives too"),
        (-0.03, -0.01, "equivalent", "yes", "below the margin on new seeds and drives too"),
        (
            *(0.01, 0.06, "equivalent", "not shown"),
            "that it is below the margin on new seeds and drives too is not shown",
        ),
        (
            *(-0.06, 0.01, "equivalent", "not shown"),
            "that it is below the margin on new seeds and drives too is not shown",
        ),
    ],
)
def test_what_is_said_agrees_with_the_verdict(
    low: float, high: float, verdict: str, holds: str, text: str
) -> None:
    said = new_items.beside_verdict(found(low, high), verdict, 0.05, True)
    assert (said["new_items"], said["sentence"]) == (holds, f"ahead in 5 of 7 drives; {text}")
    # The same of a metric that is better when lower.
    turned = {"better": "worse", "worse": "better"}
    said = new_items.beside_verdict(found(low, high), turned.get(verdict, verdict), 0.05, False)
    assert said["new_items"] == holds
    assert ("worse, over all items better" in said["sentence"]) == (verdict == "worse")


def test_what_cannot_be_judged_stays_so() -> None:
    none = {"difference": 0.1, "interval": None, "new_items": "cannot be judged", "sentence": "x"}
    assert new_items.beside_verdict(none, "equivalent", 0.05, True) == none


def test_equivalent_though_measurable_is_not_contradicted(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison(
        arms={n: fake.recipe(n, quality=q, spread=0.001) for n, q in (("a", 0.5), ("b", 0.51))},
        margin=0.1,
    )
    (pair,) = compare(asked, tmp_path / "c")["pairs"]
    assert (pair["verdict"], pair["reason"]) == ("equivalent", "measurable, below the margin")
    assert pair["new_items"]["sentence"] == "below the margin on new seeds and images too"
    assert pair["new_items"]["new_items"] == "yes"


def test_a_paired_plan_is_paired_throughout(fake: Any, tmp_path: Path) -> None:
    # Arms of one model: what the seed does to one it does to the other, but for its size.
    arms = {
        "a": fake.recipe("m", quality=0.5, spread=0.05),
        "b": fake.recipe("m", quality=0.494, spread=0.06),
    }
    asked = fake.comparison(arms=arms, paired=True, seeds=tuple(range(5)), margin=0.005)
    (pair,) = compare(asked, tmp_path / "c")["pairs"]
    assert pair["verdict"] == "undecided"
    a, b = (np.array(fake.scores(arm, asked.seeds)) for arm in arms.values())
    stds = [float(np.std(each, ddof=1)) for each in (b, a, b - a)]
    plan = plan_seeds(stds[0], stds[1], 5, 0.005, std_paired=stds[2])
    assert pair["seeds_needed"]["reason"] == plan.reason
    assert pair["seeds_needed"]["seeds"] < plan_seeds(stds[0], stds[1], 5, 0.005).seeds / 10
    runs = [
        np.stack(
            [fake.run_items(tmp_path / "c" / x / f"seed-{s}", "top1").values for s in range(5)]
        )
        for x in "ba"
    ]
    wanted = two_way_difference(runs[0], runs[1], 0.95, paired=True).interval
    assert wanted is not None
    new = pair["new_items"]["interval"]
    assert (new["low"], new["high"]) == (wanted.low, wanted.high)
    apart = two_way_difference(runs[0], runs[1], 0.95).interval
    assert apart is not None
    assert apart.se > 3 * wanted.se
    assert new["method"] == "two-way over paired seeds and images"


def test_pairing_reaches_every_kind_of_items() -> None:
    draw = np.random.default_rng(0)
    shared = draw.normal(0, 0.2, (4, 1))
    values = np.concatenate([shared + 0.1, shared]) + draw.normal(0, 0.01, (8, 40))
    keys = tuple(map(str, range(40)))

    def runs(groups: tuple[str, ...] | None, mean: bool) -> list[Items]:
        pooled = None if mean else (lambda sums: float(sums[0] / sums[1]))
        ones = np.ones(40)
        return [
            Items(keys, groups, each if mean else np.stack([each, ones], 1), pooled)
            for each in values
        ]

    for groups, mean in ((None, True), (None, False), (tuple("abcdefgh" * 5), True)):
        of = runs(groups, mean)
        paired, apart = (
            new_items.of_runs(of[:4], of[4:], None, True, 0.95, paired) for paired in (True, False)
        )
        assert 5 * paired["interval"]["se"] < apart["interval"]["se"]
        assert paired["difference"] == pytest.approx(apart["difference"])
    replicates = np.repeat(values.mean(axis=1, keepdims=True), 50, axis=1)
    found = two_way_from_replicates(
        *(values[:4].mean(axis=1), values[4:].mean(axis=1), replicates[:4], replicates[4:], 40),
        paired=True,
    )
    each = (values[:4] - values[4:]).mean(axis=1)
    assert found.interval is not None
    assert found.interval.se == pytest.approx(each.std(ddof=1) / 2)
    assert found.interval.df == pytest.approx(3)
