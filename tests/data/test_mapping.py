"""From a model's classes to the data's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from triptych.data.classes import CAMVID, CITYSCAPES, ClassSet
from triptych.data.mapping import mapping_between, read_mapping
from triptych.errors import UserError

TWO = ClassSet("two", ("way", "rest"), ((0, 0, 0), (9, 9, 9)))


def apply(mapping, *ids: int) -> list[int]:  # type: ignore[no-untyped-def]
    return mapping.apply(np.array(ids, np.uint8)).tolist()


def test_cityscapes_to_camvid() -> None:
    # By train id: road, sidewalk, building, wall, fence, pole, …
    expected = [3, 4, 1, 1, 7, 2, 6, 6, 5, 5, 0, 9, 10, 8, 8, 8, 8, 10, 10]
    mapping = mapping_between(CITYSCAPES, CAMVID)
    assert apply(mapping, *range(19), 255) == [*expected, 255]
    assert mapping.as_dict()["rider"] == "Bicyclist"
    with pytest.raises(UserError, match="predicted label id 19 "):
        apply(mapping, 0, 19)


def test_identity() -> None:
    mapping = mapping_between(CAMVID, CAMVID)
    assert apply(mapping, *range(11), 255) == [*range(11), 255]
    with pytest.raises(UserError, match="predicted label id 11 "):
        apply(mapping, 11)


def test_unknown_pair_asks_for_a_file() -> None:
    with pytest.raises(UserError, match=r"`triptych evaluate` takes one as --map FILE, elsewhere"):
        mapping_between(CAMVID, CITYSCAPES)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_file(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.toml",
        '[[class]]\nid=0\nname="way"\ntarget="road"\n[[class]]\nname="rest"\nvoid=true\n',
    )
    mapping = read_mapping(path, TWO, CAMVID)
    assert apply(mapping, 0, 1, 255) == [3, 255, 255]
    assert mapping.as_dict() == {"way": "Road", "rest": None}
    assert mapping.name == "m.toml"


def test_file_for_predictions_of_an_unknown_model(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.toml",
        '[[class]]\nid=26\nname="car"\ntarget=8\n[[class]]\nid=0\nvoid=true\n',
    )
    mapping = read_mapping(path, None, CAMVID)
    assert apply(mapping, 26, 0) == [8, 255]
    assert mapping.as_dict() == {"car": "Car", "0": None}
    with pytest.raises(UserError, match="predicted label id 7 "):
        apply(mapping, 7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[class]]\nid=0\ntarget="Raod"\n', r"no class 'Raod'; did you mean Road\?"),
        ('[[class]]\nid=0\ntarget="Road"\n', "does not list the model's class 'rest'"),
        ("[[class]]\nid=0\ntarget=11\n", "target 11, but the data's ids are 0 to 10"),
        ("[[class]]\nid=0\ntarget=true\n", "target True"),
        ("[[class]]\nid=0\n", "either `target` or `void = true`"),
        ('[[class]]\nid=0\ntarget="Road"\nvoid=true\n', "either `target` or `void = true`"),
        ('[[class]]\nid=1\nname="way"\nvoid=true\n', "the model's class 1 is rest, not way"),
        ('[[class]]\nname="wey"\nvoid=true\n', r"the model has no class 'wey'; did you mean way\?"),
        ("[[class]]\nvoid=true\n", "needs an `id` or a `name`"),
        ("[[class]]\nid=255\nvoid=true\n", "`id` must be from 0 to 254"),
        ("[[class]]\nid=0\nvoid=true\n[[class]]\nid=0\nvoid=true\n", "listed twice"),
        ("[[class]]\nid=0\nto=3\n", "unknown field 'to'"),
    ],
)
def test_file_mistakes(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "m.toml", text)
    with pytest.raises(UserError, match=message) as raised:
        read_mapping(path, TWO, CAMVID)
    assert str(path) in str(raised.value)
    with pytest.raises(UserError, match="cannot be read"):
        read_mapping(tmp_path / "none.toml", TWO, CAMVID)
