"""`init=imagenet` and `init=coco` by name, from files in the real formats, to the first update.

The real weights are a download: these are drawn, and the registry is told their digest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models import resnet50
from torchvision.models.detection import maskrcnn_resnet50_fpn

from triptych.backbones import sources
from triptych.data.download import file_sha256
from triptych.detect.models import entry
from triptych.detect.models.registry import ENTRIES
from triptych.detect.recipes import DetectRecipe
from triptych.detect.train import train
from triptych.run import newest_checkpoint, read_json
from triptych.weights import load

MODEL = "frcnn-r50-fpn"


def drawn(shapes: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights at which a ResNet's activations neither die nor run over."""
    generator = torch.Generator().manual_seed(0)

    def values(name: str, shape: torch.Size) -> Tensor:
        if len(shape) == 4:
            return torch.randn(shape, generator=generator) * (2 / shape[1:].numel()) ** 0.5
        if name.endswith(("running_var", "weight")):
            return torch.rand(shape, generator=generator) + 0.5
        return torch.randn(shape, generator=generator) / 10

    return {name: values(name, each.shape) for name, each in shapes.items()}


def contents(init: str) -> dict[str, Tensor]:
    """Of the file, as torchvision publishes it."""
    with torch.device("meta"):
        model = (
            resnet50()
            if init == "imagenet"
            else maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
        )
    names = {n: v for n, v in model.state_dict().items() if "num_batches" not in n}
    body = {n: v for n, v in names.items() if n.startswith("backbone.body.") or init != "coco"}
    # Nothing is read of the others but their names.
    rest = {n: torch.zeros(()).expand(v.shape) for n, v in names.items() if n not in body}
    return drawn(body) | rest


@pytest.mark.parametrize("init", ["imagenet", "coco"])
def test_a_training_begins_from_it(
    init: str, boxed: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    known: Any = sources.INIT_WEIGHTS["resnet50", init]
    folder = tmp_path / "weights"
    folder.mkdir()
    torch.save(contents(init), folder / known.file)
    sha256 = file_sha256(folder / known.file)
    monkeypatch.setenv("TRIPTYCH_WEIGHTS", str(folder))
    told = replace(known, sha256=sha256, address=None)
    monkeypatch.setitem(sources.INIT_WEIGHTS, ("resnet50", init), told)
    settings = replace(
        entry(MODEL).settings, min_size=64, max_size=64, pad_to=64, rpn_before_nms=(50, 50),
        rpn_after_nms=(50, 50), box_samples=8, fpn_channels=16, head_channels=16,
    )  # fmt: skip
    monkeypatch.setitem(ENTRIES, MODEL, replace(entry(MODEL), settings=settings))
    recipe = DetectRecipe(
        name="detect/test", model=MODEL, data=f"vocxml:{boxed(train=2, val=1)}", epochs=1,
        batch_size=2, lr=1e-6, init=init, norm="train",
    )  # fmt: skip

    result = train(recipe, 0, tmp_path / "run", device="cpu", show_progress=False)

    assert (result["updates"], result["diverged"]) == (1, False)
    loaded = result["init"]["loaded"]
    assert (loaded["share"], loaded["fresh"], loaded["matched"]) == (1.0, [], 265)
    assert len(loaded["matched_entries"]) == 265
    assert (loaded["sha256"], loaded["file"]) == (sha256, known.file)
    assert loaded["without_eps"] == (init == "coco")
    assert (loaded["seen"] is not None) == (init == "coco")
    assert result["init"]["statistics_images"] == 2
    assert read_json(tmp_path / "run" / "init.json") == result["init"]
    assert read_json(tmp_path / "run" / "recipe.json")["fingerprint"]["init"] == f"{init} {sha256}"
    # After an update with so small a rate the weights are still nearly the file's.
    there = load(newest_checkpoint(tmp_path / "run") / "model.safetensors")
    prefix = "" if init == "imagenet" else "backbone.body."
    wanted = load(folder / known.file)[f"{prefix}layer3.2.conv2.weight"]
    torch.testing.assert_close(
        there["backbone.body.layer3.2.conv2.weight"], wanted, atol=1e-3, rtol=0
    )
