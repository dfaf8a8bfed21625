"""Detection's part of a page: AP by class, precision against recall, what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from triptych.report.blocks import Section, Sentences, drawing, tabular
from triptych.report.compact import texts
from triptych.report.figures import colour_of, line_of
from triptych.report.studies import matches_of
from triptych.report.style import SOFT, WIDTH, styled
from triptych.report.subject import Subject, by_name, mean_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS = "Mean ± standard deviation over seeds (n)."
MOST_CLASSES = 20
"""Panels of the figure of precision and recall; those with most objects."""
LISTED = 10


def add_detect(section: Section, subject: Subject) -> None:
    """Tables and figures from the evaluations of all arms."""
    swatches = dict(subject.places)
    for name, text in (
        ("AP50", "VOC's rule: IoU 0.5, area under the precision made monotone."),
        ("AP", "COCO's rule: mean over IoU 0.50 to 0.95."),
    ):
        header, rows = by_name(subject, "class (objects)", _by_class(name))
        whole = [mean_text([s.get(name) for s in subject.scores(arm)]) for arm in subject.arms]
        rows.append(("all classes", *whole))
        section.add(
            tabular(
                name.lower(),
                f"{name} by class",
                header,
                rows,
                note=f"{text} {SEEDS}",
                swatches=swatches,
                folded=name == "AP",
            )
        )
    counts = []
    for arm in subject.arms:
        of = [scores.get("detections", {}) for scores in subject.scores(arm)]
        counts.append((arm, *(_counts([each.get(key) for each in of]) for key in _COUNTED)))
    section.add(
        tabular(
            "counts", "Detections, mean over seeds", ("arm", *_COUNTED.values()), counts,
            swatches=swatches,
        ),
        drawing(
            section,
            "precision-recall",
            "Precision against recall",
            "A panel a class: precision against recall at IoU 0.5 for "
            f"{', '.join(subject.arms)}, mean over seeds with a band; their areas are about the "
            "AP50 of the table above.",
            precision_recall(subject),
        ),
    )  # fmt: skip
    for arm in subject.arms:
        _mistakes(section, subject, arm)
    if subject:
        section.add(Sentences("mistakes-how", (HOW,), "plain"))


HOW = (
    "Pictures of what was found, wrong and missed stand below where the evaluations have some "
    "(dashed: objects; solid: detections); "
    "triptych predict PICTURES --model RUN --out FOLDER draws others, and triptych report with "
    "that FOLDER too puts them on this page."
)
_COUNTED = {
    "all": "detections",
    "true": "right",
    "false": "wrong",
    "on_ignored_objects": "on objects that do not count",
    "on_images_without_objects": "on images without objects",
}


def _by_class(name: str) -> Any:
    def pick(scores: Mapping[str, Any]) -> dict[str, float | None]:
        return {
            f"{key} ({row['objects']})": row.get(name)
            for key, row in scores.get("by_class", {}).items()
        }

    return pick


def _counts(values: list[Any]) -> str:
    there = [value for value in values if value is not None]
    return f"{np.mean(there):,.0f}" if there else "–"


def _mistakes(section: Section, subject: Subject, arm: str) -> None:
    """The surest wrong detections and the missed objects of an arm's first seed."""
    items = subject.items(arm)
    if not items:
        return
    seed, arrays = next(iter(items.items()))
    found = texts(arrays["mistakes"])
    number = subject.arms.index(arm)
    of = f"{arm}, seed {seed}" if seed else arm
    section.add(
        tabular(
            f"wrong-{number}",
            f"Surest wrong detections of {of}",
            ("image", "detected as", "score", "kind of mistake", "IoU", "is"),
            [
                (e["key"], e["name"], f"{e['score']:.3f}", e["kind"], f"{e['iou']:.2f}",
                 e["other"] or "–")
                for e in found["wrong"][:LISTED]
            ],
            folded=True,
        ),
        tabular(
            f"missed-{number}",
            f"Objects that {of} missed",
            ("image", "class", "found with score", "box x1 y1 x2 y2"),
            [
                (e["key"], e["name"], "not at all" if e["score"] is None else f"{e['score']:.3f}",
                 " ".join(f"{v:.0f}" for v in e["box"]))
                for e in found["missed"][:LISTED]
            ],
            note="With a score of at least 0.5.",
            folded=True,
        ),
    )  # fmt: skip


RECALLS = np.linspace(0, 1, 101)


def precision_recall(subject: Subject) -> Figure | None:
    """A panel a class; each arm's highest precision from a recall on, mean and range over seeds."""
    from matplotlib.figure import Figure

    curves = {arm: [_curves(each) for each in subject.items(arm).values()] for arm in subject.arms}
    curves = {arm: each for arm, each in curves.items() if each}
    objects: dict[str, int] = {}
    for each in curves.values():
        for of in each:
            objects |= {name: count for name, (count, _) in of.items()}
    names = sorted(objects, key=lambda name: (-objects[name], name))[:MOST_CLASSES]
    if not names:
        return None
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    panel, foot, gap = 1.5, 0.75, 0.5
    height = rows * (panel + gap) + foot
    width = (0.94 - 0.03 * (columns - 1)) / columns
    with styled():
        figure = Figure(figsize=(WIDTH, height))
        handles: dict[str, Any] = {}
        for index, name in enumerate(names):
            row, column = divmod(index, columns)
            bottom = foot + 0.1 + (rows - 1 - row) * (panel + gap)
            axes = figure.add_axes(
                (0.055 + column * (width + 0.03), bottom / height, width, panel / height)
            )
            for arm, each in curves.items():
                known = np.array([of[name][1] for of in each if name in of])
                if not len(known):
                    continue
                colour = colour_of(subject.places[arm])
                axes.fill_between(
                    RECALLS, known.min(axis=0), known.max(axis=0), color=colour, alpha=0.15, lw=0
                )
                (handles[arm],) = axes.plot(
                    RECALLS, known.mean(axis=0), color=colour, lw=1.5,
                    ls=line_of(subject.places[arm]),
                )  # fmt: skip
            axes.set(xlim=(0, 1), ylim=(0, 1.03))
            axes.set_title(f"{name} ({objects[name]})", loc="left", fontsize=9)
            axes.tick_params(
                labelsize=7, labelleft=column == 0, labelbottom=index + columns >= len(names)
            )
            axes.grid(True, color="#E5E5E5", linewidth=0.6)
        figure.legend(
            list(handles.values()), list(handles), loc="lower center",
            bbox_to_anchor=(0.5, 0.24 / height), ncols=min(4, len(handles)),
        )  # fmt: skip
        note = "precision over recall; line: mean over seeds; band: lowest to highest; (objects)"
        figure.text(0.5, 0.06 / height, note, ha="center", fontsize=9, color=SOFT)
    return figure


def _curves(arrays: Mapping[str, Any]) -> dict[str, tuple[int, Any]]:
    """Class → objects, and the highest precision from each of `RECALLS` on, (101,)."""
    from triptych.detect.matching import FALSE, TRUE

    matches = matches_of(arrays)
    found = {}
    for label, name in enumerate(texts(arrays["classes"])):
        objects = int(matches.positives[:, label].sum())
        if not objects:
            continue
        mine = (matches.label == label) & np.isin(matches.state, (TRUE, FALSE))
        right = np.cumsum(matches.state[mine] == TRUE)
        precision = right / np.arange(1, len(right) + 1)
        envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
        place = np.searchsorted(right / objects, RECALLS - 1e-12, side="left")
        found[name] = (objects, envelope[place])
    return found
