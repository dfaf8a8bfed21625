"""Labelling a video: decode, flow, models, drawing and encoding side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from triptych.data.class_record import write_classes
from triptych.data.labelled import Image
from triptych.progress import bar
from triptych.segment.flow import Grey, motion_between, reduced_grey
from triptych.segment.labeller import FrameKey
from triptych.segment.labelling import Clock, Labelled, Labelling, PredictOptions
from triptych.segment.pictures import write_labels
from triptych.segment.results_folder import LABELS, STABILITY
from triptych.segment.stability import RULE, Seen, Stability, look
from triptych.training.memory import keep_memory
from triptych.video import Frame, VideoReader, VideoWriter, run_side_by_side


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
    target = out / f"{source.stem}.mp4"
    # Canvases are used again: the strips and the background need not be drawn for every frame.
    canvases: SimpleQueue[Image] = SimpleQueue()

    with ExitStack() as stack:
        reader = stack.enter_context(VideoReader(source))
        sheet = labelling.sheet(source.name, reader.height, reader.width)
        label_folders = (
            [part / LABELS / name for name in labelling.folders] if options.save_labels else []
        )
        for folder, labeller in zip(label_folders, labelling.labellers, strict=False):
            folder.mkdir(parents=True)
            write_classes(folder, labeller.classes)
        writer = stack.enter_context(
            VideoWriter(
                target,
                sheet.height,
                sheet.width,
                reader.rate,
                time_base=reader.time_base,
                colorspace=reader.colorspace,
                sound_of=reader if options.audio else None,
            )
        )
        progress = stack.enter_context(
            bar("labelling", reader.expected_frames, unit="frames", show=options.progress)
        )

        def read() -> Iterator[_Input]:
            before = grey = None
            for frame in clock.each("decode", reader):
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
                try:
                    canvas = canvases.get_nowait()
                except Empty:
                    canvas = sheet.blank()
                labelling.draw(labelled, sheet, canvas)
            with clock("encode"):
                for folder, labeller, labels in zip(
                    label_folders, labelling.labellers, labelled.labels, strict=False
                ):
                    write_labels(folder / f"{_number(frame)}.png", labels, labeller.classes)
            return _Output(frame, labelled, seen, canvas)

        def sink(done: _Output) -> None:
            name, time = _number(done.frame), round(float(done.frame.time), 6)
            labelled, canvas = done.labelled, done.canvas
            labelling.note(labelled, name, time)
            if stability is not None and done.seen is not None:
                with clock("flow"):
                    stability.add(name, time, labelled.image, labelled.labels, done.seen)
            with clock("draw"):
                labelling.explain(labelling.totals, sheet, canvas)
            with clock("encode"):
                writer.write(canvas, done.frame.time, done.frame.duration)
            canvases.put(canvas)
            progress.advance()

        run_side_by_side(read(), work, sink, workers=labelling.workers)

    lost, how = reader.lost()
    sound = writer.audio
    return {
        "outputs": [target.name],
        "size": [sheet.width, sheet.height],
        "stream": reader.description,
        "audio": None if sound is None else {"codec": sound.codec, "copied": sound.copied},
        "frames_lost": lost,
        "frames_lost_rule": how,
        "skipped": [],
        "warnings": reader.warnings + ([] if sound is None else sound.warnings),
    }


def _number(frame: Frame) -> str:
    return f"{frame.index:06d}"
