"""From `--model` to a detector: runs, weights in a file, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from triptych import cli
from triptych.checkpoint import write_aside
from triptych.detect.class_names import read_class_names, write_class_names
from triptych.detect.items import Rules
from triptych.detect.models import create
from triptych.detect.network import open_network
from triptych.detect.open_predictor import open_predictor
from triptych.errors import UserError

CLASSES = ("cat", "dog", "bird")
PICTURE = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)


class State:
    """A checkpoint of these files."""

    step = 1

    def __init__(self, files: dict[str, dict[str, Tensor]]) -> None:
        self._files = files

    def write(self, folder: Path) -> dict[str, Any]:
        for name, tensors in self._files.items():
            save_file(tensors, folder / f"{name}.safetensors")
        return {}

    def read(self, folder: Path, counters: dict[str, Any]) -> None:
        raise NotImplementedError


def weights(seed: int, classes: int = 3) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    drawn: dict[str, Tensor] = create("frcnn-tiny", classes).state_dict()
    return drawn


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Path]:
    """Makes a run's folder, as far as a model is read from one."""

    def make(study: str = "detect", **files: dict[str, Tensor]) -> Path:
        folder = tmp_path / "runs" / "seed-0"
        (folder / "checkpoints").mkdir(parents=True)
        recipe = {"recipe": {"name": f"{study}/tiny", "model": "frcnn-tiny"}, "seed": 0}
        (folder / "recipe.json").write_text(json.dumps(recipe))
        write_class_names(folder, CLASSES)
        if files:
            write_aside(folder / "checkpoints" / "step-1", State(files), {})
        return folder

    return make


def test_a_run_gives_its_model(run: Callable[..., Path]) -> None:
    folder = run(model=weights(1))
    opened = open_network(str(folder))
    assert (opened.name, opened.architecture) == ("runs/seed-0", "frcnn-tiny")
    assert opened.classes == CLASSES
    assert not opened.model.training
    wanted = create("frcnn-tiny", 3).eval()
    wanted.load_state_dict(weights(1))
    found = open_predictor(str(folder), device="cpu")
    assert found.rules == Rules(score_floor=0.05, max_detections=100)
    assert found.told["weights"] == "trained"
    with torch.no_grad():
        expected = wanted([torch.from_numpy(PICTURE).permute(2, 0, 1) / 255])[0]
    (detections,) = found.predictor.predict([PICTURE], ["a"])
    assert len(detections)
    np.testing.assert_array_equal(detections.boxes, expected["boxes"].numpy())
    np.testing.assert_array_equal(detections.labels, expected["labels"].numpy() - 1)


def test_averaged_weights_count_where_there_are_some(run: Callable[..., Path]) -> None:
    opened = open_network(str(run(model=weights(1), ema=weights(2))))
    name = "roi_heads.box_predictor.cls_score.weight"
    assert torch.equal(opened.model.state_dict()[name], weights(2)[name])


def test_weights_in_a_file_say_how_many_classes_there_are(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    save_file(weights(1), file)
    assert open_network("frcnn-tiny", file).classes == ("class 1", "class 2", "class 3")
    write_class_names(tmp_path, CLASSES)
    assert open_network("frcnn-tiny", file).classes == CLASSES
    write_class_names(tmp_path, CLASSES[:2])
    with pytest.raises(UserError, match=r"names 2 classes, and mine\.safetensors has 3"):
        open_network("frcnn-tiny", file)


def test_what_does_not_fit_is_named(tmp_path: Path, run: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match="frcnn-tiny has no published weights"):
        open_network("frcnn-tiny")
    with pytest.raises(UserError, match="has no checkpoint yet"):
        open_network(str(run()))
    file = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, file)
    with pytest.raises(UserError, match=r"other\.safetensors holds no weights of a detector"):
        open_network("frcnn-tiny", file)
    save_file(weights(1), file)
    with pytest.raises(UserError, match="does not fit frcnn-lite0-fpn with 3 classes: "):
        open_network("frcnn-lite0-fpn", file)
    with pytest.raises(UserError, match=r"none\.safetensors: no such file"):
        open_network("frcnn-tiny", tmp_path / "none.safetensors")
    with pytest.raises(UserError, match="did you mean frcnn-tiny"):
        open_network("frcnn-tinny")
    with pytest.raises(UserError, match="not the folder of a run"):
        open_network(str(tmp_path))


def test_a_run_of_another_study(run: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match="is a run of 'segment', not of 'detect'"):
        open_network(str(run("segment", model=weights(1))))


@pytest.mark.parametrize("record", ["{}", '{"classes": []}', '{"classes": ["a", "a"]}', "[]"])
def test_a_broken_record_of_classes(tmp_path: Path, record: str) -> None:
    (tmp_path / "classes.json").write_text(record)
    with pytest.raises(UserError, match=r"classes\.json"):
        read_class_names(tmp_path)


class TestOnTheCommandLine:
    """`evaluate`, `predict` and what they refuse."""

    def test_evaluate(
        self, run: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = run(model=weights(1, 8))
        streets = "streets:scenes=1,frames=2,size=96x64"
        names = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
        write_class_names(folder, names)
        line = f"evaluate --model {folder} --data {streets} --device cpu --json"
        assert cli.main([*line.split(), "--out", str(tmp_path / "e")]) == 0
        scores = json.loads(capsys.readouterr().out)
        assert scores == json.loads((tmp_path / "e" / "scores.json").read_text())
        assert scores["model"] == "runs/seed-0"
        assert (scores["rule"]["score_floor"], scores["rule"]["max_detections"]) == (0.05, 100)
        assert (scores["weights"], scores["runtime"]) == ("trained", "torch float32")
        assert len(scores["weights_digest"]) == 16

    def test_evaluate_leaves_out_what_is_broken_where_it_is_told_to(
        self,
        run: Callable[..., Path],
        boxed: Callable[..., Path],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        folder, root = run(model=weights(1, 2)), boxed(val=3)
        write_class_names(folder, ("blue", "red"))
        (root / "val" / "01.png").write_bytes(b"no picture")
        line = f"evaluate --model {folder} --data vocxml:{root} --device cpu"
        for strict in ("", " --strict"):
            assert cli.main(f"{line}{strict}".split()) == 2
            assert "01.png: cannot be read as a picture" in capsys.readouterr().err
        assert cli.main(f"{line} --no-strict --json".split()) == 0
        streams = capsys.readouterr()
        scores = json.loads(streams.out)
        assert scores["images"] == 2
        assert scores["left_out"] == {"unreadable": {"count": 1, "files": ["01.png"]}}
        assert "vocxml val, left out or cut: 1 files cannot be read (01.png)" in streams.err

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("evaluate --data voc2007:x", "has boxes, for detectors, and street is a segmentation"),
            ("evaluate --model RUN --data camvid:x", "has label images, for segmentation models"),
            ("evaluate --model RUN --data streets --map a.toml", "--map: only for a segmentation"),
            (
                "evaluate --data streets --no-strict",
                "--no-strict: only for a detector, and this is",
            ),
            ("evaluate --data streets --strict", "--strict: only for a detector, and this is a"),
            ("evaluate --model RUN --data streets --runtime openvino", "detectors run in PyTorch"),
            ("evaluate --model a.json --data streets --device cuda", "is read, not run; leave out"),
            ("evaluate --model none.json --data streets", "cannot read none.json"),
            ("predict a.png --model none.json", "can only be scored: triptych evaluate"),
            ("predict a.png --model RUN --model street", "take models of one kind at a time"),
            ("predict a.png --model RUN --view edges", "--view edges: only for a segmentation"),
            ("predict a.png --model RUN --scales 0.5,1", "--scales: only for a segmentation"),
            ("predict a.png --model RUN --tile 64x64 --alpha 1", "--alpha, --tile: only for"),
            ("predict a.png --model RUN --save-labels", "--save-labels: only for a segmentation"),
            ("predict a.png --model RUN --no-stability", "--no-stability: only for a segmentation"),
            ("predict a.png --model street --min-score 0.3", "--min-score: only for a detector"),
            ("predict a.png --model RUN --out .", "this is the input's own folder"),
            ("predict a.png --model RUN --weights w.pth", "--weights goes with a model's name"),
            ("predict a.png --model vit13", "a classifier; this takes segmentation models and"),
            ("predict a.png --model frcnn-tinny", "did you mean frcnn-tiny"),
            ("bench --model RUN --scores .", "--scores .: no evaluation there"),
            ("bench --model RUN --runtime openvino", "--runtime openvino: only for"),
            ("export --model frcnn-tiny --out a.onnx", "frcnn-tiny has no published weights"),
            ("export --model RUN --out a.pt", "must end in .onnx (onnx) or .xml (openvino)"),
        ],
    )
    def test_a_wrong_request_is_one_line(
        self,
        line: str,
        message: str,
        run: Callable[..., Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        folder = run()  # no checkpoint: it is told before a model is loaded
        monkeypatch.chdir(tmp_path)
        Image.fromarray(PICTURE).save("a.png")
        Path("a.json").write_text("[]")
        assert cli.main(line.replace("RUN", str(folder)).split()) == 2
        streams = capsys.readouterr()
        assert message in streams.err
        assert streams.err.count("\n") == 1
