"""One picture of any kind as RGB pixels: palettes, alpha, 16 bits and EXIF orientation."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps, UnidentifiedImageError

from triptych.data.labelled import Image
from triptych.errors import UserError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
_QUARTER_TURNS = (5, 6, 7, 8)
_ORIENTATION = 0x0112


def read_rgb(source: Path | bytes, name: str, size: int | None = None) -> Image:
    """RGB pixels (H, W, 3) of a PNG, JPEG, WebP or BMP file, upright by its EXIF orientation.

    Alpha is dropped; 16 bits a channel keep the upper 8; of an animation the first frame counts.
    With `size`, the shorter side is scaled to it (bilinear, averaging where it shrinks) and the
    centre square cut out. Raises UserError with `name` where the file is no such picture, or is cut
    short.
    """
    with _opened(source, name) as image:
        upright = _as_rgb(ImageOps.exif_transpose(image))
        return np.asarray(upright if size is None else _centre(upright, size))


def upright_size(path: Path) -> tuple[int, int]:
    """Height and width of a picture, upright, from its header alone. Raises UserError."""
    with _opened(path, str(path)) as image:
        wide, high = image.size
        # Of a PNG the whole picture must be decoded to find its orientation.
        turned = wide != high and image.getexif().get(_ORIENTATION) in _QUARTER_TURNS
        return (wide, high) if turned else (high, wide)


@contextlib.contextmanager
def _opened(source: Path | bytes, name: str) -> Iterator[PillowImage.Image]:
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with PillowImage.open(file, formats=_FORMATS) as image:
            yield image
    except PillowImage.DecompressionBombError as error:
        raise UserError(f"{name}: claims more pixels than a picture should have") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{name}: is no PNG, JPEG, WebP or BMP picture") from error
    except (OSError, ValueError, SyntaxError, EOFError, struct.error) as error:
        raise UserError(f"{name}: cannot be read as a picture ({error})") from error


def _as_rgb(image: PillowImage.Image) -> PillowImage.Image:
    if image.mode.startswith("I"):
        # Grey of 16 bits. Pillow's own conversion would clip it; for colour it keeps the upper 8.
        upper = np.asarray(image).astype(np.int64) >> 8
        image = PillowImage.fromarray(upper.clip(0, 255).astype(np.uint8))
    if image.mode == "P":
        image = image.convert("RGBA")
    return image.convert("RGB")


def _centre(image: PillowImage.Image, size: int) -> PillowImage.Image:
    scale = size / min(image.size)
    wide, high = (max(size, round(side * scale)) for side in image.size)
    left, top = (wide - size) // 2, (high - size) // 2
    scaled = image.resize((wide, high), PillowImage.Resampling.BILINEAR)
    return scaled.crop((left, top, left + size, top + size))
