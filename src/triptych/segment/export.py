"""A network as one file for another runtime: pictures in, labels and logits out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from triptych.aside import aside, made
from triptych.data.classes import VOID
from triptych.errors import WorkFailed
from triptych.exporting import (
    Format,
    onnx_with_metadata,
    openvino_with_metadata,
    put_in_place,
    quiet,
    what_failed,
)
from triptych.exporting import check_request as check
from triptych.exporting.files import INPUT
from triptych.inference.choice import AGREEMENT, sample_picture
from triptych.inference.openvino_library import openvino_library
from triptych.inference.pipeline import Pipeline, Size
from triptych.segment.exported import OUTPUTS, open_exported
from triptych.segment.network import Network

NEEDED = ("onnx", "onnxruntime", "onnxscript")


class _Graph(nn.Module):
    """Pictures (N, H, W, 3), 8-bit RGB, to labels (N, H, W) and logits (N, classes, H, W)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.pipeline = Pipeline(
            network.model, network.normalisation, len(network.classes), None, None, "logits"
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.pipeline(images)
        return logits.max(1).indices.to(torch.uint8), logits


def check_request(out: Path, form: Format) -> None:
    """Raise UserError where `out` cannot be written or packages are missing. Opens no model."""
    check(out, form, NEEDED if form == "onnx" else ())


def export(network: Network, out: Path, form: Format, size: Size) -> dict[str, Any]:
    """Write `network` for pictures of `size` (height, width) to the file `out`.

    The file takes `images`, 8-bit RGB pictures (N, height, width, 3) as they are read, for any N,
    and gives `labels` (N, height, width), class ids, and `logits` (N, classes, height, width);
    normalisation is part of it. Its metadata hold the classes with their colours (see
    `metadata`). OpenVINO puts its weights beside it, in a file that ends in .bin.

    Before the file appears it is run in its own runtime and compared with PyTorch. Returns what
    was written, with the share of equal labels. Raises UserError as `check_request`, WorkFailed
    where the network cannot be written in that format or does not label alike there; then no file
    is left and an earlier one stays.
    """
    check_request(out, form)
    graph = _Graph(network).eval()
    told = metadata(network, size)
    pictures = np.concatenate([sample_picture(size), sample_picture(size)[:, :, ::-1]])
    with made(out.parent), aside(out) as folder:
        part = folder / out.name
        try:
            with quiet():
                WRITERS[form](graph, pictures, part, told)
                labels, logits = open_exported(part).run(pictures)
        except OSError as error:
            raise WorkFailed(f"{out}: cannot be written ({error.strerror or error})") from error
        except Exception as error:  # an exporter raises anything on an operation it does not know
            reason = what_failed(error)
            raise WorkFailed(f"{network.name} cannot be written as {form}: {reason}") from error
        wanted, wanted_logits = _in_torch(graph, pictures)
        agreement = float((labels == wanted).mean())
        if labels.shape != wanted.shape or agreement < AGREEMENT:
            raise WorkFailed(
                f"{network.name} as {form} gives other labels than in PyTorch ({agreement:.2%} "
                "agree); nothing was written"
            )
        spread = float(np.abs(wanted_logits).max()) or 1.0
        files = put_in_place(part, out)
    return {
        "model": network.name,
        "format": form,
        "files": [str(file) for file in files],
        "bytes": sum(file.stat().st_size for file in files),
        "metadata": told,
        "labels_agree": agreement,
        "logits_differ": float(np.abs(logits - wanted_logits).max()) / spread,
    }


def metadata(network: Network, size: Size) -> dict[str, str]:
    """What the file says of itself, as texts; lists and tables are JSON."""
    rule = network.normalisation
    told = {
        "triptych": version("triptych"),
        "model": network.name,
        "architecture": network.architecture,
        "size": f"{size[1]}x{size[0]}",
        "input": f"{INPUT}: RGB pictures, uint8 (N, {size[0]}, {size[1]}, 3), 0 to 255",
        "outputs": "labels: class ids, uint8 (N, height, width); logits: float32 (N, classes, "
        "height, width), without softmax",
        "class_set": network.classes.name,
        "classes": json.dumps(network.classes.names),
        "colours": json.dumps(network.classes.colours),
        "void": str(VOID),
        "normalisation": json.dumps(
            {
                "rule": "(RGB * scale - mean) / std, part of the graph",
                "scale": rule.scale,
                "mean": rule.mean,
                "std": rule.std,
            }
        ),
    }
    return told | ({"licence": network.licence} if network.licence else {})


def describe(record: Mapping[str, Any]) -> str:
    """What was written, in two lines for a person."""
    size = record["bytes"] / 2**20
    return (
        f"{record['model']} as {record['format']}: {' and '.join(record['files'])}, {size:.1f} MiB"
        f"\n  {record['metadata']['input']}; in its own runtime {record['labels_agree']:.2%} of "
        "the labels are PyTorch's"
    )


def _write_onnx(
    graph: nn.Module, pictures: NDArray[np.uint8], file: Path, told: Mapping[str, str]
) -> None:
    example = torch.from_numpy(pictures)
    batch = {0: torch.export.Dim("batch")}
    with torch.no_grad():
        torch.onnx.export(
            graph,
            (example,),
            file,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamo=True,
            dynamic_shapes={"images": batch},
            external_data=False,
            verbose=False,
        )
    onnx_with_metadata(file, told)


def _write_openvino(
    graph: nn.Module, pictures: NDArray[np.uint8], file: Path, told: Mapping[str, str]
) -> None:
    openvino = openvino_library()
    example = torch.from_numpy(pictures)
    with torch.no_grad():
        traced = torch.jit.trace(graph, example, check_trace=False)  # type: ignore[no-untyped-call]
        shape = [-1, *pictures.shape[1:]]
        model = openvino.convert_model(traced, example_input=example, input=[shape])
    model.inputs[0].tensor.set_names({INPUT})
    for output, name in zip(model.outputs, OUTPUTS, strict=True):
        output.tensor.set_names({name})
    openvino_with_metadata(model, file, told)


WRITERS = {"onnx": _write_onnx, "openvino": _write_openvino}


def _in_torch(
    graph: nn.Module, pictures: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    with torch.inference_mode():
        labels, logits = graph(torch.from_numpy(pictures))
    return labels.numpy(), logits.numpy()
