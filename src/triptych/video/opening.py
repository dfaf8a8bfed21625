"""Opening a video file: what counts as one, and a clear line where it cannot be read."""

from __future__ import annotations

from pathlib import Path

import av
from av.container import InputContainer

from triptych.errors import UserError

DEMUXERS = (
    "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,mxf,nut,ivf,dv,rm,wtv,"
    "h264,hevc,m4v,obu,vc1,yuv4mpegpipe,mp3,wav,flac,aac"
)
"""What counts as a video file. Without this list FFmpeg makes a video of any text named .txt, and
playlists would make it open other files. The audio formats are there for a better message."""


def open_video(path: Path) -> InputContainer:
    """Open a video file with FFmpeg. Raises UserError naming the file."""
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if path.is_file() and path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty")
    try:
        # An absolute path, as FFmpeg takes `a:b.mp4` for protocol `a`.
        return av.open(
            str(path.absolute()),
            metadata_errors="replace",
            options={"format_whitelist": DEMUXERS, "protocol_whitelist": "file"},
        )
    except av.error.EOFError as error:
        raise UserError(f"{path}: the video has no frame that can be decoded") from error
    except av.error.FFmpegError as error:
        why = error.strerror or "unknown format"
        if path.is_file() and _is_mp4(path):
            why = "its index (moov) is missing or broken, as when a recording was cut off"
        raise UserError(f"{path}: cannot be read as a video ({why})") from error


def _is_mp4(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8)[4:] == b"ftyp"
