"""Frames of an evaluation as pictures: the input, the truth and the labels, for a page to show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from triptych.data.labelled import Image, LabelledData, LabelMap
from triptych.evaluation_folder import MEDIA, media_name, writing

MOST = 36
"""Frames of an evaluation that are kept, evenly over the split."""
WIDE = 640
"""Pixels to which wider frames are shrunk."""


class Shown:
    """Writes some frames of `data` into `media/` of an evaluation's folder; for any thread.

    `input/FRAME.jpg`, `truth/FRAME.png` and `labels/FRAME.png`, the labels in the data's classes
    and colours; what two models make of a frame has one name.
    """

    def __init__(self, folder: Path, data: LabelledData) -> None:
        self._media, self._keys, self._classes = folder / MEDIA, data.keys, data.classes
        count = len(data)
        evenly = np.linspace(0, count - 1, min(MOST, count)).astype(int)
        self._chosen = frozenset(evenly.tolist())
        with writing(self._media):
            for layer in ("input", "truth", "labels"):
                (self._media / layer).mkdir(parents=True)

    def write(self, index: int, picture: Image, truth: LabelMap, labels: LabelMap) -> None:
        """Keep the frame if it is one of those. Raises WorkFailed where it cannot be written."""
        if index not in self._chosen:
            return
        name = media_name(self._keys[index])
        with writing(self._media):
            shown = Pillow.fromarray(picture)
            shown.thumbnail((WIDE, 4 * WIDE))
            shown.save(self._media / "input" / f"{name}.jpg", quality=88)
            for layer, ids in (("truth", truth), ("labels", labels)):
                self._coloured(ids, shown.size).save(self._media / layer / f"{name}.png")

    def _coloured(self, ids: NDArray[np.uint8], size: tuple[int, int]) -> Pillow.Image:
        picture = Pillow.fromarray(ids).resize(size, Pillow.Resampling.NEAREST)
        picture.putpalette(self._classes.palette().tobytes())
        return picture
