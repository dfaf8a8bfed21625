"""The record of a comparison that is kept and shared: small files without paths or names.

RECORD/README.md         the question, verdict, tables, figures, and what cannot be concluded
       verdict.json      as in the comparison's folder, without paths
       comparison.json   the plan, likewise
       arms.csv, pairs.csv, curves.csv
       verdict.svg, curves.svg
       samples.csv       where curves tell how many samples each arm needs for a score
       beside.csv, beside.svg   where scores stand beside the metric
       fixed_arms.csv, fixed_pairs.csv, fixed_beside.csv, fixed.svg, fixed_beside.svg
                                where fixed predictions joined recipes
       population-ARM-seed-N-*.svg   of each population in which weights were taken over
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from triptych.compare.folder import PLAN, VERDICT, cell, without_told
from triptych.errors import UserError, WorkFailed
from triptych.report import cleaning, history
from triptych.report.beside_forest import beside_figure
from triptych.report.beside_table import beside_table
from triptych.report.figures import MOST_POINTS, curves, draw_curves, save_svg, verdict_figure
from triptych.report.joined import fixed_part
from triptych.report.population import FIGURES, figures_of_cell
from triptych.report.reach_table import reach_table
from triptych.report.readme import readme
from triptych.report.tables import arms_of, arms_table, pairs_table
from triptych.run import read_json, write_json

CURVES = "curves.svg"
OURS = frozenset(
    {"README.md", VERDICT, PLAN}
    | {"arms.csv", "pairs.csv", "curves.csv", "samples.csv", "verdict.svg", CURVES}
    | {"beside.csv", "beside.svg"}
    | {"fixed_arms.csv", "fixed_pairs.csv", "fixed_beside.csv", "fixed.svg", "fixed_beside.svg"}
)
_POPULATION = re.compile(rf"population-.+-seed-\d+-({'|'.join(FIGURES)})\.svg")


def write_record(folder: Path, verdict: Mapping[str, Any], out: Path) -> None:
    """Write the record of the comparison in `folder` into `out`, whole or not at all.

    An earlier record of the same comparison is replaced. Raises UserError, with nothing changed,
    where `out` holds something else or another comparison's record, and WorkFailed where it
    cannot be written.
    """
    plan = read_json(folder / PLAN)
    # Where arms differ in their data, its kind alone would hide what differs.
    name_data = any("data" in name for name in plan.get("varies", ()))
    plan = cleaning.clean(plan, folder, name_data=name_data)
    out = out.absolute()
    _refuse_another(out, plan)
    aside = out.with_name(f".{out.name}.part-{os.getpid()}")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            _write(aside, folder, cleaning.clean(verdict, folder, name_data=name_data), plan)
            _exchange(aside, out)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise WorkFailed(f"--record {out}: cannot be written ({error.strerror})") from error


def write_curves(folder: Path, verdict: Mapping[str, Any]) -> None:
    """Draw the curves of a comparison into its folder, `curves.svg`; nothing where it has none.

    Raises WorkFailed where they cannot be written.
    """
    figure = curves(folder, verdict)
    if figure is None:
        return
    aside = folder / f".curves.svg.part-{os.getpid()}"
    try:
        save_svg(figure, aside)
        aside.replace(folder / CURVES)
    except OSError as error:
        raise WorkFailed(f"{folder / CURVES}: cannot be written ({error.strerror})") from error
    finally:
        aside.unlink(missing_ok=True)


def _write(place: Path, folder: Path, verdict: dict[str, Any], plan: dict[str, Any]) -> None:
    write_json(place / VERDICT, verdict)
    write_json(place / PLAN, plan)
    (place / "arms.csv").write_text(arms_table(verdict).to_csv(), encoding="utf-8")
    (place / "pairs.csv").write_text(pairs_table(verdict).to_csv(), encoding="utf-8")
    save_svg(verdict_figure(verdict), place / "verdict.svg")
    figures = ["verdict.svg"]
    figures += _write_beside(place, verdict)
    if (part := fixed_part(verdict)) is not None:
        figures += _write_fixed(place, part)
    points = history.thinned(history.read_history(folder, verdict), MOST_POINTS)
    drawn = draw_curves(points, verdict)
    if drawn is not None:
        (place / "curves.csv").write_text(history.to_csv(points), encoding="utf-8")
        save_svg(drawn, place / CURVES)
        figures.append(CURVES)
    if (samples := reach_table(verdict)) is not None:
        (place / "samples.csv").write_text(samples.to_csv(), encoding="utf-8")
    figures += _write_populations(place, folder, verdict)
    runtimes, fingerprints = _of_cells(folder, verdict)
    text = readme(verdict, runtimes, fingerprints, figures)
    (place / "README.md").write_text(text, encoding="utf-8")


def _write_beside(place: Path, verdict: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Table and figure of the scores beside the metric; returns the figures' names."""
    further, figure = beside_table(verdict), beside_figure(verdict)
    if further is None or figure is None:
        return []
    (place / f"{prefix}beside.csv").write_text(further.to_csv(), encoding="utf-8")
    save_svg(figure, place / f"{prefix}beside.svg")
    return [f"{prefix}beside.svg"]


def _write_fixed(place: Path, part: Mapping[str, Any]) -> list[str]:
    """What there is of fixed predictions among recipes; returns the figures' names."""
    (place / "fixed_arms.csv").write_text(arms_table(part).to_csv(), encoding="utf-8")
    if not part["pairs"]:
        return []
    (place / "fixed_pairs.csv").write_text(pairs_table(part).to_csv(), encoding="utf-8")
    save_svg(verdict_figure(part), place / "fixed.svg")
    return ["fixed.svg", *_write_beside(place, part, "fixed_")]


def _write_populations(place: Path, folder: Path, verdict: Mapping[str, Any]) -> list[str]:
    """The figures of populations in which weights were taken over; returns their names."""
    written = []
    for arm in arms_of(verdict):
        for seed in sorted(verdict["arms"][arm].get("states", {}), key=int):
            for name, figure in figures_of_cell(cell(folder, arm, int(seed))).items():
                written.append(f"population-{arm}-seed-{seed}-{name}.svg")
                save_svg(figure, place / written[-1])
    return written


def _of_cells(
    folder: Path, verdict: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The runtimes and the data's fingerprints that occur in the cells, each once."""
    runtimes: list[dict[str, Any]] = []
    fingerprints: list[dict[str, str]] = []
    for arm in arms_of(verdict):
        found = verdict["arms"][arm]
        for seed in sorted(found.get("states", {}), key=int):
            place = cell(folder, arm, int(seed))
            if (file := place / "runtime.json").exists():
                runtimes.append(cleaning.clean(cleaning.runtime(read_json(file)), folder))
            if (file := place / "recipe.json").exists():
                fingerprints.append(read_json(file)["fingerprint"])
    return _once(runtimes), _once(fingerprints)


def _once(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for index, record in enumerate(records) if record not in records[:index]]


def _refuse_another(out: Path, plan: dict[str, Any]) -> None:
    if out.is_file():
        raise UserError(f"--record {out}: is a file; name a folder")
    if not out.exists():
        return
    names = {path.name for path in out.iterdir()} - OURS
    strangers = sorted(name for name in names if not _POPULATION.fullmatch(name))
    if strangers:
        raise UserError(
            f"--record {out}: holds {strangers[0]}, which is no part of a record; name another "
            "folder"
        )
    if any(out.iterdir()) and not (
        (out / PLAN).exists() and without_told(read_json(out / PLAN)) == without_told(plan)
    ):
        raise UserError(
            f"--record {out}: holds the record of another comparison; remove it or name another "
            "folder"
        )


def _exchange(aside: Path, out: Path) -> None:
    """Put a new folder in the place of an old one, which goes when the new one is there."""
    replaced = out.with_name(f".{out.name}.replaced-{os.getpid()}")
    if out.exists():
        out.rename(replaced)
    aside.rename(out)
    shutil.rmtree(replaced, ignore_errors=True)
