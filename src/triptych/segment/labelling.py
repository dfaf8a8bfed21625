"""What labelling a video and labelling pictures share: models, drawing, counting."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from triptych.data.labelled import Image, LabelMap
from triptych.draw import Panel, Sheet, blend, colour, count_labels
from triptych.predicting import Clock, file_names
from triptych.segment.abilities import no_edges
from triptych.segment.disagreement import Disagreement, PairCounts, compare
from triptych.segment.labeller import EdgeLabeller, FrameKey, Labeller

View = Literal["side", "blend", "labels", "edges"]
STAGES = ("decode", "flow", "model", "draw", "encode")
"""Of a pipeline that labels; what its `Clock` tells apart."""


@dataclass(frozen=True)
class PredictOptions:
    """How to show what the models say."""

    view: View = "side"
    """`side`: the input, right of it each model's labels. `blend`: each model's labels over the
    picture. `labels`: each model's labels alone. `edges`: the input, right of it where each model
    sees boundaries, the brighter the more certain."""
    alpha: float = 0.6
    """Weight of the labels' colours in `blend`, 0 to 1."""
    save_labels: bool = False
    """Write label maps as palette PNGs to `labels/MODEL/`."""
    audio: bool = True
    """Keep a video's first audio stream."""
    stability: bool = True
    """Measure how much of a video keeps its class from frame to frame."""
    progress: bool = True
    """Show a progress bar on stderr where that is a terminal."""


@dataclass(frozen=True)
class Labelled:
    """One frame with what every model says of it."""

    image: Image
    labels: list[LabelMap]
    counts: list[NDArray[np.int64]]
    """For each model, pixels by label id (256,)."""
    pairs: list[PairCounts]
    edges: list[NDArray[np.uint8]] = field(default_factory=list)
    """Where boundaries are shown, each model's map of them (H, W), 0 to 255."""


class Labelling:
    """One or more models that label the same frames.

    `label` and `draw` may be called by `workers` threads at once; `note` must be called in order.
    Raises UserError where boundaries are to be shown and a model predicts none.
    """

    def __init__(
        self, labellers: Sequence[Labeller], view: View, alpha: float, clock: Clock
    ) -> None:
        self.labellers = list(labellers)
        if view == "edges":
            for labeller in labellers:
                if not getattr(labeller, "edges", False):
                    raise no_edges(labeller.name)
        self.folders = file_names([labeller.name for labeller in labellers])
        """A name for each model's folders."""
        names = [labeller.name for labeller in labellers]
        self.names = names if len(set(names)) == len(names) else self.folders
        self.workers = 1 + max(labeller.concurrency for labeller in labellers)
        """One more than the models take, so that one draws while the others compute."""
        self.totals = [np.zeros(256, np.int64) for _ in labellers]
        self.frames = 0
        self._seats = [threading.Semaphore(labeller.concurrency) for labeller in labellers]
        self._view, self._alpha, self._clock = view, alpha, clock
        all_pairs = list(itertools.combinations(range(len(self.labellers)), 2))
        self._comparable = [
            (a, b) for a, b in all_pairs if labellers[a].classes == labellers[b].classes
        ]
        self._not_comparable = [pair for pair in all_pairs if pair not in self._comparable]
        self._tables: list[Disagreement] = []

    def compare_in(self, folder: Path, stack: ExitStack) -> None:
        """Write where the models differ to folders below `folder`; `stack` closes them."""
        for a, b in self._comparable:
            place = folder / f"{self.folders[a]}-vs-{self.folders[b]}"
            names = self.names[a], self.names[b]
            table = Disagreement(place, names, self.labellers[a].classes)
            self._tables.append(stack.enter_context(table))

    def label(self, image: Image, key: FrameKey) -> Labelled:
        """What every model says of one picture (H, W, 3)."""
        labels, edges = [], []
        for labeller, seat in zip(self.labellers, self._seats, strict=True):
            with seat, self._clock("model"):
                if self._view == "edges":
                    found = cast(EdgeLabeller, labeller).labels_and_edges(image[None], [key])
                    labels.append(found[0][0])
                    edges.append(found[1][0])
                else:
                    labels.append(labeller.labels(image[None], [key])[0])
        with self._clock("draw"):
            return replace(self.count(image, labels), edges=edges)

    def count(self, image: Image, labels: list[LabelMap]) -> Labelled:
        """One picture with the label maps of the models, counted and compared."""
        counts = [count_labels(each) for each in labels]
        pairs = [compare(labels[a], labels[b]) for a, b in self._comparable]
        return Labelled(image, labels, counts, pairs)

    def sheet(self, title: str, height: int, width: int, shown: Labelled | None = None) -> Sheet:
        """A sheet for pictures of this size; its strips have room for what `shown` shows."""
        panels = [Panel(title)] if self._shows_input else []
        if self._view == "edges":
            return Sheet([*panels, *map(Panel, self.names)], height, width)
        for index, (name, labeller) in enumerate(zip(self.names, self.labellers, strict=True)):
            room = None
            if shown is not None:
                ids = np.flatnonzero(shown.counts[index][: len(labeller.classes)])
                room = tuple(ids.tolist())
            panels.append(Panel(name, labeller.classes, room))
        return Sheet(panels, height, width)

    def draw(self, labelled: Labelled, sheet: Sheet, canvas: Image) -> None:
        """Draw the pictures of one frame, not the strips, onto a canvas of the sheet."""
        first = 0
        if self._shows_input:
            sheet.view(canvas, 0)[:] = labelled.image
            first = 1
        for index, edges in enumerate(labelled.edges):
            sheet.view(canvas, first + index)[:] = edges[..., None]
        if self._view == "edges":
            return
        for index, labels in enumerate(labelled.labels):
            view = sheet.view(canvas, first + index)
            colour(labels, self.labellers[index].classes, view)
            if self._view == "blend":
                blend(labelled.image, view, self._alpha, view)

    def explain(self, counts: Sequence[NDArray[np.int64]], sheet: Sheet, canvas: Image) -> None:
        """Draw the strips: the models' names and the classes that `counts` says occur."""
        plain = [None] if self._shows_input else []
        sheet.explain(canvas, [*plain, *counts])

    @property
    def _shows_input(self) -> bool:
        return self._view in ("side", "edges")

    def note(self, labelled: Labelled, name: str, seconds: float | None = None) -> None:
        """Count a frame; `name` and, in a video, the time in `seconds` say which."""
        self.frames += 1
        for total, counts in zip(self.totals, labelled.counts, strict=True):
            total += counts
        for (a, b), table, pair in zip(self._comparable, self._tables, labelled.pairs, strict=True):
            both = labelled.labels[a], labelled.labels[b]
            table.add(name, seconds, labelled.image, both, pair)

    def describe_models(self) -> list[dict[str, Any]]:
        """Name, classes and share of each class among all pixels, for the summary."""
        result = []
        for name, folder, labeller, total in zip(
            self.names, self.folders, self.labellers, self.totals, strict=True
        ):
            pixels = int(total.sum())
            known = total[: len(labeller.classes)]
            shares = {
                label: int(count) / pixels
                for label, count in zip(labeller.classes.names, known, strict=True)
            }
            void = (pixels - int(known.sum())) / pixels
            result.append(
                {
                    "name": name,
                    "folder": folder,
                    "runtime": getattr(labeller, "runtime", None),
                    "scales": getattr(labeller, "scales", None),
                    "tile": getattr(labeller, "tile", None),
                    "classes": labeller.classes.name,
                    "shares": shares,
                    "void": void,
                }
            )
        return result

    def describe_disagreement(self) -> list[dict[str, Any]]:
        """Finish the comparison of every pair of models, for the summary."""
        result = [table.finish() for table in self._tables]
        for a, b in self._not_comparable:
            sets = self.labellers[a].classes.name, self.labellers[b].classes.name
            why = f"their classes differ: {sets[0]} and {sets[1]}"
            models = [self.names[a], self.names[b]]
            result.append({"models": models, "pixel_agreement": None, "reason": why})
        return result
