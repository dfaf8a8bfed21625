"""What a comparison is, and whether it is controlled."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.errors import UserError
from triptych.recipe import Recipe, differences
from triptych.run import read_json
from triptych.study import Predictions

FILES = (".json", ".svg")
"""How the files are named that lie beside the arms' folders."""
LONGEST_NAME = 200
"""Letters of an arm's name: disks take 255, and what is kept beside an arm adds to it."""


@dataclass(frozen=True)
class Sequential:
    """Look at every complete number of seeds from 3 on until each pair is decided."""

    n_max: int


@dataclass(frozen=True)
class Comparison:
    """A question, and everything that is fixed before the first look at an answer."""

    question: str
    arms: dict[str, Recipe | Predictions]
    """By name; the first is the baseline. Fixed predictions among recipes are no part of the plan:
    they are compared with every recipe, item by item, and no verdict depends on them."""
    varies: frozenset[str]
    """Only these fields may differ between the arms' recipes."""
    seeds: tuple[int, ...]
    """The seeds of every arm; empty where all arms are fixed predictions."""
    metric: str
    margin: float
    """A difference smaller than this does not matter."""
    beside: tuple[str, ...] = ()
    """Further scores that are shown with intervals and never judged."""
    pairs: tuple[tuple[str, str], ...] = ()
    """(arm, baseline) that are judged; empty is every arm against the first. Where there are
    recipes, these are pairs of recipes."""
    until_decided: Sequential | None = None
    paired: bool = False
    """Whether the same seed gives both arms of a pair the same split and data order."""
    data: str | None = None
    """The labelled data for fixed predictions alone, and its split; among recipes they are scored
    on the recipes' own."""
    split: str = "val"
    notes: tuple[str, ...] = ()
    """What a reader must be told with any verdict, such as what pilots had shown. May change."""
    reach: tuple[float, ...] = ()
    """Scores on the way: how many samples each arm needs for them is told too. May change."""

    @property
    def baseline(self) -> str:
        return next(iter(self.arms))

    @property
    def study(self) -> str:
        """The study of the recipes; of fixed predictions alone that of their data or their files.

        Class scores are a CSV file, detections a JSON file. Where neither says it, `segment`: a run
        folder says it by its recipe.
        """
        for arm in self.arms.values():
            if isinstance(arm, Recipe):
                return arm.study
        kind = (self.data or "").partition(":")[0]
        sources = [arm.source for arm in self.arms.values() if isinstance(arm, Predictions)]
        if kind in ("cifar100", "objects") or all(s.lower().endswith(".csv") for s in sources):
            return "classify"
        if kind in ("voc2007", "voc2012", "vocxml", "coco"):
            return "detect"
        studies = {_study_of(source) for source in sources}
        return "detect" if studies == {"detect"} else "segment"

    @property
    def fixed(self) -> bool:
        """Whether the arms are fixed predictions."""
        return all(isinstance(arm, Predictions) for arm in self.arms.values())

    def judged(self) -> tuple[tuple[str, str], ...]:
        """The pairs (arm, baseline) that get a verdict."""
        return self.pairs or tuple(
            (name, self.baseline) for name in self.planned() if name != self.baseline
        )

    def planned(self) -> dict[str, Recipe | Predictions]:
        """The arms that the plan is about: all but fixed predictions among recipes."""
        return dict(self.arms) if self.fixed else dict(self.recipes())

    def recipes(self) -> Iterator[tuple[str, Recipe]]:
        for name, arm in self.arms.items():
            if isinstance(arm, Recipe):
                yield name, arm

    def joined(self) -> dict[str, Predictions]:
        """The fixed predictions among recipes."""
        if self.fixed:
            return {}
        return {name: arm for name, arm in self.arms.items() if isinstance(arm, Predictions)}

    def record(self) -> dict[str, Any]:
        """What `comparison.json` holds: the plan, before the first look."""
        if self.fixed:
            plan: dict[str, Any] = {"kind": "fixed predictions"}
        elif self.until_decided:
            plan = {"kind": "sequential", "n_max": self.until_decided.n_max}
        else:
            plan = {"kind": "fixed", "n": len(self.seeds)}
        further: dict[str, Any] = {"beside": list(self.beside)} if self.beside else {}
        further |= {"notes": list(self.notes)} if self.notes else {}
        further |= {"reach": list(self.reach)} if self.reach else {}
        return {
            "question": self.question,
            "study": self.study,
            "arms": {name: dataclasses.asdict(arm) for name, arm in self.planned().items()},
            "order": list(self.planned()),
            "varies": sorted(self.varies),
            "seeds": list(self.seeds),
            "metric": self.metric,
            "margin": self.margin,
            "pairs": [list(pair) for pair in self.judged()],
            "plan": plan,
            "paired": self.paired,
            "data": self.data,
            "split": self.split if self.fixed else None,
            **further,
        }


def check(comparison: Comparison, metrics: Collection[str], beside: Collection[str] = ()) -> None:
    """Raise UserError, in one line, where a comparison is not controlled or makes no sense.

    `metrics` are the names of those that the study judges, `beside` of its further scores.
    """
    names = list(comparison.arms)
    if len(names) < 2:
        raise UserError("a comparison needs at least two arms")
    for name in names:
        # Beside the arms' folders lie the comparison's own files, such as `verdict.json`.
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or name.lower().endswith(FILES):
            raise UserError(f"an arm's name is a folder's name: '{name}' will not do")
        if len(name) > LONGEST_NAME:
            raise UserError(
                f"an arm's name is a folder's name: '{name[:40]}…' has {len(name)} letters, "
                f"at most {LONGEST_NAME} will do; a comparison's file can give it a shorter one"
            )
    if comparison.metric not in metrics:
        raise UserError(
            f"--metric {comparison.metric}: {comparison.study} has {', '.join(metrics)}"
        )
    if not 0 < comparison.margin < float("inf"):
        raise UserError(
            f"--margin {comparison.margin:g}: say which difference is too small to matter, "
            "a number above 0"
        )
    _check_beside(comparison, [*metrics, *beside])
    _check_reach(comparison)
    if comparison.joined():
        _check_joined(comparison)
    _check_pairs(comparison)
    if comparison.fixed:
        if not comparison.data:
            raise UserError("fixed predictions need the labelled data to be scored on: --data")
        return
    _check_seeds(comparison)
    _check_controlled(comparison)


def _check_beside(comparison: Comparison, known: Collection[str]) -> None:
    for index, name in enumerate(comparison.beside):
        if name not in known:
            raise UserError(
                f"'{name}' cannot stand beside the metric: {comparison.study} has "
                f"{', '.join(known)}"
            )
        if name == comparison.metric:
            raise UserError(f"'{name}' is the metric that is judged; it cannot stand beside itself")
        if name in comparison.beside[:index]:
            raise UserError(f"'{name}' stands beside the metric twice")


def _check_reach(comparison: Comparison) -> None:
    if comparison.reach and comparison.fixed:
        raise UserError("--reach is for recipes: fixed predictions have no curve")
    for score in comparison.reach:
        if not math.isfinite(score):
            raise UserError(f"--reach {score}: write a score of {comparison.metric}")


def _check_joined(comparison: Comparison) -> None:
    """What fixed predictions among recipes ask for: no verdict may depend on them."""
    if len(comparison.planned()) < 2:
        raise UserError(
            "fixed predictions join a comparison of at least two recipes; to compare one training "
            "with them, name its run folder as fixed predictions too"
        )
    if comparison.baseline in comparison.joined():
        raise UserError(
            f"the first arm is the baseline: with recipes in the comparison {comparison.baseline}, "
            "fixed predictions, cannot be it"
        )
    for pair in comparison.pairs:
        for name in pair:
            if name in comparison.joined():
                raise UserError(
                    f"the pair {pair[0]} against {pair[1]}: {name} is fixed predictions, which are "
                    "compared with every recipe as it is; declare pairs of recipes only"
                )
    if comparison.data is not None:
        raise UserError(
            "fixed predictions among recipes are scored on the data of the recipes: leave out "
            f"data ({comparison.data})"
        )


def _check_pairs(comparison: Comparison) -> None:
    for pair in comparison.judged():
        for name in pair:
            if name not in comparison.arms:
                raise UserError(f"the pair {pair[0]} against {pair[1]}: no arm is called '{name}'")
        if pair[0] == pair[1]:
            raise UserError(f"the arm {pair[0]} cannot be compared with itself")


def _check_seeds(comparison: Comparison) -> None:
    if not comparison.seeds:
        raise UserError("a comparison of recipes needs at least one seed")
    if len(set(comparison.seeds)) != len(comparison.seeds):
        raise UserError(f"a seed stands twice in {list(comparison.seeds)}")
    if comparison.until_decided is None:
        return
    n_max = comparison.until_decided.n_max
    if n_max < 3:
        raise UserError("--until-decided needs at least 3 seeds: fewer give no verdict")
    if len(comparison.seeds) != n_max:
        raise UserError(f"{len(comparison.seeds)} seeds for a plan of at most {n_max}: name n_max")
    if comparison.paired:
        raise UserError("a paired comparison needs a fixed number of seeds, not --until-decided")


def _check_controlled(comparison: Comparison) -> None:
    recipes = dict(comparison.recipes())
    first = comparison.baseline
    known = {f.name for recipe in recipes.values() for f in dataclasses.fields(recipe)}
    for name in sorted(comparison.varies - known):
        raise UserError(f"--varies {name}: the recipes have no such field")
    for name, recipe in recipes.items():
        if recipe.study != comparison.study:
            raise UserError(f"{name} is of the study {recipe.study}, {first} of {comparison.study}")
        found = differences(recipes[first], recipe)
        undeclared = {k: v for k, v in found.items() if k not in comparison.varies}
        if undeclared:
            text = ", ".join(f"{k} ({a} against {b})" for k, (a, b) in undeclared.items())
            raise UserError(
                f"{name} differs from {first} in {text}, which is not declared; "
                f"add --varies {' --varies '.join(undeclared)} or make them equal"
            )
    names = list(recipes)
    for index, name in enumerate(names):
        for other in names[:index]:
            if not differences(recipes[name], recipes[other]):
                raise UserError(f"the arms {other} and {name} are the same recipe")


def _study_of(source: str) -> str | None:
    """The study of one fixed arm, as far as its file or folder says it."""
    record = Path(source) / "recipe.json"
    if record.is_file():
        return str(read_json(record).get("recipe", {}).get("name", "")).partition("/")[0]
    return "detect" if source.lower().endswith(".json") else None
