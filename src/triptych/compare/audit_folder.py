"""`triptych audit`: of a run or of a comparison, from what lies in its folder."""

from __future__ import annotations

from pathlib import Path

from triptych.audit import Line, audit_comparison, audit_run, testimony
from triptych.compare.folder import PLAN, is_comparison
from triptych.compare.joined import audit_of, names_in
from triptych.run import read_json


def audit_folder(folder: Path) -> list[Line]:
    """The audit of a folder. Raises UserError where it is neither a run nor a comparison."""
    if not is_comparison(folder):
        return audit_run(folder)
    plan = read_json(folder / PLAN)
    arms = plan.get("order", list(plan["arms"]))
    lines = audit_comparison(
        {
            name: [testimony(run) for run in sorted((folder / name).glob("seed-*")) if run.is_dir()]
            for name in arms
        }
    )
    return lines + audit_of(names_in(folder))
