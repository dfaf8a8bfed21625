"""From what `--model` says to a predictor: a detector that runs, or another program's file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from triptych.data.boxes import DetectionData
from triptych.detect.coco_results import ResultsFile
from triptych.detect.detections import Predictor
from triptych.detect.items import Rules
from triptych.detect.network import open_network, whose_weights
from triptych.errors import UserError
from triptych.exporting import is_exported

RESULTS = ".json"
"""How a file of another program's detections ends."""
TOLD = ("weights", "weights_digest", "runtime", "size")


@dataclass(frozen=True)
class Opened:
    """A predictor, and what one must know to score it."""

    predictor: Predictor
    rules: Rules
    """With the limits on its detections: those that a detector is built with."""
    told: dict[str, str | None] = field(default_factory=lambda: dict.fromkeys(TOLD))
    """For the record: whose `weights` and which (`weights_digest`), the `runtime`, the `size` to
    which pictures are resized; all None for a file."""


def is_results_file(model: str) -> bool:
    """Whether `--model model` is a file of detections rather than a detector."""
    return model.lower().endswith(RESULTS) and not Path(model).is_dir()


def open_predictor(
    model: str,
    weights: Path | None = None,
    *,
    data: DetectionData | None = None,
    device: str = "auto",
) -> Opened:
    """Open `model`: a run folder, a registry name with `weights`, a file that `triptych export`
    wrote, or one of COCO results.

    The last is of the pictures of `data`, and can be scored only. Raises UserError where there
    is no such model, its weights do not fit, or an option could only be ignored.
    """
    if is_results_file(model):
        if data is None:
            raise UserError(
                f"--model {model}: a file of detections, which can only be scored: triptych "
                "evaluate"
            )
        _refuse(f"--model {model}: a file of detections is read, not run", weights, device)
        return Opened(ResultsFile(Path(model), data), Rules())
    if is_exported(Path(model)):
        why = f"--model {model}: an exported file has its weights and runs on the processor"
        _refuse(why, weights, device)
        from triptych.detect.exported import ExportedPredictor

        file = ExportedPredictor(Path(model))
        about = {"runtime": file.runtime, "size": file.size}
        return Opened(file, file.rules, dict.fromkeys(TOLD) | about)
    opened = open_network(model, weights)
    from triptych.detect.predictor import RUNTIME, NetworkPredictor
    from triptych.inference.choice import weights_digest
    from triptych.training.device import pick_device

    settings = opened.model.settings
    told: dict[str, str | None] = {
        "weights": whose_weights(model, weights),
        "weights_digest": weights_digest(opened.model),
        "runtime": RUNTIME,
        "size": f"shorter side {settings.min_size}, longer at most {settings.max_size}",
    }
    predictor = NetworkPredictor(
        opened.name, opened.classes, opened.model.to(pick_device(device)).eval()
    )
    rules = Rules(score_floor=settings.score_floor, max_detections=settings.max_detections)
    return Opened(predictor, rules, told)


def _refuse(why: str, weights: Path | None, device: str) -> None:
    """Raise UserError, naming them, where options are given that could only be ignored."""
    given = {
        "--weights": weights is not None,
        f"--device {device}": device not in ("auto", "cpu"),
    }
    named = [option for option, is_given in given.items() if is_given]
    if named:
        raise UserError(f"{why}; leave out {', '.join(named)}")
