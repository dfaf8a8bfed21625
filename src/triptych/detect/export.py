"""A detector as one file for another runtime: a picture in, boxes, scores and labels out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from triptych.aside import aside, made
from triptych.data.labelled import Image
from triptych.data.streets import scene
from triptych.detect.as_graph import DetectorGraph, never_of_nothing
from triptych.detect.detections import Detections
from triptych.detect.exported import OUTPUTS, as_detections, as_file_input
from triptych.detect.models.detector import Detector
from triptych.detect.network import DetectorNetwork
from triptych.detect.overlap import box_iou
from triptych.detect.predictor import NetworkPredictor
from triptych.errors import WorkFailed
from triptych.exporting import (
    Format,
    onnx_with_metadata,
    open_session,
    openvino_with_metadata,
    put_in_place,
    quiet,
    what_failed,
)
from triptych.exporting import check_request as check
from triptych.exporting.files import INPUT
from triptych.inference.choice import sample_picture
from triptych.inference.openvino_library import openvino_library
from triptych.inference.pipeline import Size

NEEDED = {"onnx": ("onnx", "onnxruntime"), "openvino": ("onnx",)}
"""OpenVINO reads a detector from ONNX: its own reading of PyTorch knows no RoIAlign."""
AGREEMENT = 0.98
"""Share of the detections on the test pictures that must be PyTorch's."""
SAME_IOU, SAME_SCORE = 0.98, 0.002
"""From which overlap on, and up to which difference of scores, two detections of a class are one:
runtimes round differently, and non-maximum suppression may tip where two are equally sure."""


def check_request(out: Path, form: Format) -> None:
    """Raise UserError where `out` cannot be written or packages are missing. Opens no model."""
    check(out, form, NEEDED[form])


def export(network: DetectorNetwork, out: Path, form: Format, size: Size) -> dict[str, Any]:
    """Write `network` for a picture of `size` (height, width) to the file `out`.

    The file takes `images`, one 8-bit RGB picture (1, 3, height, width), and gives `boxes` (N, 4)
    as (x1, y1, x2, y2) in its pixels, `scores` (N,) and `labels` (N,) from 1, the surest first, for
    any N; resizing, normalisation and non-maximum suppression are part of it. Its metadata hold
    the classes (see `metadata`). OpenVINO puts its weights beside it, in a file that ends in .bin.

    Before the file appears it is run in its own runtime on test pictures and compared with
    PyTorch. Returns what was written, with the share of equal detections. Raises UserError as
    `check_request`, WorkFailed where the network cannot be written in that format or does not
    detect alike there; then no file is left and an earlier one stays.
    """
    check_request(out, form)
    graph = DetectorGraph(network.model, size).eval()
    told = metadata(network, size)
    pictures = _test_pictures(size)
    with made(out.parent), aside(out) as folder:
        part = folder / out.name
        try:
            with quiet():
                _write(graph, pictures[0], part, form, told)
                agree, compared = _agreement(network.model, part, pictures)
                if not compared:
                    # Nothing is sure enough to be given: what would be, without the floor?
                    with _without_floor(network.model):
                        _write(graph, pictures[0], folder / f"all{out.suffix}", form, told)
                        agree, compared = _agreement(
                            network.model, folder / f"all{out.suffix}", pictures
                        )
        except OSError as error:
            raise WorkFailed(f"{out}: cannot be written ({error.strerror or error})") from error
        except Exception as error:  # an exporter raises anything on an operation it does not know
            raise WorkFailed(
                f"{network.name} cannot be written as {form}: {what_failed(error)}"
            ) from error
        if agree < AGREEMENT:
            raise WorkFailed(
                f"{network.name} as {form} finds other objects than in PyTorch ({agree:.2%} of "
                f"{compared} agree); nothing was written"
            )
        files = put_in_place(part, out)
    return {
        "model": network.name,
        "format": form,
        "files": [str(file) for file in files],
        "bytes": sum(file.stat().st_size for file in files),
        "metadata": told,
        "detections_agree": agree,
        "detections_compared": compared,
    }


def metadata(network: DetectorNetwork, size: Size) -> dict[str, str]:
    """What the file says of itself, as texts; lists are JSON."""
    settings = network.model.settings
    return {
        "triptych": version("triptych"),
        "study": "detect",
        "model": network.name,
        "architecture": network.architecture,
        "size": f"{size[1]}x{size[0]}",
        "input": f"{INPUT}: an RGB picture, uint8 (1, 3, {size[0]}, {size[1]}), 0 to 255",
        "outputs": "boxes: float32 (N, 4), x1, y1, x2, y2 in pixels; scores: float32 (N,); "
        "labels: int64 (N,), 1 is the first of the classes",
        "classes": json.dumps(network.classes),
        "score_floor": str(settings.score_floor),
        "max_detections": str(settings.max_detections),
    }


def describe(record: Mapping[str, Any]) -> str:
    """What was written, in two lines for a person."""
    size = record["bytes"] / 2**20
    return (
        f"{record['model']} as {record['format']}: {' and '.join(record['files'])}, {size:.1f} MiB"
        f"\n  {record['metadata']['input']}; in its own runtime {record['detections_agree']:.2%} "
        f"of {record['detections_compared']} detections on test pictures are PyTorch's"
    )


def same_share(one: Detections, other: Detections) -> tuple[int, int]:
    """How many detections of two sets are in both, and how many there are to be: the larger set's.

    A detection is in both where a free one of its class there has nearly its box and score.
    """
    free = np.ones(len(other), bool)
    same = 0
    for box, score, label in zip(one.boxes, one.scores, one.labels, strict=True):
        alike = free & (other.labels == label) & (abs(other.scores - score) <= SAME_SCORE)
        places = np.flatnonzero(alike)
        if not len(places):
            continue
        overlap = box_iou(box[None], other.boxes[places])[0]
        if overlap.max() >= SAME_IOU:
            free[places[int(overlap.argmax())]] = False
            same += 1
    return same, max(len(one), len(other))


def _agreement(model: Detector, file: Path, pictures: Sequence[Image]) -> tuple[float, int]:
    """The share of detections that are the same in both, and of how many."""
    session = open_session(file, OUTPUTS)
    wanted = NetworkPredictor(file.name, (), model).predict(pictures, [""] * len(pictures))
    found = [
        same_share(each, as_detections(session.run(as_file_input(picture))))
        for picture, each in zip(pictures, wanted, strict=True)
    ]
    same, compared = (sum(each) for each in zip(*found, strict=True))
    return (same / compared if compared else 1.0), compared


def _test_pictures(size: Size) -> list[Image]:
    """Patches of colour and two streets."""
    streets = [scene(seed, size=size, frames=1, light=1.0)[0].image for seed in (1, 2)]
    return [sample_picture(size)[0], *streets]


@contextmanager
def _without_floor(model: Detector) -> Iterator[None]:
    floor = model.roi_heads.score_thresh
    model.roi_heads.score_thresh = 0.0
    try:
        yield
    finally:
        model.roi_heads.score_thresh = floor


def _write(
    graph: nn.Module, picture: Image, file: Path, form: Format, told: Mapping[str, str]
) -> None:
    onnx_file = file.with_suffix(".onnx")
    with torch.no_grad(), never_of_nothing():
        # The newer exporter (dynamo) stops at non-maximum suppression: how many boxes go into it
        # depends on the picture.
        torch.onnx.export(
            graph,
            (torch.from_numpy(as_file_input(picture)),),
            onnx_file,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "detections"} for name in OUTPUTS},
            dynamo=False,
            external_data=False,
            verbose=False,
        )
    if form == "onnx":
        onnx_with_metadata(onnx_file, told)
        return
    openvino = openvino_library()
    openvino_with_metadata(openvino.convert_model(onnx_file), file, told)
    onnx_file.unlink()
