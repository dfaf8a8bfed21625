"""Sheets of a run: what entered the model, and what it takes for what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from triptych import recipe as recipes
from triptych.classify import media
from triptych.classify.evaluate import items_table
from triptych.classify.media import write_augmented, write_confusions
from triptych.classify.tiles import Row, tile, write_sheet
from triptych.classify.train import augmentation_of
from triptych.data.labelled_images import LabelledImages


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    """The rows of the sheet that is written."""
    found: list[Row] = []
    write = media.write_sheet

    def keep(given: list[Row], out: Path, *columns: int) -> None:
        found.extend(given)
        write(given, out, *columns)

    monkeypatch.setattr(media, "write_sheet", keep)
    return found


def images(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)


def made(run: Path, **changes: Any) -> None:
    recipe: Any = replace(recipes.get("classify/tiny"), **changes)
    write_augmented(run, images(6), recipe, augmentation_of(recipe, 32), seed=0)


def versions(row: Row) -> set[bytes]:
    return {each.image.tobytes() for each in row.tiles[1:] if each is not None}


def test_each_version_is_another_and_the_flaw_is_seen(tmp_path: Path, rows: list[Row]) -> None:
    made(tmp_path / "a", augmentation="per-sample", mixup=0.8)
    assert len(rows) == media.IMAGES + 1
    for row in rows[: media.IMAGES]:
        assert len(versions(row)) > media.VERSIONS // 2
    assert all("its own" in tile.caption for tile in rows[-1].tiles if tile is not None)
    rows.clear()
    made(tmp_path / "b", augmentation="per-batch", mixup=0.0, cutmix=0.0)
    assert len(rows) == media.IMAGES
    assert {len(versions(row)) for row in rows} == {1}
    rows.clear()
    made(tmp_path / "c", augmentation="none")
    assert rows == []
    sheets = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.png"))
    assert sheets == [f"{run}/media/sheets/augmentation.png" for run in "ab"]
    first = (tmp_path / "a/media/sheets/augmentation.png").read_bytes()
    made(tmp_path / "a", augmentation="per-sample", mixup=0.8)
    assert (tmp_path / "a/media/sheets/augmentation.png").read_bytes() == first


def eight(labels: np.ndarray, classes: tuple[str, ...]) -> LabelledImages:
    return LabelledImages(
        name="x", split="test", classes=classes, pixels=images(8).numpy(), labels=labels,
        keys=tuple(map(str, range(8))),
    )  # fmt: skip


def test_a_title_has_room_above_one_image(tmp_path: Path) -> None:
    title = "a pickup truck taken for a streetcar, articulated: 1 of 4"
    write_sheet([Row([tile(images(1)[0], "")], title)], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        # The last letters of the title, light on dark, and room behind them.
        line = np.asarray(sheet.convert("L"))[:40].max(axis=0)
    assert line[-20:-8].max() > 150 > line[-4:].max()


def test_the_commonest_confusions_with_their_images(tmp_path: Path, rows: list[Row]) -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    predicted = torch.tensor([1, 1, 0, 2, 1, 0, 2, 2])
    data = eight(labels, ("cat", "dog", "cow"))
    table = items_table(torch.nn.functional.one_hot(predicted, 3).float(), data)
    write_confusions(tmp_path, table, data)
    assert [row.title for row in rows] == [
        "cat taken for dog: 2 of 4",
        "cat taken for cow: 1 of 4",
        "dog taken for cat: 1 of 2",
    ]
    shown = [tile.image for tile in rows[0].tiles if tile is not None]
    for index, image in enumerate(shown):
        assert (image[::3, ::3] == data.pixels[index].transpose(1, 2, 0)).all()
    with Image.open(tmp_path / "media/sheets/confusions.png") as sheet:
        assert sheet.height > 3 * 96
    right = items_table(torch.nn.functional.one_hot(torch.from_numpy(labels), 3).float(), data)
    write_confusions(tmp_path / "none", right, data)
    assert not (tmp_path / "none").exists()
