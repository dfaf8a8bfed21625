"""From folders to records: what a page needs of each, and what had to be left out.

Folders may be comparisons, runs, evaluations, what `bench` or `predict` wrote, or folders of
those, as `runs` with its `STUDY-RECIPE/seed-N` is one. Whatever is broken, or no such thing, is
named in `problems` and left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from triptych.compare.curves import events_in, records_in
from triptych.compare.folder import PLAN, cell, failure, refuse_no_result, refuse_other_run
from triptych.errors import UserError
from triptych.evaluation_folder import SCORES, evaluations_in, is_aside
from triptych.report.compact import FILE, compact
from triptych.report.privacy import Anonymous
from triptych.report.store import Store
from triptych.run import METRICS, read_json, read_result

Kind = Literal["comparison", "run", "evaluation", "bench", "predictions"]
MOST_TRAINING_EVENTS = 250
"""Of a run: enough for its curve."""
DEPTH = 2
"""Levels below a folder that are looked into: `train` writes runs/STUDY-RECIPE/seed-N."""
MOST_SKIPPED = 5
"""Of the folders in which there was nothing, those that are named."""
_SIGNS: tuple[tuple[Kind, str], ...] = (
    ("comparison", PLAN),
    ("run", "recipe.json"),
    ("run", "result.json"),
    ("evaluation", SCORES),
    ("bench", "bench.json"),
    ("predictions", "summary.json"),
)

_ODD = (KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What reading a record raises that is JSON, but none of this program."""


@dataclass
class Gathered:
    """Records, and where each folder of a page lies."""

    store: Store
    folders: list[tuple[str, Kind, Path]] = field(default_factory=list)
    """(number in the page, kind, folder)."""
    problems: list[str] = field(default_factory=list)


def kind_of(folder: Path) -> Kind | None:
    return next((kind for kind, name in _SIGNS if (folder / name).is_file()), None)


def gather(places: Sequence[Path], hidden: Anonymous | None = None) -> Gathered:
    """Read `places`. Raises UserError where none of them holds anything that can be shown."""
    found = Gathered(Store())
    for place in places:
        inside, nothing_in = _folders(place)
        if not inside:
            what = "is not there" if not place.exists() else "holds no run and no comparison"
            found.problems.append(f"{place} {what}")
        elif nothing_in:
            found.problems.append(_skipped(place, nothing_in))
        for kind, folder in inside:
            number = str(len(found.folders) + 1)
            reader = _Reader(found, number, folder, hidden)
            try:
                reader.read(kind)
            except (UserError, *_ODD) as error:
                found.problems.append(f"{folder} was left out: {_said(error)}")
                gone = [n for n in found.store.records if n.startswith(f"{number}/")]
                for name in gone:
                    del found.store.records[name]
                continue
            found.folders.append((number, kind, folder))
    if not found.folders:
        raise UserError(f"there is nothing to report on: {'; '.join(found.problems)}")
    if hidden is not None:
        shown = [hidden.text(problem, Path()) for problem in found.problems]
        found.problems[:] = shown
    return found


def _said(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return f"its records are not as this program knows them ({text})"


def _folders(place: Path, depth: int = DEPTH) -> tuple[list[tuple[Kind, Path]], list[Path]]:
    """A folder of a known kind, or those in it; and the folders in it that hold none.

    One of a known kind is not looked into: the runs of a comparison, the members of a population
    and the folds of a run are parts of it.
    """
    try:
        if kind := kind_of(place):
            return [(kind, place)], []
        children = [child for child in sorted(place.iterdir()) if _may_hold(child)] if depth else []
    except OSError:
        return [], []  # is not there, or may not be read
    found, nothing_in = list[tuple[Kind, Path]](), list[Path]()
    for child in children:
        inside, without = _folders(child, depth - 1)
        found += inside
        nothing_in += without if inside else [child]
    return found, nothing_in


def _may_hold(folder: Path) -> bool:
    return folder.is_dir() and not folder.name.startswith(".") and not is_aside(folder)


def _skipped(place: Path, nothing_in: Sequence[Path]) -> str:
    names = [str(each.relative_to(place)) for each in nothing_in]
    more = f" and {len(names) - MOST_SKIPPED} more" if len(names) > MOST_SKIPPED else ""
    return (
        f"{place}: no run and no comparison in {', '.join(names[:MOST_SKIPPED])}{more} "
        f"({DEPTH} levels of folders are looked into)"
    )


class _Reader:
    """Reads one folder into the store, under its number."""

    def __init__(
        self, found: Gathered, number: str, folder: Path, hidden: Anonymous | None
    ) -> None:
        self._found, self._number, self._folder, self._hidden = found, number, folder, hidden
        self._looked_at = set[str]()
        """Arms of which one evaluation was looked at closely."""

    def read(self, kind: Kind) -> None:
        if kind == "comparison":
            self._comparison()
        elif kind == "run":
            name, seed = self._recipe_of_run(self._folder)
            study = name.partition("/")[0]
            under = f"{name}/seed-{seed}/"
            self._run(self._folder, under, study, METRIC_OF.get(study, ()))
        elif kind == "evaluation":
            self._evaluation(self._folder, "", _study_of_scores(self._folder), ("top1",))
        else:
            self._json(self._folder / ("bench.json" if kind == "bench" else "summary.json"), "")

    def _comparison(self) -> None:
        plan = self._json(self._folder / PLAN, "")
        assert plan is not None
        if not isinstance(plan.get("arms"), dict) or "metric" not in plan:
            raise UserError(f"{self._folder / PLAN} is no plan of a comparison")
        for arm in plan["arms"]:
            if not re.fullmatch(r"[^./\\\x00][^/\\\x00]*", arm):
                raise UserError(f"{self._folder / PLAN}: no folder can be named {arm!r}")
        study, scores = str(plan.get("study")), [plan["metric"], *plan.get("beside", ())]
        extension, joined, _ = (
            self._json(self._folder / name, "", needed=False) or {}
            for name in ("extension.json", "fixed.json", "verdict.json")
        )
        fixed = [*joined.get("arms", ())]
        self._refuse_alike((*plan["arms"], *fixed))
        for arm in plan["arms"]:
            for seed in (*plan.get("seeds", ()), *extension.get("seeds", ())):
                place = cell(self._folder, arm, seed)
                where = f"{arm}/seed-{seed}"
                try:
                    self._json(failure(self._folder, arm, seed), f"{arm}/", needed=False)
                    if place.is_dir():
                        self._cell(place, plan["arms"][arm], seed)
                        self._run(place, f"{where}/", study, scores)
                except UserError as error:
                    self._drop(where, f"{where} was left out: {error}")
        for arm in fixed or (plan["arms"] if not plan.get("seeds") else ()):
            if (self._folder / arm / SCORES).exists():
                try:
                    self._evaluation(self._folder / arm, f"{arm}/", study, scores)
                except UserError as error:
                    self._drop(arm, f"{arm} was left out: {error}")

    def _cell(self, place: Path, recipe: Any, seed: int) -> None:
        """Raise UserError where a cell is of another recipe or seed, or its result is none."""
        if isinstance(recipe, dict):
            refuse_other_run(place, recipe, seed, {})
        if (result := read_result(place)) is not None:
            refuse_no_result(place / "result.json", result)

    def _run(self, run: Path, under: str, study: str, scores: Sequence[str]) -> None:
        for name in ("result.json", "recipe.json", "runtime.json", "audit.json"):
            self._json(run / name, under, needed=False)
        for part in sorted(run.glob("folds/*/audit.json")):
            self._json(part, f"{under}folds/{part.parent.name}/")
        self._metrics(run / METRICS, under)
        if (run / "lineage.jsonl").exists():
            self._events(run / "lineage.jsonl", under, records_in(run / "lineage.jsonl"))
            for member in sorted(run.glob(f"members/*/{METRICS}")):
                self._metrics(member, f"{under}members/{member.parent.name}/")
        for place in evaluations_in(run / "evaluations"):
            try:
                self._evaluation(place, f"{under}evaluations/{place.name}/", study, scores)
            except UserError as error:
                where = f"{under}evaluations/{place.name}"
                self._drop(where, f"{where} was left out: {error}")

    def _evaluation(self, place: Path, under: str, study: str, scores: Sequence[str]) -> None:
        self._json(place / SCORES, under)
        file = place / "items.parquet"
        if file.exists() and study in METRIC_OF:
            arm = under.partition("/")[0]
            self._put(under + FILE, compact(file, study, scores, arm not in self._looked_at))
            self._looked_at.add(arm)

    def _recipe_of_run(self, run: Path) -> tuple[str, int]:
        """Name and seed. Raises UserError where its records do not say."""
        for file in (run / "recipe.json", run / "result.json"):
            if file.exists():
                record = read_json(file)
                named = record.get("recipe")
                name = str(named.get("name") if isinstance(named, dict) else named)
                seed = record.get("seed")
                if isinstance(seed, int) and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name):
                    return name, seed
                raise UserError(f"{file} does not say which recipe and seed it is of")
        raise UserError(f"{run} is no run")

    def _json(self, file: Path, under: str, needed: bool = True) -> dict[str, Any] | None:
        """Keep a record; returns it as it lies there, where names are those of folders."""
        if not file.exists() and not needed:
            return None
        value = read_json(file)
        shown = value if self._hidden is None else self._hidden.record(value, self._folder)
        self._found.store.put(self._name(under + file.name), shown)
        return value

    def _metrics(self, file: Path, under: str) -> None:
        """The events of a run; of those of training so many as make a curve."""
        events = events_in(file)
        epochs = [event["epoch"] for event in events if "lr" in event and "epoch" in event]
        step = -(-len(epochs) // MOST_TRAINING_EVENTS)
        self._events(
            file,
            under,
            [
                event
                for event in events
                if "lr" not in event
                or "epoch" not in event
                or event["epoch"] % max(step, 1) == 0
                or event["epoch"] in (epochs[0], epochs[-1])
            ],
        )

    def _events(self, file: Path, under: str, events: Iterable[dict[str, Any]]) -> None:
        lines = [json.dumps(event, sort_keys=True) + "\n" for event in events]
        if lines:
            self._put(under + file.name, "".join(lines).encode())

    def _put(self, name: str, content: bytes) -> None:
        self._found.store.records[self._name(name)] = content

    def _name(self, name: str) -> str:
        hidden = self._hidden
        return f"{self._number}/{name if hidden is None else hidden.name(name)}"

    def _refuse_alike(self, arms: Iterable[str]) -> None:
        """Raise UserError where arms differ only in what must not be seen."""
        different = set(arms)
        if len({self._name(arm) for arm in different}) < len(different):
            raise UserError("its arms would be called alike without the names of this machine")

    def _drop(self, where: str, problem: str) -> None:
        """Leave out all records below a place, and say why."""
        records = self._found.store.records
        for name in [n for n in records if n.startswith(self._name(f"{where}/"))]:
            del records[name]
        self._found.problems.append(f"{self._folder}: {problem}")


def _study_of_scores(folder: Path) -> str:
    scores = read_json(folder / SCORES)
    signs = {"segment": "mIoU", "detect": "AP50", "classify": "top1"}
    return next((study for study, name in signs.items() if name in scores), "")


METRIC_OF = {"segment": ("mIoU",), "detect": ("AP50",), "classify": ("top1",)}
