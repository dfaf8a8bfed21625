"""Labelling one picture or a folder of pictures, each of its own size."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from triptych.data.class_record import write_classes
from triptych.data.labelled import Image
from triptych.errors import UserError, WorkFailed
from triptych.progress import bar
from triptych.segment.labeller import FrameKey
from triptych.segment.labelling import Clock, Labelled, Labelling, PredictOptions
from triptych.segment.pictures import find_pictures, read_picture, write_labels, write_png
from triptych.segment.results_folder import LABELS
from triptych.video import run_side_by_side

log = logging.getLogger("triptych")


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
    paths = find_pictures(source) if source.is_dir() else [source]
    names = _output_names(paths)
    label_folders = [part / LABELS / name for name in labelling.folders]
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
        for folder, labeller in zip(label_folders, labelling.labellers, strict=True):
            folder.mkdir(parents=True)
            write_classes(folder, labeller.classes)
    with bar("labelling", len(paths), unit="frames", show=options.progress) as progress:
        run_side_by_side(clock.each("decode", read()), work, sink, workers=labelling.workers)
    if not outputs:
        raise WorkFailed(f"{source}: none of the {len(paths)} pictures can be read")
    return {"outputs": outputs, "skipped": skipped, "warnings": []}


def _output_names(paths: Sequence[Path]) -> list[str]:
    """The files' stems; with their endings where a.jpg and a.png would become the same."""
    stems = Counter(path.stem.casefold() for path in paths)
    return [path.stem if stems[path.stem.casefold()] == 1 else path.name for path in paths]
