from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from triptych import recipe as recipes
from triptych.errors import UserError
from triptych.recipe import Recipe, differences, override


@dataclass(frozen=True, kw_only=True)
class Example(Recipe):
    crop: tuple[int, int] | None = None
    widths: tuple[float, ...] = ()
    flip: bool = True
    schedule: Literal["constant", "cosine"] = "cosine"


@dataclass(frozen=True, kw_only=True)
class Other(Recipe):
    dropout: float = 0.5


BASE = {"name": "x/y", "model": "m", "data": "d", "epochs": 3, "batch_size": 2, "lr": 0.1}


@pytest.fixture
def example() -> Example:
    return Example(**BASE)


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("lr=3e-4", "lr", 3e-4),
        ("epochs=7", "epochs", 7),
        ("crop=64,96", "crop", (64, 96)),
        ("widths=1,2.5,3", "widths", (1.0, 2.5, 3.0)),
        ("flip=false", "flip", False),
        ("schedule=constant", "schedule", "constant"),
        ("data=camvid:a=b", "data", "camvid:a=b"),
    ],
)
def test_override_takes_the_type_of_the_field(
    example: Example, setting: str, field: str, value: object
) -> None:
    changed = override(example, [setting])
    assert getattr(changed, field) == value
    assert type(getattr(changed, field)) is type(value)
    assert set(differences(example, changed)) == {field}


def test_override_can_take_an_optional_field_back(example: Example) -> None:
    assert override(example, ["crop=64,96", "crop=none"]) == example
    cropped = override(example, ["crop=64,96"])
    assert override(cropped, ["crop=none"]) == example


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lr", "key=value"),
        ("learning_rate=1", "no field"),
        ("epoch=3", "did you mean 'epochs'"),
        ("epochs=2.5", "a whole number"),
        ("epochs=0", "at least 1"),
        ("lr=fast", "a number"),
        ("lr=nan", "0 or more"),
        ("lr=-1", "0 or more"),
        ("flip=yes", "true or false"),
        ("crop=64", "2 values"),
        ("schedule=step", "constant, cosine"),
        ("name=z/z", "no field 'name'"),
    ],
)
def test_override_refuses_in_one_line(example: Example, setting: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        override(example, [setting])
    assert "\n" not in str(caught.value)


def test_differences_names_both_values_and_skips_the_name(example: Example) -> None:
    other = Example(**(BASE | {"name": "x/z", "lr": 0.2}))
    assert differences(example, other) == {"lr": (0.1, 0.2)}
    assert differences(example, example) == {}


def test_differences_between_studies_lists_fields_of_one_side(example: Example) -> None:
    found = differences(Other(**BASE), example)
    assert found["dropout"] == (0.5, None)
    assert found["flip"] == (None, True)


def test_registry_suggests_the_nearest_and_describes() -> None:
    with pytest.raises(UserError, match="did you mean segment/tiny"):
        recipes.get("segment/tinny")
    for name in recipes.names():
        assert recipes.get(name).name == name
        assert len(recipes.describe(name)) > 20


def test_recipes_are_frozen(example: Example) -> None:
    with pytest.raises(AttributeError):
        example.lr = 1.0  # type: ignore[misc]
