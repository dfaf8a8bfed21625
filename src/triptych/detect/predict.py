"""`triptych predict` for detectors: boxes drawn on a video or pictures, by one or several."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import av

from triptych.aside import aside, made
from triptych.detect.detections import Predictor
from triptych.detect.drawing import STAGES, Drawing, Found
from triptych.detect.results_writing import RESULTS, ResultsWriter
from triptych.errors import UserError
from triptych.predicting import (
    Clock,
    Picture,
    VideoJob,
    check_places,
    frame_name,
    is_video,
    run_on_pictures,
    work_failed,
)
from triptych.run import write_json
from triptych.training.memory import keep_memory
from triptych.video import Frame, run_side_by_side

View = Literal["side", "blend"]


@dataclass(frozen=True)
class DetectOptions:
    """How to show what detectors find."""

    view: View = "side"
    """`side`: the input, right of it the same picture with each detector's boxes. `blend`: the
    pictures with boxes alone."""
    min_score: float = 0.5
    """Detections with less are not drawn; the file of detections has them."""
    audio: bool = True
    """Keep a video's first audio stream."""
    progress: bool = True
    """Show a progress bar on stderr where that is a terminal."""


def predict(
    source: Path,
    predictors: Sequence[Predictor],
    out: Path,
    options: DetectOptions | None = None,
) -> dict[str, Any]:
    """Draw what is found in `source` into the folder `out`; returns what `out/summary.json` says.

    A video `clip.mov` becomes `out/clip.mp4`; a picture `a.jpg` becomes `out/a.png`, of its own
    size. All detections, also those that are not drawn, are in `out/detections.json`, of several
    detectors in `out/detections-MODEL.json` each, as COCO results that `triptych evaluate` reads
    (see `ResultsWriter`); files of an earlier start go when these are there.

    A picture of a folder that cannot be read is skipped, named and counted; of a damaged video the
    frames that can be decoded are kept and the lost ones counted. Raises UserError where the
    request cannot work (missing, empty or unreadable input, `out` the input's own folder or not
    writable), WorkFailed where the work fails (a full disk, no readable picture in a folder).
    """
    options = options or DetectOptions()
    if not predictors:
        raise UserError("--model: at least one model is needed")
    check_request(source, out, options)
    clock = Clock(STAGES)
    drawing = Drawing(predictors, options.view == "side", options.min_score, clock)
    start = time.perf_counter()
    job = _on_video if is_video(source) else _on_pictures
    try:
        with made(out), aside(out / "results") as part:
            files = _file_names(drawing.folders)
            with ExitStack() as stack:
                results = [
                    stack.enter_context(ResultsWriter(part / file, each.classes))
                    for file, each in zip(files, predictors, strict=True)
                ]
                told = job(source, drawing, results, out, options, clock)
                seconds = time.perf_counter() - start
            for old in (out / f"{RESULTS}.json", *out.glob(f"{RESULTS}-*.json")):
                old.unlink(missing_ok=True)
            for file in files:
                (part / file).replace(out / file)
            summary = {
                "input": source.name or str(source),
                "folder": str(out),
                "view": options.view,
                "min_score": options.min_score,
                "frames": drawing.frames,
                "seconds": round(seconds, 4),
                "frames_per_second": round(drawing.frames / seconds, 3),
                "seconds_per_stage": clock.seconds(),
                **told,
                "models": [
                    {**model, "detections": file}
                    for model, file in zip(drawing.describe_models(), files, strict=True)
                ],
            }
            write_json(out / "summary.json", summary)
    except (OSError, av.error.FFmpegError) as error:
        raise work_failed(out, error) from error
    return summary


def check_request(source: Path, out: Path, options: DetectOptions) -> None:
    """Raise UserError where `source` cannot be read or `out` not written. Makes nothing."""
    if options.view not in get_args(View):
        raise UserError(
            f"--view {options.view}: only for a segmentation model; detectors have "
            f"{' and '.join(get_args(View))}"
        )
    if not 0 <= options.min_score <= 1:
        raise UserError(f"--min-score {options.min_score}: must lie between 0 and 1")
    check_places(source, out)


def describe(summary: dict[str, Any]) -> str:
    """A summary as a few lines for a person."""
    lines = [
        f"{summary['input']}: {summary['frames']} frames, "
        f"{summary['frames_per_second']:.1f} a second"
    ]
    for model in summary["models"]:
        shown = {name: count for name, count in model["objects"].items() if count}
        most = sorted(shown.items(), key=lambda item: -item[1])
        text = ", ".join(f"{name} {count}" for name, count in most[:8]) or "nothing"
        more = f" and {len(most) - 8} more classes" if len(most) > 8 else ""
        lines.append(
            f"  {model['name']}: {text}{more} (score {summary['min_score']:g} or more, in "
            f"{model['frames_with_objects']} of {summary['frames']} frames)"
        )
    if summary.get("frames_lost"):
        lines.append(f"  lost: {summary['frames_lost']} frames ({summary['frames_lost_rule']})")
    if summary["skipped"]:
        lines.append(f"  skipped: {len(summary['skipped'])} pictures that cannot be read")
    outputs = [*summary["outputs"], *(model["detections"] for model in summary["models"])]
    more = f" and {len(summary['outputs']) - 1} more" if len(summary["outputs"]) > 1 else ""
    files = ", ".join(outputs[len(summary["outputs"]) :])
    lines.append(f"  wrote {outputs[0]}{more}, {files} and summary.json to {summary['folder']}")
    return "\n".join(lines)


def _on_pictures(
    source: Path,
    drawing: Drawing,
    results: Sequence[ResultsWriter],
    out: Path,
    options: DetectOptions,
    clock: Clock,
) -> dict[str, Any]:
    def work(picture: Picture) -> tuple[Any, tuple[Picture, list[Found]]]:
        image = picture.image
        found = drawing.find(image, picture.path.stem)
        with clock("draw"):
            height, width = image.shape[:2]
            sheet = drawing.sheet(picture.path.name, height, width)
            canvas = sheet.blank()
            drawing.draw(image, found, sheet, canvas)
        return canvas, (picture, found)

    def note(name: str, done: tuple[Picture, list[Found]]) -> None:
        picture, found = done
        drawing.note(found)
        height, width = picture.image.shape[:2]
        for writer, each in zip(results, found, strict=True):
            writer.add(picture.path.name, height, width, each)

    return run_on_pictures(
        source,
        out,
        work,
        note,
        clock=clock,
        workers=drawing.workers,
        title="detecting",
        progress=options.progress,
    )


def _on_video(
    source: Path,
    drawing: Drawing,
    results: Sequence[ResultsWriter],
    out: Path,
    options: DetectOptions,
    clock: Clock,
) -> dict[str, Any]:
    keep_memory()  # every frame's arrays would come from the kernel anew
    job = VideoJob(
        source,
        out,
        lambda height, width: drawing.sheet(source.name, height, width),
        clock=clock,
        audio=options.audio,
        title="detecting",
        progress=options.progress,
    )
    with job:

        def work(frame: Frame) -> tuple[Frame, list[Found], Any]:
            found = drawing.find(frame.image, frame_name(frame))
            with clock("draw"):
                canvas = job.canvas()
                drawing.draw(frame.image, found, job.sheet, canvas)
            return frame, found, canvas

        def sink(done: tuple[Frame, list[Found], Any]) -> None:
            frame, found, canvas = done
            drawing.note(found)
            height, width = frame.image.shape[:2]
            for writer, each in zip(results, found, strict=True):
                name = f"{source.stem}/{frame_name(frame)}"
                writer.add(name, height, width, each, seconds=round(float(frame.time), 6))
            job.write(frame, canvas)

        run_side_by_side(job.frames(), work, sink, workers=drawing.workers)
    return job.told()


def _file_names(names: Sequence[str]) -> list[str]:
    """Of the files of detections, by the detectors' names."""
    one = len(names) == 1
    return [f"{RESULTS}.json"] if one else [f"{RESULTS}-{name}.json" for name in names]
