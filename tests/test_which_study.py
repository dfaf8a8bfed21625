"""Which study a command line means."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from triptych.cli.which_study import check_data, refuse_options, study_of, study_of_models
from triptych.errors import UserError


@pytest.mark.parametrize(
    ("model", "study"),
    [
        ("street", "segment"),
        ("smp:unet:resnet18", "segment"),
        ("tinny", "segment"),
        ("nothing like it", "segment"),
        ("frcnn-tiny", "detect"),
        ("timm:resnet18", "detect"),
        ("frcnn-r50", "detect"),
        ("found.json", "detect"),
        ("none/here", "segment"),
    ],
)
def test_by_name(model: str, study: str) -> None:
    assert study_of(model) == study


@pytest.mark.parametrize("study", ["segment", "detect"])
def test_by_a_run_s_recipe(tmp_path: Path, study: str) -> None:
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe": {"name": f"{study}/x"}}))
    assert study_of(str(tmp_path)) == study


def test_by_what_an_exported_file_says(tmp_path: Path) -> None:
    for name, content, study in [
        ("a.onnx", b"\x08max_detections\x12", "detect"),
        ("a.xml", b"<classes/>", "segment"),
        ("b.onnx", b"", "segment"),
    ]:
        (tmp_path / name).write_bytes(content)
        assert study_of(str(tmp_path / name)) == study


def test_a_folder_of_labels_that_ends_like_a_file(tmp_path: Path) -> None:
    (tmp_path / "labels.json").mkdir()
    assert study_of(str(tmp_path / "labels.json")) == "segment"


def test_models_of_both_and_of_neither(tmp_path: Path) -> None:
    assert study_of_models(["frcnn-tiny", "a.json"]) == "detect"
    with pytest.raises(UserError, match="--model frcnn-tiny is a detector and --model street is a"):
        study_of_models(["frcnn-tiny", "street"])
    with pytest.raises(UserError, match="vit13: a classifier"):
        study_of("vit13")
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe": {"name": "classify/tiny"}}))
    with pytest.raises(UserError, match="a run of classify/tiny, a classifier"):
        study_of(str(tmp_path))


def test_data_of_the_other_study() -> None:
    check_data("segment", "streets:scenes=2", "m")
    check_data("detect", "streets:scenes=2", "m")
    check_data("detect", "coco:a.json,b", "m")
    check_data("segment", "camvid:x", "m")
    check_data("detect", "vok2007", "m")  # an unknown kind is named by who opens it
    with pytest.raises(UserError, match="voc2007 has boxes"):
        check_data("segment", "voc2007", "street")
    for spec in ("camvid:x", "cityscapes:x", "folder:x", "labelled:a,b"):
        with pytest.raises(UserError, match="has label images"):
            check_data("detect", spec, "frcnn-tiny")


def test_options_of_the_other_study() -> None:
    refuse_options("detect", {"--map": False})
    with pytest.raises(UserError, match=r"--map: only for a segmentation model.* leave out it"):
        refuse_options("detect", {"--map": True, "--tile": False})
    with pytest.raises(UserError, match=r"--a, --b: only for a detector.* leave out them"):
        refuse_options("segment", {"--a": True, "--b": True})


def test_nothing_heavy_is_imported() -> None:
    script = (
        "import sys\n"
        "from triptych.cli.which_study import study_of\n"
        "study_of('frcnn-tiny'), study_of('vit1'), study_of('street')\n"
        "sys.exit(' '.join({'torch', 'openvino', 'timm', 'av'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr.strip() == ""
