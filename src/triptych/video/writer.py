"""Writing a video: H.264 in an mp4 that plays in browsers, each frame at its own time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from triptych.data.labelled import Image
from triptych.errors import UserError
from triptych.video.audio import AudioTrack
from triptych.video.reader import VideoReader

PRESET = "ultrafast"
QUALITY = "24"
"""x264's constant rate factor: visually close to the source at this preset.

With a small model encoding is what a video waits for: side by side at 960x410 this takes 3 ms of
processor time a frame, `veryfast` at 22 takes 10 ms for a file of half the size, as close to the
source (38 dB both).
"""
LARGEST_SIDE = 16384
"""What H.264 (level 6.2) and x264 can carry."""


class VideoWriter:
    """An mp4 (H.264, yuv420p, index first), written aside and renamed when it is whole.

    A context manager: leaving it by an exception removes what was written. Raises OSError when
    the disk is full or the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        height: int,
        width: int,
        rate: Fraction,
        *,
        time_base: Fraction | None = None,
        colorspace: int = Colorspace.ITU709,
        sound_of: VideoReader | None = None,
    ) -> None:
        """Pictures of an even `height` and `width`, at about `rate` frames per second.

        `time_base` is the unit of the frames' times in seconds (default: the frame period);
        `colorspace` is a matrix by FFmpeg's AVColorSpace: BT.601 where it says so, else BT.709;
        `sound_of` a video whose first audio stream to take along.
        """
        if height % 2 or width % 2:
            raise ValueError(f"yuv420p needs an even size, not {width}×{height}")
        if max(height, width) > LARGEST_SIDE:
            raise UserError(
                f"{path.name}: {width}×{height} pixels are more than H.264 can carry "
                f"({LARGEST_SIDE} a side); take fewer models or --view blend"
            )
        self.path = path
        self._part = path.with_name(f".{path.name}.part")
        self._unit = time_base or 1 / rate
        self._container = av.open(
            str(self._part.absolute()),
            "w",
            format="mp4",
            # A first frame later than 0 is noted in units of the movie, by default milliseconds.
            container_options={
                "movflags": "+faststart",
                "movie_timescale": str(self._unit.denominator),
            },
        )
        stream = self._container.add_stream(
            "libx264", rate, options={"preset": PRESET, "crf": QUALITY}
        )
        self._stream = stream
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = self._unit
        context.thread_count = min(os.cpu_count() or 1, 8)
        # A standard's matrix, primaries and transfer share one number in FFmpeg: 1 is BT.709,
        # 6 is BT.601 (SMPTE 170M), which swscale calls 5.
        is_601 = colorspace in (5, 6)
        tag = 6 if is_601 else 1
        context.colorspace = context.color_primaries = context.color_trc = tag
        context.color_range = ColorRange.MPEG
        self._matrix = Colorspace.ITU601 if is_601 else Colorspace.ITU709
        self._reformatter = VideoReformatter()
        self._last = -1
        self._first = True
        self.audio: AudioTrack | None = None
        if sound_of is not None:
            with contextlib.suppress(LookupError):
                self.audio = AudioTrack(sound_of.path, self._container, sound_of.start)

    def write(self, image: Image, time: Fraction, duration: Fraction | None = None) -> None:
        """Append a picture (H, W, 3) shown from `time` on, in seconds; times must increase.

        The picture may be changed again once this returns.
        """
        if self.audio is not None:
            self._container.mux(list(self.audio.until(time)))
        rgb = av.VideoFrame.from_numpy_buffer(image, "rgb24")
        frame = self._reformatter.reformat(
            rgb,
            format="yuv420p",
            dst_colorspace=self._matrix,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        pts = round(time / self._unit)
        if not self._first:
            pts = max(pts, self._last + 1)
        self._first, self._last = False, pts
        frame.pts, frame.time_base = pts, self._unit
        if duration is not None:
            frame.duration = max(1, round(duration / self._unit))
        self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._finish()
        finally:
            self._abandon()

    def _finish(self) -> None:
        if self._first:
            raise ValueError("a video needs at least one frame")
        self._container.mux(self._stream.encode(None))
        if self.audio is not None:
            self._container.mux(list(self.audio.until(None)))
        self._container.close()
        self._part.replace(self.path)

    def _abandon(self) -> None:
        """After `_finish` nothing is left to do here; after a failure, leave no file behind."""
        self._part.unlink(missing_ok=True)
        if self.audio is not None:
            self.audio.close()
        # Closing writes the index, into a file that is gone or on a disk that is full.
        with contextlib.suppress(av.error.FFmpegError):
            self._container.close()


def write_video(path: Path, frames: Iterable[Image], rate: Fraction) -> None:
    """Write pictures of one size (H, W, 3; an odd side gets one more pixel) as an mp4.

    The file appears whole or not at all. Raises ValueError where there are no frames.
    """
    writer: VideoWriter | None = None
    with contextlib.ExitStack() as stack:
        for index, image in enumerate(frames):
            height, width = image.shape[:2]
            even = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
            if writer is None:
                height, width = even.shape[:2]
                writer = stack.enter_context(VideoWriter(path, height, width, rate))
            writer.write(even, index / rate)
    if writer is None:
        raise ValueError(f"{path}: no frames to write")
