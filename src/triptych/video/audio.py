"""The sound of a video: AAC and MP3 as they are, anything else made AAC, in sync either way."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.filter import Graph

from triptych.video.opening import open_video

AudioPacket: TypeAlias = "av.Packet[AudioStream]"
log = logging.getLogger("triptych")

AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)


class AudioTrack:
    """The first audio stream of a file, as packets for an mp4 in order of time.

    The file is opened a second time, so that sound can be drawn as the pictures are written: the
    two stay side by side in the output whatever their order in the input, and memory is bounded.
    """

    def __init__(self, path: Path, output: OutputContainer, start: Fraction | int = 0) -> None:
        """`start` seconds are taken off every time, as the pictures' reader does.

        Raises LookupError where the file has no sound that can be decoded.
        """
        self._container = open_video(path)
        self.warnings: list[str] = []
        streams = [s for s in self._container.streams.audio if s.codec_context is not None]
        if not streams:
            self._container.close()
            raise LookupError("no audio stream")
        self._path, self._start = path, start
        self._source: AudioStream = streams[0]
        self.codec = self._source.codec_context.codec.canonical_name
        rate = self._source.codec_context.sample_rate
        # Slower MP3 (MPEG-2.5) is not allowed in an mp4.
        self.copied = self.codec == "aac" or (self.codec == "mp3" and rate >= 16000)
        if self.copied:
            self._target = output.add_stream_from_template(self._source)
        else:
            self._target = output.add_stream("aac", rate if rate in AAC_RATES else 48000)
            self._target.codec_context.layout = (
                "mono" if self._source.codec_context.channels == 1 else "stereo"
            )
        self._packets = self._copy() if self.copied else self._encode()
        self._next: AudioPacket | None = None
        self._broken = 0

    def until(self, time: Fraction | None) -> Iterator[AudioPacket]:
        """The packets not yet given out that start before `time` seconds; all for None."""
        while True:
            if self._next is None:
                self._next = next(self._packets, None)
            packet = self._next
            if packet is None or (time is not None and _start(packet) > time):
                return
            self._next = None
            yield packet

    def close(self) -> None:
        self._packets.close()
        self._container.close()
        if self._broken:
            self.warnings.append(f"{self._broken} pieces of the sound could not be read")
            log.warning("%s: %s", self._path, self.warnings[-1])

    def _demux(self) -> Iterator[AudioPacket]:
        packets = self._container.demux(self._source)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                self._broken += 1
                return
            yield packet

    def _copy(self) -> Generator[AudioPacket]:
        for packet in self._demux():
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            shift = round(self._start / packet.time_base)
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = self._target
            yield packet

    def _encode(self) -> Generator[AudioPacket]:
        for frame in self._resampled():
            yield from self._target.encode(frame)
        yield from self._target.encode(None)

    def _resampled(self) -> Iterator[av.AudioFrame]:
        """Sound for the encoder; gaps are filled with silence, so that what follows is in sync."""
        target = self._target.codec_context
        unit = Fraction(1, target.sample_rate)
        graph = Graph()
        graph.link_nodes(
            graph.add_abuffer(template=self._source),
            graph.add("aresample", f"{target.sample_rate}:async=1"),
            graph.add(
                "aformat",
                f"sample_fmts={target.format.name}:channel_layouts={target.layout.name}",
            ),
            graph.add("abuffersink"),
        ).configure()
        for decoded in chain(self._decode(), (None,)):
            graph.push(decoded)
            while True:
                try:
                    frame = graph.pull()
                except (BlockingIOError, EOFError):
                    break
                assert isinstance(frame, av.AudioFrame)
                if frame.pts is not None:
                    frame.pts -= round(self._start / unit)
                yield frame

    def _decode(self) -> Iterator[av.AudioFrame]:
        for packet in self._demux():
            try:
                yield from self._source.decode(packet)
            except av.error.FFmpegError:
                self._broken += 1


def _start(packet: AudioPacket) -> Fraction:
    assert packet.pts is not None
    assert packet.time_base is not None
    return packet.pts * packet.time_base
