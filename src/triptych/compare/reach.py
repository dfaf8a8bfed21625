"""How many samples an arm needs for a score that its baseline needs more or fewer for.

Beside a verdict, never in it: the scores come out of the curves, so nothing was declared about
them before the first look.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from triptych.compare import reach_words
from triptych.compare.comparison import Comparison
from triptych.compare.curves import Point, curve_metric, evaluation_split, points_of_arm
from triptych.stats import samples_to_reach as stats
from triptych.study import Study

Cells = Mapping[str, Mapping[int, Mapping[str, Any]]]
Curves = dict[int, stats.Curve]

FEWEST_EVALUATIONS = 2
"""Of a run; from a single score nothing can be read off."""

LABEL = "samples to reach a score: described, no verdict"
NOTE = (
    "scores lie on the way from the worse first evaluation of both arms to the worse best; they "
    "are reached by the running best, on straight lines between evaluations; every interval stands "
    "alone at 95 %; it holds for these schedules: a training planned to be shorter would get there "
    "sooner"
)


def heading(pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a verdict says of it in general; nothing where no pair has curves."""
    if not any("samples_to_reach" in pair for pair in pairs):
        return {}
    return {"samples_to_reach": {"label": LABEL, "note": NOTE}}


def of_runs(
    folder: Path,
    comparison: Comparison,
    study: Study,
    cells: Cells,
    seeds: tuple[int, ...],
    pair: tuple[str, str],
) -> dict[str, Any]:
    """`samples_to_reach` of (arm, baseline) from the curves of `seeds`, all of which are done;
    empty where runs were scored only once."""
    points = {arm: points_of_arm(folder, arm, seeds, comparison.metric) for arm in pair}
    split = evaluation_split([point for arm in pair for point in points[arm]])
    metric = curve_metric(comparison.metric)
    shown = {
        arm: curves_of([p for p in points[arm] if (p.split, p.metric) == (split, metric)])
        for arm in pair
    }
    brief = [n for n in pair if _most_evaluations(shown[n]) < FEWEST_EVALUATIONS]
    if brief and not comparison.reach:
        return {}
    record: dict[str, Any] = {
        "metric": metric,
        "split": split,
        "evaluations": {arm: _most_evaluations(curves) for arm, curves in shown.items()},
        "way": None,
        "scores": [],
        "shown": None,
        "whole_training": None,
    }
    higher = study.metrics[comparison.metric]
    if brief:
        reason: str | None = f"{brief[0]} was scored fewer than {FEWEST_EVALUATIONS} times"
    else:
        reason = _find(record, shown, pair, seeds, cells, higher, comparison)
    sentences = reach_words.sentences(pair, record, reason)
    return {"samples_to_reach": record | {"reason": reason, "sentences": sentences}}


def curves_of(points: Sequence[Point]) -> Curves:
    """The curve of every seed that has one, from the points of one arm, split and metric."""
    found: dict[int, dict[float, float | None]] = {}
    for point in points:
        if point.samples:  # the last word counts where an epoch was scored twice
            found.setdefault(point.seed, {})[point.samples] = point.score
    return {
        seed: stats.Curve(tuple(sorted(scores)), tuple(scores[at] for at in sorted(scores)))
        for seed, scores in found.items()
    }


def _most_evaluations(curves: Curves) -> int:
    return max((len(curve.samples) for curve in curves.values()), default=0)


def _find(
    record: dict[str, Any],
    curves: Mapping[str, Curves],
    pair: tuple[str, str],
    seeds: tuple[int, ...],
    cells: Cells,
    higher: bool,
    comparison: Comparison,
) -> str | None:
    """Enter all numbers into `record`; returns why there are none, where there are none."""
    for name in pair:
        lacking = [seed for seed in seeds if not _finite(curves[name].get(seed))]
        if lacking:
            return f"{name} seed {', '.join(map(str, lacking))} has no score on its curve"
    a, b = ([curves[name][seed] for seed in seeds] for name in pair)
    arm, baseline = pair

    def ratio(target: float) -> stats.SampleRatio:
        return stats.sample_ratio(a, b, target, higher_is_better=higher, paired=comparison.paired)

    def side(name: str, of: Sequence[stats.Reached]) -> dict[str, Any]:
        return _side(of, seeds, [cells[name][seed]["result"] for seed in seeds])

    def entry(share: float | None, each: stats.SampleRatio) -> dict[str, Any]:
        plain = {key: v for key, v in asdict(each).items() if key not in ("arm", "baseline")}
        sides = {"arm": side(arm, each.arm), "baseline": side(baseline, each.baseline)}
        return {"share": share} | plain | sides

    if comparison.reach:
        record["asked"] = [entry(None, ratio(target)) for target in comparison.reach]
    way = stats.way_of(a, b, higher)
    if way is None:
        return "the weaker arm got no better after its first evaluation"
    weaker, other = (arm, baseline) if way.weaker == "arm" else (baseline, arm)
    record["way"] = {"weaker": weaker, "start": way.start, "best": way.best}
    ratios = [ratio(way.target(share)) for share in stats.SHARES]
    record["scores"] = [
        entry(share, each) for share, each in zip(stats.SHARES, ratios, strict=True)
    ]
    record["shown"] = stats.shown(ratios)
    record["whole_training"] = {
        "of": weaker,
        "score": way.best,
        "samples": stats.geometric_mean([curves[weaker][seed].samples[-1] for seed in seeds]),
        "by": other,
        "reached": side(other, [stats.reached(curves[other][s], way.best, higher) for s in seeds]),
    }
    return None


def _finite(curve: stats.Curve | None) -> bool:
    return curve is not None and any(s is not None and math.isfinite(s) for s in curve.scores)


def _side(
    of: Sequence[stats.Reached], seeds: Sequence[int], results: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """One arm's samples for a score, by seed, and geometric means; no times, by which a verdict
    would differ from that of the same comparison elsewhere. Epochs are the share of the run's."""
    shares = [each.samples / run["samples"] for each, run in zip(of, results, strict=True)]
    epochs = [share * run["epochs"] for share, run in zip(shares, results, strict=True)]
    return {
        "samples": _by_seed(seeds, [each.samples for each in of]),
        "bound": _by_seed(seeds, [each.bound for each in of]),
        "share_of_run": _by_seed(seeds, shares),
        "early": any(each.early for each in of),
        "mean_samples": stats.geometric_mean([each.samples for each in of]),
        "mean_epochs": stats.geometric_mean(epochs),
    }


def _by_seed(seeds: Sequence[int], values: Sequence[Any]) -> dict[str, Any]:
    return {str(seed): value for seed, value in zip(seeds, values, strict=True)}
