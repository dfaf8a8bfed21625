"""The `detect` study as the core sees it."""

from __future__ import annotations

from pathlib import Path

from triptych.data.download import file_sha256
from triptych.data.open_detection import open_detection
from triptych.detect.evaluate import evaluate
from triptych.detect.initialise_weights import load_backbone
from triptych.detect.items import Rules, read_items
from triptych.detect.models import create, entry
from triptych.detect.models.freezing import check_start
from triptych.detect.network import weights_of
from triptych.detect.open_predictor import is_results_file, open_predictor
from triptych.detect.recipes import DetectRecipe
from triptych.detect.scores import METRICS, study_items
from triptych.detect.train import train
from triptych.errors import UserError
from triptych.evaluation_folder import ITEMS, SCORES
from triptych.run import read_json, read_result
from triptych.study import Items, Predictions, Study

RULES = Rules(score_floor=0.05)
"""By which detections are scored that a comparison holds against those of runs: the limits that
every detector of the table has for its own."""


def run_items(folder: Path, metric: str) -> Items | None:
    """What every image of a run's own evaluation contributed to a metric."""
    result = read_result(folder)
    if result is None:
        return None
    name = str(result["data"]).replace(" ", "-")
    return evaluation_items(folder / "evaluations" / name, metric)


def evaluation_items(folder: Path, metric: str) -> Items | None:
    """What every image of the evaluation in `folder` contributed to a score; None where there is
    no such score."""
    file = folder / ITEMS
    return study_items(read_items(file), metric) if file.exists() and metric in METRICS else None


def predict_items(arm: Predictions, data: str, split: str, metric: str, folder: Path) -> Items:
    """Score a run folder, weights of a detector, or another program's COCO results on one split.

    All by the same rules, those by which runs are scored. The evaluation is kept in `folder`; one
    that is there is read where neither the predictions' source nor the data has changed since.
    """
    if arm.size is not None:
        raise UserError(f"--size: {arm.source} resizes pictures itself; leave it out")
    truth = open_detection(data, split)
    source = source_digest(arm)
    if not _is_of(folder, source, truth.fingerprint()):
        opened = open_predictor(arm.source, arm.weights, data=truth)
        about = {**opened.told, "source": source}
        evaluate(opened.predictor, truth, rules=RULES, out=folder, about=about)
    return study_items(read_items(folder / ITEMS), metric)


def _is_of(folder: Path, source: str, fingerprint: str) -> bool:
    """Whether the evaluation that lies there is of this source on this data."""
    if not ((folder / ITEMS).exists() and (folder / SCORES).exists()):
        return False
    scores = read_json(folder / SCORES)
    return bool(scores.get("source") == source and scores.get("fingerprint") == fingerprint)


def source_digest(arm: Predictions) -> str:
    """A digest of what the detections come from: a file of them, weights, or a checkpoint."""
    if arm.weights is not None:
        return f"{arm.source} {file_sha256(arm.weights)}"
    if is_results_file(arm.source):
        return file_sha256(Path(arm.source))
    return file_sha256(weights_of(arm.source))


def evaluated_on(recipe: DetectRecipe, metric: str) -> tuple[str, str]:
    """Data and split of the images that a recipe's runs are scored on, whatever the metric.

    Raises UserError where the recipe draws some of them.
    """
    if recipe.val_images is not None:
        raise UserError(
            f"fixed predictions are scored on the whole split {recipe.val_split}, and "
            f"{recipe.name} draws {recipe.val_images} images of it: leave val_images out"
        )
    return recipe.val_data or recipe.data, recipe.val_split


def check(recipe: DetectRecipe) -> None:
    """Raise UserError where no detector has the recipe's name for it, or it cannot be begun."""
    entry(recipe.model)
    check_start(recipe.init, recipe.norm, recipe.frozen_stages, as_ran=recipe.frozen_random)


def preflight(recipe: DetectRecipe) -> None:
    """Have the weights here that a recipe begins with. Raises as `load_backbone` does."""
    if recipe.init != "random":
        load_backbone(create(recipe.model), recipe.init)


STUDY = Study(
    name="detect",
    train=train,
    check=check,
    metrics=METRICS,
    run_items=run_items,
    predict_items=predict_items,
    evaluation_items=evaluation_items,
    evaluated_on=evaluated_on,
    preflight=preflight,
    group_unit="scenes",
)
