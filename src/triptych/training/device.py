"""The device and the precision of a run."""

from __future__ import annotations

import functools
import logging
from contextlib import ExitStack
from typing import Literal

import torch

from triptych.errors import UserError
from triptych.training.depthwise import FastDepthwise

_LOG = logging.getLogger("triptych")


def pick_device(name: str = "auto") -> torch.device:
    """The named device; `auto` takes CUDA where there is one. Raises UserError for another."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"--device {name}: write auto, cpu or cuda") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"--device {name}: write auto, cpu or cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device {name}: no CUDA device on this machine; write cpu")
    return device


def training_device(name: str, precision: Literal["float32", "bfloat16"]) -> torch.device:
    """As `pick_device`, with a warning where the device has no hardware for the precision."""
    device = pick_device(name)
    if precision == "bfloat16" and device.type == "cpu" and not has_bfloat16():
        _warn_of_emulation()
    return device


def has_bfloat16() -> bool:
    """Whether this processor's convolutions and matrix products in bfloat16 are not emulated."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@functools.cache
def _warn_of_emulation() -> None:
    """Once a process: a comparison trains many runs."""
    _LOG.warning(
        "this processor has no bfloat16, so training in it takes several times as long as in "
        "float32; --set precision=float32 is the faster recipe here"
    )


def autocast(device: torch.device, precision: Literal["float32", "bfloat16"]) -> ExitStack:
    """The precision that a recipe names; it is never chosen by timing."""
    stack = ExitStack()
    if precision == "bfloat16":
        stack.enter_context(torch.autocast(device.type, torch.bfloat16))
        if device.type == "cpu":
            stack.enter_context(FastDepthwise())
    return stack


def device_name(device: torch.device) -> str:
    """The device in words, for `runtime.json`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
