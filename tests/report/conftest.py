"""Comparisons made by hand, as `verdict.json` holds them, and a folder that belongs to one."""

from __future__ import annotations

import copy
import importlib.util
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Record = dict[str, Any]

FIVE = ("0", "1", "2", "3", "4")


def arm(scores: list[float | None], states: list[str], **cost: Any) -> Record:
    known = [score for score in scores if score is not None]
    costs = {"parameters": 25546, "MACs": 611968, "samples": 384, "updates": 12}
    return {
        "scores": dict(zip(FIVE, scores, strict=False)),
        "states": dict(zip(FIVE, states, strict=False)),
        "mean": sum(known) / len(known) if known else None,
        "std": None,
        "n": len(known),
        "diverged": states.count("diverged"),
        "cost": costs | {"training_GFLOP": 1.4} | cost,
    }


def pair(name: str, verdict: str, **other: Any) -> Record:
    return {
        "arm": name,
        "baseline": "conv",
        "verdict": verdict,
        "reason": "the difference exceeds the margin",
        "interval": None,
        "adjusted_interval": None,
        "p_difference": None,
        "p_equivalence": None,
        "p_difference_adjusted": None,
        "p_equivalence_adjusted": None,
        "exceeds_margin": False,
        "method": "Welch t over seeds, Holm over 2 comparisons",
        "warnings": [],
        "differs": {"model": ["resnext", name], "lr": [0.1, 0.2]},
        "new_items": None,
        "seeds_needed": None,
    } | other


def interval(low: float, high: float, level: float = 0.95) -> Record:
    middle = (low + high) / 2
    return {"difference": middle, "low": low, "high": high, "level": level, "method": "t", "se": 1}


@pytest.fixture
def verdict() -> Record:
    """Three arms over three seeds: one is whole, in one a run diverged, one has hardly begun."""
    vit = pair(
        "vit",
        "better",
        interval=interval(0.0547, 0.1453),
        adjusted_interval=interval(0.04, 0.16, 0.975),
        p_difference=0.00018,
        p_difference_adjusted=0.00036,
        p_equivalence=0.99,
        p_equivalence_adjusted=1.0,
        exceeds_margin=True,
        warnings=["vit: 1 of 3 diverged"],
        new_items={"new_items": "not shown", "sentence": "that it holds on new images is unknown"},
    )
    failed = "failed: MemoryError: cannot write /home/ann lee/x/model.bin on annbox"
    return {
        "question": "conv | vit?",
        "study": "classify",
        "metric": "top1",
        "higher_is_better": True,
        "margin": 0.02,
        "plan": {"kind": "fixed", "n": 3, "seeds": [0, 1, 2]},
        "data": "objects test",
        "arms": {
            "vit": arm(
                [0.2, 0.22, 0.24], ["done", "done", "diverged"], samples=[384, 384, 96], MACs=None
            ),
            "conv": arm([0.10, 0.12, 0.14], ["done", "done", "done"]),
            "late": arm([None, 0.2, None], [failed, "done", "missing"]),
        },
        "pairs": [
            vit,
            pair(
                "late",
                "undecided",
                reason="not complete: 1 and 3 of 3 seeds",
                seeds_needed={"seeds": 73, "low": 39, "high": 270, "reason": "about 73 seeds"},
            ),
        ],
        "times": {
            "vit": {"0": 1234.4, "1": 1300.2, "2": 310.0},
            "conv": {"0": 0.26, "1": 0.37, "2": 0.31},
            "late": {"1": 2.0},
        },
        "audit": [
            {"about": "images seen", "finding": "fair", "text": "alike: 200 of 200"},
            {"about": "augmentation", "finding": "flaw", "text": "vit: 64 copies | 1 version"},
            {"about": "batch size", "finding": "differs", "text": "conv: 32; vit: 64"},
            {"about": "input", "finding": "unknown", "text": "late: not on record"},
        ],
    }


@pytest.fixture
def extended(verdict: Record) -> Record:
    """Two of those arms, with two seeds more than planned."""
    verdict = copy.deepcopy(verdict)
    del verdict["arms"]["late"]
    verdict["pairs"].pop()
    verdict["arms"]["conv"] = arm([0.10, 0.12, 0.14, 0.3, 0.5], ["done"] * 5)
    verdict["arms"]["vit"] = arm([0.2, 0.22, 0.24, 0.3, 0.5], ["done"] * 5)
    verdict["exploratory"] = {
        "seeds": [0, 1, 2, 3, 4],
        "why": "seeds were added after the plan's own: the first verdict stays",
        "pairs": [pair("vit", "undecided", interval=interval(-0.1, 0.22))],
    }
    return verdict


@pytest.fixture
def fixed() -> Record:
    """Two sets of predictions on three drives."""
    drives = ("0001TP", "0016E5", "Seq05VD")

    def predictions(score: float, *each: float) -> Record:
        return {
            "score": score,
            "items": 101,
            "by_group": dict(zip(drives, each, strict=True)),
            "evaluation": {"model": "m", "runtime": "openvino float32", "size": "640x480"},
        }

    return {
        "question": "which?",
        "study": "segment",
        "metric": "mIoU",
        "higher_is_better": True,
        "margin": 0.02,
        "plan": {"kind": "fixed predictions"},
        "data": "camvid val",
        "judged": "for these weights on this data",
        "arms": {"a": predictions(0.5, 0.5, 0.4, 0.6), "b": predictions(0.55, 0.6, 0.45, 0.55)},
        "pairs": [
            {
                "arm": "b",
                "baseline": "a",
                "difference": 0.1 / 3,
                "interval": None,
                "by_group": dict(zip(drives, (0.1, 0.05, -0.05), strict=True)),
                "new_items": "cannot be judged",
                "sentence": "ahead in 2 of 3 drives; new drives cannot be judged from 3",
            }
        ],
        "audit": [{"about": "images seen", "finding": "unknown", "text": "a, b: not on record"}],
    }


BESIDE = {
    "scores": ["BF", "mIoU@0-60", "loss"],
    "label": "beside the primary metric: described, no verdict",
    "note": "exploratory: every interval stands alone at 95 % (no Holm)",
}


def summary(mean: float | None, n: int = 3, missing: int = 0) -> Record:
    return {"mean": mean, "std": 0.01 if n > 1 else None, "n": n, "missing": missing}


def described(name: str, a: Any, b: Any, **other: Any) -> Record:
    return {
        "score": name,
        "of_arm": a,
        "of_baseline": b,
        "difference": None,
        "interval": None,
        "by_group": None,
        "reason": None,
    } | other


@pytest.fixture
def beside(verdict: Record) -> Record:
    """The same verdict with three scores beside its metric."""
    verdict = copy.deepcopy(verdict)
    verdict["beside"] = copy.deepcopy(BESIDE)
    whole, late = verdict["pairs"]
    whole["beside"] = [
        described(
            *("BF", summary(0.62), summary(0.6)),
            difference=0.02,
            interval=interval(-0.0123, 0.0523),
            by_group={"0001TP": 0.01, "0016E5": -0.03},
        ),
        described(
            *("mIoU@0-60", summary(0.4, 2, 1), summary(None, 0, 3)),
            reason="missing in 1 of 3 runs of vit and 3 of 3 runs of conv",
        ),
        described(
            *("loss", summary(1.5), summary(2.0)),
            difference=-0.5,
            reason="the seed changed nothing in conv",
        ),
    ]
    late["beside"] = [
        described(name, summary(0.2, 1), summary(0.1), reason="not complete: 1 and 3 of 3 seeds")
        for name in verdict["beside"]["scores"]
    ]
    return verdict


@pytest.fixture
def beside_extended(beside: Record) -> Record:
    """The same with seeds that were added after the plan."""
    beside["exploratory"] = {
        "seeds": [0, 1, 2, 3, 4],
        "why": "seeds were added after the plan's own: the first verdict stays",
        "pairs": copy.deepcopy(beside["pairs"]),
    }
    return beside


@pytest.fixture
def beside_fixed(fixed: Record) -> Record:
    """Fixed predictions with two scores beside the metric, one of which no frame has."""
    fixed = copy.deepcopy(fixed)
    fixed["beside"] = BESIDE | {"scores": ["BF", "mIoU@0-60"]}
    drives = dict(zip(("0001TP", "0016E5", "Seq05VD"), (0.1, 0.05, -0.03), strict=True))
    fixed["pairs"][0]["beside"] = [
        described(
            *("BF", 0.62, 0.6),
            difference=0.04,
            pooled_difference=0.02,
            by_group=drives,
            reason="new drives cannot be judged from 3",
        ),
        described(
            *("mIoU@0-60", None, None),
            pooled_difference=None,
            reason="missing: no item of the data has it",
        ),
    ]
    return fixed


@pytest.fixture
def joined(beside: Record, fixed: Record) -> Record:
    """Recipes, of which the first two are complete, and one set of predictions on three drives."""
    drives = ("0001TP", "0016E5", "Seq05VD")
    side = {key: value for key, value in fixed["arms"]["a"].items() if key != "evaluation"}
    recipes = {name: copy.deepcopy(side) for name in ("conv", "vit")}
    net = copy.deepcopy(fixed["arms"]["b"])
    net |= {"source": "/home/ann lee/weights/net", "weights": None, "size": [480, 640]}
    pairs = []
    for index, name in enumerate(recipes):
        found = copy.deepcopy(fixed["pairs"][0]) | {"arm": "net", "baseline": name}
        found["pooled_difference"] = 0.05
        found["difference"] += index
        found["beside"] = [
            described(
                *("BF", 0.62, 0.6),
                difference=0.04,
                pooled_difference=0.02,
                by_group=dict(zip(drives, (0.1, 0.05, -0.03), strict=True)),
                reason="new drives cannot be judged from 3",
            ),
            *(
                described(name, None, 0.6, pooled_difference=None, reason="missing: no items of it")
                for name in ("mIoU@0-60", "loss")
            ),
        ]
        pairs.append(found)
    beside["fixed"] = {
        "judged": "for these weights on this data",
        "note": "no part of the plan; their weights were trained elsewhere",
        "data": "camvid trainval",
        "seeds": [0, 1, 2],
        "reason": None,
        "arms": {"net": net},
        "recipes": recipes,
        "pairs": pairs,
        "audit": [
            {"about": "fixed predictions", "finding": "unknown", "text": "net: not on record"}
        ],
    }
    return beside


@pytest.fixture
def joined_early(joined: Record) -> Record:
    """The same before the recipes are complete, with one arm that is not scored."""
    unscored = {"score": None, "items": 0, "by_group": None, "evaluation": {}}
    joined["fixed"] |= {
        "seeds": [],
        "reason": "the recipes are not complete: conv 3, vit 2 of 3 seeds",
        "arms": joined["fixed"]["arms"] | {"other": {"source": "other"} | unscored},
        "recipes": {},
        "pairs": [],
    }
    return joined


def side(*samples: float, bounds: tuple[str, ...] = ("exact",) * 3) -> Record:
    """What one arm's three seeds need for a score, in runs of 384 samples, 100 an epoch."""
    mean = math.prod(samples) ** (1 / 3)
    return {
        "samples": dict(zip("012", samples, strict=True)),
        "bound": dict(zip("012", bounds, strict=True)),
        "share_of_run": {seed: each / 384 for seed, each in zip("012", samples, strict=True)},
        "early": False,
        "mean_samples": mean,
        "mean_epochs": mean / 100,
    }


@pytest.fixture
def reached(verdict: Record) -> Record:
    """The verdict with what `vit` and `conv` need for three scores, and a note."""
    verdict = copy.deepcopy(verdict)
    estimate = {"kind": "estimate", "low": 1.5, "high": 2.7, "method": "Welch t", "reason": None}
    bound = {"kind": "at least", "low": 1.8, "high": None, "method": "Welch t", "reason": None}
    late = ("more than", "exact", "exact")
    verdict["pairs"][0]["samples_to_reach"] = {
        "metric": "top1",
        "split": "val",
        "evaluations": {"vit": 2, "conv": 2},
        "way": {"weaker": "conv", "start": 0.2, "best": 0.4},
        "scores": [
            {"share": share, "target": 0.2 + 0.2 * share, "ratio": ratio, "level": 0.95}
            | kind
            | {"arm": arm, "baseline": baseline}
            for share, ratio, kind, arm, baseline in (
                (0.5, 2.0, estimate, side(100, 110, 121), side(200, 220, 242)),
                (0.75, 2.0, estimate, side(140, 150, 160), side(280, 300, 320)),
                (0.9, 2.2, bound, side(160, 170, 180), side(400, 350, 360, bounds=late)),
            )
        ],
        "shown": 1,
        "whole_training": None,
        "reason": None,
        "sentences": ["vit needs 1/2.0 of the samples of conv"],
    }
    verdict["samples_to_reach"] = {
        "label": "samples to reach a score: described, no verdict",
        "note": "it holds for these schedules",
    }
    verdict["notes"] = ["vit began with weights that have seen COCO"]
    return verdict


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[[Record], Path]:
    """Writes the comparison folder of a verdict: cells of 4 epochs, `vit`'s seed 2 of 2."""

    def make(verdict: Record, name: str = "ann-secret") -> Path:
        folder = tmp_path / name
        plan = {
            "question": verdict["question"],
            "arms": {n: {"data": "objects:train=200,val=50"} for n in verdict["arms"]},
            "varies": ["model"],
        }
        folder.mkdir()
        (folder / "comparison.json").write_text(json.dumps(plan))
        for number, (arm_name, found) in enumerate(sorted(verdict["arms"].items())):
            for seed, state in found.get("states", {}).items():
                if state == "missing":
                    continue
                cell = folder / arm_name / f"seed-{seed}"
                cell.mkdir(parents=True)
                _write_cell(cell, number, int(seed), state == "diverged")
        return folder

    return make


def _write_cell(cell: Path, number: int, seed: int, diverged: bool) -> None:
    events: list[Record] = []
    for epoch in range(1, 3 if diverged else 5):
        loss = 2.0 - 0.1 * epoch + 0.01 * seed
        events.append({"split": "train", "step": epoch, "epoch": epoch, "lr": 0.1, "loss": loss})
        if epoch % 2 == 0:
            score = 0.1 * epoch + 0.01 * seed**2 + number
            events.append({"split": "val", "step": epoch, "epoch": epoch, "top1": score})
    if diverged:
        events.append({"split": "train", "step": 3, "epoch": 3, "lr": 0.1, "loss": None})
    events.append({"split": "test", "step": 4, "epoch": epoch, "top1": 0.5, "loss": 2.0})
    (cell / "metrics.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    runtime = {
        "command": ["/home/ann/bin/triptych", "compare"],
        "commit": "abc0f4d61af9-dirty",
        "device": "cpu, 1 threads",
        "host": "annbox",
        "user": "ann",
        "python": "3.11.7",
        "versions": {"torch": "2.15.0", "triptych": "0.1.0"},
    }
    (cell / "runtime.json").write_text(json.dumps(runtime))
    (cell / "recipe.json").write_text(json.dumps({"fingerprint": {"test": "d8c7" * 16}}))


@pytest.fixture(scope="session")
def folders() -> ModuleType:
    """Makes comparison folders without training, see `folders.py`."""
    place = Path(__file__).with_name("folders.py")
    spec = importlib.util.spec_from_file_location("report_folders", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
