"""What this study knows of a model that `bench` is asked about, and of its scores."""

from __future__ import annotations

from pathlib import Path

from triptych.benching.known_scores import Metric, Model
from triptych.segment.models import entry, is_name
from triptych.segment.network import is_run, network_name

MIOU = Metric("mIoU", resized=True)


def known_model(model: str) -> Model:
    """`model` as `--model` says it, see `open_network`."""
    if is_name(model):
        return Model(network_name(model), registered=True, published=entry(model).weights)
    folder = Path(model)
    run = folder.resolve() if is_run(folder) else None
    return Model(network_name(model), registered=False, run=run)
