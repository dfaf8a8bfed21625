"""Scores of models, from evaluations that were made before or from what their authors claim."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.errors import UserError
from triptych.evaluation_folder import SCORES
from triptych.segment.models import entry, is_name
from triptych.segment.network import is_run, network_name, run_name

LABELS = "labels"


@dataclass(frozen=True)
class Score:
    """What one evaluation says of one model."""

    model: str
    """Its name as the evaluation has it; the run's, where the evaluation lies in a run."""
    mIoU: float
    on: str
    """Data and split."""
    size: str | None
    """WIDTHxHEIGHT to which frames were resized for the model; None where they were not."""
    claimed: bool
    """Whether its authors say so, and nobody here measured it."""
    run: Path | None = None
    """The run folder that the evaluation lies in."""
    weights: str | None = None
    """Whose they were, as in `NetworkLabeller`, or `labels`: no weights, label images. None where
    the evaluation does not say."""
    digest: str | None = None
    """Of the weights, where the evaluation says it."""


@dataclass(frozen=True)
class Measured:
    """A model whose speed was measured, as `bench` opened it."""

    model: str
    """What `--model` said."""
    weights: str
    """Whose they are: `published`, of a `file`, `trained`, or `random` in place of others."""
    digest: str
    """Of the weights."""

    @property
    def run(self) -> Path | None:
        """Its run folder, resolved."""
        folder = Path(self.model)
        return folder.resolve() if not is_name(self.model) and is_run(folder) else None

    @property
    def name(self) -> str:
        """As evaluations name it."""
        return network_name(self.model)


def read_scores(places: Sequence[Path]) -> list[Score]:
    """The scores of evaluations: each place a scores.json, an evaluation's folder, or a run's.

    A folder of several evaluations counts too. Raises UserError where there is none.
    """
    found = []
    for place in places:
        files = [place] if place.is_file() else _files(place)
        if not files:
            raise UserError(
                f"--scores {place}: no evaluation there; name a {SCORES}, the folder that "
                "`triptych evaluate --out` wrote, or a run's"
            )
        found += [_read(file) for file in files]
    return found


def scores_of(models: Sequence[Measured], scores: Sequence[Score]) -> list[Score | None]:
    """The score to show for each of the models: a measured one, else the claimed one, else None.

    Besides `scores` those count that lie in the models' own run folders. A score is of the weights
    that it names, else of the run that it lies in; an old evaluation that says neither is of the
    model of its name, where that has its published weights or is the only one of that name. Of
    several that is shown which is on the data that most of the models share, of those the last.
    """
    own = [
        score for model in models if model.run and _files(model.run)
        for score in read_scores([model.run])
    ]  # fmt: skip
    names = Counter(model.name for model in models if not is_name(model.model))
    every = [*own, *scores]
    fitting = [
        [score for score in every if _is_of(score, model, names[model.name] == 1)]
        for model in models
    ]
    shared = Counter(on for each in fitting for on in {score.on for score in each})
    # Of data that equally many share the last, the same for every model.
    theirs = [score for score in every if any(score in each for each in fitting)]
    last = {score.on: position for position, score in enumerate(theirs)}
    return [
        max(reversed(each), key=lambda score: (shared[score.on], last[score.on]))
        if each
        else _claim(model)
        for model, each in zip(models, fitting, strict=True)
    ]


def _is_of(score: Score, model: Measured, only_of_its_name: bool) -> bool:
    """Whether a measured score is of these weights."""
    if score.weights == LABELS:
        return False
    if model.weights == "random":
        # In place of the published ones, which are not here to be compared.
        has_some = entry(model.model).weights is not None
        said = score.weights in ("published", None) and score.run is None
        return has_some and said and score.model == model.name
    if score.digest is not None:
        return score.digest == model.digest
    if score.run is not None:
        return score.run == model.run
    if is_name(model.model):
        return score.model == model.name and model.weights == "published"
    return score.model == model.name and only_of_its_name


def _claim(model: Measured) -> Score | None:
    """What the authors claim of the published weights."""
    if not is_name(model.model) or model.weights not in ("published", "random"):
        return None
    weights = entry(model.model).weights
    if weights is None or "mIoU" not in weights.claimed:
        return None
    on, _, size = weights.claimed_on.partition(" at ")
    return Score(model.name, weights.claimed["mIoU"], on, size or None, claimed=True)


def _files(place: Path) -> list[Path]:
    patterns = (SCORES, f"*/{SCORES}", f"evaluations/*/{SCORES}")
    return [file for pattern in patterns for file in sorted(place.glob(pattern))]


def _read(file: Path) -> Score:
    run = next((each for each in file.resolve().parents if is_run(each)), None)
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        weights = record.get("weights")
        # Only label images are run by nothing.
        if "runtime" in record and record["runtime"] is None:
            weights = LABELS
        return Score(
            str(record["model"]) if run is None else run_name(run),
            float(record["mIoU"]),
            f"{record['data']} {record['split']}",
            record.get("size"),
            claimed=False,
            run=run,
            weights=weights,
            digest=record.get("weights_digest"),
        )
    except OSError as error:
        raise UserError(f"--scores {file}: cannot be read ({error.strerror})") from error
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"--scores {file}: not the scores of an evaluation ({error!r})") from error
