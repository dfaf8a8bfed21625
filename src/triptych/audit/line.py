"""A line of an audit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Finding = Literal["fair", "flaw", "differs", "unknown"]


@dataclass(frozen=True)
class Line:
    """One thing that was looked at: what was found, in one line."""

    about: str
    finding: Finding
    text: str

    def as_dict(self) -> dict[str, str]:
        return {"about": self.about, "finding": self.finding, "text": self.text}


def span(values: Iterable[float], form: str) -> str:
    """The smallest and the largest, once where they read alike."""
    known = list(values)
    return " to ".join(dict.fromkeys(format(value, form) for value in (min(known), max(known))))
