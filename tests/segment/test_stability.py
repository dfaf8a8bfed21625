"""Stability against motion that is known: streets with true labels, and shifts made by hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from triptych.data.classes import CAMVID, CITYSCAPES, VOID, ClassSet
from triptych.data.labelled import LabelMap
from triptych.data.streets import StreetFrame, scene
from triptych.segment.flow import SIDE, Motion, grid, motion_between, reduced_grey
from triptych.segment.labeller import FrameKey
from triptych.segment.predict import PredictOptions, describe, predict
from triptych.segment.stability import Change, Stability, change_between, look, sample
from triptych.video import write_video

ROAD, SKY, CAR = (CITYSCAPES.names.index(name) for name in ("road", "sky", "car"))
SIZE = 144, 256
CLIP = 36


def street(seed: int = 3, frames: int = 18) -> tuple[StreetFrame, ...]:
    return tuple(_frame(seed, index) for index in range(frames))


@lru_cache
def _frame(seed: int, index: int) -> StreetFrame:
    return scene(seed, size=SIZE, frames=CLIP, light=0.8)[index]


def texture(shape: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Soft blobs with detail at every place, RGB."""
    noise = np.random.default_rng(seed).normal(size=shape)
    soft = cv2.GaussianBlur(noise, (0, 0), 3) * 8 + cv2.GaussianBlur(noise, (0, 0), 1)
    grey = (128 + 100 * soft / np.abs(soft).max()).astype(np.uint8)
    return np.repeat(grey[..., None], 3, 2)


def measured(
    images: Sequence[NDArray[np.uint8]], labels: Sequence[LabelMap]
) -> tuple[list[Change], list[Motion]]:
    """What changes from each frame to the next, and the motion."""
    greys = [reduced_grey(image) for image in images]
    motions = [motion_between(a, b) for a, b in pairwise(greys)]
    seen = [
        look([each], grey, motion)
        for each, grey, motion in zip(labels, greys, [None, *motions], strict=True)
    ]
    changes = [
        change_between(before.here[0], after.moved[0], motion.followed)
        for before, after, motion in zip(seen, seen[1:], motions, strict=False)
    ]
    return changes, motions


def consistency(changes: Sequence[Change]) -> float:
    counted = sum(int(change.counted.sum()) for change in changes)
    return sum(int(change.kept.sum()) for change in changes) / counted


class TestMotion:
    @pytest.mark.parametrize("shift", [(3, 0), (0, -4), (-5, 2)])
    def test_a_camera_that_shifts(self, shift: tuple[int, int]) -> None:
        world = texture((160, 240))
        right, down = shift
        # What lay at (x, y) lies at (x + right, y + down): the window goes the other way.
        before = world[20:116, 20:212]
        after = world[20 - down : 116 - down, 20 - right : 212 - right]
        motion = motion_between(reduced_grey(before), reduced_grey(after))
        x, y = grid((96, 192))
        assert motion.followed[10:-10, 10:-10].mean() > 0.98
        assert np.median(motion.places[0] - x) == pytest.approx(right, abs=0.2)
        assert np.median(motion.places[1] - y) == pytest.approx(down, abs=0.2)
        # What leaves the picture is not followed.
        edge = {(3, 0): np.s_[:, -3:], (0, -4): np.s_[:4], (-5, 2): np.s_[:, :5]}[shift]
        assert not motion.followed[edge].any()

    def test_what_gets_hidden_is_not_followed(self) -> None:
        """A square moves 8 pixels to the right over a background that rests."""
        ground, square = texture((128, 192)), texture((48, 48), seed=1)
        before, after = ground.copy(), ground.copy()
        before[40:88, 60:108] = square
        after[40:88, 68:116] = square
        motion = motion_between(reduced_grey(before), reduced_grey(after))
        hidden = np.zeros((128, 192), bool)
        hidden[40:88, 108:116] = True
        assert motion.followed[hidden].mean() < 0.4
        assert motion.followed[44:84, 64:104].mean() > 0.8
        assert motion.followed[:30].mean() > 0.98

    def test_of_streets(self) -> None:
        """Against the motion that the street's geometry has, which reaches 10 pixels."""
        before, after = street()[4], street()[5]
        motion = motion_between(reduced_grey(before.image), reduced_grey(after.image))
        x, y = grid(motion.followed.shape)
        found = np.stack([motion.places[0] - x, motion.places[1] - y], 2)
        assert found.shape == (108, 192, 2)
        # Of every fourth pixel each way one is left out.
        rows, columns = (np.arange(side) * 4 // 3 for side in found.shape[:2])
        missed = np.linalg.norm(found - 0.75 * before.flow[rows][:, columns], axis=2)
        assert motion.followed.mean() > 0.6
        middle, most = np.quantile(missed[motion.followed], [0.5, 0.75])
        assert middle < 0.6
        assert most < 1
        assert np.quantile(missed[~motion.followed], 0.75) > 5

    @pytest.mark.parametrize("shape", [(1, 1), (5, 9), (16, 100), (24, 320), (700, 20), (33, 64)])
    def test_pictures_of_any_size(self, shape: tuple[int, int]) -> None:
        image = texture(shape)
        grey = reduced_grey(image)
        assert max(grey.shape) <= SIDE
        motion = motion_between(grey, grey)
        assert motion.followed.shape == grey.shape
        assert motion.followed.all()

    def test_large_frames_are_reduced(self) -> None:
        assert reduced_grey(texture((720, 1280))).shape == (108, 192)
        assert reduced_grey(texture((1280, 720))).shape == (192, 108)
        assert reduced_grey(texture((40, 50))).shape == (40, 50)


class TestChange:
    def test_sampling(self) -> None:
        """Every third pixel of 6x6, the middle ones; half a step further is the next block's."""
        labels = np.arange(36, dtype=np.uint8).reshape(6, 6)
        x, y = grid((2, 2))
        np.testing.assert_array_equal(sample(labels, (x, y)), [[7, 10], [25, 28]])
        np.testing.assert_array_equal(sample(labels, (x + 1 / 3, y)), [[8, 11], [26, 29]])
        np.testing.assert_array_equal(sample(labels, (x + 1, y)), [[10, VOID], [28, VOID]])

    def test_by_hand(self) -> None:
        everything = np.ones((8, 12), bool)
        before = np.zeros((8, 12), np.uint8)
        before[:, 6:] = 1
        after = before.copy()
        after[2:7, 1:4] = 2  # 15 pixels in the middle of class 0
        change = change_between(before, after, everything)
        assert change.counted[:3].tolist() == [48, 48, 0]
        assert change.kept[:3].tolist() == [33, 48, 0]
        assert change.changed[2:7, 1:4].all()
        assert change.changed.sum() == 15
        assert change.consistency == 81 / 96
        # The way back is the same change, of the class that vanishes.
        back = change_between(after, before, everything)
        assert (back.counted - back.kept)[:3].tolist() == [0, 0, 15]

    def test_an_outline_may_be_off_by_one(self) -> None:
        everything = np.ones((8, 12), bool)
        before, by_one, by_two = (np.zeros((8, 12), np.uint8) for _ in range(3))
        before[:, 6:], by_one[:, 7:], by_two[:, 8:] = 1, 1, 1
        assert change_between(before, by_one, everything).consistency == 1
        # Two off: each side has one column that does not find its class beside it.
        assert change_between(before, by_two, everything).changed.sum(0).tolist() == [
            0, 0, 0, 0, 0, 0, 8, 8, 0, 0, 0, 0,
        ]  # fmt: skip

    def test_a_pole_that_vanishes_is_seen(self) -> None:
        everything = np.ones((8, 12), bool)
        before, after = np.zeros((8, 12), np.uint8), np.zeros((8, 12), np.uint8)
        before[:, 5] = 1
        change = change_between(before, after, everything)
        assert (change.counted[1], change.kept[1]) == (8, 0)
        assert change_between(after, before, everything).consistency == 88 / 96

    def test_void_and_lost_pixels_do_not_count(self) -> None:
        before, after = np.zeros((8, 12), np.uint8), np.ones((8, 12), np.uint8)
        before[:2], after[2:4] = VOID, VOID
        followed = np.ones((8, 12), bool)
        followed[4:6] = False
        change = change_between(before, after, followed)
        assert change.counted.sum() == change.counted[0] == 24
        assert change.kept.sum() == 0
        nothing = change_between(before, after, np.zeros((8, 12), bool))
        assert nothing.consistency is None


class TestStreets:
    @pytest.mark.parametrize("seed", [3, 5, 11])
    def test_a_perfect_labelling_is_stable(self, seed: int) -> None:
        frames = street(seed, 8)
        changes, _ = measured([f.image for f in frames], [f.labels for f in frames])
        assert consistency(changes) > 0.99
        # The labels themselves do move: without following them far more would have changed.
        rest = [
            change_between(a.labels, b.labels, np.ones(SIZE, bool)) for a, b in pairwise(frames)
        ]
        assert 1 - consistency(rest) > 3 * (1 - consistency(changes))

    def test_a_constant_labelling_is_perfectly_stable(self) -> None:
        frames = street(3, 8)
        changes, _ = measured([f.image for f in frames], [np.full(SIZE, CAR, np.uint8)] * 8)
        assert consistency(changes) == 1

    def test_random_flicker_counts_in_proportion(self) -> None:
        """Blocks of 24 pixels change with probability q: of a pair of frames 2 q - q² have."""
        frames = street()
        images, truth = [f.image for f in frames], [f.labels for f in frames]
        perfect = consistency(measured(images, truth)[0])
        rng = np.random.default_rng(0)
        loss = {}
        for q in (0.05, 0.1, 0.2, 0.4):
            labels = []
            for each in truth:
                blocks = rng.random((SIZE[0] // 24, -(-SIZE[1] // 24))) < q
                hit = blocks.repeat(24, 0).repeat(24, 1)[:, : SIZE[1]]
                other = rng.integers(19, 250, blocks.shape).astype(np.uint8)
                labels.append(np.where(hit, other.repeat(24, 0).repeat(24, 1)[:, : SIZE[1]], each))
            loss[q] = perfect - consistency(measured(images, labels)[0])
        for q, lost in loss.items():
            assert lost == pytest.approx(2 * q - q * q, rel=0.2), q

    def test_across_a_cut_nothing_is_said(self, tmp_path: Path) -> None:
        images = [f.image for f in (*street(3, 8)[:4], *street(5, 8)[:4])]
        told, rows = written(tmp_path, images, [np.zeros(SIZE, np.uint8)] * 8)
        assert (told["frames_judged"], told["frames_not_judged"]) == (6, 1)
        assert [row["model"] == "" for row in rows] == [False] * 3 + [True] + [False] * 3
        assert float(rows[3]["followed"]) < 0.25


def written(
    folder: Path, images: Sequence[NDArray[np.uint8]], labels: Sequence[LabelMap]
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """What `Stability` says of frames at 15 a second, and the rows of its table."""
    with Stability(folder / "stability", ["model"], ["model"], [CITYSCAPES]) as stability:
        before = None
        for index, (image, each) in enumerate(zip(images, labels, strict=True)):
            grey = reduced_grey(image)
            motion = None if before is None else motion_between(before, grey)
            seen = look([each], grey, motion)
            stability.add(f"{index:06d}", index / 15, image, [each], seen)
            before = grey
        (told,) = stability.finish()
    with (folder / "stability/frames.csv").open() as file:
        return told, list(csv.DictReader(file))


class Truth:
    """A model that knows the street's labels, but where it flickers."""

    def __init__(
        self, name: str, change: Callable[[LabelMap, int], None], classes: ClassSet = CITYSCAPES
    ) -> None:
        self.name, self.classes, self.concurrency, self._change = name, classes, 2, change

    def labels(
        self,
        images: NDArray[np.uint8],
        keys: Sequence[FrameKey],
        size: tuple[int, int] | None = None,
    ) -> NDArray[np.uint8]:
        result = []
        for key in keys:
            labels = street(3, CLIP)[key.index].labels.astype(np.uint8)
            self._change(labels, key.index)
            result.append(labels)
        return np.stack(result)


def steady(labels: LabelMap, index: int) -> None:
    """Changes nothing."""


def flicker(labels: LabelMap, index: int) -> None:
    """For one frame each, a part of the road becomes a car, in the first second a smaller one."""
    if index in (9, 33):
        width = 30 if index == 9 else 90
        labels[95:125, 80 : 80 + width] = CAR


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """36 frames at 15 a second; one model flickers at 0.6 s and, larger, at 2.2 s."""
    folder = tmp_path_factory.mktemp("flicker")
    clip = folder / "clip.mp4"
    write_video(clip, (frame.image for frame in street(3, CLIP)), Fraction(15))
    models = [Truth("steady", steady), Truth("a/flicker", flicker)]
    return folder / "out", predict(clip, models, folder / "out", PredictOptions(progress=False))


class TestPlantedFlicker:
    def test_is_found_where_it_was_planted(self, done: tuple[Path, dict[str, Any]]) -> None:
        out, summary = done
        rest, planted = summary["stability"]
        assert (rest["model"], planted["model"]) == ("steady", "a/flicker")
        assert rest["consistency"] > 0.985  # the video is compressed
        assert planted["consistency"] < rest["consistency"]
        assert rest["frames_judged"] == planted["frames_judged"] == 35
        first, second, *_ = planted["worst_seconds"]
        assert (first["from"], first["to"]) == (2, 3)
        assert (second["from"], second["to"]) == (0, 1)
        # It comes in one frame and goes in the next: both pairs of frames change.
        assert first["frame"] in ("000033", "000034")
        assert second["frame"] in ("000009", "000010")
        assert first["frame_consistency"] < second["frame_consistency"] < rest["consistency"]
        with (out / "stability/frames.csv").open() as file:
            rows = list(csv.DictReader(file))
        by_frame = {row["frame"]: float(row["a/flicker"]) for row in rows}
        assert set(sorted(by_frame, key=by_frame.__getitem__)[:4]) == {
            "000009", "000010", "000033", "000034",
        }  # fmt: skip

    def test_by_class(self, done: tuple[Path, dict[str, Any]]) -> None:
        rest, planted = (told["by_class"] for told in done[1]["stability"])
        assert planted["road"] < rest["road"]
        assert planted["car"] < rest["car"]
        assert planted["sky"] == rest["sky"] > 0.99
        # Of the 35 pairs one loses 30 x 90 pixels of road, one 30 x 30; when they come back it is
        # the car that goes. Of the road elsewhere less is followed, as it moves faster.
        road = np.mean([(frame.labels == ROAD).sum() for frame in street(3, CLIP)])
        lost = (30 * 90 + 30 * 30) / 35 / road
        assert 0.8 * lost < rest["road"] - planted["road"] < 2 * lost

    def test_pictures_and_words(self, done: tuple[Path, dict[str, Any]]) -> None:
        out, summary = done
        assert json.loads((out / "summary.json").read_text()) == summary
        worst = summary["stability"][1]["worst_seconds"]
        assert [each["picture"] for each in worst[:1]] == [
            f"stability/a_flicker/1-{worst[0]['frame']}.png"
        ]
        with Image.open(out / worst[0]["picture"]) as picture:
            shown = np.asarray(picture)
        assert shown.shape[1] == 4 * SIZE[1]
        # The last panel is white where the road became a car or the car road again.
        panel = shown[: SIZE[0], 3 * SIZE[1] :]
        assert (panel[100:120, 90:160] == 255).all(2).mean() > 0.6
        assert (panel[:80] == 255).all(2).mean() < 0.05
        with Image.open(out / "stability/over-time.png") as picture:
            assert picture.size == (960, 360)
            colours = {colour for _, colour in picture.getcolors(1 << 20)}
        assert (86, 180, 233) in colours
        assert (230, 159, 0) in colours
        text = describe(summary)
        assert "a/flicker: 9" in text
        assert "least from 2 to 3 s" in text
        assert "constant labelling is perfectly stable" in summary["stability_rule"]

    def test_an_earlier_start_leaves_no_pictures(
        self, done: tuple[Path, dict[str, Any]], tmp_path: Path
    ) -> None:
        clip = done[0].parent / "clip.mp4"
        options = PredictOptions(progress=False)
        predict(clip, [Truth("one", flicker)], tmp_path, options)
        assert list((tmp_path / "stability/one").iterdir())
        predict(clip, [Truth("one", lambda labels, _: labels.fill(ROAD))], tmp_path, options)
        assert not (tmp_path / "stability/one").exists()


def test_one_frame_has_no_stability(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_video(clip, [street(3, CLIP)[0].image], Fraction(15))
    model = Truth("one", steady)
    summary = predict(clip, [model], tmp_path / "out", PredictOptions(progress=False))
    (told,) = summary["stability"]
    assert told["consistency"] is None
    assert told["frames_judged"] == told["frames_not_judged"] == 0
    assert "stability unknown" in describe(summary)
    assert (tmp_path / "out/stability/over-time.png").exists()


def test_models_of_different_classes_side_by_side(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_video(clip, [frame.image for frame in street(3, CLIP)[:3]], Fraction(15))
    models = [Truth("a", steady), Truth("b", lambda labels, _: labels.fill(3), CAMVID)]
    summary = predict(clip, models, tmp_path / "out", PredictOptions(progress=False))
    assert summary["stability"][1]["by_class"]["Road"] == 1
    assert summary["stability"][1]["by_class"]["Sky"] is None
