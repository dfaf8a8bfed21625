"""`triptych compare`: from a comparison and a folder to its verdict."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from functools import partial
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
from triptych.errors import Stopped, TriptychError, UserError, WorkFailed
from triptych.run import read_json, read_result, write_json
from triptych.stopping import StopRequest
from triptych.study import Study

log = logging.getLogger("triptych")


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
    WorkFailed where cells are missing; what is known so far is written before, also where Ctrl-C
    ends the work in the middle of a cell. Fixed predictions among recipes are scored first, so that
    one that will not do is known before hours of training.
    """
    study = studies.get(comparison.study)
    _check(comparison, study)
    for _, recipe in comparison.recipes():
        study.check(recipe)
    if cluster is None:  # its workers fetch what they need
        _preflight(out, comparison, study)
    planned, seeds = open_folder(out, comparison)
    comparison = replace(comparison, seeds=seeds)
    if comparison.fixed:
        return write_verdict(out, fixed_verdict(out, comparison, study))
    try:
        joined.join(out, comparison, study)
        run_cells(
            out,
            comparison,
            study,
            seeds,
            decided=partial(decided, out, comparison, study),
            check=partial(refuse_other_data, out, comparison),
            device=device,
            stop=stop,
            show_progress=show_progress,
            cluster=cluster,
        )
    except (Stopped, WorkFailed):
        _conclude(out, comparison, study, planned)
        raise
    except KeyboardInterrupt:
        log.info("bringing %s up to date", out / VERDICT)
        with contextlib.suppress(TriptychError):  # it was asked to end, whatever there is
            _conclude(out, comparison, study, planned)
        raise
    return _conclude(out, comparison, study, planned)


def status(comparison: Comparison, out: Path) -> dict[str, Any]:
    """What the folder says so far; nothing is run and nothing written. Raises UserError."""
    study = studies.get(comparison.study)
    _check(comparison, study)
    planned, seeds = look_into(out, comparison)
    if comparison.fixed:
        if not (out / VERDICT).exists():
            raise UserError(f"{out} has no verdict yet; run it without --status")
        return read_json(out / VERDICT)
    comparison = replace(comparison, seeds=seeds)
    verdict = _verdict(out, comparison, study, planned)
    return verdict | joined.record_of(out, comparison, study, verdict)


def _check(comparison: Comparison, study: Study) -> None:
    """Raise UserError where a comparison is not controlled, or judges what an arm does not have."""
    check(comparison, study.metrics, study.beside)
    for name, arm in comparison.arms.items():
        own = study.metrics_of(arm)
        if own is None:
            continue
        if comparison.metric not in own:
            raise UserError(f"--metric {comparison.metric}: {name} has {', '.join(own)}")
        for score in comparison.beside:
            if score in study.metrics and score not in own:
                raise UserError(
                    f"'{score}' cannot stand beside the metric: {name} has {', '.join(own)}"
                )


def _preflight(out: Path, comparison: Comparison, study: Study) -> None:
    """Have the weights here that recipes begin with, before there is a folder and hours of training
    are spent. An arm that has a result had them."""
    if comparison.fixed:
        return
    _, seeds = look_into(out, comparison)
    for name, recipe in comparison.recipes():
        if not any(read_result(cell(out, name, seed)) for seed in seeds):
            study.preflight(recipe)


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
