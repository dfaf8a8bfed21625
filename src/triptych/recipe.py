"""Recipes: frozen records of everything that decides a result, and their registry.

A recipe is made by a function registered under `study/name`; its docstring says the command, the
expected time and the expected score. A field holds what decides the result and nothing else: the
device, the paths and the number of workers are runtime.
"""

from __future__ import annotations

import dataclasses
import importlib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, Self, TypeVar

from triptych.errors import UserError

STUDIES = ("segment", "detect", "classify")
"""The studies that have recipes, each in `triptych.<study>.recipes`."""

PLACES = frozenset({"data", "val_data", "extra_data", "inverse_network"})
"""Fields that say where something lies. A run knows what lies there by its fingerprint, so the same
content elsewhere is no other recipe."""

R = TypeVar("R", bound="Recipe")
Precision = Literal["float32", "bfloat16", "float16"]

_registry: dict[str, Callable[[], Recipe]] = {}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The fields that every study's recipe has."""

    name: str
    """`study/name`, as registered; an override keeps it."""
    model: str
    data: str
    """A data specification, such as `streets` or `camvid:DIR`. Its fingerprint, not its path, is
    what identifies the data of a run."""
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float = 0.0
    precision: Precision = "float32"
    """Of convolutions and matrix products in training; scores are always taken in float32. float16,
    with a scaled loss, is for GPUs that have no bfloat16."""

    @property
    def study(self) -> str:
        return self.name.partition("/")[0]

    def changed(self, values: Mapping[str, Any]) -> Self:
        """This recipe with the values that `--set` gave; one of a study may refuse some of them,
        or derive others."""
        return dataclasses.replace(self, **values)

    def __post_init__(self) -> None:
        for field in ("epochs", "batch_size"):
            if getattr(self, field) < 1:
                raise UserError(f"{field} must be at least 1, not {getattr(self, field)}")
        for field in ("lr", "weight_decay"):
            if not 0 <= getattr(self, field) < float("inf"):
                raise UserError(f"{field} must be 0 or more, not {getattr(self, field)}")


def register(name: str) -> Callable[[Callable[[], R]], Callable[[], R]]:
    """Enter a function that makes a recipe under `study/name`."""

    def enter(make: Callable[[], R]) -> Callable[[], R]:
        if name in _registry:
            raise ValueError(f"recipe {name} is registered twice")
        _registry[name] = make
        return make

    return enter


def _load_all() -> None:
    for study in STUDIES:
        importlib.import_module(f"triptych.{study}.recipes")


def names() -> list[str]:
    """The names of all recipes, sorted."""
    _load_all()
    return sorted(_registry)


def get(name: str) -> Recipe:
    """The recipe registered as `study/name`.

    Raises UserError with the nearest names where there is none.
    """
    known = names()
    if name not in _registry:
        near = get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
        raise UserError(f"no recipe '{name}'; {hint}")
    return _registry[name]()


def describe(name: str) -> str:
    """The docstring of the function that makes a recipe: command, expected time and score."""
    get(name)
    return _registry[name].__doc__ or ""


def override(recipe: R, settings: Iterable[str]) -> R:
    """A recipe with `key=value` settings applied, each checked against the field's type.

    Raises UserError for an unknown key (with the nearest one), a value of another type, and a
    setting that is not `key=value`.
    """
    hints = typing.get_type_hints(type(recipe))
    allowed = [f.name for f in dataclasses.fields(recipe) if f.name != "name"]
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UserError(f"--set {setting}: write it as key=value")
        if key not in allowed:
            near = get_close_matches(key, allowed, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"its fields: {', '.join(allowed)}"
            raise UserError(f"--set {setting}: {recipe.name} has no field '{key}'; {hint}")
        try:
            values[key] = _parse(text, hints[key])
        except ValueError as error:
            raise UserError(f"--set {setting}: {key} takes {error}") from None
    return recipe.changed(values)


def _parse(text: str, hint: Any) -> Any:
    """`text` as a value of the annotated type; a ValueError's text says what was expected."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        for choice in arguments:
            if text == str(choice):
                return choice
        raise ValueError("one of " + ", ".join(map(str, arguments)))
    if origin in (typing.Union, types.UnionType):
        inner = [a for a in arguments if a is not type(None)]
        if text.lower() == "none" and len(inner) < len(arguments):
            return None
        return _parse(text, inner[0])
    if origin is tuple:
        parts = [p.strip() for p in text.split(",") if p.strip()]
        if arguments[-1:] == (...,):
            return tuple(_parse(p, arguments[0]) for p in parts)
        if len(parts) != len(arguments):
            raise ValueError(f"{len(arguments)} values with commas between them")
        return tuple(_parse(p, a) for p, a in zip(parts, arguments, strict=True))
    if hint is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise ValueError("true or false")
    if hint is int or hint is float:
        try:
            return hint(text)
        except ValueError:
            raise ValueError("a whole number" if hint is int else "a number") from None
    return text


def differences(a: Recipe, b: Recipe) -> dict[str, tuple[Any, Any]]:
    """The fields in which two recipes differ, each with both values; names do not count.

    A field that only one of them has stands against None.
    """
    ours, theirs = dataclasses.asdict(a), dataclasses.asdict(b)
    keys = [*ours, *(k for k in theirs if k not in ours)]
    pairs = {key: (ours.get(key), theirs.get(key)) for key in keys if key != "name"}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
