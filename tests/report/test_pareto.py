"""The figure of accuracy against speed."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from triptych.benching.basis import Basis
from triptych.benching.known_scores import Score
from triptych.benching.points import points
from triptych.report.pareto import notes, speed_figure, write_bench

RECORD: dict[str, Any] = {
    "size": "480x360", "processor": "A processor", "cores": 2, "device": "cpu", "rows": [],
    "metric": "mIoU",
}  # fmt: skip


@pytest.fixture
def record() -> dict[str, Any]:
    speeds = {"street": 78, "tiny": 95, "slow <&>": 20, "claim": 6}
    rows = [
        {"model": name, "runtime": "torch", "precision": "float32", "frames_per_second": fps}
        for name, fps in speeds.items()
    ]
    camvid, cityscapes = Basis("camvid val"), Basis("Cityscapes val")
    scores = {
        "street": Score("street", 0.75, camvid, None, claimed=False),
        "tiny": Score("tiny", 0.4, camvid, None, claimed=False),
        "slow <&>": Score("slow <&>", 0.5, camvid, "640x480", claimed=False),
        "claim": Score("claim", 0.9, cityscapes, None, claimed=True),
    }
    return {**RECORD, "points": points(rows, scores)}


@pytest.mark.parametrize("metric", ["mIoU", "AP50"])
def test_is_written_whole(metric: str, record: dict[str, Any], tmp_path: Path) -> None:
    files = write_bench({**record, "metric": metric}, tmp_path / "out")
    assert {file.name for file in files} == {path.name for path in (tmp_path / "out").iterdir()}
    assert len(files) == 3
    svg = tmp_path / "out/accuracy-against-speed.svg"
    text = " ".join(ElementTree.parse(svg).getroot().itertext())
    for name in ("street", "tiny", "slow <&>", "claim", f"{metric} (%)", "480x360", "A processor"):
        assert name in text
    assert f"{metric}: measured on camvid val" in text
    with Image.open(tmp_path / "out/accuracy-against-speed.png") as picture:
        assert picture.size == (800, 520)


def test_front_and_marks(record: dict[str, Any]) -> None:
    figure = speed_figure(record)
    assert figure is not None
    (axes,) = figure.axes
    front, *marks = axes.lines
    x, y = (np.asarray(values, float) for values in front.get_data())
    # From the left edge level to street, down to tiny's score and on to tiny, then down.
    assert list(zip(x[1:3], y[1:3], strict=True)) == [(78, 0.75), (95, 0.4)]
    hollow = [mark.get_markerfacecolor() == "white" for mark in marks]
    assert hollow == [False, False, False, True]
    names = {name.get_text() for name in axes.texts}
    assert names == {"street", "tiny", "slow <&>", "claim"}


def test_notes_say_what_is_not_comparable(record: dict[str, Any]) -> None:
    speed, scores, hollow = notes(record)
    assert "2 cores" in speed
    assert "mIoU: measured on camvid val, frames resized to 640x480, not to 480x360" in scores
    assert "claimed on Cityscapes val" in hollow


def test_without_scores_there_is_none(tmp_path: Path) -> None:
    record = {**RECORD, "points": []}
    assert speed_figure(record) is None
    assert [file.name for file in write_bench(record, tmp_path)] == ["bench.json"]
