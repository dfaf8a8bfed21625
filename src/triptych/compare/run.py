"""`triptych compare`: from a comparison and a folder to its verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from triptych import study as studies
from triptych.audit import Line, audit_comparison, testimony
from triptych.compare import joined
from triptych.compare.comparison import Comparison, check
from triptych.compare.execute import Cluster, run_cells
from triptych.compare.fixed import fixed_verdict
from triptych.compare.folder import VERDICT, Seeds, cell, look_into, open_folder
from triptych.compare.same_data import refuse_other_data
from triptych.compare.verdict import decided, verdict_of
from triptych.errors import Stopped, UserError, WorkFailed
from triptych.run import read_json, write_json
from triptych.stopping import StopRequest
from triptych.study import Study


def compare(
    comparison: Comparison,
    out: Path,
    *,
    device: str = "auto",
    stop: StopRequest | None = None,
    show_progress: bool = True,
    cluster: Cluster | None = None,
) -> dict[str, Any]:
    """Run what is missing, here or on a `cluster`, and write `verdict.json`; returns what it holds.

    Raises UserError where the comparison is not controlled or the folder is another's, Stopped and
    WorkFailed where cells are missing; what is known so far is written before. Fixed predictions
    among recipes are scored first, so that one that will not do is known before hours of training.
    """
    study = studies.get(comparison.study)
    check(comparison, study.metrics, study.beside)
    for _, recipe in comparison.recipes():
        study.check(recipe)
    planned, seeds = open_folder(out, comparison)
    comparison = replace(comparison, seeds=seeds)
    if comparison.fixed:
        return write_verdict(out, fixed_verdict(out, comparison, study))
    joined.join(out, comparison, study)
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
            cluster=cluster,
        )
    except (Stopped, WorkFailed):
        _conclude(out, comparison, study, planned)
        raise
    return _conclude(out, comparison, study, planned)


def status(comparison: Comparison, out: Path) -> dict[str, Any]:
    """What the folder says so far; nothing is run and nothing written. Raises UserError."""
    study = studies.get(comparison.study)
    check(comparison, study.metrics, study.beside)
    planned, seeds = look_into(out, comparison)
    if comparison.fixed:
        if not (out / VERDICT).exists():
            raise UserError(f"{out} has no verdict yet; run it without --status")
        return read_json(out / VERDICT)
    comparison = replace(comparison, seeds=seeds)
    verdict = _verdict(out, comparison, study, planned)
    return verdict | joined.record_of(out, comparison, study, verdict)


def _conclude(out: Path, comparison: Comparison, study: Study, planned: Seeds) -> dict[str, Any]:
    """Write the recipes' verdict, whatever becomes of the fixed predictions among them."""
    verdict = _verdict(out, comparison, study, planned)
    try:
        whole = verdict | joined.record_of(out, comparison, study, verdict)
    except UserError:
        write_verdict(out, verdict)
        raise
    return write_verdict(out, whole)


def _verdict(out: Path, comparison: Comparison, study: Study, planned: Seeds) -> dict[str, Any]:
    refuse_other_data(out, comparison)
    record = verdict_of(out, comparison, study, planned)
    lines = audit_arms(out, comparison)
    return record | {"audit": [line.as_dict() for line in lines]}


def audit_arms(out: Path, comparison: Comparison) -> list[Line]:
    """The audit of all cells that ended."""
    arms = {
        name: [testimony(cell(out, name, seed)) for seed in comparison.seeds]
        for name, _ in comparison.recipes()
    }
    return audit_comparison(arms)


def write_verdict(out: Path, record: dict[str, Any]) -> dict[str, Any]:
    write_json(out / VERDICT, record)
    return record
