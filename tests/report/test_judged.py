"""A verdict from the records of a page is that of `triptych compare`."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow.parquet as pq
import pytest

from triptych import study as studies
from triptych.compare import Comparison, Predictions, joined
from triptych.compare.fixed import fixed_verdict
from triptych.compare.run import audit_arms
from triptych.compare.verdict import verdict_of
from triptych.data.boxes import Objects
from triptych.detect.detections import Detections
from triptych.detect.items import DetectionItems, Rules, items_table
from triptych.report.compact import compact, read_compact
from triptych.report.gather import gather
from triptych.report.judged import difference, judged
from triptych.report.studies import METRICS, study_of
from triptych.report.verify import verify
from triptych.report.write import report
from triptych.run import write_json
from triptych.study import Items


@pytest.mark.parametrize("study", ["segment", "detect", "classify"])
def test_verdict_of_the_records(study: str, folders: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    comparison = folders.make_comparison(folder, study, arms=("a", "b", "c"))
    comparison = replace(comparison, reach=(0.3,))
    write_json(folder / "comparison.json", comparison.record())
    ours = verdict_of(folder, comparison, studies.get(study), comparison.seeds)
    assert any("asked" in pair["samples_to_reach"] for pair in ours["pairs"])
    ours |= {"audit": [line.as_dict() for line in audit_arms(folder, comparison)]}
    write_json(folder / "verdict.json", ours)
    gather([folder]).store.write_into(tmp_path / "page")
    found = judged(tmp_path / "page" / "1")
    assert found.from_runs
    assert found.remarks == []
    assert found.verdict.keys() == ours.keys()
    assert difference(found.verdict, json.loads(json.dumps(ours))) is None
    assert any(pair["new_items"] for pair in ours["pairs"])


@pytest.mark.parametrize("study", ["segment", "detect", "classify"])
def test_items_of_the_records(study: str, folders: ModuleType, tmp_path: Path) -> None:
    folders.make_comparison(tmp_path / "c", study, arms=("a", "b"), seeds=1)
    gather([tmp_path / "c"]).store.write_into(tmp_path / "page")
    ours, theirs = study_of(study), studies.get(study)
    assert dict(METRICS[study]) == dict(theirs.metrics)
    assert ours.group_unit == theirs.group_unit
    run = Path("a/seed-0")
    for metric in folders._SHOWN[study]:
        mine = ours.run_items(tmp_path / "page/1" / run, metric)
        real = theirs.run_items(tmp_path / "c" / run, metric)
        assert real is not None
        if mine is None:  # not what the comparison is about
            assert metric != folders.METRIC[study]
            continue
        assert mine.score() == pytest.approx(real.score(), rel=1e-12)
        if real.groups is not None:
            for group in sorted(set(real.groups)):
                chosen = [
                    np.array([g == group for g in i.groups or ()], float) for i in (mine, real)
                ]
                assert mine.score(chosen[0]) == pytest.approx(real.score(chosen[1]), rel=1e-12)


def test_frames_keep_their_own_score(folders: ModuleType, tmp_path: Path) -> None:
    from triptych.segment.metrics import iou, mean
    from triptych.segment.scores import read_items

    folders.make_comparison(tmp_path / "c", "segment", seeds=1)
    gather([tmp_path / "c"]).store.write_into(tmp_path / "page")
    place = "first/seed-0/evaluations/streets-val"
    arrays = read_compact(tmp_path / "page/1" / place)
    items, _ = read_items(tmp_path / "c" / place / "items.parquet")
    assert arrays is not None
    expected = [mean(iou(item.confusion)) for item in items]
    assert arrays["mIoU"] == pytest.approx(np.array(expected), abs=1e-6)


def test_a_verdict_of_an_earlier_state_is_told(folders: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    comparison = folders.make_comparison(folder, "classify")
    ours = verdict_of(folder, comparison, studies.get("classify"), comparison.seeds)
    ours["pairs"][0]["interval"]["low"] += 0.01
    write_json(folder / "verdict.json", ours | {"audit": []})
    gather([folder]).store.write_into(tmp_path / "page")
    (remark,) = judged(tmp_path / "page/1").remarks
    assert "pairs.0.interval.low" in remark


def test_without_its_runs_scores_are_judged_again(folders: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    comparison = folders.make_comparison(folder, "classify")
    ours = verdict_of(folder, comparison, studies.get("classify"), comparison.seeds)
    for arm in comparison.arms:
        shutil.rmtree(folder / arm)
    write_json(folder / "verdict.json", ours | {"audit": []})
    found = judged(folder)
    assert not found.from_runs
    assert len(found.remarks) == 1
    assert difference(found.verdict, json.loads(json.dumps(ours))) is None
    ours["arms"]["first"]["scores"]["0"] += 0.1
    write_json(folder / "verdict.json", ours | {"audit": []})
    changed = judged(folder)
    assert changed.verdict["arms"]["first"]["mean"] == pytest.approx(
        ours["arms"]["first"]["mean"] + 0.1 / 3
    )
    assert "first at" in changed.remarks[1]


def predicted(source: Path, folder: Path, arm: str) -> None:
    """The evaluation of an arm's first seed as that of fixed predictions."""
    shutil.copytree(next(source.glob(f"{arm}/seed-0/evaluations/*")), folder)


def test_fixed_predictions_alone(folders: ModuleType, tmp_path: Path) -> None:
    folder, made = tmp_path / "c", tmp_path / "made"
    folders.make_comparison(made, "segment", arms=("a", "b"), seeds=1)
    comparison = Comparison(
        question="Which?",
        arms={"b": Predictions("b"), "a": Predictions("a")},
        varies=frozenset(),
        seeds=(),
        metric="mIoU",
        margin=0.02,
        data="camvid:x",
    )
    folder.mkdir()
    write_json(folder / "comparison.json", json.loads(json.dumps(comparison.record(), default=str)))
    for arm in "ab":
        predicted(made, folder / arm, arm)
    segment = studies.get("segment")

    def read(arm: Predictions, data: str, split: str, metric: str, place: Path) -> Items:
        found = segment.evaluation_items(place, metric)
        assert found is not None
        return found

    reading = replace(segment, predict_items=read)
    ours = fixed_verdict(folder, comparison, reading)
    gather([folder]).store.write_into(tmp_path / "page")
    found = judged(tmp_path / "page/1")
    assert found.from_runs
    assert difference(found.verdict, json.loads(json.dumps(ours))) is None
    assert found.verdict["arms"]["a"]["items"] == 40
    assert ours["pairs"][0]["interval"] is not None
    report([folder], tmp_path / "page.html")
    assert verify(tmp_path / "page.html")["problems"] == []


def test_fixed_predictions_among_recipes(folders: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    comparison = folders.make_comparison(folder, "segment")
    predicted(folder, folder / "net", "second")
    arm = {"source": "/home/ann/net", "weights": None, "size": None}
    write_json(folder / "fixed.json", {"arms": {"net": arm}})
    segment = replace(
        studies.get("segment"), evaluated_on=lambda recipe, metric: ("streets:x", "val")
    )
    ours = verdict_of(folder, comparison, segment, comparison.seeds)
    ours |= joined.record_of(folder, comparison, segment, ours) | {"audit": []}
    assert len(ours["fixed"]["pairs"]) == 2
    write_json(folder / "verdict.json", ours)
    gather([folder]).store.write_into(tmp_path / "page")
    found = judged(tmp_path / "page/1")
    theirs = json.loads(json.dumps(ours | {"audit": found.verdict["audit"]}))
    assert difference(found.verdict, theirs) is None
    report([folder], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "net against second: " in text
    assert verify(tmp_path / "page.html")["problems"] == []


@pytest.mark.parametrize("seed", range(4))
def test_matches_of_the_records(seed: int, tmp_path: Path) -> None:
    """With equal scores, difficult objects, crowds and empty images."""
    draw = np.random.default_rng(seed)
    objects, detections = [], []
    for count, found in draw.integers(0, 6, (20, 2)).tolist():
        low = draw.integers(0, 40, (count, 2))
        boxes = np.concatenate([low, low + 30], axis=1).astype(np.float32)
        labels = draw.integers(0, 3, count)
        flags = draw.random((2, count)) < 0.2
        objects.append(Objects(boxes, labels, flags[0], flags[1] & ~flags[0]))
        near = draw.integers(0, 40, (found, 2))
        shown = np.concatenate([near, near + 30], axis=1).astype(np.float32)
        scores = draw.integers(1, 5, found) / 4
        detections.append(Detections(shown, scores, draw.integers(0, 3, found)))
    names = tuple(f"{number}" for number in range(20))
    limited = tuple(each.limited(0.0, 100) for each in detections)
    items = DetectionItems(names, None, ("a", "b", "c"), tuple(objects), limited, Rules())
    pq.write_table(items_table(items), tmp_path / "items.parquet")
    (tmp_path / "items.npz").write_bytes(compact(tmp_path / "items.parquet", "detect", ()))
    arrays = read_compact(tmp_path)
    matches = items.matches()
    assert arrays is not None
    for name in ("image", "label", "score", "state", "positives"):
        assert np.array_equal(arrays[name], getattr(matches, name)), name
