"""The embedded default, end to end: train, label a clip beside the truth, compare two models."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from triptych import recipe as recipes
from triptych.classify.sheet import augmentation_sheet
from triptych.compare import Comparison
from triptych.compare.describe import describe
from triptych.compare.run import compare
from triptych.data.classes import CITYSCAPES
from triptych.data.labelled import Image
from triptych.data.open_images import open_images
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
    _say(f"1/5  train {recipe.name}: a small network, from scratch, on procedural streets")
    result = train(recipe, seed, run, device=device)
    baseline = commonest_class(run / "evaluations" / "streets-val" / "items.parquet")

    folder = out / f"clip-{seed}"
    _say("2/5  draw a clip of a street that it never saw, with exact labels")
    clip, truth = draw_clip(folder, CLIP_SEED + seed)

    _say("3/5  label the clip, beside the truth")
    trained = open_labeller(str(run), size=(96, 192), device=device, name="segment/tiny")
    labelled = folder / "labelled"
    summary = predict(
        clip,
        [trained, open_labeller(str(truth), name="truth")],
        labelled,
        PredictOptions(),
    )
    _say("4/5  compare a convolution with a transformer, three seeds each, on street objects")
    question = tiny_comparison()
    verdict = compare(question, out / "convolution-or-transformer", device=device)
    _say("5/5  show what the augmentation does to pictures")
    sheet = out / "augmentation.png"
    pictures = open_images(question.arms["convolution"].data, "train").pixels[:6]  # type: ignore[union-attr]
    augmentation_sheet(torch.from_numpy(pictures), sheet, seed)
    record = {
        "scores": result["scores"],
        "commonest_class": baseline,
        "frames": summary["frames"],
        "frames_per_second": summary["frames_per_second"],
        "files": {
            "video": str(labelled / clip.name),
            "differences": str(labelled / "disagreement"),
            "stability": str(labelled / "stability"),
            "run": str(run),
            "comparison": str(out / "convolution-or-transformer"),
            "augmentation": str(sheet),
        },
        "comparison": {key: verdict[key] for key in ("arms", "pairs", "audit")},
    }
    write_json(out / "summary.json", record)
    return record | {"text": _text(record) + "\n" + _verdict_text(verdict)}


def tiny_comparison() -> Comparison:
    """A small convolutional network and a small transformer, three seeds each."""
    convolution = recipes.get("classify/tiny")
    transformer = recipes.override(convolution, ["model=vit-tiny"])
    return Comparison(
        question="Convolution or transformer, at 26 and 28 thousand parameters, on street objects?",
        arms={"convolution": convolution, "transformer": transformer},
        varies=frozenset({"model"}),
        seeds=(0, 1, 2),
        metric="top1",
        margin=0.02,
    )


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


def _verdict_text(verdict: dict[str, Any]) -> str:
    """The comparison, indented under a line of its own."""
    return "The comparison:\n" + textwrap.indent(describe(verdict), "    ")


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
    {files["stability"]}
        how much of each keeps its class from frame to frame
    {files["run"]}
        the run: recipe, metrics, checkpoints, scores
    {files["augmentation"]}
        what the augmentation of the classifiers does to pictures
    {files["comparison"]}
        a controlled comparison: plan, runs, verdict

Next, on data of your own:
    triptych predict drive.mp4 --out labelled
    triptych predict drive.mp4 --model street --model espnetv2-s2.0 --out labelled
    triptych evaluate --model espnetv2-s2.0 --data camvid:DIR --size 640x480
    triptych train segment/tiny --set data=camvid:DIR --set val_data=none --set epochs=30
    triptych compare classify/small classify/small-vit --varies model --metric top1 \
--margin 0.01 --set data=cifar100:DIR
"""
