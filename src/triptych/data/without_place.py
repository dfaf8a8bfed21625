"""Data specifications without where the data lay, for records that are published."""

from __future__ import annotations

import re
from pathlib import Path

DATA_FIELD = re.compile(r"data|.+_data")
"""A recipe's fields that hold data specifications."""
_OPTION = re.compile(r"\w+=\w+")


def data_name(spec: str, with_folder: bool = False) -> str:
    """`cifar100:../data/x` → `cifar100`, `folder:/a/b,size=64` → `folder:size=64`.

    With `with_folder` the last part of the path stays.
    """
    kind, _, rest = spec.partition(":")
    parts = rest.split(",")
    options = [part for part in parts if _OPTION.fullmatch(part)]
    place = ",".join(part for part in parts if part not in options)
    kept = [Path(place).name, *options] if with_folder and place else options
    return ":".join([kind, ",".join(kept)]) if kept else kind
