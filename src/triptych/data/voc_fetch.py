"""PASCAL VOC from its authors' server: downloaded, checked, unpacked."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from triptych.aside import aside
from triptych.data.download import Expected, Patience, download
from triptych.data.safe_tar import unpack
from triptych.data.voc import YEARS, voc_cache
from triptych.data.voc_folder import image_sets
from triptych.errors import UserError, WorkFailed

_LOG = logging.getLogger("triptych")


@dataclass(frozen=True)
class Archive:
    """One tar file; md5 is all that was published of it."""

    address: str
    md5: str
    megabytes: int
    """About."""


SERVER = "https://thor.robots.ox.ac.uk/pascal/VOC"
ARCHIVES = {
    "voc2007": (
        Archive(
            f"{SERVER}/voc2007/VOCtrainval_06-Nov-2007.tar", "c52e279531787c972589f7e41ab4ae64", 439
        ),
        Archive(
            f"{SERVER}/voc2007/VOCtest_06-Nov-2007.tar", "b6e924de25625d8de591ea690078ad9f", 431
        ),
    ),
    "voc2012": (
        Archive(
            f"{SERVER}/voc2012/VOCtrainval_11-May-2012.tar",
            "6cd6e144f989b92b3379bac3b3de84fd",
            1900,
        ),
    ),
}
"""Addresses and digests as torchvision 0.26 has them."""
_SPLITS = {"voc2007": ("trainval", "test"), "voc2012": ("trainval",)}


def fetch_voc(
    name: str,
    devkit: Path | None = None,
    *,
    archives: tuple[Archive, ...] | None = None,
    patience: Patience | None = None,
) -> Path:
    """The year's folder in `devkit` (by default the cache's), downloaded where it is not there.

    Downloads go on where they broke off. The folder appears in one rename when all of it is
    unpacked; the archives go then. Raises UserError where something else lies there, WorkFailed
    where a download fails, an archive is not the right one, or the disk is full.
    """
    devkit = devkit or voc_cache()
    target = devkit / YEARS[name]
    if target.exists():
        missing = set(_SPLITS[name]) - set(image_sets(target))
        if missing:
            raise UserError(
                f"{target}: is there but has no {' and no '.join(sorted(missing))}; move it away, "
                "or name another folder with --out"
            )
        return target
    files = []
    for archive in archives or ARCHIVES[name]:
        file = devkit / archive.address.rpartition("/")[2]
        if not (file.is_file() and Expected("md5", archive.md5).of(file) == archive.md5):
            _LOG.info("%s: about %d MB from %s", file.name, archive.megabytes, archive.address)
            download(archive.address, file, md5=archive.md5, patience=patience)
        files.append(file)
    try:
        with aside(target) as part:
            for file in files:
                unpack(file, part / target.name, f"VOCdevkit/{target.name}")
            if missing := set(_SPLITS[name]) - set(image_sets(part / target.name)):
                raise WorkFailed(f"{files[0]}: has no list of {', '.join(sorted(missing))}")
            (part / target.name).rename(target)
    except OSError as error:
        raise WorkFailed(f"{target} cannot be written ({error.strerror})") from error
    for file in files:
        file.unlink(missing_ok=True)
    return target
