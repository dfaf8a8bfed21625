"""Downloads against a loopback server that speaks the real protocol and misbehaves on demand."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from triptych.data.download import Patience, download
from triptych.errors import WorkFailed

CONTENT = np.random.default_rng(3).integers(0, 256, 300_000, np.uint8).tobytes()
DIGEST = hashlib.sha256(CONTENT).hexdigest()
QUICK = Patience(timeout=2, tries=3, pause=0.01)


class Server:
    """What to serve and how; remembers the Range header of every request."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.ranges = True
        self.break_after: int | None = None
        """Bytes of a body after which the connection is cut."""
        self.breaks = 0
        """How many responses are cut."""
        self.announce: int | None = None
        """Content-Length to claim instead of the true one."""
        self.status: list[int] = []
        """Status codes of the first responses, before any file is served."""
        self.redirect = False
        self.silent = False
        self.wrong_start = False
        self.asked: list[str | None] = []
        self.address = ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    says: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        says = self.says
        wanted = self.headers.get("Range")
        says.asked.append(wanted)
        self.close_connection = True
        if says.silent:
            threading.Event().wait(1.0)
            return
        if says.status:
            self._empty(says.status.pop(0))
            return
        if says.redirect and self.path != "/moved":
            self.send_response(302)
            self.send_header("Location", "/moved")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start, size = 0, len(says.content)
        if wanted and says.ranges:
            match = re.fullmatch(r"bytes=(\d+)-", wanted)
            assert match, wanted
            start = int(match[1])
            if start >= size:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            claimed = start + 7 if says.wrong_start else start
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {claimed}-{size - 1}/{size}")
        else:
            self.send_response(200)
        body = says.content[start:]
        length = len(body) if says.announce is None else says.announce - start
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if says.break_after is not None and says.breaks > 0:
            says.breaks -= 1
            body = body[: says.break_after]
        self.wfile.write(body[:length])

    def _empty(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def server() -> Iterator[Server]:
    says = Server()
    handler = type("Bound", (Handler,), {"says": says})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.02,))
        thread.start()
        says.address = f"http://127.0.0.1:{httpd.server_address[1]}/file.bin"
        yield says
        httpd.shutdown()
        thread.join()


@pytest.fixture
def get(server: Server, tmp_path: Path) -> Callable[[], bytes]:
    def run() -> bytes:
        target = tmp_path / "new" / "file.bin"
        assert download(server.address, target, sha256=DIGEST, patience=QUICK) == DIGEST
        assert [path.name for path in target.parent.iterdir()] == ["file.bin"]
        return target.read_bytes()

    return run


def keep(tmp_path: Path, part: bytes) -> Path:
    """What an earlier, broken-off download left behind."""
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "file.bin.part").write_bytes(part)
    return folder


def test_whole_file_in_one_go(server: Server, get: Callable[[], bytes]) -> None:
    assert get() == CONTENT
    assert server.asked == [None]


def test_resumes_where_the_connection_broke(server: Server, get: Callable[[], bytes]) -> None:
    server.break_after, server.breaks = 100_000, 2
    assert get() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=200000-"]


def test_resumes_what_an_earlier_start_kept(
    server: Server, get: Callable[[], bytes], tmp_path: Path
) -> None:
    keep(tmp_path, CONTENT[:123_456])
    assert get() == CONTENT
    assert server.asked == ["bytes=123456-"]


def test_breaking_off_again_and_again_keeps_the_part(server: Server, tmp_path: Path) -> None:
    server.break_after, server.breaks, server.ranges = 1000, 99, False
    target = tmp_path / "file.bin"
    with pytest.raises(WorkFailed, match=r"1,000 of 300,000 bytes; 1,000 bytes are kept"):
        download(server.address, target, sha256=DIGEST, patience=QUICK)
    assert not target.exists()
    assert (tmp_path / "file.bin.part").read_bytes() == CONTENT[:1000]
    assert len(server.asked) == QUICK.tries


def test_many_breaks_are_survived_as_long_as_each_brings_something(
    server: Server, get: Callable[[], bytes]
) -> None:
    server.break_after, server.breaks = 30_000, 9
    assert get() == CONTENT
    assert len(server.asked) == 10 > QUICK.tries


def test_server_without_ranges_begins_anew(
    server: Server, get: Callable[[], bytes], tmp_path: Path
) -> None:
    server.ranges = False
    keep(tmp_path, CONTENT[:5000])
    assert get() == CONTENT


def test_a_kept_part_of_another_file_is_dropped(
    server: Server, get: Callable[[], bytes], tmp_path: Path
) -> None:
    keep(tmp_path, b"x" * 5000)
    assert get() == CONTENT
    assert server.asked == ["bytes=5000-", None]


def test_a_kept_whole_file_is_not_downloaded_again(
    server: Server, get: Callable[[], bytes], tmp_path: Path
) -> None:
    keep(tmp_path, CONTENT)
    assert get() == CONTENT
    assert server.asked == ["bytes=300000-"]


def test_a_kept_part_longer_than_the_file_is_dropped(
    server: Server, get: Callable[[], bytes], tmp_path: Path
) -> None:
    keep(tmp_path, CONTENT + b"tail")
    assert get() == CONTENT


def test_a_range_that_starts_elsewhere_is_not_spliced(server: Server, tmp_path: Path) -> None:
    server.wrong_start = True
    folder = keep(tmp_path, CONTENT[:5000])
    download(server.address, folder / "file.bin", sha256=DIGEST, patience=QUICK)
    assert (folder / "file.bin").read_bytes() == CONTENT
    assert server.asked == ["bytes=5000-", None]


def test_a_length_announced_too_long_does_not_matter_when_the_digest_fits(
    server: Server, get: Callable[[], bytes]
) -> None:
    server.announce = len(CONTENT) + 1000
    assert get() == CONTENT


def test_a_length_announced_too_short_is_refused(server: Server, tmp_path: Path) -> None:
    server.announce = 1000
    with pytest.raises(WorkFailed, match=r"got .* \(1,000 bytes, deleted\)"):
        download(server.address, tmp_path / "file.bin", sha256=DIGEST, patience=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_file_is_refused_and_deleted(server: Server, tmp_path: Path) -> None:
    server.content = b"not found, but politely"
    got = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(WorkFailed, match=rf"expected sha256 {DIGEST}, got {got}"):
        download(server.address, tmp_path / "file.bin", sha256=DIGEST, patience=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_file_leaves_the_old_one_alone(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")
    server.content = b"wrong"
    with pytest.raises(WorkFailed):
        download(server.address, target, sha256=DIGEST, patience=QUICK)
    assert target.read_bytes() == b"old"


def test_redirects_are_followed(server: Server, get: Callable[[], bytes]) -> None:
    server.redirect = True
    assert get() == CONTENT


def test_busy_servers_are_asked_again(server: Server, get: Callable[[], bytes]) -> None:
    server.status = [503, 429]
    assert get() == CONTENT


def test_missing_files_are_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.status = [404]
    with pytest.raises(WorkFailed, match=r"http://127\.0\.0\.1.*answered 404"):
        download(server.address, tmp_path / "file.bin", sha256=DIGEST, patience=QUICK)
    assert server.asked == [None]


def test_silence_ends_in_a_timeout(server: Server, tmp_path: Path) -> None:
    server.silent = True
    with pytest.raises(WorkFailed, match="cannot be downloaded"):
        download(
            server.address,
            tmp_path / "file.bin",
            patience=Patience(timeout=0.1, tries=2, pause=0.01),
        )
    assert len(server.asked) == 2


def test_unreachable_servers_are_named(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(WorkFailed, match=rf"http://127\.0\.0\.1:{port}/x .*cannot be reached"):
        download(f"http://127.0.0.1:{port}/x", tmp_path / "x", patience=QUICK)


def test_md5_will_do_where_nothing_better_is_published(server: Server, tmp_path: Path) -> None:
    folder = keep(tmp_path, CONTENT[:123_456])
    digest = hashlib.md5(CONTENT).hexdigest()
    got = download(server.address, folder / "file.bin", md5=digest, patience=QUICK)
    assert got == DIGEST
    assert server.asked == ["bytes=123456-"]
    with pytest.raises(WorkFailed, match=rf"expected md5 0+, got {digest}"):
        download(server.address, folder / "other.bin", md5="0" * 32, patience=QUICK)
    assert not (folder / "other.bin").exists()


def test_without_a_digest_an_old_part_is_not_trusted(server: Server, tmp_path: Path) -> None:
    folder = keep(tmp_path, b"x" * 5000)
    assert download(server.address, folder / "file.bin", patience=QUICK) == DIGEST
    assert server.asked == [None]


def test_a_folder_that_cannot_be_made_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(WorkFailed, match=r"taken/file\.bin cannot be written"):
        download(server.address, tmp_path / "taken" / "file.bin", patience=QUICK)


def test_two_at_the_same_time_share_one_file(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    digests: list[str] = []

    def run() -> None:
        digests.append(download(server.address, target, sha256=DIGEST, patience=QUICK))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert digests == [DIGEST] * 4
    assert target.read_bytes() == CONTENT
