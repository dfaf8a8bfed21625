"""Items: written and read again, the same scores; resampled, the scores of copied images."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from triptych.compare.item_sets import aligned, mean_of
from triptych.compare.new_items import of_fixed, of_runs
from triptych.data.boxes import no_objects
from triptych.detect.curves import curves
from triptych.detect.detections import no_detections
from triptych.detect.items import DetectionItems, Rules, items_table, read_items
from triptych.detect.scores import METRICS, scores_from_items, scores_of, study_items
from triptych.errors import UserError

Case = Callable[..., DetectionItems]


def write(items: DetectionItems, folder: Path) -> Path:
    path = folder / "items.parquet"
    pq.write_table(items_table(items), path)
    return path


@pytest.mark.parametrize("seed", range(4))
def test_written_and_read_again(case: Case, tmp_path: Path, seed: int) -> None:
    items = case(seed, crowd=0.2, rules=Rules(iou=0.4, max_detections=9))
    items = replace(items, groups=tuple("xyz"[i % 3] for i in range(12)) if seed else None)
    path = write(items, tmp_path)
    back = read_items(path)
    for name in ("keys", "groups", "classes", "rules"):
        assert getattr(back, name) == getattr(items, name)
    for one, other in zip(back.objects, items.objects, strict=True):
        for name in ("boxes", "labels", "difficult", "crowd"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for one, other in zip(back.detections, items.detections, strict=True):
        for name in ("boxes", "labels", "scores"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert scores_from_items(path) == scores_of(items)
    json.dumps(scores_of(items), allow_nan=False)


def test_the_table_says_what_became_of_each_detection(case: Case, tmp_path: Path) -> None:
    items = case(1, images=20)
    rows = pq.read_table(write(items, tmp_path)).to_pylist()
    assert [row["key"] for row in rows if row["kind"] == "image"] == list(items.keys)
    found = [row for row in rows if row["kind"] == "detection"]
    states = {s: sum(row["matched"] == s for row in found) for s in ("true", "false", "difficult")}
    scores = scores_of(items)["detections"]
    assert states["true"] == scores["true"] > 0
    assert states["false"] == scores["false"] > 0
    assert states["difficult"] == scores["on_ignored_objects"] > 0
    assert all(row["iou"] >= 0.5 for row in found if row["matched"] == "true")
    # By hand, from the columns alone: the AP of a class without a second look at the boxes.
    objects = [row for row in rows if row["kind"] == "object" and row["class"] == "a"]
    count = sum(not row["difficult"] for row in objects)
    mine = sorted((row for row in found if row["class"] == "a"), key=lambda row: -row["score"])
    right = [row["matched"] == "true" for row in mine if row["matched"] != "difficult"]
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    ap = sum(precision[i:].max() for i, hit in enumerate(right) if hit) / count
    assert ap == pytest.approx(scores_of(items)["by_class"]["a"]["AP50"])


@pytest.mark.parametrize(("images", "classes"), [(0, 3), (3, 1)])
def test_nothing_is_there(case: Case, tmp_path: Path, images: int, classes: int) -> None:
    items = replace(
        case(0, images=images, classes=classes),
        objects=(no_objects(),) * images,
        detections=(no_detections(),) * images,
    )
    scores = scores_from_items(write(items, tmp_path))
    assert [scores[name] for name in METRICS] == [None] * 3
    assert (scores["images"], scores["classes_averaged"]) == (images, 0)


def test_a_class_without_objects_is_left_out(case: Case) -> None:
    items = case(2, images=20)
    scores = scores_of(items)
    assert scores["by_class"]["e"]["AP50"] is None  # only difficult ones
    assert scores["classes_averaged"] == 4
    mean = np.mean([scores["by_class"][name]["AP50"] for name in "abcd"])
    assert scores["AP50"] == pytest.approx(mean)
    empty = sum(not len(each) for each in items.objects)
    assert scores["images_without_objects"] == empty > 0
    assert scores["images_with_objects"] == 20 - empty


@pytest.mark.parametrize("metric", METRICS)
def test_the_study_s_items_give_the_record_s_score(case: Case, metric: str) -> None:
    items = case(4, images=20)
    assert study_items(items, metric).score() == pytest.approx(scores_of(items)[metric], abs=1e-12)


def test_a_score_that_detections_do_not_have(case: Case) -> None:
    with pytest.raises(UserError, match="AP50, AP50_11point, AP"):
        study_items(case(0), "mIoU")


def test_no_items_of_detections(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    path.write_text("no")
    with pytest.raises(UserError, match="not the items"):
        read_items(path)


def test_two_fixed_arms_on_new_images(case: Case) -> None:
    good = case(5, images=300, classes=8)
    rng = np.random.default_rng(0)
    worse = replace(
        good, detections=tuple(each.take(rng.random(len(each)) < 0.5) for each in good.detections)
    )
    begun = time.process_time()
    verdict = of_fixed(study_items(good, "AP50"), study_items(worse, "AP50"), None, True)
    assert time.process_time() - begun < 20  # 2,000 resamples of 300 images for two arms
    assert verdict["new_items"] == "yes"
    assert verdict["interval"]["low"] > 0
    assert "bootstrap over images" in verdict["interval"]["method"]
    # The same resamples for both arms: an arm against itself differs in none.
    assert (
        of_fixed(study_items(good, "AP50"), study_items(good, "AP50"), None, True)["interval"]
        is None
    )


def test_runs_of_several_seeds(case: Case) -> None:
    runs = []
    for arm, share in ((0, 0.9), (1, 0.4)):
        for seed in range(3):
            items = case(6, images=60)
            rng = np.random.default_rng([arm, seed])
            kept = tuple(each.take(rng.random(len(each)) < share) for each in items.detections)
            runs.append(study_items(replace(items, detections=kept), "AP50"))
    verdict = of_runs(runs[:3], runs[3:], None, True, 0.95)
    difference = np.mean([r.score() for r in runs[:3]]) - np.mean([r.score() for r in runs[3:]])
    assert verdict["difference"] == pytest.approx(difference)
    assert verdict["interval"]["low"] < difference < verdict["interval"]["high"]


def test_in_another_order_and_as_the_mean_of_runs(case: Case) -> None:
    items = case(7, images=30)
    usual = study_items(items, "AP50")
    order = np.random.default_rng(1).permutation(30)
    shuffled = replace(
        items,
        keys=tuple(items.keys[i] for i in order),
        objects=tuple(items.objects[i] for i in order),
        detections=tuple(
            replace(items.detections[i], scores=items.detections[i].scores / 2) for i in order
        ),
    )
    other = aligned(study_items(shuffled, "AP50"), usual.keys, "a", "b")
    assert other.keys == usual.keys
    weights = np.random.default_rng(2).integers(0, 3, 30).astype(np.float64)
    back = study_items(replace(shuffled), "AP50")
    assert other.score(weights) == pytest.approx(back.score(weights[order]), abs=1e-12)
    pooled = mean_of([usual, other])
    wanted = (usual.score(weights) + other.score(weights)) / 2
    assert pooled.score(weights) == pytest.approx(wanted, abs=1e-12)


def test_curves_are_what_a_threshold_gives(case: Case) -> None:
    items = case(8, images=25)
    found = curves(items)
    assert list(found) == list("abcd")
    for label, name in enumerate("abcd"):
        curve = found[name]
        assert (np.diff(curve.score) < 0).all()
        for score, recall, precision in zip(
            curve.score, curve.recall, curve.precision, strict=True
        ):
            limited = replace(
                items,
                detections=tuple(each.limited(score, 100) for each in items.detections),
            )
            matches = limited.matches()
            states = matches.state[matches.label == label]
            right, wrong = (states == 1).sum(), (states == 0).sum()
            assert recall == pytest.approx(right / curve.objects)
            assert precision == pytest.approx(right / (right + wrong))
