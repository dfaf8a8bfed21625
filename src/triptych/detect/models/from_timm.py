"""Faster R-CNN with a feature pyramid on any of timm's feature extractors."""

from __future__ import annotations

import difflib
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import timm
import torch
from timm.layers import Conv2dSame
from timm.models._features import FeatureDictNet, FeatureGetterNet, FeatureHookNet
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from triptych.detect.models.detector import Detector
from triptych.detect.models.resnet import BODY
from triptych.detect.models.settings import STRIDES, DetectorSettings
from triptych.errors import UserError
from triptych.normalisation import EFFICIENTNET_LITE, Normalisation

if TYPE_CHECKING:
    from triptych.detect.models.registry import ModelEntry

_PROBE = 64
"""Side in pixels of the picture on which a feature extractor is tried out."""


def timm_fpn(entry: ModelEntry, classes: int, settings: DetectorSettings) -> Detector:
    """A feature pyramid (Lin 2017) over the maps of strides 4 to 32.

    Raises UserError where the architecture has none such, or takes pictures of one size only.
    """
    body = features(entry.trunk)
    backbone = TimmFPN(body, settings.fpn_channels)
    classifiers = classifiers_name(body, entry.trunk)
    names = {classifiers(name): BODY + name for name in body.state_dict()}
    return Detector(
        backbone,
        classes,
        settings,
        entry,
        strides=STRIDES,
        stages=stages_of(body, classifiers),
        trunk=names,
    )


class TimmFPN(nn.Module):
    """timm's features as `body`, torchvision's pyramid as `fpn`, a coarser map by max-pooling."""

    def __init__(self, body: nn.Module, out_channels: int) -> None:
        super().__init__()
        self.body = body
        self._pads_behind = pads_behind(body)
        info: Any = body.feature_info
        self.fpn = FeaturePyramidNetwork(info.channels(), out_channels, LastLevelMaxPool())
        self.out_channels = out_channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = OrderedDict((str(level), each) for level, each in enumerate(self.body(images)))
        if self._pads_behind:
            maps = OrderedDict((level, moved_by_a_cell(each)) for level, each in maps.items())
        if images.device.type == "cpu":  # see `layout.placed`
            maps = OrderedDict((level, each.contiguous()) for level, each in maps.items())
        pyramid: dict[str, Tensor] = self.fpn(maps)
        return pyramid


def pads_behind(body: nn.Module) -> bool:
    """Whether its strided convolutions pad like TensorFlow's: on even sizes more behind."""
    return any(isinstance(module, Conv2dSame) for module in body.modules())


def moved_by_a_cell(each: Tensor) -> Tensor:
    """A map (N, C, H, W) one cell to the right and down, its first line and column repeated.

    Padded symmetrically, cell i of a map of stride s looks at pixel s·i, which is where torchvision
    lays anchors and reads boxes. TensorFlow's padding moves every layer's view by a pixel of its
    own: cell i looks at s·i + s - 1, for pictures whose sides are multiples of 32. Boxes would be
    learnt against objects that seem to lie up to 31 pixels further left and up. Moved by a cell,
    cell i looks at s·i - 1.
    """
    return F.pad(each[:, :, :-1, :-1], (1, 0, 1, 0), mode="replicate")


def features(name: str) -> nn.Module:
    """timm's network down to its maps at strides 4, 8, 16 and 32, with freshly drawn weights.

    Raises UserError for an unknown name and where it has no such maps.
    """
    _known(name)
    body: nn.Module
    refused = f"timm:{name} has no feature maps at strides 4, 8, 16 and 32"
    try:
        whole = timm.create_model(name, pretrained=False, features_only=True)
        strides = list(whole.feature_info.reduction())
        chosen = [strides.index(stride) for stride in STRIDES]
    except Exception as error:  # 1,300 architectures refuse in as many ways
        raise UserError(refused) from error
    if chosen == list(range(len(strides))):
        body = whole
    else:
        body = timm.create_model(
            name, pretrained=False, features_only=True, out_indices=tuple(chosen)
        )
    _try_out(body, name)
    return body


def normalisation_of(name: str) -> Normalisation:
    """How the pictures become input for timm's weights of that name."""
    _known(name)
    if name.startswith("tf_efficientnet_lite"):
        return EFFICIENTNET_LITE
    config: Any = timm.get_pretrained_cfg(name)
    return Normalisation(mean=tuple(config.mean), std=tuple(config.std), scale=1 / 255)


def stages_of(body: nn.Module, classifiers: Callable[[str], str]) -> dict[str, str]:
    """`stem`, `layer1` (stride 4) to `layer4` (stride 32) by entry, as the classifier calls it
    (see `classifiers_name`).

    A stage ends with the module whose output is taken; the stem ends before the first that belongs
    to stride 4. Where the modules cannot be told apart, everything is `trunk`.
    """
    info: Any = body.feature_info
    modules = [classifiers(name) for name, _ in body.named_modules() if name]
    entries = [classifiers(name) for name in body.state_dict()]
    ends = []
    for each in info.info:
        inside = [at for at, m in enumerate(modules) if f"{m}.".startswith(f"{each['module']}.")]
        if not inside:
            return dict.fromkeys(entries, "trunk")
        ends.append((int(each["reduction"]), inside[0], inside[-1]))
    place = {module: at for at, module in enumerate(modules)}
    first = next(start for stride, start, _ in ends if stride == STRIDES[0])
    stem = max((end for stride, _, end in ends if stride < STRIDES[0]), default=first - 1)
    last = {stride: end for stride, _, end in ends}

    def stage(entry: str) -> str:
        at = place.get(entry.rpartition(".")[0], -1)
        if at <= stem:
            return "stem"
        for number, stride in enumerate(STRIDES[:-1], 1):
            if at <= last[stride]:
                return f"layer{number}"
        return "layer4"

    return {entry: stage(entry) for entry in entries}


def classifiers_name(body: nn.Module, name: str) -> Callable[[str], str]:
    """From the name of an entry or a module of an extractor to its name in timm's classifier.

    An extractor may have the classifier inside, or its parts, with the outermost sequences taken
    apart: `features.denseblock1` is `features_denseblock1` then.
    """
    children = [child for child, _ in body.named_children()]
    if isinstance(body, FeatureGetterNet | FeatureHookNet) and children in (["model"], ["body"]):
        return lambda inner: inner.removeprefix(f"{children[0]}.")
    if not isinstance(body, FeatureDictNet | FeatureHookNet):
        return lambda inner: inner
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        whole = timm.create_model(name, pretrained=False)
    apart = {
        f"{outer}_{part}": f"{outer}.{part}"
        for outer, sequence in whole.named_children()
        if isinstance(sequence, nn.Sequential)
        for part, _ in sequence.named_children()
    }

    def renamed(inner: str) -> str:
        first, dot, rest = inner.partition(".")
        return apart.get(first, first) + dot + rest

    return renamed


def _known(name: str) -> None:
    if not timm.is_model(name):
        near = difflib.get_close_matches(name.lower(), timm.list_models(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(f'timm:{n}' for n in near)}?" if near else ""
        raise UserError(f"timm has no architecture {name!r}; {hint}".rstrip("; "))


def _try_out(body: nn.Module, name: str) -> None:
    """Raise UserError unless the maps come as (N, C, H, W) in the sizes that are announced."""
    info: Any = body.feature_info
    wanted = [
        (1, channels, _PROBE // stride, _PROBE // stride)
        for channels, stride in zip(info.channels(), STRIDES, strict=True)
    ]
    body.eval()
    try:
        with torch.no_grad():
            found = [tuple(each.shape) for each in body(torch.zeros(1, 3, _PROBE, _PROBE))]
    except Exception as error:
        what = str(error).strip().split("\n")[0] or type(error).__name__
        raise UserError(
            f"timm:{name} does not take pictures of every size, as a detector must: {what}"
        ) from error
    finally:
        body.train()
    if found != wanted:
        raise UserError(f"timm:{name} gives maps of another shape than it says: {found}")
