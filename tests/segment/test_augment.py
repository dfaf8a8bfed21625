"""Augmentation: picture and labels move together, light changes no shape, draws mean what they say.

The references are other libraries (scipy) and numbers worked by hand.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from triptych.data.classes import VOID
from triptych.data.labelled import Image, LabelMap
from triptych.segment.augment import UNCHANGED, Draws, augment, draws_of, relight
from triptych.segment.recipes import SegmentRecipe

SCALE, TOP, LEFT, FLIP, BRIGHTNESS, CONTRAST = range(6)
RARE, CLASS, PIXEL, GAMMA, RED, GREEN, BLUE, SATURATION, STD, PATTERN, BLUR, WIDTH = range(12)
STRONG: dict[str, Any] = {
    "jitter": 0.4, "gamma": 0.5, "white_balance": 0.2, "saturation": 0.8, "noise": 9.0, "blur": 2.0,
}  # fmt: skip
MOST = float(np.float32(1 - 2**-24))
"""The largest number that a draw can be."""


def recipe(**changes: Any) -> SegmentRecipe:
    basis = SegmentRecipe(
        name="segment/test", model="tiny", data="streets", epochs=1, batch_size=1, lr=0.1,
        flip=False,
    )  # fmt: skip
    return replace(basis, **changes)


def drawn(shape: dict[int, float] | None = None, light: dict[int, float] | None = None) -> Draws:
    """The middle of every range but for the draws that are given by position."""
    pair = []
    for base, given in ((UNCHANGED.shape, shape), (UNCHANGED.light, light)):
        values = base.copy()
        for position, value in (given or {}).items():
            values[position] = value
        pair.append(values)
    return Draws(*pair)


def painted(height: int = 60, width: int = 80, seed: int = 0) -> tuple[Image, LabelMap]:
    """Labels 0 to 5 in discs, and a picture whose colour says the label: 40 grey levels each."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    label = np.zeros((height, width), np.uint8)
    for number in range(24):
        cy, cx, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(4, 14)
        label[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = number % 6
    return np.repeat((40 * label + 20)[..., None], 3, 2).astype(np.uint8), label


def away_from_borders(label: LabelMap, distance: int = 2) -> NDArray[np.bool_]:
    """Pixels whose whole neighbourhood has one label."""
    size = 2 * distance + 1
    lowest = ndimage.minimum_filter(label, size)
    return np.asarray(lowest == ndimage.maximum_filter(label, size))


def noisy(height: int = 20, width: int = 30, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("crop", [None, (32, 48), (50, 70), (96, 128)])
@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.5, 0.8), (0.6, 1.9), (1.3, 2.0)])
def test_picture_and_labels_move_together(
    crop: tuple[int, int] | None, scale: tuple[float, float]
) -> None:
    image, label = painted()
    asked = recipe(crop=crop, scale=scale, flip=True, rare_crops=0.5)
    flips = 0
    for draws in draws_of(40, 0, 0, 0):
        flips += draws.shape[FLIP] < 0.5
        picture, labels = augment(image, label, asked, draws)
        assert picture.shape == (*(crop or (60, 80)), 3)
        assert labels.shape == picture.shape[:2]
        inside = away_from_borders(labels) & (labels != VOID)
        assert inside.sum() > 20
        said = (picture[..., 0].astype(int) - 20) / 40
        # Slivers that vanish where a frame is made smaller are few.
        assert (abs(said[inside] - labels[inside]) > 0.25).mean() < 0.03
    assert 5 < flips < 35


@pytest.mark.parametrize("scale", [0.53, 0.73, 1.27, 1.9])
def test_labels_are_not_shifted_against_the_picture(scale: float) -> None:
    # Sides of many bars: in the picture half of black and white lies at the bar's true edge.
    image, label = np.zeros((32, 600, 3), np.uint8), np.zeros((32, 600), np.uint8)
    rng = np.random.default_rng(1)
    for left in range(10, 590, 30):
        width = int(rng.integers(5, 18))
        first = left + int(rng.integers(0, 8))
        image[:, first : first + width], label[:, first : first + width] = 255, 1
    picture, labels = augment(
        image, label, recipe(scale=(scale, scale), crop=(32, 1200)), UNCHANGED
    )
    known = labels[16] != VOID
    grey, ones = picture[16, known, 0] / 255, labels[16, known]
    position = np.arange(known.sum())
    bars, count = ndimage.label(grey > 0)
    shifts = []
    for bar in range(1, count + 1):
        near = ndimage.binary_dilation(bars == bar, iterations=2)
        centres = [np.average(position[near], weights=w[near]) for w in (grey, ones)]
        shifts.append(centres[1] - centres[0])
    assert len(shifts) == 20
    assert abs(np.mean(shifts)) < 0.15  # pixels; 0.47 where nearest means "to the left"


def test_what_lies_outside_the_frame_is_black_and_void() -> None:
    image, label = np.full((40, 50, 3), 200, np.uint8), np.full((40, 50), 3, np.uint8)
    asked = recipe(crop=(64, 96))
    for draws in draws_of(20, 0, 0, 0):
        picture, labels = augment(image, label, asked, draws)
        assert (labels == 3).sum() == 40 * 50
        assert ((labels == 3) | (labels == VOID)).all()
        assert ((picture == 200).all(2) == (labels == 3)).all()
        assert ((picture == 0).all(2) == (labels == VOID)).all()


@pytest.mark.parametrize("draw", [0.0, MOST])
def test_crops_reach_every_corner_and_no_further(draw: float) -> None:
    image, label = painted()
    picture, labels = augment(image, label, recipe(crop=(32, 40)), drawn({TOP: draw, LEFT: draw}))
    window = np.s_[:32, :40] if draw == 0 else np.s_[-32:, -40:]
    assert (picture == image[window]).all()
    assert (labels == label[window]).all()


def test_scale_is_even_in_its_logarithm() -> None:
    image, label = np.zeros((100, 100, 3), np.uint8), np.zeros((100, 100), np.uint8)
    asked = recipe(scale=(0.5, 2.0), crop=(300, 300))
    for draw, side in ((0.0, 50), (0.25, 71), (0.5, 100), (0.75, 141), (MOST, 200)):
        labels = augment(image, label, asked, drawn({SCALE: draw}))[1]
        assert (labels == 0).sum() == side**2


def test_flips_are_of_picture_and_labels_at_half_the_draws() -> None:
    image, label = painted()
    for draw, flipped in ((0.0, True), (0.49, True), (0.5, False), (MOST, False)):
        picture, labels = augment(image, label, recipe(flip=True), drawn({FLIP: draw}))
        step = -1 if flipped else 1
        assert (picture == image[:, ::step]).all()
        assert (labels == label[:, ::step]).all()
        assert (augment(image, label, recipe(), drawn({FLIP: draw}))[0] == image).all()


def test_the_frame_itself_is_never_written_into() -> None:
    image, label = painted()
    before = image.copy(), label.copy()
    image.flags.writeable = label.flags.writeable = False
    for draws in draws_of(10, 0, 0, 0):
        augment(image, label, recipe(flip=True, crop=(48, 96), scale=(0.7, 1.4), **STRONG), draws)
    assert (image == before[0]).all()
    assert (label == before[1]).all()


class TestLight:
    def test_labels_do_not_depend_on_the_light(self) -> None:
        image, label = painted()
        for draws in draws_of(20, 0, 0, 0):
            asked = recipe(flip=True, crop=(48, 64), scale=(0.7, 1.4), rare_crops=0.3)
            plain = augment(image, label, asked, draws)
            lit = augment(image, label, replace(asked, **STRONG), draws)
            assert (plain[1] == lit[1]).all()
            assert (plain[0] != lit[0]).any()
            # As bright as before, shifted by nothing: the two pictures are still of one shape.
            here = np.corrcoef(plain[0][..., 1].ravel(), lit[0][..., 1].ravel())[0, 1]
            away = np.corrcoef(
                plain[0][..., 1].ravel(), np.roll(lit[0][..., 1], 9, axis=1).ravel()
            )[0, 1]
            assert here > 0.8
            assert here > away

    def test_the_middle_of_every_range_changes_nothing(self) -> None:
        image = noisy()
        assert (relight(image, recipe(**{**STRONG, "noise": 0.0}), UNCHANGED) == image).all()

    def test_without_augmentation_nothing_changes_whatever_is_drawn(self) -> None:
        image, label = painted()
        asked = recipe(flip=True, scale=(0.5, 2.0), rare_crops=1.0, **STRONG)
        for draws in draws_of(10, 0, 0, 0):
            found = augment(image, label, asked.without_augmentation(), draws)
            assert (found[0] == image).all()
            assert (found[1] == label).all()

    @pytest.mark.parametrize(
        ("draw", "expected"),
        [
            (0.0, 189),  # exponent 1 / 2.5: 255 (120 / 255) ** 0.4 = 188.67
            (0.25, 158),  # 1 / sqrt(2.5): 158.36
            (0.5, 120),
            (0.75, 77),  # sqrt(2.5): 77.45
            (MOST, 39),  # 2.5: 255 (120 / 255) ** 2.5 = 38.74
        ],
    )
    def test_gamma(self, draw: float, expected: int) -> None:
        image = np.full((4, 4, 3), 120, np.uint8)
        assert (relight(image, recipe(gamma=1.5), drawn(light={GAMMA: draw})) == expected).all()

    def test_gamma_leaves_black_and_white(self) -> None:
        image = np.zeros((2, 2, 3), np.uint8)
        image[0] = 255
        for draw in (0.0, MOST):
            assert (relight(image, recipe(gamma=3.0), drawn(light={GAMMA: draw})) == image).all()

    def test_white_balance_has_a_gain_for_each_channel(self) -> None:
        image = np.full((4, 4, 3), 100, np.uint8)
        draws = drawn(light={RED: 0.0, GREEN: 0.75, BLUE: MOST})
        # Gains 0.8, 1.1 and 1.2.
        assert relight(image, recipe(white_balance=0.2), draws)[0, 0].tolist() == [80, 110, 120]
        bright = np.full((4, 4, 3), 240, np.uint8)
        found = relight(bright, recipe(white_balance=0.2), draws)
        assert found[0, 0].tolist() == [192, 255, 255]

    def test_brightness_multiplies(self) -> None:
        image = np.full((4, 4, 3), 100, np.uint8)
        image[0] = 200
        found = relight(image, recipe(jitter=0.3), drawn({BRIGHTNESS: 0.0}))
        assert found[:2, 0, 0].tolist() == [140, 70]
        found = relight(image, recipe(jitter=0.3), drawn({BRIGHTNESS: MOST}))
        assert found[:2, 0, 0].tolist() == [255, 130]

    def test_contrast_multiplies_the_distance_from_the_mean(self) -> None:
        image = np.full((4, 4, 3), 100, np.uint8)
        image[:2] = 140
        for draw, expected in ((0.0, [136, 104]), (MOST, [144, 96])):  # 120 ± 20 times 0.8, 1.2
            found = relight(image, recipe(jitter=0.2), drawn({CONTRAST: draw}))
            assert found[1:3, 0, 0].tolist() == expected

    def test_saturation_multiplies_the_distance_from_grey(self) -> None:
        image = np.zeros((2, 2, 3), np.uint8)
        image[:] = (200, 100, 50)  # grey 0.299, 0.587, 0.114: 124.2
        none = relight(image, recipe(saturation=1.0), drawn(light={SATURATION: 0.0}))
        assert (none == 124).all()
        half = relight(image, recipe(saturation=0.5), drawn(light={SATURATION: 0.0}))
        assert half[0, 0].tolist() == [162, 112, 87]
        more = relight(image, recipe(saturation=0.5), drawn(light={SATURATION: MOST}))
        assert more[0, 0].tolist() == [238, 88, 13]
        grey = np.full((2, 2, 3), 90, np.uint8)
        assert (relight(grey, recipe(saturation=1.0), drawn(light={SATURATION: MOST})) == 90).all()

    @pytest.mark.parametrize(("draw", "std"), [(0.0, 0.0), (0.25, 3.0), (MOST, 12.0)])
    def test_noise_has_the_strength_that_was_drawn(self, draw: float, std: float) -> None:
        image = np.full((200, 200, 3), 128, np.uint8)
        found = relight(image, recipe(noise=12.0), drawn(light={STD: draw})).astype(float)
        noise = found - 128
        # Rounding to whole levels adds 1/12 to the variance; 120,000 draws know it to 1 %.
        expected = np.hypot(std, 12**-0.5) if std else 0.0
        assert noise.std() == pytest.approx(expected, rel=0.02)
        assert abs(noise.mean()) < 0.15  # half a level where values are cut off, not rounded
        if std:
            pairs = [(noise[1:], noise[:-1]), (noise[:, 1:], noise[:, :-1]),
                     (noise[..., 0], noise[..., 1])]  # fmt: skip
            assert all(abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.02 for a, b in pairs)

    def test_noise_has_the_pattern_that_was_drawn(self) -> None:
        image = np.full((20, 20, 3), 128, np.uint8)
        asked = recipe(noise=12.0)
        one, same, other = (
            relight(image, asked, drawn(light={PATTERN: draw})) for draw in (0.3, 0.3, 0.3001)
        )
        assert (one == same).all()
        assert (one != other).mean() > 0.5

    @pytest.mark.parametrize("draw", [0.3, 0.6, MOST])
    def test_blur_is_gaussian(self, draw: float) -> None:
        image = noisy(64, 64)
        found = relight(image, recipe(blur=2.5), drawn(light={BLUR: 0.2, WIDTH: draw}))
        sigma = 2.5 * draw
        radius = round(3 * sigma)
        exact = ndimage.gaussian_filter(
            image.astype(float), (sigma, sigma, 0), radius=(radius, radius, 0), mode="mirror"
        )
        assert abs(found - exact).max() < 2.0
        assert abs(found - exact).mean() < 0.5

    def test_half_of_the_samples_are_blurred(self) -> None:
        image = noisy()
        for draw, blurred in ((0.0, True), (0.49, True), (0.5, False), (MOST, False)):
            draws = drawn(light={BLUR: draw, WIDTH: 0.9})
            assert (relight(image, recipe(blur=2.0), draws) != image).any() == blurred


class TestRareCrops:
    def rare(self) -> tuple[Image, LabelMap]:
        """Road everywhere, some tree, and a pole of 2 by 5 pixels."""
        label = np.zeros((120, 200), np.uint8)
        label[:30, :60] = 7
        label[80:85, 150:152] = 4
        return np.repeat(label[..., None], 3, 2), label

    @pytest.mark.parametrize("crop", [(32, 32), (33, 47), (110, 190), (150, 250)])
    @pytest.mark.parametrize("chosen", range(3))
    def test_the_crop_holds_the_chosen_pixel(self, crop: tuple[int, int], chosen: int) -> None:
        image, label = self.rare()
        number = (0, 4, 7)[chosen]  # classes are counted in the order of their ids
        for pixel in (0.0, 0.31, 0.77, MOST):
            draws = drawn(light={RARE: 0.0, CLASS: (chosen + 0.5) / 3, PIXEL: pixel})
            where = np.argwhere(label == number)[int(pixel * (label == number).sum())]
            marked = image.copy()
            marked[tuple(where)] = 255
            found = augment(marked, label, recipe(crop=crop, rare_crops=1.0), draws)
            assert (found[0] == 255).any()
            assert (found[1][found[0][..., 0] == 255] == number).all()

    def test_rare_classes_are_seen_more_often(self) -> None:
        image, label = self.rare()
        share = {}
        for rate in (0.0, 0.5, 1.0):
            asked = recipe(crop=(32, 32), rare_crops=rate)
            found = [augment(image, label, asked, d)[1] for d in draws_of(400, 0, 0, 0)]
            share[rate] = np.mean([(labels == 4).any() for labels in found])
        # A third of the crops are laid around the pole, some others hold it by chance: of the
        # 89 x 169 places of a window, 36 x 33 hold some of it.
        chance = 36 * 33 / (89 * 169)
        assert share[0.0] == pytest.approx(chance, abs=0.04)
        assert share[1.0] == pytest.approx(1 / 3, abs=0.09)
        assert share[0.0] < share[0.5] < share[1.0]

    def test_a_frame_without_labels_is_cropped_as_drawn(self) -> None:
        image, void = noisy(60, 60), np.full((60, 60), VOID, np.uint8)
        draws = drawn({TOP: 0.25, LEFT: 0.75}, {RARE: 0.0})
        found = augment(image, void, recipe(crop=(32, 32), rare_crops=1.0), draws)
        assert (found[0] == image[7:39, 21:53]).all()

    def test_the_largest_draws_are_no_index_beyond_the_end(self) -> None:
        draws = drawn(light={RARE: 0.0, CLASS: MOST, PIXEL: MOST})
        for height, width in ((33, 65), (57, 71), (64, 64), (97, 1031)):
            label = np.zeros((height, width), np.uint8)
            image = np.zeros((height, width, 3), np.uint8)
            image[-1, -1] = 255  # the last pixel of the only class
            assert augment(image, label, recipe(crop=(32, 32), rare_crops=1.0), draws)[0].any()


class TestDraws:
    def test_every_sample_has_draws_of_its_own(self) -> None:
        draws = draws_of(16, 3, 1, 2)
        for kind in ("shape", "light"):
            values = np.stack([getattr(d, kind) for d in draws])
            assert len(np.unique(values)) == values.size
            assert 0 <= values.min() < values.max() < 1

    def test_draws_have_an_address(self) -> None:
        def numbers(*address: int) -> list[float]:
            return [x for d in draws_of(4, *address) for x in (*d.shape, *d.light)]

        assert numbers(3, 1, 2) == numbers(3, 1, 2)
        others = [numbers(4, 1, 2), numbers(3, 2, 2), numbers(3, 1, 3), numbers(3, 2, 1)]
        assert all(set(numbers(3, 1, 2)).isdisjoint(other) for other in others)

    def test_a_smaller_batch_begins_with_the_same_samples(self) -> None:
        for one, other in zip(draws_of(2, 0, 0, 0), draws_of(8, 0, 0, 0), strict=False):
            assert (one.shape == other.shape).all()
            assert (one.light == other.light).all()
