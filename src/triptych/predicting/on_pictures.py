"""One picture or a folder of pictures, each of its own size: read, work, written side by side."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image as Pillow

from triptych.data.labelled import Image
from triptych.errors import UserError, WorkFailed
from triptych.pictures import find_pictures, read_picture, write_png
from triptych.predicting.clock import Clock
from triptych.progress import bar
from triptych.video import run_side_by_side

log = logging.getLogger("triptych")

R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture of the input."""

    path: Path
    index: int
    """Position in the folder, in natural order, from 0."""
    name: str
    """Of what is written for it, without its ending."""
    image: Image


def run_on_pictures(
    source: Path,
    out: Path,
    work: Callable[[Picture], tuple[Image, R]],
    note: Callable[[str, R], None],
    *,
    clock: Clock,
    workers: int,
    title: str,
    progress: bool,
) -> dict[str, Any]:
    """Draw the picture or folder `source` into `out`; returns what the summary says of it.

    `work`, called by `workers` threads at once, makes of a picture what is shown, which becomes
    `out/NAME.png`, and a result; `note` takes each result with its name, in order. A picture of a
    folder that cannot be read is skipped, named and counted. Raises UserError for a single picture
    that cannot be read, WorkFailed where none of a folder can.
    """
    paths = find_pictures(source) if source.is_dir() else [source]
    names = _output_names(paths)
    skipped: list[dict[str, str]] = []
    outputs: list[str] = []

    def read() -> Iterator[Picture]:
        for index, path in enumerate(paths):
            try:
                image = read_picture(path)
            except UserError as error:
                if not source.is_dir():
                    raise
                log.warning("skipped: %s", error)
                reason = str(error).removeprefix(f"{path}: ")
                skipped.append({"file": path.name, "reason": reason})
                shown.advance()
                continue
            yield Picture(path, index, names[index], image)

    def drawn(picture: Picture) -> tuple[str, R]:
        canvas, result = work(picture)
        with clock("encode"):
            write_png(out / f"{picture.name}.png", Pillow.fromarray(canvas))
        return picture.name, result

    def sink(done: tuple[str, R]) -> None:
        note(*done)
        outputs.append(f"{done[0]}.png")
        shown.advance()

    with bar(title, len(paths), unit="frames", show=progress) as shown:
        run_side_by_side(clock.each("decode", read()), drawn, sink, workers=workers)
    if not outputs:
        raise WorkFailed(f"{source}: none of the {len(paths)} pictures can be read")
    return {"outputs": outputs, "skipped": skipped, "warnings": []}


def _output_names(paths: Sequence[Path]) -> list[str]:
    """The files' stems; with their endings where a.jpg and a.png would become the same."""
    stems = Counter(path.stem.casefold() for path in paths)
    return [path.stem if stems[path.stem.casefold()] == 1 else path.name for path in paths]
