"""Names that mmsegmentation gave the weights of PSPNet, as names of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_OURS = (
    # Its stem is one sequence of 8 layers with weights at 0, 1, 3, 4, 6 and 7; timm's ends at 6.
    (r"backbone\.stem\.([01346])\.", r"backbone.conv1.\1."),
    (r"backbone\.stem\.7\.", r"backbone.bn1."),
    # Before the convolution of each level stands the pooling, which has no weights.
    (r"decode_head\.psp_modules\.(\d+)\.1\.conv\.", r"head.levels.\1.conv."),
    (r"decode_head\.psp_modules\.(\d+)\.1\.bn\.", r"head.levels.\1.norm."),
    (r"decode_head\.bottleneck\.conv\.", r"head.fuse.conv."),
    (r"decode_head\.bottleneck\.bn\.", r"head.fuse.norm."),
    (r"decode_head\.conv_seg\.", r"head.classify."),
    (r"auxiliary_head\.convs\.0\.conv\.", r"auxiliary.refine.conv."),
    (r"auxiliary_head\.convs\.0\.bn\.", r"auxiliary.refine.norm."),
    (r"auxiliary_head\.conv_seg\.", r"auxiliary.classify."),
)


def from_mmseg(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same weights under our names; a name that mmsegmentation's PSPNet lacks stays as it is.

    The stages of the backbone, `backbone.layer1` to `4`, have the same names in both.
    """
    return {_our_name(name): value for name, value in weights.items()}


def _our_name(name: str) -> str:
    for theirs, ours in _OURS:
        renamed, found = re.subn(f"^{theirs}", ours, name)
        if found:
            return renamed
    return name
