"""The sections of what is no comparison: a run, an evaluation, a bench, predictions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from triptych.audit import Line, audit_run
from triptych.errors import UserError
from triptych.report.blocks import Section, Sentences, Tabular, drawing, tabular
from triptych.report.budget import budget_figure, spent
from triptych.report.comparison_part import add_study
from triptych.report.conduct_part import add_repeat
from triptych.report.figures import MOST_POINTS, draw_curves
from triptych.report.history import read_history, thinned
from triptych.report.pareto import speed_figure
from triptych.report.studies import METRICS, evaluation_of
from triptych.report.subject import Subject
from triptych.report.words import NOTHING, count, score
from triptych.run import read_json, read_result

MAIN = {"segment": "mIoU", "detect": "AP50", "classify": "top1"}


def run_place(folder: Path) -> tuple[str, int, Path]:
    """Recipe, seed and folder of the run whose records lie at `RECIPE/seed-N` in `folder`."""
    found = sorted(folder.glob("*/seed-*")) or sorted(folder.glob("*/*/seed-*"))
    if not found:
        raise UserError("it holds no run")
    place = found[0]
    return str(place.parent.relative_to(folder)), int(place.name.removeprefix("seed-")), place


def title_of_run(folder: Path) -> str:
    try:
        return run_place(folder)[0]
    except (UserError, ValueError):
        return "run"


def add_run(section: Section, folder: Path, places: Mapping[str, int]) -> None:
    """Scores, curves, evaluation, audit and environment of one run."""
    name, seed, run = run_place(folder)
    record = _json(run / "recipe.json")
    result = read_result(run)
    study = name.partition("/")[0]
    metric = MAIN.get(study, "")
    if result and metric not in result["scores"]:
        metric = next(iter(result["scores"]), metric)
    section.title = f"{name}, seed {seed}"
    if result is None:
        section.add(
            Sentences("unfinished", ("This run has not ended; what it has so far is shown.",),
                      "warning")
        )  # fmt: skip
    else:
        shown = ", ".join(f"{k} {score(v)}" for k, v in result["scores"].items())
        diverged = " It diverged." if result.get("diverged") else ""
        section.add(
            Sentences("scores", (f"{shown} on {result['data']}.{diverged}",), "verdict", "Scores"),
            Sentences("one", ("One run is a description: no verdict comes from it.",), "plain"),
            tabular("cost", "What it cost", ("what", "value"), _costs(result)),
        )
    fields = record.get("recipe", {})
    state = "diverged" if result and result.get("diverged") else "done" if result else "begun"
    verdict: dict[str, Any] = {
        "metric": metric,
        "plan": {"kind": "fixed", "n": 1, "seeds": [seed]},
        "arms": {name: {"states": {str(seed): state}}},
        "pairs": [],
    }
    points = thinned(read_history(folder, verdict), MOST_POINTS)
    section.add(
        drawing(
            section,
            "curves",
            "Score and loss over training",
            f"Curves of {metric} and of the loss of {name}, seed {seed}.",
            draw_curves(points, verdict, places=places),
        )
    )
    curves, split = spent(folder, verdict, points)
    section.add(
        drawing(
            section,
            "budget",
            "Score against budget",
            f"{metric} of {name} against samples, training GFLOP and training time.",
            budget_figure(curves, metric, split or "", places),
            folded=True,
        )
    )
    place = evaluation_of(run, metric)
    evaluations = {name: {str(seed): place}} if place is not None else {}
    runs = {name: {str(seed): run}}
    add_study(section, Subject(study, metric, evaluations, places, (), runs))
    part = section.part("conduct", "How it was done")
    part.add(
        _audit(run),
        tabular(
            "recipe", "Recipe", ("field", "value"),
            [(key, _text(value)) for key, value in fields.items()], folded=True,
        ),
    )  # fmt: skip
    add_repeat(part, [_json(run / "runtime.json")], [dict(record.get("fingerprint", {}))])


def _costs(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    names = {
        "parameters": "parameters",
        "MACs": "MACs an image",
        "epochs": "epochs",
        "samples": "samples trained on",
        "updates": "updates",
        "training_GFLOP": "training, GFLOP",
    }
    rows = [(text, count(result.get(key))) for key, text in names.items()]
    seconds = result.get("times", {}).get("seconds")
    return [*rows, ("time, s", NOTHING if seconds is None else f"{seconds:,.1f}")]


def _audit(run: Path) -> Tabular | None:
    try:
        lines = audit_run(run)
    except (UserError, KeyError, TypeError, ValueError):
        lines = [Line("run", "unknown", "its testimony is not there or not as this program knows")]
    rows = [(line.about, line.finding, line.text) for line in lines]
    return tabular("audit", "Audit", ("audit of", "finding", "what was measured"), rows)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return "none" if value is None else str(value)


def _json(file: Path) -> dict[str, Any]:
    return read_json(file) if file.exists() else {}


def add_evaluation(section: Section, folder: Path, model: str, places: Mapping[str, int]) -> None:
    """An evaluation alone, of weights that came from somewhere."""
    scores = read_json(folder / "scores.json")
    study = next((s for s, name in MAIN.items() if name in scores), "")
    named = [name for name in METRICS.get(study, ()) if name in scores]
    section.title = f"{model} on {scores.get('data', 'unknown data')} {scores.get('split', '')}"
    shown = ", ".join(f"{name} {score(scores[name])}" for name in named)
    text = f"{shown}; for these weights on this data."
    section.add(Sentences("scores", (text,), "verdict", "Scores"))
    add_study(section, Subject(study, MAIN.get(study, ""), {model: {"": folder}}, places))


def add_bench(section: Section, folder: Path) -> None:
    """Accuracy against speed."""
    record = read_json(folder / "bench.json")
    section.title = f"Speed at {record['size']} on {record['processor']}"
    rows = []
    for row in record["rows"]:
        runtime = f"{row['runtime']} {row['precision']}"
        if "error" in row:
            rows.append((row["model"], runtime, f"failed: {row['error']}", *[NOTHING] * 4))
            continue
        slow = row["latency_p95_ms"]
        rows.append(
            (
                row["model"],
                runtime,
                f"{row['frames_per_second']:.1f}",
                f"{row['latency_p50_ms']:.1f}",
                NOTHING if slow is None else f"{slow:.1f}",
                f"{row['peak_memory_bytes'] / 2**20:,.0f}",
                str(row.get("weights", NOTHING)),
            )
        )
    header = ("model", "runtime", "frames/s", "p50, ms", "p95, ms", "peak memory, MiB", "weights")
    if record["points"]:
        section.add(
            drawing(
                section,
                "speed",
                "Accuracy against speed",
                f"{record['metric']} over frames per second; the front of models that no other "
                "beats in both is joined. The table below has the speeds.",
                speed_figure(record),
            ),
            _points(record),
        )
    section.add(
        tabular("rows", "Speed", header, rows, note=str(record.get("rule", ""))),
        Sentences("where", (f"{record['cores']} cores, {record['device']}.",), "plain"),
    )


def _points(record: Mapping[str, Any]) -> Tabular | None:
    rows = [
        (
            str(point["model"]),
            score(point["score"]),
            "claimed" if point["claimed"] else "measured",
            str(point["on"]),
            f"{point['frames_per_second']:.1f}",
            "yes" if point["on_front"] else "no",
        )
        for point in record["points"]
    ]
    header = ("model", str(record["metric"]), "score is", "on", "frames/s", "on the front")
    return tabular("points", "Accuracy against speed", header, rows)


def add_predictions(section: Section, folder: Path) -> None:
    """What `triptych predict` counted."""
    summary = read_json(folder / "summary.json")
    section.title = f"Predictions for {summary.get('input', 'pictures')}"
    text = (
        f"{summary.get('frames', 0):,} frames, {summary.get('frames_per_second', 0):.1f} a second."
    )
    section.add(Sentences("frames", (text,), "plain"))
    models = summary.get("models", ())
    named = dict.fromkeys(n for m in models for n in (*m.get("shares", ()), *m.get("objects", ())))
    rows = [
        (name, *(_share(model, name) for model in models))
        for name in named
        if any(_share(model, name) != NOTHING for model in models)
    ]
    header = ("class", *(str(model["name"]) for model in models))
    note = "Share of the pixels, or objects that were drawn."
    section.add(tabular("found", "What was found", header, rows, note=note))
    stable = [
        (str(s["model"]), NOTHING if s["consistency"] is None else f"{s['consistency']:.1%}")
        for s in summary.get("stability", ())
    ]
    header = ("model", "pixels that keep their class from frame to frame")
    section.add(tabular("stability", "Stability", header, stable))
    pairs = [
        (" and ".join(map(str, p["models"])), NOTHING if p["pixel_agreement"] is None
         else f"{p['pixel_agreement']:.1%}")
        for p in summary.get("disagreement", ())
    ]  # fmt: skip
    section.add(tabular("agree", "Agreement", ("models", "pixels that agree"), pairs))


def _share(model: Mapping[str, Any], name: str) -> str:
    share, objects = model.get("shares", {}).get(name), model.get("objects", {}).get(name)
    if share:
        return f"{share:.1%}"
    return f"{objects:,}" if objects else NOTHING
