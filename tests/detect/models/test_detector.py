"""The detector against torchvision's own and in the cases on which that stumbles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList

from triptych.detect.models import create
from triptych.detect.models.detector import LOSSES, Detector, Target, losses
from triptych.detect.models.freezing import freeze
from triptych.detect.models.settings import C4, DetectorSettings


def target(*boxes: tuple[float, float, float, float]) -> Target:
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.full((len(boxes),), 2),
    }


def train_losses(model: Detector, images: list[Tensor], wanted: list[Target]) -> dict[str, Tensor]:
    torch.manual_seed(7)
    found = model.train()(images, wanted)
    assert isinstance(found, dict)
    return found


def test_losses_are_finite_and_reach_every_parameter(
    small: Detector, images: list[Tensor], targets: list[Target]
) -> None:
    found = train_losses(small, images, targets)
    assert set(found) == set(LOSSES)
    assert all(torch.isfinite(value) for value in found.values())
    torch.stack(list(found.values())).sum().backward()
    untouched = [n for n, p in small.named_parameters() if p.grad is None or not p.grad.any()]
    # Of the box regressors only those of classes in the targets; the first maps' sides are zero.
    assert untouched == []
    assert all(torch.isfinite(p.grad).all() for p in small.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    "wanted",
    [
        [target(), target()],
        [target(), target((5, 5, 40, 70))],
        [target((5, 5, 5, 40)), target((5, 5, 40, 5))],
        [target((8, 8, 8, 8), (5, 5, 40, 60)), target()],
    ],
    ids=["nothing", "one empty", "no area", "no area among others"],
)
def test_pictures_without_objects_and_boxes_without_area_train(
    small: Detector, wanted: list[Target], images: list[Tensor]
) -> None:
    found = train_losses(small, images, wanted)
    torch.stack(list(found.values())).sum().backward()
    assert all(torch.isfinite(value) for value in found.values())
    assert all(torch.isfinite(p.grad).all() for p in small.parameters() if p.grad is not None)


def test_boxes_without_area_count_as_if_they_were_not_there(
    small: Detector, images: list[Tensor]
) -> None:
    freeze(small, "frozen")
    plain = train_losses(small, images, [target((5, 5, 40, 60)), target()])
    with_more = train_losses(
        small, images, [target((8, 8, 8, 8), (5, 5, 40, 60)), target((1, 2, 30, 2))]
    )
    assert {k: v.item() for k, v in plain.items()} == {k: v.item() for k, v in with_more.items()}


def test_a_batch_with_nothing_to_classify_gives_no_nan(
    small: Detector, images: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: Any) -> tuple[list[Tensor], list[Tensor]]:
        return [torch.zeros(0, 4)] * 2, [torch.zeros(0)] * 2

    monkeypatch.setattr(small.rpn, "filter_proposals", none_left)
    found = train_losses(small, images, [target(), target()])
    assert found["loss_classifier"] == found["loss_box_reg"] == 0
    torch.stack(list(found.values())).sum().backward()
    assert torch.isfinite(found["loss_objectness"])
    assert [len(each["boxes"]) for each in small.eval()(images)] == [0, 0]


def test_without_targets_training_is_refused(
    small: Detector, images: list[Tensor], targets: list[Target]
) -> None:
    with pytest.raises(ValueError, match="targets"):
        small(images)


def test_detections_are_as_the_settings_say(
    images: list[Tensor], small_settings: DetectorSettings
) -> None:
    torch.manual_seed(0)
    settings = replace(small_settings, score_floor=0.2, max_detections=15)
    model = create("frcnn-lite0-fpn", 3, settings=settings).eval()
    with torch.inference_mode():
        found = model(images)
    for each, image in zip(found, images, strict=True):
        assert isinstance(each, dict)
        height, width = image.shape[1:]
        boxes, scores, labels = each["boxes"], each["scores"], each["labels"]
        assert boxes.shape == (len(scores), 4)
        assert 0 < len(scores) <= 15
        assert scores.min() >= 0.2
        assert (scores.diff() <= 0).all()
        assert labels.dtype == torch.int64
        assert set(labels.tolist()) <= {1, 2, 3}
        assert boxes.min() >= 0
        assert (boxes.amax(0) <= torch.tensor([width, height] * 2) + 1e-3).all()


class TestLossesInEvaluation:
    def test_they_are_what_training_gives_where_the_norms_are_frozen(
        self, small: Detector, images: list[Tensor], targets: list[Target]
    ) -> None:
        freeze(small, "frozen")
        wanted = train_losses(small, images, targets)
        found = losses(small, images, targets, seed=7)
        expected = {name: value.item() for name, value in wanted.items()}
        # The RPN is trained by another order of additions than it is evaluated.
        assert {k: v.item() for k, v in found.items()} == pytest.approx(expected, rel=1e-5)

    def test_nothing_changes(
        self, small: Detector, images: list[Tensor], targets: list[Target]
    ) -> None:
        before = {name: value.clone() for name, value in small.state_dict().items()}
        modes = {name: module.training for name, module in small.named_modules()}
        generator = torch.get_rng_state()
        first = losses(small, images, targets, seed=1)
        assert all(torch.equal(v, before[n]) for n, v in small.state_dict().items())
        assert {name: module.training for name, module in small.named_modules()} == modes
        assert torch.equal(torch.get_rng_state(), generator)
        assert not any(value.requires_grad for value in first.values())
        assert first == losses(small, images, targets, seed=1)
        small.eval()
        assert first == losses(small, images, targets, seed=1)
        assert not any(module.training for module in small.modules())

    def test_after_an_error_too(self, small: Detector, images: list[Tensor]) -> None:
        with pytest.raises(KeyError):
            losses(small, images, [{}, {}], seed=1)
        assert small.training
        assert all(module.training for module in small.modules())


def test_in_a_square_a_picture_does_not_depend_on_its_batch(
    small: Detector, images: list[Tensor]
) -> None:
    small.transform.size_divisible = 96
    small.eval()
    with torch.inference_mode():
        together = small(images)
        alone = [small([image])[0] for image in images]
    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, dict)
        assert isinstance(other, dict)
        torch.testing.assert_close(one["boxes"], other["boxes"], atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(one["scores"], other["scores"])


def test_strides_of_a_letterboxed_picture_are_right(small: Detector) -> None:
    from torchvision.ops.poolers import _infer_scale

    # torchvision takes the height without its padding, and finds half the stride.
    assert _infer_scale(torch.zeros(1, 1, 6, 6), [48, 96]) == 1 / 8
    small.transform.size_divisible = 96
    small.eval()([torch.rand(3, 48, 96)])
    assert small.roi_heads.box_roi_pool.scales == [1 / 4, 1 / 8, 1 / 16, 1 / 32]
    mapper = small.roi_heads.box_roi_pool.map_levels
    sides = [torch.tensor([[0.0, 0.0, side, side]]) for side in (20, 60, 112, 90, 300)]
    assert [int(mapper([side])) for side in sides] == [0, 1, 2, 1, 3]


def test_anchors_lie_as_far_apart_as_the_stride_says() -> None:
    generator = create_anchors()

    def spacing(side: int) -> float:
        anchors = generator(ImageList(torch.zeros(1, 3, side, side), [(side, side)]), [cells])
        (first,) = anchors
        return float(first[9, 0] - first[0, 0])

    cells = torch.zeros(1, 1, 38, 38)
    assert spacing(C4.pad_to) == 16
    assert spacing(600) == 15


def create_anchors() -> Callable[..., Any]:
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    anchors: Callable[..., Any] = AnchorGenerator(C4.anchor_sizes, (C4.aspect_ratios,))
    return anchors


def test_under_bfloat16_boxes_keep_their_precision(
    small: Detector, images: list[Tensor], targets: list[Target]
) -> None:
    small.eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        (found, _) = small(images)
    assert isinstance(found, dict)
    boxes = found["boxes"]
    assert boxes.dtype == found["scores"].dtype == torch.float32
    inside = boxes[(boxes > 16) & (boxes < 59)]
    assert (inside != inside.bfloat16().float()).float().mean() > 0.9
    small.train()
    with torch.autocast("cpu", torch.bfloat16):
        terms = small(images, targets)
    assert isinstance(terms, dict)
    assert all(torch.isfinite(value) and value.dtype == torch.float32 for value in terms.values())


@pytest.mark.parametrize("shape", [(2, 700), (1, 300), (900, 1), (3, 257)])
def test_a_picture_that_is_all_length_is_looked_at_too(
    small: Detector, shape: tuple[int, int]
) -> None:
    small.eval()
    with torch.no_grad():
        flat, plain = small([torch.rand(3, *shape), torch.rand(3, 96, 128)])
    assert len(plain["boxes"]) > 0
    height, width = shape
    assert bool((flat["boxes"][:, 2] <= width).all())
    assert bool((flat["boxes"][:, 3] <= height).all())
