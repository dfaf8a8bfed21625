"""The curves of cells: which events count, at how many samples, and those of a population."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from triptych.compare.curves import Point, evaluation_split, points_of_arm
from triptych.population.lineage import FILE as LINEAGE
from triptych.population.lineage import Round
from triptych.population.records import Outcome

Event = dict[str, Any]


def write_events(run: Path, events: list[Event]) -> None:
    run.mkdir(parents=True, exist_ok=True)
    (run / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


def events(epochs: int, every: int = 2) -> list[Event]:
    """As a detector's training writes them: both losses each epoch, AP every second one."""
    found: list[Event] = []
    for epoch in range(1, epochs + 1):
        found.append({"split": "train", "step": epoch, "epoch": epoch, "loss": 2.0, "lr": 0.1})
        found.append({"split": "val", "step": epoch, "epoch": epoch, "loss": 3.0, "loss_box": 1.0})
        if epoch % every == 0:
            found.append({"split": "val", "step": epoch, "epoch": epoch, "AP50": 0.1 * epoch})
    return found


def test_both_losses_and_the_metric_with_samples(tmp_path: Path) -> None:
    run = tmp_path / "a/seed-0"
    write_events(run, events(4))
    (run / "result.json").write_text('{"epochs": 4, "samples": 400}')
    points = points_of_arm(tmp_path, "a", [0], "AP50")
    assert points[:5] == [
        Point(1, "a", 0, "train", "loss", 2.0, 100),
        Point(1, "a", 0, "val", "loss", 3.0, 100),
        Point(2, "a", 0, "train", "loss", 2.0, 200),
        Point(2, "a", 0, "val", "loss", 3.0, 200),
        Point(2, "a", 0, "val", "AP50", 0.2, 200),
    ]
    assert [(p.epoch, p.samples) for p in points if p.metric == "AP50"] == [(2, 200), (4, 400)]
    # Where the loss is judged, it is one curve and not two.
    judged = points_of_arm(tmp_path, "a", [0], "loss")
    assert [p.metric for p in judged if (p.split, p.epoch) == ("val", 1)] == ["loss"]


def test_a_run_in_work_has_the_samples_of_one_that_ended(tmp_path: Path) -> None:
    for seed, epochs in ((0, 1), (1, 4)):
        write_events(tmp_path / f"a/seed-{seed}", events(epochs))
    assert {p.samples for p in points_of_arm(tmp_path, "a", [0, 1, 2], "AP50")} == {None}
    (tmp_path / "a/seed-1/result.json").write_text('{"epochs": 4, "samples": 400}')
    points = points_of_arm(tmp_path, "a", [0, 1, 2], "AP50")
    assert {p.samples for p in points if p.seed == 0} == {100}


def test_a_run_that_diverged_is_counted_as_far_as_it_came(tmp_path: Path) -> None:
    for seed, epochs in ((0, 4), (1, 2)):
        write_events(tmp_path / f"a/seed-{seed}", events(epochs))
        result = {"epochs": epochs, "samples": 100 * epochs, "diverged": epochs < 4}
        (tmp_path / f"a/seed-{seed}/result.json").write_text(json.dumps(result))
    points = points_of_arm(tmp_path, "a", [0, 1], "AP50")
    assert [p.samples for p in points if (p.seed, p.metric) == (1, "AP50")] == [200]


def test_folds_have_no_curve(tmp_path: Path) -> None:
    write_events(tmp_path / "a/seed-0", [{"split": "folds", "step": 12, "mIoU": 0.5}])
    assert points_of_arm(tmp_path, "a", [0], "mIoU") == []


def test_a_population_counts_all_members_and_shows_the_best(tmp_path: Path) -> None:
    run = tmp_path / "pbt/seed-0"
    for member, score in ((0, 0.3), (1, 0.4)):
        told = [
            {"split": "train", "epoch": e, "loss": 2.0 + member, "lr": 0.1, "step": e}
            for e in range(1, 5)
        ]
        told += [
            {"split": "val", "epoch": e, "top1": score + 0.1 * e, "loss": 1.0, "step": e}
            for e in (2, 4)
        ]
        write_events(run / "members" / str(member), told)
    rounds = [
        Round(n, 2 * n, best, [Outcome(0.1, 5, 50), Outcome(0.2, 7, 70)], [])
        for n, best in ((1, 1), (2, 0))
    ]
    lines = [{"event": "start", "hypers": [{"lr": 0.1}, {"lr": 0.2}]}, *(r.event() for r in rounds)]
    (run / LINEAGE).write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_events(run, [{"split": "test", "epoch": 4, "step": 24, "top1": 0.6, "loss": 1.0}])
    (run / "result.json").write_text('{"epochs": 4, "samples": 240}')
    points = points_of_arm(tmp_path, "pbt", [0], "val_top1")
    assert [(p.epoch, p.split, p.score, p.samples) for p in points if p.metric == "top1"] == [
        (2, "val", pytest.approx(0.6), 120),
        (4, "val", pytest.approx(0.7), 240),
        (4, "test", 0.6, 240),
    ]
    assert [p.score for p in points if p.split == "train"] == [3.0, 2.0]
    # Before its first round is over it has only what a single run would.
    (run / LINEAGE).write_text("")
    assert {p.split for p in points_of_arm(tmp_path, "pbt", [0], "top1")} == {"test"}


def test_which_split_is_shown() -> None:
    point = Point(1, "a", 0, "train", "loss", 1.0)
    on = [dataclasses.replace(point, split=split) for split in ("train", "dev", "test")]
    assert evaluation_split(on) == "dev"
    assert evaluation_split(on, "test") == "test"
    assert evaluation_split(on[:1]) is None


def test_what_is_no_event_is_left_out(tmp_path: Path) -> None:
    run = tmp_path / "a/seed-0"
    write_events(run, events(4))
    file = run / "metrics.jsonl"
    whole = points_of_arm(tmp_path, "a", [0], "AP50")
    odd: list[Any] = [3, None, [], "x", {"epoch": "x", "split": "val", "AP50": 1}, {"epoch": 1}]
    odd.append({"epoch": 1, "split": "val", "AP50": "high"})
    lines = "".join(json.dumps(each) + "\n" for each in odd)
    file.write_text(lines + file.read_text() + '{"epoch": 5, "sp')
    assert points_of_arm(tmp_path, "a", [0], "AP50") == whole
    file.write_bytes(b"\x89PNG\xff\x00")
    (run / "result.json").write_text('{"epochs": 4}')
    assert points_of_arm(tmp_path, "a", [0], "AP50") == []
