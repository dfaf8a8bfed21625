"""What a score was measured on, and in words what tells two of them apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SHORT = 4
"""Digits of a fingerprint that are shown where they are enough to tell it from others."""


@dataclass(frozen=True)
class Basis:
    """Only scores of one basis can be compared."""

    data: str
    """Name and split; different data may have the same one."""
    fingerprint: str | None = None
    """Of the data; None where nobody says it."""
    rules: tuple[tuple[str, str], ...] = ()
    """Name and value of the rules of judging that are not the same everywhere."""

    @property
    def rules_text(self) -> str:
        """Such as `iou 0.5, score_floor 0.05`."""
        return ", ".join(f"{name} {value}" for name, value in self.rules)


def basis_texts(bases: Iterable[Basis]) -> dict[Basis, str]:
    """Every basis by its data's name, and where that is not enough by what differs.

    Such as `folder val (2c9a…)`, `voc2007 val (score_floor 0.05)`. No two have the same text.
    """
    every = list(dict.fromkeys(bases))
    return {one: _text(one, [each for each in every if each.data == one.data]) for one in every}


def _text(basis: Basis, namesakes: Sequence[Basis]) -> str:
    said = []
    if len({each.fingerprint for each in namesakes}) > 1:
        said.append(_short(basis.fingerprint, [each.fingerprint for each in namesakes]))
    for name, value in basis.rules:
        if len({dict(each.rules).get(name) for each in namesakes}) > 1:
            said.append(f"{name} {value}")
    return f"{basis.data} ({', '.join(said)})" if said else basis.data


def _short(fingerprint: str | None, among: Sequence[str | None]) -> str:
    """The fewest digits that no other fingerprint begins with."""
    if fingerprint is None:
        return "no fingerprint"
    others = [each for each in among if each is not None and each != fingerprint]
    length = SHORT
    while any(each.startswith(fingerprint[:length]) for each in others) and length < len(
        fingerprint
    ):
        length += 1
    return f"{fingerprint[:length]}…"
