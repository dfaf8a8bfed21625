"""C4 and FPN on ResNets against torchvision's networks with the same weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.detection import FasterRCNN, fasterrcnn_resnet50_fpn
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from triptych.detect.models import create, entry
from triptych.detect.models.detector import Detector, Target, losses
from triptych.detect.models.freezing import freeze
from triptych.detect.models.resnet import resnet_c4


def with_statistics(model: nn.Module) -> nn.Module:
    """BatchNorm statistics and weights other than those at the start."""
    for each in model.modules():
        if isinstance(each, nn.BatchNorm2d):
            assert each.running_mean is not None
            assert each.running_var is not None
            each.running_mean.normal_(0, 0.1)
            each.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(each.weight, 0.3, 0.7)
    return model


def test_the_trunk_of_c4_is_torchvisions_resnet_50() -> None:
    torch.manual_seed(2)
    model = create("frcnn-r50-c4", 3).eval()
    with_statistics(model)
    with torch.device("meta"):
        theirs = resnet50()
    theirs.fc = nn.Identity()
    theirs.to_empty(device="cpu").eval()
    own = model.state_dict()
    theirs.load_state_dict({name: own[ours] for name, ours in model.trunk.items()}, strict=True)
    pictures = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(pictures))))
        shared = theirs.layer3(theirs.layer2(theirs.layer1(x)))
        (ours,) = model.backbone(pictures).values()
        torch.testing.assert_close(ours, shared)
        assert ours.shape == (1, 1024, 4, 6)
        torch.testing.assert_close(model.roi_heads.box_head(ours), theirs(pictures))


def test_a_small_c4_trains_and_detects(images: list[Tensor], targets: list[Target]) -> None:
    small = replace(
        entry("frcnn-r50-c4").settings, min_size=96, max_size=96, pad_to=96, box_samples=16
    )
    known = replace(entry("frcnn-r50-c4"), trunk="resnet18", settings=small)
    torch.manual_seed(0)
    model = resnet_c4(known, 3, small)
    found = model(images, targets)
    assert isinstance(found, dict)
    total = torch.stack(list(found.values())).sum()
    total.backward()
    assert torch.isfinite(total)
    assert all(p.grad is not None for p in model.parameters())
    assert all(torch.isfinite(v) for v in losses(model, images, targets, seed=1).values())
    with torch.inference_mode():
        for each in model.eval()(images):
            assert isinstance(each, dict)
            assert each["boxes"].shape == (len(each["scores"]), 4)


def test_names_and_shapes_are_torchvisions_fasterrcnn_resnet50_fpn() -> None:
    with torch.device("meta"):
        ours = create("frcnn-r50-fpn", 90).state_dict()
        theirs = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=91)
    wanted = {name: value.shape for name, value in theirs.state_dict().items()}
    shapes = {name: value.shape for name, value in ours.items()}
    assert {n: s for n, s in shapes.items() if not n.endswith("num_batches_tracked")} == {
        n: s for n, s in wanted.items() if not n.endswith("num_batches_tracked")
    }


@pytest.fixture(scope="module")
def both() -> tuple[Detector, FasterRCNN]:
    """Our detector and torchvision's on ResNet-18 with the same weights and settings."""
    settings = replace(entry("frcnn-r50-fpn").settings, min_size=64, max_size=96, score_floor=0.0)
    torch.manual_seed(4)
    ours = create("frcnn-r18-fpn", 3, settings=settings)
    with_statistics(ours)
    backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None, trainable_layers=5)
    theirs = FasterRCNN(backbone, 4, min_size=64, max_size=96, box_score_thresh=0.0)
    state = ours.state_dict()
    theirs.load_state_dict({n: v for n, v in state.items() if "num_batches" not in n}, strict=True)
    return ours, theirs


def test_fpn_detects_what_torchvisions_does(
    both: tuple[Detector, FasterRCNN], images: list[Tensor]
) -> None:
    ours, theirs = both
    with torch.inference_mode():
        found, wanted = ours.eval()(images), theirs.eval()(images)
    for one, other in zip(found, wanted, strict=True):
        assert isinstance(one, dict)
        assert len(other["boxes"]) == 100
        torch.testing.assert_close(one["scores"], other["scores"])
        torch.testing.assert_close(one["boxes"], other["boxes"], atol=1e-3, rtol=1e-4)
        assert torch.equal(one["labels"], other["labels"])


def test_fpn_with_frozen_norms_has_torchvisions_losses(
    both: tuple[Detector, FasterRCNN], images: list[Tensor], targets: list[Target]
) -> None:
    ours, theirs = both
    freeze(ours, "frozen")
    torch.manual_seed(6)
    found = ours.train()(images, targets)
    torch.manual_seed(6)
    wanted = theirs.train()(images, targets)
    assert isinstance(found, dict)
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, msg=name)
