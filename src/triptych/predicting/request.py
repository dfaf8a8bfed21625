"""What is asked of `predict`: from where, to where; and why it could not be done."""

from __future__ import annotations

import errno
from pathlib import Path

import av

from triptych.aside import check_writable
from triptych.errors import UserError, WorkFailed
from triptych.pictures import find_pictures, is_picture
from triptych.video.opening import open_video

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def check_places(source: Path, out: Path) -> None:
    """Raise UserError where `source` cannot be read or `out` not written. Makes nothing.

    Quick, so that a mistake is told before a model is loaded.
    """
    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    if source.is_dir():
        find_pictures(source)
    elif not is_picture(source):
        open_video(source).close()
    folder = source if source.is_dir() else source.parent
    if out.resolve() == folder.resolve():
        raise UserError(f"--out {out}: this is the input's own folder; name another one")
    try:
        check_writable(out)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise work_failed(out, error) from error
        raise UserError(f"--out {out}: cannot write there ({error.strerror})") from error


def is_video(source: Path) -> bool:
    """Whether the input is a video rather than a picture or a folder of them."""
    return not source.is_dir() and not is_picture(source)


def work_failed(out: Path, error: OSError | av.error.FFmpegError) -> WorkFailed:
    """The error for work that stopped at a file."""
    if error.errno in DISK_FULL:
        return WorkFailed(f"{out}: the disk is full; make room or name another --out")
    what = error.filename if isinstance(error.filename, str) else out
    return WorkFailed(f"{what}: {error.strerror or error}")
