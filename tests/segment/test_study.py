"""The items of segmentation: from per-frame counts the same scores as from the whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triptych.compare import Comparison
from triptych.compare.fixed import fixed_verdict
from triptych.compare.run import write_verdict
from triptych.data.classes import CITYSCAPES
from triptych.data.open_data import open_data
from triptych.errors import UserError, WorkFailed
from triptych.recipe import get
from triptych.run import read_json
from triptych.segment.metrics import Counts
from triptych.segment.models import resnet_trunk
from triptych.segment.pictures import write_labels
from triptych.segment.scores import Item, headline, scores_of
from triptych.segment.study import METRICS, STUDY, items_of
from triptych.study import Predictions

DATA = "streets:scenes=2,frames=2,size=64x48"


def frames(count: int = 12, classes: int = 3, light: Sequence[float] = (100.0,)) -> list[Item]:
    """Frames of three drives; class 2 occurs in the last drive alone."""
    rng = np.random.default_rng(0)
    found = []
    for index in range(count):
        counts: Counts = rng.integers(1, 50, (classes, classes + 1))
        bf: list[float | None] = rng.random(classes).tolist()
        if index % 3 < 2:
            counts[2], counts[:, 2], bf[2] = 0, 0, None
        luma = light[index % len(light)]
        found.append(Item(f"f{index}", f"drive{index % 3}", luma, counts, bf))
    return found


@pytest.mark.parametrize("metric", METRICS)
def test_items_pool_to_the_scores_of_an_evaluation(metric: str) -> None:
    items = frames()
    expected = scores_of(items, ["a", "b", "c"])
    found = items_of(items, metric)
    assert found.score() == pytest.approx(expected[metric], abs=1e-12)
    assert found.groups is not None
    for drive, scores in expected["groups"].items():
        chosen = (np.array(found.groups) == drive).astype(np.float64)
        assert found.score(chosen) == pytest.approx(scores[metric], abs=1e-12)


def test_the_items_of_a_luminance_bin_are_those_of_its_frames_alone() -> None:
    items = frames(light=(30.0, 60.0, 89.9, 255.0))
    expected = scores_of(items, ["a", "b", "c"])["luminance"]
    for light, members in (("0-60", 3), ("60-90", 6), ("90-120", 0), ("120-255", 3)):
        found = items_of(items, f"mIoU@{light}")
        assert len(found.keys) == len(found.groups or ()) == len(found.values) == members
        if members:
            assert found.score() == pytest.approx(expected[light]["mIoU"], abs=1e-12)
        else:
            assert expected[light]["mIoU"] is None
            assert math.isnan(found.score())
    assert items_of(items, "mIoU@60-90").keys == ("f1", "f2", "f5", "f6", "f9", "f10")


def test_a_results_scores_hold_the_luminance_bins() -> None:
    found = scores_of(frames(light=(30.0, 100.0)), ["a", "b", "c"])
    shown = headline(found)
    assert set(shown) == {*METRICS, *STUDY.beside}
    assert set(STUDY.beside) == {f"mIoU@{x}" for x in ("0-60", "60-90", "90-120", "120-255")}
    assert (shown["mIoU@60-90"], shown["mIoU@120-255"]) == (None, None)
    assert shown["mIoU@0-60"] == found["luminance"]["0-60"]["mIoU"] != shown["mIoU@90-120"]
    assert (shown["mIoU"], shown["BF"]) == (found["mIoU"], found["BF"])


def test_a_frame_that_counts_twice_is_two_frames() -> None:
    items = frames()
    weights = np.ones(len(items))
    weights[3] = 2
    twice = scores_of([*items, items[3]], ["a", "b", "c"])
    assert items_of(items, "mIoU").score(weights) == pytest.approx(twice["mIoU"], abs=1e-12)


def labelled(folder: Path, shift: int) -> Path:
    """The truth of streets val as a folder of label images, moved by so many pixels."""
    data = open_data(DATA, "val")
    folder.mkdir()
    for index, key in enumerate(data.keys):
        labels = np.roll(data.load(index)[1], shift, axis=1)
        write_labels(folder / f"{Path(key).name}.png", labels, CITYSCAPES)
    return folder


def comparison(truth: Path, moved: Path) -> Comparison:
    return Comparison(
        question="moved or not?",
        arms={"moved": Predictions(str(moved)), "truth": Predictions(str(truth))},
        varies=frozenset(),
        seeds=(),
        metric="mIoU",
        margin=0.01,
        data=DATA,
    )


def test_label_folders_are_compared_drive_by_drive(tmp_path: Path) -> None:
    asked = comparison(labelled(tmp_path / "a", 0), labelled(tmp_path / "b", 9))
    out = tmp_path / "out"
    out.mkdir()
    verdict = fixed_verdict(out, asked, STUDY)
    assert verdict["arms"]["truth"]["score"] == 1.0
    (pair,) = verdict["pairs"]
    drives = sorted(set(open_data(DATA, "val").groups))
    assert sorted(pair["by_group"]) == drives
    assert all(difference > 0 for difference in pair["by_group"].values())
    assert pair["interval"] is None
    assert pair["pooled_difference"] == 1.0 - verdict["arms"]["moved"]["score"]
    assert "ahead in 2 of 2 drives; new drives cannot be judged from 2" in pair["sentence"]
    assert "by more than the margin ahead in 2, behind in 0 of 2 drives" in pair["sentence"]
    assert {line["finding"] for line in verdict["audit"]} == {"unknown"}


def test_scores_beside_of_label_folders(tmp_path: Path) -> None:
    asked = replace(
        comparison(labelled(tmp_path / "a", 0), labelled(tmp_path / "b", 9)),
        beside=("BF", *STUDY.beside),
    )
    out = tmp_path / "out"
    out.mkdir()
    verdict = fixed_verdict(out, asked, STUDY)
    scores = read_json(out / "moved" / "scores.json")
    bf, *by_light = verdict["pairs"][0]["beside"]
    assert bf["of_arm"] == 1.0
    assert bf["of_baseline"] == pytest.approx(scores["BF"], abs=1e-12)
    for drive, found in scores["groups"].items():
        assert bf["by_group"][drive] == pytest.approx(1 - found["BF"], abs=1e-12)
    assert (bf["interval"], bf["reason"]) == (None, "new drives cannot be judged from 2")
    for found in by_light:
        expected = scores["luminance"][found["score"].partition("@")[2]]
        if expected["mIoU"] is None:
            assert (found["of_baseline"], found["difference"]) == (None, None)
        else:
            assert found["of_baseline"] == pytest.approx(expected["mIoU"], abs=1e-12)
        arm = verdict["arms"]["moved"]["beside"][found["score"]]
        assert (arm["items"], arm["score"]) == (expected["frames"], found["of_baseline"])
    missing = [found["of_baseline"] is None for found in by_light]
    assert any(missing)
    assert not all(missing)
    write_verdict(out, verdict)  # as JSON, which has no NaN


def test_an_evaluation_is_made_anew_when_predictions_or_data_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved, out = labelled(tmp_path / "a", 9), tmp_path / "out"
    arm = Predictions(str(moved))
    first = STUDY.predict_items(arm, DATA, "val", "mIoU", out)
    monkeypatch.setattr("triptych.segment.study.evaluate", None)  # would fail if it were called
    assert STUDY.predict_items(arm, DATA, "val", "mIoU", out).score() == first.score() < 1
    monkeypatch.undo()
    for file in moved.iterdir():
        file.unlink()
    moved.rmdir()
    labelled(moved, 0)
    assert STUDY.predict_items(arm, DATA, "val", "mIoU", out).score() == 1.0
    fewer = DATA.replace("scenes=2", "scenes=1")
    assert len(STUDY.predict_items(arm, fewer, "val", "mIoU", out).keys) == 2


def test_weights_that_a_recipe_names_are_had_before_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(published: object) -> Path:
        raise WorkFailed("cannot be downloaded")

    monkeypatch.setattr(resnet_trunk, "fetch", offline)
    monkeypatch.setattr("triptych.segment.inverse.shipped.fetch", offline)
    tiny: Any = get("segment/tiny")
    STUDY.preflight(tiny)
    STUDY.preflight(get("segment/inverse"))
    STUDY.preflight(replace(tiny, boundary="inverseform"))  # the network of this package
    for changes in (
        {"model": "psp-r50", "init": "imagenet"},
        {"boundary": "inverseform", "inverse_network": "published"},
    ):
        with pytest.raises(WorkFailed, match="cannot be downloaded"):
            STUDY.preflight(replace(tiny, **changes))
    with pytest.raises(UserError, match="is no run of an inverse network"):
        STUDY.preflight(replace(tiny, boundary="inverseform", inverse_network=str(tmp_path)))
    with pytest.raises(UserError, match="no trunk with imagenet weights"):
        STUDY.preflight(replace(tiny, init="imagenet"))
