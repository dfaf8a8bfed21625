"""A run's network as a file that comes with this package: half precision, and where it is from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from triptych.data.without_place import DATA_FIELD, data_name
from triptych.errors import UserError
from triptych.run import read_json, read_result


def write_shipped(network: nn.Module, run: Path, file: Path) -> None:
    """Write the weights of a run's network, with its recipe and scores as the file's metadata.

    Weights of two or more dimensions are halved; what normalises (biases, scales, statistics) is
    small and keeps its precision, as its range may not fit. Where the data lay is left out: its
    fingerprint says what it was. Raises UserError where the run has not ended.
    """
    result = read_result(run)
    if result is None:
        raise UserError(f"{run} has not ended: run its training to the end first")
    about = {
        "recipe": json.dumps(_without_places(read_json(run / "recipe.json")), sort_keys=True),
        "scores": json.dumps(result["scores"], sort_keys=True),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f"{file.name}.part")
    save_file({k: _halved(v) for k, v in network.state_dict().items()}, aside, metadata=about)
    aside.replace(file)


def _halved(tensor: Tensor) -> Tensor:
    return (tensor.half() if tensor.ndim > 1 else tensor).detach().cpu().contiguous()


def _without_places(record: dict[str, Any]) -> dict[str, Any]:
    """The record of a recipe with every data specification reduced to kind and options."""
    recipe = {
        key: data_name(value) if DATA_FIELD.fullmatch(key) and value else value
        for key, value in record["recipe"].items()
    }
    return record | {"recipe": recipe}
