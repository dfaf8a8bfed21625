"""Pictures on disk: finding them in a folder, reading any kind as RGB, writing PNGs whole."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from triptych.data.frames import SUFFIXES
from triptych.data.labelled import Image
from triptych.errors import UserError

LARGEST = 89_478_485
"""Pixels of the largest picture that is read: Pillow's limit against decompression bombs."""
# Pillow only warns between once and twice its limit; here that is an error with a clear line.
warnings.filterwarnings("ignore", category=Pillow.DecompressionBombWarning)


def natural_order(path: Path) -> list[tuple[int, int | str]]:
    """Sort key by which img2 comes before img10; upper and lower case are the same."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]


def find_pictures(folder: Path) -> list[Path]:
    """The picture files of a folder, by their endings, in natural order; hidden ones not.

    Raises UserError where there are none.
    """
    found = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    if not found:
        raise UserError(
            f"{folder}: no pictures in this folder (it is searched, without its sub-folders, for "
            f"{' '.join(SUFFIXES)})"
        )
    return sorted(found, key=lambda path: (natural_order(path), path.name))


def is_picture(path: Path) -> bool:
    """Whether a file is a picture rather than a video: by its ending, else by its contents."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with Pillow.open(path, formats=("AVIF", "BMP", "JPEG", "JPEG2000", "PNG", "TIFF", "WEBP")):
            return True
    except Exception:
        return False


def read_picture(path: Path) -> Image:
    """A picture file as RGB (H, W, 3), upright by its EXIF orientation, transparency dropped.

    Grey, 16-bit, palette and CMYK pictures are converted; of several pages the first is taken.
    Raises UserError naming the file and why it cannot be read. Size is judged by the header.
    """
    try:
        if path.stat().st_size == 0:
            raise UserError(f"{path}: the file is empty")
        with Pillow.open(path) as picture:
            if picture.width * picture.height > LARGEST:
                raise UserError(_too_large(path, picture.width * picture.height))
            return np.asarray(_to_rgb(ImageOps.exif_transpose(picture)))
    except UserError:
        raise
    except Pillow.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        raise UserError(_too_large(path, int(pixels[0]) if pixels else LARGEST)) from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path}: not a picture in a known format") from error
    except Exception as error:
        # Pillow's readers raise nearly anything on broken files: OSError, SyntaxError, ValueError,
        # struct.error, zlib.error …
        raise UserError(f"{path}: cannot be read as a picture ({error})") from error


def write_png(path: Path, picture: Pillow.Image) -> None:
    """A PNG that appears whole or not at all. Raises OSError where it cannot be written."""
    part = path.with_name(f".{path.name}.part")
    try:
        picture.save(part, "PNG", compress_level=1)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _to_rgb(picture: Pillow.Image) -> Pillow.Image:
    if picture.mode.startswith(("I", "F")):
        # Pillow's own conversion of deep grey clips at 255.
        values = np.asarray(picture).astype(np.float64)
        if picture.mode != "F":
            values /= 257 if values.max(initial=0) > 255 or ";16" in picture.mode else 1
        return Pillow.fromarray(values.clip(0, 255).round().astype(np.uint8)).convert("RGB")
    return picture.convert("RGB")


def _too_large(path: Path, pixels: int) -> str:
    return f"{path}: claims {pixels:,} pixels; at most {LARGEST // 10**6} million are read"
