"""Which runtime is fastest for a model on this machine: measured once, then remembered."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from triptych.cache import cache_folder
from triptych.errors import WorkFailed
from triptych.inference.openvino_library import openvino_library
from triptych.inference.pipeline import Size
from triptych.inference.prepared import Prepared, Runtime
from triptych.inference.runners import Images, cores

_LOG = logging.getLogger("triptych")

AGREEMENT = 0.998
"""Share of labels on which a reduced precision must agree with float32 to be considered.

Stricter than the 99.5 % that are promised, since it is seen on one picture only.
"""

NOMINAL: Size = (480, 640)
"""Size of the picture to measure with where the model takes pictures as they come."""

_ROUNDS = 2
_CALLS = 2  # by every caller in a round


def candidates(runtime: str, device: torch.device) -> list[Runtime]:
    """What may be chosen; each runtime in float32 before its reduced precision."""
    if device.type != "cpu":
        return [Runtime("torch"), Runtime("torch", "float16")]
    openvino = openvino_library()
    reduced = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    found = []
    for name in ("torch", "openvino"):
        if runtime in ("auto", name):
            found.append(Runtime(name))
            if reduced:
                found.append(Runtime(name, "bfloat16"))
    return found


def choose(
    prepare: Callable[[Runtime], Prepared],
    among: Sequence[Runtime],
    *,
    name: str,
    model: nn.Module,
    size: Size | None,
    device: torch.device,
    agreement: float = AGREEMENT,
) -> Prepared:
    """The fastest of `among` whose labels agree with float32, by measurement or from memory.

    `name` and the weights of `model` say in the record what was measured, together with the
    size, the agreement asked for, the machine and the versions. Raises WorkFailed where nothing
    runs the model.
    """
    picture = sample_picture(size or NOMINAL)
    asked = [] if agreement == AGREEMENT else [f"agreement {agreement:g}"]
    shape = "x".join(map(str, picture.shape[2:0:-1]))
    key = " | ".join((name, weights_digest(model), shape, *asked, _machine(device)))
    memory = _remembered()
    for runtime in among:
        if memory.get(key, {}).get("chosen") == str(runtime):
            return prepare(runtime)
    running: dict[Runtime, Prepared] = {}
    speeds: dict[Runtime, float] = {}
    reference = None
    refused: set[str] = set()
    for runtime in among:
        if runtime.precision in refused:
            continue
        try:
            each = prepare(runtime)
            labels = each.labels(picture)
            if reference is None:
                reference = labels
            if float((labels == reference).mean()) < agreement:
                refused.add(runtime.precision)  # the rounding is the model's, whatever runs it
                continue
            speeds[runtime] = _frames_per_second(each, picture)
            running[runtime] = each
        except Exception as error:  # a runtime that cannot run this model is no candidate
            reason = (str(error) or type(error).__name__).splitlines()[0]
            _LOG.info("%s does not run %s: %s", runtime, name, reason)
    if not speeds:
        raise WorkFailed(f"none of {', '.join(map(str, among))} runs {name} on this machine")
    best = max(speeds, key=lambda runtime: speeds[runtime])
    _remember(key, {"chosen": str(best), "fps": {str(r): round(s, 2) for r, s in speeds.items()}})
    measured = ", ".join(f"{runtime} {speed:.1f}" for runtime, speed in speeds.items())
    _LOG.info("%s runs on %s here (frames/s: %s), remembered", name, best, measured)
    return running[best]


def _frames_per_second(prepared: Prepared, picture: Images) -> float:
    """With as many callers as are useful; the best of some rounds, as others use the machine."""
    callers = prepared.concurrency
    best = float("inf")
    with ThreadPoolExecutor(callers) as pool:
        for _ in range(_ROUNDS):
            start = time.perf_counter()
            list(pool.map(lambda _: prepared.labels(picture), range(_CALLS * callers)))
            best = min(best, time.perf_counter() - start)
    return _CALLS * callers / best


def sample_picture(size: Size) -> Images:
    """A picture (1, height, width, 3) to measure with.

    Patches of plain colour with noise: edges, areas and texture, the same on every machine.
    """
    height, width = size
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 256, (1, -(-height // 40), -(-width // 40), 3))
    patches = coarse.repeat(40, 1).repeat(40, 2)[:, :height, :width]
    noisy = patches + rng.normal(0, 8, patches.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def weights_digest(model: nn.Module) -> str:
    """Which weights a model has: their SHA-256, shortened to 16 hex digits."""
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def _machine(device: torch.device) -> str:
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    versions = " ".join(f"{each} {version(each)}" for each in ("torch", "openvino", "triptych"))
    return f"{where} x{cores()} | {versions}"


def processor() -> str:
    """The processor's name."""
    openvino = openvino_library()
    return str(openvino.Core().get_property("CPU", "FULL_DEVICE_NAME")) or platform.processor()


def _memory() -> Path:
    return cache_folder() / "runtimes.json"


def _remembered() -> dict[str, dict[str, Any]]:
    """What earlier measurements found; nothing where the file is missing or broken."""
    try:
        found = json.loads(_memory().read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: record for key, record in found.items() if isinstance(record, dict)}


def _remember(key: str, record: dict[str, Any]) -> None:
    """Add one measurement; where the cache cannot be written it is made again next time."""
    path = _memory()
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps({**_remembered(), key: record}, indent=1))
        aside.replace(path)
    except OSError as error:
        _LOG.info("%s cannot be written (%s): measured again next time", path, error.strerror)
