"""The registered weights against what torchvision says of them."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest
from torchvision.models import ResNet18_Weights, ResNet50_Weights, WeightsEnum
from torchvision.models.detection import (
    FasterRCNN_ResNet50_FPN_V2_Weights,
    FasterRCNN_ResNet50_FPN_Weights,
    FCOS_ResNet50_FPN_Weights,
    MaskRCNN_ResNet50_FPN_V2_Weights,
    MaskRCNN_ResNet50_FPN_Weights,
    RetinaNet_ResNet50_FPN_V2_Weights,
    RetinaNet_ResNet50_FPN_Weights,
)

from triptych.backbones.sources import (
    COCO_DETECTORS,
    COCO_MASK_RCNN,
    IMAGENET_RESNET18,
    IMAGENET_RESNET50,
    INIT_WEIGHTS,
    coco_detector,
)
from triptych.weights import Published

THEIRS = {
    IMAGENET_RESNET18.file: ResNet18_Weights.IMAGENET1K_V1,
    IMAGENET_RESNET50.file: ResNet50_Weights.IMAGENET1K_V1,
    COCO_MASK_RCNN.file: MaskRCNN_ResNet50_FPN_Weights.COCO_V1,
}


OF_ALL_CLASSES: tuple[WeightsEnum, ...] = (
    FasterRCNN_ResNet50_FPN_Weights.COCO_V1,
    FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1,
    MaskRCNN_ResNet50_FPN_Weights.COCO_V1,
    MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1,
    RetinaNet_ResNet50_FPN_Weights.COCO_V1,
    RetinaNet_ResNet50_FPN_V2_Weights.COCO_V1,
    FCOS_ResNet50_FPN_Weights.COCO_V1,
)


@pytest.mark.parametrize("ours", [IMAGENET_RESNET18, IMAGENET_RESNET50, COCO_MASK_RCNN])
def test_the_published_files_are_torchvisions(ours: Published) -> None:
    theirs: WeightsEnum = THEIRS[ours.file]
    assert theirs.url == ours.address
    assert ours.address.endswith(ours.file)
    assert ours.sha256 is not None
    assert f"-{ours.sha256[:8]}.pth" in ours.file
    assert ours.source == f"torchvision, {type(theirs).__name__}.{theirs.name}"
    (scores,) = theirs.meta["_metrics"].values()
    names = {"acc@1": "top1", "box_map": "AP", "mask_map": "mask AP"}
    claimed = {names[k]: pytest.approx(v / 100) for k, v in scores.items() if k in names}
    assert ours.claimed == claimed


def test_coco_s_detectors_are_torchvisions_and_so_is_which_have_no_eps() -> None:
    published = {weights.url.rpartition("/")[2]: weights for weights in OF_ALL_CLASSES}
    assert COCO_DETECTORS.keys() == published.keys()
    for file, weights in published.items():
        source = inspect.getsource(inspect.getmodule(type(weights)))  # type: ignore[arg-type]
        name = type(weights).__name__
        assert COCO_DETECTORS[file] == (
            re.search(rf"weights == {name}\.{weights.name}:\n +overwrite_eps", source) is not None
        )
        digits = file.removesuffix(".pth")[-8:]
        assert coco_detector(digits + "0" * 56) == file
    assert coco_detector("0" * 64) is None
    assert COCO_MASK_RCNN.file in COCO_DETECTORS


def test_every_source_has_a_licence_and_importing_them_takes_no_torch() -> None:
    assert all(weights.licence and weights.source for weights in INIT_WEIGHTS.values())
    code = "import sys; import triptych.backbones.sources; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
