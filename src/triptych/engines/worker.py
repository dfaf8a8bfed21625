"""A worker: a process on some node that does one piece of work after the other.

It keeps what it has opened, such as the data, and gets and gives folders as files. The pool makes
an actor of it, with two threads, one of which stays free to be asked how far it is and to be told
to stop.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.engines.files import Files, pack, unpack
from triptych.errors import Stopped, UserError
from triptych.progress import Bar
from triptych.stopping import StopRequest

VERSIONS = ("triptych", "torch", "numpy")
"""Programs that decide the digits of a result: driver and workers must have the same."""


class Told(StopRequest):
    """A request to stop that comes from the driver, not from a signal."""

    def __init__(self) -> None:
        super().__init__()
        self.told: str | None = None

    @property
    def reason(self) -> str | None:
        return self.told


class Watch(Bar):
    """Counts what a bar would show, for a driver that asks now and then."""

    def __init__(self) -> None:
        self.done = self.total = 0
        self.note = ""

    def advance(self, count: int = 1, note: str | None = None) -> None:
        self.done += count
        self.note = self.note if note is None else note

    @contextlib.contextmanager
    def training(self, member: int, updates: int, done: int = 0) -> Iterator[Bar]:
        """The view of a population that has this member alone."""
        self.done, self.total, self.note = done, updates, ""
        yield self


Do = Callable[[Any, Path, StopRequest, Watch], None]
"""Does a piece of work in a folder, which holds what the driver's folder held."""


@dataclass(frozen=True)
class Setting:
    """How every worker of a pool is to be."""

    threads: int
    device: str
    """`cpu` or `cuda`."""
    command: Sequence[str]
    """The driver's command line, which records of runs name."""
    versions: dict[str, str]

    @classmethod
    def here(cls, threads: int, device: str) -> Setting:
        return cls(threads, device, tuple(sys.argv), versions())


def versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in VERSIONS}


class Worker:
    """One process; `open` comes first, then `run` as often as there is work."""

    def __init__(self) -> None:
        self._threads = 1
        self._do: Do | None = None
        self._stop, self._watch = Told(), Watch()

    def open(
        self, given: tuple[Callable[..., Do], Sequence[Any]], setting: Setting
    ) -> tuple[str, str]:
        """Get ready; returns the device in words and the node. Raises UserError where this node
        has another version of a program than the driver."""
        # What a run records as its command is the driver's, not that of Ray's own worker.
        sys.argv = list(setting.command)
        self._threads = setting.threads
        self._use_threads()
        with _on_this_node():
            for name, ours in versions().items():
                if ours != setting.versions[name]:
                    raise UserError(
                        f"the command was started with {name} {setting.versions[name]}, and a node "
                        f"has {ours}: install the same on every node"
                    )
            make, arguments = given
            self._do = make(*arguments, setting.device)
        import ray

        return device_in_words(setting.device), ray.get_runtime_context().get_node_id()

    def run(self, work: Any, files: Files) -> tuple[str | None, Files]:
        """Do one piece of work; returns why it stopped before its end, if it did, and its files."""
        assert self._do is not None
        self._use_threads()
        self._stop, self._watch = Told(), Watch()
        with tempfile.TemporaryDirectory(prefix="triptych-") as name:
            folder = Path(name) / "work"
            unpack(files, folder)
            stopped = None
            try:
                with _on_this_node():
                    self._do(work, folder, self._stop, self._watch)
            except Stopped as error:
                stopped = str(error)
            return stopped, pack(folder)

    def stop(self, reason: str) -> None:
        """Have the work stop at its next safe point."""
        self._stop.told = reason

    def progress(self) -> tuple[int, int, str]:
        """Updates done, of how many, and a note."""
        return self._watch.done, self._watch.total, self._watch.note

    def _use_threads(self) -> None:
        import torch

        # Per thread in OpenMP, and Ray may call each time from another one.
        torch.set_num_threads(self._threads)


def device_in_words(name: str) -> str:
    from triptych.training.device import device_name, pick_device

    return device_name(pick_device(name))


@contextlib.contextmanager
def _on_this_node() -> Iterator[None]:
    """What the user must mend, such as a missing folder, may have to be mended on this node."""
    try:
        yield
    except UserError as error:
        import ray

        node = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        raise type(error)(f"{error} (on node {node})") from None
