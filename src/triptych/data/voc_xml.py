"""One annotation file of PASCAL VOC (Everingham 2010): the objects of one picture, as XML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml import ElementTree as Safe

from triptych.data.boxed_files import Annotated
from triptych.errors import UserError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_voc_xml(path: Path) -> tuple[tuple[int, int] | None, tuple[Annotated, ...]]:
    """Height and width that the file says (None where it does not), and its objects.

    A part of an object (`object/part`, such as a person's head) is none. Coordinates may have
    fractions, as some of VOC2012 do. Raises UserError where the file is no such XML; entities and
    document types, which could make it grow without end or read other files, are refused.
    """
    try:
        root = Safe.fromstring(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (ParseError, DefusedXmlException, LookupError, ValueError) as error:
        raise UserError(f"{path}: not an XML annotation ({error})") from error
    if root.tag != "annotation":
        raise UserError(f"{path}: not a VOC annotation: its root is <{root.tag}>")
    objects = tuple(_object(each, number) for number, each in enumerate(root.findall("object"), 1))
    return _size(root), objects


def _object(element: Element, number: int) -> Annotated:
    name = (element.findtext("name") or "").strip()
    where = f"object {number}" + (f" ({name})" if name else "")
    difficult = (element.findtext("difficult") or "").strip() == "1"
    return Annotated(where, name or None, _box(element), difficult)


def _box(element: Element) -> tuple[float, float, float, float] | None:
    """From VOC's first and last pixel, counted from 1, to edges counted from 0."""
    try:
        xmin, ymin, xmax, ymax = (
            float(element.findtext(f"bndbox/{each}", "")) for each in _CORNERS
        )
    except ValueError:
        return None
    return xmin - 1, ymin - 1, xmax, ymax


def _size(root: Element) -> tuple[int, int] | None:
    try:
        height, width = (int(float(root.findtext(f"size/{e}", ""))) for e in ("height", "width"))
    except (ValueError, OverflowError):
        return None
    # Some programs write 0 for what they do not know.
    return (height, width) if height > 0 and width > 0 else None
