"""Writing a model as one file: what is asked, what it says of itself, there whole or not at all."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from triptych.aside import check_writable
from triptych.errors import UserError
from triptych.exporting.files import ENDINGS

Format = Literal["onnx", "openvino"]


def format_of(out: Path, wanted: str | None) -> Format:
    """The format of the file `out`, by its ending, which must fit the one asked for, if any.

    Raises UserError where it does not: by their endings the runtimes know their files.
    """
    for form, ending in ENDINGS.items():
        if out.suffix.lower() == ending and wanted in (None, form):
            return "onnx" if form == "onnx" else "openvino"
    endings = [f"{ending} ({form})" for form, ending in ENDINGS.items() if wanted in (None, form)]
    raise UserError(f"--out {out}: the file must end in {' or '.join(endings)}")


def check_request(out: Path, form: Format, needed: Sequence[str]) -> None:
    """Raise UserError where `out` cannot be written or packages are missing. Opens no model."""
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"--format {form} needs {', '.join(missing)}: pip install 'triptych[export]'"
        )
    if out.is_dir():
        raise UserError(f"--out {out}: is a folder; name a file")
    try:
        check_writable(out.parent)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written there ({error.strerror})") from error


def onnx_with_metadata(file: Path, told: Mapping[str, str]) -> None:
    """Have an ONNX file say of itself what is `told`, and check it."""
    import onnx

    model = onnx.load(file)
    onnx.helper.set_model_props(model, dict(told))
    onnx.checker.check_model(model)
    onnx.save(model, file)


def openvino_with_metadata(model: Any, file: Path, told: Mapping[str, str]) -> None:
    """Write an OpenVINO model that says of itself what is `told`."""
    from triptych.inference.openvino_library import openvino_library

    openvino = openvino_library()
    for key, value in told.items():
        model.set_rt_info(value, ["triptych", key])
    openvino.save_model(model, file, compress_to_fp16=False)


def put_in_place(part: Path, out: Path) -> list[Path]:
    """Put the new files in their places, so that none is ever beside another's weights."""
    weights = part.with_suffix(".bin")
    if not weights.exists():
        part.replace(out)
        return [out]
    out.unlink(missing_ok=True)
    weights.replace(out.with_suffix(".bin"))
    part.replace(out)
    return [out, out.with_suffix(".bin")]


def what_failed(error: Exception) -> str:
    """What an exporter says of an error, as part of a line."""
    return " ".join((str(error) or type(error).__name__).split())[:300]


@contextmanager
def quiet() -> Iterator[None]:
    """Without what exporters print for their developers, and with the root logger as it was."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    loud = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loud]
    for logger in loud:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
        for logger, before in zip(loud, levels, strict=True):
            logger.setLevel(before)
