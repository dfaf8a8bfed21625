"""A video: what decodes it, what is drawn on, and what encodes that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self

from triptych.data.labelled import Image
from triptych.draw import Sheet
from triptych.predicting.clock import Clock
from triptych.progress import bar
from triptych.video import Frame, VideoReader, VideoWriter


class VideoJob:
    """Reader, writer and progress bar of a video `clip.mov` that becomes `out/clip.mp4`.

    A context manager: leaving it by an exception leaves no video behind. Raises UserError for a
    video that cannot be read, and OSError where the new one cannot be written.
    """

    def __init__(
        self,
        source: Path,
        out: Path,
        sheet_of: Callable[[int, int], Sheet],
        *,
        clock: Clock,
        audio: bool,
        title: str,
        progress: bool,
    ) -> None:
        """`sheet_of` makes the sheet to draw on of a frame's height and width."""
        self._target = out / f"{source.stem}.mp4"
        self._clock = clock
        # Canvases are used again: the strips and the background need not be drawn for every frame.
        self._canvases: SimpleQueue[Image] = SimpleQueue()
        with ExitStack() as stack:
            self._reader = stack.enter_context(VideoReader(source))
            self.sheet = sheet_of(self._reader.height, self._reader.width)
            self._writer = stack.enter_context(
                VideoWriter(
                    self._target,
                    self.sheet.height,
                    self.sheet.width,
                    self._reader.rate,
                    time_base=self._reader.time_base,
                    colorspace=self._reader.colorspace,
                    sound_of=self._reader if audio else None,
                )
            )
            self._bar = stack.enter_context(
                bar(title, self._reader.expected_frames, unit="frames", show=progress)
            )
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def frames(self) -> Iterator[Frame]:
        """The frames, in order."""
        return self._clock.each("decode", self._reader)

    def canvas(self) -> Image:
        """A sheet to draw on, blank or of an earlier frame; for any thread."""
        try:
            return self._canvases.get_nowait()
        except Empty:
            return self.sheet.blank()

    def write(self, frame: Frame, canvas: Image) -> None:
        """Append what was drawn for a frame; in order. The canvas may be given out again."""
        with self._clock("encode"):
            self._writer.write(canvas, frame.time, frame.duration)
        self._canvases.put(canvas)
        self._bar.advance()

    def told(self) -> dict[str, Any]:
        """What the summary says of it, once the video is whole."""
        lost, how = self._reader.lost()
        sound = self._writer.audio
        return {
            "outputs": [self._target.name],
            "size": [self.sheet.width, self.sheet.height],
            "stream": self._reader.description,
            "audio": None if sound is None else {"codec": sound.codec, "copied": sound.copied},
            "frames_lost": lost,
            "frames_lost_rule": how,
            "skipped": [],
            "warnings": self._reader.warnings + ([] if sound is None else sound.warnings),
        }


def frame_name(frame: Frame) -> str:
    """Of files for one frame."""
    return f"{frame.index:06d}"
