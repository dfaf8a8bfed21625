"""Pictures in a folder a class: what is there, and what does not belong."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from triptych.data.image_reading import ENDINGS
from triptych.errors import UserError

_LOG = logging.getLogger("triptych")


def list_classes(folder: Path) -> dict[str, list[Path]]:
    """The pictures of every class folder, classes and pictures in the order of their names.

    Sub-folders of a class belong to it. Hidden files are passed over, as are files of other
    kinds, with one warning. Raises UserError for a class without a picture.
    """
    found: dict[str, list[Path]] = {}
    others: list[Path] = []
    for place in visible(folder):
        if not place.is_dir():
            others.append(place)
            continue
        files = [path for path in sorted(place.rglob("*")) if path.is_file()]
        files = [path for path in files if not _hidden(path.relative_to(folder))]
        found[place.name] = [path for path in files if path.suffix.lower() in ENDINGS]
        others += [path for path in files if path.suffix.lower() not in ENDINGS]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        _LOG.warning("%s%s: no pictures in a class folder, passed over", others[0], more)
    for name, files in found.items():
        if not files:
            raise UserError(
                f"{folder / name}: class without a picture ({', '.join(ENDINGS)}); "
                f"remove the folder or fill it"
            )
    return found


def visible(folder: Path) -> list[Path]:
    """What lies in a folder, by name, without hidden files."""
    return sorted(path for path in folder.iterdir() if not _hidden(Path(path.name)))


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "__")) for part in path.parts)


def content_digest(groups: Mapping[str, Iterable[Path]], root: Path) -> str:
    """SHA-256 of the names under `root` and the bytes of all these files, by class."""
    digest = hashlib.sha256()
    for name, files in groups.items():
        for path in files:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{name}\n{path.relative_to(root).as_posix()}\n{content}\n".encode())
    return digest.hexdigest()


def check_same_classes(splits: Mapping[Path, Sequence[str]]) -> None:
    """Raises UserError naming the classes that some of the folders lack."""
    everything = {name for names in splits.values() for name in names}
    for folder, names in splits.items():
        if lacking := sorted(everything - set(names)):
            raise UserError(
                f"{folder}: has no class {', '.join(lacking)}, which another split has; "
                f"all splits need the same classes"
            )
