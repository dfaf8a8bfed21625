"""The command line: verbs only. What a verb needs is imported when it runs, so help is instant."""

from __future__ import annotations

from triptych.cli.program import app, main, run

__all__ = ["app", "main", "run"]
