"""Reading and writing video, and the three stages side by side."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from triptych.errors import Stopped, UserError
from triptych.video import VideoReader, VideoWriter, read_video, run_side_by_side, write_video
from triptych.video.reader import common_time_base

NTSC = Fraction(30000, 1001)
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "grey": (128, 128, 128)}


def quadrants(height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """Red, green / blue, grey: every turn and mirror of it looks different."""
    image = np.empty((height, width, 3), np.uint8)
    top, left = slice(None, height // 2), slice(None, width // 2)
    bottom, right = slice(height // 2, None), slice(width // 2, None)
    image[top, left], image[top, right] = COLOURS["red"], COLOURS["green"]
    image[bottom, left], image[bottom, right] = COLOURS["blue"], COLOURS["grey"]
    return image


def corners(image: NDArray[np.uint8]) -> list[str]:
    """Names of the colours at top left, top right, bottom left, bottom right."""
    height, width = image.shape[:2]
    points = [(1, 1), (1, 3), (3, 1), (3, 3)]
    found = []
    for y, x in points:
        pixel = image[height * y // 4, width * x // 4].astype(int)
        found.append(min(COLOURS, key=lambda name: abs(pixel - COLOURS[name]).sum()))
    return found


def encode(
    path: Path,
    times: list[int],
    unit: Fraction,
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rate: Fraction | int = 30,
    size: tuple[int, int] = (48, 64),
    colour: dict[str, int] | None = None,
    **stream_options: Any,
) -> Path:
    """A clip of quadrants made with PyAV alone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate)
        stream.height, stream.width = size
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = unit
        for name, value in (colour or {}).items():
            setattr(stream.codec_context, name, value)
        if "matrix" in stream_options:
            stream.set_display_matrix(stream_options["matrix"])
        for pts in times:
            frame = av.VideoFrame.from_ndarray(quadrants(*size))
            matrix = {"dst_colorspace": colour["colorspace"]} if colour else {}
            frame = frame.reformat(format=pixel_format, **matrix)
            frame.pts, frame.time_base = pts, unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def times_of(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        unit = container.streams.video[0].time_base
        return [frame.pts * unit for frame in container.decode(video=0)]


class TestSideBySide:
    def test_keeps_order_whatever_takes_longest(self) -> None:
        def work(number: int) -> int:
            time.sleep(0.004 if number % 3 else 0.0)
            return number

        seen: list[int] = []
        run_side_by_side(range(60), work, seen.append, workers=4)
        assert seen == list(range(60))

    def test_no_items(self) -> None:
        run_side_by_side([], lambda item: item, lambda item: pytest.fail("called"))

    def test_stages_overlap(self) -> None:
        """Reading item n + 2, work on n + 1 and the sink of n wait for each other."""
        together = threading.Barrier(3, timeout=20)

        def items() -> Iterator[int]:
            for number in range(8):
                if number >= 2:
                    together.wait()
                yield number

        def work(number: int) -> int:
            if 1 <= number < 7:
                together.wait()
            return number

        def sink(number: int) -> None:
            if number < 6:
                together.wait()
            seen.append(number)

        seen: list[int] = []
        run_side_by_side(items(), work, sink, workers=1)
        assert seen == list(range(8))

    def test_opencv_keeps_to_one_thread_meanwhile(self) -> None:
        before = cv2.getNumThreads()
        try:
            cv2.setNumThreads(3)
            seen: list[int] = []
            run_side_by_side([0], lambda _: cv2.getNumThreads(), seen.append)
            assert (seen, cv2.getNumThreads()) == ([1], 3)
        finally:
            cv2.setNumThreads(before)

    @pytest.mark.parametrize("workers", [1, 3])
    def test_few_items_exist_at_a_time(self, workers: int) -> None:
        alive, most = 0, 0
        lock = threading.Lock()

        def items() -> Iterator[int]:
            nonlocal alive, most
            for number in range(100):
                with lock:
                    alive += 1
                    most = max(most, alive)
                yield number

        def sink(_: int) -> None:
            nonlocal alive
            time.sleep(0.001)
            with lock:
                alive -= 1

        run_side_by_side(items(), lambda item: item, sink, workers=workers)
        assert most <= 2 * workers + 1

    @pytest.mark.parametrize("stage", ["reader", "work", "sink"])
    @pytest.mark.parametrize("kind", [ValueError, Stopped, MemoryError])
    def test_a_failure_stops_all_three(self, stage: str, kind: type[Exception]) -> None:
        drawn = 0

        def items() -> Iterator[int]:
            nonlocal drawn
            for number in range(1000):
                drawn += 1
                if stage == "reader" and number == 7:
                    raise kind("broken")
                yield number

        def fail(where: str, number: int) -> int:
            if stage == where and number == 7:
                raise kind("broken")
            return number

        seen: list[int] = []

        def sink(number: int) -> None:
            seen.append(fail("sink", number))

        before = threading.active_count()
        with pytest.raises(kind, match="broken"):
            run_side_by_side(items(), lambda n: fail("work", n), sink, workers=2)
        assert threading.active_count() == before
        assert seen == list(range(7))
        assert drawn < 20

    def test_ctrl_c_while_everything_waits(self) -> None:
        """The signal comes while the calling thread waits for a worker."""

        def work(number: int) -> int:
            if number == 3:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.05)
            return number

        before = threading.active_count()
        with pytest.raises(KeyboardInterrupt):
            run_side_by_side(range(10**9), work, lambda _: None, workers=2)
        assert threading.active_count() == before


class TestWriteAndRead:
    def test_pictures_and_times_come_back(self, tmp_path: Path) -> None:
        path = tmp_path / "clip.mp4"
        write_video(path, [quadrants()] * 12, NTSC)
        frames = list(read_video(path))
        assert [frame.time for frame in frames] == [Fraction(n) / NTSC for n in range(12)]
        assert [frame.index for frame in frames] == list(range(12))
        for name, (y, x) in zip(COLOURS, [(12, 16), (12, 48), (36, 16), (36, 48)], strict=True):
            np.testing.assert_allclose(frames[5].image[y, x], COLOURS[name], atol=6)
        assert list(tmp_path.iterdir()) == [path]

    def test_plays_in_browsers(self, tmp_path: Path) -> None:
        """H.264, yuv420p, limited range, rate kept, and the index before the pictures."""
        path = tmp_path / "clip.mp4"
        write_video(path, [quadrants()] * 5, NTSC)
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert stream.codec_context.pix_fmt == "yuv420p"
            assert stream.average_rate == NTSC
            assert stream.codec_context.color_range == 1
            assert stream.codec_context.colorspace == 1
        content = path.read_bytes()
        assert 0 < content.index(b"moov") < content.index(b"mdat")

    def test_odd_sizes_get_a_pixel_more(self, tmp_path: Path) -> None:
        path = tmp_path / "clip.mp4"
        write_video(path, [quadrants(47, 63)] * 3, Fraction(25))
        (image, *_) = (frame.image for frame in read_video(path))
        assert image.shape == (48, 64, 3)
        assert corners(image) == list(COLOURS)

    def test_no_frames_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="no frames"):
            write_video(tmp_path / "clip.mp4", [], Fraction(25))
        assert not list(tmp_path.iterdir())

    def test_a_failure_leaves_the_earlier_file(self, tmp_path: Path) -> None:
        path = tmp_path / "clip.mp4"
        path.write_bytes(b"earlier")

        def frames() -> Iterator[NDArray[np.uint8]]:
            yield from [quadrants()] * 40
            raise RuntimeError("camera gone")

        with pytest.raises(RuntimeError, match="camera gone"):
            write_video(path, frames(), Fraction(25))
        assert path.read_bytes() == b"earlier"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_name_with_a_colon(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        path = Path("12:30 é.mp4")
        write_video(path, [quadrants()] * 2, Fraction(25))
        assert len(list(read_video(path))) == 2

    def test_wider_than_h264(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="16384"):
            VideoWriter(tmp_path / "clip.mp4", 64, 16386, Fraction(25))

    def test_same_time_twice_moves_on(self, tmp_path: Path) -> None:
        path = tmp_path / "clip.mp4"
        unit = Fraction(1, 1000)
        with VideoWriter(path, 48, 64, Fraction(25), time_base=unit) as writer:
            for milliseconds in (0, 40, 40, 80):
                writer.write(quadrants(), Fraction(milliseconds, 1000))
        assert times_of(path) == [0, Fraction(40, 1000), Fraction(41, 1000), Fraction(80, 1000)]


class TestReader:
    @pytest.mark.parametrize("orientation", range(8))
    def test_display_matrix(self, tmp_path: Path, orientation: int) -> None:
        """All eight orientations against the definition of the matrix, pixel by pixel."""
        one = 1 << 16
        a, b, c, d = [
            (one, 0, 0, one), (-one, 0, 0, one), (one, 0, 0, -one), (-one, 0, 0, -one),
            (0, one, one, 0), (0, -one, one, 0), (0, one, -one, 0), (0, -one, -one, 0),
        ][orientation]  # fmt: skip
        # ISO 14496-12: (x, y) is shown at (a x + c y, b x + d y), then moved into view.
        source = np.array(corners(quadrants())).reshape(2, 2)
        places = {}
        for y, x in np.ndindex(2, 2):
            places[(b * x + d * y) // one, (a * x + c * y) // one] = source[y, x]
        expected = [places[place] for place in sorted(places)]

        matrix = [a, b, 0, c, d, 0, 0, 0, 1 << 30]
        path = encode(tmp_path / "turned.mp4", [0, 1, 2], Fraction(1, 30), matrix=matrix)
        image = next(iter(read_video(path))).image
        assert corners(image) == expected
        assert image.shape == ((64, 48, 3) if orientation >= 4 else (48, 64, 3))

    @pytest.mark.parametrize(
        ("codec", "name", "pixel_format"),
        [
            ("libx264", "a.mkv", "yuv420p"),
            ("libx264", "a.mov", "yuv444p"),
            ("libx265", "a.mp4", "yuv420p10le"),
            ("libvpx-vp9", "a.webm", "yuv420p"),
            ("mpeg4", "a.avi", "yuv420p"),
            ("libx264", "a.avi", "yuv420p"),
            ("libx264", "a.ts", "yuv420p"),
            ("ffv1", "a.mkv", "yuv422p10le"),
            ("mjpeg", "a.mov", "yuvj420p"),
        ],
    )
    def test_containers_and_codecs(
        self, tmp_path: Path, codec: str, name: str, pixel_format: str
    ) -> None:
        path = encode(
            tmp_path / name, list(range(20)), 1 / NTSC,
            codec=codec, pixel_format=pixel_format, rate=NTSC,
        )  # fmt: skip
        frames = list(read_video(path))
        # Matroska's whole milliseconds are understood as the frame rate's times.
        assert [frame.time for frame in frames] == [n / NTSC for n in range(20)]
        image = frames[9].image
        assert image.dtype == np.uint8
        for name, (y, x) in zip(COLOURS, [(12, 16), (12, 48), (36, 16), (36, 48)], strict=True):
            np.testing.assert_allclose(image[y, x], COLOURS[name], atol=12)

    @pytest.mark.parametrize(("matrix", "height"), [(1, 48), (5, 48), (9, 48), (1, 720), (5, 720)])
    def test_tagged_colours_are_respected(self, tmp_path: Path, matrix: int, height: int) -> None:
        path = encode(
            tmp_path / "a.mp4", [0, 1], Fraction(1, 30),
            size=(height, 64), colour={"colorspace": matrix, "color_range": 1},
        )  # fmt: skip
        image = next(iter(read_video(path))).image
        for name, (y, x) in zip(COLOURS, [(1, 16), (1, 48), (3, 16), (3, 48)], strict=True):
            np.testing.assert_allclose(image[height * y // 4, x], COLOURS[name], atol=6)

    def test_cover_picture_is_no_video(self, tmp_path: Path) -> None:
        path = tmp_path / "song.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mjpeg", 1)
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
            stream.disposition = av.stream.Disposition.attached_pic
            frame = av.VideoFrame.from_ndarray(quadrants()).reformat(format="yuvj420p")
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        with pytest.raises(UserError, match="no video"):
            VideoReader(path)

    def test_time_base_holds_ticks_and_frame_periods(self) -> None:
        unit = common_time_base(Fraction(1, 1000), NTSC)
        for exact in (Fraction(1, 1000), 1 / NTSC):
            assert (exact / unit).denominator == 1
        assert common_time_base(Fraction(1, 1_200_000), NTSC) <= Fraction(1, 90_000)

    def test_avi_with_frames_left_out(self, tmp_path: Path) -> None:
        """Its empty packets hold the place of frames that a camera dropped."""
        times = [0, 1, 2, 5, 6, 10, 11, 12]
        path = encode(tmp_path / "a.avi", times, Fraction(1, 25), codec="mpeg4", rate=25)
        with VideoReader(path) as reader:
            assert [frame.time for frame in reader] == [Fraction(n, 25) for n in times]
            assert reader.lost()[0] == 0
            assert reader.warnings == []

    def test_no_times_in_the_file(self, tmp_path: Path) -> None:
        """A bare H.264 stream: the frame rate gives the times."""
        path = encode(tmp_path / "bare.h264", list(range(10)), Fraction(1, 25), rate=25)
        assert [frame.time for frame in read_video(path)] == [Fraction(n, 25) for n in range(10)]


MEMORY_PROBE = """
import resource, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from triptych.data.classes import CAMVID
from triptych.segment.predict import PredictOptions, predict

class Model:
    name, classes, concurrency = "red", CAMVID, 2
    def labels(self, images, keys, size=None):
        return images[..., 0] // 64

predict(Path(sys.argv[1]), [Model()], Path(sys.argv[2]), PredictOptions(save_labels=False))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    """Peak memory of a whole process that labels 300 and 3,000 frames."""
    noise = np.random.default_rng(0).integers(0, 255, (8, 48, 64, 3), np.uint8)
    peaks = []
    for count in (300, 3000):
        clip = tmp_path / f"{count}.mp4"
        write_video(clip, (noise[n % 8] for n in range(count)), Fraction(30))
        done = subprocess.run(
            [sys.executable, "-c", MEMORY_PROBE, str(clip), str(tmp_path / f"out-{count}")],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.05 * peaks[0], peaks
