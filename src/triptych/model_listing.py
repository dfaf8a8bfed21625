"""`triptych models`: what every study has, in one list."""

from __future__ import annotations

from typing import Any

from triptych.classify.models import listing as classify
from triptych.classify.models.near import describe_near, near
from triptych.detect import models as detect
from triptych.segment import models as segment

__all__ = ["describe", "describe_near", "near", "records"]


def records() -> dict[str, Any]:
    """The records of each study's models, by study."""
    return {
        "segment": segment.records(),
        "detect": detect.records(),
        "classify": classify.records(),
    }


def describe(listed: dict[str, Any]) -> str:
    """Each study's table."""
    return "\n\n".join(
        [
            "segment\n" + segment.describe(listed["segment"]),
            "detect\n" + detect.describe(listed["detect"]),
            "classify\n" + classify.describe(listed["classify"]),
            "Any architecture of timm classifies too, by its name; "
            "`triptych models --near 4.9M` finds those of a budget.",
        ]
    )
