"""How numbers and names are written in tables and figures."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

NOTHING = "–"
MINUS = "−"


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    text = re.sub(r"[\\|`*<>&~\[\]#]", r"\\\g<0>", " ".join(text.split()))
    # An underscore within a word marks no emphasis.
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\_", text)


def unit(metric: str) -> str:
    """The unit of a metric: a loss has nats, every other score is a fraction from 0 to 1."""
    return "nats" if metric.endswith("loss") else "fraction"


def spread(scores: Sequence[float]) -> str:
    """Mean ± sample standard deviation (n); no deviation from one score."""
    if not scores:
        return "no score (n = 0)"
    deviation = f" ± {np.std(scores, ddof=1):.4f}" if len(scores) > 1 else ""
    return f"{np.mean(scores):.4f}{deviation} (n = {len(scores)})"


def score(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4f}"


def signed(value: float | None) -> str:
    """A difference with its sign."""
    return NOTHING if value is None else f"{value:+.4f}".replace("-", MINUS)


def interval(found: Mapping[str, Any] | None) -> str:
    """Such as `−0.0459 to +0.1393 (95 %)`."""
    if not found:
        return "none"
    return f"{signed(found['low'])} to {signed(found['high'])} ({percent(found['level'])})"


def intervals(pair: Mapping[str, Any]) -> str:
    """A pair's own interval and, where several pairs are judged, the one that holds for all.

    Such as `−0.0355 to −0.0127 (95 %; with all pairs −0.0423 to −0.0059, 98.3 %)`: by the second
    a difference is said to exceed the margin.
    """
    seen, wide = pair["interval"], pair.get("adjusted_interval")
    if not seen or not wide or wide["level"] == seen["level"]:
        return interval(seen)
    return (
        f"{signed(seen['low'])} to {signed(seen['high'])} ({percent(seen['level'])}; with all "
        f"pairs {signed(wide['low'])} to {signed(wide['high'])}, {percent(wide['level'])})"
    )


def percent(level: float) -> str:
    """A level with as many digits as tell it apart: 95 %, 99.4 %."""
    return f"{100 * level:.3g} %" if level < 0.9995 else f"{100 * level:.5g} %"


def probability(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.3f}" if value >= 0.001 or not value else f"{value:.0e}".replace("e-0", "e-")


def differing(differs: Mapping[str, Sequence[Any]]) -> str:
    """The fields of two recipes that differ: `model: resnext-tiny → vit-tiny`."""
    return "; ".join(f"{field}: {old} → {new}" for field, (old, new) in sorted(differs.items()))


def count(value: Any) -> str:
    """A cost; where it is not the same for all seeds, from the lowest to the highest."""
    if not isinstance(value, list):
        return NOTHING if value is None else f"{value:,}"
    known = [each for each in value if each is not None]
    return f"{min(known):,} to {max(known):,}" if known else NOTHING


def seconds_range(values: Sequence[float]) -> str:
    """The range over seeds, to the second, or finer for runs of less than ten."""
    if not values:
        return NOTHING
    digits = 0 if max(values) >= 10 else 1
    low, high = f"{min(values):,.{digits}f}", f"{max(values):,.{digits}f}"
    return low if low == high else f"{low} to {high}"


def setting(verdict: Mapping[str, Any], text: Callable[[str], str] = str) -> str:
    """What is judged, and by what plan, in sentences; `text` makes names safe to show."""
    better = "higher" if verdict["higher_is_better"] else "lower"
    return (
        f"{text(verdict['study'])}: {text(verdict['metric'])} on "
        f"{text(verdict['data'] or 'no data yet')}, {better} is better; a difference below the "
        f"margin of {verdict['margin']:g} is too small to matter. {_plan(verdict['plan'])}"
    )


def _plan(plan: Mapping[str, Any]) -> str:
    if plan["kind"] == "sequential":
        return (
            "Plan, fixed before the first run: seeds are added until every pair is decided, at "
            f"most {plan['n_max']} an arm."
        )
    if plan["kind"] == "fixed":
        seeds = ", ".join(map(str, plan["seeds"]))
        return f"Plan, fixed before the first run: seeds {seeds} for every arm."
    return "Fixed predictions: nothing was trained."
