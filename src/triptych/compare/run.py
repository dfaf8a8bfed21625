"""`triptych compare`: from a comparison and a folder to its verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from triptych import study as studies
from triptych.audit import Line, audit_comparison, testimony
from triptych.compare.comparison import Comparison, check
from triptych.compare.execute import run_cells
from triptych.compare.fixed import fixed_verdict
from triptych.compare.folder import VERDICT, cell, open_folder, planned_seeds
from triptych.compare.verdict import decided, verdict_of
from triptych.errors import Stopped, WorkFailed
from triptych.run import write_json
from triptych.stopping import StopRequest
from triptych.study import Study


def compare(
    comparison: Comparison,
    out: Path,
    *,
    device: str = "auto",
    stop: StopRequest | None = None,
    show_progress: bool = True,
) -> dict[str, Any]:
    """Run what is missing and write `verdict.json`; returns what it holds.

    Raises UserError where the comparison is not controlled or the folder is another's, Stopped and
    WorkFailed where cells are missing; what is known so far is written before.
    """
    study = studies.get(comparison.study)
    check(comparison, dict(study.metrics))
    seeds = open_folder(out, comparison)
    if comparison.fixed:
        return write_verdict(out, fixed_verdict(out, comparison, study, show_progress))
    try:
        run_cells(
            out,
            comparison,
            study,
            seeds,
            decided=lambda count: decided(out, comparison, study, count),
            device=device,
            stop=stop,
            show_progress=show_progress,
        )
    except (Stopped, WorkFailed):
        write_verdict(out, _verdict(out, comparison, study))
        raise
    return write_verdict(out, _verdict(out, comparison, study))


def status(comparison: Comparison, out: Path) -> dict[str, Any]:
    """What the folder says so far; nothing is run and nothing written but the plan."""
    study = studies.get(comparison.study)
    check(comparison, dict(study.metrics))
    open_folder(out, comparison)
    if comparison.fixed:
        return fixed_verdict(out, comparison, study, False)
    return _verdict(out, comparison, study)


def _verdict(out: Path, comparison: Comparison, study: Study) -> dict[str, Any]:
    record = verdict_of(out, comparison, study, planned_seeds(out))
    lines = audit_arms(out, comparison)
    return record | {"audit": [line.as_dict() for line in lines]}


def audit_arms(out: Path, comparison: Comparison) -> list[Line]:
    """The audit of all cells that ended."""
    arms = {
        name: [testimony(cell(out, name, seed)) for seed in comparison.seeds]
        for name in comparison.arms
    }
    return audit_comparison(arms)


def write_verdict(out: Path, record: dict[str, Any]) -> dict[str, Any]:
    write_json(out / VERDICT, record)
    return record
