"""Loads into a detector's backbone what `init` names."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from triptych.backbones.by_name import match, tensors_of
from triptych.backbones.folding import fold, without_eps
from triptych.backbones.lite_coco import load_coco
from triptych.backbones.lite_imagenet import imagenet_file, load_in_order
from triptych.backbones.sources import (
    COCO_DETECTORS,
    COCO_SEEN,
    INIT_WEIGHTS,
    Packaged,
    coco_detector,
)
from triptych.data.download import file_sha256
from triptych.detect.initialise_record import INIT, Loaded, some
from triptych.detect.models import entry
from triptych.detect.models.detector import Detector
from triptych.errors import UserError, WorkFailed
from triptych.run import newest_checkpoint, read_json
from triptych.weights import Published, fetch, load

LEAST_SHARE = 0.9
"""Of a backbone's parameters, those that a file must hold to be its weights."""


def load_backbone(model: Detector, init: str) -> Loaded:
    """Load `init` (`random`, `imagenet`, `coco`, a file or a run folder) into the backbone.

    Raises UserError where there are no such weights for this backbone, they hold less than 90 % of
    its parameters or are no numbers, WorkFailed where a download fails.
    """
    if init == "random":
        return Loaded(matched=0, share=0.0, fresh=entries_of(model))
    loaded = _named(model, init) if init in ("imagenet", "coco") else _from_path(model, Path(init))
    check_numbers(model, f"{loaded.file}")
    return loaded


def check_numbers(model: Detector, where: str) -> None:
    """Raise UserError, after `where`, with the first entry of the backbone that BatchNorm cannot
    compute with: one that is not finite, or a variance that is negative."""
    names = {ours: theirs for theirs, ours in model.trunk.items()}
    state = model.state_dict()
    for ours, theirs in names.items():
        if not state[ours].isfinite().all():
            raise UserError(
                f"{where}: {theirs} has values that are no finite numbers; take other weights"
            )
    for name, norm in model.trunk_norms().items():
        if norm.running_var is not None and (norm.running_var + norm.eps <= 0).any():
            theirs = names[f"{name}.running_var"]
            raise UserError(f"{where}: {theirs} has negative variances; take other weights")


def _named(model: Detector, init: str) -> Loaded:
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
    seen = COCO_SEEN if init == "coco" else None
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
    return _by_name(model, file)


def _from_path(model: Detector, path: Path) -> Loaded:
    file, name, source = _file_of(path)
    loaded = replace(_by_name(model, file), source=source, file=name)
    run = _run_of(file)
    return loaded if run is None else replace(loaded, seen=_seen_by(run))


def _run_of(file: Path) -> Path | None:
    """The run folder that a checkpoint's file lies in; None for any other file."""
    run = file.absolute().parent.parent.parent
    return run if (run / "recipe.json").is_file() else None


def _seen_by(run: Path) -> str | None:
    """What the weights had seen that a run began from."""
    record = read_json(run / INIT) if (run / INIT).is_file() else {}
    loaded = record.get("loaded")
    seen = loaded.get("seen") if isinstance(loaded, dict) else None
    return seen if isinstance(seen, str) else None


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
    given = tensors_of(load(file))
    found = match(own, _with_one_body(given))
    if found.share < LEAST_SHARE:
        raise UserError(
            f"{file} holds {found.share:.1%} of a {model.trunk_name}, and {LEAST_SHARE:.0%} is the "
            f"least: {some(found.fresh)} missing or of another shape, {some(found.left_out)} "
            "left over"
        )
    state = {model.trunk[theirs]: value for theirs, value in found.state.items()}
    model.load_state_dict(state, strict=False)
    sha256 = file_sha256(file)
    detector = coco_detector(sha256)
    no_eps = _trained_without_eps(given) if detector is None else COCO_DETECTORS[detector]
    no_eps = no_eps and _run_of(file) is None
    if no_eps:
        for norm in model.trunk_norms().values():
            without_eps(norm)
    return Loaded(
        matched=len(found.state),
        share=found.share,
        fresh=found.fresh,
        matched_entries=tuple(found.state),
        left_out=found.left_out,
        file=file.name,
        sha256=sha256,
        without_eps=no_eps,
        seen=None if detector is None else COCO_SEEN,
    )


def _trained_without_eps(given: Collection[str]) -> bool:
    """Whether entries of these names are of a torchvision detector whose BatchNorm had an eps of 0.

    That of its Faster and Mask R-CNN from COCO had, and so has what was trained on from them. In
    such a file BatchNorm was frozen, so that it counts no batches. What torchvision's newer
    releases train from ImageNet is called the same, with an eps of 1e-5: a file does not tell, and
    is taken for the former, which is the usual one to be handed on.
    """
    first = "backbone.body.conv1.weight"
    for name in given:
        prefix = name.removesuffix(first)
        if name == prefix or prefix[-1:] not in ("", "."):
            continue
        rest = [each.removeprefix(prefix) for each in given if each.startswith(prefix)]
        counts = any(
            each.startswith("backbone.body.") and each.endswith("num_batches_tracked")
            for each in rest
        )
        heads = all(any(n.startswith(part) for n in rest) for part in ("rpn.", "roi_heads."))
        return heads and not counts
    return False


def _with_one_body(content: Mapping[str, Tensor]) -> dict[str, object]:
    """A C4 detector keeps the last stage of its backbone in its head: put it back."""
    head = re.compile(r"roi_heads\.box_head\.(?=layer4\.)")
    return {head.sub("backbone.body.", name): value for name, value in content.items()}


def _whole(model: Detector, file: Path, left_out: list[str]) -> Loaded:
    return Loaded(
        matched=len(entries_of(model)),
        share=1.0,
        fresh=(),
        matched_entries=entries_of(model),
        left_out=tuple(left_out),
        file=file.name,
        sha256=file_sha256(file),
        folded=True,
    )


def _body(model: Detector) -> nn.Module:
    return cast(nn.Module, model.backbone.body)
