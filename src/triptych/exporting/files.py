"""Exported files, run in their own runtimes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.errors import UserError

ENDINGS = {"onnx": ".onnx", "openvino": ".xml"}
INPUT = "images"
"""What the pictures that a file takes are called in it."""

Run = Callable[[NDArray[np.uint8]], list[NDArray[Any]]]


@dataclass(frozen=True)
class Session:
    """An exported file, ready to run on the processor in float32."""

    run: Run
    """From the pictures to the outputs, in the order asked for."""
    metadata: dict[str, str]


def is_exported(path: Path) -> bool:
    """Whether that is a file that ends as exported ones do."""
    return path.suffix.lower() in ENDINGS.values() and path.is_file()


def open_session(file: Path, outputs: Sequence[str]) -> Session:
    """Open an exported file in its runtime, on the processor and in float32.

    Raises UserError where the runtime is not installed or cannot read the file.
    """
    opener = _open_onnx if file.suffix.lower() == ENDINGS["onnx"] else _open_openvino
    try:
        return opener(file, outputs)
    except ImportError as error:
        raise UserError(f"{file} needs {error.name}: pip install 'triptych[export]'") from error
    except Exception as error:  # each runtime has errors of its own
        reason = " ".join((str(error) or type(error).__name__).split())[:200]
        raise UserError(f"{file}: cannot be read as a model ({reason})") from error


def _open_onnx(file: Path, outputs: Sequence[str]) -> Session:
    import onnxruntime  # type: ignore[import-untyped]

    from triptych.inference.runners import cores

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def run(pictures: NDArray[np.uint8]) -> list[NDArray[Any]]:
        return list(session.run(list(outputs), {INPUT: pictures}))

    return Session(run, dict(session.get_modelmeta().custom_metadata_map))


def _open_openvino(file: Path, outputs: Sequence[str]) -> Session:
    from triptych.inference.openvino_library import openvino_library
    from triptych.inference.signal_stack import signal_stack_kept

    core = openvino_library().Core()
    model = core.read_model(file)
    told: dict[str, str] = {}
    if model.has_rt_info("triptych"):
        keys = model.get_rt_info("triptych").astype(dict)
        told = {key: str(model.get_rt_info(["triptych", key]).value) for key in keys}
    with signal_stack_kept():
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(pictures: NDArray[np.uint8]) -> list[NDArray[Any]]:
        found = compiled([pictures])
        return [np.array(found[name]) for name in outputs]

    return Session(run, told)
