"""The table of detectors, what it costs to list it, and names that are refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch

from triptych import model_listing
from triptych.classify.models import names as classifiers
from triptych.detect.models import create, describe, entry, is_name, names, records
from triptych.detect.models.freezing import freeze
from triptych.errors import UserError
from triptych.normalisation import EFFICIENTNET_LITE
from triptych.segment.models import names as segmenters


def test_the_detectors_of_the_study_are_there_under_names_of_their_own() -> None:
    resnets = ("frcnn-r50-c4", "frcnn-r50-fpn", "frcnn-r18-fpn")
    assert names() == (*resnets, "frcnn-lite0-fpn", "frcnn-tiny")
    assert not set(names()) & {*classifiers(), *segmenters()}
    assert is_name("frcnn-r50-c4")
    assert is_name("timm:resnet18")
    assert not is_name("resnet18")


@pytest.mark.parametrize("name", names())
def test_the_table_counts_right(name: str) -> None:
    with torch.device("meta"):
        model = create(name)
    known = entry(name)
    assert known.parameters == sum(p.numel() for p in model.parameters())
    freeze(model, "frozen", 2)
    assert known.trainable == sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_listing_imports_no_torch_and_has_a_line_each() -> None:
    code = (
        "import sys; from triptych.detect import models as m; m.describe(m.records()); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    table = describe(records()).splitlines()
    assert [line.split()[0] for line in table[1 : 1 + len(names())]] == list(names())
    assert "imagenet Apache-2.0, coco Apache-2.0" in table[4]
    assert model_listing.records()["detect"] == records()
    assert describe(records()) in model_listing.describe(model_listing.records())


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"'frcnn-r50'; did you mean frcnn-r50-"):
        entry("frcnn-r50")
    with pytest.raises(UserError, match=r"there are frcnn-r50-c4, .*, or timm:ARCHITECTURE"):
        create("???")
    with pytest.raises(UserError, match=r"no architecture 'resnet81'; did you mean timm:resnet"):
        create("timm:resnet81")
    with pytest.raises(UserError, match="at least one class, not 0"):
        create("frcnn-r18-fpn", 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pad_to": 600}, "pad_to must be a multiple of 32"),
        ({"pad_to": 0}, "pad_to must be a multiple of 32"),
        ({"min_size": 700}, "min_size must be at least 32 and at most max_size"),
        ({"anchor_sizes": ()}, "anchor_sizes must be positive"),
        ({"anchor_sizes": ((16,), (32, 64))}, "anchor_sizes must be positive, with as many"),
        ({"aspect_ratios": (0.0,)}, "aspect_ratios must be positive"),
        ({"nms": 1.5}, "nms must be from 0 to 1"),
        ({"rpn_negative_iou": 0.8}, "rpn_negative_iou must be at most rpn_positive_iou"),
        ({"box_samples": 0}, "box_samples must be at least 1"),
        ({"max_detections": 0}, "max_detections must be at least 1"),
    ],
)
def test_numbers_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(entry("frcnn-r50-c4").settings, **changes)


def test_anchors_for_other_maps_are_refused() -> None:
    with pytest.raises(UserError, match="frcnn-r50-c4 has 1 maps, and anchor_sizes are for 5"):
        create("frcnn-r50-c4", settings=entry("frcnn-r50-fpn").settings)


class TestTimm:
    def test_stages_are_those_of_the_strides(self) -> None:
        model = create("timm:convnext_atto", 3)
        stages = {name.rsplit(".", 1)[0]: stage for name, stage in model.stages.items()}
        assert stages["stem.0"] == "stem"
        wanted = {"stages.0": "layer1", "stages.1": "layer2", "stages.2": "layer3"}
        for name, stage in stages.items():
            if name.startswith("stages."):
                assert stage == wanted.get(name[:8], "layer4"), name

    def test_lites_stages_end_where_the_map_is_taken(self) -> None:
        with torch.device("meta"):
            model = create("frcnn-lite0-fpn")
        stages = {".".join(n.split(".")[:2]): s for n, s in model.stages.items()}
        blocks = [stages[f"blocks.{number}"] for number in range(7)]
        assert stages["conv_stem.weight"] == "stem"
        assert blocks == ["stem", "layer1", "layer2", "layer3", "layer3", "layer4", "layer4"]

    def test_lites_weights_want_their_own_normalisation(self) -> None:
        assert entry("timm:tf_efficientnet_lite2").normalisation == EFFICIENTNET_LITE
        found = entry("timm:resnet18").normalisation
        assert found.mean == pytest.approx((0.485, 0.456, 0.406))
        model = create("frcnn-lite0-fpn", 3)
        grey = model.transform.normalize(torch.full((3, 1, 1), 127 / 255))
        white = model.transform.normalize(torch.ones(3, 1, 1))
        assert grey.abs().max() < 1e-6
        assert white.flatten().tolist() == pytest.approx([1.0] * 3)

    def test_without_a_pyramid_it_is_refused(self) -> None:
        with pytest.raises(UserError, match="no feature maps at strides 4, 8, 16 and 32"):
            create("timm:vit_tiny_patch16_224")

    def test_for_one_size_of_pictures_it_is_refused(self) -> None:
        with pytest.raises(UserError, match="does not take pictures of every size"):
            create("timm:swin_tiny_patch4_window7_224")
