"""Video in and out: reader → work → writer, side by side, every frame at its own time."""

from triptych.video.pipeline import run_side_by_side
from triptych.video.reader import Frame, VideoReader, read_video
from triptych.video.writer import VideoWriter, write_video

__all__ = [
    "Frame",
    "VideoReader",
    "VideoWriter",
    "read_video",
    "run_side_by_side",
    "write_video",
]
