"""Which models come near a budget of parameters or multiply-accumulates."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

from triptych.cache import cache_folder
from triptych.classify.models.listing import table
from triptych.classify.models.registry import ENTRIES, TABLE_SIZE
from triptych.errors import UserError
from triptych.progress import bar

Costs = dict[str, int]
"""`parameters` and `macs`."""

CLASSES = 100
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}


def parse_budget(text: str) -> tuple[str, int]:
    """`4.9M` → ("parameters", 4,900,000), `0.15GMACs` → ("macs", 150,000,000).

    A number, then k, M or G (B) or nothing, then `MACs` or nothing; case does not matter. Raises
    UserError for anything else.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgb]?)\s*(macs)?", text.strip().lower())
    value = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not found or value < 1:
        raise UserError(
            f"no budget can be read from {text!r}: give parameters such as 4.9M, or "
            f"multiply-accumulates such as 600MMACs"
        )
    return ("macs" if found[3] else "parameters"), round(value)


def near(budget: str, tolerance: float = 0.02, image_size: int = 32) -> dict[str, Any]:
    """Our models and timm's whose cost lies within that share of the budget, nearest first.

    For 100 classes and images of that size; architectures that cannot take the size are left out.
    The first call for a size measures all of timm, which takes minutes (a progress bar shows it),
    and keeps what it found in the cache folder under timm's version. Raises UserError for a budget
    that cannot be read, or a tolerance outside [0, 1).
    """
    unit, value = parse_budget(budget)
    if not 0 <= tolerance < 1:
        raise UserError(f"a tolerance is a share from 0 to 1, such as 0.02, not {tolerance}")
    ours = {name: _ours(name, image_size) for name in ENTRIES}
    models = [
        {"name": name, "source": source, **costs}
        for source, found in (("triptych", ours), ("timm", _timms(image_size)))
        for name, costs in found.items()
        if costs is not None and abs(costs[unit] - value) <= tolerance * value
    ]
    return {
        "budget": value,
        "unit": unit,
        "tolerance": tolerance,
        "classes": CLASSES,
        "image_size": image_size,
        "models": sorted(models, key=lambda model: abs(model[unit] - value)),
    }


def describe_near(found: dict[str, Any]) -> str:
    """`near()` as a table."""
    unit = "MACs" if found["unit"] == "macs" else "parameters"
    size = found["image_size"]
    title = (
        f"within {found['tolerance']:.1%} of {found['budget']:,} {unit}, for {found['classes']} "
        f"classes and images of {size}x{size}:"
    )
    if not found["models"]:
        return f"{title} none"
    rows = (
        (
            model["name"],
            f"{model['parameters']:,}",
            f"{model['macs'] / 1e6:,.1f}",
            f"{model[found['unit']] / found['budget'] - 1:+.2%}",
            model["source"],
        )
        for model in found["models"]
    )
    return f"{title}\n{table(('model', 'parameters', 'MMACs', 'off by', 'from'), rows)}"


def _ours(name: str, image_size: int) -> Costs | None:
    known = ENTRIES[name]
    if image_size == TABLE_SIZE:
        return {"parameters": known.parameters, "macs": known.macs}
    return _measure(name, image_size)


def _timms(image_size: int) -> dict[str, Costs | None]:
    """Every architecture of timm."""
    import timm

    file = cache_folder() / f"timm-{timm.__version__}-costs-{CLASSES}-{image_size}.jsonl"
    known = _read(file)
    missing = [name for name in timm.list_models() if name not in known]
    if not missing:
        return known
    file.parent.mkdir(parents=True, exist_ok=True)
    total = len(known) + len(missing)
    with (
        file.open("a", encoding="utf-8") as lines,
        bar("timm", total, unit="models", done=len(known)) as shown,
    ):
        for name in missing:
            known[name] = _measure(name, image_size)
            # The line break comes first: an earlier call may have died within a line.
            lines.write("\n" + json.dumps([name, known[name]]))
            shown.advance(note=name)
    return known


def _read(file: Path) -> dict[str, Costs | None]:
    """What earlier calls measured; a line that one of them did not end counts for nothing."""
    known: dict[str, Costs | None] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        with contextlib.suppress(ValueError):
            name, costs = json.loads(line)
            known[name] = costs
    return known


def _measure(name: str, image_size: int) -> Costs | None:
    """The costs, without memory for weights; None where the model cannot be built or run."""
    import torch

    from triptych.classify.models.from_timm import from_timm
    from triptych.training.cost import macs
    from triptych.training.state import parameter_count

    try:
        with torch.device("meta"):
            if name in ENTRIES:
                model = ENTRIES[name].builder(CLASSES, image_size)
            else:
                model = from_timm(name, CLASSES, image_size)
            return {"parameters": parameter_count(model), "macs": macs(model, image_size)}
    except Exception:
        # 1,300 architectures fail in as many ways; whatever the reason, it is no match.
        return None
