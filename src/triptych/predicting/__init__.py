"""What `predict` does in every study: pictures or a video in, drawn ones out; knows no study."""

from triptych.predicting.clock import Clock
from triptych.predicting.names import file_names
from triptych.predicting.on_pictures import Picture, run_on_pictures
from triptych.predicting.on_video import VideoJob, frame_name
from triptych.predicting.request import check_places, is_video, work_failed

__all__ = [
    "Clock",
    "Picture",
    "VideoJob",
    "check_places",
    "file_names",
    "frame_name",
    "is_video",
    "run_on_pictures",
    "work_failed",
]
