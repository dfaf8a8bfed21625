"""`triptych predict`: label a video or pictures with one model or several."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import av

from triptych.aside import aside, made
from triptych.errors import UserError
from triptych.predicting import Clock, check_places, is_video, work_failed
from triptych.run import write_json
from triptych.segment.disagreement import RULE
from triptych.segment.labeller import Labeller
from triptych.segment.labelling import STAGES, Labelling, PredictOptions, View
from triptych.segment.predict_pictures import label_pictures
from triptych.segment.predict_video import label_video
from triptych.segment.results_folder import DISAGREEMENT, take_their_places

__all__ = ["PredictOptions", "check_request", "describe", "predict"]


def predict(
    source: Path,
    labellers: Sequence[Labeller],
    out: Path,
    options: PredictOptions | None = None,
) -> dict[str, Any]:
    """Label `source` into the folder `out`; returns what `out/summary.json` says.

    A video `clip.mov` becomes `out/clip.mp4`; a picture `a.jpg` becomes `out/a.png`, of its own
    size. Below the pictures is a strip with the models' names and the classes that occur. Several
    models are compared pair by pair in `out/disagreement/` (see Disagreement); how much of a video
    keeps its class from frame to frame is in `out/stability/` (see Stability). These two folders
    are of the last start alone: what an earlier one wrote there goes when it has ended.

    A picture of a folder that cannot be read is skipped, named and counted; of a damaged video the
    frames that can be decoded are kept and the lost ones counted. Nothing half-written is left:
    all but the pictures themselves appears when the last frame is done.

    Raises UserError where the request cannot work (missing, empty or unreadable input, `out` the
    input's own folder or not writable, boundaries to be shown of a model that predicts none),
    WorkFailed where the work fails (a full disk, no readable picture in a folder).
    """
    options = options or PredictOptions()
    if not labellers:
        raise UserError("--model: at least one model is needed")
    check_request(source, out, options)
    clock = Clock(STAGES)
    labelling = Labelling(labellers, options.view, options.alpha, clock)
    start = time.perf_counter()
    video = is_video(source)
    job = label_video if video else label_pictures
    try:
        with made(out), aside(out / "results") as part:
            with ExitStack() as stack:
                labelling.compare_in(part / DISAGREEMENT, stack)
                told = job(source, labelling, out, part, options, clock)
                seconds = time.perf_counter() - start
                differences = labelling.describe_disagreement()
            summary = {
                "input": source.name or str(source),
                "folder": str(out),
                "view": options.view,
                "frames": labelling.frames,
                "seconds": round(seconds, 4),
                "frames_per_second": round(labelling.frames / seconds, 3),
                "seconds_per_stage": clock.seconds(),
                **told,
                "models": labelling.describe_models(),
            }
            if len(labellers) > 1:
                summary |= {"disagreement_rule": RULE, "disagreement": differences}
            take_their_places(part, out, video)
            write_json(out / "summary.json", summary)
    except (OSError, av.error.FFmpegError) as error:
        raise work_failed(out, error) from error
    return summary


def check_request(source: Path, out: Path, options: PredictOptions) -> None:
    """Raise UserError where `source` cannot be read or `out` not written. Makes nothing.

    Quick, so that a mistake is told before a model is loaded.
    """
    if options.view not in get_args(View):
        raise UserError(f"--view {options.view}: choose one of {', '.join(get_args(View))}")
    if not 0 <= options.alpha <= 1:
        raise UserError(f"--alpha {options.alpha}: must lie between 0 and 1")
    check_places(source, out)


def describe(summary: dict[str, Any]) -> str:
    """A summary as a few lines for a person."""
    lines = [
        f"{summary['input']}: {summary['frames']} frames labelled, "
        f"{summary['frames_per_second']:.1f} a second"
    ]
    for model in summary["models"]:
        shares = sorted(model["shares"].items(), key=lambda item: -item[1])[:5]
        lines.append(f"  {model['name']}: " + ", ".join(f"{n} {s:.1%}" for n, s in shares if s))
        if model["tile"] is not None and model["tile"]["agreement"] is not None:
            size, share = model["tile"]["size"], model["tile"]["agreement"]
            lines.append(f"    tiles of {size} agree on {share:.1%} of the pixels of their halos")
    for pair in summary.get("disagreement", ()):
        agreement = pair["pixel_agreement"]
        told = pair.get("reason") if agreement is None else f"{agreement:.1%} of the pixels agree"
        lines.append(f"  {' and '.join(pair['models'])}: {told or 'nothing to compare'}")
    lines += [_stable(told) for told in summary.get("stability", ())]
    if summary.get("frames_lost"):
        lines.append(f"  lost: {summary['frames_lost']} frames ({summary['frames_lost_rule']})")
    if summary["skipped"]:
        lines.append(f"  skipped: {len(summary['skipped'])} pictures that cannot be read")
    outputs = summary["outputs"]
    more = f" and {len(outputs) - 1} more" if len(outputs) > 1 else ""
    lines.append(f"  wrote {outputs[0]}{more} and summary.json to {summary['folder']}")
    return "\n".join(lines)


def _stable(told: dict[str, Any]) -> str:
    """How stable one model is, and when least."""
    if told["consistency"] is None:
        return f"  {told['model']}: stability unknown, no two frames could be compared"
    line = (
        f"  {told['model']}: {told['consistency']:.1%} of the pixels that can be followed keep "
        "their class from frame to frame"
    )
    if not told["worst_seconds"]:
        return line
    worst = told["worst_seconds"][0]
    return f"{line}, least from {worst['from']} to {worst['to']} s ({worst['consistency']:.1%})"
