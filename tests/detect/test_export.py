"""A detector as a file: it finds in its own runtime what it finds in PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.ops import boxes as box_ops

from triptych.detect import export as module
from triptych.detect.as_graph import never_of_nothing
from triptych.detect.detections import Detections
from triptych.detect.export import export, same_share
from triptych.detect.exported import ExportedPredictor
from triptych.detect.network import DetectorNetwork, untrained_network
from triptych.detect.open_predictor import open_predictor
from triptych.detect.predictor import NetworkPredictor
from triptych.errors import UserError, WorkFailed
from triptych.exporting import Session, open_session

SIZE = (97, 161)
"""At which a size computed in float32 would be a pixel less than the right one."""


@pytest.fixture(scope="module")
def network() -> DetectorNetwork:
    return untrained_network("frcnn-tiny")


@pytest.fixture(scope="module")
def file(network: DetectorNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "tiny.onnx"
    record = export(network, out, "onnx", SIZE)
    assert record["detections_agree"] == pytest.approx(1, abs=0.02)
    assert record["detections_compared"] >= 100
    assert record["files"] == [str(out)]
    assert json.loads(record["metadata"]["classes"]) == list(network.classes)
    return out


def picture(height: int, width: int) -> NDArray[np.uint8]:
    """Another one than those that an export is checked with."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (-(-height // 8), -(-width // 8), 3), np.uint8)
    return coarse.repeat(8, 0).repeat(8, 1)[:height, :width]


def test_finds_the_same(network: DetectorNetwork, file: Path) -> None:
    opened = open_predictor(str(file))
    image = picture(*SIZE)
    wanted = NetworkPredictor("", (), network.model).predict([image], [""])[0]
    found = opened.predictor.predict([image], [""])[0]
    assert opened.predictor.classes == network.classes
    assert opened.rules.score_floor == 0.05
    assert opened.told == {
        "weights": None, "weights_digest": None, "runtime": "onnx file, float32", "size": "161x97",
    }  # fmt: skip
    same, compared = same_share(wanted, found)
    assert compared == 100
    assert same >= 98


@pytest.mark.parametrize("ending", [".onnx", ".xml"])
def test_where_nothing_is_found_there_is_nothing(ending: str, tmp_path: Path) -> None:
    sure = untrained_network("frcnn-tiny")
    sure.model.roi_heads.score_thresh = 0.9
    out = tmp_path / f"tiny{ending}"
    export(sure, out, "onnx" if ending == ".onnx" else "openvino", SIZE)
    predictor = ExportedPredictor(out)
    for image in (picture(*SIZE), np.full((*SIZE, 3), 128, np.uint8)):
        assert len(predictor.predict([image], [""])[0]) == 0


@pytest.mark.parametrize("count", [0, 1, 2, 300])
def test_suppression_in_a_graph_is_torchvisions(count: int) -> None:
    draw = torch.Generator().manual_seed(count)
    boxes = torch.rand(count, 4, generator=draw) * 50
    boxes[:, 2:] += boxes[:, :2]
    scores = torch.rand(count, generator=draw)
    groups = torch.randint(0, 4, (count,), generator=draw)
    wanted = box_ops.batched_nms(boxes, scores, groups, 0.5)
    with never_of_nothing():
        found = box_ops.batched_nms(boxes, scores, groups, 0.5)
    assert torch.equal(found, wanted)
    assert count < 3 or 0 < len(found) < count


def test_boxes_are_in_the_pixels_of_a_larger_picture(file: Path) -> None:
    predictor = ExportedPredictor(file)
    small = picture(*SIZE)
    large = small.repeat(2, 0).repeat(3, 1)
    wanted = predictor.predict([small], [""])[0]
    found = predictor.predict([large], [""])[0]
    scaled = Detections(
        wanted.boxes * np.array([3, 2, 3, 2], np.float32), wanted.scores, wanted.labels
    )
    same, compared = same_share(scaled, found)
    assert same >= 0.98 * compared > 0


def test_openvino(network: DetectorNetwork, tmp_path: Path) -> None:
    record = export(network, tmp_path / "tiny.xml", "openvino", SIZE)
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.xml", "tiny.bin"}
    assert record["detections_agree"] >= 0.98
    predictor = ExportedPredictor(tmp_path / "tiny.xml")
    assert predictor.classes == network.classes


def test_a_detector_that_is_sure_of_nothing_is_compared_all_the_same(tmp_path: Path) -> None:
    network = untrained_network("frcnn-tiny")
    network.model.roi_heads.score_thresh = 0.9
    record = export(network, tmp_path / "a.onnx", "onnx", SIZE)
    assert record["detections_compared"] >= 100
    assert network.model.roi_heads.score_thresh == 0.9
    assert not len(ExportedPredictor(tmp_path / "a.onnx").predict([picture(*SIZE)], [""])[0])
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]


def test_other_detections_than_in_torch_are_not_written(
    network: DetectorNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(file: Path, outputs: Any) -> Session:
        session = open_session(file, outputs)

        def run(pictures: NDArray[np.uint8]) -> list[NDArray[Any]]:
            boxes, scores, labels = session.run(pictures)
            return [boxes + 3, scores, labels]

        return Session(run, session.metadata)

    monkeypatch.setattr(module, "open_session", wrong)
    (tmp_path / "a.onnx").write_text("earlier")
    with pytest.raises(WorkFailed, match="finds other objects than in PyTorch"):
        export(network, tmp_path / "a.onnx", "onnx", (64, 96))
    assert (tmp_path / "a.onnx").read_text() == "earlier"
    assert len(list(tmp_path.iterdir())) == 1


def test_same_share_counts_each_detection_once() -> None:
    def found(*rows: tuple[float, float, int]) -> Detections:
        boxes = np.array([[x, 0, x + 100, 100] for x, _, _ in rows], np.float32).reshape(-1, 4)
        return Detections(
            boxes, np.array([r[1] for r in rows]), np.array([r[2] for r in rows], np.int64)
        )

    one = found((0, 0.9, 0), (50, 0.8, 1))
    assert same_share(one, one) == (2, 2)
    assert same_share(one, found((0.5, 0.9, 0))) == (1, 2)
    assert same_share(found((0, 0.9, 0), (0, 0.9, 0)), found((0, 0.9, 0))) == (1, 2)
    assert same_share(one, found((0, 0.9, 1), (50, 0.7, 1))) == (0, 2)
    assert same_share(one, found((3, 0.9, 0))) == (0, 2)
    assert same_share(found(), found()) == (0, 0)


def test_a_file_is_no_detector(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_text("no")
    with pytest.raises(UserError, match="cannot be read as a model"):
        open_predictor(str(tmp_path / "a.onnx"))
    with pytest.raises(UserError, match="leave out --weights, --device cuda"):
        open_predictor(str(tmp_path / "a.onnx"), tmp_path / "w.safetensors", device="cuda")
