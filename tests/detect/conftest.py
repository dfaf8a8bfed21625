"""Random pictures with objects and detections that a detector might give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.data.boxes import Objects, no_objects
from triptych.detect.detections import Detections, no_detections
from triptych.detect.items import DetectionItems, Rules

Case = Callable[..., DetectionItems]


def _objects(rng: np.random.Generator, classes: int, difficult: float, crowd: float) -> Objects:
    count = int(rng.integers(0, 7))
    if not count:
        return no_objects()
    low = rng.integers(0, 120, (count, 2))
    boxes = np.concatenate([low, low + rng.integers(4, 100, (count, 2))], axis=1)
    labels = rng.integers(0, classes, count)
    flags = rng.random((2, count)) < [[difficult], [crowd]]
    # The last class is never anything but difficult.
    flags[0] |= labels == classes - 1
    return Objects(boxes.astype(np.float32), labels, flags[0], flags[1] & ~flags[0])


def _detections(rng: np.random.Generator, truth: Objects, classes: int, ties: bool) -> Detections:
    count = int(rng.integers(0, 16))
    if not count:
        return no_detections()
    low = rng.integers(0, 120, (count, 2))
    boxes = np.concatenate([low, low + rng.integers(1, 100, (count, 2))], axis=1).astype(np.float32)
    labels = rng.integers(0, classes, count)
    if len(truth):
        near = rng.random(count) < 0.7
        which = rng.integers(0, len(truth), count)
        boxes[near] = (truth.boxes[which] + rng.integers(-9, 10, (count, 4)))[near]
        labels[near] = truth.labels[which][near]
    # Some are exactly an object, some have no area.
    boxes[:1] = truth.boxes[:1] if len(truth) else boxes[:1]
    boxes[-1, 2:] = boxes[-1, :2]
    scores = rng.integers(0, 6, count) / 8 if ties else rng.random(count)
    return Detections(boxes, scores, labels)


@pytest.fixture
def case() -> Case:
    """(seed, images, classes, …) → items of a random evaluation."""

    def make(
        seed: int, images: int = 12, classes: int = 5, ties: bool = True,
        difficult: float = 0.2, crowd: float = 0.0, rules: Rules | None = None,
    ) -> DetectionItems:  # fmt: skip
        rng = np.random.default_rng(seed)
        rules = rules or Rules()
        objects = [_objects(rng, classes, difficult, crowd) for _ in range(images)]
        found = [_detections(rng, truth, classes, ties) for truth in objects]
        return DetectionItems(
            tuple(f"{number:06d}" for number in range(images)),
            None,
            tuple("abcdefghijklmnopqrstuvwxyz"[:classes]),
            tuple(objects),
            tuple(each.limited(rules.score_floor, rules.max_detections) for each in found),
            rules,
        )

    return make


@pytest.fixture(scope="session")
def boxed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a new folder `vocxml:` of pictures of 96x64 with coloured rectangles, so many in each
    split; every fourth picture is empty, and every third has a difficult object."""

    def made(**splits: int) -> Path:
        root = tmp_path_factory.mktemp("boxed")
        rng = np.random.default_rng(3)
        for split, count in splits.items():
            (root / split).mkdir()
            for number in range(count):
                pixels = rng.integers(90, 130, (64, 96, 3), np.uint8)
                things = []
                for index in range(0 if number % 4 == 3 else 2):
                    x, y = int(rng.integers(0, 60)), int(rng.integers(0, 36))
                    name = ("blue", "red")[index]
                    pixels[y : y + 26, x : x + 34] = ((0, 0, 255), (255, 0, 0))[index]
                    hard = int(number % 3 == 2 and index == 1)
                    corners = zip(
                        ("xmin", "ymin", "xmax", "ymax"),
                        (x + 1, y + 1, x + 34, y + 26),
                        strict=True,
                    )
                    box = "".join(f"<{tag}>{value}</{tag}>" for tag, value in corners)
                    things.append(
                        f"<object><name>{name}</name><difficult>{hard}</difficult>"
                        f"<bndbox>{box}</bndbox></object>"
                    )
                Image.fromarray(pixels).save(root / split / f"{number:02d}.png")
                size = "<size><width>96</width><height>64</height><depth>3</depth></size>"
                text = f"<annotation>{size}{''.join(things)}</annotation>"
                (root / split / f"{number:02d}.xml").write_text(text)
        return root

    return made
