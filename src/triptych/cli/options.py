"""What several verbs share: their options, and how a result is printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

DEFAULT_MODEL = "street"

F = TypeVar("F", bound=Callable[..., Any])


class _Size(click.ParamType[tuple[int, int]]):
    """WIDTHxHEIGHT on the command line, (height, width) inside."""

    name = "WxH"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        width, _, height = str(value).lower().partition("x")
        if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
            self.fail(f"write it as WIDTHxHEIGHT, such as 640x480, not {value}", param, ctx)
        return int(height), int(width)


class _Scales(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between."""

    name = "SCALES"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        from triptych.segment.models.scales import checked_scales

        try:
            scales = [float(each) for each in str(value).split(",")]
        except ValueError:
            self.fail(f"write them with commas, such as 0.5,1,2, not {value}", param, ctx)
        return checked_scales(scales)


FILE = click.Path(path_type=Path)
PIXELS = _Size()

DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
MAX_MINUTES = click.option(
    "--max-minutes",
    type=click.FloatRange(0, min_open=True),
    help="Stop with a checkpoint after this time; the same command goes on.",
)
ENGINE = click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where trainings run: in this process, or side by side on a Ray cluster.",
)
ADDRESS = click.option(
    "--address",
    metavar="HOST:PORT",
    help="Of the Ray cluster.  [default: RAY_ADDRESS, or the one this machine is a node of]",
)
WEIGHTS = click.option(
    "--weights", multiple=True, type=FILE, help="Weights file for each --model, in order."
)
RUNTIME = click.option(
    "--runtime",
    type=click.Choice(["auto", "torch", "openvino"]),
    default="auto",
    show_default=True,
    help="What runs a segmentation model; auto measures once and remembers. Detectors run in "
    "torch.",
)
SIZE = click.option(
    "--size",
    type=PIXELS,
    help="Resize frames to this before a segmentation model, such as 640x480.",
)
SCALES = click.option(
    "--scales",
    type=_Scales(),
    help="Sizes at which a segmentation model with attention over scales looks at a frame, such as "
    "0.5,1,2.",
)
TILE = click.option(
    "--tile",
    type=PIXELS,
    help="Have a segmentation model see tiles of this size one by one, such as 512x512: less "
    "memory.",
)


def model_option(what: str) -> Callable[[F], F]:
    """`--model`, which may be given several times; `what` says what it takes."""
    help_text = f"{what}  [default: {DEFAULT_MODEL}]"
    return click.option("--model", "models", multiple=True, metavar="M", help=help_text)


def debuggable(command: F) -> F:
    """Every verb takes `--debug` too: one adds it where the line ended when it went wrong."""
    return click.option(
        "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."
    )(command)


def show(value: Any, as_json: bool, text: Callable[[Any], str]) -> None:
    """Print a result on stdout: as JSON, or as `text` puts it for a person."""
    click.echo(json.dumps(value, indent=2) if as_json else text(value))
