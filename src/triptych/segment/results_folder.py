"""What `predict` writes besides its pictures: worked out aside, then put in its place."""

from __future__ import annotations

from pathlib import Path

LABELS, STABILITY, DISAGREEMENT = "labels", "stability", "disagreement"

_OF_AN_EARLIER_START = (
    f"{STABILITY}/frames.csv",
    f"{STABILITY}/over-time.png",
    f"{STABILITY}/*/[1-9]-*.png",
    f"{DISAGREEMENT}/*/frames.csv",
    f"{DISAGREEMENT}/*/[1-9]-*.png",
)
"""Of whatever models it had: it would look as if it were of these."""
_FRAMES = "[0-9]" * 6 + ".png"


def take_their_places(part: Path, out: Path, is_video: bool) -> None:
    """Move the folders in `part` to `out`, in place of what an earlier start left there.

    Of `stability/` and `disagreement/` all of it goes that `predict` writes, of the models'
    folders in `labels/` those of frames where frames of a video come. Other files stay. Raises
    OSError.
    """
    old = [path for pattern in _OF_AN_EARLIER_START for path in out.glob(pattern)]
    if is_video:
        old += [
            path
            for folder in (part / LABELS).glob("*")
            for path in (out / LABELS / folder.name).glob(_FRAMES)
        ]
    for path in old:
        path.unlink()
    for path in sorted(part.rglob("*")):
        target = out / path.relative_to(part)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            path.replace(target)
    for name in (STABILITY, DISAGREEMENT):
        for folder in (*(out / name).glob("*/"), out / name):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
