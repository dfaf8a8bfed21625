"""The embedded default, end to end: train on procedural streets, label a clip beside the truth."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from triptych import recipe as recipes
from triptych.data.classes import CITYSCAPES
from triptych.data.labelled import Image
from triptych.data.streets import scene
from triptych.progress import bar
from triptych.run import write_json
from triptych.segment.baseline import commonest_class
from triptych.segment.open_labeller import open_labeller
from triptych.segment.pictures import write_labels
from triptych.segment.predict import PredictOptions, predict
from triptych.segment.recipes import SegmentRecipe
from triptych.segment.train import train
from triptych.video import write_video

CLIP_FRAMES = 96
CLIP_SIZE = (240, 480)
CLIP_RATE = Fraction(12)
CLIP_SEED = 900_000_000
"""Beyond the seeds of every split of the streets: the clip shows a street never trained on."""


def demo(out: Path, *, seed: int = 0, device: str = "auto") -> dict[str, Any]:
    """Run the demo into `out`; the same command goes on where it stopped.

    Returns the scores, the files to open, and under `text` what to show a person.
    """
    recipe = recipes.get("segment/tiny")
    assert isinstance(recipe, SegmentRecipe)
    run = out / "segment-tiny" / f"seed-{seed}"
    _say(f"1/3  train {recipe.name}: a small network, from scratch, on procedural streets")
    result = train(recipe, seed, run, device=device)
    baseline = commonest_class(run / "evaluations" / "streets-val" / "items.parquet")

    folder = out / f"clip-{seed}"
    _say("2/3  draw a clip of a street that it never saw, with exact labels")
    clip, truth = draw_clip(folder, CLIP_SEED + seed)

    _say("3/3  label the clip, beside the truth")
    trained = open_labeller(str(run), size=(96, 192), device=device, name="segment/tiny")
    labelled = folder / "labelled"
    summary = predict(
        clip,
        [trained, open_labeller(str(truth), name="truth")],
        labelled,
        PredictOptions(),
    )
    record = {
        "scores": result["scores"],
        "commonest_class": baseline,
        "frames": summary["frames"],
        "frames_per_second": summary["frames_per_second"],
        "files": {
            "video": str(labelled / clip.name),
            "differences": str(labelled / "disagreement"),
            "run": str(run),
        },
    }
    write_json(out / "summary.json", record)
    return record | {"text": _text(record)}


def draw_clip(folder: Path, seed: int) -> tuple[Path, Path]:
    """Draw a street into `folder`: the video and a folder with the label map of every frame.

    A clip that is whole is not drawn again.
    """
    clip, truth = folder / "clip.mp4", folder / "truth"
    if clip.exists():
        return clip, truth
    truth.mkdir(parents=True, exist_ok=True)
    street = scene(seed, size=CLIP_SIZE, frames=CLIP_FRAMES)
    with bar("clip", CLIP_FRAMES, unit="frame") as progress:

        def frames() -> Iterator[Image]:
            for index in range(CLIP_FRAMES):
                frame = street[index]
                write_labels(truth / f"{index:06d}.png", frame.labels, CITYSCAPES)
                progress.advance()
                yield frame.image

        write_video(clip, frames(), CLIP_RATE)
    return clip, truth


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _text(record: dict[str, Any]) -> str:
    scores, files, baseline = record["scores"], record["files"], record["commonest_class"]
    return f"""
On streets never seen, the network trained a minute ago reaches
    mIoU {scores["mIoU"]:.3f}   pixel accuracy {scores["pixel_accuracy"]:.3f}
    (always saying '{baseline["class"]}': {baseline["mIoU"]:.3f} and \
{baseline["pixel_accuracy"]:.3f})

Open these:
    {files["video"]}
        input, the network's labels and the truth, side by side
    {files["differences"]}
        where the two differ most
    {files["run"]}
        the run: recipe, metrics, checkpoints, scores

Next, on data of your own:
    triptych predict drive.mp4 --model espnetv2-s2.0 --model espnetv2-s0.5 --out labelled
    triptych predict drive.mp4 --model {files["run"]} --out labelled
    triptych evaluate --model espnetv2-s2.0 --data camvid:DIR --size 640x480
    triptych train segment/tiny --set data=camvid:DIR --set val_data=none --set epochs=30
"""
