"""Scores of models, from evaluations that were made before or from what their authors claim."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.benching.basis import Basis
from triptych.errors import UserError
from triptych.evaluation_folder import SCORES, evaluations_in
from triptych.weights import Published

log = logging.getLogger("triptych")

READ = "read"
"""In place of whose weights: none, what was judged are files of another program."""


@dataclass(frozen=True)
class Metric:
    """The score by which a study shows its models, as its evaluations have it."""

    name: str
    rules: tuple[str, ...] = ()
    """Which entries of an evaluation's `rule` decide the score and may differ."""
    resized: bool = False
    """Whether an evaluation's `size` was chosen for it, not by the model."""


@dataclass(frozen=True)
class Score:
    """What one evaluation says of one model."""

    model: str
    """Its name as the evaluation has it."""
    value: float
    on: Basis
    size: str | None
    """WIDTHxHEIGHT to which pictures were resized for the model; None where they were not, or as
    it always does."""
    claimed: bool
    """Whether its authors say so, and nobody here measured it."""
    run: Path | None = None
    """The run folder that the evaluation lies in."""
    weights: str | None = None
    """Whose they were, such as `trained`, or `READ`. None where the evaluation does not say."""
    digest: str | None = None
    """Of the weights, where the evaluation says it."""


@dataclass(frozen=True)
class Model:
    """What a study knows of a model that `bench` is asked about."""

    name: str
    """As evaluations have it."""
    registered: bool
    """Whether it is the name of an architecture, not a folder."""
    run: Path | None = None
    """Its run folder, resolved."""
    published: Published | None = None
    """The weights that are published under its name."""


@dataclass(frozen=True)
class Measured:
    """A model whose speed was measured, with the weights that it had."""

    model: Model
    weights: str
    """Whose: `published`, of a `file`, `trained`, or `random` in place of others."""
    digest: str


def read_scores(places: Sequence[Path], metric: Metric) -> list[Score]:
    """The scores of evaluations: each place a scores.json, an evaluation's folder, or a run's.

    A folder of several evaluations counts too. An evaluation whose score is null, since there was
    nothing to be found, has none. Raises UserError where there is no evaluation.
    """
    found = []
    for place in places:
        files = [place] if place.is_file() else _files(place)
        if not files:
            raise UserError(
                f"--scores {place}: no evaluation there; name a {SCORES}, the folder that "
                "`triptych evaluate --out` wrote, or a run's"
            )
        found += [score for file in files if (score := _read(file, metric)) is not None]
    return found


def own_scores(models: Sequence[Model], metric: Metric) -> list[Score]:
    """The scores that lie in the models' own run folders; one that cannot be read is warned of."""
    found = []
    for run in [model.run for model in models if model.run is not None]:
        for file in _files(run):
            try:
                found += read_scores([file], metric)
            except UserError as error:
                log.warning("%s; left out", str(error).removeprefix("--scores "))
    return found


def scores_of(
    models: Sequence[Measured], scores: Sequence[Score], metric: Metric
) -> list[Score | None]:
    """The score to show for each of the models: a measured one, else the claimed one, else None.

    A score is of the weights that it names, else of the run that it lies in; an old evaluation
    that says neither is of the model of its name, where that has its published weights or is the
    only one of that name. Of several that is shown whose basis most of the models share, of those
    the last.
    """
    names = Counter(each.model.name for each in models if not each.model.registered)
    fitting = [
        [score for score in scores if _is_of(score, each, names[each.model.name] == 1)]
        for each in models
    ]
    shared = Counter(on for each in fitting for on in {score.on for score in each})
    # Of bases that equally many share the last, the same for every model.
    theirs = [score for score in scores if any(score in each for each in fitting)]
    last = {score.on: position for position, score in enumerate(theirs)}
    return [
        max(reversed(found), key=lambda score: (shared[score.on], last[score.on]))
        if found
        else _claim(each, metric)
        for each, found in zip(models, fitting, strict=True)
    ]


def _is_of(score: Score, measured: Measured, only_of_its_name: bool) -> bool:
    """Whether a measured score is of these weights."""
    model = measured.model
    if score.weights == READ:
        return False
    if measured.weights == "random":
        # In place of the published ones, which are not here to be compared.
        said = score.weights in ("published", None) and score.run is None
        return model.published is not None and said and score.model == model.name
    if score.digest is not None:
        return score.digest == measured.digest
    if score.run is not None:
        return score.run == model.run
    if model.registered:
        return score.model == model.name and measured.weights == "published"
    return score.model == model.name and only_of_its_name


def _claim(measured: Measured, metric: Metric) -> Score | None:
    """What the authors claim of the published weights."""
    published = measured.model.published
    if published is None or measured.weights not in ("published", "random"):
        return None
    if metric.name not in published.claimed:
        return None
    on, _, size = published.claimed_on.partition(" at ")
    value = published.claimed[metric.name]
    return Score(measured.model.name, value, Basis(on), size or None, claimed=True)


def _files(place: Path) -> list[Path]:
    folders = [place, *evaluations_in(place), *evaluations_in(place / "evaluations")]
    return [file for folder in folders if (file := folder / SCORES).is_file()]


def _read(file: Path, metric: Metric) -> Score | None:
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if metric.name not in record:
            raise UserError(f"--scores {file}: not the scores of an evaluation with {metric.name}")
        if record[metric.name] is None:
            return None
        weights = record.get("weights")
        # Only another program's files are run by nothing.
        if "runtime" in record and record["runtime"] is None:
            weights = READ
        judged = record["rule"] if metric.rules else {}
        fingerprint = record.get("fingerprint")
        parents = file.resolve().parents
        return Score(
            str(record["model"]),
            float(record[metric.name]),
            Basis(
                f"{record['data']} {record['split']}",
                None if fingerprint is None else str(fingerprint),
                tuple((rule, str(judged.get(rule))) for rule in metric.rules),
            ),
            record.get("size") if metric.resized else None,
            claimed=False,
            run=next((each for each in parents if (each / "recipe.json").is_file()), None),
            weights=weights,
            digest=record.get("weights_digest"),
        )
    except OSError as error:
        raise UserError(f"--scores {file}: cannot be read ({error.strerror})") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"--scores {file}: not the scores of an evaluation ({error!r})") from error
