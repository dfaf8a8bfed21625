"""A member's folder: its events, and one live checkpoint whatever the number of rounds.

    members/N/metrics.jsonl         one line an event, cut back to the checkpoint on resuming
              checkpoints/step-S/   the newest, and no other but while it is being replaced

A checkpoint's record says besides the state to which round it belongs and, once the member's
interval of that round is complete, what came of it. A process may be killed at any moment: while a
checkpoint is replaced the old one lies hidden beside the new one, and counts if that is missing or
damaged.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

from triptych.checkpoint import (
    RECORD,
    Checkpointable,
    discard,
    flush,
    newest_first,
    seal,
    whole_record,
    write_aside,
)
from triptych.errors import WorkFailed
from triptych.journal import Journal
from triptych.population.records import Hypers, Outcome
from triptych.run import CHECKPOINTS, METRICS, unfinished

MEMBERS = "members"
"""Of a run's folder, where its members' folders are."""

OWN = ("seconds", "stepping", "waited", "processor", "augmenting")
"""Counters of a member's state that are its own, and not of the weights that it takes over."""


class Member:
    """An open member's folder; a context manager that closes its events.

    With `deferred` the end of an interval does not wait for the disk, which meanwhile works on
    while the next member trains: `settle` waits. Until then the old checkpoint is kept beside.
    """

    def __init__(self, folder: Path, *, deferred: bool = False) -> None:
        self.folder = folder
        self._disk = ThreadPoolExecutor(1) if deferred else None
        self._flushing: Future[None] | None = None
        self.round = 0
        """The round whose interval is trained; what is saved belongs to it."""
        self._checkpoints = folder / CHECKPOINTS
        self._checkpoints.mkdir(parents=True, exist_ok=True)
        self._recover()
        self._metrics = Journal(folder / METRICS)

    def __enter__(self) -> Member:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.settle()
        finally:
            if self._disk is not None:
                self._disk.shutdown()
            self._metrics.close()

    def log(self, step: int, split: str, **scores: Any) -> None:
        """Append one event to the member's `metrics.jsonl`."""
        self._metrics.append({"step": step, "split": split, **scores})

    def save(self, state: Checkpointable) -> None:
        """Write a checkpoint in the middle of an interval."""
        self._save(state)

    def finish(self, state: Checkpointable, outcome: Outcome) -> None:
        """Write the checkpoint at the end of an interval, and with it what came of it."""
        self._save(state, self._disk, outcome=dataclasses.asdict(outcome))

    def settle(self) -> None:
        """Wait until what was written is on the disk."""
        if self._flushing is not None:
            self._flushing.result()
            self._flushing = None

    def _save(
        self, state: Checkpointable, disk: ThreadPoolExecutor | None = None, **about: Any
    ) -> None:
        self.settle()
        aside, name = self._checkpoints / ".new.part", f"step-{state.step}"
        lengths = {METRICS: self._metrics.length()}
        if disk is None:
            self._metrics.flush()
            write_aside(aside, state, lengths, round=self.round, **about)
            self._replace(aside, name)
        else:
            write_aside(aside, state, lengths, flushed=False, round=self.round, **about)
            self._exchange(aside, name)
            self._flushing = disk.submit(self._flush, self._checkpoints / name)

    def _flush(self, live: Path) -> None:
        """Have events and checkpoint on the disk, and only then do without the old one."""
        self._metrics.flush()
        for path in (*sorted(live.iterdir()), live):
            flush(path)
        self._clear()

    def restore(self, state: Checkpointable) -> bool:
        """Put the live checkpoint into `state` and cut the events back to it.

        Returns False, with the events emptied, where there is none yet. Raises WorkFailed where
        it is damaged.
        """
        live = self.live()
        if live is None:
            self._metrics.truncate(0)
            return False
        record = whole_record(live)
        if record is None:
            raise WorkFailed(
                f"{live} is damaged, and a member has no other checkpoint; train again in another "
                "--out"
            )
        state.read(live, record["state"])
        self._metrics.truncate(record["lengths"][METRICS])
        return True

    def outcome(self, round: int) -> Outcome | None:
        """What came of the interval of a round; None until it is complete."""
        record = self.record()
        if record is None or record["round"] != round or "outcome" not in record:
            return None
        return Outcome(**record["outcome"])

    def take_over(self, donor: Member, round: int, hypers: Hypers) -> None:
        """After `round`, replace the live checkpoint by the donor's, with other hyperparameters.

        Nothing is done where that was done before. Files of weights are hard links, which is safe
        because a written checkpoint never changes: it is replaced or removed.
        """
        self.settle()
        own, theirs, source = self.record(), donor.record(), donor.live()
        assert own is not None
        assert theirs is not None
        assert source is not None
        if own["round"] > round:
            return
        kept = {key: own["state"][key] for key in OWN if key in own["state"]}
        record = {
            "state": theirs["state"] | kept | {"hypers": dict(hypers)},
            "lengths": own["lengths"],
            "files": theirs["files"],
            "round": round + 1,
        }
        aside = self._checkpoints / ".new.part"
        _link(source, aside, record)
        self._replace(aside, source.name)

    def adopt(self, files: Mapping[str, Any]) -> None:
        """Become what the member has become elsewhere, where it went on from this folder's files.

        `files` are those of its folder there: the bytes by their paths. Nothing is done where there
        is no checkpoint among them. Raises WorkFailed where they did not arrive as they were
        written.
        """
        live = self.record()
        aside, name = self._checkpoints / ".new.part", ""
        if aside.exists():
            shutil.rmtree(aside)
        aside.mkdir()
        for path, content in files.items():
            place = PurePosixPath(path)
            if place.parts[0] == CHECKPOINTS:
                name = place.parts[1]
                (aside / place.name).write_bytes(content)
                flush(aside / place.name)
        if not name:
            return
        record = whole_record(aside)
        if record is None:
            raise WorkFailed(
                f"what arrived for {self.folder} is damaged; run the same command again"
            )
        known = live["lengths"][METRICS] if live is not None else 0
        self._metrics.truncate(known)
        for line in bytes(files[METRICS])[known : record["lengths"][METRICS]].splitlines():
            self._metrics.append(json.loads(line))
        self._metrics.flush()
        flush(aside)
        self._replace(aside, name)

    def live(self) -> Path | None:
        """The folder of the live checkpoint; None where there is none yet."""
        return next(iter(newest_first(self._checkpoints)), None)

    def record(self) -> dict[str, Any] | None:
        """The record of the live checkpoint. Raises WorkFailed where it cannot be read."""
        live = self.live()
        if live is None:
            return None
        try:
            record: dict[str, Any] = json.loads((live / RECORD).read_text())
        except (OSError, ValueError):
            raise WorkFailed(f"{live} is damaged; train again in another --out") from None
        return record

    def _replace(self, aside: Path, name: str) -> None:
        self._exchange(aside, name)
        self._clear()

    def _exchange(self, aside: Path, name: str) -> None:
        """Put a new checkpoint into the place of the old one, which is hidden."""
        for live in newest_first(self._checkpoints):
            live.rename(live.with_name(f".{live.name}.old"))
        aside.rename(self._checkpoints / name)

    def _clear(self) -> None:
        flush(self._checkpoints)
        for old in self._old():
            shutil.rmtree(old)

    def _old(self) -> list[Path]:
        return [path for path in unfinished(self._checkpoints) if path.suffix == ".old"]

    def _recover(self) -> None:
        """Bring back an old checkpoint whose successor is missing or damaged, and clear up."""
        live = self.live()
        for old in self._old():
            if live is not None and whole_record(live) is not None:
                break
            if live is not None:
                shutil.rmtree(live)
            old.rename(old.with_name(old.name.removeprefix(".").removesuffix(".old")))
        for rest in unfinished(self._checkpoints):
            shutil.rmtree(rest)


def show_best(run: Path, best: Member, step: int) -> None:
    """Make the best member's checkpoint the run's own, as `step-N` with N updates of all members.

    What reads a run folder finds weights there, also while the population trains on.
    """
    checkpoints = run / CHECKPOINTS
    source, record = best.live(), best.record()
    assert source is not None
    assert record is not None
    final = checkpoints / f"step-{step}"
    if not final.exists():
        aside = checkpoints / f".step-{step}.part"
        _link(source, aside, record)
        aside.rename(final)
        flush(checkpoints)
    for old in newest_first(checkpoints):
        if old != final:
            discard(old)


def _link(source: Path, aside: Path, record: dict[str, Any]) -> None:
    """A checkpoint with another record and the same files, copied where links cannot be had."""
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir()
    for name in record["files"]:
        try:
            os.link(source / name, aside / name)
        except OSError:
            shutil.copyfile(source / name, aside / name)
            flush(aside / name)
    seal(aside, record)
