"""Leave one drive out: no model has seen the drive it is scored on, and all frames are scored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from triptych.audit import audit_comparison, audit_run
from triptych.audit import testimony as read_testimony
from triptych.data.open_data import open_data
from triptych.errors import Stopped, UserError
from triptych.run import Run, newest_checkpoint, read_json
from triptych.segment.batches import frame_hash
from triptych.segment.folds import sum_of_testimonies
from triptych.segment.recipes import SegmentRecipe
from triptych.segment.study import STUDY
from triptych.segment.train import train
from triptych.segment.trained import load
from triptych.stopping import StopRequest

DRIVES = {"train": {"A": 4, "B": 3}, "val": {"B": 2, "C": 3}}
FRAMES = {"A": 4, "B": 5, "C": 3}

Write = Callable[[Path, Mapping[str, Mapping[str, int]]], Path]


def recipe(data: Path | str, **changes: Any) -> SegmentRecipe:
    basis = SegmentRecipe(
        name="segment/test", model="tiny", data=f"camvid:{data}", train_split="trainval",
        folds="drives", epochs=2, batch_size=2, lr=3e-3, weight_decay=1e-3, jitter=0.1,
        crop=(32, 48), ema=0.5,
    )  # fmt: skip
    return replace(basis, **changes)


def start(asked: SegmentRecipe, out: Path, stop: StopRequest | None = None) -> dict[str, Any]:
    return train(asked, 3, out, device="cpu", stop=stop, show_progress=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_drives: Write) -> Path:
    return write_drives(tmp_path_factory.mktemp("data") / "CamVid", DRIVES)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A run that was left alone."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole") / "run"
    start(recipe(data), folder)
    return folder


def rows(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(
        out / "evaluations" / "camvid-folds" / "items.parquet"
    ).to_pylist()
    return found


def test_there_is_a_run_for_each_drive(out: Path) -> None:
    assert sorted(p.name for p in (out / "folds").iterdir()) == ["A", "B", "C"]
    for drive in FRAMES:
        fold = out / "folds" / drive
        asked = read_json(fold / "recipe.json")["recipe"]
        assert asked["folds"] == "none"
        assert (asked["train_split"], asked["val_split"]) == (
            f"not-drive:{drive}",
            f"drive:{drive}",
        )
        assert read_json(fold / "result.json")["diverged"] is False


@pytest.mark.parametrize("drive", sorted(FRAMES))
def test_no_fold_has_seen_its_drive(out: Path, data: Path, drive: str) -> None:
    def hashes(split: str) -> set[int]:
        frames = open_data(f"camvid:{data}", split)
        return {int(frame_hash(frames.load(index)[0])) for index in range(len(frames))}

    fold = out / "folds" / drive
    seen = set(load_file(newest_checkpoint(fold) / "witness.safetensors")["seen"].tolist())
    assert len(hashes("trainval")) == sum(FRAMES.values())
    assert seen
    assert seen <= hashes("trainval") - hashes(f"drive:{drive}")
    told = read_json(fold / "audit.json")
    assert told["training_images"] == sum(FRAMES.values()) - FRAMES[drive]
    assert told["strangers_seen"] == 0
    scored = pq.read_table(fold / "evaluations" / f"camvid-drive:{drive}" / "items.parquet")
    assert set(scored["group"].to_pylist()) == {drive}


def test_every_frame_is_scored_once_by_the_model_that_has_not_seen_it(
    out: Path, data: Path
) -> None:
    found = rows(out)
    assert [row["key"] for row in found] == sorted(open_data(f"camvid:{data}", "trainval").keys)
    for drive in FRAMES:
        place = out / "folds" / drive / "evaluations" / f"camvid-drive:{drive}" / "items.parquet"
        assert [row for row in found if row["group"] == drive] == pq.read_table(place).to_pylist()


def test_scores_are_those_of_all_frames_together(out: Path) -> None:
    found = rows(out)
    counts = sum(np.array(row["confusion"]).reshape(11, 12) for row in found)
    right = np.diag(counts[:, :11])
    union = counts.sum(1) + counts[:, :11].sum(0) - right
    assert (union > 0).all()
    result, scores = (
        read_json(path)
        for path in (out / "result.json", out / "evaluations" / "camvid-folds" / "scores.json")
    )
    assert result["scores"]["mIoU"] == pytest.approx((right / union).mean(), abs=1e-12)
    assert result["scores"]["pixel_accuracy"] == pytest.approx(
        right.sum() / counts.sum(), abs=1e-12
    )
    for name in ("mIoU", "pixel_accuracy", "BF"):
        assert scores[name] == result["scores"][name]
    assert scores["frames"] == sum(FRAMES.values())
    assert scores["split"] == "folds"
    assert {name: part["frames"] for name, part in scores["groups"].items()} == FRAMES
    for drive in FRAMES:
        of_fold = read_json(out / "folds" / drive / "result.json")["scores"]
        assert scores["groups"][drive]["mIoU"] == of_fold["mIoU"]
        assert result["folds"][drive] == of_fold


def test_the_result_has_the_form_of_any_run(out: Path) -> None:
    result = read_json(out / "result.json")
    folds = [read_json(out / "folds" / drive / "result.json") for drive in FRAMES]
    assert set(result) == {*folds[0], "folds"}
    assert set(result["times"]) == set(folds[0]["times"])
    assert set(result["scores"]) == set(folds[0]["scores"])
    for name in ("recipe", "seed", "epochs", "parameters", "MACs", "diverged"):
        assert all(fold[name] == result[name] for fold in folds)
    # 8, 7 and 9 frames to train on in batches of 2, what is left over left out; 2 epochs.
    assert result["updates"] == sum(fold["updates"] for fold in folds) == 2 * (4 + 3 + 4)
    assert result["samples"] == 4 * (4 + 3 + 4)
    assert result["times"]["seconds"] == pytest.approx(
        sum(fold["times"]["seconds"] for fold in folds), abs=0.01
    )
    assert 0 <= result["times"]["waiting_for_data"] <= 1
    events = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert events == [{"step": 22, "split": "folds", **result["scores"]}]


def test_what_a_comparison_and_an_audit_read(out: Path) -> None:
    items = STUDY.run_items(out, "mIoU")
    assert items is not None
    assert items.groups is not None
    assert sorted(set(items.groups)) == sorted(FRAMES)
    assert items.score() == pytest.approx(read_json(out / "result.json")["scores"]["mIoU"])
    lines = {line.about: line for line in audit_run(out)}
    assert {line.finding for line in lines.values()} == {"fair"}
    assert lines["budget"].text == "44 samples in 22 updates"
    # 12 frames, of which each fold leaves out its own.
    assert (
        lines["images seen"].text
        == "7 to 9 of 7 to 9 training images seen (100%) in each of 3 folds"
    )
    told = {drive: read_json(out / "folds" / drive / "audit.json") for drive in FRAMES}
    assert read_json(out / "audit.json")["folds"] == told
    assert read_json(out / "audit.json")["parameters"] == told["A"]["parameters"]


def test_a_run_that_ended_is_not_begun_again(
    out: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("train_epoch", "create", "check_frames", "start"):
        monkeypatch.setattr(f"triptych.segment.train.{name}", None)
    assert start(recipe(data), out) == read_json(out / "result.json")


def test_as_a_model_it_says_where_its_models_are(out: Path) -> None:
    with pytest.raises(UserError, match=r"one model for each drive: give a folder in .*folds"):
        load(out)
    assert load(out / "folds" / "A")[1] == "tiny"


class AfterSteps(StopRequest):
    """Asks to stop after so many updates."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    @property
    def reason(self) -> str | None:
        return "a test" if self.left <= 0 else None


def outcome(out: Path) -> dict[str, Any]:
    result = read_json(out / "result.json")
    result.pop("times")
    files = [
        out / "audit.json", out / "metrics.jsonl", out / "recipe.json",
        *sorted(p for p in (out / "evaluations/camvid-folds").rglob("*") if p.is_file()),
        *sorted(out.glob("folds/*/metrics.jsonl")), *sorted(out.glob("folds/*/audit.json")),
    ]  # fmt: skip
    return {"result": result, **{str(f.relative_to(out)): f.read_bytes() for f in files}}


@pytest.mark.parametrize("steps", [3, 11, 14, 20])
def test_stopped_in_any_fold_and_gone_on_it_is_the_same(
    out: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    from triptych.training.pace import Pace

    stop = AfterSteps(steps)
    after_step = Pace.after_step

    def counted(pace: Pace) -> None:
        stop.left -= 1
        after_step(pace)

    monkeypatch.setattr(Pace, "after_step", counted)
    again = tmp_path / "run"
    with pytest.raises(Stopped, match="run the same command again"):
        start(recipe(data), again, stop)
    begun = sorted(p.name for p in (again / "folds").iterdir())
    assert begun == [d for d, first in (("A", 0), ("B", 8), ("C", 14)) if steps > first]
    assert not (again / "result.json").exists()
    monkeypatch.undo()
    start(recipe(data), again)
    assert outcome(again) == outcome(out)


def test_ended_just_before_its_result_and_gone_on_it_is_the_same(
    out: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = tmp_path / "run"
    shutil.copytree(out, again)
    (again / "result.json").unlink()
    finish = Run.finish
    monkeypatch.setattr(Run, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            start(recipe(data), again)
    monkeypatch.setattr(Run, "finish", finish)
    start(recipe(data), again)
    assert outcome(again) == outcome(out)


def test_a_frame_of_two_drives_is_told_and_counted_in_the_folds_of_both(
    tmp_path: Path, write_drives: Write, caplog: pytest.LogCaptureFixture
) -> None:
    data = write_drives(tmp_path / "CamVid", {"train": {"A": 2}, "val": {"B": 3}})
    first, last = (min((data / split).iterdir()) for split in ("train", "val"))
    shutil.copy(first, last)
    out = tmp_path / "run"
    start(recipe(data, epochs=1), out)
    (told,) = caplog.messages  # before the first fold, not in each
    assert told.startswith(
        f"2 of 5 frames of camvid in their folds are also trained on ({first.stem} is {last.stem}"
    )
    for drive, images in (("A", 2), ("B", 3)):
        counts = read_json(out / "folds" / drive / "audit.json")["copies_in_val"]
        assert counts == {"exact": 1, "near": 0, "images": images}
    assert read_json(out / "audit.json")["copies_in_val"] == {"exact": 2, "near": 0, "images": 5}
    (line,) = (line for line in audit_run(out) if line.about == "copies in val")
    assert line.finding == "flaw"


class TestRefused:
    """One clear line, and no folder is left that would be in the way of the next try."""

    def refused(self, asked: SegmentRecipe, tmp_path: Path, match: str) -> None:
        with pytest.raises(UserError, match=match) as error:
            start(asked, tmp_path / "out")
        assert "\n" not in str(error.value)
        assert not (tmp_path / "out").exists()

    def test_data_without_drives(self, tmp_path: Path) -> None:
        asked = replace(
            recipe(""), data="streets:scenes=2,frames=1,size=64x48", train_split="train"
        )
        self.refused(asked, tmp_path, r"streets.* train cannot be split by drive .*folds=none")

    def test_one_drive(self, tmp_path: Path, write_drives: Write) -> None:
        data = write_drives(tmp_path / "one", {"train": {"A": 2}, "val": {"A": 1}})
        self.refused(recipe(data), tmp_path, r"one drive only \(A\): --set folds=none")

    def test_a_split_that_is_not_all_of_its_drives(self, data: Path, tmp_path: Path) -> None:
        asked = recipe(data, train_split="train")
        self.refused(asked, tmp_path, "not all frames of its drives: --set train_split=trainval")

    def test_other_data_to_score_on(self, data: Path, tmp_path: Path) -> None:
        self.refused(recipe(data, val_data="streets"), tmp_path, "--set val_data=none")

    def test_a_model_that_will_not_do(self, data: Path, tmp_path: Path) -> None:
        self.refused(recipe(data, model="tinny"), tmp_path, "did you mean tiny")
        self.refused(recipe(data, init="imagenet"), tmp_path, "--set init=random")
        self.refused(recipe(data, trunk_lr=0.1), tmp_path, "without a trunk")

    def test_a_label_that_is_wrong(self, data: Path, tmp_path: Path) -> None:
        # Of the last fold, which is trained after hours.
        again = Path(shutil.copytree(data, tmp_path / "CamVid"))
        file = min((again / "valannot").glob("C_*"))
        Image.fromarray(np.full((48, 64), 57, np.uint8)).save(file)
        self.refused(recipe(again), tmp_path, f"{file.name}: id 57 is not a class")

    def test_a_fold_with_too_little_to_train_on(self, tmp_path: Path, write_drives: Write) -> None:
        data = write_drives(tmp_path / "two", {"train": {"A": 4}, "val": {"B": 1}})
        asked = recipe(data, model="psp-lite0", batch_size=4)
        self.refused(asked, tmp_path, r"not-drive:A has one frame, and psp-lite0 .*more frames")

    def test_sizes_that_differ_within_a_fold(self, tmp_path: Path, write_drives: Write) -> None:
        data = write_drives(tmp_path / "two", {"train": {"A": 2}, "val": {"B": 2}})
        for file in [*(data / "val").iterdir(), *(data / "valannot").iterdir()]:
            Image.open(file).resize((80, 48), Image.Resampling.NEAREST).save(file)
        # Each fold has one size.
        start(recipe(data, crop=None, epochs=1), tmp_path / "fine")
        file = min((data / "train").iterdir())
        for place in (file, data / "trainannot" / file.name):
            Image.open(place).resize((80, 48), Image.Resampling.NEAREST).save(place)
        self.refused(
            recipe(data, crop=None), tmp_path, r"not-drive:B have different sizes.*--set crop"
        )


def test_folds_from_before_steps_were_timed_are_gone_on_from(
    out: Path, data: Path, tmp_path: Path
) -> None:
    again = Path(shutil.copytree(out, tmp_path / "run"))
    (again / "result.json").unlink()
    times = {
        "A": {"seconds": 8.0, "waiting_for_data": 0.25},
        "B": {"seconds": 9.0, "steps": 4.0, "waiting_for_data": 0.5, "augmenting": 0.1},
        "C": {"seconds": 9.0, "steps": 4.0, "waiting_for_data": 0.0, "augmenting": 0.3},
    }
    for drive, of_fold in times.items():
        file = again / "folds" / drive / "result.json"
        file.write_text(json.dumps(read_json(file) | {"times": of_fold}))
    assert start(recipe(data), again)["times"] == {
        "seconds": 26, "steps": 16, "waiting_for_data": 0.25, "augmenting": 0.2,
    }  # fmt: skip


def told(**changes: Any) -> dict[str, Any]:
    return {
        "training_images": 10, "images_seen": 9, "images_seen_by_epoch": [5, 9],
        "strangers_seen": 0, "samples": 20, "updates": 5, "copies_in_batches": 1,
        "versions_of_copies": 1, "probed_copies": 8, "probed_versions": 6, "probes": 2,
        "augmented": False, "input": [3, 32, 32, "float32"],
        "settings": {"lr": {"first": 1.0, "min": 0.5, "max": 1.0, "last": 0.5}},
        "parameters": 100, "parameters_never_changed": 0,
        "entries_never_changed": [], "buffers_never_changed": [], **changes,
    }  # fmt: skip


def test_testimonies_are_summed_by_hand() -> None:
    one = told(entries_never_changed=["a", "b"], parameters_never_changed=7)
    two = told(
        training_images=3, images_seen=1, images_seen_by_epoch=[1, 1, 1], strangers_seen=2,
        samples=6, updates=3, probed_copies=4, probed_versions=4, augmented=True,
        settings={
            "lr": {"first": 2.0, "min": 0.1, "max": 2.0, "last": 0.1},
            "later": {"first": 4.0, "min": 3.0, "max": 5.0, "last": 4.5},
        },
        entries_never_changed=["b", "c"], parameters_never_changed=9, buffers_never_changed=["d"],
    )  # fmt: skip
    assert sum_of_testimonies({"A": one, "B": two}) == {
        "strangers_seen": 2, "samples": 26, "updates": 8, "copies_in_batches": 2,
        "versions_of_copies": 2, "probed_copies": 12, "probed_versions": 10, "probes": 4,
        "augmented": True, "input": [3, 32, 32, "float32"],
        "settings": {
            "lr": {"first": 1.0, "min": 0.1, "max": 2.0, "last": 0.1},
            "later": {"first": 4.0, "min": 3.0, "max": 5.0, "last": 4.5},
        },
        # The same 100 parameters in both; of images there is no sum, for the folds share them.
        "parameters": 100, "parameters_never_changed": 9,
        "entries_never_changed": ["a", "b", "c"], "buffers_never_changed": ["d"],
            "parameters_unmoved": 0, "entries_unmoved": [],
        "folds": {"A": one, "B": two},
    }  # fmt: skip


def test_copies_are_summed_where_all_folds_counted_them() -> None:
    one = told(copies_in_val={"exact": 1, "near": 2, "images": 10})
    two = told(copies_in_val={"exact": 0, "near": 3, "images": 4})
    summed = sum_of_testimonies({"A": one, "B": two})
    assert summed["copies_in_val"] == {"exact": 1, "near": 5, "images": 14}
    # A fold that ended before they were counted leaves no number of all.
    for parts in ({"A": one, "B": told()}, {"A": told(), "B": one}):
        assert "copies_in_val" not in sum_of_testimonies(parts)


class TestAudit:
    """A flaw in one fold shows, and nothing is counted once for each fold."""

    def line(self, about: str, *folds: dict[str, Any]) -> str:
        summed = sum_of_testimonies(dict(zip("ABC", folds, strict=False)))
        (found,) = [x for x in audit_comparison({"arm": [summed]}) if x.about == about]
        return f"{found.finding}: {found.text}"

    def test_images(self) -> None:
        half = told(training_images=12, images_seen=6, images_seen_by_epoch=[3, 6])
        assert self.line("images seen", told(), half) == (
            "fair: alike: 6 to 9 of 10 to 12 training images seen (50% to 90%) in each of 2 folds"
        )
        assert self.line("training images", told(), half) == "fair: alike: 10 to 12"
        assert "9 of 10 training images seen (90%) in each" in self.line(
            "images seen", told(), told()
        )

    @pytest.mark.parametrize(
        ("about", "changes", "text"),
        [
            ("images seen", {"images_seen_by_epoch": [9, 9]}, "the same ones in every epoch"),
            ("images seen", {"strangers_seen": 3}, "and 3 that are not in it"),
            ("augmentation", {"augmented": True, "probed_copies": 16, "probed_versions": 2},
             "8 copies of an image became 1 versions"),
            ("frozen", {"entries_never_changed": ["w"], "parameters_never_changed": 25},
             "25.0% of the parameters never changed (w)"),
            ("frozen", {"buffers_never_changed": ["n.running_mean"]}, "1 statistics never changed"),
        ],
    )  # fmt: skip
    def test_a_flaw_in_one_fold(self, about: str, changes: dict[str, Any], text: str) -> None:
        found = self.line(about, told(), told(**changes), told())
        assert found.startswith("flaw: arm: fold B: ")
        assert text in found

    def test_records_with_inflated_sums_are_read_by_their_folds(
        self, out: Path, tmp_path: Path
    ) -> None:
        old = Path(shutil.copytree(out, tmp_path / "run"))
        record = read_json(old / "audit.json")
        del record["folds"]
        record |= {"training_images": 24, "images_seen": 24, "images_seen_by_epoch": [20, 24]}
        record |= {"parameters": 3 * record["parameters"]}
        (old / "audit.json").write_text(json.dumps(record))
        assert audit_run(old) == audit_run(out)
        known = {"old": [read_testimony(old)], "new": [read_testimony(out)]}
        assert {line.finding for line in audit_comparison(known)} == {"fair"}
        # Where the folds are gone, what the sum says is what there is.
        shutil.rmtree(old / "folds")
        texts = [line.text for line in audit_run(old)]
        assert "24 of 24 training images seen (100%)" in texts
