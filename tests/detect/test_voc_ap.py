"""AP by VOC's rules, against the published procedure written out in loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from triptych.data.boxes import Objects, no_objects
from triptych.detect.average_precision import AveragePrecision, Interpolation, mean_over_classes
from triptych.detect.detections import Detections, no_detections
from triptych.detect.items import DetectionItems, Rules
from triptych.detect.matching import FALSE, IGNORED, TRUE, match_voc

Case = Callable[..., DetectionItems]


def devkit_ap(items: DetectionItems, label: int, rule: str, extra: float = 1.0) -> float:
    """`VOCevaldet.m` and `VOCap.m` of the devkit, line by line, in VOC's own coordinates.

    `extra` is the pixel that its widths have more than xmax - xmin.
    """
    gt: list[dict] = []
    npos = 0
    for truth in items.objects:
        mine = truth.labels == label
        voc = truth.boxes[mine].astype(float) + np.array([1, 1, 0, 0])
        hard = truth.difficult[mine] | truth.crowd[mine]
        gt.append({"bb": voc, "diff": hard, "det": [False] * len(voc)})
        npos += int((~hard).sum())
    ids, confidence, bbs = [], [], []
    for image, found in enumerate(items.detections):
        for box, score, kind in zip(found.boxes, found.scores, found.labels, strict=True):
            if kind == label:
                ids.append(image)
                confidence.append(float(score))
                bbs.append(box.astype(float) + np.array([1, 1, 0, 0]))
    order = sorted(range(len(ids)), key=lambda d: -confidence[d])
    tp, fp = [0.0] * len(ids), [0.0] * len(ids)
    for d, row in enumerate(order):
        bb, image = bbs[row], gt[ids[row]]
        ovmax, jmax = -math.inf, -1
        for j, bbgt in enumerate(image["bb"]):
            bi = [
                max(bb[0], bbgt[0]),
                max(bb[1], bbgt[1]),
                min(bb[2], bbgt[2]),
                min(bb[3], bbgt[3]),
            ]
            iw, ih = bi[2] - bi[0] + extra, bi[3] - bi[1] + extra
            if iw > 0 and ih > 0:
                ua = (
                    (bb[2] - bb[0] + extra) * (bb[3] - bb[1] + extra)
                    + (bbgt[2] - bbgt[0] + extra) * (bbgt[3] - bbgt[1] + extra)
                    - iw * ih
                )
                if iw * ih / ua > ovmax:
                    ovmax, jmax = iw * ih / ua, j
        if ovmax >= items.rules.iou:
            if not image["diff"][jmax]:
                if not image["det"][jmax]:
                    tp[d] = 1
                    image["det"][jmax] = True
                else:
                    fp[d] = 1
        else:
            fp[d] = 1
    if npos == 0:
        return math.nan
    rec, prec = [], []
    right = wrong = 0.0
    for t, f in zip(tp, fp, strict=True):
        right, wrong = right + t, wrong + f
        rec.append(right / npos)
        prec.append(right / (right + wrong) if right + wrong else 0.0)
    if rule == "11-point":
        ap = 0.0
        for t in np.arange(0.0, 1.1, 0.1):
            ap += max([p for r, p in zip(rec, prec, strict=True) if r >= t], default=0.0) / 11
        return ap
    mrec, mpre = [0.0, *rec, 1.0], [0.0, *prec, 0.0]
    for i in range(len(mpre) - 2, -1, -1):
        mpre[i] = max(mpre[i], mpre[i + 1])
    return sum(
        (mrec[i] - mrec[i - 1]) * mpre[i] for i in range(1, len(mrec)) if mrec[i] != mrec[i - 1]
    )


@pytest.mark.parametrize("rule", ["area", "11-point"])
@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_equals_the_published_procedure(
    case: Case, seed: int, ties: bool, rule: Interpolation
) -> None:
    items = case(seed, images=3 * seed, ties=ties, crowd=0.1)
    found = AveragePrecision(items.matches(), rule)()
    wanted = [devkit_ap(items, label, rule) for label in range(5)]
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    assert math.isnan(found[4])  # only difficult objects
    present = [value for value in wanted if not math.isnan(value)]
    if present:
        assert mean_over_classes(found) == pytest.approx(np.mean(present))
        assert 0 < mean_over_classes(found) < 1


@pytest.mark.parametrize("seed", range(6))
def test_the_rules_are_obeyed(case: Case, seed: int) -> None:
    usual = case(seed, images=30)
    for rules, extra in ((Rules(plus_one=False), 0.0), (Rules(iou=0.7), 1.0)):
        items = replace(usual, rules=rules)
        found = AveragePrecision(items.matches(), "area")()
        wanted = [devkit_ap(items, label, "area", extra) for label in range(5)]
        np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_limits_are_by_score_over_all_classes(case: Case) -> None:
    items = case(1, images=20, rules=Rules(score_floor=0.3, max_detections=4))
    assert max(len(each) for each in items.detections) == 4
    assert min(each.scores.min() for each in items.detections if len(each)) >= 0.3
    whole = case(1, images=20)
    for few, many in zip(items.detections, whole.detections, strict=True):
        expected = sorted((s for s in many.scores if s >= 0.3), reverse=True)[:4]
        assert few.scores.tolist() == expected


def box(x: float, y: float, width: float = 10, height: float = 10) -> list[float]:
    return [x, y, x + width, y + height]


def one_class(boxes: list[list[float]], difficult: list[bool]) -> Objects:
    return Objects(np.array(boxes, np.float32), np.zeros(len(boxes), np.int64), np.array(difficult))


def found(*rows: tuple[list[float], float]) -> Detections:
    return Detections(
        np.array([row[0] for row in rows], np.float32),
        np.array([row[1] for row in rows]),
        np.zeros(len(rows), np.int64),
    )


def test_duplicates_are_wrong_and_difficult_objects_do_not_count() -> None:
    truth = one_class([box(0, 0), box(50, 0)], [False, True])
    hits = found((box(1, 0), 0.9), (box(0, 0), 0.8), (box(50, 0), 0.7), (box(50, 1), 0.6))
    matches = match_voc([hits], [truth], 1)
    # The surer one is right though the other one fits better; a difficult object takes any number.
    assert matches.state.tolist() == [TRUE, FALSE, IGNORED, IGNORED]
    assert matches.positives.tolist() == [[1]]
    assert AveragePrecision(matches, "area")().tolist() == [1.0]


def test_an_overlap_of_exactly_the_threshold_is_enough() -> None:
    # 10 x 10 and 10 x 5 inside it: exactly one half.
    truth = one_class([box(0, 0)], [False])
    assert match_voc([found((box(0, 0, 10, 5), 1.0))], [truth], 1).state.tolist() == [TRUE]
    assert match_voc([found((box(0, 0, 10, 4.99), 1.0))], [truth], 1).state.tolist() == [FALSE]


def test_without_the_devkits_pixel_boxes_are_smaller() -> None:
    # 10 x 5 in 10 x 10 is a half; 9 x 4 in 9 x 9 is less.
    truth, hit = one_class([box(0, 0)], [False]), found((box(0, 0, 10, 5), 1.0))
    assert match_voc([hit], [truth], 1, 0.5, plus_one=False).state.tolist() == [FALSE]
    assert match_voc([hit], [truth], 1, 4 / 9, plus_one=False).state.tolist() == [TRUE]


def test_what_is_found_on_an_image_without_objects_is_wrong() -> None:
    truth = [one_class([box(0, 0)], [False]), no_objects()]
    alone = AveragePrecision(
        match_voc([found((box(0, 0), 0.5)), no_detections()], truth, 1), "area"
    )
    beside = match_voc([found((box(0, 0), 0.5)), found((box(0, 0), 0.9))], truth, 1)
    assert alone().tolist() == [1.0]
    assert AveragePrecision(beside, "area")().tolist() == [0.5]


@pytest.mark.parametrize("rule", ["area", "11-point", "101-point"])
@pytest.mark.parametrize("seed", range(5))
def test_a_resample_is_the_ap_of_copied_images(case: Case, seed: int, rule: Interpolation) -> None:
    items = case(seed, images=14, ties=False)
    ap = AveragePrecision(items.matches(), rule)
    for number in range(20):
        drawn = np.sort(np.random.default_rng(number).integers(0, 14, 14))
        copied = replace(
            items,
            keys=tuple(map(str, range(14))),
            objects=tuple(items.objects[i] for i in drawn),
            detections=tuple(items.detections[i] for i in drawn),
        )
        weights = np.bincount(drawn, minlength=14).astype(np.float64)
        wanted = AveragePrecision(copied.matches(), rule)()
        np.testing.assert_allclose(ap(weights), wanted, atol=1e-12)


def test_no_images_and_no_detections() -> None:
    assert np.isnan(AveragePrecision(match_voc([], [], 2), "area")()).all()
    truth = one_class([box(0, 0)], [False])
    for rule in ("area", "11-point"):
        assert AveragePrecision(match_voc([no_detections()], [truth], 1), rule)().tolist() == [0.0]
