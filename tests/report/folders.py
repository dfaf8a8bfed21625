"""Comparison folders of any size, made without training: what a page reads, in the real formats.

Loaded by path (`conftest.folders`, `benchmarks/report_page.py`), as tests are no package.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from triptych.compare import Comparison
from triptych.data.boxes import Objects
from triptych.detect import items as detect_items
from triptych.detect.detections import Detections
from triptych.detect.items import DetectionItems, Rules
from triptych.detect.scores import scores_of as detect_scores
from triptych.evaluation_folder import write_files
from triptych.recipe import Recipe
from triptych.run import write_json
from triptych.segment import scores as segment_scores
from triptych.segment.scores import Item

METRIC = {"segment": "mIoU", "detect": "AP50", "classify": "top1"}
CLASSES = {
    "segment": ("road", "sky", "car", "person"),
    "detect": ("car", "person"),
    "classify": ("cat", "dog", "cow", "owl"),
}


@dataclass(frozen=True, kw_only=True)
class MadeRecipe(Recipe):
    width: int = 8


def make_comparison(
    folder: Path,
    study: str,
    *,
    arms: Sequence[str] = ("first", "second"),
    seeds: int = 3,
    items: int = 40,
    epochs: int = 4,
    question: str = "Which is better?",
    media: bool = False,
) -> Comparison:
    """Write a comparison that ended, but for `verdict.json`; the later an arm, the better."""
    made = {
        name: MadeRecipe(
            name=f"{study}/made", model=f"m{index}", data="streets:/home/ann/data", epochs=epochs,
            batch_size=4, lr=0.1, width=8 + index,
        )
        for index, name in enumerate(arms)
    }  # fmt: skip
    comparison = Comparison(
        question=question,
        arms=dict(made),
        varies=frozenset({"model", "width"}),
        seeds=tuple(range(seeds)),
        metric=METRIC[study],
        margin=0.02,
    )
    folder.mkdir(parents=True)
    write_json(folder / "comparison.json", json.loads(json.dumps(comparison.record())))
    for index, (name, recipe) in enumerate(made.items()):
        for seed in range(seeds):
            run = folder / name / f"seed-{seed}"
            make_run(run, study, recipe, seed, 0.5 + 0.08 * index, items, media=media)
    return comparison


def make_run(
    run: Path,
    study: str,
    recipe: Recipe,
    seed: int,
    quality: float,
    items: int,
    *,
    media: bool = False,
) -> None:
    """Write a run that ended: its items, and a result with the scores that follow from them."""
    draw = np.random.default_rng([seed, round(1000 * quality)])
    split = "test" if study == "classify" else "val"
    evaluation = run / "evaluations" / f"streets-{split}"
    evaluation.mkdir(parents=True)
    scores, table = _OF_STUDY[study](draw, quality, items)
    about = {"model": recipe.model, "data": "streets", "split": split, "fingerprint": "ab" * 32}
    write_files(evaluation, about | scores, table)
    if media:
        _media(evaluation / "media", draw)
    shown = {name: scores[name] for name in _SHOWN[study]}
    if study == "segment":
        shown |= {f"mIoU@{n}": row["mIoU"] for n, row in scores["luminance"].items()}
    samples = 100 * recipe.epochs
    lines = []
    for epoch in range(1, recipe.epochs + 1):
        share = epoch / recipe.epochs
        lines.append(
            {"split": "train", "step": epoch, "epoch": epoch, "lr": 0.1, "loss": 2 - share}
        )
        score = shown[METRIC[study]] * share
        lines.append({"split": "val", "step": epoch, "epoch": epoch, METRIC[study]: score})
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    fingerprint = {"train": "cd" * 32, split: "ab" * 32}
    write_json(
        run / "recipe.json", {"recipe": asdict(recipe), "seed": seed, "fingerprint": fingerprint}
    )
    write_json(
        run / "runtime.json",
        {
            "command": ["/home/ann/bin/triptych", "compare", "x.py", "--out", "/home/ann/runs"],
            "commit": "abc0f4d61af9",
            "device": "cpu, 1 threads",
            "host": "annbox",
            "user": "ann",
            "python": "3.11.7",
            "system": "Linux x86_64",
            "versions": {"torch": "2.15.0", "triptych": "0.1.0"},
        },
    )
    write_json(
        run / "result.json",
        {
            "recipe": recipe.name,
            "seed": seed,
            "data": f"streets {split}",
            "scores": shown,
            "diverged": False,
            "epochs": recipe.epochs,
            "parameters": 1234,
            "MACs": 5678,
            "samples": samples,
            "updates": samples // 4,
            "training_GFLOP": 12.5,
            "times": {"seconds": 10.0 + seed},
        },
    )


_SHOWN = {
    "segment": ("mIoU", "pixel_accuracy", "BF"),
    "detect": ("AP50", "AP50_11point", "AP"),
    "classify": ("top1", "top5", "loss"),
}
Made = tuple[dict[str, Any], pa.Table]


def _segment(draw: np.random.Generator, quality: float, items: int) -> Made:
    """Frames of eight drives (`drive-0` …), some dark, each with its counts."""
    classes = CLASSES["segment"]
    count = len(classes)
    found = []
    for number in range(items):
        truth = draw.integers(0, 900, count)
        truth[number % count] = 0  # a class that this frame lacks
        right = draw.binomial(truth, min(quality, 1))
        confusion = np.zeros((count, count + 1), np.int64)
        for label in range(count):
            confusion[label, label] = right[label]
            wrong = draw.multinomial(truth[label] - right[label], [1 / count] * count)
            confusion[label, 1:] += wrong
        bf = [None if not truth[k] else float(draw.uniform(0, quality)) for k in range(count)]
        drive = f"drive-{number * 8 // items}"
        found.append(Item(f"{drive}/{number:04d}", drive, float(number * 31 % 200), confusion, bf))
    return segment_scores.scores_of(found, classes), segment_scores.items_table(found, classes)


def _detect(draw: np.random.Generator, quality: float, items: int) -> Made:
    """Pictures with two objects, of which a share is found, and as many wrong detections."""
    objects, detections = [], []
    for _ in range(items):
        low = draw.integers(0, 60, (2, 2))
        boxes = np.concatenate([low, low + 30], axis=1).astype(np.float32)
        labels, no = np.array([0, 1]), np.zeros(2, np.bool_)
        objects.append(Objects(boxes, labels, no, no))
        hit = draw.random(2) < quality
        wrong = boxes + np.float32(200)
        detections.append(
            Detections(
                np.concatenate([boxes[hit], wrong]),
                np.concatenate([draw.uniform(0.3, 1, hit.sum()), draw.uniform(0, 0.9, 2)]),
                np.concatenate([labels[hit], labels]).astype(np.int64),
            )
        )
    names = tuple(f"{number:04d}" for number in range(items))
    groups = tuple(f"scene-{number % 8}" for number in range(items))
    rules = Rules()
    shown = tuple(each.limited(rules.score_floor, rules.max_detections) for each in detections)
    whole = DetectionItems(names, groups, CLASSES["detect"], tuple(objects), shown, rules)
    return detect_scores(whole), detect_items.items_table(whole)


def _classify(draw: np.random.Generator, quality: float, items: int) -> Made:
    """Images of four classes; those that are wrong are taken for the next."""
    classes = CLASSES["classify"]
    label = np.arange(items) % len(classes)
    right = draw.random(items) < quality
    predicted = np.where(right, label, (label + 1) % len(classes))
    loss = draw.uniform(0, 2, items)
    columns = {
        "key": [f"image-{number}" for number in range(items)],
        "label": label,
        "predicted": predicted,
        "top1": right.astype(np.float64),
        "top5": np.ones(items),
        "loss": loss,
    }
    by_class = {name: float(right[label == k].mean()) for k, name in enumerate(classes)}
    scores = {
        "images": items,
        "top1": float(right.mean()),
        "top5": 1.0,
        "loss": float(loss.mean()),
        "top1_by_class": by_class,
    }
    about = {"classes": json.dumps(list(classes))}
    return scores, pa.table(columns).replace_schema_metadata(about)


_OF_STUDY = {"segment": _segment, "detect": _detect, "classify": _classify}


def _media(folder: Path, draw: np.random.Generator) -> None:
    """Three frames in noise of one colour, which all runs have under the same names."""
    (folder / "input").mkdir(parents=True)
    for number in range(3):
        pixels = draw.integers(0, 255, (36, 64, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04d}.png")
        Image.fromarray(pixels // 2).save(folder / "input" / f"{number:04d}.png")
