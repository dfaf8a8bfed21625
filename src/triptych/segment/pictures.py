"""Label maps as pictures on disk."""

from __future__ import annotations

from pathlib import Path

from PIL import Image as Pillow

from triptych.data.classes import ClassSet
from triptych.data.labelled import LabelMap
from triptych.pictures import write_png


def write_labels(path: Path, labels: LabelMap, classes: ClassSet) -> None:
    """A label map (H, W) as a palette PNG: the values are the ids, shown in their colours."""
    picture = Pillow.fromarray(labels)
    picture.putpalette(classes.palette().tobytes())
    write_png(path, picture)
