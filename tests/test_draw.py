"""Colours, blending, counting, and sheets with their strips."""

from __future__ import annotations

import numpy as np
import pytest

from triptych.data.classes import CAMVID, CITYSCAPES, VOID
from triptych.draw import BACKGROUND, Panel, Sheet, blend, colour, count_labels

RNG = np.random.default_rng(0)


def test_colours_are_the_palette_s() -> None:
    labels = RNG.integers(0, 256, (37, 53), np.uint8)
    labels[0, 0], labels[0, 1] = VOID, 200
    coloured = colour(labels, CITYSCAPES)
    np.testing.assert_array_equal(coloured, CITYSCAPES.palette()[labels])
    assert coloured[0, 0].tolist() == coloured[0, 1].tolist() == [0, 0, 0]


def test_colours_go_into_a_view() -> None:
    sheet = np.full((40, 90, 3), 7, np.uint8)
    labels = RNG.integers(0, 11, (30, 50), np.uint8)
    colour(labels, CAMVID, sheet[:30, 20:70])
    np.testing.assert_array_equal(sheet[:30, 20:70], CAMVID.palette()[labels])
    assert (sheet[30:] == 7).all()
    assert (sheet[:, :20] == 7).all()
    assert (sheet[:, 70:] == 7).all()


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.6, 1.0])
def test_blend_weighs_the_colours_by_alpha(alpha: float) -> None:
    image, colours = RNG.integers(0, 256, (2, 9, 7, 3), np.uint8)
    expected = alpha * colours.astype(float) + (1 - alpha) * image
    np.testing.assert_allclose(blend(image, colours, alpha), expected, atol=0.51)
    # In place, over the colours, as videos are drawn.
    blend(image, colours, alpha, colours)
    np.testing.assert_allclose(colours, expected, atol=0.51)


def test_counts_are_numpy_s() -> None:
    labels = RNG.integers(0, 256, (61, 47), np.uint8)
    where = RNG.integers(0, 2, (61, 47), np.uint8)
    np.testing.assert_array_equal(count_labels(labels), np.bincount(labels.ravel(), minlength=256))
    expected = np.bincount(labels[where > 0], minlength=256)
    np.testing.assert_array_equal(count_labels(labels, where), expected)


def test_counts_are_exact_beyond_float32() -> None:
    """2^24 + 1 is the first whole number that float32 does not have."""
    labels = np.zeros((4097, 4096), np.uint8)
    labels[0, 0] = 3
    counts = count_labels(labels)
    assert counts[0] == 4097 * 4096 - 1
    assert counts[3] == 1


def counts_of(*ids: int) -> np.ndarray:
    counts = np.zeros(256, np.int64)
    for rank, label in enumerate(ids):
        counts[label] = 1000 - rank
    return counts


def shown(sheet: Sheet, canvas: np.ndarray, panel: int) -> set[int]:
    """Class ids whose colour fills a swatch in the strip of a panel."""
    left = panel * sheet.panel_width
    strip = canvas[sheet.panel_height :, left : left + sheet.panel_width].reshape(-1, 3)
    colours, pixels = np.unique(strip, axis=0, return_counts=True)
    found = {tuple(c) for c, n in zip(colours.tolist(), pixels, strict=True) if n > 40}
    return {label for label, c in enumerate(CITYSCAPES.colours) if c in found}


class TestSheet:
    @pytest.mark.parametrize("size", [(48, 64), (47, 63), (31, 31), (360, 480), (1080, 1920)])
    @pytest.mark.parametrize("panels", [1, 2, 3])
    def test_pictures_are_untouched_and_the_size_even(
        self, size: tuple[int, int], panels: int
    ) -> None:
        sheet = Sheet([Panel("model", CITYSCAPES)] * panels, *size)
        assert sheet.height % 2 == sheet.width % 2 == 0
        assert sheet.width - panels * size[1] in (0, 1)
        assert size[0] < sheet.height <= max(size[0] * 1.4, size[0] + 24)
        canvas = sheet.blank()
        pictures = RNG.integers(0, 256, (panels, *size, 3), np.uint8)
        for index in range(panels):
            sheet.view(canvas, index)[:] = pictures[index]
        sheet.explain(canvas, [counts_of(*range(19))] * panels)
        for index in range(panels):
            np.testing.assert_array_equal(sheet.view(canvas, index), pictures[index])

    def test_the_strip_lists_the_classes_that_occur(self) -> None:
        sheet = Sheet([Panel("clip.mp4"), Panel("model", CITYSCAPES)], 480, 640)
        canvas = sheet.blank()
        sheet.explain(canvas, [None, counts_of(0, 8, 13, 255)])
        assert shown(sheet, canvas, 1) == {0, 8, 13}
        assert shown(sheet, canvas, 0) == set()
        sheet.explain(canvas, [None, counts_of(*range(19))])
        assert shown(sheet, canvas, 1) == set(range(19))
        # And back: nothing of the earlier strip stays.
        sheet.explain(canvas, [None, counts_of(10)])
        assert shown(sheet, canvas, 1) == {10}

    def test_where_not_all_fit_the_most_frequent_stay(self) -> None:
        sheet = Sheet([Panel("model", CITYSCAPES)], 100, 160)
        canvas = sheet.blank()
        order = [18, 13, 0, *[label for label in range(19) if label not in (18, 13, 0)]]
        sheet.explain(canvas, [counts_of(*order)])
        found = shown(sheet, canvas, 0)
        assert 2 <= len(found) < 19
        assert found == set(order[: len(found)])

    def test_the_name_is_written(self) -> None:
        strips = []
        for name in ("espnetv2-s2.0", "dabnet", ""):
            sheet = Sheet([Panel(name, CITYSCAPES)], 360, 480)
            canvas = sheet.blank()
            sheet.explain(canvas, [counts_of()])
            strips.append(canvas[360:])
        assert (strips[0] != strips[1]).any()
        assert (strips[2] == BACKGROUND).all()
        assert (strips[0] != BACKGROUND).any()

    def test_a_picture_s_strip_has_room_for_its_own_classes_only(self) -> None:
        everything = Sheet([Panel("model", CITYSCAPES)], 360, 480)
        few = Sheet([Panel("model", CITYSCAPES, (0, 1, 2))], 360, 480)
        assert few.height < everything.height
        canvas = few.blank()
        few.explain(canvas, [counts_of(0, 1, 2)])
        assert shown(few, canvas, 0) == {0, 1, 2}
