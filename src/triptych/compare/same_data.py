"""Cells are comparable only where they saw the same data, whatever path it lay at."""

from __future__ import annotations

from pathlib import Path

from triptych.compare.comparison import Comparison
from triptych.compare.folder import cell
from triptych.errors import UserError
from triptych.run import read_json


def refuse_other_data(folder: Path, comparison: Comparison) -> None:
    """Raise UserError, naming the cell, where runs of a comparison saw different data.

    Where the arms may differ in `data`, this holds for the seeds of each arm alone; weights that a
    field names, such as `init`, are no data where that field may differ.
    """
    per_arm = bool(comparison.varies & {"data", "val_data"})
    first: dict[str, tuple[str, dict[str, str]]] = {}
    for seed in comparison.seeds:
        for arm, _ in comparison.recipes():
            file = cell(folder, arm, seed) / "recipe.json"
            if not file.exists():
                continue
            whole = read_json(file).get("fingerprint", {})
            found = {
                name: digest for name, digest in whole.items() if name not in comparison.varies
            }
            name, other = first.setdefault(arm if per_arm else "", (f"{arm} seed {seed}", found))
            if found != other:
                splits = [key for key in found if found.get(key) != other.get(key)]
                raise UserError(
                    f"{cell(folder, arm, seed)} saw other data than {name} ({', '.join(splits)}): "
                    "the data has changed in between; remove the cells made with the wrong one"
                )
