"""Accuracy against speed: one point a model, and which of them no other beats in both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from triptych.benching.basis import basis_texts
from triptych.benching.known_scores import Score

Row = Mapping[str, Any]


def points(
    rows: Sequence[Row],
    scores: Mapping[str, Score | None],
    against: Callable[[Row], str] = lambda row: "",
) -> list[dict[str, Any]]:
    """One point a model that has a score and a speed, with the Pareto front of those alike.

    The speed is that of the model's fastest row, but for those that something is `against`. Points
    are alike whose `claimed` and `on` are: the front is that of the kind that most of them have,
    measured ones before claimed ones.
    """
    best: dict[str, tuple[Row, Score]] = {}
    for name, score in scores.items():
        own = [row for row in rows if row["model"] == name]
        fit = [row for row in own if "error" not in row and not against(row)]
        if fit and score is not None:
            best[name] = max(fit, key=lambda row: float(row["frames_per_second"])), score
    on = basis_texts(score.on for _, score in best.values() if not score.claimed)
    found = [
        {
            "model": name,
            "frames_per_second": row["frames_per_second"],
            "runtime": f"{row['runtime']} {row['precision']}",
            "score": score.value,
            "on": score.on.data if score.claimed else on[score.on],
            "fingerprint": score.on.fingerprint,
            "rules": score.on.rules_text,
            "score_size": score.size,
            "claimed": score.claimed,
        }
        for name, (row, score) in best.items()
    ]
    kinds = [(not point["claimed"], point["on"]) for point in found]
    main = max(kinds, key=lambda kind: (kind[0], kinds.count(kind)), default=None)
    alike = [point for point, kind in zip(found, kinds, strict=True) if kind == main]
    for point in found:
        point["on_front"] = point in alike and not any(_dominates(other, point) for other in alike)
    return found


def _dominates(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether `one` is at least as fast and as good, and better in one of the two."""
    pairs = [(one[key], other[key]) for key in ("frames_per_second", "score")]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def point_lines(record: Mapping[str, Any]) -> list[str]:
    """The points of a record as lines for a person, fastest first; none where it has none."""
    lines = ["", "accuracy against speed (*: on the Pareto front):"] if record["points"] else []
    for point in sorted(record["points"], key=lambda each: -each["frames_per_second"]):
        mark = "*" if point["on_front"] else " "
        whose = "claimed on" if point["claimed"] else "measured on"
        lines.append(
            f"{mark} {point['model']:<24} {point['frames_per_second']:>7.1f} frames/s  "
            f"{record['metric']} {point['score']:.3f} {whose} {point['on']}"
        )
    return lines
