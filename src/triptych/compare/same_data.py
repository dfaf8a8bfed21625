"""Cells are comparable only where they saw the same data, whatever path it lay at."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

from triptych.compare.comparison import Comparison
from triptych.compare.folder import cell
from triptych.errors import UserError
from triptych.recipe import Recipe, differences
from triptych.run import read_json

DECIDED_BY = {
    "train": {
        *("data", "train_split", "extra_data", "folds"),
        *("train_images", "val_images", "split_seed"),
    },
    "val": {"data", "val_data", "val_split", "folds", "val_images", "split_seed"},
    "test": {"data", "test_images", "split_seed"},
    "all": {"data", "train_split", "extra_data", "folds"},
    "init": {"model"},
    "code": {"model"},
    "inverse_network": {"boundary"},
}
"""Entry of a run's fingerprint → the recipe's fields that decide it, besides one of the entry's own
name. Images to validate on may be taken from those to train on; with `folds` a run has `all` in
place of `train` and `val`."""

Seen = dict[str, str]


def refuse_other_data(folder: Path, comparison: Comparison) -> None:
    """Raise UserError, naming the cell, where runs of a comparison saw different data or ran
    different code of a model of the user's own.

    Seeds of one arm must have seen the same in every respect. Arms may differ in what follows from
    a field in which their recipes differ: the weights that a run begins with where `init` or
    `model` does, the pictures where `train_images` does. Cells that have not begun are passed over.
    """
    first: dict[str, tuple[int, Seen]] = {}
    for arm, _ in comparison.recipes():
        for seed in comparison.seeds:
            seen = _seen(cell(folder, arm, seed))
            if seen is None:
                continue
            at, known = first.setdefault(arm, (seed, seen))
            if other := _differing(seen, known):
                raise _error(cell(folder, arm, seed), f"{arm} seed {at}", other)
    recipes = dict(comparison.recipes())
    for one, arm in combinations(first, 2):
        (at, known), (seed, seen) = first[one], first[arm]
        explained = _explained(recipes[one], recipes[arm], _differing(seen, known))
        if other := [name for name in _differing(seen, known) if name not in explained]:
            raise _error(cell(folder, arm, seed), f"{one} seed {at}", other)


def _seen(place: Path) -> Seen | None:
    file = place / "recipe.json"
    if not file.exists():
        return None
    record = read_json(file)
    code = {f"code {name}": digest for name, digest in record.get("code", {}).items()}
    return {**record.get("fingerprint", {}), **code}


def _differing(seen: Seen, known: Seen) -> list[str]:
    """The entries in which two fingerprints differ; one may lack some."""
    return [name for name in {**known, **seen} if seen.get(name) != known.get(name)]


def _explained(a: Recipe, b: Recipe, entries: list[str]) -> set[str]:
    """Those of the entries that follow from fields in which two recipes differ."""
    varied = set(differences(a, b))
    kinds = {name: name.partition(" ")[0] for name in entries}
    return {name for name, kind in kinds.items() if varied & {kind, *DECIDED_BY.get(kind, ())}}


def _error(place: Path, other: str, entries: list[str]) -> UserError:
    what = "code" if all(name.startswith("code ") for name in entries) else "data"
    return UserError(
        f"{place} saw other {what} than {other} ({', '.join(entries)}): what the recipe names has "
        "changed in between; put it back as it was, or begin anew with another --out"
    )
