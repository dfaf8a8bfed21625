"""Reading a video: the best stream, upright, square pixels, 8-bit RGB, each frame at its time."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import Colorspace, VideoReformatter
from av.video.stream import VideoStream

from triptych.data.labelled import Image
from triptych.errors import UserError
from triptych.video.opening import open_video
from triptych.video.orientation import orientation_of

log = logging.getLogger("triptych")

HD_HEIGHT = 720
"""Untagged colours are BT.709 from this height on and BT.601 below, as players take them."""
UNTAGGED = (2, 3)
"""AVCOL_SPC_UNSPECIFIED and AVCOL_SPC_RESERVED."""
TS_DISCONT = 0x0200
"""FFmpeg's AVFMT_TS_DISCONT: containers whose times start anywhere and may jump."""


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    index: int
    time: Fraction
    """Seconds, as the file has it."""
    duration: Fraction
    """Seconds until the next frame, as far as the file says, else by its frame rate."""
    image: Image


class VideoReader:
    """The frames of a video file's best stream. Iterate once; then `lost` and `warnings` are known.

    The best stream is the one with the largest picture, then the most frames, then the first;
    cover pictures do not count. Frames are turned as the display matrix says (to the nearest
    quarter turn), scaled to square pixels (the shorter side is stretched, as browsers do), and
    all of the size of the first. Times are the file's own, less the start time where the container
    has an arbitrary one (MPEG-TS and -PS). Raises UserError where nothing can be decoded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warnings: list[str] = []
        self.frames = 0
        """Frames given out so far."""
        self._reformatter = VideoReformatter()
        with open_video(path) as container:
            streams = [s for s in container.streams.video if _is_moving(s)]
            streams.sort(key=lambda s: (-s.width * s.height, -s.frames, s.index))
            candidates = [stream.index for stream in streams]
        self._video_streams = len(candidates)
        if not candidates:
            raise UserError(f"{path}: there is no video in this file that can be decoded")
        for index in candidates:
            self._open(index)
            if self._first is not None:
                break
            self.close()
        else:
            raise UserError(f"{path}: the video has no frame that can be decoded")
        if len(candidates) > 1:
            size = f"{self._stored_size[1]}×{self._stored_size[0]}"
            name = f"stream {index} ({self.description['codec']}, {size})"
            self._warn(f"{len(candidates)} video streams; taken is the largest, {name}")

    def _open(self, index: int) -> None:
        self._container = open_video(self.path)
        stream = next(s for s in self._container.streams.video if s.index == index)
        self._stream = stream
        stream.codec_context.thread_type = "AUTO"
        is_mp4 = "mov" in self._container.format.name
        # Trimmed clips keep the cut-away frames in the file; an edit list hides them.
        shown = _indexed_frames(stream) if is_mp4 else 0
        self._declared = min(shown or stream.frames, stream.frames)
        """Frames that the header promises; 0 where it does not say."""
        self._fragmented = is_mp4 and not stream.frames
        self._in_fragments = shown
        self._duration = _declared_duration(self._container)
        self._undecodable = self._damaged = 0
        self._end = Fraction(0)
        self._stopped_by: str | None = None
        self._left_out = 0
        """Frames that an AVI counts though the camera dropped them: empty packets."""
        # AVI has decoding times only, and FFmpeg's guesses jump about where there are B-frames. In
        # order of display the frames take the packets' times in increasing order.
        self._avi_times = deque[int]() if self._container.format.name == "avi" else None
        self._decoded = self._decode()
        self._first = next(self._decoded, None)
        if self._first is None:
            return
        self.rate = stream.guessed_rate or stream.average_rate or Fraction(25)
        self.tick = stream.time_base or 1 / self.rate
        self.time_base = common_time_base(self.tick, self.rate)
        self.start = Fraction(0)
        """Seconds taken off the times in the file."""
        if self._container.format.flags & TS_DISCONT:
            start = Fraction(self._container.start_time or 0, av.time_base)
            self.start = round(start / self.tick) * self.tick
        self._flips = orientation_of(self._first)
        self._stored_size = self._first.height, self._first.width
        aspect = stream.sample_aspect_ratio or Fraction(1)
        height, width = self._stored_size
        if aspect > 1:
            width = max(1, round(width * aspect))
        else:
            height = max(1, round(height / aspect))
        self._scaled_size = height, width
        self.height, self.width = (width, height) if self._flips.transpose else (height, width)
        self.description = {
            "index": index,
            "video_streams": self._video_streams,
            "codec": stream.codec_context.name,
            "pixel_format": stream.codec_context.pix_fmt,
            "stored_size": list(self._stored_size[::-1]),
            "size": [self.width, self.height],
            "sample_aspect_ratio": str(aspect),
            "rotation": self._flips.degrees,
            "frame_rate": str(self.rate),
            "start_time": float(self.start),
        }
        """The stream as the summary tells it."""

    @property
    def colorspace(self) -> int:
        """Matrix of the colours, as FFmpeg's AVColorSpace; guessed where the file has no tag."""
        assert self._first is not None
        return self._matrix(self._first)

    @property
    def expected_frames(self) -> int | None:
        """How many frames to expect, for a progress bar."""
        if self._declared:
            return self._declared
        return None if self._duration is None else math.ceil(self._duration * self.rate)

    def lost(self) -> tuple[int | None, str]:
        """Frames of the stream that could not be decoded, and how that is known.

        None where the file gives neither a frame count nor a duration to compare with.
        """
        if self._declared:
            expected = self._declared - self._left_out
            return max(0, expected - self.frames), "by the container's frame count"
        if self._fragmented:
            how = "by the fragments that are there; the file does not say whether more followed"
            return max(0, self._in_fragments - self.frames), how
        if self._duration is None:
            how = "the container has neither a frame count nor a duration"
            return self._undecodable or None, how
        # Streams rarely end together: only a file none of whose streams reaches the end that the
        # header promises was cut.
        gap = self._duration - self._end
        missing = round(gap * self.rate) if gap > max(Fraction(1, 2), 2 / self.rate) else 0
        return max(missing, self._undecodable), "estimated by the duration in the header"

    def __iter__(self) -> Iterator[Frame]:
        frame = self._first
        last = Fraction(-1, 1)
        out_of_order = 0
        while frame is not None:
            time = self._time(frame)
            if time is None:
                time = last + 1 / self.rate if self.frames else Fraction(0)
            if self.frames and time <= last:
                out_of_order += 1
                time = last + self.time_base
            self._damaged += frame.is_corrupt
            duration = frame.duration * self.tick if frame.duration else 1 / self.rate
            yield Frame(self.frames, time, duration, self._picture(frame))
            last = time
            self.frames += 1
            frame = next(self._decoded, None)
        if self._fragmented:  # the index grew as fragments were read
            self._in_fragments = _indexed_frames(self._stream)
        if out_of_order:
            self._warn(f"{out_of_order} frames had no later time than the frame before them")
        if self._damaged:
            self._warn(f"{self._damaged} frames are damaged and were shown as far as decoded")
        if self._stopped_by:
            self._warn(f"reading ended early: {self._stopped_by}")
        lost, how = self.lost()
        if lost:
            self._warn(f"{lost} frames could not be decoded ({how}); the file is cut or damaged")

    def close(self) -> None:
        self._decoded.close()
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _warn(self, text: str) -> None:
        self.warnings.append(text)
        log.warning("%s: %s", self.path, text)

    def _decode(self) -> Generator[av.VideoFrame]:
        # All streams are demuxed, as the end of the last one tells whether the file was cut.
        packets = self._container.demux()
        last_avi = -1
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError as error:
                self._stopped_by = error.strerror
                yield from self._flush()
                return
            if packet.pts is not None and packet.time_base is not None:
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                self._end = max(self._end, end)
            # Not packet.stream_index, which is 0 in the last, empty packet of every stream.
            if packet.stream.index != self._stream.index:
                continue
            if self._avi_times is not None and packet.size and packet.dts is not None:
                self._left_out += packet.dts - last_avi - 1
                last_avi = packet.dts
                self._avi_times.append(packet.dts)
            try:
                yield from self._stream.decode(packet)
            except av.error.FFmpegError:
                self._undecodable += 1

    def _flush(self) -> Iterator[av.VideoFrame]:
        try:
            yield from self._stream.decode(None)
        except av.error.FFmpegError:
            self._undecodable += 1

    def _time(self, frame: av.VideoFrame) -> Fraction | None:
        if self._avi_times is not None:
            ticks = self._avi_times.popleft() if self._avi_times else None
        else:
            ticks = frame.pts
        if ticks is None:
            return None
        time = ticks * self.tick - self.start
        # Matroska rounds times to milliseconds. Where the frame rate explains a time to within
        # that rounding, the exact one is meant: 30000/1001 stays 30000/1001.
        exact = round(time * self.rate) / self.rate
        if abs(exact - time) <= min(self.tick / 2, Fraction(1, 2000)):
            time = exact
        return time

    def _matrix(self, frame: av.VideoFrame) -> int:
        if frame.colorspace in UNTAGGED:
            return int(Colorspace.ITU709 if frame.height >= HD_HEIGHT else Colorspace.ITU601)
        return frame.colorspace

    def _picture(self, frame: av.VideoFrame) -> Image:
        height, width = self._scaled_size
        rgb = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=self._matrix(frame),
            interpolation="BICUBIC",
            threads=1,
        )
        return self._flips.apply(np.ascontiguousarray(rgb.to_ndarray(), np.uint8))


def read_video(path: Path) -> Iterator[Frame]:
    """Frames of a video: upright, square pixels, RGB. Raises UserError as VideoReader does."""
    with VideoReader(path) as reader:
        yield from reader


def common_time_base(tick: Fraction, rate: Fraction) -> Fraction:
    """A unit in which both the input's times and its frame period are whole numbers.

    Where that would be finer than a microsecond, 1/90000 s, whose rounding is far below 1 ms.
    """
    scale = math.lcm(tick.denominator, rate.numerator)
    return Fraction(1, scale if scale <= 1_000_000 else 90_000)


def _is_moving(stream: VideoStream) -> bool:
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    return stream.codec_context is not None and not stream.disposition & still


def _indexed_frames(stream: VideoStream) -> int:
    return sum(not entry.is_discard for entry in stream.index_entries)


def _declared_duration(container: InputContainer) -> Fraction | None:
    """End of the last stream by the header, in seconds; None where FFmpeg only guesses it."""
    if container.format.flags & TS_DISCONT or container.duration is None:
        return None
    return Fraction(container.duration + (container.start_time or 0), av.time_base)
