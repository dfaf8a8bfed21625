"""The run folder: one recipe with one seed, its metrics, checkpoints and result.

    RUN/recipe.json      what decides the result: recipe, seed, fingerprint of the data; where the
                         model is the user's own, the sha256 of its code
        runtime.json     command, versions, device, threads, git commit
        metrics.jsonl    one line an event, truncated to the checkpoint on resuming
        checkpoints/     step-N/, written aside and renamed once; the newest whole one counts
        result.json      written last: its presence means that the run ended

A process may be killed at any moment, also in the middle of any write, and the run goes on from
its newest whole checkpoint as if nothing had happened. No torch is imported here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import glob
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

from triptych.checkpoint import (
    Checkpointable,
    discard,
    flush,
    newest_first,
    whole_record,
    write_aside,
)
from triptych.errors import InUse, UserError
from triptych.journal import Journal
from triptych.own_code import differing
from triptych.own_model import digests
from triptych.processes import alive
from triptych.recipe import PLACES, Recipe

log = logging.getLogger("triptych")

KEPT_CHECKPOINTS = 2
"""The newest, and one before it in case the disk damaged the newest."""


METRICS = "metrics.jsonl"
CHECKPOINTS = "checkpoints"

_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
"""What a file system without locks says: Lustre as it is mounted by default, NFS without a lock
service."""
_LOCKLESS: set[int] = set()
"""The file systems that were warned of."""
_DAMAGED: set[Path] = set()
"""The checkpoints that were warned of."""


class Log(Protocol):
    """Where a training says how it goes."""

    def log(self, step: int, split: str, **scores: Any) -> None: ...


class Keeper(Protocol):
    """Where the checkpoints of a training are kept."""

    def save(self, state: Checkpointable) -> None: ...


class Run:
    """An open run folder. Made by `Run.open`; a context manager that releases its lock."""

    def __init__(self, folder: Path, lock: IO[str]) -> None:
        self.folder = folder
        self._lock = lock
        self._metrics = Journal(folder / METRICS)

    @classmethod
    def open(
        cls,
        folder: Path,
        recipe: Recipe,
        seed: int,
        fingerprint: Mapping[str, str],
        runtime: Mapping[str, Any] | None = None,
    ) -> Run:
        """Open a run's folder, made if it is missing.

        `fingerprint` gives a digest for each split of the data; the data's path may change, its
        content may not. The code of a model of the user's own is on record beside it. Raises
        UserError where the folder holds something else, belongs to another recipe, seed, data or
        code (what differs is named), or is in use by another process.
        """
        record = {
            "recipe": dataclasses.asdict(recipe),
            "seed": seed,
            "fingerprint": dict(fingerprint),
        }
        if (code := digests(recipe.model)) is not None:
            record["code"] = dict(code)
        make_folder(folder)
        file = folder / "recipe.json"
        if not file.exists():
            _refuse_strangers(folder)
        lock = _lock(folder)
        try:
            if file.exists():
                _refuse_another(folder, read_json(file), record, _defaults(recipe))
            else:
                write_json(file, record)
            if runtime is not None:
                write_json(folder / "runtime.json", dict(runtime))
            checkpoints = folder / CHECKPOINTS
            checkpoints.mkdir(exist_ok=True)
            for half in unfinished(checkpoints):
                shutil.rmtree(half)
            return cls(folder, lock)
        except BaseException:
            lock.close()
            raise

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._metrics.close()
        self._lock.close()

    def log(self, step: int, split: str, **scores: Any) -> None:
        """Append one event to `metrics.jsonl`."""
        self._metrics.append({"step": step, "split": split, **scores})

    def save(self, state: Checkpointable) -> None:
        """Write a checkpoint: aside, flushed to the disk, then renamed once."""
        self._metrics.flush()
        checkpoints = self.folder / CHECKPOINTS
        final = checkpoints / f"step-{state.step}"
        aside = checkpoints / f".step-{state.step}.part"
        write_aside(aside, state, {METRICS: self._metrics.length()})
        if final.exists():
            discard(final)
        aside.rename(final)
        flush(checkpoints)
        for old in newest_first(checkpoints)[KEPT_CHECKPOINTS:]:
            discard(old)

    def restore(self, state: Checkpointable) -> bool:
        """Put the newest whole checkpoint into `state` and cut the metrics back to it.

        Returns False, with the metrics emptied, where there is no checkpoint yet.
        """
        for checkpoint in newest_first(self.folder / CHECKPOINTS):
            record = whole_record(checkpoint)
            if record is None:
                log.warning(
                    "%s is damaged; going on from the one before it", self.folder / checkpoint.name
                )
                discard(checkpoint)
                continue
            state.read(checkpoint, record["state"])
            self._metrics.truncate(record["lengths"][METRICS])
            return True
        self._metrics.truncate(0)
        return False

    def restart(self) -> None:
        """Empty the metrics, for what has no checkpoints of its own and begins anew each time."""
        self._metrics.truncate(0)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write `result.json`, which says that the run ended."""
        self._metrics.flush()
        write_json(self.folder / "result.json", dict(result))


def unfinished(checkpoints: Path) -> list[Path]:
    """The folders that a process left which was killed while it wrote or removed a checkpoint.

    Other hidden things there, such as .DS_Store or the .nfs… of an open file, are not ours.
    """
    hidden = (*checkpoints.glob(".*.part"), *checkpoints.glob(".*.old"))
    return sorted(path for path in hidden if path.is_dir())


def newest_checkpoint(folder: Path) -> Path:
    """The newest whole checkpoint of a run; of a newer one that is damaged a warning tells once.

    Raises UserError where there is none.
    """
    if not (folder / "recipe.json").is_file():
        raise UserError(f"{folder} is not a run folder: it has no recipe.json")
    damaged: list[Path] = []
    for checkpoint in newest_first(folder / CHECKPOINTS):
        if whole_record(checkpoint) is not None:
            _warn_of_damage(damaged)
            return checkpoint
        damaged.append(checkpoint)
    if damaged:
        raise UserError(
            f"{damaged[0]} is damaged, and no checkpoint before it is whole: train {folder} again"
        )
    raise UserError(f"{folder} has no checkpoint yet: train it first")


def _warn_of_damage(checkpoints: list[Path]) -> None:
    """Once for each checkpoint: one command asks for the newest more than once."""
    for checkpoint in checkpoints:
        if checkpoint not in _DAMAGED:
            _DAMAGED.add(checkpoint)
            log.warning("%s is damaged; taking the one before it", checkpoint)


def read_result(folder: Path) -> dict[str, Any] | None:
    """The result of a run that ended, else None."""
    file = folder / "result.json"
    return read_json(file) if file.exists() else None


def read_json(file: Path) -> dict[str, Any]:
    """Read a record. Raises UserError naming the file where it is broken or missing."""
    try:
        value = json.loads(file.read_text())
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from None
    except ValueError:
        raise UserError(f"{file} is not valid JSON; remove it or restore it") from None
    if not isinstance(value, dict):
        raise UserError(f"{file} does not hold a JSON object")
    return value


def write_json(file: Path, value: Mapping[str, Any]) -> None:
    """Write a record whole: aside, flushed, renamed. Equal records are equal bytes."""
    # Several processes may write a comparison's records: each has an aside of its own.
    aside = _aside(file, os.getpid())
    try:
        aside.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")
        flush(aside)
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)
    flush(file.parent)
    for orphan in file.parent.glob(f".{glob.escape(file.name)}.{_host()}.*.part"):
        # Of a process that was killed while it wrote. Those of other machines, whose processes
        # cannot be seen from here, are left alone.
        number = orphan.name.split(".")[-2]
        if number.isdecimal() and not alive(int(number)):
            orphan.unlink(missing_ok=True)


def _aside(file: Path, process: int) -> Path:
    """Where a process of this machine writes what takes the place of `file`."""
    return file.with_name(f".{file.name}.{_host()}.{process}.part")


def _host() -> str:
    """This machine or container, as a word that fits into a file's name and tells nobody more."""
    return hashlib.sha256(os.uname().nodename.encode()).hexdigest()[:8]


def make_folder(folder: Path) -> None:
    """Make a folder that can be written into. Raises UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"{folder} is a file; --out needs a folder") from None
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"cannot write into {folder}; choose another --out")


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep other processes out of a run's folder, made if it is missing, while the block runs.

    Raises UserError, InUse where another process has it.
    """
    make_folder(folder)
    with _lock(folder):
        yield


def _lock(folder: Path) -> IO[str]:
    try:
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise UserError(f"cannot write into {folder}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            _warn_of_no_locks(folder, error)
            return lock
        lock.close()
        # Where flock stands on the locks of fcntl, as on NFS, these say EACCES.
        if isinstance(error, BlockingIOError) or error.errno == errno.EACCES:
            raise InUse(f"{folder} is in use by another process; wait for it or stop it") from None
        raise UserError(f"cannot lock {folder}: {error.strerror}; choose another --out") from None
    return lock


def _warn_of_no_locks(folder: Path, error: OSError) -> None:
    """Once for each file system: a comparison has many folders there."""
    device = folder.stat().st_dev
    if device not in _LOCKLESS:
        _LOCKLESS.add(device)
        log.warning(
            "%s: its disk has no locks (%s), so nothing keeps two processes out of one folder; "
            "start one at a time",
            folder,
            error.strerror,
        )


def _refuse_strangers(folder: Path) -> None:
    # A process killed before it wrote its recipe may have left these two.
    ours = re.compile(r"\.lock|\.recipe\.json\..+\.part")
    strangers = sorted(p.name for p in folder.iterdir() if not ours.fullmatch(p.name))
    # Another process may have begun this run while the folder was listed.
    if strangers and not (folder / "recipe.json").exists():
        raise UserError(
            f"{folder} is not a run folder and not empty (it holds {strangers[0]}); "
            "choose another --out"
        )


def _defaults(recipe: Recipe) -> dict[str, Any]:
    """What the fields of a recipe are where nobody sets them."""
    fields = dataclasses.fields(recipe)
    return {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}


def _refuse_another(
    folder: Path, theirs: dict[str, Any], ours: dict[str, Any], defaults: Mapping[str, Any]
) -> None:
    # Tuples become lists, as in the file.
    ours, defaults = json.loads(json.dumps([ours, dict(defaults)], default=str))
    # A field that came later: an older run did what its default does.
    begun = defaults | theirs.get("recipe", {})
    pairs = {
        **{k: (begun.get(k), v) for k, v in ours["recipe"].items()},
        "seed": (theirs.get("seed"), ours["seed"]),
    }
    same_data = theirs.get("fingerprint") == ours["fingerprint"]
    if same_data:
        # The same pixels, labels and weights elsewhere are the same data.
        pairs = {k: v for k, v in pairs.items() if k not in PLACES}
    for key, (old, new) in pairs.items():
        if old != new:
            raise UserError(
                f"{folder} belongs to another run: its {key} is {old}, yours is {new}; "
                "choose another --out"
            )
    if not same_data:
        both = theirs.get("fingerprint", {}), ours["fingerprint"]
        changed = sorted(key for key in both[0] | both[1] if both[0].get(key) != both[1].get(key))
        raise UserError(
            f"{folder} belongs to a run on other data: what {ours['recipe']['data']} holds has "
            f"changed since ({', '.join(changed)}); choose another --out"
        )
    if changed := differing(theirs.get("code", {}), ours.get("code", {})):
        raise UserError(
            f"{folder} belongs to a run with other code: what {ours['recipe']['model']} is "
            f"made of has changed since ({', '.join(changed)}); restore it or choose another --out"
        )
