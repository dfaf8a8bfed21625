"""The backbone of EfficientDet-Lite0 (Tan 2020), trained on COCO, out of its TFLite file.

The file holds 8-bit weights with BatchNorm folded into them. Its first 48 convolutions, in order,
are those of timm's `tf_efficientnet_lite0`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from triptych.backbones.folding import identity, pairs
from triptych.errors import UserError


@dataclass(frozen=True)
class Convolution:
    """One convolution of a TFLite file, dequantised."""

    name: str
    weight: NDArray[np.float32]
    """(out, in / groups, h, w)."""
    bias: NDArray[np.float32]
    """(out,)."""


def load_coco(trunk: nn.Module, file: Path) -> list[str]:
    """Load the backbone into timm's `tf_efficientnet_lite0`; returns the names left over.

    The trunk's BatchNorm becomes the bias of its convolution and nothing else, see
    `folding.identity`. Raises UserError where the file is damaged or another network's.
    """
    found = convolutions(file)
    own = pairs(trunk)
    if len(found) < len(own):
        raise UserError(f"{file} has {len(found)} convolutions, the backbone {len(own)}")
    for (conv, _), given in zip(own, found, strict=False):
        if tuple(conv.weight.shape) != given.weight.shape:
            raise UserError(
                f"{file} is another network's: {given.name} is {given.weight.shape} there and "
                f"{tuple(conv.weight.shape)} here"
            )
    with torch.no_grad():
        for (conv, norm), given in zip(own, found, strict=False):
            conv.weight.copy_(torch.from_numpy(given.weight))
            identity(norm, torch.from_numpy(given.bias))
    return [each.name for each in found[len(own) :]]


def convolutions(file: Path) -> list[Convolution]:
    """The convolutions of a TFLite file, in the order in which they are computed.

    Ordinary ones lie there as (out, h, w, in), depthwise ones as (1, h, w, channels), both as
    integers q that stand for (q - zero point) x scale, channel by channel. Raises UserError where
    the package `tflite` is missing or the file cannot be read.
    """
    try:
        tflite: Any = importlib.import_module("tflite")
    except ImportError:
        raise UserError(
            f"reading {file.name} needs the package tflite: pip install 'triptych[coco]'"
        ) from None
    kinds = {
        tflite.BuiltinOperator.CONV_2D: (0, 3, 1, 2),
        tflite.BuiltinOperator.DEPTHWISE_CONV_2D: (3, 0, 1, 2),
    }
    try:
        content = file.read_bytes()
        if not tflite.Model.ModelBufferHasIdentifier(content, 0):
            raise ValueError("no TFLite file")
        model = tflite.Model.GetRootAs(content, 0)
        graph = model.Subgraphs(0)
        found = []
        for number in range(graph.OperatorsLength()):
            operator = graph.Operators(number)
            code = model.OperatorCodes(operator.OpcodeIndex())
            order = kinds.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()))
            if order is None:
                continue
            weight, bias = (graph.Tensors(operator.Inputs(at)) for at in (1, 2))
            found.append(
                Convolution(
                    name=weight.Name().decode(),
                    weight=np.ascontiguousarray(_values(model, weight).transpose(order)),
                    bias=_values(model, bias),
                )
            )
    except OSError as error:
        raise UserError(f"{file}: weights cannot be read ({error.strerror})") from None
    except Exception as error:  # flatbuffers checks nothing: a cut file fails in many ways
        raise UserError(f"{file} is damaged or no TFLite file ({error})") from None
    return found


_TYPES = {0: np.float32, 2: np.int32, 3: np.uint8, 9: np.int8}
"""Of a tensor in TFLite's schema."""


def _values(model: Any, tensor: Any) -> NDArray[np.float32]:
    raw = model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes()
    stored = np.frombuffer(raw, np.dtype(_TYPES[tensor.Type()]).newbyteorder("<"))
    values = stored.reshape(tensor.ShapeAsNumpy()).astype(np.float64)
    rule = tensor.Quantization()
    if rule is None or not rule.ScaleLength():
        return values.astype(np.float32)
    along = [1] * values.ndim
    if rule.ScaleLength() > 1:
        along[rule.QuantizedDimension()] = -1
    scale = rule.ScaleAsNumpy().astype(np.float64).reshape(along)
    zero = rule.ZeroPointAsNumpy().astype(np.float64).reshape(along)
    real: NDArray[np.float32] = ((values - zero) * scale).astype(np.float32)
    return real
