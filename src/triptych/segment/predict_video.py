"""Labelling a video: decode, flow, models, drawing and encoding side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.data.class_record import write_classes
from triptych.data.labelled import Image
from triptych.predicting import Clock, VideoJob, frame_name
from triptych.segment.flow import Grey, motion_between, reduced_grey
from triptych.segment.labeller import FrameKey
from triptych.segment.labelling import Labelled, Labelling, PredictOptions
from triptych.segment.pictures import write_labels
from triptych.segment.results_folder import LABELS, STABILITY
from triptych.segment.stability import RULE, Seen, Stability, look
from triptych.training.memory import keep_memory
from triptych.video import Frame, run_side_by_side


@dataclass(frozen=True, eq=False)
class _Input:
    frame: Frame
    grey: Grey | None
    """For the flow; None where no stability is wanted."""
    grey_before: Grey | None
    """Of the frame before; None for the first one too."""


@dataclass(frozen=True, eq=False)
class _Output:
    frame: Frame
    labelled: Labelled
    seen: Seen | None
    canvas: Image


def label_video(
    source: Path,
    labelling: Labelling,
    out: Path,
    part: Path,
    options: PredictOptions,
    clock: Clock,
) -> dict[str, Any]:
    """Label the video `source` into `out`; returns what the summary says of it.

    All but the video goes to folders below `part`.
    """
    keep_memory()  # every frame's arrays would come from the kernel anew
    if not options.stability:
        return _label(source, labelling, out, part, options, clock, None)
    classes = [labeller.classes for labeller in labelling.labellers]
    with Stability(part / STABILITY, labelling.names, labelling.folders, classes) as stability:
        told = _label(source, labelling, out, part, options, clock, stability)
        return {**told, "stability_rule": RULE, "stability": stability.finish()}


def _label(
    source: Path,
    labelling: Labelling,
    out: Path,
    part: Path,
    options: PredictOptions,
    clock: Clock,
    stability: Stability | None,
) -> dict[str, Any]:
    job = VideoJob(
        source,
        out,
        lambda height, width: labelling.sheet(source.name, height, width),
        clock=clock,
        audio=options.audio,
        title="labelling",
        progress=options.progress,
    )
    with job:
        sheet = job.sheet
        label_folders = (
            [part / LABELS / name for name in labelling.folders] if options.save_labels else []
        )
        for folder, labeller in zip(label_folders, labelling.labellers, strict=False):
            folder.mkdir(parents=True)
            write_classes(folder, labeller.classes)

        def read() -> Iterator[_Input]:
            before = grey = None
            for frame in job.frames():
                if stability is not None:
                    with clock("flow"):
                        grey = reduced_grey(frame.image)
                yield _Input(frame, grey, before)
                before = grey

        def work(item: _Input) -> _Output:
            frame, seen = item.frame, None
            labelled = labelling.label(frame.image, FrameKey(source.stem, frame.index))
            if item.grey is not None:
                with clock("flow"):
                    before = item.grey_before
                    motion = None if before is None else motion_between(before, item.grey)
                    seen = look(labelled.labels, item.grey, motion)
            with clock("draw"):
                canvas = job.canvas()
                labelling.draw(labelled, sheet, canvas)
            with clock("encode"):
                for folder, labeller, labels in zip(
                    label_folders, labelling.labellers, labelled.labels, strict=False
                ):
                    write_labels(folder / f"{frame_name(frame)}.png", labels, labeller.classes)
            return _Output(frame, labelled, seen, canvas)

        def sink(done: _Output) -> None:
            name, time = frame_name(done.frame), round(float(done.frame.time), 6)
            labelled, canvas = done.labelled, done.canvas
            labelling.note(labelled, name, time)
            if stability is not None and done.seen is not None:
                with clock("flow"):
                    stability.add(name, time, labelled.image, labelled.labels, done.seen)
            with clock("draw"):
                labelling.explain(labelling.totals, sheet, canvas)
            job.write(done.frame, canvas)

        run_side_by_side(read(), work, sink, workers=labelling.workers)
    return job.told()
