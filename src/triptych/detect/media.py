"""Pictures of an evaluation: what was found, the surest wrong detections, the missed objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from triptych.data.boxes import DetectionData, Objects
from triptych.data.labelled import Image
from triptych.detect.detections import Detections, no_detections
from triptych.detect.draw import draw_boxes
from triptych.detect.items import DetectionItems
from triptych.detect.mistakes import Box, missed_objects, wrong_detections
from triptych.evaluation_folder import CAPTIONS, MEDIA, media_name

EACH = 8
"""Pictures of each kind."""
SURE = 0.5
"""Score from which a detection is drawn, and from which an object counts as found."""
_SIDE = 640
"""Longest side in pixels of what is written."""


def write_media(folder: Path, items: DetectionItems, data: DetectionData) -> None:
    """Write `media/` into an evaluation's folder: pictures, and `captions.json` with what each is.

    `found`: pictures evenly over the split, with all detections from a score of 0.5 on and,
    dashed, the objects. `wrong`: the surest wrong detections, at most one a picture. `missed`:
    objects that nothing found, the largest first, at most one a picture.
    """
    media = folder / MEDIA
    media.mkdir()
    captions: dict[str, str] = {}
    for kind, index, picture, caption in _pictures(items, data):
        # By the image's name: what two detectors make of one image has one name.
        name = f"{kind}-{media_name(items.keys[index])}.jpg"
        shown = Pillow.fromarray(picture)
        shown.thumbnail((_SIDE, _SIDE))
        shown.save(media / name, quality=88)
        captions[name] = caption
    text = json.dumps(captions, indent=2, ensure_ascii=False) + "\n"
    (media / CAPTIONS).write_text(text, encoding="utf-8")


def _pictures(items: DetectionItems, data: DetectionData) -> Iterator[tuple[str, int, Image, str]]:
    """Kind, index of the image, the drawn picture (H, W, 3), and what it shows."""
    count = len(items.keys)
    for index in np.unique(np.linspace(0, count - 1, min(EACH, count)).astype(int)).tolist():
        found, truth = items.detections[index], items.objects[index]
        drawn = draw_boxes(data.load(index)[0], items.classes, found, truth, score=SURE)
        sure = int((found.scores >= SURE).sum())
        yield "found", index, drawn, f"{sure} detections from {SURE:g} on, {len(truth)} objects"
    place = {key: index for index, key in enumerate(items.keys)}
    labels = {name: label for label, name in enumerate(items.classes)}
    seen: set[str] = set()
    for wrong in wrong_detections(items, most=20 * EACH):
        if wrong.key in seen or len(seen) == EACH:
            continue
        seen.add(wrong.key)
        index = place[wrong.key]
        alone = _alone(wrong.box, labels[wrong.name], wrong.score)
        drawn = draw_boxes(
            data.load(index)[0], items.classes, alone, items.objects[index], score=0.0
        )
        other = f" ({wrong.other})" if wrong.other else ""
        yield "wrong", index, drawn, f"{wrong.name} {wrong.score:.2f}: {wrong.kind}{other}"
    seen = set()
    for missed in missed_objects(items, SURE, most=20 * EACH):
        if missed.key in seen or len(seen) == EACH:
            continue
        seen.add(missed.key)
        index = place[missed.key]
        box = np.array([missed.box], np.float32)
        truth = Objects(box, np.array([labels[missed.name]]))
        drawn = draw_boxes(
            data.load(index)[0], items.classes, items.detections[index], truth, score=SURE
        )
        best = "nothing found it" if missed.score is None else f"found with {missed.score:.2f}"
        yield "missed", index, drawn, f"{missed.name}: {best}"


def _alone(box: Box, label: int, score: float) -> Detections:
    if not np.isfinite(score):
        return no_detections()
    return Detections(np.array([box], np.float32), np.array([score]), np.array([label]))
