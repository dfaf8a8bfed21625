"""Data sets that others published and that `triptych data fetch` downloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from triptych.cache import cache_folder
from triptych.data import cifar100
from triptych.data.voc import YEARS, voc_cache
from triptych.data.voc_fetch import ARCHIVES, fetch_voc
from triptych.errors import UserError

TERMS = {
    "cifar100": "none stated",
    "voc2007": "for research; pictures under the terms of Flickr",
    "voc2012": "for research; pictures under the terms of Flickr",
}


def fetch(name: str, out: Path | None = None) -> Path:
    """The folder of a data set, downloaded where it is not there yet: `out`, or in the cache.

    Raises UserError for another name, WorkFailed where the download fails.
    """
    if name not in TERMS:
        raise UserError(f"no data set '{name}' to fetch; there are {', '.join(TERMS)}")
    if name in YEARS:
        return fetch_voc(name, out)
    if out is not None:
        raise UserError(f"{name} is kept in the cache ({cache_folder()}), without --out")
    return cifar100.fetch()


def data_records() -> list[dict[str, Any]]:
    """For each data set: name, study, megabytes, terms, and where it lies (None: not here)."""
    places = {
        "cifar100": cache_folder() / "cifar100",
        **{n: voc_cache() / y for n, y in YEARS.items()},
    }
    return [
        {
            "name": name,
            "study": "detect" if name in YEARS else "classify",
            "megabytes": sum(a.megabytes for a in ARCHIVES[name]) if name in YEARS else 169,
            "terms": terms,
            "here": str(places[name]) if places[name].is_dir() else None,
        }
        for name, terms in TERMS.items()
    ]


def describe_data(records: list[dict[str, Any]]) -> str:
    """The same as a table for a person."""
    return "\n".join(
        f"{row['name']:<10} {row['study']:<9} {row['megabytes']:>6,} MB  "
        f"{row['here'] or 'not here':<9}  terms: {row['terms']}"
        for row in records
    )
