"""Labelling one picture or a folder of pictures, each of its own size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from triptych.data.class_record import write_classes
from triptych.data.labelled import Image
from triptych.predicting import Clock, Picture, run_on_pictures
from triptych.segment.labeller import FrameKey
from triptych.segment.labelling import Labelled, Labelling, PredictOptions
from triptych.segment.pictures import write_labels
from triptych.segment.results_folder import LABELS


def label_pictures(
    source: Path,
    labelling: Labelling,
    out: Path,
    part: Path,
    options: PredictOptions,
    clock: Clock,
) -> dict[str, Any]:
    """Label the picture or folder `source` into `out`; returns what the summary says of it.

    Label images, which are of use all together only, go to folders below `part`.
    """
    label_folders = [part / LABELS / name for name in labelling.folders]

    def work(picture: Picture) -> tuple[Image, Labelled]:
        image = picture.image
        labelled = labelling.label(image, FrameKey(picture.path.stem, picture.index))
        with clock("draw"):
            height, width = image.shape[:2]
            sheet = labelling.sheet(picture.path.name, height, width, labelled)
            canvas = sheet.blank()
            labelling.draw(labelled, sheet, canvas)
            labelling.explain(labelled.counts, sheet, canvas)
        if options.save_labels:
            with clock("encode"):
                for folder, labeller, labels in zip(
                    label_folders, labelling.labellers, labelled.labels, strict=True
                ):
                    write_labels(folder / f"{picture.name}.png", labels, labeller.classes)
        return canvas, labelled

    if options.save_labels:
        for folder, labeller in zip(label_folders, labelling.labellers, strict=True):
            folder.mkdir(parents=True)
            write_classes(folder, labeller.classes)
    return run_on_pictures(
        source,
        out,
        work,
        lambda name, labelled: labelling.note(labelled, name),
        clock=clock,
        workers=labelling.workers,
        title="labelling",
        progress=options.progress,
    )
