"""Fixed predictions get a verdict by items alone, and a status that scores nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triptych.compare import Predictions, new_items
from triptych.compare.audit_folder import audit_folder
from triptych.compare.describe import describe
from triptych.compare.run import compare, status
from triptych.errors import UserError
from triptych.stats import bootstrap_difference, item_difference, two_way_difference
from triptych.study import Items


@pytest.fixture
def asked(fake: Any) -> Any:
    arms = {"one": Predictions("one.csv"), "second": Predictions("second.csv")}
    return fake.comparison(
        arms=arms, varies=frozenset(), seeds=(), data="cifar100:DIR", split="test"
    )


def test_the_verdict_is_of_items(fake: Any, asked: Any, tmp_path: Path) -> None:
    verdict = compare(asked, tmp_path / "c")
    one, second = (np.random.default_rng(n).uniform(0, 1, 40) for n in (7, 10))
    wanted = item_difference(second, one, None, 0.95, unit=None).as_dict()
    (pair,) = verdict["pairs"]
    pooled = pair.pop("pooled_difference")
    assert pooled == pytest.approx(wanted["difference"])
    assert pair == {"arm": "second", "baseline": "one", **wanted}
    assert verdict["arms"]["one"]["score"] == pytest.approx(one.mean())
    assert verdict["arms"]["one"]["items"] == 40
    assert verdict["plan"] == {"kind": "fixed predictions"}
    assert verdict["data"] == "cifar100 test"
    assert "nothing is said about ways of training" in verdict["judged"]
    text = describe(verdict)
    assert "second against one" in text
    assert "unknown" in text


def test_what_they_did_is_unknown(fake: Any, asked: Any, tmp_path: Path) -> None:
    verdict = compare(asked, tmp_path / "c")
    assert {line["finding"] for line in verdict["audit"]} == {"unknown"}
    assert [line.as_dict() for line in audit_folder(tmp_path / "c")] == verdict["audit"]
    assert "one, second: what it did is not on record" in verdict["audit"][0]["text"]


def test_status_scores_nothing(fake: Any, asked: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no verdict yet; run it without --status"):
        status(asked, tmp_path / "c")
    assert fake.calls == []
    assert not (tmp_path / "c").exists()
    verdict = compare(asked, tmp_path / "c")
    fake.calls.clear()
    assert status(asked, tmp_path / "c") == json.loads(json.dumps(verdict))
    assert fake.calls == []


def items(values: np.ndarray, groups: str = "") -> Items:
    keys = tuple(map(str, range(len(values))))
    return Items(keys, tuple(groups) or None, values)


def test_items_that_differ_are_refused() -> None:
    a, b = items(np.zeros(3)), items(np.zeros(4))
    with pytest.raises(UserError, match=r"different items \(3 and 4\)"):
        new_items.of_fixed(a, b, None, True)


def _ratio(sums: np.ndarray) -> float:
    return float(sums[0] / sums[1])


def test_counts_are_pooled_and_bootstrapped() -> None:
    draw = np.random.default_rng(0)
    total = draw.integers(5, 50, 60)
    a, b = (
        Items(
            tuple(map(str, range(60))), None, np.stack([draw.binomial(total, p), total], 1), _ratio
        )
        for p in (0.7, 0.6)
    )
    assert a.score() == a.values[:, 0].sum() / total.sum()
    weights = np.zeros(60)
    weights[[3, 5]] = 1, 2
    assert a.score(weights) == pytest.approx(
        (a.values[3, 0] + 2 * a.values[5, 0]) / (total[3] + 2 * total[5])
    )
    found = new_items.of_fixed(a, b, None, True)
    wanted = bootstrap_difference(
        Items.score, a, b, 60, new_items.SEED, new_items.RESAMPLES, 0.95, groups=None, unit=None
    )
    assert found == wanted.as_dict()
    assert found["difference"] == pytest.approx(a.score() - b.score())


def test_three_drives_give_no_interval_but_a_list() -> None:
    draw = np.random.default_rng(0)
    a, b = (items(draw.uniform(0, 1, 30) + shift, "xyz" * 10) for shift in (0.3, 0.0))
    found = new_items.of_fixed(a, b, "drives", True)
    assert found["interval"] is None
    assert found["new_items"] == "cannot be judged"
    assert set(found["by_group"]) == {"x", "y", "z"}
    inside = np.array(list("xyz" * 10)) == "x"
    expected = a.values[inside].mean() - b.values[inside].mean()
    assert found["by_group"]["x"] == pytest.approx(expected)


def test_runs_of_means_and_of_groups() -> None:
    draw = np.random.default_rng(0)
    runs = [items(draw.uniform(0, 1, 24) + shift) for shift in (0.2, 0.2, 0.2, 0, 0, 0)]
    found = new_items.of_runs(runs[:3], runs[3:], None, True, 0.95)
    values = np.stack([run.values for run in runs])
    assert found == two_way_difference(values[:3], values[3:], 0.95).as_dict()
    grouped = [items(run.values, "uvwxyz" * 4) for run in runs]
    found = new_items.of_runs(grouped[:3], grouped[3:], "drives", True, 0.95)
    by_group = values.reshape(6, 4, 6).mean(axis=1)
    wanted = two_way_difference(by_group[:3], by_group[3:], 0.95, unit="drives").as_dict()
    each = by_group[:3].mean(axis=0) - by_group[3:].mean(axis=0)
    assert found["difference"] == pytest.approx(wanted["difference"])
    assert found["by_group"] == pytest.approx(dict(zip("uvwxyz", each, strict=True)))
