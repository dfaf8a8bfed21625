"""Is labelling a video as fast as the processor allows? And against the original's way?

    uv run python benchmarks/video_pipeline.py [--model espnetv2-s2.0] [--input CLIP_OR_FOLDER]

One run measures, on the same frames:

1. each stage alone, in processor seconds per frame (all threads of the process): decode, model,
   flow (for the stability of the labels), draw, encode. The processor allows cores / their sum
   frames per second.
2. `triptych predict` from end to end, in frames per second; `ratio_to_bound` is its share of 1.
3. the original's way: float32 eager PyTorch, frame by frame. One program reads picture files and
   writes label PNGs, a second colours them, a third joins pictures and colours to a video. Only
   the loops are timed, one after the other in this process: no start of Python, no import, no
   loading of weights counts against it. `ratio_to_original` is how many times faster 2 is.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image as Pillow
from torch.nn import functional as F

from triptych.data.labelled import Image
from triptych.data.streets import scene
from triptych.draw import Sheet
from triptych.pictures import find_pictures, read_picture
from triptych.predicting import Clock
from triptych.segment.flow import Grey, motion_between, reduced_grey
from triptych.segment.labeller import FrameKey, Labeller
from triptych.segment.labelling import STAGES, Labelling
from triptych.segment.models import create, entry
from triptych.segment.open_labeller import open_labeller
from triptych.segment.predict import PredictOptions, predict
from triptych.segment.stability import Stability, look
from triptych.training.memory import keep_memory
from triptych.video import VideoReader, VideoWriter, write_video
from triptych.weights import fetch, load

RATE = Fraction(15)
FRAMES = 150
"""Length of the clip; its frames are repeated up to this where there are fewer."""
ORIGINAL_FRAMES = 40
"""The original's way is slow and steady: fewer frames tell its speed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="espnetv2-s2.0")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--input", type=Path, help="a video or a folder of pictures of one size")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    labeller = open_labeller(options.model, weights=options.weights, runtime=options.runtime)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), labeller, options)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(
        f"{result['model']}, {result['frames']} frames, {result['size']}, {result['cores']} cores"
    )
    for stage, seconds in result["cpu_seconds_per_frame"].items():
        print(f"  {stage:8} {1000 * seconds:7.2f} ms of processor time a frame")
    print(f"  allowed by the processor {result['bound_fps']:7.1f} frames/s")
    print(f"  triptych predict         {result['fps']:7.1f} frames/s")
    print(f"  the original's way       {result['original_fps']:7.1f} frames/s")
    print(f"ratio to the bound: {result['ratio_to_bound']:.2f} (wanted: at least 0.9)")
    print(f"ratio to the original's way: {result['ratio_to_original']:.2f} (wanted: at least 3)")


def measure(folder: Path, labeller: Labeller, options: argparse.Namespace) -> dict[str, Any]:
    clip = folder / "clip.mp4"
    write_video(
        clip, itertools.islice(itertools.cycle(frames(options.input)), options.frames), RATE
    )
    with VideoReader(clip) as reader:
        images = [frame.image for frame in reader]
    height, width = images[0].shape[:2]
    labeller.labels(images[0][None], [FrameKey("clip", 0)])  # compiles the graph

    stages = stages_alone(folder, clip, images, labeller)
    bound = (os.cpu_count() or 1) / sum(stages.values())
    start = time.perf_counter()
    predict(clip, [labeller], folder / "out", PredictOptions(progress=False))
    fps = len(images) / (time.perf_counter() - start)
    cv2.setNumThreads(os.cpu_count() or 1)
    original = original_way(folder, images[:ORIGINAL_FRAMES], options)
    return {
        "model": labeller.name,
        "runtime": getattr(labeller, "runtime", None),
        "frames": len(images),
        "size": f"{width}x{height}",
        "cores": os.cpu_count(),
        "cpu_seconds_per_frame": stages,
        "bound_fps": bound,
        "fps": fps,
        "original_fps": original,
        "ratio_to_bound": fps / bound,
        "ratio_to_original": fps / original,
        "ratio": fps / original,
    }


def frames(source: Path | None) -> list[Image]:
    if source is None:
        street = scene(3, size=(480, 640), frames=24)
        return [street[index].image for index in range(24)]
    if source.is_dir():
        return [read_picture(path) for path in find_pictures(source)]
    with VideoReader(source) as reader:
        return [frame.image for frame in itertools.islice(reader, FRAMES)]


def stages_alone(
    folder: Path, clip: Path, images: list[Image], labeller: Labeller
) -> dict[str, float]:
    """Processor seconds per frame of each stage, its input and output in memory."""
    height, width = images[0].shape[:2]
    keep_memory()
    cv2.setNumThreads(1)  # both as in `predict`
    labelling = Labelling([labeller], "side", 0.6, Clock(STAGES))
    sheet = labelling.sheet("clip.mp4", height, width)
    result = {}

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        start = time.process_time()
        yield
        result[stage] = (time.process_time() - start) / len(images)

    with timed("decode"), VideoReader(clip) as reader:
        for _ in reader:
            pass
    with timed("model"), ThreadPoolExecutor(labeller.concurrency) as pool:
        keys = [[FrameKey("clip", index)] for index in range(len(images))]
        maps = list(pool.map(labeller.labels, (image[None] for image in images), keys))

    with timed("flow"), steady(folder, labeller) as stability:
        before: Grey | None = None
        for index, (image, labels) in enumerate(zip(images, maps, strict=True)):
            grey = reduced_grey(image)
            motion = None if before is None else motion_between(before, grey)
            seen = look([labels[0]], grey, motion)
            stability.add(str(index), float(index / RATE), image, [labels[0]], seen)
            before = grey
        stability.finish()

    canvas = sheet.blank()

    def draw(image: Image, labels: Any) -> None:
        labelled = labelling.count(image, [labels[0]])
        labelling.draw(labelled, sheet, canvas)
        labelling.note(labelled, "")
        labelling.explain(labelling.totals, sheet, canvas)

    with timed("draw"):
        for image, labels in zip(images, maps, strict=True):
            draw(image, labels)
    canvases = []
    for image, labels in zip(images, maps, strict=True):
        draw(image, labels)
        canvases.append(canvas.copy())
    with timed("encode"), encoder(folder / "alone.mp4", sheet) as writer:
        for index, drawn in enumerate(canvases):
            writer.write(drawn, index / RATE)
    return result


def steady(folder: Path, labeller: Labeller) -> Stability:
    return Stability(folder / "stability", ["model"], ["model"], [labeller.classes])


def encoder(path: Path, sheet: Sheet) -> VideoWriter:
    return VideoWriter(path, sheet.height, sheet.width, RATE)


def original_way(folder: Path, images: list[Image], options: argparse.Namespace) -> float:
    """Frames per second of three programs, one after the other."""
    known = entry(options.model)
    model = create(options.model)
    assert known.weights is not None
    model.load_published(load(options.weights or fetch(known.weights)))
    model.eval()
    places = {name: folder / name for name in ("pictures", "labels", "colours")}
    for place in places.values():
        place.mkdir()
    names = [f"{index:06d}" for index in range(len(images))]
    for name, image in zip(names, images, strict=True):
        Pillow.fromarray(image).save(places["pictures"] / f"{name}.jpg", quality=95)
    palette = known.classes.palette()
    scale = known.normalisation
    mean = torch.tensor(scale.mean).view(1, 3, 1, 1)
    std = torch.tensor(scale.std).view(1, 3, 1, 1)

    def label() -> None:
        with torch.no_grad():
            for name in names:
                image = np.array(Pillow.open(places["pictures"] / f"{name}.jpg"))
                x = torch.from_numpy(image).permute(2, 0, 1)[None].float() * scale.scale
                logits = model((x - mean) / std)
                logits = F.interpolate(logits, image.shape[:2], mode="bilinear")
                labels = logits[0, : len(known.classes)].argmax(0).numpy().astype(np.uint8)
                Pillow.fromarray(labels).save(places["labels"] / f"{name}.png")

    def colour() -> None:
        for name in names:
            labels = np.array(Pillow.open(places["labels"] / f"{name}.png"))
            Pillow.fromarray(palette[labels]).save(places["colours"] / f"{name}.png")

    def join() -> None:
        height, width = images[0].shape[:2]
        kind = cv2.VideoWriter.fourcc(*"mp4v")
        video = cv2.VideoWriter(
            str(folder / "original.mp4"), kind, float(RATE), (2 * width, height)
        )
        for name in names:
            picture = np.array(Pillow.open(places["pictures"] / f"{name}.jpg"))
            colours = np.array(Pillow.open(places["colours"] / f"{name}.png"))
            video.write(cv2.cvtColor(np.hstack([picture, colours]), cv2.COLOR_RGB2BGR))
        video.release()

    start = time.perf_counter()
    for program in (label, colour, join):
        program()
    return len(images) / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
