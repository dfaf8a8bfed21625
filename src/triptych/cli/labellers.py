"""From `--model` and `--weights` to models ready to run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.cli.options import DEFAULT_MODEL
from triptych.errors import UserError

if TYPE_CHECKING:
    from triptych.data.boxes import DetectionData
    from triptych.detect.open_predictor import Opened
    from triptych.segment.labeller import Labeller


def chosen_models(models: Sequence[str]) -> list[str]:
    """The models of a command line, the default one where none is named."""
    return list(models) or [DEFAULT_MODEL]


def with_weights(models: Sequence[str], weights: Sequence[Path]) -> list[tuple[str, Path | None]]:
    """Each model of a command line, the default one where none is named, with its weights file.

    Raises UserError unless there is one file for each model, or none at all.
    """
    chosen = chosen_models(models)
    if weights and len(weights) != len(chosen):
        raise UserError(
            f"{len(weights)} --weights for {len(chosen)} --model: give one for each, in order"
        )
    files: list[Path | None] = list(weights) or [None] * len(chosen)
    return list(zip(chosen, files, strict=True))


def open_labellers(
    models: Sequence[str],
    weights: Sequence[Path],
    *,
    size: tuple[int, int] | None,
    runtime: str,
    device: str,
    scales: tuple[float, ...] | None = None,
    tile: tuple[int, int] | None = None,
    edges: bool = False,
) -> list[Labeller]:
    """The models of a command line, each ready to run.

    Beside networks, folders of label images are left as they are; `scales` are for those that
    have some. Raises UserError where none has, where an option could only be ignored, and where
    `edges` are wanted of a model that predicts none.
    """
    chosen = with_weights(models, weights)
    from triptych.segment.abilities import check_edges, check_scales, has_scales

    named = [name for name, _ in chosen]
    if scales is not None:
        check_scales(named)
    if edges:
        check_edges(named)
    from triptych.segment.open_labeller import is_label_folder, open_labeller

    only_read = [is_label_folder(name) for name in named]
    return [
        open_labeller(name, weights=file)
        if read and not all(only_read)
        else open_labeller(
            name,
            weights=file,
            runtime=runtime,
            size=size,
            device=device,
            scales=scales if has_scales(name) else None,
            tile=tile,
        )
        for (name, file), read in zip(chosen, only_read, strict=True)
    ]


def open_detectors(
    models: Sequence[str],
    weights: Sequence[Path],
    *,
    runtime: str,
    device: str,
    data: DetectionData | None = None,
) -> list[Opened]:
    """The detectors of a command line, each ready to run; `data` is what they are scored on.

    Raises UserError where there is no such detector, and for a runtime that runs none.
    """
    if runtime not in ("auto", "torch"):
        raise UserError(f"--runtime {runtime}: detectors run in PyTorch; leave it out")
    from triptych.detect.open_predictor import open_predictor

    return [
        open_predictor(name, file, data=data, device=device)
        for name, file in with_weights(models, weights)
    ]
