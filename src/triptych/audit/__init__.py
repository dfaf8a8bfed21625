"""The audit: what runs really did, and whether the arms of a comparison were treated alike.

It reads `audit.json`, which a run's witness wrote from what entered the model and from the
optimiser at each update; recipes are not consulted. An arm from outside has no witness: unknown.
"""

from __future__ import annotations

from triptych.audit.line import Line
from triptych.audit.runs import (
    TESTIMONY,
    as_text,
    audit_comparison,
    audit_run,
    copies,
    frozen,
    images_seen,
    testimony,
    versions,
)

__all__ = [
    "TESTIMONY",
    "Line",
    "as_text",
    "audit_comparison",
    "audit_run",
    "copies",
    "frozen",
    "images_seen",
    "testimony",
    "versions",
]
