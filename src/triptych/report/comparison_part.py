"""The section of one comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from triptych.compare.folder import cell
from triptych.report import sentences
from triptych.report.beside_forest import beside_figure
from triptych.report.beside_table import beside_table
from triptych.report.blocks import Section, Sentences, Tabular, drawing, tabular
from triptych.report.budget import (
    budget_figure,
    crossing_rows,
    crossings,
    spent,
)
from triptych.report.conduct_part import add_conduct, record_in
from triptych.report.figures import MOST_POINTS, draw_curves, verdict_figure
from triptych.report.history import read_history, thinned
from triptych.report.joined import fixed_part
from triptych.report.judged import Judged
from triptych.report.of_classify import add_classify, add_populations
from triptych.report.of_detect import add_detect
from triptych.report.of_segment import add_segment
from triptych.report.reach_table import reach_table
from triptych.report.subject import Subject, subject_of
from triptych.report.tables import (
    Cells,
    Table,
    Verdict,
    arms_of,
    arms_table,
    is_fixed,
    pairs_table,
)
from triptych.report.words import NOTHING, score, setting
from triptych.run import read_result

Places = Mapping[str, int]
_STUDIES = {"segment": add_segment, "detect": add_detect, "classify": add_classify}


def add_comparison(section: Section, folder: Path, found: Judged, places: Places) -> None:
    """Fill a section from a comparison's folder and its verdict."""
    verdict = found.verdict
    section.add(
        Sentences("remarks", tuple(found.remarks), "warning") if found.remarks else None,
        _progress(verdict),
        Sentences(
            "verdict",
            tuple(sentences.verdict_sentence(verdict, pair) for pair in verdict["pairs"]),
            "verdict",
            "Verdict",
        ),
        Sentences("further", tuple(sentences.further_sentences(verdict))),
        Sentences("setting", (setting(verdict),), "plain"),
        _exploratory(verdict),
        drawing(
            section,
            "forest",
            "Differences with their intervals",
            f"Forest plot of the differences in {verdict['metric']}; the table of pairs below has "
            "every number.",
            verdict_figure(verdict) if verdict["pairs"] else None,
        ),
        Tabular(
            "arms",
            "Arms",
            _with_devices(arms_table(verdict), folder, verdict),
            swatches=places,
        ),
        Sentences("limits", tuple(sentences.limits(verdict)), "list", "What cannot be concluded"),
    )
    if notes := verdict.get("notes"):
        section.add(Sentences("notes", tuple(f"{note}." for note in notes), "list", "Notes"))
    if not is_fixed(verdict):
        _training(section.part("training", "Training"), folder, verdict, places)
    _details(section.part("detail", "In detail"), folder, verdict, places)
    subject = subject_of(folder, verdict, places)
    add_study(section, subject)
    add_conduct(section, folder, verdict)


def add_study(section: Section, subject: Subject) -> None:
    """What only the study has to show; nothing where no evaluation is there."""
    part = Section(f"{section.id}-study", "Results in detail")
    if subject and subject.study in _STUDIES:
        try:
            _STUDIES[subject.study](part, subject)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            text = f"An evaluation is not as this program knows it: {type(error).__name__} {error}"
            part.add(Sentences("broken", (text,), "warning"))
    if subject.runs:
        populations = Section(f"{section.id}-populations", "Populations")
        add_populations(populations, subject)
        if populations.blocks:
            section.parts.append(populations)
    if part.blocks:
        section.parts.append(part)


def _progress(verdict: Verdict) -> Sentences | None:
    """How many runs have ended, while some have not; why, where a plan is over undecided."""
    if is_fixed(verdict):
        return None
    cells = [Cells.of(verdict, arm) for arm in arms_of(verdict)]
    counts = {
        kind: sum(len(of.seeds(kind)) for of in cells)
        for kind in ("done", "diverged", "failed", "begun", "missing")
    }
    if ended := verdict["plan"].get("ended"):
        kept = counts["done"] + counts["diverged"]
        text = f"The plan has ended before every pair is decided, after {kept} runs: {ended}."
        return Sentences("progress", (text,), "warning")
    lacking = counts["failed"] + counts["begun"]
    lacking += 0 if any(of.needless for of in cells) else counts["missing"]
    if not lacking:
        return None
    text = (
        f"Not complete: {counts['done'] + counts['diverged']} of {sum(counts.values())} runs have "
        f"ended, {counts['begun']} have begun, {counts['failed']} have failed. The same command "
        "goes on."
    )
    return Sentences("progress", (text,), "warning")


def _exploratory(verdict: Verdict) -> Sentences | None:
    extension = verdict.get("exploratory")
    if not extension:
        return None
    seeds = ", ".join(map(str, extension["seeds"]))
    lines = [f"{sentences.verdict_sentence(verdict, pair)}" for pair in extension["pairs"]]
    title = f"Exploratory, no verdict: with seeds {seeds} ({extension['why']})"
    return Sentences("exploratory", tuple(lines), "list", title)


def _with_devices(table: Table, folder: Path, verdict: Verdict) -> Table:
    """The table of arms with the devices that they were trained on."""
    if is_fixed(verdict):
        return table
    rows, data = [], []
    for row, record in zip(table.rows, table.data, strict=True):
        states = verdict["arms"][row[0]]["states"]
        found = [record_in(cell(folder, row[0], int(s)) / "runtime.json") for s in states]
        devices = list(dict.fromkeys(str(r["device"]) for r in found if r.get("device")))
        rows.append((*row, "; ".join(devices) or NOTHING))
        data.append({**record, "device": "; ".join(devices)})
    return Table((*table.header, "device"), tuple(rows), tuple(data))


def _training(part: Section, folder: Path, verdict: Verdict, places: Places) -> None:
    """Curves, score against budget, samples to reach a score."""
    points = thinned(read_history(folder, verdict), MOST_POINTS)
    metric = verdict["metric"]
    arms = ", ".join(arms_of(verdict))
    part.add(
        drawing(
            part,
            "curves",
            f"{metric} and loss over training",
            f"Curves of {metric}, its loss and the training loss for {arms}: mean over seeds with "
            "a band from the lowest to the highest seed.",
            draw_curves(points, verdict, places=places),
        )
    )
    curves, split = spent(folder, verdict, points)
    part.add(
        drawing(
            part,
            "budget",
            "Score against budget",
            f"{metric} of {arms} against samples trained on, training GFLOP and training time; "
            "where curves cross is in the table below.",
            budget_figure(curves, metric, split or "", places),
        ),
        tabular(
            "crossings",
            "Where curves cross",
            ("ahead from there", "behind", "budget", "at", metric),
            crossing_rows(crossings(curves), verdict["higher_is_better"]),
            note="Of the means over seeds, on straight lines between evaluations; described, no "
            "verdict.",
            swatches=places,
        ),
    )
    if about := verdict.get("samples_to_reach"):
        lines = [
            f"{sentence}."
            for pair in verdict["pairs"]
            for sentence in pair.get("samples_to_reach", {"sentences": ()})["sentences"]
        ]
        table = reach_table(verdict)
        part.add(
            Sentences("reach", tuple(lines), "list", "Samples to reach a score"),
            Tabular("samples", "Samples to reach a score", table) if table else None,
            Sentences("reach-note", (f"{about['label']}; {about['note']}.",), "plain"),
        )


def _details(part: Section, folder: Path, verdict: Verdict, places: Places) -> None:
    part.add(Tabular("pairs", "Pairs", pairs_table(verdict), folded=True))
    if further := beside_table(verdict):
        about = verdict["beside"]
        part.add(
            drawing(
                part,
                "beside",
                "Beside the primary metric",
                "Forest plots of the differences in scores beside the metric; the table below has "
                "every number.",
                beside_figure(verdict),
            ),
            Tabular(
                "beside-table",
                "Beside the primary metric",
                further,
                note=f"{about['label']}; {about['note']}.",
                folded=True,
            ),
        )
    if not is_fixed(verdict):
        part.add(_runs_table(folder, verdict, places))
    if (joined := fixed_part(verdict)) is not None:
        _joined(part, verdict, joined)


def _runs_table(folder: Path, verdict: Verdict, places: Places) -> Tabular | None:
    """Every run with all its scores."""
    names: dict[str, None] = {verdict["metric"]: None}
    found = []
    for arm in arms_of(verdict):
        needless = Cells.of(verdict, arm).needless
        for seed, state in sorted(verdict["arms"][arm]["states"].items(), key=lambda s: int(s[0])):
            result = None
            if state in ("done", "diverged"):
                result = read_result(cell(folder, arm, int(seed)))
            scores = result["scores"] if result else {}
            if not result and verdict["arms"][arm]["scores"].get(seed) is not None:
                scores = {verdict["metric"]: verdict["arms"][arm]["scores"][seed]}
            names |= dict.fromkeys(scores)
            seconds = verdict["times"].get(arm, {}).get(seed)
            shown = "not needed" if needless and state == "missing" else state
            found.append((arm, seed, shown, scores, seconds))
    rows = [
        (
            arm,
            seed,
            state,
            *(score(scores.get(name)) for name in names),
            NOTHING if seconds is None else f"{seconds:,.1f}",
        )
        for arm, seed, state, scores, seconds in found
    ]
    header = ("arm", "seed", "state", *names, "time, s")
    return tabular("runs", "Every run", header, rows, swatches=places, folded=len(rows) > 12)


def _joined(part: Section, verdict: Verdict, joined: Verdict) -> None:
    about = verdict["fixed"]
    lines = [f"On {joined['data']}, {about['judged']}: {about['note']}."]
    if about["reason"]:
        lines.append(f"Not compared with the recipes: {about['reason']}.")
    lines += [sentences.verdict_sentence(joined, pair) for pair in joined["pairs"]]
    part.add(
        Sentences("fixed", tuple(lines), "list", "Fixed predictions"),
        drawing(
            part,
            "fixed-forest",
            "Fixed predictions against recipes",
            "Forest plot of the differences; the table below has every number.",
            verdict_figure(joined) if joined["pairs"] else None,
        ),
        Tabular("fixed-arms", "Fixed predictions and recipes", arms_table(joined)),
        Tabular("fixed-pairs", "Fixed predictions, pairs", pairs_table(joined), folded=True)
        if joined["pairs"]
        else None,
    )
