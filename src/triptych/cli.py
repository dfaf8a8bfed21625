"""The command line: verbs only. What a verb needs is imported when it runs, so help is instant."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from triptych import __version__
from triptych.errors import Stopped, TriptychError, UserError

if TYPE_CHECKING:
    from triptych.segment.labeller import Labeller

DEFAULT_MODEL = "espnetv2-s2.0"
EXIT_CODES = "Exit codes: 0 done, 1 the work failed, 2 the request was wrong, 3 stopped early."

F = TypeVar("F", bound=Callable[..., Any])


class _Size(click.ParamType[tuple[int, int]]):
    """WIDTHxHEIGHT on the command line, (height, width) inside."""

    name = "WxH"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        width, _, height = str(value).lower().partition("x")
        if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
            self.fail(f"write it as WIDTHxHEIGHT, such as 640x480, not {value}", param, ctx)
        return int(height), int(width)


_DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
_RUNTIME = click.option(
    "--runtime",
    type=click.Choice(["auto", "torch", "openvino"]),
    default="auto",
    show_default=True,
    help="What runs the model; auto measures once and remembers.",
)
_SIZE = click.option(
    "--size", type=_Size(), help="Resize frames to this before the model, such as 640x480."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
_FILE = click.Path(path_type=Path)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name="triptych")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def app(context: click.Context, debug: bool) -> None:
    """Controlled comparisons of vision models.

    Begin with `triptych demo`: it needs no data, no network and about two minutes.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _debuggable(command: F) -> F:
    """Every verb takes `--debug` too: one adds it where the line ended when it went wrong."""
    return click.option(
        "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."
    )(command)


@app.command()
@click.option("--out", type=_FILE, default=Path("triptych-demo"), show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the training and of the clip.")
@_DEVICE
@_JSON
@_debuggable
def demo(out: Path, seed: int, device: str, as_json: bool) -> None:
    """Train on procedural streets, label a clip: offline, about two minutes."""
    from triptych.demo import demo as run

    _print(run(out, seed=seed, device=device), as_json, lambda r: r["text"])


@app.command()
@click.argument("source", metavar="INPUT", type=_FILE)
@click.option(
    "--model", "models", multiple=True, metavar="M",
    help=f"A model's name, a run folder or a folder of label images; may be repeated."
    f"  [default: {DEFAULT_MODEL}]",
)  # fmt: skip
@click.option(
    "--weights", multiple=True, type=_FILE, help="Weights file for each --model, in order."
)
@click.option("--out", type=_FILE, default=Path("triptych-predictions"), show_default=True)
@click.option(
    "--view",
    type=click.Choice(["side", "blend", "labels"]),
    default="side",
    show_default=True,
    help="side: the input, right of it each model's labels; blend: labels over the picture; "
    "labels: labels alone.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1),
    default=0.6,
    show_default=True,
    help="How much the labels cover the picture in blend.",
)
@click.option("--save-labels", is_flag=True, help="Also write label images (ids, with palette).")
@click.option("--audio/--no-audio", default=True, show_default=True, help="Keep a video's sound.")
@_SIZE
@_RUNTIME
@_DEVICE
@_JSON
@_debuggable
def predict(
    source: Path,
    models: Sequence[str],
    weights: Sequence[Path],
    out: Path,
    view: str,
    alpha: float,
    save_labels: bool,
    audio: bool,
    size: tuple[int, int] | None,
    runtime: str,
    device: str,
    as_json: bool,
) -> None:
    """Label an image, a folder of images or a video, with one model or several side by side."""
    from triptych.segment.predict import PredictOptions, check_request, describe
    from triptych.segment.predict import predict as run

    options = PredictOptions(view=view, alpha=alpha, save_labels=save_labels, audio=audio)  # type: ignore[arg-type]
    check_request(source, out, options)
    labellers = _labellers(models, weights, size=size, runtime=runtime, device=device)
    _print(run(source, labellers, out, options), as_json, describe)


@app.command()
@click.option(
    "--model", "models", multiple=True, metavar="M",
    help=f"A model's name, a run folder or a folder of label images.  [default: {DEFAULT_MODEL}]",
)  # fmt: skip
@click.option("--weights", multiple=True, type=_FILE, help="Weights file for each --model.")
@click.option("--data", required=True, help="camvid:DIR, cityscapes:DIR, folder:DIR or streets.")
@click.option("--split", default="val", show_default=True, help="Such as val or drive:0006R0.")
@click.option("--map", "map_file", type=_FILE, help="TOML file: model's classes to the data's.")
@click.option("--batch-size", type=click.IntRange(1), default=1, show_default=True)
@click.option("--out", type=_FILE, help="Keep scores.json and items.parquet in this folder.")
@_SIZE
@_RUNTIME
@_DEVICE
@_JSON
@_debuggable
def evaluate(
    models: Sequence[str],
    weights: Sequence[Path],
    data: str,
    split: str,
    map_file: Path | None,
    batch_size: int,
    out: Path | None,
    size: tuple[int, int] | None,
    runtime: str,
    device: str,
    as_json: bool,
) -> None:
    """Score a model on labelled frames: mIoU, boundary F, per drive and by brightness."""
    from triptych.data.mapping import read_mapping
    from triptych.data.open_data import open_data
    from triptych.segment.evaluate import describe
    from triptych.segment.evaluate import evaluate as run

    frames = open_data(data, split)
    labellers = _labellers(models, weights, size=size, runtime=runtime, device=device)
    if len(labellers) > 1:
        raise UserError("evaluate takes one --model at a time")
    mapping = read_mapping(map_file, labellers[0].classes, frames.classes) if map_file else None
    about = {
        "size": f"{size[1]}x{size[0]}" if size else None,
        "runtime": getattr(labellers[0], "runtime", None),
    }
    scores = run(labellers[0], frames, mapping=mapping, batch_size=batch_size, out=out, about=about)
    _print(scores, as_json, describe)


@app.command()
@click.argument("recipe_name", metavar="STUDY/RECIPE")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a field of the recipe."
)
@click.option("--seed", default=0, show_default=True)
@click.option("--out", type=_FILE, help="Run folder.  [default: runs/STUDY-RECIPE/seed-N]")
@click.option(
    "--max-minutes",
    type=click.FloatRange(0, min_open=True),
    help="Stop with a checkpoint after this time; the same command goes on.",
)
@_DEVICE
@_JSON
@_debuggable
def train(
    recipe_name: str,
    settings: Sequence[str],
    seed: int,
    out: Path | None,
    max_minutes: float | None,
    device: str,
    as_json: bool,
) -> None:
    """Train a recipe; the same command goes on where it stopped. `triptych train list` names them.

    The recipe's fields can be changed: --set epochs=20 --set lr=1e-3.
    """
    from triptych import recipe as recipes

    if recipe_name == "list":
        listed = {name: recipes.describe(name) for name in recipes.names()}
        _print(listed, as_json, lambda r: "\n".join(f"{k}\n    {v.strip()}" for k, v in r.items()))
        return
    recipe = recipes.override(recipes.get(recipe_name), settings)
    folder = out or Path("runs") / recipe.name.replace("/", "-") / f"seed-{seed}"
    from triptych import study
    from triptych.stopping import StopRequest

    stop = StopRequest(max_minutes)
    result = study.get(recipe.study).train(recipe, seed, folder, device=device, stop=stop)
    _print({"run": str(folder), **result}, as_json, study.describe_result)


@app.command()
@click.argument("what", metavar="NAME|FILE.py|RECIPE...", nargs=-1)
@click.option("--varies", multiple=True, metavar="FIELD", help="A field that may differ.")
@click.option("--metric", help="The one score that is judged, such as top1 or mIoU.")
@click.option("--margin", type=float, help="A difference smaller than this does not matter.")
@click.option("--seeds", type=click.IntRange(1), help="Seeds of every arm.  [default: 3]")
@click.option(
    "--until-decided",
    type=click.IntRange(3),
    metavar="N",
    help="Add seeds until each pair is decided, at most N.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a field of all recipes."
)
@click.option("--predictions", multiple=True, metavar="M", help="A fixed arm; see below.")
@click.option("--data", help="Labelled data for fixed arms, such as camvid:DIR.")
@click.option("--split", help="Of --data.  [default: val]")
@_SIZE
@click.option("--out", type=_FILE, help="Folder.  [default: runs/compare-NAME]")
@click.option("--status", is_flag=True, help="Say how far it is; run nothing.")
@click.option("--record", type=_FILE, help="Also write tables and figures into this folder.")
@click.option(
    "--max-minutes",
    type=click.FloatRange(0, min_open=True),
    help="Stop with a checkpoint after this time; the same command goes on.",
)
@_DEVICE
@_JSON
@_debuggable
def compare(
    what: Sequence[str],
    varies: Sequence[str],
    metric: str | None,
    margin: float | None,
    seeds: int | None,
    until_decided: int | None,
    settings: Sequence[str],
    predictions: Sequence[str],
    data: str | None,
    split: str | None,
    size: tuple[int, int] | None,
    out: Path | None,
    status: bool,
    record: Path | None,
    max_minutes: float | None,
    device: str,
    as_json: bool,
) -> None:
    """Compare recipes over seeds, or fixed predictions over items; ends with verdict and audit.

    WHAT is a file in comparisons/ (its name), any Python file that makes a Comparison, or recipes:
    `classify/tiny classify/tiny:model=vit-tiny --varies model --metric top1 --margin 0.02`. Each
    --predictions is a fixed arm: for frames a published model's name, a run folder or a folder of
    label images; for classes a CSV file of scores per image. The same command goes on where it
    stopped.
    """
    from triptych.compare import sources
    from triptych.compare.describe import describe
    from triptych.compare.run import compare as run
    from triptych.compare.run import status as look
    from triptych.stopping import StopRequest

    comparison = sources.of_command_line(
        what,
        predictions,
        varies=varies,
        metric=metric,
        margin=margin,
        seeds=seeds,
        until_decided=until_decided,
        settings=settings,
        data=data,
        split=split,
        size=size,
    )
    folder = out or Path("runs") / f"compare-{sources.folder_name(what, predictions)}"
    if status:
        verdict = look(comparison, folder)
    else:
        verdict = run(comparison, folder, device=device, stop=StopRequest(max_minutes))
    if record is not None:
        from triptych.report.record import write_record

        write_record(folder, verdict, record)
    _print({"comparison": str(folder), **verdict}, as_json, describe)


@app.command()
@click.argument("folder", metavar="RUN|COMPARISON", type=_FILE)
@_JSON
@_debuggable
def audit(folder: Path, as_json: bool) -> None:
    """Say what a run really did, or whether a comparison's arms were treated alike."""
    from triptych.audit import as_text
    from triptych.compare.audit_folder import audit_folder

    lines = audit_folder(folder)
    record = {"folder": str(folder), "audit": [line.as_dict() for line in lines]}
    _print(record, as_json, lambda _: as_text(lines))


@app.command()
@click.option(
    "--near",
    metavar="BUDGET",
    help="List classifiers within 2 % of a budget instead, such as 4.9M or 0.5GMACs.",
)
@_JSON
@_debuggable
def models(near: str | None, as_json: bool) -> None:
    """List the models: parameters, cost, published weights, licence, claimed score."""
    from triptych import model_listing

    if near is not None:
        _print(model_listing.near(near), as_json, model_listing.describe_near)
        return
    _print(model_listing.records(), as_json, model_listing.describe)


@app.group()
def weights() -> None:
    """Published weights: list them, fetch them."""


@weights.command("list")
@_JSON
@_debuggable
def weights_list(as_json: bool) -> None:
    """List published weights: address, licence, and whether they are here."""
    from triptych.segment.models import describe_weights, weight_records

    _print(weight_records(), as_json, describe_weights)


@weights.command("fetch")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@_JSON
@_debuggable
def weights_fetch(models: Sequence[str], as_json: bool) -> None:
    """Download the published weights of models: resumed where broken off, checked by sha256."""
    from triptych.segment.models import published
    from triptych.weights import fetch

    wanted = {name: published(name) for name in models}
    files = {name: str(fetch(each)) for name, each in wanted.items()}
    _print(files, as_json, lambda r: "\n".join(f"{k}: {v}" for k, v in r.items()))


@app.group()
def data() -> None:
    """Data sets: check them before training."""


@data.command("check")
@click.argument("spec", metavar="SPEC")
@_JSON
@_debuggable
def data_check(spec: str, as_json: bool) -> None:
    """Check a data set (camvid:DIR, cityscapes:DIR, folder:DIR): labels, sizes, splits, copies.

    Exit code 2 where training on it would be wrong.
    """
    from triptych.data.check import check

    report = check(spec)
    _print(report.as_dict(), as_json, lambda _: report.as_text())
    if report.wrong:
        raise UserError(f"{spec}: training on it would be wrong, see above")


def _labellers(
    models: Sequence[str],
    weights: Sequence[Path],
    *,
    size: tuple[int, int] | None,
    runtime: str,
    device: str,
) -> list[Labeller]:
    """The models of a command line, each ready to run."""
    from triptych.segment.open_labeller import open_labeller

    chosen = list(models) or [DEFAULT_MODEL]
    if weights and len(weights) != len(chosen):
        raise UserError(
            f"{len(weights)} --weights for {len(chosen)} --model: give one for each, in order"
        )
    files: list[Path | None] = list(weights) or [None] * len(chosen)
    return [
        open_labeller(name, weights=file, runtime=runtime, size=size, device=device)
        for name, file in zip(chosen, files, strict=True)
    ]


def _print(value: Any, as_json: bool, text: Callable[[Any], str]) -> None:
    click.echo(json.dumps(value, indent=2) if as_json else text(value))


class _OneLine(logging.Formatter):
    """A log record as one line for a person: `triptych: warning: …`."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        return f"triptych: {level}{record.getMessage()}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    line = list(sys.argv[1:] if arguments is None else arguments)
    from triptych.stopping import raise_on_signals

    raise_on_signals()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine())
    logger = logging.getLogger("triptych")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    try:
        app.main(line, prog_name="triptych", standalone_mode=False)
        return 0
    except Exception as error:
        return _fail(error, debug="--debug" in line)


def _fail(error: Exception, debug: bool) -> int:
    """Say in one line what went wrong; return the exit code."""
    if debug:
        traceback.print_exc()
    if isinstance(error, TriptychError):
        code, message = error.exit_code, str(error)
    elif isinstance(error, click.exceptions.Exit):
        return error.exit_code
    elif isinstance(error, click.ClickException):
        code, message = UserError.exit_code, error.format_message()
        if isinstance(error, click.UsageError) and error.ctx is not None:
            message += f" (see {error.ctx.command_path} --help)"
    elif isinstance(error, click.Abort):
        # What click makes of a KeyboardInterrupt.
        reason = " ".join(map(str, error.__cause__.args)) if error.__cause__ else ""
        code, message = Stopped.exit_code, f"stopped by {reason or 'Ctrl-C'}"
    elif isinstance(error, BrokenPipeError):
        # The reader of our output went away (`| head`): nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    elif isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        code, message = 1, f"{error.strerror or error}{where}"
    else:
        text = " ".join(str(error).split()) or "no message"
        code, message = 1, f"unexpected {type(error).__name__}: {text} (--debug shows where)"
    print(f"triptych: error: {' '.join(message.split())}", file=sys.stderr)
    return code


def run() -> None:
    """Entry point of the installed command."""
    sys.exit(main())
