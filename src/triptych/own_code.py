"""The code of a user's own model: a Python file and the modules beside it that it imports.

Like an import, a file is read once by a process: all runs of it have the same code, whatever is
saved meanwhile. What was read is known by its sha256, which a run keeps on record.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import importlib.util
import logging
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

log = logging.getLogger("triptych")

Digests = Mapping[str, str]
"""The sha256 of the file, under its name, and of each module beside it, under its import name."""


@dataclass(frozen=True)
class Code:
    """A file as this process read and ran it."""

    file: Path
    module: ModuleType
    digests: Digests


_read: dict[Path, Code] = {}
_neighbours: dict[Path, dict[str, ModuleType]] = {}
"""By file, the modules beside it that it has imported: its own, whatever others call theirs."""
_INSTALLED = {Path(place).resolve() for place in sysconfig.get_paths().values()}


def code_of(file: Path) -> Code:
    """The code of a file, which is run where this process has not done so yet.

    Raises whatever reading or running it raises; then it is read again next time.
    """
    file = file.resolve()
    known = _read.get(file)
    if known is None:
        known = _read[file] = _run(file)
    return known


def digests_of(file: Path) -> Digests:
    """What `code_of` has read, with a warning where other code lies there by now."""
    known = code_of(file).digests
    try:
        now = _digests(_sources(file.resolve()))
    except (OSError, SyntaxError, ValueError):
        now = {}  # it is being written
    if changed := differing(known, now):
        log.warning(
            "%s has changed since it was read (%s): what runs here goes on with what was read",
            file,
            ", ".join(changed),
        )
    return known


def differing(a: Digests, b: Digests) -> list[str]:
    """The names under which two codes differ, sorted."""
    return sorted(name for name in {*a, *b} if a.get(name) != b.get(name))


@contextlib.contextmanager
def neighbours_of(file: Path) -> Iterator[None]:
    """What lies beside a file can be imported, by the names that it has there.

    Beside two files there may be modules of one name, or one that was changed in between: those of
    other files are out of the way.
    """
    for modules in _neighbours.values():
        for name in modules:
            sys.modules.pop(name, None)
    own, folder = _neighbours.setdefault(file, {}), file.parent
    sys.modules.update(own)
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))
        for name in sys.modules.keys() - before:
            if _module_file(folder, name.partition(".")[0]):
                own[name] = sys.modules[name]


def _run(file: Path) -> Code:
    import torch

    sources = _sources(file)
    digests = _digests(sources)
    # A name of its own: torch.compile looks modules up by it.
    name = f"triptych_own_{hashlib.sha256(str(file).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        # Random numbers that it draws are not missing where it is run no second time.
        with neighbours_of(file), torch.random.fork_rng(devices=[]):
            exec(compile(sources[file.name], str(file), "exec"), module.__dict__)
            _refuse_strangers(file.parent, digests)
    except BaseException:
        # Once it is mended all of it is read again.
        for each in (name, *_neighbours.pop(file, {})):
            sys.modules.pop(each, None)
        raise
    return Code(file, module, digests)


def _refuse_strangers(folder: Path, names: Iterable[str]) -> None:
    """Raise ImportError where another module of that name stands for one beside the file."""
    for name in names:
        place, found = _module_file(folder, name), sys.modules.get(name)
        origin = getattr(found, "__file__", None)
        known = name.partition(".")[0] in sys.stdlib_module_names
        if place and origin and not known and Path(origin).resolve() != place.resolve():
            raise ImportError(
                f"{name} beside it is hidden by {origin}, which is imported already: rename it"
            )


def _digests(sources: Mapping[str, bytes]) -> Digests:
    return {name: hashlib.sha256(content).hexdigest() for name, content in sources.items()}


def _sources(file: Path) -> dict[str, bytes]:
    """A file and the modules beside it that it imports, directly or through each other."""
    found = {file.name: file.read_bytes()}
    todo = _imports(found[file.name], "")
    while todo:
        name = todo.pop()
        place = _module_file(file.parent, name)
        if place is None or name in found:
            continue
        found[name] = place.read_bytes()
        package = name if place.name == "__init__.py" else name.rpartition(".")[0]
        with contextlib.suppress(SyntaxError, ValueError):  # importing it will say so
            todo |= _imports(found[name], package)
    return found


def _imports(source: bytes, package: str) -> set[str]:
    """The modules that a source may import, parents included; `package` is what it lies in."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".") if package and node.level else []
            parts = parts[: len(parts) - max(node.level - 1, 0)]
            base = ".".join([*parts, *filter(None, [node.module])])
            names.update(f"{base}.{alias.name}".strip(".") for alias in node.names)
    dotted = (name.split(".") for name in names)
    return {".".join(parts[:end]) for parts in dotted for end in range(1, len(parts) + 1)}


def _module_file(folder: Path, name: str) -> Path | None:
    """Where a module lies in a folder; None where it does not, or is installed there."""
    if folder in _INSTALLED or not name:
        return None
    place = folder.joinpath(*name.split("."))
    for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
        if file.is_file():
            return file
    return None
