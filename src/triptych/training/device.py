"""The device and the precision of a run."""

from __future__ import annotations

import functools
import logging
from contextlib import ExitStack

import torch

from triptych.errors import UserError
from triptych.recipe import Precision
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


def training_device(name: str, precision: Precision) -> torch.device:
    """As `pick_device`, with a warning where the device has no hardware for the precision."""
    device = pick_device(name)
    if not has_hardware_for(precision, device):
        _warn_of_emulation(precision, "GPU" if device.type == "cuda" else "processor")
    return device


def has_hardware_for(precision: Precision, device: torch.device) -> bool:
    """Whether convolutions and matrix products in this precision are not emulated there."""
    if precision == "float32":
        return True
    if device.type == "cpu":
        return has_bfloat16() if precision == "bfloat16" else has_float16()
    return precision == "float16" or torch.cuda.is_bf16_supported(including_emulation=False)


def has_bfloat16() -> bool:
    """Whether this processor's convolutions and matrix products in bfloat16 are not emulated."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def has_float16() -> bool:
    """As `has_bfloat16`, of float16."""
    return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())


@functools.cache
def _warn_of_emulation(precision: Precision, where: str) -> None:
    """Once a process: a comparison trains many runs."""
    faster = "float16" if where == "GPU" else "float32"
    _LOG.warning(
        "this %s has no %s, so training in it takes several times as long as in %s; "
        "--set precision=%s is the faster recipe here",
        where,
        precision,
        faster,
        faster,
    )


def autocast(device: torch.device, precision: Precision) -> ExitStack:
    """The precision that a recipe names; it is never chosen by timing."""
    stack = ExitStack()
    if precision != "float32":
        stack.enter_context(torch.autocast(device.type, getattr(torch, precision)))
        if device.type == "cpu":
            stack.enter_context(FastDepthwise())
    return stack


def device_name(device: torch.device) -> str:
    """The device in words, for `runtime.json`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
