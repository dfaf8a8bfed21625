"""From records to a page: the one way by which numbers come to be shown.

`triptych report` gathers records and builds a page from them; `triptych verify` builds it again
from the records that a page carries. Neither reads anything else. No torch is imported.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triptych.errors import UserError
from triptych.report.blocks import Media, Picture, Section, Sentences
from triptych.report.comparison_part import add_comparison
from triptych.report.judged import Judged, judged
from triptych.report.other_parts import (
    add_bench,
    add_evaluation,
    add_predictions,
    add_run,
    title_of_run,
)
from triptych.report.store import Store
from triptych.report.tables import Cells, arms_of, is_fixed
from triptych.run import read_json

KINDS = ("comparison", "run", "evaluation", "bench", "predictions")


@dataclass
class Page:
    """A page before it is HTML."""

    title: str
    sections: list[Section] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    about: Mapping[str, Any] = field(default_factory=dict)
    going_on: int = 0
    """Runs that have not ended and may yet."""


def build(store: Store) -> Page:
    """The page of a store. What cannot be shown is named in `problems`, and no error.

    Raises UserError where `about` is not that of a page.
    """
    try:
        folders = [(str(n), str(kind), str(name)) for n, kind, name in store.about["folders"]]
        problems = [str(each) for each in store.about["problems"]]
        media = [dict(each) for each in store.about["media"]]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"its records do not say what they are of ({error})") from None
    page = Page("Triptych report", [], problems, store.about)
    with tempfile.TemporaryDirectory(prefix="triptych-report-") as place:
        store.write_into(Path(place))
        verdicts: dict[str, Judged] = {}
        for number, kind, name in folders:
            if kind == "comparison":
                try:
                    verdicts[number] = judged(Path(place) / number)
                except UserError as error:
                    page.problems.append(f"{name} was left out: {_bare(error, place)}")
        places = _places(verdicts, folders, Path(place))
        for number, kind, name in folders:
            section = Section(f"s{number}", name)
            try:
                _fill(section, kind, Path(place) / number, verdicts.get(number), places)
            except UserError as error:
                page.problems.append(f"{name} was left out: {_bare(error, place)}")
                continue
            except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
                text = " ".join(f"{type(error).__name__}: {error}".split())
                page.problems.append(
                    f"{name} was left out: its records are not as this program knows them ({text})"
                )
                continue
            if kind == "comparison" and number not in verdicts:
                continue
            page.going_on += _going_on(kind, Path(place) / number, verdicts.get(number))
            _add_media(section, [each for each in media if each["folder"] == number])
            page.sections.append(section)
    _tell_apart(page.sections, {f"s{number}": name for number, _, name in folders})
    if len(page.sections) == 1:
        page.title = page.sections[0].title
    return page


def _tell_apart(sections: list[Section], folders: Mapping[str, str]) -> None:
    """Add its folder to the title of every section whose title another one has too."""
    times = Counter(section.title for section in sections)
    for section in sections:
        if times[section.title] > 1:
            section.title += f" ({folders[section.id]})"


def _going_on(kind: str, folder: Path, found: Judged | None) -> int:
    """How many runs have not ended and may yet."""
    if kind == "run":
        return 0 if list(folder.glob("**/seed-*/result.json")) else 1
    if found is None or not found.from_runs or is_fixed(found.verdict):
        return 0
    cells = [Cells.of(found.verdict, arm) for arm in arms_of(found.verdict)]
    kinds = [("begun",) if of.needless else ("begun", "missing") for of in cells]
    return sum(len(of.seeds(kind)) for of, each in zip(cells, kinds, strict=True) for kind in each)


def _bare(error: UserError, place: str) -> str:
    """An error without the folder that only this program saw."""
    return str(error).replace(f"{place}/", "")


def _places(
    verdicts: Mapping[str, Judged], folders: list[tuple[str, str, str]], place: Path
) -> dict[str, int]:
    """Every arm's place, from which its colour comes, over the whole page."""
    names: dict[str, None] = {}
    for number, kind, _ in folders:
        if number in verdicts:
            verdict = verdicts[number].verdict
            names |= dict.fromkeys(arms_of(verdict))
            names |= dict.fromkeys(verdict.get("fixed", {"arms": ()})["arms"])
        elif kind == "run":
            names[title_of_run(place / number)] = None
        elif kind == "evaluation":
            names[_model(place / number)] = None
    return {name: index for index, name in enumerate(names)}


def _model(folder: Path) -> str:
    try:
        return str(read_json(folder / "scores.json").get("model", "predictions"))
    except UserError:
        return "predictions"


def _fill(
    section: Section, kind: str, folder: Path, found: Judged | None, places: Mapping[str, int]
) -> None:
    if kind == "comparison":
        if found is not None:
            section.title = str(found.verdict["question"])
            add_comparison(section, folder, found, places)
    elif kind == "run":
        add_run(section, folder, places)
    elif kind == "evaluation":
        add_evaluation(section, folder, _model(folder), places)
    elif kind == "bench":
        add_bench(section, folder)
    elif kind == "predictions":
        add_predictions(section, folder)
    else:
        raise UserError(f"no folder is a '{kind}'")


def _add_media(section: Section, entries: list[dict[str, Any]]) -> None:
    """The pictures of one folder: videos, a slider over those of two models or more, the rest."""
    pictures = [
        Picture(
            str(each["id"]),
            str(each["layer"]),
            str(each["frame"]),
            _caption(each),
            bool(each["video"]),
            each.get("size"),
        )
        for each in entries
    ]
    if not pictures:
        return
    part = section.part("media", "Pictures")
    moving = tuple(each for each in pictures if each.video)
    if moving:
        part.add(Media("videos", "Videos", moving))
    differ = tuple(p for p, e in zip(pictures, entries, strict=True) if "differs" in e)
    alone = tuple(p for p, e in zip(pictures, entries, strict=True) if "alone" in e)
    still = tuple(p for p in pictures if not p.video and p not in (*differ, *alone))
    by_frame: dict[str, set[str]] = {}
    for picture in still:
        by_frame.setdefault(picture.frame, set()).add(picture.layer)
    frames = tuple(frame for frame, layers in by_frame.items() if len(layers) > 1)
    layers = tuple(dict.fromkeys(p.layer for p in still if p.frame in frames))
    if frames:
        compared = tuple(picture for picture in still if picture.frame in frames)
        ordered = sorted(layers, key=lambda layer: layer in ("input", "truth"))
        part.add(Media("slider", "Side by side", compared, tuple(ordered), frames))
    if differ:
        part.add(Media("differ", "Frames in which models differ most", differ))
    if rest := tuple(picture for picture in still if picture.frame not in frames):
        part.add(Media("gallery", "Pictures", rest))
    if alone:
        beside = tuple(sorted(alone, key=lambda picture: picture.frame))
        part.add(Media("sheets", "Augmentation, and what is confused", beside))


def _caption(entry: Mapping[str, Any]) -> str:
    agreement = entry.get("differs")
    if agreement is None:
        return str(entry.get("caption", ""))
    return f"{1 - float(agreement):.1%} of the pixels differ"


def with_problems(page: Page) -> Section | None:
    """A section that names what was left out; None where nothing was."""
    if not page.problems:
        return None
    section = Section("problems", "Left out")
    section.add(Sentences("list", tuple(page.problems), "warning"))
    return section
