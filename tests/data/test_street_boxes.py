"""Street scenes to detect in: boxes against the pixels that they are around."""

from __future__ import annotations

import numpy as np
import pytest

from triptych.data.classes import CITYSCAPES
from triptych.data.open_detection import open_detection
from triptych.data.street_boxes import CLASSES, LEAST_SHARE, LEAST_SIDE
from triptych.data.streets import Streets
from triptych.errors import UserError

SPEC = "streets:scenes=2,frames=2,size=192x96,seed=3"


def test_boxes_are_around_the_pixels_of_instances() -> None:
    data = open_detection(SPEC, "train")
    frames = Streets("train", 2, 2, (96, 192), 3)
    assert data.keys == frames.keys
    assert len(set(data.groups or ())) == 2
    seen: set[str] = set()
    flags = set()
    for index in range(len(data)):
        image, objects = data.load(index)
        np.testing.assert_array_equal(image, frames.load(index)[0])
        frame = frames.frame(index)
        wanted = []
        for number in np.unique(frame.instances[frame.instances > 0]):
            where = frame.instances == number
            name = CITYSCAPES.names[int(np.bincount(frame.labels[where]).argmax())]
            if name not in CLASSES:
                continue
            rows, columns = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
            box = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            wide, high = box[2] - box[0], box[3] - box[1]
            hard = min(wide, high) < LEAST_SIDE or where.sum() < LEAST_SHARE * wide * high
            wanted.append((*box, name, bool(hard)))
        found = [
            (*box.tolist(), CLASSES[label], bool(hard))
            for box, label, hard in zip(
                objects.boxes, objects.labels, objects.difficult, strict=True
            )
        ]
        assert found == wanted
        seen |= {row[4] for row in found}
        flags |= {row[5] for row in found}
    assert {"car", "person"} <= seen
    assert flags == {True, False}


def test_splits_share_no_scene_and_are_known_by_content() -> None:
    train, val = (open_detection(SPEC, split) for split in ("train", "val"))
    assert not set(train.groups or ()) & set(val.groups or ())
    assert train.fingerprint() == open_detection(SPEC, "train").fingerprint() != val.fingerprint()
    with pytest.raises(UserError, match="no split 'all'"):
        open_detection(SPEC, "all")
