"""`predict` from outside: what it writes for videos and pictures, good and bad."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from triptych.data.classes import CAMVID, CITYSCAPES, ClassSet
from triptych.errors import Stopped, UserError, WorkFailed
from triptych.segment import predict as module
from triptych.segment.labeller import FrameKey
from triptych.segment.models.label_folder import LabelFolder
from triptych.segment.predict import PredictOptions, describe, predict
from triptych.video import VideoWriter, write_video

COLOURS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)])
SECOND = Fraction(1)


class Nearest:
    """A model that knows four colours: id 0 for red, 1 green, 2 blue, 3 grey."""

    def __init__(
        self,
        name: str = "nearest",
        classes: ClassSet = CAMVID,
        change: Callable[[NDArray[np.uint8], FrameKey], Any] | None = None,
    ) -> None:
        self.name, self.classes, self.concurrency = name, classes, 2
        self.keys: list[FrameKey] = []
        self._change = change
        self._inside = 0
        self._lock = threading.Lock()

    def labels(
        self,
        images: NDArray[np.uint8],
        keys: Sequence[FrameKey],
        size: tuple[int, int] | None = None,
    ) -> NDArray[np.uint8]:
        with self._lock:
            self.keys.extend(keys)
            self._inside += 1
            assert self._inside <= self.concurrency
        try:
            distance = np.abs(images[:, :, :, None].astype(int) - COLOURS).sum(-1)
            labels = distance.argmin(-1).astype(np.uint8)
            changed = None if self._change is None else self._change(labels[0], keys[0])
            return labels if changed is None else changed[None]
        finally:
            with self._lock:
                self._inside -= 1


def quadrants(height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """Ids 0, 1 / 2, 3 in the colours that `Nearest` knows."""
    rows = (np.arange(height) >= height // 2).astype(int)
    columns = (np.arange(width) >= width // 2).astype(int)
    return COLOURS[2 * rows[:, None] + columns].astype(np.uint8)


def clip(
    path: Path,
    *,
    times: Sequence[int] = range(15),
    unit: Fraction = Fraction(1, 15),
    rate: Fraction = Fraction(15),
    size: tuple[int, int] = (48, 64),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rotation: int | None = None,
    aspect: Fraction | None = None,
    sound: str | None = None,
    sound_rate: int = 48000,
    sound_start: Fraction = Fraction(0),
    beep: Fraction = SECOND / 2,
    seconds: Fraction = SECOND,
) -> Path:
    """A clip of quadrants made with PyAV alone; its sound is silence with a beep at `beep`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate)
        stream.height, stream.width, stream.pix_fmt = *size, pixel_format
        stream.codec_context.time_base = unit
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation is not None:
            stream.set_display_rotation(rotation)
        audio = container.add_stream(sound, sound_rate) if sound else None
        if audio is not None:
            audio.layout = "stereo"
        for pts in times:
            frame = av.VideoFrame.from_ndarray(quadrants(*size)).reformat(format=pixel_format)
            frame.pts, frame.time_base = pts, unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if audio is not None:
            for block in sound_blocks(sound_start, beep, seconds):
                container.mux(audio.encode(block))
            container.mux(audio.encode(None))
    return path


def sound_blocks(start: Fraction, beep: Fraction, seconds: Fraction) -> Iterator[av.AudioFrame]:
    clock = np.arange(int(start * 48000), int((start + seconds) * 48000)) / 48000
    wave = np.where(clock >= beep, 0.5 * np.sin(2 * np.pi * 1000 * clock), 0).astype(np.float32)
    for first in range(0, len(wave), 1024):
        block = np.tile(wave[first : first + 1024], (2, 1))
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", "stereo")
        frame.sample_rate, frame.time_base = 48000, Fraction(1, 48000)
        frame.pts = int(start * 48000) + first
        yield frame


def frames_of(path: Path) -> list[tuple[Fraction, NDArray[np.uint8]]]:
    with av.open(str(path)) as container:
        unit = container.streams.video[0].time_base
        return [
            (frame.pts * unit, frame.to_ndarray(format="rgb24"))
            for frame in container.decode(video=0)
        ]


def beep_time(path: Path) -> float:
    """When the sound becomes loud, in seconds."""
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray()
            if frame.format.name == "s16":
                samples = samples.reshape(-1, 2).T / 32768
            loud = np.flatnonzero(np.abs(samples).max(0) > 0.1)
            if len(loud):
                return frame.time + loud[0] / frame.sample_rate
    raise AssertionError("no beep")


def folder_of(path: Path, names: Sequence[str]) -> Path:
    path.mkdir()
    for name in names:
        Image.fromarray(quadrants()).save(path / name)
    return path


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def folders(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_dir()}


QUIET = PredictOptions(progress=False)
SAVE = PredictOptions(progress=False, save_labels=True)


class TestVideo:
    def test_everything_about_a_plain_clip(self, tmp_path: Path) -> None:
        source = clip(tmp_path / "clip.mov")
        model = Nearest()
        summary = predict(source, [model], tmp_path / "out", SAVE)

        labels = {f"labels/nearest/{n:06d}.png" for n in range(15)}
        more = {"stability/frames.csv", "stability/over-time.png", "labels/nearest/classes.json"}
        assert files(tmp_path / "out") == {"clip.mp4", "summary.json", *labels, *more}
        assert summary == json.loads((tmp_path / "out/summary.json").read_text())
        assert summary["frames"] == 15
        assert summary["frames_lost"] == 0
        assert set(summary["seconds_per_stage"]) == {"decode", "flow", "model", "draw", "encode"}
        assert all(seconds > 0 for seconds in summary["seconds_per_stage"].values())
        assert summary["frames_per_second"] == pytest.approx(15 / summary["seconds"], rel=0.01)
        (told,) = summary["models"]
        assert told["shares"] == pytest.approx(
            {name: 0.25 if i < 4 else 0 for i, name in enumerate(CAMVID.names)}, abs=0.02
        )
        assert sorted(model.keys, key=lambda key: key.index) == [
            FrameKey("clip", n) for n in range(15)
        ]
        assert "15 frames" in describe(summary)
        assert str(tmp_path) not in json.dumps({**summary, "folder": ""})

        with Image.open(tmp_path / "out/labels/nearest/000003.png") as saved:
            assert saved.mode == "P"
            assert saved.getpalette()[:33] == [v for colour in CAMVID.colours for v in colour]
            ids = np.asarray(saved)
        assert [ids[y, x] for y in (10, 40) for x in (10, 50)] == [0, 1, 2, 3]

        with av.open(str(tmp_path / "out/clip.mp4")) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert stream.codec_context.pix_fmt == "yuv420p"
            assert stream.average_rate == 15
        content = (tmp_path / "out/clip.mp4").read_bytes()
        assert content.index(b"moov") < content.index(b"mdat")

    @pytest.mark.parametrize(
        ("view", "panels"), [("side", ["image", "labels"]), ("labels", ["labels"]),
                             ("blend", ["blend"])],
    )  # fmt: skip
    def test_views(self, tmp_path: Path, view: Any, panels: list[str]) -> None:
        source = clip(tmp_path / "clip.mp4")
        predict(source, [Nearest()], tmp_path / "out", PredictOptions(view, 0.25, progress=False))
        _, image = frames_of(tmp_path / "out/clip.mp4")[7]
        # A strip lies below the pictures.
        assert image.shape[1] == 64 * len(panels)
        assert 48 < image.shape[0] <= 48 * 1.5
        palette = np.array(CAMVID.colours[:4])
        wanted = {
            "image": COLOURS, "labels": palette, "blend": 0.25 * palette + 0.75 * COLOURS,
        }  # fmt: skip
        for index, panel in enumerate(panels):
            for label, (y, x) in enumerate([(12, 16), (12, 48), (36, 16), (36, 48)]):
                np.testing.assert_allclose(image[y, 64 * index + x], wanted[panel][label], atol=12)

    @pytest.mark.parametrize(
        ("rotation", "expected"),
        [(90, [1, 3, 0, 2]), (180, [3, 2, 1, 0]), (270, [2, 0, 3, 1]), (-90, [2, 0, 3, 1])],
    )
    def test_rotated_clips_are_upright(
        self, tmp_path: Path, rotation: int, expected: list[int]
    ) -> None:
        """Counter-clockwise turns, as PyAV writes them; the model sees the upright picture."""
        source = clip(tmp_path / "phone.mp4", rotation=rotation)
        predict(source, [Nearest()], tmp_path / "out", SAVE)
        ids = np.asarray(Image.open(tmp_path / "out/labels/nearest/000005.png"))
        height, width = ids.shape
        assert (height, width) == ((48, 64) if rotation == 180 else (64, 48))
        quarters = [(height // 4, width // 4), (height // 4, 3 * width // 4)]
        quarters += [(3 * height // 4, x) for _, x in quarters]
        assert [ids[place] for place in quarters] == expected
        _, image = frames_of(tmp_path / "out/phone.mp4")[5]
        for place, label in zip(quarters, expected, strict=True):
            np.testing.assert_allclose(image[place], COLOURS[label], atol=12)
        with av.open(str(tmp_path / "out/phone.mp4")) as container:
            assert next(container.decode(video=0)).rotation == 0

    @pytest.mark.parametrize(
        ("aspect", "size"),
        [(Fraction(16, 15), (576, 768)), (Fraction(64, 45), (576, 1024)),
         (Fraction(8, 9), (648, 720))],
    )  # fmt: skip
    def test_square_pixels(self, tmp_path: Path, aspect: Fraction, size: tuple[int, int]) -> None:
        """PAL's 720×576 becomes 768×576, wide 1024×576; narrow pixels make it higher."""
        source = clip(tmp_path / "dv.mp4", times=range(2), size=(576, 720), aspect=aspect)
        summary = predict(source, [Nearest()], tmp_path / "out", SAVE)
        assert np.asarray(Image.open(tmp_path / "out/labels/nearest/000001.png")).shape == size
        assert summary["stream"]["size"] == [size[1], size[0]]
        with av.open(str(tmp_path / "out/dv.mp4")) as container:
            assert container.streams.video[0].sample_aspect_ratio in (None, 0, 1)
            assert container.streams.video[0].width == 2 * size[1]

    @pytest.mark.parametrize("size", [(47, 63), (33, 64), (48, 31)])
    def test_odd_sizes(self, tmp_path: Path, size: tuple[int, int]) -> None:
        source = clip(
            tmp_path / "odd.mkv", times=range(3), size=size, codec="ffv1", pixel_format="bgr0"
        )
        summary = predict(source, [Nearest()], tmp_path / "out", PredictOptions("labels"))
        width, height = summary["size"]
        assert (width % 2, height % 2) == (0, 0)
        assert size[1] <= width <= size[1] + 1
        assert summary["stream"]["size"] == [size[1], size[0]]

    def test_ten_bits(self, tmp_path: Path) -> None:
        source = clip(tmp_path / "hdr.mp4", codec="libx265", pixel_format="yuv420p10le")
        predict(source, [Nearest()], tmp_path / "out", QUIET)
        with av.open(str(tmp_path / "out/hdr.mp4")) as container:
            assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
        _, image = frames_of(tmp_path / "out/hdr.mp4")[3]
        np.testing.assert_allclose(image[12, 16], COLOURS[0], atol=12)

    @pytest.mark.parametrize("ending", ["mp4", "mkv"])
    def test_ntsc_stays_exact(self, tmp_path: Path, ending: str) -> None:
        rate = Fraction(30000, 1001)
        source = clip(tmp_path / f"ntsc.{ending}", unit=1 / rate, rate=rate, times=range(40))
        predict(source, [Nearest()], tmp_path / "out", QUIET)
        times = [time for time, _ in frames_of(tmp_path / "out/ntsc.mp4")]
        assert times == [n * Fraction(1001, 30000) for n in range(40)]
        with av.open(str(tmp_path / "out/ntsc.mp4")) as container:
            assert container.streams.video[0].average_rate == Fraction(30000, 1001)

    @pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
    def test_variable_frame_rate(self, tmp_path: Path, ending: str) -> None:
        """A phone's clip: 30 a second, a pause, frames 1 ms apart, and a slow end."""
        times = [0, 33, 67, 100, 900, 901, 902, 1000, 2500, 2533, 4000]
        source = clip(tmp_path / f"vfr.{ending}", unit=Fraction(1, 1000), times=times)
        before = [float(time) for time, _ in frames_of(source)]
        predict(source, [Nearest()], tmp_path / "out", QUIET)
        after = [float(time) for time, _ in frames_of(tmp_path / "out/vfr.mp4")]
        np.testing.assert_allclose(np.subtract(after, after[0]), np.array(times) / 1000, atol=1e-3)
        if ending != "ts":  # whose times start anywhere
            np.testing.assert_allclose(after, before, atol=1e-3)

    def test_the_largest_of_several_streams(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        source = tmp_path / "many.mkv"
        with av.open(str(source), "w") as container:
            streams = []
            for size in [(48, 64), (96, 128), (24, 32)]:
                stream = container.add_stream("libx264", 15)
                stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
                streams.append(stream)
            for _ in range(5):
                for stream in streams:
                    image = quadrants(stream.height, stream.width)
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
            for stream in streams:
                container.mux(stream.encode(None))
        summary = predict(source, [Nearest()], tmp_path / "out", QUIET)
        assert summary["frames"] == 5
        assert summary["stream"]["index"] == 1
        assert summary["stream"]["size"] == [128, 96]
        assert summary["stream"]["video_streams"] == 3
        assert "stream 1 (h264, 128×96)" in caplog.text

    def test_labels_of_a_longer_clip_do_not_stay(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        predict(clip(tmp_path / "a.mp4", times=range(9)), [Nearest()], out, SAVE)
        predict(clip(tmp_path / "a.mp4", times=range(4)), [Nearest()], out, SAVE)
        assert len(list((out / "labels/nearest").glob("*.png"))) == 4

    @pytest.mark.parametrize("kind", ["video", "pictures"])
    def test_saved_labels_are_a_model_of_the_same_classes(self, tmp_path: Path, kind: str) -> None:
        if kind == "video":
            source = clip(tmp_path / "clip.mp4", times=range(3))
        else:
            source = folder_of(tmp_path / "frames", ["a.png", "b.png"])
        predict(source, [Nearest()], tmp_path / "out", SAVE)
        again = LabelFolder(tmp_path / "out/labels/nearest")
        assert again.classes == CAMVID
        predict(source, [Nearest(), again], tmp_path / "again", QUIET)
        summary = json.loads((tmp_path / "again/summary.json").read_text())
        assert summary["disagreement"][0]["pixel_agreement"] == 1

    def test_other_models_leave_nothing_of_the_earlier_ones(self, tmp_path: Path) -> None:
        """Stability, disagreement and figure are of the last start; other files stay."""

        def change(labels: NDArray[np.uint8], key: FrameKey) -> NDArray[np.uint8]:
            return np.roll(labels, 7 * (key.index % 3), 1)

        source, out = clip(tmp_path / "clip.mp4", times=range(6)), tmp_path / "out"
        models = {name: Nearest(name, change=change) for name in ("a", "b", "c")}
        predict(source, [models["a"], models["b"]], out, SAVE)
        (out / "stability/mine.txt").write_text("notes")
        assert {"stability/a", "disagreement/a-vs-b"} < folders(out)
        before = files(out)

        summary = predict(source, [models["b"], models["c"]], out, QUIET)
        told = [
            *(
                each["picture"]
                for pair in summary["disagreement"]
                for each in pair["most_different"]
            ),
            *(each["picture"] for one in summary["stability"] for each in one["worst_seconds"]),
        ]
        tables = {"stability/frames.csv", "stability/over-time.png",
                  "disagreement/b-vs-c/frames.csv"}  # fmt: skip
        kept = {"stability/mine.txt", *(name for name in before if name.startswith("labels/"))}
        assert files(out) == {"clip.mp4", "summary.json", *told, *tables, *kept}
        assert not {"stability/a", "disagreement/a-vs-b"} & folders(out)

        predict(source, [models["c"]], out, PredictOptions(stability=False, progress=False))
        assert files(out) == {"clip.mp4", "summary.json", *kept}
        assert "disagreement" not in folders(out)

    def test_an_earlier_result_stays_where_the_next_fails(self, tmp_path: Path) -> None:
        def fail(labels: NDArray[np.uint8], key: FrameKey) -> None:
            if key.index == 4:
                raise UserError("no labels for frame 4")

        source, out = clip(tmp_path / "clip.mp4", times=range(6)), tmp_path / "out"
        predict(source, [Nearest("a"), Nearest("b")], out, SAVE)
        before = {name: (out / name).read_bytes() for name in files(out)}
        with pytest.raises(UserError, match="frame 4"):
            predict(source, [Nearest("a"), Nearest("c", change=fail)], out, SAVE)
        assert {name: (out / name).read_bytes() for name in files(out)} == before

    def test_stability_can_be_left_out(self, tmp_path: Path) -> None:
        source = clip(tmp_path / "clip.mp4", times=range(3))
        options = PredictOptions(stability=False, progress=False)
        summary = predict(source, [Nearest()], tmp_path / "out", options)
        assert files(tmp_path / "out") == {"clip.mp4", "summary.json"}
        assert "stability" not in summary
        assert summary["seconds_per_stage"]["flow"] == 0


class TestSound:
    @pytest.mark.parametrize(
        ("name", "codec", "video", "copied"),
        [
            ("a.mp4", "aac", "libx264", True),
            ("a.mkv", "aac", "libx264", True),
            ("a.ts", "aac", "libx264", True),
            ("a.mp4", "libmp3lame", "libx264", True),
            ("a.avi", "libmp3lame", "mpeg4", True),
            ("a.mkv", "pcm_s16le", "libx264", False),
            ("a.webm", "libopus", "libvpx-vp9", False),
            ("a.avi", "pcm_s16le", "mpeg4", False),
            ("a.mkv", "ac3", "libx264", False),
        ],
    )
    def test_kept_in_sync(
        self, tmp_path: Path, name: str, codec: str, video: str, copied: bool
    ) -> None:
        source = clip(tmp_path / name, codec=video, sound=codec)
        summary = predict(source, [Nearest()], tmp_path / "out", QUIET)
        assert summary["audio"]["copied"] is copied
        result = tmp_path / "out/a.mp4"
        with av.open(str(result)) as container:
            kept = container.streams.audio[0].codec_context.codec.canonical_name
        assert kept == ("mp3" if codec == "libmp3lame" else "aac")
        lag = [beep_time(path) - float(frames_of(path)[0][0]) for path in (source, result)]
        assert lag[1] == pytest.approx(lag[0], abs=0.003)

    @pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
    def test_sound_that_starts_first(self, tmp_path: Path, codec: str) -> None:
        source = clip(
            tmp_path / "a.mkv", times=range(700, 1700, 50), unit=Fraction(1, 1000), sound=codec,
            beep=SECOND, seconds=2 * SECOND,
        )  # fmt: skip
        predict(source, [Nearest()], tmp_path / "out", QUIET)
        result = tmp_path / "out/a.mp4"
        assert float(frames_of(result)[0][0]) == pytest.approx(0.7, abs=1e-3)
        assert beep_time(result) == pytest.approx(beep_time(source), abs=0.003)

    @pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
    def test_sound_that_starts_later(self, tmp_path: Path, codec: str) -> None:
        source = clip(tmp_path / "a.mkv", sound=codec, sound_start=SECOND / 4)
        predict(source, [Nearest()], tmp_path / "out", QUIET)
        assert beep_time(tmp_path / "out/a.mp4") == pytest.approx(beep_time(source), abs=0.003)

    def test_a_gap_in_the_sound_stays(self, tmp_path: Path) -> None:
        """0.2 s of silence, nothing for 0.4 s, then the beep: it must not come 0.4 s early."""
        source = tmp_path / "a.mkv"
        with av.open(str(source), "w") as container:
            stream = container.add_stream("libx264", 15)
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
            sound = container.add_stream("pcm_s16le", 48000)
            sound.layout = "stereo"
            for _ in range(15):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(quadrants())))
            container.mux(stream.encode(None))
            for start, seconds in [(0, Fraction(1, 5)), (Fraction(3, 5), Fraction(2, 5))]:
                for block in sound_blocks(Fraction(start), Fraction(3, 5), seconds):
                    container.mux(sound.encode(block))
            container.mux(sound.encode(None))
        predict(source, [Nearest()], tmp_path / "out", QUIET)
        assert beep_time(source) == pytest.approx(0.6, abs=0.003)
        assert beep_time(tmp_path / "out/a.mp4") == pytest.approx(0.6, abs=0.003)

    def test_mp3_too_slow_for_an_mp4(self, tmp_path: Path) -> None:
        """MPEG-2.5 layer 3, 8,000 samples a second: no mp4 may hold it, so it becomes AAC."""
        source = clip(tmp_path / "a.mkv", sound="libmp3lame", sound_rate=8000)
        summary = predict(source, [Nearest()], tmp_path / "out", QUIET)
        assert summary["audio"] == {"codec": "mp3", "copied": False}
        assert beep_time(tmp_path / "out/a.mp4") == pytest.approx(beep_time(source), abs=0.003)

    def test_no_audio(self, tmp_path: Path) -> None:
        source = clip(tmp_path / "a.mp4", sound="aac")
        options = PredictOptions(audio=False, progress=False)
        summary = predict(source, [Nearest()], tmp_path / "out", options)
        assert summary["audio"] is None
        with av.open(str(tmp_path / "out/a.mp4")) as container:
            assert not container.streams.audio


class TestBadVideo:
    @pytest.mark.parametrize(
        ("content", "message"), [(b"", "empty"), (b"not a film\n" * 200, "cannot be read")]
    )
    def test_not_a_video(self, tmp_path: Path, content: bytes, message: str) -> None:
        (tmp_path / "clip.mp4").write_bytes(content)
        with pytest.raises(UserError, match=message) as caught:
            predict(tmp_path / "clip.mp4", [Nearest()], tmp_path / "out", QUIET)
        assert "clip.mp4" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()

    def test_text_is_not_made_a_video(self, tmp_path: Path) -> None:
        """FFmpeg would draw the letters of a .txt file."""
        (tmp_path / "notes.txt").write_text("hello\n" * 100)
        with pytest.raises(UserError, match=r"notes\.txt"):
            predict(tmp_path / "notes.txt", [Nearest()], tmp_path / "out", QUIET)

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="no such file"):
            predict(tmp_path / "clip.mp4", [Nearest()], tmp_path / "out", QUIET)

    def test_sound_only(self, tmp_path: Path) -> None:
        with av.open(str(tmp_path / "song.mp4"), "w") as container:
            stream = container.add_stream("aac", 48000)
            for block in sound_blocks(Fraction(0), Fraction(0), SECOND):
                container.mux(stream.encode(block))
            container.mux(stream.encode(None))
        with pytest.raises(UserError, match=r"song\.mp4: there is no video"):
            predict(tmp_path / "song.mp4", [Nearest()], tmp_path / "out", QUIET)

    @pytest.mark.parametrize("ending", ["mkv", "mp4", "avi"])
    def test_a_video_without_frames(self, tmp_path: Path, ending: str) -> None:
        source = tmp_path / f"clip.{ending}"
        with av.open(str(source), "w") as container:
            stream = container.add_stream("libx264", 15)
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
            container.start_encoding()
        with pytest.raises(UserError, match=rf"clip\.{ending}: .*no (frame|video)"):
            predict(source, [Nearest()], tmp_path / "out", QUIET)
        assert not (tmp_path / "out/clip.mp4").exists()

    def test_cut_fragments(self, tmp_path: Path) -> None:
        """Fragments of 15 frames: what the last one promises and lacks is known to be lost."""
        noise = np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), np.uint8)
        whole = tmp_path / "whole.mp4"
        fragments = {"movflags": "frag_keyframe+empty_moov"}
        with av.open(str(whole), "w", options=fragments) as container:
            every_15th = {"g": "15", "sc_threshold": "0"}
            stream = container.add_stream("libx264", 15, options=every_15th)
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
            for image in noise:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
            container.mux(stream.encode(None))
        assert predict(whole, [Nearest()], tmp_path / "out", QUIET)["frames_lost"] == 0
        content = whole.read_bytes()
        (tmp_path / "cut.mp4").write_bytes(content[: len(content) * 5 // 8])
        summary = predict(tmp_path / "cut.mp4", [Nearest()], tmp_path / "out", QUIET)
        assert 30 < summary["frames"] < 45
        assert summary["frames"] + summary["frames_lost"] == 45

    def test_a_trimmed_clip_lost_nothing(self, tmp_path: Path) -> None:
        """Five frames before time 0 stay in the file, and an edit list hides them."""
        source = clip(tmp_path / "clip.mp4", times=range(-5, 15))
        summary = predict(source, [Nearest()], tmp_path / "out", QUIET)
        assert (summary["frames"], summary["frames_lost"]) == (15, 0)
        assert [time for time, _ in frames_of(tmp_path / "out/clip.mp4")] == [
            Fraction(n, 15) for n in range(15)
        ]

    @pytest.mark.parametrize("ending", ["mp4", "mkv", "avi"])
    def test_cut_in_the_middle(self, tmp_path: Path, ending: str) -> None:
        whole = tmp_path / f"whole.{ending}"
        noise = np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), np.uint8)
        if ending == "mp4":
            write_video(whole, noise, Fraction(15))  # with its index in front
        else:
            with av.open(str(whole), "w") as container:
                stream = container.add_stream("mpeg4", 15)
                stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
                for image in noise:
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
                container.mux(stream.encode(None))
        source = tmp_path / f"cut.{ending}"
        content = whole.read_bytes()
        source.write_bytes(content[: len(content) // 2])

        summary = predict(source, [Nearest()], tmp_path / "out", QUIET)
        assert 20 <= summary["frames"] <= 40
        assert summary["frames"] + summary["frames_lost"] == pytest.approx(60, abs=1)
        assert any("could not be decoded" in warning for warning in summary["warnings"])
        assert len(frames_of(tmp_path / "out/cut.mp4")) == summary["frames"]

    def test_cut_before_the_index(self, tmp_path: Path) -> None:
        source = clip(tmp_path / "clip.mp4", times=range(200))
        content = source.read_bytes()
        assert content.index(b"mdat") < content.index(b"moov")
        source.write_bytes(content[: content.index(b"moov") - 10])
        with pytest.raises(UserError, match=r"clip\.mp4.*moov"):
            predict(source, [Nearest()], tmp_path / "out", QUIET)

    def test_bytes_broken_in_the_middle(self, tmp_path: Path) -> None:
        source = tmp_path / "clip.mp4"
        noise = np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), np.uint8)
        write_video(source, noise, Fraction(15))
        content = bytearray(source.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 4000] = bytes(4000)
        source.write_bytes(content)
        summary = predict(source, [Nearest()], tmp_path / "out", QUIET)
        assert summary["frames"] + summary["frames_lost"] == 60
        assert summary["frames"] > 20
        assert summary["warnings"]


class TestStopping:
    @pytest.mark.parametrize("kind", [ValueError, UserError, Stopped])
    def test_a_model_that_fails(self, tmp_path: Path, kind: type[Exception]) -> None:
        def fail(labels: NDArray[np.uint8], key: FrameKey) -> None:
            if key.index == 60:
                raise kind("no labels for frame 60")

        source = clip(tmp_path / "clip.mp4", times=range(100), sound="aac", seconds=6 * SECOND)
        before = threading.active_count()
        models = [Nearest(), Nearest("other", change=fail)]
        with pytest.raises(kind, match="frame 60"):
            predict(source, models, tmp_path / "new" / "out", SAVE)
        assert not (tmp_path / "new").exists()
        assert threading.active_count() == before

    def test_a_writer_that_fails(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write = VideoWriter.write

        def fail(self: VideoWriter, image: Any, time: Fraction, duration: Any = None) -> None:
            if time > 2:
                raise OSError(errno.EIO, "Input/output error", "clip.mp4")
            write(self, image, time, duration)

        monkeypatch.setattr(VideoWriter, "write", fail)
        source = clip(tmp_path / "clip.mp4", times=range(100))
        with pytest.raises(WorkFailed, match=r"clip\.mp4: Input/output error"):
            predict(source, [Nearest()], tmp_path / "out", SAVE)
        assert files(tmp_path / "out") == set()

    def test_a_disk_that_fills_at_the_very_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(self: VideoWriter) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(VideoWriter, "_finish", fail)
        source = clip(tmp_path / "clip.mp4")
        with pytest.raises(WorkFailed, match="disk is full"):
            predict(source, [Nearest()], tmp_path / "out", SAVE)
        assert files(tmp_path / "out") == set()

    def test_ctrl_c(self, tmp_path: Path) -> None:
        def interrupt(labels: NDArray[np.uint8], key: FrameKey) -> None:
            if key.index == 60:
                os.kill(os.getpid(), signal.SIGINT)

        source = clip(tmp_path / "clip.mp4", times=range(2000))
        with pytest.raises(KeyboardInterrupt):
            predict(source, [Nearest(change=interrupt)], tmp_path / "out", SAVE)
        assert files(tmp_path / "out") == set()

    @pytest.mark.parametrize("save_labels", [False, True])
    def test_a_full_disk(self, tmp_path: Path, save_labels: bool) -> None:
        source = tmp_path / "clip.mp4"
        noise = np.random.default_rng(0).integers(0, 255, (150, 96, 128, 3), np.uint8)
        write_video(source, noise, Fraction(15))
        disk = tmp_path / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("needs the right to mount a small disk")
        try:
            options = PredictOptions(save_labels=save_labels, progress=False)
            with pytest.raises(WorkFailed, match="disk is full") as caught:
                predict(source, [Nearest()], disk / "out", options)
            assert "\n" not in str(caught.value)
            assert files(disk) == set()
        finally:
            subprocess.run(["umount", str(disk)], check=True)


class TestOutputFolder:
    def test_cannot_be_made(self, tmp_path: Path) -> None:
        source = clip(tmp_path / "clip.mp4", times=range(2))
        (tmp_path / "file").write_text("")
        model = Nearest()
        with pytest.raises(UserError, match="--out"):
            predict(source, [model], tmp_path / "file" / "out", QUIET)
        with pytest.raises(UserError, match="--out"):
            predict(source, [model], tmp_path / "file", QUIET)
        assert not model.keys

    def test_cannot_be_written(self, tmp_path: Path) -> None:
        source = clip(tmp_path / "clip.mp4", times=range(2))
        with pytest.raises(UserError, match="--out /proc"):
            predict(source, [Nearest()], Path("/proc/self"), QUIET)

    def test_is_the_input_s_own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        source = clip(tmp_path / "clip.mp4", times=range(2))
        content = source.read_bytes()
        with pytest.raises(UserError, match="own folder"):
            predict(source, [Nearest()], tmp_path, QUIET)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UserError, match="own folder"):
            predict(Path("clip.mp4"), [Nearest()], Path(), QUIET)
        assert source.read_bytes() == content
        frames = folder_of(tmp_path / "frames", ["a.png"])
        with pytest.raises(UserError, match="own folder"):
            predict(frames, [Nearest()], frames, QUIET)

    @pytest.mark.parametrize("options", [{"view": "top"}, {"alpha": 1.5}])
    def test_wrong_options(self, tmp_path: Path, options: dict[str, Any]) -> None:
        source = clip(tmp_path / "clip.mp4", times=range(2))
        with pytest.raises(UserError, match=f"--{next(iter(options))}"):
            predict(source, [Nearest()], tmp_path / "out", PredictOptions(**options))


def png_that_claims(path: Path, width: int, height: int) -> Path:
    """A PNG of a few bytes whose header claims a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body)
    return path


class TestPictures:
    def test_a_folder_in_natural_order(self, tmp_path: Path) -> None:
        names = ["img10.png", "img2.jpg", "Img1.bmp", "note.txt", ".hidden.png"]
        frames = folder_of(tmp_path / "frames", [n for n in names if n != "note.txt"])
        (frames / "note.txt").write_text("not a picture")
        (frames / "sub.png").mkdir()
        model = Nearest()
        summary = predict(frames, [model], tmp_path / "out", SAVE)
        assert summary["outputs"] == ["Img1.png", "img2.png", "img10.png"]
        keys = sorted(model.keys, key=lambda key: key.index)
        assert keys == [FrameKey("Img1", 0), FrameKey("img2", 1), FrameKey("img10", 2)]
        labels = {f"labels/nearest/{name}.png" for name in ("Img1", "img2", "img10")}
        labels.add("labels/nearest/classes.json")
        assert files(tmp_path / "out") == {*summary["outputs"], "summary.json", *labels}
        assert summary["skipped"] == []

    def test_every_picture_has_its_own_size(self, tmp_path: Path) -> None:
        frames = tmp_path / "frames"
        frames.mkdir()
        sizes = {"a": (48, 64), "b": (31, 57), "c": (200, 20)}
        for name, size in sizes.items():
            Image.fromarray(quadrants(*size)).save(frames / f"{name}.png")
        predict(frames, [Nearest()], tmp_path / "out", SAVE)
        for name, (height, width) in sizes.items():
            ids = np.asarray(Image.open(tmp_path / f"out/labels/nearest/{name}.png"))
            assert ids.shape == (height, width)
            shown = np.asarray(Image.open(tmp_path / f"out/{name}.png"))
            np.testing.assert_array_equal(shown[:height, :width], quadrants(height, width))
            colours = CAMVID.palette()[ids]
            np.testing.assert_array_equal(shown[:height, width : 2 * width], colours)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_exif_orientation(self, tmp_path: Path, orientation: int) -> None:
        """What Pillow shows after turning it is what the model gets and the result shows."""
        exif = Image.Exif()
        exif[274] = orientation
        source = tmp_path / "photo.jpg"
        Image.fromarray(quadrants()).save(source, exif=exif, quality=95, subsampling=0)
        expected = {
            1: [0, 1, 2, 3], 2: [1, 0, 3, 2], 3: [3, 2, 1, 0], 4: [2, 3, 0, 1],
            5: [0, 2, 1, 3], 6: [2, 0, 3, 1], 7: [3, 1, 2, 0], 8: [1, 3, 0, 2],
        }[orientation]  # fmt: skip
        predict(source, [Nearest()], tmp_path / "out", SAVE)
        ids = np.asarray(Image.open(tmp_path / "out/labels/nearest/photo.png"))
        height, width = ids.shape
        assert (height, width) == ((48, 64) if orientation < 5 else (64, 48))
        places = [(y * height // 4, x * width // 4) for y in (1, 3) for x in (1, 3)]
        assert [ids[place] for place in places] == expected

    @pytest.mark.parametrize(
        "kind", ["grey", "grey16", "alpha", "palette", "cmyk", "one bit", "webp", "tiff16"]
    )
    def test_kinds_of_pictures(self, tmp_path: Path, kind: str) -> None:
        picture = Image.fromarray(quadrants())
        ramp = np.linspace(0, 65535, 48 * 64).reshape(48, 64).round().astype(np.uint16)
        path = tmp_path / "frames" / "a.png"
        path.parent.mkdir()
        expected, tolerance = quadrants(), 0
        grey = np.repeat((ramp / 257).round()[..., None], 3, 2)
        match kind:
            case "grey":
                picture.convert("L").save(path)
                expected = np.asarray(picture.convert("L").convert("RGB"))
            case "grey16":
                Image.fromarray(ramp).save(path)
                expected = grey
            case "tiff16":
                path = path.with_suffix(".tif")
                Image.fromarray(ramp).save(path)
                expected = grey
            case "alpha":
                picture.putalpha(100)
                picture.save(path)
            case "palette":
                picture.convert("P", palette=Image.Palette.ADAPTIVE).save(path)
            case "cmyk":
                path = path.with_suffix(".jpg")
                picture.convert("CMYK").save(path, quality=100, subsampling=0)
                tolerance = 6
            case "one bit":
                picture.convert("1", dither=Image.Dither.NONE).save(path)
                expected = np.asarray(picture.convert("1", dither=Image.Dither.NONE).convert("RGB"))
            case "webp":
                path = path.with_suffix(".webp")
                picture.save(path, lossless=True)
        predict(path.parent, [Nearest()], tmp_path / "out", QUIET)
        shown = np.asarray(Image.open(tmp_path / "out/a.png"))[:48, :64]
        np.testing.assert_allclose(shown.astype(int), expected.astype(int), atol=tolerance)

    @pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
    def test_broken_ones_are_skipped(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        frames = folder_of(tmp_path / "frames", ["a.png", "b.jpg", "c.png"])
        noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
        Image.fromarray(noise).save(frames / "b.jpg")
        whole = (frames / "b.jpg").read_bytes()
        (frames / "b.jpg").write_bytes(whole[: len(whole) // 2])
        (frames / "d.png").write_bytes(b"")
        (frames / "e.jpg").write_text("text")
        png_that_claims(frames / "f.png", 100_000, 100_000)
        png_that_claims(frames / "g.png", 12_000, 12_000)
        summary = predict(frames, [Nearest()], tmp_path / "out", SAVE)
        assert summary["frames"] == 2
        assert summary["outputs"] == ["a.png", "c.png"]
        skipped = {entry["file"]: entry["reason"] for entry in summary["skipped"]}
        assert list(skipped) == ["b.jpg", "d.png", "e.jpg", "f.png", "g.png"]
        assert "truncated" in skipped["b.jpg"]
        assert "empty" in skipped["d.png"]
        assert "known format" in skipped["e.jpg"]
        assert "10,000,000,000 pixels" in skipped["f.png"]
        assert "144,000,000 pixels" in skipped["g.png"]
        for name in skipped:
            assert sum(name in line for line in caplog.messages) == 1

    def test_a_single_broken_picture(self, tmp_path: Path) -> None:
        source = png_that_claims(tmp_path / "huge.png", 100_000, 100_000)
        with pytest.raises(UserError, match=r"huge\.png.*pixels"):
            predict(source, [Nearest()], tmp_path / "out", QUIET)

    def test_all_broken(self, tmp_path: Path) -> None:
        frames = tmp_path / "frames"
        frames.mkdir()
        (frames / "a.png").write_bytes(b"no")
        with pytest.raises(WorkFailed, match="none of the 1 pictures"):
            predict(frames, [Nearest(), Nearest("other")], tmp_path / "out", SAVE)
        assert not (tmp_path / "out").exists()

    def test_no_pictures(self, tmp_path: Path) -> None:
        (tmp_path / "frames").mkdir()
        with pytest.raises(UserError, match="no pictures"):
            predict(tmp_path / "frames", [Nearest()], tmp_path / "out", QUIET)

    def test_a_jpg_and_a_png_of_one_name(self, tmp_path: Path) -> None:
        frames = folder_of(tmp_path / "frames", ["a.jpg", "a.png", "b.png"])
        summary = predict(frames, [Nearest()], tmp_path / "out", SAVE)
        assert summary["outputs"] == ["a.jpg.png", "a.png.png", "b.png"]
        assert len(list((tmp_path / "out/labels/nearest").glob("*.png"))) == 3

    def test_a_picture_with_a_video_s_ending(self, tmp_path: Path) -> None:
        Image.fromarray(quadrants()).save(tmp_path / "a.mp4", "PNG")
        summary = predict(tmp_path / "a.mp4", [Nearest()], tmp_path / "out", QUIET)
        assert summary["outputs"] == ["a.png"]

    def test_label_images_are_there_together_or_not_at_all(self, tmp_path: Path) -> None:
        """Killed at the third of four pictures: a folder of two would be a model that looks whole.

        The next start leaves nothing of it either.
        """
        frames = folder_of(tmp_path / "frames", [f"{name}.png" for name in "abcd"])
        script = (
            "import os, signal, sys\n"
            "from pathlib import Path\n"
            "import numpy as np\n"
            "from triptych.data.classes import CAMVID\n"
            "from triptych.segment.predict import PredictOptions, predict\n"
            "class Dies:\n"
            "    name, classes, concurrency = 'nearest', CAMVID, 1\n"
            "    def labels(self, images, keys, size=None):\n"
            "        if keys[0].index == 2:\n"
            "            os.kill(os.getpid(), signal.SIGKILL)\n"
            "        return np.zeros(images.shape[:3], np.uint8)\n"
            "options = PredictOptions(progress=False, save_labels=True)\n"
            "predict(Path(sys.argv[1]), [Dies()], Path(sys.argv[2]), options)\n"
        )
        out = tmp_path / "out"
        killed = subprocess.run([sys.executable, "-c", script, frames, out], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert not (out / "labels").exists()
        predict(frames, [Nearest()], out, SAVE)
        labels = {"classes.json", *(f"{name}.png" for name in "abcd")}
        assert files(out / "labels") == {f"nearest/{name}" for name in labels}
        assert folders(out) == {"labels", "labels/nearest"}

    def test_label_images_of_other_pictures_stay(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            predict(
                folder_of(tmp_path / name, [f"{name}.png"]), [Nearest()], tmp_path / "out", SAVE
            )
        assert {"a.png", "b.png", "classes.json"} == files(tmp_path / "out/labels/nearest")


class TestSeveralModels:
    def test_where_they_differ(self, tmp_path: Path) -> None:
        """By hand: the second model calls half of the reds green, and leaves the greys void."""

        def change(labels: NDArray[np.uint8], key: FrameKey) -> NDArray[np.uint8]:
            changed = labels.copy()
            changed[:12, :32] = 1
            changed[labels == 3] = 255
            return changed

        frames = folder_of(tmp_path / "frames", ["a.png", "b.png"])
        models = [Nearest(), Nearest("other", change=change)]
        summary = predict(frames, models, tmp_path / "out", QUIET)

        (pair,) = summary["disagreement"]
        assert pair["models"] == ["nearest", "other"]
        # Three quarters count; of these two twelfths… one sixth of all counted pixels differ.
        assert pair["pixel_agreement"] == pytest.approx(5 / 6)
        red, green, blue, grey = (pair["IoU"][name] for name in CAMVID.names[:4])
        assert red == pytest.approx(1 / 2)
        assert green == pytest.approx(2 / 3)
        assert blue == 1
        assert grey is None
        assert summary["models"][1]["void"] == pytest.approx(1 / 4)

        folder = tmp_path / "out/disagreement/nearest-vs-other"
        rows = list(csv.DictReader((folder / "frames.csv").open()))
        assert [row["frame"] for row in rows] == ["a", "b"]
        assert float(rows[0]["pixel_agreement"]) == pytest.approx(5 / 6, abs=1e-6)
        assert float(rows[0]["Sky"]) == pytest.approx(0.5)
        assert rows[0]["Road"] == ""
        shown = np.asarray(Image.open(tmp_path / "out" / pair["most_different"][0]["picture"]))
        marked = (shown[:48, 192:256] == 255).all(-1)
        expected = np.zeros((48, 64), bool)
        expected[:12, :32] = True
        np.testing.assert_array_equal(marked, expected)

    def test_the_most_different_frames(self, tmp_path: Path) -> None:
        """Frame n of a video differs in n mod 10 rows; the worst of each second is frame 9."""

        def change(labels: NDArray[np.uint8], key: FrameKey) -> NDArray[np.uint8]:
            changed = labels.copy()
            changed[: key.index % 10 + (key.index == 29)] = 7
            return changed

        source = clip(tmp_path / "clip.mp4", times=range(70), unit=Fraction(1, 10))
        models = [Nearest(), Nearest(change=change)]
        summary = predict(source, models, tmp_path / "out", QUIET)
        (pair,) = summary["disagreement"]
        assert pair["models"] == ["nearest", "nearest-2"]
        worst = [entry["frame"] for entry in pair["most_different"]]
        assert worst == ["000029", "000009", "000019", "000039", "000049"]
        assert [entry["time"] for entry in pair["most_different"]] == [2.9, 0.9, 1.9, 3.9, 4.9]
        pictures = (tmp_path / "out/disagreement/nearest-vs-nearest-2").glob("*.png")
        assert len(list(pictures)) == 5
        with av.open(str(tmp_path / "out/clip.mp4")) as container:
            assert container.streams.video[0].width == 3 * 64

    def test_of_different_classes(self, tmp_path: Path) -> None:
        frames = folder_of(tmp_path / "frames", ["a.png"])
        models = [Nearest(), Nearest("town", CITYSCAPES), Nearest("again")]
        summary = predict(frames, models, tmp_path / "out", QUIET)
        compared = {tuple(p["models"]): p["pixel_agreement"] for p in summary["disagreement"]}
        assert compared == {
            ("nearest", "again"): 1, ("nearest", "town"): None, ("town", "again"): None,
        }  # fmt: skip
        assert "cityscapes19" in summary["disagreement"][1]["reason"]

    def test_names_unfit_for_folders(self, tmp_path: Path) -> None:
        frames = folder_of(tmp_path / "frames", ["a.png"])
        predict(frames, [Nearest("../up/a b"), Nearest("..")], tmp_path / "out", SAVE)
        assert {p.name for p in (tmp_path / "out/labels").iterdir()} == {"up_a_b", "model"}


def test_frames_of_the_real_world(shared: Path, tmp_path: Path) -> None:
    """A CamVid frame keeps its pixels beside its labels."""
    source = sorted((shared / "data/CamVid/val").glob("*.jpg"))[0]
    predict(source, [Nearest()], tmp_path / "out", QUIET)
    shown = np.asarray(Image.open(tmp_path / f"out/{source.stem}.png"))
    np.testing.assert_array_equal(shown[:360, :480], np.asarray(Image.open(source)))
    assert module.describe is describe
