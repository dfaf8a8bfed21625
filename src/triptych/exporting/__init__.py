"""Models as one file for another runtime: how such files are written, and run; knows no study."""

from triptych.exporting.files import ENDINGS, Session, is_exported, open_session
from triptych.exporting.writing import (
    Format,
    check_request,
    format_of,
    onnx_with_metadata,
    openvino_with_metadata,
    put_in_place,
    quiet,
    what_failed,
)

__all__ = [
    "ENDINGS",
    "Format",
    "Session",
    "check_request",
    "format_of",
    "is_exported",
    "onnx_with_metadata",
    "open_session",
    "openvino_with_metadata",
    "put_in_place",
    "quiet",
    "what_failed",
]
