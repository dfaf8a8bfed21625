"""One file from the network: resumed where it broke off, checked, there whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from triptych import __version__
from triptych.errors import WorkFailed

_LOG = logging.getLogger("triptych")
_BLOCK = 1 << 18
_WORTH_RETRYING = {408, 425, 429, 500, 502, 503, 504}
_RANGE_NOT_SATISFIABLE = 416


@dataclass(frozen=True)
class Patience:
    """How long a download is tried."""

    timeout: float = 30.0
    """Seconds without a byte after which a connection counts as cut."""
    tries: int = 4
    """Connections in a row that bring nothing new before giving up."""
    pause: float = 0.5
    """Seconds before the second try; doubled for every further one."""


@dataclass(frozen=True)
class Expected:
    """The digest that tells a whole file."""

    kind: str
    """`sha256` or `md5`."""
    digest: str | None
    """In hex, or its first digits where no more were published; None where any file will do."""

    def of(self, path: Path) -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, self.kind).hexdigest()

    def is_met_by(self, digest: str) -> bool:
        """Whether a file with this digest is the one."""
        return self.digest is None or digest.startswith(self.digest)


def download(
    address: str,
    target: Path,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    patience: Patience | None = None,
) -> str:
    """Download `address` to the file `target` and return its SHA-256 in hex.

    `sha256` may be its first digits. `md5` is for old data sets that publish nothing better: it
    finds damage, not malice.

    What arrives is kept in `target` + `.part` until it is whole, so that a later call goes on
    where this one broke off. Without a digest nothing can tell whether an earlier part belongs to
    the same file, so it begins anew. Raises WorkFailed, naming the address, where the server
    cannot be reached, breaks off again and again, refuses, or sends a file with another digest.
    """
    patience = patience or Patience()
    expected = Expected("md5", md5) if sha256 is None and md5 else Expected("sha256", sha256)
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(part) as ours:
            if not ours:  # another process finished it while we waited
                return file_sha256(target)
            resumed = part.stat().st_size > 0 and expected.digest is not None
            if not resumed:
                os.truncate(part, 0)
            digest = _complete(address, part, expected, patience)
            if resumed and not expected.is_met_by(digest):
                _LOG.info("what was kept of %s does not fit, beginning anew", target.name)
                os.truncate(part, 0)
                digest = _complete(address, part, expected, patience)
            if not expected.is_met_by(digest):
                size = part.stat().st_size
                part.unlink()
                raise WorkFailed(
                    f"{address} is not the file it should be: expected {expected.kind} "
                    f"{expected.digest}, got {digest} ({size:,} bytes, deleted)"
                )
            part.replace(target)
    except OSError as error:
        raise WorkFailed(f"{target} cannot be written ({error.strerror})") from error
    return digest if expected.kind == "sha256" else file_sha256(target)


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[bool]:
    """Hold `part` against other processes; False where one of them just made a whole file of it."""
    with part.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield part.exists() and os.path.samestat(os.fstat(file.fileno()), part.stat())


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hex."""
    return Expected("sha256", None).of(path)


def _complete(address: str, part: Path, expected: Expected, patience: Patience) -> str:
    """Fill `part` until the server's length, or the digest, says that it is whole."""
    furthest, tries = part.stat().st_size, 0
    with _progress(part.name.removesuffix(".part")) as show:
        while True:
            broken = _receive(address, part, patience.timeout, show)
            if broken is None:
                return expected.of(part)
            size = part.stat().st_size
            # A server that announces more than there is breaks off a file that is whole.
            if size and expected.digest and expected.is_met_by(digest := expected.of(part)):
                return digest
            # Getting further counts as success: a line that is cut every minute still ends.
            tries = 1 if size > furthest else tries + 1
            furthest = max(furthest, size)
            if tries >= patience.tries:
                kept = f"; {size:,} bytes are kept, the same command goes on" if size else ""
                raise WorkFailed(f"{address} cannot be downloaded: {broken}{kept}")
            _LOG.info("%s: %s, trying again", address, broken)
            time.sleep(patience.pause * 2 ** (tries - 1))


def _receive(
    address: str, part: Path, timeout: float, show: Callable[[int, int | None], None]
) -> str | None:
    """Append one response to `part`; None if it was whole, else what went wrong.

    Raises WorkFailed where another try would end alike.
    """
    have = part.stat().st_size
    request = urllib.request.Request(address)
    request.add_header("User-Agent", f"triptych/{__version__}")
    request.add_header("Accept-Encoding", "identity")
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            start, total = _span(response)
            if start != have and start != 0:
                os.truncate(part, 0)
                return f"asked for bytes from {have}, got them from {start}"
            with part.open("r+b") as file:
                file.truncate(start)
                file.seek(start)
                for block in iter(lambda: response.read1(_BLOCK), b""):
                    _write(file.write, block, part)
                    show(file.tell(), total)
                size = file.tell()
    except urllib.error.HTTPError as error:
        with error:
            if error.code == _RANGE_NOT_SATISFIABLE:
                return _whole_or_restart(error.headers.get("Content-Range", ""), part)
            if error.code in _WORTH_RETRYING:
                return f"the server answered {error.code} {error.reason}"
            raise WorkFailed(
                f"{address} cannot be downloaded: the server answered {error.code} {error.reason}"
            ) from None
    except urllib.error.URLError as error:
        return f"the server cannot be reached ({error.reason})"
    except TimeoutError:
        return f"the server sent nothing for {timeout:g} seconds"
    except (ConnectionError, http.client.HTTPException) as error:
        return f"the connection broke ({error or type(error).__name__})"
    if total is not None and size < total:
        return f"the connection ended after {size:,} of {total:,} bytes"
    return None


def _write(write: Callable[[bytes], int], block: bytes, part: Path) -> None:
    """Write, telling a full disk from a broken connection: both are OSError."""
    try:
        write(block)
    except OSError as error:
        raise WorkFailed(f"{part} cannot be written ({error.strerror})") from error


def _span(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Where in the file a response begins, and the file's length where the server tells it."""
    if response.status == http.client.PARTIAL_CONTENT:
        span, _, length = (
            response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        )
        start = span.partition("-")[0]
        if start.isdecimal():
            return int(start), int(length) if length.isdecimal() else None
        return -1, None
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _whole_or_restart(content_range: str, part: Path) -> str | None:
    """What 416 means: nothing is missing, or what is kept is longer than the file."""
    if content_range.rpartition("/")[2] == str(part.stat().st_size):
        return None
    os.truncate(part, 0)
    return "the server has fewer bytes than were kept"


@contextlib.contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on stderr, where somebody looks; call it with the bytes so far and the total."""
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
        disable=not console.is_terminal,
    )
    with progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
