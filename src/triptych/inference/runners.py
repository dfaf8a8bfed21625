"""What runs a pipeline: eager PyTorch, or a graph compiled by OpenVINO."""

from __future__ import annotations

import logging
import queue
import threading
import warnings
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from triptych.inference.openvino_library import openvino_library
from triptych.inference.signal_stack import signal_stack_kept
from triptych.recipe import Precision

Images = NDArray[np.uint8]
"""RGB pictures, shape (N, H, W, 3)."""


class Runner(Protocol):
    """Runs a module on arrays of one shape; may be called by several threads at once."""

    def __call__(self, images: NDArray[Any]) -> NDArray[Any]: ...


class TorchRunner:
    """Eager PyTorch: channels last, in the precision given; one call at a time."""

    def __init__(self, module: nn.Module, device: torch.device, precision: Precision) -> None:
        self._module = module.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self._device = device
        self._dtype = getattr(torch, precision)

    def __call__(self, images: NDArray[Any]) -> NDArray[Any]:
        reduced = self._dtype != torch.float32
        with (
            _TORCH_TURN,
            torch.inference_mode(),
            torch.autocast(self._device.type, self._dtype, enabled=reduced),
        ):
            # PyTorch only takes arrays that it may write, though it does not write this one.
            own = np.require(images, requirements=["C", "W"])
            batch = torch.from_numpy(own).to(self._device)
            result: NDArray[Any] = self._module(batch).cpu().numpy()
            return result


_TORCH_TURN = threading.Lock()
"""PyTorch spreads one call over all cores: a second one beside it would only get in its way."""


class OpenVinoRunner:
    """A graph compiled for one input shape: one stream and one thread a core.

    Streams do not wait for each other, so as many callers as there are cores keep all busy.
    """

    def __init__(
        self,
        module: nn.Module,
        shape: tuple[int, ...],
        precision: Precision,
        dtype: torch.dtype = torch.uint8,
    ) -> None:
        openvino = openvino_library()
        with signal_stack_kept():
            self._compiled = openvino.Core().compile_model(
                _graph(module, torch.zeros(shape, dtype=dtype)),
                "CPU",
                {
                    "NUM_STREAMS": cores(),
                    "INFERENCE_NUM_THREADS": cores(),
                    "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
                },
            )
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def __call__(self, images: NDArray[Any]) -> NDArray[Any]:
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._compiled.create_infer_request()
        try:
            request.infer([np.ascontiguousarray(images)], share_inputs=True)
            return np.array(request.get_output_tensor(0).data)  # the request is used again
        finally:
            self._idle.put(request)


def _graph(module: nn.Module, example: torch.Tensor) -> Any:
    """The module as an OpenVINO model for inputs of the example's shape."""
    openvino = openvino_library()
    shape = list(example.shape)
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # sizes become constants, as they should here
            traced = torch.jit.trace(module.eval(), example, check_trace=False)  # type: ignore[no-untyped-call]
            return openvino.convert_model(traced, example_input=example, input=[shape])
    finally:
        # The converter silences the root logger and, where it fails, leaves it so.
        root.setLevel(level)
        root.handlers[:] = handlers


def cores() -> int:
    """Processor cores that this process may use."""
    return max(1, torch.get_num_threads())
