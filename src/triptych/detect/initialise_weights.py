"""Loads into a detector's backbone what `init` names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from torch import nn

from triptych.backbones.by_name import match
from triptych.backbones.folding import fold
from triptych.backbones.lite_coco import load_coco
from triptych.backbones.lite_imagenet import imagenet_file, load_in_order
from triptych.backbones.sources import INIT_WEIGHTS, Packaged
from triptych.data.download import file_sha256
from triptych.detect.initialise_record import Loaded, some
from triptych.detect.models import entry
from triptych.detect.models.detector import Detector
from triptych.errors import UserError, WorkFailed
from triptych.run import newest_checkpoint
from triptych.weights import Published, fetch, load

LEAST_SHARE = 0.9
"""Of a backbone, what a file must hold of it to be its weights."""


def load_backbone(model: Detector, init: str) -> Loaded:
    """Load `init` (`random`, `imagenet`, `coco`, a file or a run folder) into the backbone.

    Raises UserError where there are no such weights for this backbone or they hold less than 90 %
    of it, WorkFailed where a download fails.
    """
    if init == "random":
        return Loaded(matched=0, share=0.0, fresh=entries_of(model))
    if init not in ("imagenet", "coco"):
        return _from_path(model, Path(init))
    weights = INIT_WEIGHTS.get((model.trunk_name, init))
    if weights is None:
        raise UserError(
            f"no {init} weights are known for {model.trunk_name}: --set init=FILE with its "
            "weights, or --set init=random"
        )
    if isinstance(weights, Packaged):
        loaded = _from_package(model)
    else:
        loaded = _from_published(model, weights)
    seen = "COCO, with boxes of all 20 classes of VOC" if init == "coco" else None
    return replace(loaded, source=weights.source, licence=weights.licence, seen=seen)


def init_digest(model: str, init: str) -> str:
    """Whose weights a detector's `init` is: a name with what is published under it, or the SHA-256
    of a file. Opens no weights. Raises UserError where there is no such file or run."""
    if init == "random":
        return init
    if init in ("imagenet", "coco"):
        weights = INIT_WEIGHTS.get((entry(model).trunk, init))
        if isinstance(weights, Packaged):
            return f"{init} {weights.package}"
        return f"{init} {weights.sha256}" if weights else init
    return file_sha256(_file_of(Path(init))[0])


def entries_of(model: Detector) -> tuple[str, ...]:
    """The backbone's parameters and statistics, by torchvision's or timm's names."""
    return tuple(name for name in model.trunk if not name.endswith("num_batches_tracked"))


def _from_package(model: Detector) -> Loaded:
    file = imagenet_file(int(model.trunk_name[-1]))
    left_out = load_in_order(_body(model), load(file))
    fold(_body(model))  # as its COCO weights come
    return _whole(model, file, left_out)


def _from_published(model: Detector, weights: Published) -> Loaded:
    try:
        file = fetch(weights)
    except WorkFailed as error:
        raise WorkFailed(
            f"{error}; put {weights.file} into a folder named by TRIPTYCH_WEIGHTS, or --set "
            "init=random"
        ) from None
    if file.suffix == ".tflite":
        return _whole(model, file, load_coco(_body(model), file))
    loaded = _by_name(model, file)
    if weights is INIT_WEIGHTS["resnet50", "coco"]:
        # It was trained with a BatchNorm that added nothing to the variance (torchvision #2933),
        # and torchvision gives it an eps of 0; this one keeps its own.
        for norm in model.trunk_norms().values():
            assert norm.running_var is not None
            norm.running_var.sub_(norm.eps)
    return loaded


def _from_path(model: Detector, path: Path) -> Loaded:
    file, name, source = _file_of(path)
    return replace(_by_name(model, file), source=source, file=name)


def _file_of(path: Path) -> tuple[Path, str, str]:
    """The file of weights that a path means, its name, and whose weights they are."""
    if path.is_file():
        return path, path.name, f"the file {path.name}"
    if not path.is_dir():
        raise UserError(
            f"init={path}: neither random, imagenet or coco, nor a file of weights or a run folder"
        )
    checkpoint = _checkpoint_of(path)
    averaged = checkpoint / "ema.safetensors"
    file = averaged if averaged.exists() else checkpoint / "model.safetensors"
    return file, f"{path.name}/{file.relative_to(path)}", f"the run {path.name}"


def _checkpoint_of(folder: Path) -> Path:
    try:
        return newest_checkpoint(folder)
    except UserError:
        # A training of several models, one for each drive.
        inner = sorted(each.parent for each in folder.glob("*/*/recipe.json"))
        if not inner:
            raise
        raise UserError(f"{folder} has several models: give one's folder, {inner[0]}") from None


def _by_name(model: Detector, file: Path) -> Loaded:
    entries = model.state_dict()
    own = {theirs: entries[ours] for theirs, ours in model.trunk.items()}
    found = match(own, _with_one_body(load(file)))
    if found.share < LEAST_SHARE:
        raise UserError(
            f"{file} holds {found.share:.1%} of a {model.trunk_name}, and {LEAST_SHARE:.0%} is the "
            f"least: {some(found.fresh)} missing or of another shape, {some(found.left_out)} "
            "left over"
        )
    state = {model.trunk[theirs]: value for theirs, value in found.state.items()}
    model.load_state_dict(state, strict=False)
    return Loaded(
        matched=len(found.state),
        share=found.share,
        fresh=found.fresh,
        left_out=found.left_out,
        file=file.name,
        sha256=file_sha256(file),
    )


def _with_one_body(content: Mapping[str, object]) -> dict[str, object]:
    """A C4 detector keeps the last stage of its backbone in its head: put it back."""
    head = re.compile(r"roi_heads\.box_head\.(?=layer4\.)")
    return {head.sub("backbone.body.", name): value for name, value in content.items()}


def _whole(model: Detector, file: Path, left_out: list[str]) -> Loaded:
    return Loaded(
        matched=len(entries_of(model)),
        share=1.0,
        fresh=(),
        left_out=tuple(left_out),
        file=file.name,
        sha256=file_sha256(file),
        folded=True,
    )


def _body(model: Detector) -> nn.Module:
    return cast(nn.Module, model.backbone.body)
