"""Classification's part of a page: scores, classes, what is taken for what, and populations."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from triptych.errors import UserError
from triptych.population.lineage import FILE as LINEAGE
from triptych.population.lineage import read_lineage
from triptych.report.blocks import Section, Sentences, drawing, tabular
from triptych.report.compact import texts
from triptych.report.population import figures
from triptych.report.subject import Subject, by_name, mean_text
from triptych.run import read_result

SEEDS = "Mean ± standard deviation over seeds (n)."
MOST_CLASSES, MOST_CONFUSIONS, MOST_TREES = 10, 10, 3


def add_classify(section: Section, subject: Subject) -> None:
    """Tables and figures from the evaluations of all arms."""
    swatches = dict(subject.places)
    names = ("top1", "top5", "loss")
    rows = [
        (arm, *(mean_text([s.get(name) for s in subject.scores(arm)]) for name in names))
        for arm in subject.arms
    ]
    section.add(
        tabular(
            "scores",
            "Scores of the evaluations",
            ("arm", "top1, fraction", "top5, fraction", "loss, nats"),
            rows,
            note=SEEDS,
            swatches=swatches,
        )
    )
    header, rows = by_name(subject, "class", lambda scores: scores.get("top1_by_class"))
    shown = _hardest(subject, [row[0] for row in rows])
    whole = len(shown) == len(rows)
    section.add(
        tabular(
            "by-class",
            "top1 by class" + ("" if whole else ", the hardest and easiest classes"),
            header,
            [row for name in shown for row in rows if row[0] == name],
            note=SEEDS,
            swatches=swatches,
            folded=True,
        )
    )
    for number, arm in enumerate(subject.arms):
        section.add(
            tabular(
                f"confusions-{number}",
                f"What {arm} takes for what most often",
                ("class", "taken for", "images, all seeds together", "share of the class"),
                confusions(subject, arm),
                folded=number > 0,
            )
        )
    if subject:
        section.add(Sentences("pictures-how", (HOW,), "plain"))


HOW = "Where a run kept pictures, images of its commonest confusions stand below."


def _hardest(subject: Subject, names: list[str]) -> list[str]:
    """The classes with the lowest and the highest mean over arms, hardest first."""
    sums: dict[str, list[float]] = {name: [] for name in names}
    for arm in subject.arms:
        for scores in subject.scores(arm):
            for name, value in (scores.get("top1_by_class") or {}).items():
                if value is not None:
                    sums[name].append(value)
    ranked = sorted((n for n in names if sums[n]), key=lambda n: (float(np.mean(sums[n])), n))
    if len(ranked) <= 2 * MOST_CLASSES:
        return ranked
    return [*ranked[:MOST_CLASSES], *ranked[-MOST_CLASSES:]]


def confusions(subject: Subject, arm: str) -> list[tuple[str, ...]]:
    """(true class, predicted class, how often, share), most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    whole: Counter[str] = Counter()
    for arrays in subject.items(arm).values():
        classes: list[Any] = texts(arrays["classes"])
        label, predicted = arrays["label"], arrays["predicted"]
        flat = np.bincount(label * len(classes) + predicted, minlength=len(classes) ** 2)
        for place in np.flatnonzero(flat).tolist():
            true, seen = divmod(place, len(classes))
            whole[str(classes[true])] += int(flat[place])
            if true != seen:
                counts[str(classes[true]), str(classes[seen])] += int(flat[place])
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_CONFUSIONS]
    return [
        (true, seen, f"{count:,}", f"{count / whole[true]:.1%}") for (true, seen), count in ranked
    ]


def add_populations(section: Section, subject: Subject) -> None:
    """Family tree, curves and schedule of each population that ended, and its best's schedule."""
    for number, (arm, runs) in enumerate(subject.runs.items()):
        drawn = 0
        for seed, run in runs.items():
            if not (run / LINEAGE).exists() or read_result(run) is None:
                continue
            name = f"{number}-{seed}"
            who = f"{arm}, seed {seed}"
            try:
                lineage = read_lineage(run)
                if not lineage.rounds:
                    continue
                section.add(_schedule(f"schedule-{name}", who, run))
                if not any(past.takeovers for past in lineage.rounds):
                    continue
                drawn += 1
                if drawn > MOST_TREES:
                    continue
                trees = figures(run, lineage)
            except (UserError, KeyError, ValueError, TypeError, IndexError) as error:
                section.add(
                    Sentences(f"broken-{name}", (f"{who}: not drawn ({error})",), "warning")
                )
                continue
            for which, figure in trees.items():
                section.add(
                    drawing(
                        section,
                        f"{which}-{name}",
                        f"{_TITLES[which]}: {who}",
                        f"{_ALTS[which]} of the population {who}.",
                        figure,
                        folded=drawn > 1,
                    )
                )
        if drawn > MOST_TREES:
            text = f"{arm}: figures of the first {MOST_TREES} of {drawn} populations are shown."
            section.add(Sentences(f"more-{number}", (text,), "plain"))


_TITLES = {
    "family-tree": "Family tree",
    "curves": "Curves of the best and of all members",
    "schedule": "Schedule of hyperparameters",
}
_ALTS = {
    "family-tree": "Who took over whose weights over epochs, with each member's last score,",
    "curves": "Score and training loss over epochs, of the best member and of all,",
    "schedule": "Every hyperparameter over epochs, of the final best's weights and all members,",
}


def _schedule(name: str, who: str, run: Path) -> Any:
    """The hyperparameters with which the best's final weights were trained."""
    result = read_result(run) or {}
    found = result.get("population", {}).get("schedule", [])
    if not found:
        return None
    hypers = sorted(found[0]["hypers"])
    rows = [
        (
            f"{part['start']} to {part['stop']}",
            str(part["member"]),
            *(f"{part['hypers'][hyper]:.4g}" for hyper in hypers),
        )
        for part in found
    ]
    return tabular(
        name, f"Schedule of the best of {who}", ("epochs", "member", *hypers), rows, folded=True
    )
