"""`triptych predict`: label a video or pictures with one model or several."""

from __future__ import annotations

import errno
import logging
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, get_args

import av
from PIL import Image as Pillow

from triptych.data.labelled import Image
from triptych.errors import UserError, WorkFailed
from triptych.progress import Bar, bar
from triptych.run import write_json
from triptych.segment.disagreement import RULE
from triptych.segment.labeller import FrameKey, Labeller
from triptych.segment.labelling import Clock, Labelled, Labelling, View
from triptych.segment.pictures import (
    find_pictures,
    is_picture,
    read_picture,
    write_labels,
    write_png,
)
from triptych.video import Frame, VideoReader, VideoWriter, run_side_by_side
from triptych.video.opening import open_video

log = logging.getLogger("triptych")
T = TypeVar("T")

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class PredictOptions:
    """How to show what the models say."""

    view: View = "side"
    """`side`: the input, right of it each model's labels. `blend`: each model's labels over the
    picture. `labels`: each model's labels alone."""
    alpha: float = 0.6
    """Weight of the labels' colours in `blend`, 0 to 1."""
    save_labels: bool = False
    """Write label maps as palette PNGs to `labels/MODEL/`."""
    audio: bool = True
    """Keep a video's first audio stream."""
    progress: bool = True
    """Show a progress bar on stderr where that is a terminal."""


def predict(
    source: Path,
    labellers: Sequence[Labeller],
    out: Path,
    options: PredictOptions | None = None,
) -> dict[str, Any]:
    """Label `source` into the folder `out`; returns what `out/summary.json` says.

    A video `clip.mov` becomes `out/clip.mp4`; a picture `a.jpg` becomes `out/a.png`, of its own
    size. Below the pictures is a strip with the models' names and the classes that occur. Several
    models are compared pair by pair in `out/disagreement/` (see Disagreement).

    A picture of a folder that cannot be read is skipped, named and counted; of a damaged video the
    frames that can be decoded are kept and the lost ones counted. Nothing half-written is left.

    Raises UserError where the request cannot work (missing, empty or unreadable input, `out` the
    input's own folder or not writable), WorkFailed where the work fails (a full disk, no readable
    picture in a folder).
    """
    options = options or PredictOptions()
    if not labellers:
        raise UserError("--model: at least one model is needed")
    check_request(source, out, options)
    clock = Clock()
    labelling = Labelling(labellers, options.view, options.alpha, clock)
    start = time.perf_counter()
    is_video = not source.is_dir() and not is_picture(source)
    job = _label_video if is_video else _label_pictures
    try:
        with ExitStack() as stack:
            labelling.compare_in(out / "disagreement", stack)
            told = job(source, labelling, out, options, clock)
            seconds = time.perf_counter() - start
            differences = labelling.describe_disagreement()
        summary = {
            "input": source.name or str(source),
            "folder": str(out),
            "view": options.view,
            "frames": labelling.frames,
            "seconds": round(seconds, 4),
            "frames_per_second": round(labelling.frames / seconds, 3),
            "seconds_per_stage": clock.seconds(),
            **told,
            "models": labelling.describe_models(),
        }
        if len(labellers) > 1:
            summary |= {"disagreement_rule": RULE, "disagreement": differences}
        write_json(out / "summary.json", summary)
    except (OSError, av.error.FFmpegError) as error:
        raise _failure(out, error) from error
    return summary


def check_request(source: Path, out: Path, options: PredictOptions) -> None:
    """Raise UserError where `source` cannot be read or `out` not written; makes the folder `out`.

    Quick, so that a mistake is told before a model is loaded.
    """
    if options.view not in get_args(View):
        raise UserError(f"--view {options.view}: choose one of {', '.join(get_args(View))}")
    if not 0 <= options.alpha <= 1:
        raise UserError(f"--alpha {options.alpha}: must lie between 0 and 1")
    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    if source.is_dir():
        find_pictures(source)
    elif not is_picture(source):
        open_video(source).close()
    folder = source if source.is_dir() else source.parent
    if out.resolve() == folder.resolve():
        raise UserError(f"--out {out}: this is the input's own folder; name another one")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        if error.errno in DISK_FULL:
            raise _failure(out, error) from error
        raise UserError(f"--out {out}: cannot write there ({error.strerror})") from error


def describe(summary: dict[str, Any]) -> str:
    """A summary as a few lines for a person."""
    lines = [
        f"{summary['input']}: {summary['frames']} frames labelled, "
        f"{summary['frames_per_second']:.1f} a second"
    ]
    for model in summary["models"]:
        shares = sorted(model["shares"].items(), key=lambda item: -item[1])[:5]
        lines.append(f"  {model['name']}: " + ", ".join(f"{n} {s:.1%}" for n, s in shares if s))
    for pair in summary.get("disagreement", ()):
        agreement = pair["pixel_agreement"]
        told = pair.get("reason") if agreement is None else f"{agreement:.1%} of the pixels agree"
        lines.append(f"  {' and '.join(pair['models'])}: {told or 'nothing to compare'}")
    if summary.get("frames_lost"):
        lines.append(f"  lost: {summary['frames_lost']} frames ({summary['frames_lost_rule']})")
    if summary["skipped"]:
        lines.append(f"  skipped: {len(summary['skipped'])} pictures that cannot be read")
    outputs = summary["outputs"]
    more = f" and {len(outputs) - 1} more" if len(outputs) > 1 else ""
    lines.append(f"  wrote {outputs[0]}{more} and summary.json to {summary['folder']}")
    return "\n".join(lines)


def _failure(out: Path, error: OSError | av.error.FFmpegError) -> WorkFailed:
    if error.errno in DISK_FULL:
        return WorkFailed(f"{out}: the disk is full; make room or name another --out")
    what = error.filename if isinstance(error.filename, str) else out
    return WorkFailed(f"{what}: {error.strerror or error}")


def _label_video(
    source: Path, labelling: Labelling, out: Path, options: PredictOptions, clock: Clock
) -> dict[str, Any]:
    target = out / f"{source.stem}.mp4"
    # Canvases are used again: the strips and the background need not be drawn for every frame.
    canvases: SimpleQueue[Image] = SimpleQueue()

    with ExitStack() as stack:
        reader = stack.enter_context(VideoReader(source))
        sheet = labelling.sheet(source.name, reader.height, reader.width)
        # Left after the writer: no label maps appear where the video did not.
        label_folders = (
            stack.enter_context(_written_aside(out / "labels", labelling.folders))
            if options.save_labels
            else []
        )
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
        progress = stack.enter_context(_bar(reader.expected_frames, options))

        def work(frame: Frame) -> tuple[Frame, Labelled, Image]:
            labelled = labelling.label(frame.image, FrameKey(source.stem, frame.index))
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
            return frame, labelled, canvas

        def sink(done: tuple[Frame, Labelled, Image]) -> None:
            frame, labelled, canvas = done
            labelling.note(labelled, _number(frame), round(float(frame.time), 6))
            with clock("draw"):
                labelling.explain(labelling.totals, sheet, canvas)
            with clock("encode"):
                writer.write(canvas, frame.time, frame.duration)
            canvases.put(canvas)
            progress.advance()

        run_side_by_side(_timed(reader, clock), work, sink, workers=labelling.workers)

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


def _label_pictures(
    source: Path, labelling: Labelling, out: Path, options: PredictOptions, clock: Clock
) -> dict[str, Any]:
    paths = find_pictures(source) if source.is_dir() else [source]
    names = _output_names(paths)
    label_folders = [out / "labels" / name for name in labelling.folders]
    skipped: list[dict[str, str]] = []
    outputs: list[str] = []

    def read() -> Iterator[tuple[int, Image]]:
        for index, path in enumerate(paths):
            try:
                image = read_picture(path)
            except UserError as error:
                if not source.is_dir():
                    raise
                log.warning("skipped: %s", error)
                reason = str(error).removeprefix(f"{path}: ")
                skipped.append({"file": path.name, "reason": reason})
                progress.advance()
                continue
            yield index, image

    def work(item: tuple[int, Image]) -> tuple[str, Labelled]:
        index, image = item
        labelled = labelling.label(image, FrameKey(paths[index].stem, index))
        with clock("draw"):
            height, width = image.shape[:2]
            sheet = labelling.sheet(paths[index].name, height, width, labelled)
            canvas = sheet.blank()
            labelling.draw(labelled, sheet, canvas)
            labelling.explain(labelled.counts, sheet, canvas)
        with clock("encode"):
            write_png(out / f"{names[index]}.png", Pillow.fromarray(canvas))
            if options.save_labels:
                for folder, labeller, labels in zip(
                    label_folders, labelling.labellers, labelled.labels, strict=True
                ):
                    write_labels(folder / f"{names[index]}.png", labels, labeller.classes)
        return names[index], labelled

    def sink(done: tuple[str, Labelled]) -> None:
        name, labelled = done
        labelling.note(labelled, name)
        outputs.append(f"{name}.png")
        progress.advance()

    if options.save_labels:
        for folder in label_folders:
            folder.mkdir(parents=True, exist_ok=True)
    with _bar(len(paths), options) as progress:
        run_side_by_side(_timed(read(), clock), work, sink, workers=labelling.workers)
    if not outputs:
        raise WorkFailed(f"{source}: none of the {len(paths)} pictures can be read")
    return {"outputs": outputs, "skipped": skipped, "warnings": []}


def _number(frame: Frame) -> str:
    return f"{frame.index:06d}"


def _output_names(paths: Sequence[Path]) -> list[str]:
    """The files' stems; with their endings where a.jpg and a.png would become the same."""
    stems = Counter(path.stem.casefold() for path in paths)
    return [path.stem if stems[path.stem.casefold()] == 1 else path.name for path in paths]


def _bar(total: int | None, options: PredictOptions) -> AbstractContextManager[Bar]:
    return bar("labelling", total, unit="frames", show=options.progress)


def _timed(items: Iterable[T], clock: Clock) -> Iterator[T]:
    source = iter(items)
    while True:
        with clock("decode"):
            try:
                item = next(source)
            except StopIteration:
                return
        yield item


@contextmanager
def _written_aside(folder: Path, names: Sequence[str]) -> Iterator[list[Path]]:
    """Folders to fill, one a name, that appear below `folder` when nothing was raised."""
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)  # of a start that was killed
    try:
        parts = [aside / name for name in names]
        for part in parts:
            part.mkdir(parents=True)
        yield parts
        for part in parts:
            target = folder / part.name
            target.mkdir(parents=True, exist_ok=True)
            # Frames of a longer video that was labelled here before.
            for old in target.glob("[0-9][0-9][0-9][0-9][0-9][0-9].png"):
                old.unlink()
            for path in part.iterdir():
                path.replace(target / path.name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
