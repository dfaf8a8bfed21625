"""Fixed predictions that join a comparison of recipes: beside the verdict, never in it.

Recipes are judged over seeds. Fixed predictions have none, so each is compared with each recipe
item by item, on what the recipes' runs were scored on. They are no part of the plan: they may
join at any time, and the recipes' verdict is the same without them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from triptych.audit import Line
from triptych.compare import beside, fixed
from triptych.compare.comparison import Comparison
from triptych.compare.folder import cell
from triptych.compare.item_sets import aligned, mean_of, same_rules
from triptych.errors import UserError
from triptych.run import read_json, read_result, write_json
from triptych.study import Items, Predictions, Study

FILE = "fixed.json"
NOTE = (
    "no part of the plan, and no verdict depends on them; their weights were trained elsewhere, "
    "and whether they saw what is scored here is not on record; of a recipe, what stands against "
    "them is the mean over its seeds"
)


def join(out: Path, comparison: Comparison, study: Study) -> None:
    """Score the fixed predictions among recipes and enter them in the comparison's folder.

    An evaluation that is there may be read. Raises UserError, and enters nothing, where they
    cannot be scored on what the recipes are, or where runs that have ended saw something else.
    """
    asked = comparison.joined()
    if not asked:
        return
    data, split = _place(comparison, study)
    for name, arm in asked.items():
        items = study.predict_items(arm, data, split, comparison.metric, out / name)
        try:
            _refuse_other_data(out, comparison, study, name, items)
        except UserError:
            # The evaluation that an earlier joining left may just have been replaced by this one.
            if name in (entered := _entered(out)):
                write_json(out / FILE, {"arms": {k: v for k, v in entered.items() if k != name}})
            raise
        write_json(out / FILE, {"arms": _entered(out) | {name: _as_json(arm)}})


def record_of(
    out: Path, comparison: Comparison, study: Study, verdict: Mapping[str, Any]
) -> dict[str, Any]:
    """What `verdict.json` says of them under `fixed`; empty where there are none.

    Everything is read from the folder. `verdict` is the recipes': while it has not all of its
    seeds, there are the arms' own scores and the `reason` why nothing is compared yet. Raises
    UserError where the items of runs and predictions are not the same.
    """
    arms, scored = _arms(out, comparison, study)
    if not arms:
        return {}
    data, split = _place(comparison, study)
    seeds, reason = _seeds(verdict)
    names = [name for name, _ in comparison.recipes()]
    runs: dict[str, Items] = {}
    for name in names if reason is None else ():
        found = _mean_of_runs(out, study, name, seeds, comparison.metric)
        if found is None:
            reason = f"the runs of {name} keep no items of {comparison.metric}"
            break
        runs[name] = found
    # Scores beside the metric: of fixed predictions where they have them, of recipes in time.
    further = {
        name: {each: study.evaluation_items(out / name, each) for each in comparison.beside}
        for name in scored
    }
    if reason is None:
        further |= {
            name: {each: _mean_of_runs(out, study, name, seeds, each) for each in comparison.beside}
            for name in names
        }
    pairs = [(arm, recipe) for arm in scored for recipe in names] if reason is None else []
    return {
        "fixed": {
            "judged": fixed.SAID,
            "note": NOTE,
            "data": fixed.name_of(data, split),
            "seeds": list(seeds) if reason is None else [],
            "reason": reason,
            "arms": {
                name: arm
                | (_of_items(scored[name], further[name]) if name in scored else _UNSCORED)
                | {"evaluation": fixed.scores(out / name) if name in scored else {}}
                for name, arm in arms.items()
            },
            "recipes": {
                name: _of_items(runs[name], further[name]) for name in names if reason is None
            },
            "pairs": [
                _pair(arm, recipe, scored | runs, further, comparison, study, len(pairs))
                for arm, recipe in pairs
            ],
            "audit": [line.as_dict() for line in audit_of(arms)],
        }
    }


def audit_of(arms: Collection[str]) -> list[Line]:
    """What the audit can say of fixed predictions; nothing where there are none."""
    text = f"{', '.join(arms)}: what they were trained on, and how, is not on record"
    return [Line("fixed predictions", "unknown", text)] if arms else []


def names_in(out: Path) -> list[str]:
    """The fixed predictions that joined the comparison in a folder and are still there."""
    return [name for name in _entered(out) if (out / name).is_dir()]


def _entered(out: Path) -> dict[str, Any]:
    file = out / FILE
    return dict(read_json(file).get("arms", {})) if file.exists() else {}


def _as_json(arm: Predictions) -> dict[str, Any]:
    record = asdict(arm)
    return record | {
        "weights": str(arm.weights) if arm.weights else None,
        "size": list(arm.size) if arm.size else None,
    }


def _arms(
    out: Path, comparison: Comparison, study: Study
) -> tuple[dict[str, Any], dict[str, Items]]:
    """Those that joined and those asked for, by name, and the items of those that are scored.

    One that joined stays, as added seeds do, until its evaluation is removed from the folder.
    """
    entered = _entered(out)
    asked = {name: _as_json(arm) for name, arm in comparison.joined().items()}
    arms, scored = {}, {}
    for name, arm in sorted((entered | asked).items()):
        # Asked for with another source, it is another arm, whose evaluation is not there yet.
        read = name in entered and entered[name] == arm
        items = study.evaluation_items(out / name, comparison.metric) if read else None
        if items is not None:
            scored[name] = items
        if items is not None or name in asked:
            arms[name] = arm
    return arms, scored


_UNSCORED: dict[str, Any] = {"score": None, "items": 0, "by_group": None}


def _place(comparison: Comparison, study: Study) -> tuple[str, str]:
    """Data and split that all recipes are evaluated on. Raises UserError where they differ."""
    places = {
        name: study.evaluated_on(recipe, comparison.metric) for name, recipe in comparison.recipes()
    }
    first, place = next(iter(places.items()))
    for name, other in places.items():
        if other != place:
            raise UserError(
                f"fixed predictions are scored on one data set, but {first} is evaluated on "
                f"{' '.join(place)} and {name} on {' '.join(other)}"
            )
    return place


def _refuse_other_data(
    out: Path, comparison: Comparison, study: Study, name: str, items: Items
) -> None:
    """Raise UserError, naming the run, where one that has ended was scored on something else."""
    seen = fixed.scores(out / name).get("fingerprint")
    for recipe, _ in comparison.recipes():
        for seed in comparison.seeds:
            place = cell(out, recipe, seed)
            if read_result(place) is None:
                continue
            run = study.run_items(place, comparison.metric)
            if run is not None:
                aligned(run, items.keys, f"{recipe} seed {seed}", name)
                same_rules(run, items)
            known = read_json(place / "recipe.json").get("fingerprint", {}).values()
            if seen is not None and known and seen not in known:
                raise UserError(
                    f"{name} was scored on other data than {recipe} seed {seed}: pictures or "
                    "labels of the same names differ; name the data that the runs saw"
                )


def _seeds(verdict: Mapping[str, Any]) -> tuple[list[int], str | None]:
    """The seeds that the recipes' verdict rests on, or the reason why it is not there yet."""
    seeds: list[int] = verdict["plan"]["seeds"]
    done = {
        name: [seed for seed in seeds if arm["states"][str(seed)] in ("done", "diverged")]
        for name, arm in verdict["arms"].items()
    }
    whole = [seed for seed in seeds if all(seed in of for of in done.values())]
    if len(whole) == len(seeds):
        return seeds, None
    if verdict["plan"]["kind"] == "sequential":
        leading = next(index for index, seed in enumerate(seeds) if seed not in whole)
        if all(pair["verdict"] != "undecided" for pair in verdict["pairs"]):
            return seeds[:leading], None
        return [], f"the recipes are not decided: {leading} of at most {len(seeds)} seeds"
    counts = ", ".join(f"{name} {len(of)}" for name, of in done.items())
    return [], f"the recipes are not complete: {counts} of {len(seeds)} seeds"


def _mean_of_runs(
    out: Path, study: Study, arm: str, seeds: Sequence[int], score: str
) -> Items | None:
    """Items of a recipe's runs together; None where a run has none for that score."""
    found = [study.run_items(cell(out, arm, seed), score) for seed in seeds]
    runs = [items for items in found if items is not None]
    if len(runs) < len(found):
        return None
    who = [f"{arm} seed {seed}" for seed in seeds]
    first = runs[0]
    return mean_of(
        [aligned(run, first.keys, name, who[0]) for run, name in zip(runs, who, strict=True)]
    )


def _of_items(items: Items, further: Mapping[str, Items | None]) -> dict[str, Any]:
    present = {name: each for name, each in further.items() if each is not None}
    return fixed.of_items(items, present)


def _pair(
    arm: str,
    recipe: str,
    items: Mapping[str, Items],
    further: Mapping[str, Mapping[str, Items | None]],
    comparison: Comparison,
    study: Study,
    pairs: int,
) -> dict[str, Any]:
    """Fixed predictions against a recipe, item by item."""
    a, b = items[arm], aligned(items[recipe], items[arm].keys, recipe, arm)
    level = fixed.level_of(pairs)
    found = {"arm": arm, "baseline": recipe} | fixed.described(a, b, comparison, study, level)
    if comparison.beside:
        ours, theirs = further[arm], further[recipe]
        ordered = {name: _in_order(theirs[name], ours[name]) for name in ours}
        found["beside"] = beside.of_fixed(ours, ordered, study.group_unit)
    return found


def _in_order(items: Items | None, like: Items | None) -> Items | None:
    """The items in another's order; as they are where they are others, which is then the reason
    why nothing is said of that score."""
    if items is None or like is None:
        return items
    try:
        return aligned(items, like.keys, "", "")
    except UserError:
        return items
