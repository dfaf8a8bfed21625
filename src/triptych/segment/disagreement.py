"""Where two models differ on the same pictures: how much, in which classes, and in which frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from triptych.data.classes import VOID, ClassSet
from triptych.data.labelled import Image, LabelMap
from triptych.draw import Panel, Sheet, colour, count_labels
from triptych.pictures import write_png
from triptych.segment.frame_table import FrameTable

RULE = (
    "Pixels that either model leaves void are not counted. pixel_agreement: share of the counted "
    "pixels to which both give the same class. IoU of a class: pixels to which both give it, "
    "divided by pixels to which at least one does, summed over all frames; null where neither "
    "gives it anywhere."
)
KEPT = 5
"""Pictures of the most different frames."""
DIFFERENT = np.uint8(255)
"""White stands out from the darkened grey picture, and no class has it."""


@dataclass(frozen=True)
class PairCounts:
    """Pixels by label id, each (256,), of the pixels that neither model leaves void."""

    both: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]

    def __add__(self, other: PairCounts) -> PairCounts:
        return PairCounts(
            self.both + other.both, self.first + other.first, self.second + other.second
        )

    def agreement(self) -> float | None:
        """Share of the counted pixels with the same class; None where there are none."""
        counted = int(self.first.sum())
        return int(self.both.sum()) / counted if counted else None

    def iou(self, classes: ClassSet) -> dict[str, float | None]:
        """Intersection over union of the two models' maps, by class name."""
        union = self.first + self.second - self.both
        return {
            name: int(self.both[label]) / int(union[label]) if union[label] else None
            for label, name in enumerate(classes.names)
        }


def compare(first: LabelMap, second: LabelMap) -> PairCounts:
    """Count where two label maps (H, W) agree and what each says."""
    counted = cv2.bitwise_and(
        cv2.compare(first, VOID, cv2.CMP_NE), cv2.compare(second, VOID, cv2.CMP_NE)
    )
    same = cv2.bitwise_and(cv2.compare(first, second, cv2.CMP_EQ), counted)
    return PairCounts(
        count_labels(first, same), count_labels(first, counted), count_labels(second, counted)
    )


@dataclass(frozen=True, eq=False)
class Compared:
    """One frame as two models see it."""

    name: str
    time: float | None
    """Seconds, in a video."""
    image: Image
    first: LabelMap
    second: LabelMap
    agreement: float


class Disagreement:
    """What two models of the same classes disagree about, written to a folder.

    `frames.csv` has a row per frame: its name, its time, `pixel_agreement`, and the IoU of each
    class within that frame (empty where neither model gives it). The most different frames become
    pictures: input, both models, where they differ; in a video at most one a second, as
    neighbouring frames differ in the same way.

    A context manager: leaving it by an exception removes the unfinished table.
    """

    def __init__(self, folder: Path, names: tuple[str, str], classes: ClassSet) -> None:
        self.folder, self.names, self.classes = folder, names, classes
        self._total = PairCounts(*(np.zeros(256, np.int64) for _ in range(3)))
        self._kept: dict[str | int, Compared] = {}
        """The most different frames, by name or, in a video, by whole second."""
        folder.mkdir(parents=True, exist_ok=True)
        self._table = FrameTable(folder, ["frame", "time", "pixel_agreement", *classes.names])

    def add(
        self,
        name: str,
        time: float | None,
        image: Image,
        labels: tuple[LabelMap, LabelMap],
        counts: PairCounts,
    ) -> None:
        """Note a frame; to be called in order."""
        self._total += counts
        agreement = counts.agreement()
        row = [agreement, *counts.iou(self.classes).values()]
        self._table.add([name, time, *("" if score is None else f"{score:.6f}" for score in row)])
        if agreement is not None:
            self._consider(Compared(name, time, image, *labels, agreement))

    def finish(self) -> dict[str, Any]:
        """Write table and pictures; returns what the summary says of this pair."""
        self._table.finish()
        pictures = []
        for rank, frame in enumerate(self._kept.values(), 1):
            picture = f"{rank}-{frame.name}.png"
            write_png(self.folder / picture, self._picture(frame))
            pictures.append(
                {
                    "frame": frame.name,
                    "time": frame.time,
                    "pixel_agreement": frame.agreement,
                    "picture": f"{self.folder.parent.name}/{self.folder.name}/{picture}",
                }
            )
        return {
            "models": list(self.names),
            "pixel_agreement": self._total.agreement(),
            "IoU": self._total.iou(self.classes),
            "most_different": pictures,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._table.close()

    def _consider(self, frame: Compared) -> None:
        key = frame.name if frame.time is None else int(frame.time)
        before = self._kept.get(key)
        if before is None or frame.agreement < before.agreement:
            self._kept[key] = frame
            ranked = sorted(self._kept.items(), key=lambda item: item[1].agreement)
            self._kept = dict(ranked[:KEPT])

    def _picture(self, frame: Compared) -> Pillow.Image:
        where = frame.name if frame.time is None else f"{frame.name} · {frame.time:.2f} s"
        panels = [
            Panel(where),
            Panel(self.names[0], self.classes),
            Panel(self.names[1], self.classes),
            Panel(f"differ in {1 - frame.agreement:.1%} of the pixels"),
        ]
        sheet = Sheet(panels, *frame.first.shape)
        canvas = sheet.blank()
        sheet.view(canvas, 0)[:] = frame.image
        colour(frame.first, self.classes, sheet.view(canvas, 1))
        colour(frame.second, self.classes, sheet.view(canvas, 2))
        dimmed = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)[..., None] // 2
        void = (frame.first == VOID) | (frame.second == VOID)
        differs = (frame.first != frame.second) & ~void
        sheet.view(canvas, 3)[:] = np.where(differs[..., None], DIFFERENT, dimmed)
        counts = (None, count_labels(frame.first), count_labels(frame.second), None)
        sheet.explain(canvas, counts)
        return Pillow.fromarray(canvas)
