"""Does a labelling hold still? How much of a video keeps its class from frame to frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.data.classes import VOID, ClassSet
from triptych.data.labelled import Image, LabelMap
from triptych.draw import count_labels
from triptych.pictures import write_png
from triptych.segment.flow import Grey, Motion, Places, grid
from triptych.segment.frame_table import FrameTable
from triptych.segment.stability_pictures import Moment, moment_picture, over_time

RULE = (
    "Optical flow follows the pixels of each frame, at reduced size, to the next one; those that "
    "are surely found again (flow there and back agree, same brightness) and that are not void in "
    "either frame are counted. A pixel keeps its class where its class occurs within one pixel of "
    "the place it moved to, and the class there within one pixel of where it came from. "
    "consistency: share of the counted pixels that keep their class, of all frames; by_class: by "
    "the class in the earlier frame, null where it never occurs. Of pairs of frames with less "
    "than a quarter of the pixels followed (a cut, a blur) nothing is said: frames_not_judged. "
    "It says nothing about being right: a constant labelling is perfectly stable."
)
JUDGED = 0.25
"""Share of the pixels that must be followed: across a cut up to 0.22 were, by chance (streets)."""
KEPT = 3
"""Seconds of each model that are named, with a picture."""


def sample(labels: LabelMap, places: Places) -> LabelMap:
    """The labels (H, W) at `places` of a reduced frame, (h, w); void outside the picture."""
    height, width = labels.shape
    small_height, small_width = places[0].shape
    across, down = np.float32(width / small_width), np.float32(height / small_height)
    half = np.float32(0.5)
    x, y = (places[0] + half) * across - half, (places[1] + half) * down - half
    found = cv2.remap(
        labels, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=VOID
    )
    return np.asarray(found, np.uint8)


@dataclass(frozen=True, eq=False)
class Change:
    """What became of one model's labels from a frame to the next."""

    counted: NDArray[np.int64]
    kept: NDArray[np.int64]
    """Pixels by the class that they had, (256,)."""
    changed: NDArray[np.bool_]
    """Pixels (h, w) of the earlier frame that were counted and not kept."""

    @property
    def consistency(self) -> float | None:
        """Share of the counted pixels that keep their class; None where there are none."""
        return _share(int(self.kept.sum()), int(self.counted.sum()))


def change_between(before: LabelMap, after: LabelMap, followed: NDArray[np.bool_]) -> Change:
    """Compare labels (h, w) with those at the places to which their pixels moved, (h, w)."""
    counted = followed & (before != VOID) & (after != VOID)
    changed = counted & ~(_occurs_near(before, after) & _occurs_near(after, before))
    kept = counted & ~changed
    counts = [count_labels(before, each.view(np.uint8)) for each in (counted, kept)]
    return Change(counts[0], counts[1], changed)


def _occurs_near(labels: LabelMap, others: LabelMap) -> NDArray[np.bool_]:
    """Where a label (h, w) occurs among the others within one pixel of its place.

    Outlines fall between pixels, so that one pixel there says nothing about the labels.
    """
    height, width = labels.shape
    padded = cv2.copyMakeBorder(others, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    found = np.zeros(labels.shape, np.bool_)
    for top in range(3):
        for left in range(3):
            found |= labels == padded[top : top + height, left : left + width]
    return found


@dataclass(frozen=True, eq=False)
class Seen:
    """The models' labels of one frame at the size of the flow."""

    here: list[LabelMap]
    """At the frame's own pixels, for the frame that follows."""
    moved: list[LabelMap]
    """At the places to which the pixels of the frame before moved; empty for the first frame."""
    motion: Motion | None
    """From the frame before; None for the first frame."""


def look(labels: Sequence[LabelMap], grey: Grey, motion: Motion | None) -> Seen:
    """Sample the models' label maps (H, W) of a frame; may run for several frames at once."""
    own = grid(grey.shape)
    here = [sample(each, own) for each in labels]
    moved = [] if motion is None else [sample(each, motion.places) for each in labels]
    return Seen(here, moved, motion)


@dataclass(frozen=True, eq=False)
class _Frame:
    name: str
    time: float
    image: Image
    labels: Sequence[LabelMap]
    seen: Seen


class Stability:
    """How stable each model's labels of a video are, written to a folder.

    `frames.csv` has a row per frame from the second on: name, time, share of the pixels that
    could be followed from the frame before, and each model's consistency (empty where it is not
    judged); `over-time.png` shows it. The least stable seconds of each model become pictures in
    a folder of its name: the moment in them when most changes.

    A context manager: leaving it by an exception removes the unfinished table.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        folders: Sequence[str],
        classes: Sequence[ClassSet],
    ) -> None:
        """`names` are shown, `folders` are fit for files; one each a model."""
        self.folder, self.names, self.folders = folder, list(names), list(folders)
        self.classes = list(classes)
        self._tallies = [_Tally() for _ in names]
        self._before: _Frame | None = None
        self._judged = self._not_judged = 0
        self._times: list[float] = []
        self._history: list[list[float | None]] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._table = FrameTable(folder, ["frame", "time", "followed", *self.names])

    def add(
        self, name: str, time: float, image: Image, labels: Sequence[LabelMap], seen: Seen
    ) -> None:
        """Note a frame at `time` in seconds; to be called in order."""
        frame, before = _Frame(name, time, image, labels, seen), self._before
        self._before = frame
        if before is None or seen.motion is None:
            return
        followed = float(seen.motion.followed.mean())
        scores: list[float | None] = [None] * len(self.names)
        if followed >= JUDGED:
            self._judged += 1
            for index, tally in enumerate(self._tallies):
                change = change_between(
                    before.seen.here[index], seen.moved[index], seen.motion.followed
                )
                scores[index] = change.consistency
                tally.add(change, _moment(before, frame, index, change))
        else:
            self._not_judged += 1
        self._times.append(time)
        self._history.append(scores)
        cells = ("" if score is None else f"{score:.6f}" for score in scores)
        self._table.add([name, time, f"{followed:.4f}", *cells])

    def finish(self) -> list[dict[str, Any]]:
        """Write table and pictures; returns what the summary says of each model."""
        self._table.finish()
        result = []
        for index, tally in enumerate(self._tallies):
            tally.close_second()
            result.append(
                {
                    "model": self.names[index],
                    "consistency": tally.consistency,
                    "by_class": {
                        name: _share(int(tally.kept[label]), int(tally.counted[label]))
                        for label, name in enumerate(self.classes[index].names)
                    },
                    "frames_judged": self._judged,
                    "frames_not_judged": self._not_judged,
                    "worst_seconds": self._write_worst(index, tally.worst),
                }
            )
        overall = [tally.consistency for tally in self._tallies]
        picture = over_time(self.names, overall, self._times, self._history)
        write_png(self.folder / "over-time.png", picture)
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._table.close()

    def _write_worst(self, index: int, seconds: Sequence[_Second]) -> list[dict[str, Any]]:
        place = self.folder / self.folders[index]
        told = []
        for rank, second in enumerate(seconds, 1):
            moment = second.moment
            place.mkdir(exist_ok=True)
            file = place / f"{rank}-{moment.name}.png"
            write_png(file, moment_picture(moment, self.names[index], self.classes[index]))
            told.append(
                {
                    "from": second.start,
                    "to": second.start + 1,
                    "consistency": second.kept / second.counted,
                    "frame": moment.name,
                    "time": moment.time,
                    "frame_consistency": moment.consistency,
                    "picture": file.relative_to(self.folder.parent).as_posix(),
                }
            )
        return told


@dataclass
class _Second:
    """The frames of one whole second of the video."""

    start: int
    counted: int
    kept: int
    moment: Moment
    """When most changed."""


class _Tally:
    """What one model's labels did so far."""

    def __init__(self) -> None:
        self.counted = np.zeros(256, np.int64)
        self.kept = np.zeros(256, np.int64)
        self.worst: list[_Second] = []
        """The least stable of the seconds that are over, in order; only where something changed."""
        self._second: _Second | None = None

    @property
    def consistency(self) -> float | None:
        return _share(int(self.kept.sum()), int(self.counted.sum()))

    def add(self, change: Change, moment: Moment | None) -> None:
        self.counted += change.counted
        self.kept += change.kept
        if moment is None:
            return
        counted, kept = int(change.counted.sum()), int(change.kept.sum())
        start = math.floor(moment.time)
        if self._second is None or self._second.start != start:
            self.close_second()
            self._second = _Second(start, counted, kept, moment)
            return
        self._second.counted += counted
        self._second.kept += kept
        if moment.consistency < self._second.moment.consistency:
            self._second.moment = moment

    def close_second(self) -> None:
        second, self._second = self._second, None
        if second is not None and second.kept < second.counted:
            self.worst.append(second)
            self.worst.sort(key=lambda each: each.kept / each.counted)
            del self.worst[KEPT:]


def _moment(before: _Frame, after: _Frame, index: int, change: Change) -> Moment | None:
    """One model's labels of two frames, to be shown if need be; None where none were counted."""
    if change.consistency is None or after.seen.motion is None:
        return None
    return Moment(
        after.name,
        after.time,
        before.image,
        before.labels[index],
        after.labels[index],
        change.changed,
        after.seen.motion.followed,
        change.consistency,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
