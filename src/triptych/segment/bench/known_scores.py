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
from triptych.segment.network import is_run, run_name


@dataclass(frozen=True)
class Score:
    """What one evaluation says of one model."""

    model: str
    mIoU: float
    on: str
    """Data and split."""
    size: str | None
    """WIDTHxHEIGHT to which frames were resized for the model; None where they were not."""
    claimed: bool
    """Whether its authors say so, and nobody here measured it."""


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
        # In a run's own evaluations the model has the name of its architecture.
        name = run_name(place) if is_run(place) else None
        found += [_read(file, name) for file in files]
    return found


def score_of(model: str, shown: str, measured: Sequence[Score]) -> Score | None:
    """The score to show for `--model model`, whose name in the table is `shown`.

    A measured one, a run's own evaluation if need be, else the claimed one; of several the last.
    Where the measured ones are of different data, that which most of the models share comes first.
    """
    own = read_scores([Path(model)]) if is_run(Path(model)) and _files(Path(model)) else []
    shared = Counter(score.on for score in measured)
    fitting = [score for score in [*own, *measured] if score.model in (model, shown)]
    if fitting:
        return max(reversed(fitting), key=lambda score: shared[score.on])
    weights = entry(model).weights if is_name(model) else None
    if weights is None or "mIoU" not in weights.claimed:
        return None
    on, _, size = weights.claimed_on.partition(" at ")
    return Score(shown, weights.claimed["mIoU"], on, size or None, claimed=True)


def _files(place: Path) -> list[Path]:
    patterns = (SCORES, f"*/{SCORES}", f"evaluations/*/{SCORES}")
    return [file for pattern in patterns for file in sorted(place.glob(pattern))]


def _read(file: Path, name: str | None) -> Score:
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return Score(
            name or str(record["model"]),
            float(record["mIoU"]),
            f"{record['data']} {record['split']}",
            record.get("size"),
            claimed=False,
        )
    except OSError as error:
        raise UserError(f"--scores {file}: cannot be read ({error.strerror})") from error
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"--scores {file}: not the scores of an evaluation ({error!r})") from error
