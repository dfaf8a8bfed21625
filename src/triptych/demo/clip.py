"""A clip of a street that no training saw, with exact labels."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from triptych.data.classes import CITYSCAPES
from triptych.data.labelled import Image
from triptych.data.streets import scene
from triptych.progress import bar
from triptych.segment.pictures import write_labels
from triptych.video import write_video

FRAMES = 48
SIZE = (240, 480)
RATE = Fraction(12)
SEED = 900_000_000
"""Beyond the seeds of every split of the streets: the clip shows a street never trained on."""


def draw_clip(folder: Path, seed: int) -> tuple[Path, Path]:
    """Draw a street into `folder`: the video and a folder with the label map of every frame.

    A clip that is whole is not drawn again.
    """
    clip, truth = folder / "clip.mp4", folder / "truth"
    if clip.exists():
        return clip, truth
    truth.mkdir(parents=True, exist_ok=True)
    street = scene(SEED + seed, size=SIZE, frames=FRAMES)
    with bar("clip", FRAMES, unit="frame") as progress:

        def frames() -> Iterator[Image]:
            for index in range(FRAMES):
                frame = street[index]
                write_labels(truth / f"{index:06d}.png", frame.labels, CITYSCAPES)
                progress.advance()
                yield frame.image

        write_video(clip, frames(), RATE)
    return clip, truth
