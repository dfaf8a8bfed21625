"""From the names of models to names of files and folders."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence


def file_names(names: Sequence[str]) -> list[str]:
    """Names that are unique and fit for files and folders."""
    taken: Counter[str] = Counter()
    result = []
    for name in names:
        plain = re.sub(r"[^\w.+-]+", "_", name).strip("._") or "model"
        taken[plain] += 1
        result.append(plain if taken[plain] == 1 else f"{plain}-{taken[plain]}")
    return result
