"""EfficientDet's backbone: against features computed by someone else, and bad files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn

from triptych.backbones.lite_coco import convolutions, load_coco
from triptych.backbones.sources import COCO_EFFICIENTDET_LITE0
from triptych.data.download import file_sha256
from triptych.errors import UserError


def features(variant: int = 0) -> nn.Module:
    name = f"tf_efficientnet_lite{variant}"
    net: nn.Module = timm.create_model(name, pretrained=False, features_only=True)
    return net.eval()


@pytest.fixture(scope="module")
def file(shared: Path) -> Path:
    pytest.importorskip("tflite")
    return shared / "weights" / COCO_EFFICIENTDET_LITE0.file


def test_its_features_are_those_of_the_reference(file: Path, shared: Path) -> None:
    assert file_sha256(file) == COCO_EFFICIENTDET_LITE0.sha256
    net = features()
    left_out = load_coco(net, file)
    assert len(left_out) == len(convolutions(file)) - 48
    assert not any(name.startswith("efficientnet-lite0") for name in left_out)
    images = np.random.default_rng(11).uniform(-1, 1, (1, 3, 320, 320)).astype(np.float32)
    with torch.inference_mode():
        maps = net(torch.from_numpy(images))
    with np.load(shared / "reference" / "efficientdet_lite0_backbone_golden.npz") as golden:
        for stride, found in zip((2, 4, 8, 16, 32), maps, strict=True):
            wanted = golden[f"stride{stride}"]
            part = found[:, :, ::4, ::4].numpy()
            assert np.abs(part - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_another_network_is_refused_and_stays_as_it_was(file: Path) -> None:
    net = features(2)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(UserError, match=r"another network's: efficientnet-lite0/\S+ is \("):
        load_coco(net, file)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_file_that_is_cut_is_refused(file: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(file.read_bytes()[:100_000])
    with pytest.raises(UserError, match=r"cut\.tflite is damaged or no TFLite file"):
        convolutions(cut)


@pytest.mark.parametrize("content", [b"", b"nothing", b"\0" * 64])
def test_what_is_no_tflite_file_is_refused(content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("tflite")
    other = tmp_path / "other.tflite"
    other.write_bytes(content)
    with pytest.raises(UserError, match=r"other\.tflite is damaged or no TFLite file"):
        convolutions(other)


def test_a_missing_file_and_a_missing_package_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tflite")
    with pytest.raises(UserError, match=r"none\.tflite: weights cannot be read"):
        convolutions(tmp_path / "none.tflite")
    monkeypatch.setitem(__import__("sys").modules, "tflite", None)
    with pytest.raises(UserError, match=r"needs the package tflite: pip install 'triptych\[coco\]"):
        convolutions(tmp_path / "none.tflite")
