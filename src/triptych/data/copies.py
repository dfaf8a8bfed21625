"""Copies of a picture, found by pixels: the same pixels, or re-encoded, or resized."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.data.labelled import Image

SIDE = 32
LOCAL = 5

NEAR = 0.9
"""Correlation of two signatures from which pictures count as copies.

Measured on CamVid: copies at JPEG quality 10 to 90, scaled by 0.33 to 2, or brightened, 0.976 to
1; any val frame with any train frame (a second apart at the nearest) at most 0.35; frames of one
drive 1/15 s apart 0.67 to 0.97. So frames of one video a blink apart count too, as they should:
in two splits they are the same picture to learn from.
"""


def digest(picture: Image) -> bytes:
    """Hash of the decoded pixels and the size."""
    return hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).digest()


def signature(picture: Image) -> NDArray[np.float32]:
    """What survives encoding and scaling: a unit vector (1024,), or zeros without detail.

    Grey, averaged to 32 x 32, less its local mean, so that what all street scenes share (bright
    above, dark below) does not count.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    detail: NDArray[np.float32] = (small - cv2.blur(small, (LOCAL, LOCAL))).ravel()
    length = float(np.linalg.norm(detail))
    # Below half a grey level a cell, rounding is all there is.
    return detail / np.float32(length) if length > SIDE / 2 else np.zeros_like(detail)


def near_copies(
    first: Sequence[NDArray[np.float32]], second: Sequence[NDArray[np.float32]]
) -> list[tuple[int, int]]:
    """Pairs (index in first, index in second) of signatures that are near.

    Of each picture in `second` the nearest in `first`, at most one pair.
    """
    if not first or not second:
        return []
    correlation = np.stack(second) @ np.stack(first).T
    nearest = correlation.argmax(axis=1)
    best = correlation[np.arange(len(second)), nearest]
    return [(int(nearest[index]), int(index)) for index in np.flatnonzero(best >= NEAR)]


def count_copies(first: Iterable[Image], second: Iterable[Image]) -> dict[str, int]:
    """How many pictures of `second` are in `first`: `exact`, `near` (further ones), of `images`."""
    digests, signatures = set(), []
    for picture in first:
        digests.add(digest(picture))
        signatures.append(signature(picture))
    exact, images, others = 0, 0, []
    for picture in second:
        images += 1
        if digest(picture) in digests:
            exact += 1
        else:
            others.append(signature(picture))
    return {"exact": exact, "near": len(near_copies(signatures, others)), "images": images}
