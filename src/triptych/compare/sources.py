"""Where a comparison comes from: a name in `comparisons/`, a Python file, or the command line."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from triptych import recipe as recipes
from triptych.compare.comparison import Comparison, Sequential
from triptych.errors import UserError
from triptych.own_model import is_own, without_places
from triptych.recipe import STUDIES, Recipe
from triptych.study import Predictions

FOLDER = "comparisons"
DATA_OF_RECIPES = (
    "--data and --split are for fixed arms alone; recipes name their data: --set data=…"
)
LONGEST = 100
"""Letters of a folder's name that is made of what is compared."""
MADE_BY = "comparison"
"""The function of a comparison's file that returns it."""


def from_name(name: str) -> Comparison:
    """The comparison of `comparisons/NAME.py` under the working folder, or of a Python file.

    Raises UserError where there is none (with the nearest names) or the file returns none.
    """
    file = Path(name) if name.endswith(".py") else Path(FOLDER) / f"{name.replace('-', '_')}.py"
    if not file.is_file():
        known = sorted(p.stem for p in Path(FOLDER).glob("*.py"))
        near = get_close_matches(file.stem, known, 2)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        if not known:
            hint = f"; {FOLDER}/ is looked for in the working folder"
        raise UserError(f"no comparison '{name}'{hint}")
    spec = importlib.util.spec_from_file_location(f"{FOLDER}.{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        made = getattr(module, MADE_BY)()
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())
        raise UserError(
            f"{file} does not make a comparison: {type(error).__name__}: {text}"
        ) from error
    if not isinstance(made, Comparison):
        raise UserError(f"{file}: {MADE_BY}() must return a Comparison, not {type(made).__name__}")
    return made


def is_name(text: str) -> bool:
    """Whether an argument of `compare` names a comparison rather than a recipe."""
    recipe, colon, _ = text.partition(":")
    if colon and recipe.partition("/")[0] in STUDIES:
        return False  # with settings, which may end with the file of a model
    return text.endswith(".py") or "/" not in recipe


def from_recipes(
    texts: Sequence[str], *, metric: str | None, margin: float | None, varies: frozenset[str]
) -> Comparison:
    """A comparison of `RECIPE[:key=value,…]` arms. Raises UserError."""
    metric, margin = _asked(metric, margin)
    arms: dict[str, Recipe | Predictions] = {}
    for text in texts:
        name, _, settings = text.partition(":")
        plain = recipes.get(name)
        recipe = recipes.override(plain, _settings(settings, plain))
        arm = (without_places(text) if settings else name).partition("/")[2]
        arm = re.sub(r"[^A-Za-z0-9._-]", "-", arm)
        if arm in arms:
            hint = "; give its file or its function another name" if is_own(recipe.model) else ""
            raise UserError(f"two arms are called {arm}: {text} is one of them{hint}")
        arms[arm] = recipe
    return Comparison(
        question=" or ".join(arms) + "?",
        arms=arms,
        varies=varies,
        seeds=(0, 1, 2),
        metric=metric,
        margin=margin,
    )


def _asked(metric: str | None, margin: float | None) -> tuple[str, float]:
    if metric is None or margin is None:
        lacks = "--metric" if metric is None else "--margin"
        raise UserError(f"{lacks} is needed: it is part of the question")
    return metric, margin


def _settings(text: str, recipe: Recipe) -> list[str]:
    """`key=value,key=1,2` as settings: a comma before no field's name belongs to the value."""
    fields = {field.name for field in dataclasses.fields(recipe)}
    found: list[str] = []
    for part in filter(None, text.split(",")):
        if part.partition("=")[0] in fields or not found:
            found.append(part)
        else:
            found[-1] += f",{part}"
    return found


def from_predictions(
    sources: Sequence[str],
    *,
    data: str,
    split: str,
    metric: str | None,
    margin: float | None,
    size: tuple[int, int] | None,
) -> Comparison:
    """A comparison of published models or other programs' predictions, the first the baseline."""
    metric, margin = _asked(metric, margin)
    arms = _fixed_arms(sources, size)
    return Comparison(
        question=" or ".join(arms) + "?",
        arms=dict(arms),
        varies=frozenset(),
        seeds=(),
        metric=metric,
        margin=margin,
        data=data,
        split=split,
    )


def _fixed_arms(sources: Sequence[str], size: tuple[int, int] | None) -> dict[str, Predictions]:
    """Fixed arms by names that a folder can have.

    An arm is called after its file or folder; those of equal names get their parent folders in
    front. Raises UserError where a source is given twice or names cannot be told apart.
    """
    _refuse_twice(sources)
    plain = [_arm_name(source) for source in sources]
    names = dict(zip(sources, plain, strict=True))
    for name in dict.fromkeys(plain):
        clashing = [source for source in sources if names[source] == name]
        if len(clashing) > 1:
            others = {names[source] for source in sources if source not in clashing}
            names |= _told_apart(clashing, others)
    return {name: Predictions(source, size=size) for source, name in names.items()}


def _refuse_twice(sources: Sequence[str]) -> None:
    seen: set[str | Path] = set()
    for source in sources:
        place = Path(source).resolve() if Path(source).exists() else source
        if place in seen:
            raise UserError(f"the arm {source} is named twice")
        seen.add(place)


def _told_apart(sources: Sequence[str], others: set[str]) -> dict[str, str]:
    """Names that differ, also from `others`: by the fewest parent folders that make them so.

    Files that no folder tells apart keep their endings, too.
    """
    deepest = max(len(Path(source).parts) for source in sources)
    for ending in (False, True):
        for parents in range(deepest):
            names = [_arm_name(source, parents, ending) for source in sources]
            if len(others.union(names)) == len(others) + len(names):
                return dict(zip(sources, names, strict=True))
    raise UserError(
        f"{' and '.join(sources)}: no names tell these arms apart; give a file or folder another "
        "name"
    )


def _arm_name(source: str, parents: int = 0, ending: bool = False) -> str:
    """What a fixed arm is called, with so many parent folders; a published model by its name."""
    name, path = source, Path(source)
    if path.exists():
        above = [part for part in path.parts[:-1] if part not in (path.anchor, "..")]
        own = path.name if ending and path.is_file() else path.stem
        name = "-".join([*above[max(0, len(above) - parents) :], own])
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-") or "arm"


def with_fixed_arms(
    comparison: Comparison, sources: Sequence[str], size: tuple[int, int] | None
) -> Comparison:
    """A comparison of recipes with fixed arms beside them. Raises UserError."""
    if comparison.fixed:
        raise UserError(
            "its arms are fixed predictions already: name all of them with --predictions and "
            "--data, and no comparison"
        )
    arms = _fixed_arms(sources, size)
    for name, arm in arms.items():
        if name in comparison.arms:
            raise UserError(
                f"--predictions {arm.source}: the comparison has an arm {name} already; give the "
                "file or folder another name"
            )
    return replace(comparison, arms={**comparison.arms, **arms})


def of_command_line(
    what: Sequence[str],
    predictions: Sequence[str],
    *,
    varies: Sequence[str],
    metric: str | None,
    margin: float | None,
    seeds: int | None,
    until_decided: int | None,
    settings: Sequence[str],
    data: str | None,
    split: str | None,
    size: tuple[int, int] | None,
) -> Comparison:
    """The comparison that a command line asks for. Raises UserError.

    `predictions` with nothing else are compared with each other; beside recipes they join.
    """
    if not what and not predictions:
        raise UserError("say what to compare: a name, a Python file, or recipes")
    if not what:
        if varies or seeds or until_decided or settings:
            raise UserError(
                "--predictions alone are fixed arms: no --varies, --set, --seeds or --until-decided"
            )
        if data is None:
            raise UserError("--predictions need the labelled data to be scored on: --data")
        return from_predictions(
            predictions, data=data, split=split or "val", metric=metric, margin=margin, size=size
        )
    if size is not None and not predictions:
        raise UserError("--size is for --predictions; a recipe's fields are changed by --set")
    asked = _without_predictions(
        what,
        varies=varies,
        metric=metric,
        margin=margin,
        seeds=seeds,
        until_decided=until_decided,
        settings=settings,
        data=data,
        split=split,
    )
    return with_fixed_arms(asked, predictions, size) if predictions else asked


def _without_predictions(
    what: Sequence[str],
    *,
    varies: Sequence[str],
    metric: str | None,
    margin: float | None,
    seeds: int | None,
    until_decided: int | None,
    settings: Sequence[str],
    data: str | None,
    split: str | None,
) -> Comparison:
    """The comparison that has a name, a file, or recipes on the command line."""
    if len(what) == 1 and is_name(what[0]):
        return changed(
            _on_data(from_name(what[0]), data, split),
            settings=settings,
            seeds=seeds,
            until_decided=until_decided,
            metric=metric,
            margin=margin,
            varies=varies,
        )
    if data is not None or split is not None:
        raise UserError(DATA_OF_RECIPES)
    named = [text for text in what if is_name(text)]
    if named:
        raise UserError(f"'{named[0]}' is no recipe; recipes are named study/name")
    asked = from_recipes(what, metric=metric, margin=margin, varies=frozenset(varies))
    seeds = 3 if seeds is None and until_decided is None else seeds
    return changed(asked, settings=settings, seeds=seeds, until_decided=until_decided)


def _on_data(comparison: Comparison, data: str | None, split: str | None) -> Comparison:
    if data is None and split is None:
        return comparison
    if not comparison.fixed:
        raise UserError(DATA_OF_RECIPES)
    return replace(comparison, data=data or comparison.data, split=split or comparison.split)


def folder_name(what: Sequence[str], predictions: Sequence[str]) -> str:
    """A folder's name for what is compared; predictions that join recipes are not part of it.

    A long one ends with a digest of the whole, as no disk takes names of any length.
    """
    texts = what or predictions
    words = [Path(text).stem if text.endswith(".py") else without_places(text) for text in texts]
    name = re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(words)).strip("-")
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256("\n".join(words).encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{name[: LONGEST - 9].rstrip('-')}-{digest}"


def changed(
    comparison: Comparison,
    *,
    settings: Sequence[str] = (),
    seeds: int | None = None,
    until_decided: int | None = None,
    metric: str | None = None,
    margin: float | None = None,
    varies: Sequence[str] = (),
) -> Comparison:
    """A comparison with what the command line says instead; settings go to every recipe."""
    if comparison.fixed and (settings or seeds or until_decided or varies):
        raise UserError("its arms are fixed predictions: no --set, --seeds or --varies")
    if seeds is not None and until_decided is not None:
        raise UserError("--seeds and --until-decided are two plans; choose one")
    if settings:
        arms = {
            name: recipes.override(arm, settings) if isinstance(arm, Recipe) else arm
            for name, arm in comparison.arms.items()
        }
        comparison = replace(comparison, arms=arms)
    if seeds is not None:
        comparison = replace(comparison, seeds=tuple(range(seeds)), until_decided=None)
    if until_decided is not None:
        comparison = replace(
            comparison,
            seeds=tuple(range(until_decided)),
            until_decided=Sequential(until_decided),
        )
    if metric is not None:
        beside = tuple(name for name in comparison.beside if name != metric)
        comparison = replace(comparison, metric=metric, beside=beside)
    if margin is not None:
        comparison = replace(comparison, margin=margin)
    if varies:
        comparison = replace(comparison, varies=comparison.varies | frozenset(varies))
    return comparison
