"""What is known of every segmentation model, one file a family; imports no torch."""

from __future__ import annotations

from triptych.segment.models.catalogue import dabnet, espnetv2, hrnet, own, pspnet, segformer
from triptych.segment.models.catalogue.entry import ModelEntry

__all__ = ["ENTRIES", "ModelEntry"]

_FAMILIES = (espnetv2, dabnet, hrnet, pspnet, segformer, own)

ENTRIES: dict[str, ModelEntry] = {
    entry.name: entry for family in _FAMILIES for entry in family.ENTRIES
}
"""By name, in the order of the table that `triptych models` prints."""
