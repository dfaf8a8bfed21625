"""Detectors in a comparison: arms that begin from other weights, on the same data."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from triptych import cli
from triptych import recipe as recipes
from triptych.compare import Comparison
from triptych.compare.same_data import refuse_other_data
from triptych.data.open_detection import open_detection
from triptych.detect import initialise_weights
from triptych.detect.recipes import DetectRecipe
from triptych.detect.scores import study_items
from triptych.detect.study import STUDY
from triptych.detect.train import train
from triptych.errors import UserError, WorkFailed

Case = Callable[..., object]


def test_arms_may_begin_from_other_weights_where_init_varies(
    tmp_path: Path, boxed: Callable[..., Path]
) -> None:
    torch.set_num_threads(1)
    data = boxed(train=2, val=1)
    base = DetectRecipe(
        name="detect/test", model="frcnn-tiny", data=f"vocxml:{data}", epochs=1, batch_size=2,
        lr=0.01,
    )  # fmt: skip
    out = tmp_path / "comparison"
    train(base, 0, out / "random" / "seed-0", device="cpu", show_progress=False)
    arms = {
        "random": base,
        "trained": replace(base, init=str(out / "random" / "seed-0")),
    }
    train(arms["trained"], 0, out / "trained" / "seed-0", device="cpu", show_progress=False)
    asked = Comparison(
        question="?", arms=arms, varies=frozenset({"init"}), seeds=(0,), metric="AP50", margin=0.01
    )
    refuse_other_data(out, asked)
    # The same weights under another name would be another matter, as would other pictures.
    other = replace(asked, varies=frozenset({"lr"}), arms=dict.fromkeys(arms, base))
    with pytest.raises(UserError, match=r"saw other data than random seed 0 \(init\)"):
        refuse_other_data(out, other)


def test_items_say_by_which_rules_they_were_judged(case: Case) -> None:
    made = case(0)
    said = study_items(made, "AP50").rules  # type: ignore[arg-type]
    assert said == "iou 0.5, plus_one True, score_floor 0.0, max_detections 100"


def test_other_programs_detections_are_arms(
    tmp_path: Path, boxed: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Judged image by image, from the command line, without naming a study."""
    data = boxed(val=32)
    truth = open_detection(f"vocxml:{data}", "val")
    rng = np.random.default_rng(0)
    for name, off in (("good", 1.0), ("poor", 30.0)):
        rows = [
            {
                "image_id": truth.keys[image],
                "category_id": truth.classes[label],
                "bbox": [*(box[:2] + rng.normal(0, off, 2)).tolist(), 34, 26],
                "score": 0.9,
            }
            for image in range(len(truth))
            for box, label in zip(
                truth.objects(image).boxes, truth.objects(image).labels, strict=True
            )
        ]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    line = f"compare --data vocxml:{data} --split val --metric AP50 --margin 0.02 --json --out"
    arms = [f"--predictions={tmp_path}/{name}.json" for name in ("good", "poor")]
    assert cli.main([*line.split(), str(tmp_path / "out"), *arms]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["study"] == "detect"
    (pair,) = verdict["pairs"]
    assert (pair["arm"], pair["baseline"]) == ("poor", "good")
    assert pair["interval"]["high"] < -0.1
    assert pair["interval"]["method"] == "paired bootstrap over images"
    for mixed in (["--data", "streets"], ["--data", "vocxml:nowhere"]):
        again = [*line.split(), str(tmp_path / "other"), *arms, *mixed]
        assert cli.main(again) == 2


def test_weights_that_cannot_be_had_are_told_before_any_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_network(weights: object) -> Path:
        raise WorkFailed("no network")

    monkeypatch.setattr(initialise_weights, "fetch", no_network)
    asked = replace(recipes.get("detect/lite"), model="frcnn-r18-fpn", init="imagenet")
    with pytest.raises(WorkFailed, match=r"no network; put resnet18-f37072fd\.pth into a folder"):
        STUDY.preflight(asked)
    STUDY.preflight(replace(asked, init="random"))
