"""Unpacking a tar file from the network: its files, and nothing that leads elsewhere."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath
from typing import IO

from triptych.errors import WorkFailed
from triptych.progress import bar

_BLOCK = 1 << 20


def unpack(
    archive: Path, into: Path, under: str, *, most_files: int = 200_000, most_bytes: int = 10**10
) -> int:
    """Write what lies in the folder `under` of an archive into `into`; return how many files.

    Rights, owners and times of the archive do not enter. Raises WorkFailed for an archive that is
    broken or larger than the limits, and for one that holds a link, a device, an absolute path or
    a path through `..`, wherever in it; what was written by then stays.
    """
    root = PurePosixPath(under)
    files = size = 0
    try:
        with (
            tarfile.open(archive) as tar,
            bar(f"unpack {archive.name}", None, unit="file") as shown,
        ):
            for member in tar:
                path = _checked(archive, member)
                files, size = files + 1, size + member.size
                if files > most_files or size > most_bytes:
                    raise WorkFailed(
                        f"{archive}: holds more than {most_files:,} files or {most_bytes:,} bytes"
                    )
                if not member.isfile() or not path.is_relative_to(root):
                    continue
                content = tar.extractfile(member)
                assert content is not None
                _write(content, into / path.relative_to(root))
                shown.advance()
    except (tarfile.TarError, EOFError) as error:
        raise WorkFailed(f"{archive}: broken or no tar file ({error})") from error
    except OSError as error:
        raise WorkFailed(f"{archive} cannot be unpacked into {into} ({error})") from error
    return files


def _checked(archive: Path, member: tarfile.TarInfo) -> PurePosixPath:
    path = PurePosixPath(member.name)
    if not (member.isfile() or member.isdir()):
        raise WorkFailed(f"{archive}: {member.name!r} is a link or a device, not a file")
    strange = path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name
    if strange:
        raise WorkFailed(f"{archive}: {member.name!r} leads out of the folder")
    return path


def _write(content: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        while block := content.read(_BLOCK):
            file.write(block)
