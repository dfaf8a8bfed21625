"""Running the cells of a comparison that are missing, one after the other.

Several processes may work at one folder: a cell in another's hands is left to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from triptych.compare.comparison import Comparison
from triptych.compare.folder import cell, cell_state, failure
from triptych.errors import InUse, Stopped, TriptychError, UserError, WorkFailed
from triptych.recipe import Recipe
from triptych.run import write_json
from triptych.stats.verdicts import FEWEST_SEEDS
from triptych.stopping import StopRequest
from triptych.study import Study

log = logging.getLogger("triptych")


def run_cells(
    folder: Path,
    comparison: Comparison,
    study: Study,
    seeds: tuple[int, ...],
    *,
    decided: Callable[[int], bool] = lambda complete: False,
    device: str = "auto",
    stop: StopRequest | None = None,
    show_progress: bool = True,
) -> None:
    """Train every cell that has no result, all arms of a seed before the next seed.

    `decided(n)` is asked before each seed, with how many come before it; True ends the work. Under
    a sequential plan no seed is begun while an earlier one that could decide is not complete.
    A cell that fails is recorded beside its folder and the others go on. Raises Stopped where
    `stop` asks for it or other processes still work at cells, UserError for a wrong request, and
    WorkFailed, after all others, where cells failed.
    """
    stop = stop or StopRequest()
    elsewhere, failed = 0, 0
    for complete, seed in enumerate(seeds):
        if decided(complete):
            return
        if comparison.until_decided and complete >= FEWEST_SEEDS and (elsewhere or failed):
            break
        for arm, recipe in comparison.recipes():
            if cell_state(folder, arm, seed)["state"] == "done":
                continue
            if stop.reason is not None:
                raise Stopped(
                    f"stopped by {stop.reason} before {arm} seed {seed}; "
                    "run the same command again to go on"
                )
            try:
                _train(folder, study, arm, recipe, seed, device, stop, show_progress)
            except InUse:
                elsewhere += 1
            except WorkFailed as error:
                log.warning("%s seed %d failed: %s", arm, seed, error)
                failed += 1
    if elsewhere:
        raise Stopped(
            f"{elsewhere} cells of {folder} are in the hands of other processes; "
            "run the same command again when they have ended"
        )
    if failed:
        raise WorkFailed(
            f"{failed} cells of {folder} failed (the failed.json beside each says why); "
            "the same command runs them again with the same seeds"
        )


def _train(
    folder: Path,
    study: Study,
    arm: str,
    recipe: Recipe,
    seed: int,
    device: str,
    stop: StopRequest,
    show_progress: bool,
) -> None:
    """One cell. Raises WorkFailed, with the reason on record, where it failed."""
    place = cell(folder, arm, seed)
    try:
        log.info("%s seed %d", arm, seed)
        study.train(recipe, seed, place, device=device, stop=stop, show_progress=show_progress)
    except (Stopped, UserError):
        raise
    except Exception as error:
        text = " ".join(str(error).split()) or "no message"
        reason = text if isinstance(error, TriptychError) else f"{type(error).__name__}: {text}"
        place.parent.mkdir(parents=True, exist_ok=True)
        write_json(failure(folder, arm, seed), {"error": reason})
        raise WorkFailed(reason) from error
    failure(folder, arm, seed).unlink(missing_ok=True)
