"""Evaluations and runs as far as `bench` looks at them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Evaluation = Callable[..., Path]


@pytest.fixture
def evaluation() -> Evaluation:
    """(folder, model, mIoU, data, …) → the folder, with a scores.json."""

    def made(
        folder: Path, model: str, miou: float | None, data: str = "camvid", **more: object
    ) -> Path:
        folder.mkdir(parents=True)
        record = {"model": model, "data": data, "split": "val", "mIoU": miou, "size": "640x480"}
        (folder / "scores.json").write_text(json.dumps(record | more))
        return folder

    return made


@pytest.fixture
def a_run(evaluation: Evaluation) -> Callable[[Path, dict[str, float]], Path]:
    """(folder, data → mIoU) → a run of tiny with its own evaluations."""

    def made(folder: Path, scores: dict[str, float]) -> Path:
        folder.mkdir(parents=True)
        (folder / "recipe.json").write_text("{}")
        for data, miou in scores.items():
            evaluation(folder / "evaluations" / f"{data}-val", "tiny", miou, data)
        return folder

    return made
