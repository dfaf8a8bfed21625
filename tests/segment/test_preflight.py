"""What is looked at before a training has a folder."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from triptych.data.classes import CITYSCAPES
from triptych.data.labelled import Image, LabelMap
from triptych.errors import UserError
from triptych.segment.batches import CachedFrames
from triptych.segment.models import create
from triptych.segment.preflight import (
    check_batches,
    check_frames,
    warn_of_copies,
    warn_of_copies_in_folds,
)
from triptych.segment.recipes import SegmentRecipe

RECIPE = SegmentRecipe(
    name="segment/test", model="tiny", data="made", epochs=1, batch_size=2, lr=0.1
)


class Made:
    """Frames that note who loaded and who checked them; some are broken."""

    name, split, classes = "made", "train", CITYSCAPES

    def __init__(self, count: int, broken: tuple[int, ...] = ()) -> None:
        self.keys = self.groups = tuple(f"f{index}" for index in range(count))
        self.broken = broken
        self.loaded: list[int] = []
        self.checked: list[int] = []
        self.threads: set[str] = set()

    def __len__(self) -> int:
        return len(self.keys)

    def load(self, index: int) -> tuple[Image, LabelMap]:
        self.threads.add(threading.current_thread().name)
        self.loaded.append(index)
        self._refuse(index)
        height = 8 + index
        return np.zeros((height, 16, 3), np.uint8), np.zeros((height, 16), np.uint8)

    def check(self, index: int) -> tuple[int, int]:
        self.checked.append(index)
        self._refuse(index)
        return 8 + index, 16

    def _refuse(self, index: int) -> None:
        if index in self.broken:
            raise UserError(f"f{index}.png: id 57 is not a class")

    def fingerprint(self) -> str:
        return "made"


class TestFrames:
    def test_every_frame_is_loaded_once_and_kept(self) -> None:
        made = Made(6)
        frames = CachedFrames(made)
        assert check_frames(frames, show_progress=False) == [(8 + k, 16) for k in range(6)]
        for index in range(6):
            frames.load(index)
        assert sorted(made.loaded) == list(range(6))
        assert made.checked == []
        assert all(name.startswith("check") for name in made.threads)

    def test_what_does_not_fit_is_not_decoded_for_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.cpu_count", lambda: 1)  # so that the order is known
        made = Made(6)
        frames = CachedFrames(made, limit=2 * (8 + 9) * 16 * 4)
        assert check_frames(frames, show_progress=False) == [(8 + k, 16) for k in range(6)]
        assert made.loaded == [0, 1, 2, 3]  # the last one told that there is no room
        assert made.checked == [4, 5]

    @pytest.mark.parametrize("limit", [0, 1 << 20])
    def test_the_first_broken_one_is_told(self, limit: int) -> None:
        frames = CachedFrames(Made(40, broken=(5, 7, 30)), limit=limit)
        with pytest.raises(UserError, match=r"f5\.png: id 57"):
            check_frames(frames, show_progress=False)


class Plain:
    """Frames of one grey level each, keyed and grouped as asked."""

    classes = CITYSCAPES

    def __init__(self, split: str, levels: dict[str, int]) -> None:
        self.name, self.split = "made", split
        self.keys = tuple(levels)
        self.groups = tuple(key[0] for key in levels)
        self.levels = tuple(levels.values())

    def __len__(self) -> int:
        return len(self.keys)

    def load(self, index: int) -> tuple[Image, LabelMap]:
        grey = np.full((8, 8, 3), self.levels[index], np.uint8)
        return grey, np.zeros((8, 8), np.uint8)

    def fingerprint(self) -> str:
        return "made"


def plain(split: str, limit: int = 1 << 20, **levels: int) -> CachedFrames:
    return CachedFrames(Plain(split, levels), limit)


class TestCopies:
    """One line that names the first, and no refusal."""

    @pytest.mark.parametrize("limit", [0, 1 << 20])
    def test_frames_of_val_that_are_trained_on(
        self, limit: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        train = plain("train", limit, A1=10, A2=20, B1=30, B2=30)
        val = plain("val", limit, C1=40, C2=30, C3=20)
        warn_of_copies(train, val, show_progress=False)
        ((name, level, text),) = caplog.record_tuples
        assert (name, level) == ("triptych", logging.WARNING)
        assert text.startswith("2 of 3 frames of made val are also trained on (C2 is B1, pixel by")
        assert text.endswith("take them out of one of the two")
        assert "\n" not in text

    def test_nothing_is_said_of_other_pictures(self, caplog: pytest.LogCaptureFixture) -> None:
        warn_of_copies(plain("train", A1=1, A2=1), plain("val", A1=2, A2=2), show_progress=False)
        assert not caplog.records

    def test_in_folds_each_drive_is_looked_for_in_the_others(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        # `x` is no drive: what is trained on along in every fold, and never scored.
        frames = plain("all", A1=1, A2=1, B1=2, B2=3, x1=3, x2=3)
        warn_of_copies_in_folds(frames, ["A", "B"], show_progress=False)
        (text,) = caplog.messages
        assert text.startswith("1 of 4 frames of made in their folds are also trained on (B2 is x1")

    def test_a_drive_may_repeat_itself(self, caplog: pytest.LogCaptureFixture) -> None:
        frames = plain("all", A1=1, A2=1, B1=2, x1=3, x2=3)
        warn_of_copies_in_folds(frames, ["A", "B"], show_progress=False)
        assert not caplog.records


class TestBatches:
    def test_frames_of_different_sizes_need_a_crop(self) -> None:
        mixed, model = [(32, 40), (40, 32)], create("tiny")
        with pytest.raises(UserError, match=r"made train have different sizes.*--set crop=H,W"):
            check_batches(model, RECIPE, mixed, "made train")
        check_batches(model, replace(RECIPE, crop=(32, 32)), mixed, "made train")
        check_batches(model, replace(RECIPE, batch_size=1), mixed, "made train")
        check_batches(model, RECIPE, mixed[:1], "made train")

    @pytest.mark.parametrize("name", ["street", "psp-lite0"])
    def test_a_single_picture_of_one_cell(self, name: str) -> None:
        model = create(name)
        alone = replace(RECIPE, model=name, batch_size=1, crop=(32, 32))
        with pytest.raises(UserError, match=rf"{name} .*of 32x32.*--set batch_size=2 or more"):
            check_batches(model, alone, [(64, 64)] * 9, "made train")
        with pytest.raises(UserError, match=f"made train has one frame, and {name} .*more frames"):
            check_batches(model, replace(alone, batch_size=8), [(64, 64)], "made train")
        check_batches(model, replace(alone, batch_size=2), [(64, 64)] * 9, "made train")

    def test_a_larger_single_picture_is_enough_where_it_is(self) -> None:
        model, alone = create("street"), replace(RECIPE, model="street", batch_size=1)
        check_batches(model, replace(alone, crop=(64, 64)), [(32, 32)], "made train")
        # The smallest of the frames is what will not do.
        with pytest.raises(UserError, match="of 32x32"):
            check_batches(model, alone, [(64, 64), (32, 32), (64, 32)], "made train")

    def test_the_model_stays_as_it_is(self) -> None:
        model = create("street").eval()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        check_batches(model, replace(RECIPE, batch_size=1), [(64, 64)], "made train")
        assert not model.training
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    def test_other_errors_are_not_explained_away(self) -> None:
        class Broken(nn.Linear):
            def forward_train(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
                raise ValueError("something else")

        with pytest.raises(ValueError, match="something else"):
            check_batches(Broken(1, 1), replace(RECIPE, batch_size=1), [(64, 64)], "made train")
