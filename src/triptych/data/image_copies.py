"""Pictures of one split that are in another too: the same pixels, or nearly the same picture.

Small pictures share outlines (a plate, a clock, a frame around a photo), so plain correlation
mistakes strangers for copies. Here every pixel is first divided by the contrast around it: faint
texture, which copies share and strangers do not, then counts as much as outlines.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.data.labelled_images import LabelledImages

Signatures = NDArray[np.float32]

NEAR = 0.8
"""Correlation, of the whole and of the centre, from which two pictures count as near copies.

Measured on CIFAR-100, test against train, by looking at 42 pairs of each band: from 0.8 to 0.95
about 1 in 6 was no copy (bottles and cans of one make), from 0.75 to 0.8 1 in 3, from 0.7 to 0.75
more than half (fruit, furniture, horizons). What was cut, stretched or turned by more than a pixel
or two is missed. So the count is a rough lower bound: people who looked at pairs that were close
by learnt features (Barz and Denzler 2020, "Do We Train on Test Data?") found copies for 10 % of
the test set, this finds 339 of its 10,000 pictures in the 45,000 to train on.
"""
EXAMPLES = 20
"""Most pairs that are named."""

_SIDE, _COARSE = 32, 16
_SHIFT = 2
"""Pixels of the 32x32 picture, in any direction, by which candidates are moved to fit."""
_CANDIDATE = 0.45
"""Correlation of 16x16 signatures from which a pair is compared more closely."""
_MARGIN = 6
"""Pixels around the centre, which is compared by itself: many photographs share a border."""
_FLOOR = 4.0
"""Grey levels added to the contrast, so that the noise of flat areas stays small."""
_LEAST = 0.1
"""Normalised contrast a pixel, root mean square, below which a picture has no detail to compare."""
_BLOCK = 1 << 24
"""Correlations held at once."""


@dataclass(frozen=True)
class CopyCount:
    """How many pictures of the second split are in the first."""

    exact: int
    """Pictures with the very pixels of one in the first."""
    near: int
    """Further pictures that look like one in the first, or like its mirror image."""
    examples: tuple[tuple[str, str], ...]
    """Keys (first, second) of up to `EXAMPLES` pairs: exact ones, then the most alike."""


def copies_between(first: LabelledImages, second: LabelledImages) -> CopyCount:
    """Pictures of `second` that are copies of one in `first`, each counted once.

    Sizes may differ; near copies are sought at 32x32. Takes seconds for 10,000 against 45,000.
    """
    exact = _exact(first, second)
    others = np.array([index for index in range(len(second)) if index not in exact], np.int64)
    near = _near(first, second, others)
    pairs = [*exact.items(), *((index, match) for index, match, _ in near)]
    examples = tuple((first.keys[match], second.keys[index]) for index, match in pairs[:EXAMPLES])
    return CopyCount(len(exact), len(near), examples)


def _exact(first: LabelledImages, second: LabelledImages) -> dict[int, int]:
    """Index in `second` to index in `first` of equal pixels."""
    if first.size != second.size:
        return {}
    known = {hashlib.sha256(picture).digest(): i for i, picture in enumerate(first.pixels)}
    found = (known.get(hashlib.sha256(picture).digest()) for picture in second.pixels)
    return {index: match for index, match in enumerate(found) if match is not None}


def _near(
    first: LabelledImages, second: LabelledImages, among: NDArray[np.int64]
) -> list[tuple[int, int, float]]:
    """(index in second, index in first, correlation) of near copies, the most alike first."""
    if not len(first) or not len(among):
        return []
    coarse = _coarse(first.pixels, np.arange(len(first)))
    wanted = _coarse(second.pixels, among)
    best: dict[int, tuple[int, float]] = {}
    for mirrored in (False, True):
        turned = wanted.reshape(-1, _COARSE, _COARSE)[:, :, :: -1 if mirrored else 1]
        turned = np.ascontiguousarray(turned).reshape(wanted.shape)
        rows = max(1, _BLOCK // len(first))
        for start in range(0, len(turned), rows):
            correlation = turned[start : start + rows] @ coarse.T
            matches = correlation.argmax(1)
            values = correlation[np.arange(len(matches)), matches]
            for row in np.flatnonzero(values >= _CANDIDATE):
                index, match = int(among[start + row]), int(matches[row])
                alike = _compare(first.pixels[match], second.pixels[index], mirrored)
                if alike >= NEAR and alike > best.get(index, (0, 0.0))[1]:
                    best[index] = match, alike
    found = [(index, match, alike) for index, (match, alike) in best.items()]
    return sorted(found, key=lambda each: (-each[2], each[0]))


def _coarse(pixels: NDArray[np.uint8], indices: NDArray[np.int64]) -> Signatures:
    """Unit vectors (N, 256) of these pictures (3, H, W), zeros where there is no detail."""
    vectors = np.empty((len(indices), _COARSE * _COARSE), np.float32)
    for row, index in enumerate(indices):
        grey = _grey(pixels[index])
        small = cv2.resize(grey, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA)
        vectors[row] = _even_contrast(small, 5).ravel()
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > _LEAST * _COARSE, lengths, np.inf)
    return vectors


def _compare(first: NDArray[np.uint8], second: NDArray[np.uint8], mirrored: bool) -> float:
    """How alike two pictures (3, H, W) are, at most 1: as a whole and in the centre."""
    a, b = (
        _even_contrast(cv2.GaussianBlur(_grey(each), (0, 0), 0.7), 7)
        for each in (first, second[:, :, :: -1 if mirrored else 1])
    )
    centre = slice(_MARGIN, _SIDE - _MARGIN)
    return min(_correlation(a, b), _correlation(a[centre, centre], b[centre, centre]))


def _correlation(a: Signatures, b: Signatures) -> float:
    """Correlation of two arrays (S, S) where they overlap, at the shift that fits best."""
    ones = np.ones_like(b)
    # Energy of the part of each that the other overlaps; moving one is moving the other back.
    energy = _at_shifts(a * a, ones) * _at_shifts(b * b, ones)[::-1, ::-1]
    least = (_LEAST * len(a)) ** 4
    return float((_at_shifts(a, b) / np.sqrt(np.maximum(energy, least))).max())


def _at_shifts(still: Signatures, moved: Signatures) -> Signatures:
    """Sum of products where two arrays (S, S) overlap, at every shift."""
    return np.asarray(cv2.matchTemplate(np.pad(still, _SHIFT), moved, cv2.TM_CCORR))


def _grey(picture: NDArray[np.uint8]) -> Signatures:
    """Grey levels (32, 32) of a picture (3, H, W)."""
    grey = cv2.cvtColor(np.ascontiguousarray(picture.transpose(1, 2, 0)), cv2.COLOR_RGB2GRAY)
    shrinks = min(grey.shape) >= _SIDE
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey.astype(np.float32), (_SIDE, _SIDE), interpolation=how))


def _even_contrast(grey: Signatures, window: int) -> Signatures:
    """Less the mean around every pixel, divided by the contrast around it."""
    detail = grey - cv2.blur(grey, (window, window))
    contrast = np.sqrt(np.maximum(cv2.blur(detail * detail, (window, window)), 0))
    return np.asarray(detail / (contrast + np.float32(_FLOOR)))
