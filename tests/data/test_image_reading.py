"""Pictures of every kind become the RGB that a person sees."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import functional

from triptych.data.image_reading import read_rgb, upright_size
from triptych.errors import UserError

RNG = np.random.default_rng(2)
COLOUR = RNG.integers(0, 256, (6, 9, 3), np.uint8)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP"])
def test_colours_are_exact(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(read_rgb(saved(Image.fromarray(COLOUR), kind, **options), "x"), COLOUR)


def test_jpeg() -> None:
    smooth = np.full((16, 16, 3), (200, 30, 90), np.uint8)
    read = read_rgb(saved(Image.fromarray(smooth), "JPEG", quality=95), "x")
    assert np.abs(read.astype(int) - smooth).max() <= 3


def test_grey_and_palette_and_alpha() -> None:
    grey = COLOUR[..., 0]
    three = np.repeat(grey[..., None], 3, 2)
    assert np.array_equal(read_rgb(saved(Image.fromarray(grey)), "x"), three)
    few = Image.fromarray(COLOUR // 128 * 255).convert("P", palette=Image.Palette.ADAPTIVE)
    assert np.array_equal(read_rgb(saved(few), "x"), np.asarray(few.convert("RGB")))
    clear = saved(few, transparency=bytes(range(8)))
    assert np.array_equal(read_rgb(clear, "x"), np.asarray(few.convert("RGB")))
    alpha = np.dstack([COLOUR, RNG.integers(0, 256, (6, 9), np.uint8)])
    assert np.array_equal(read_rgb(saved(Image.fromarray(alpha)), "x"), COLOUR)
    one_bit = Image.fromarray(grey > 127)
    assert set(np.unique(read_rgb(saved(one_bit), "x"))) == {0, 255}


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    deep = np.array([[0, 255, 256, 257 * 128, 65535]], np.uint16)
    read = read_rgb(saved(Image.fromarray(deep)), "x")
    assert read[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    assert (read == read[..., :1]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(COLOUR).save(path, exif=exif)
    # EXIF 2.32, 4.6.4: what the 0th row and the 0th column of the stored pixels are to the eye.
    seen = {
        1: COLOUR,
        2: COLOUR[:, ::-1],
        3: COLOUR[::-1, ::-1],
        4: COLOUR[::-1],
        5: COLOUR.transpose(1, 0, 2),
        6: COLOUR.transpose(1, 0, 2)[:, ::-1],
        7: COLOUR.transpose(1, 0, 2)[::-1, ::-1],
        8: COLOUR.transpose(1, 0, 2)[::-1],
    }[orientation]
    assert np.array_equal(read_rgb(path, "x"), seen)
    assert upright_size(path) == seen.shape[:2]


@pytest.mark.parametrize("shape", [(40, 60), (61, 40), (10, 25), (16, 16)])
def test_scaled_and_cut_like_torchvision(shape: tuple[int, int]) -> None:
    picture = Image.fromarray(RNG.integers(0, 256, (*shape, 3), np.uint8))
    ours = read_rgb(saved(picture), "x", 16)
    theirs = functional.center_crop(functional.resize(picture, 16), 16)
    assert ours.shape == (16, 16, 3)
    # Rounding of the longer side may differ by one, which moves a pixel's worth of the cut.
    assert np.abs(ours.astype(int) - np.asarray(theirs)).mean() < 8
    if shape in ((40, 60), (16, 16)):
        assert np.array_equal(ours, np.asarray(theirs))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_what_is_cut_short_is_refused_by_name(kind: str) -> None:
    content = saved(Image.fromarray(RNG.integers(0, 256, (40, 40, 3), np.uint8)), kind)
    for part in (len(content) * 2 // 3, 20, 0):
        with pytest.raises(UserError, match=r"^row 7: "):
            read_rgb(content[:part], "row 7")


def test_other_formats_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no PNG, JPEG, WebP or BMP"):
        read_rgb(saved(Image.fromarray(COLOUR), "TIFF"), "x")
    with pytest.raises(UserError, match=r"gone\.png: cannot be read"):
        read_rgb(tmp_path / "gone.png", str(tmp_path / "gone.png"))
    bomb = saved(Image.new("1", (20_000, 20_000)))
    with pytest.raises(UserError, match="more pixels"):
        read_rgb(bomb, "x")
