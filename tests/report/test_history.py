"""Points of curves: which events count, and thinning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from triptych.report.history import Point, read_history, thinned, to_csv

Record = dict[str, Any]


def test_points_of_all_cells(verdict: Record, make_folder: Callable[[Record], Path]) -> None:
    points = read_history(make_folder(verdict), verdict)
    assert list(dict.fromkeys(point.arm for point in points)) == ["conv", "vit", "late"]
    assert {point.seed for point in points if point.arm == "late"} == {0, 1}
    mine = [p for p in points if (p.arm, p.seed) == ("vit", 2)]
    assert mine == [
        Point(1, "vit", 2, "train", "loss", 1.92),
        Point(2, "vit", 2, "train", "loss", 1.82),
        Point(2, "vit", 2, "val", "top1", 2.24),
        Point(3, "vit", 2, "train", "loss", None),
        Point(2, "vit", 2, "test", "top1", 0.5),
        Point(2, "vit", 2, "test", "loss", 2.0),
    ]


def test_a_line_in_the_middle_of_being_written(
    verdict: Record, make_folder: Callable[[Record], Path]
) -> None:
    folder = make_folder(verdict)
    before = read_history(folder, verdict)
    with (folder / "conv/seed-0/metrics.jsonl").open("a") as file:
        file.write('{"epoch": 5, "lo')
    assert read_history(folder, verdict) == before


def test_metrics_of_val_and_names_of_the_training_split(
    verdict: Record, make_folder: Callable[[Record], Path]
) -> None:
    folder = make_folder(verdict)
    file = folder / "conv/seed-0/metrics.jsonl"
    file.write_text(file.read_text().replace('"train"', '"train+val"'))
    points = read_history(folder, verdict | {"metric": "val_top1"})
    assert {(p.split, p.metric) for p in points if p.arm == "conv"} == {
        ("train", "loss"),
        ("val", "top1"),
        ("test", "top1"),
        ("test", "loss"),
    }


def test_fixed_predictions_have_no_history(fixed: Record, tmp_path: Path) -> None:
    assert read_history(tmp_path, fixed) == []


def curve(seed: int, epochs: int) -> list[Point]:
    return [Point(e, "a", seed, "train", "loss", 1.0 * e) for e in range(1, epochs + 1)]


def test_thinned_curves_keep_the_same_epochs_in_all_seeds() -> None:
    points = [*curve(0, 300), *curve(1, 300), *curve(2, 101)]
    kept = thinned(points, 100)
    epochs = {seed: [p.epoch for p in kept if p.seed == seed] for seed in range(3)}
    assert len(kept) < 120
    assert epochs[0] == epochs[1]
    assert epochs[0][-1] == 300
    assert epochs[2][-1] == 101
    assert set(epochs[2]) <= set(epochs[0])
    assert thinned(points, 1000) == points


def test_short_curves_stay_whole() -> None:
    points = [p for seed in range(100) for p in curve(seed, 25)]
    assert thinned(points, 100) == points
    assert thinned([], 100) == []


def test_csv() -> None:
    points = [Point(1, "a", 0, "train", "loss", 1 / 3, 2e6 / 3), Point(2, "a", 0, "val", "x", None)]
    assert to_csv(points) == (
        "epoch,arm,seed,split,metric,score,samples\n1,a,0,train,loss,0.333333,666667\n2,a,0,val,x,,\n"
    )


def test_thinning_keeps_losses_and_scores_of_a_split_apart() -> None:
    """Two curves on one split, of which one is long and the other short."""
    losses = [Point(e, "a", 0, "val", "loss", 1.0) for e in range(1, 301)]
    scores = [Point(e, "a", 0, "val", "top1", 0.5) for e in range(20, 301, 20)]
    kept = thinned([*losses, *scores], 100)
    assert [p for p in kept if p.metric == "top1"] == scores
    assert len(kept) < 120
