"""What curves say about samples, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def sentences(
    pair: tuple[str, str], record: Mapping[str, Any], reason: str | None = None
) -> list[str]:
    """First the ratio of samples at the score that is shown, then what the weaker arm's whole
    training is worth, then ratios at scores that were asked for; in place of a ratio, the `reason`
    why there is none."""
    asked = [_asked(pair, record, each) for each in record.get("asked", ())]
    if not record["scores"]:
        return [_unknown(pair, reason), *asked]
    shown = record["shown"]
    if shown is None:
        first = _unknown(pair, record["scores"][-1]["reason"])
    else:
        first = _ratio(pair, record, record["scores"][shown])
    return [first, _whole_training(record), *asked]


def _unknown(pair: tuple[str, str], reason: str | None, at: str = "") -> str:
    return f"how many samples of {pair[1]} one of {pair[0]} is worth{at} cannot be said: {reason}"


def _asked(pair: tuple[str, str], record: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if found["kind"] is None:
        return _unknown(pair, found["reason"], f" on the way to {_score(record, found['target'])}")
    return _ratio(pair, record, found)


def _ratio(pair: tuple[str, str], record: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if found["kind"] != "estimate":
        return _bound(pair, record, found)
    text = _estimate(pair, record, found)
    arm, baseline = found["arm"], found["baseline"]
    faster = 0 if arm["mean_samples"] < baseline["mean_samples"] else 1
    if (arm, baseline)[faster]["early"]:
        text += (
            f"; as {pair[faster]} came to it between the first two evaluations, where a "
            "straight line says least, the truth is probably further from 1"
        )
    return text


def _estimate(pair: tuple[str, str], record: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    arm, baseline = pair
    share = 1 / found["ratio"]
    if found["low"] is None:
        spread = f" (no interval: {found['reason'].removesuffix(': no interval')})"
    else:
        spread = (
            f" ({level(found['level'])} interval {factor(1 / found['high'])} to "
            f"{factor(1 / found['low'])})"
        )
    times = factor(share)
    return (
        f"{arm} needs {times}{'' if times.startswith('1/') else ' times'}{spread} "
        f"{'of ' if times.startswith('1/') else ''}the samples of {baseline} to reach "
        f"{_score(record, found['target'])}: {_sizes(found['arm'], found['baseline'])}"
    )


def _bound(pair: tuple[str, str], record: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Where runs hold bounds: the slower arm needs at least so many times the samples."""
    arm, baseline = pair
    sides = {arm: found["arm"], baseline: found["baseline"]}
    if found["kind"] == "at least":
        slow, fast, least, end = baseline, arm, found["ratio"], found["low"]
    else:
        slow, fast, least = arm, baseline, 1 / found["ratio"]
        end = None if found["high"] is None else 1 / found["high"]
    if end is None:
        text, basis = factor(least), f"in these seeds; {found['reason']}"
    else:
        text = factor(end)
        basis = f"lower end of a {level(found['level'])} interval; in these seeds {factor(least)}"
    if (least if end is None else end) <= 1:
        return (
            f"it is not shown which of {slow} and {fast} needs more samples to reach "
            f"{_score(record, found['target'])}: {slow} at least {text} times those of {fast} "
            f"({basis}); {_why(slow, fast, sides)}"
        )
    return (
        f"{slow} needs at least {text} times the samples of {fast} to reach "
        f"{_score(record, found['target'])} ({basis}): {_why(slow, fast, sides)}"
    )


def _why(slow: str, fast: str, sides: Mapping[str, Mapping[str, Any]]) -> str:
    """Which runs hold a bound."""
    parts = []
    for name, bound, words in (
        (slow, "more than", "did not reach it within {} samples"),
        (fast, "at most", "had reached it at the first evaluation, after {} samples,"),
    ):
        side = sides[name]
        held = [side["samples"][seed] for seed, each in side["bound"].items() if each == bound]
        if held:
            parts.append(f"{name} {words.format(_range(held))} {_of(held, side)}")
    return "; ".join(parts)


def _whole_training(record: Mapping[str, Any]) -> str:
    found = record["whole_training"]
    side, other = found["reached"], found["by"]
    what = (
        f"{_score(record, found['score'])}, the best of the whole training of {found['of']} "
        "(mean over seeds)"
    )
    there = [side["samples"][seed] for seed, each in side["bound"].items() if each != "more than"]
    if not there:
        return f"{other} does not come to {what}"
    if len(there) < len(side["bound"]):
        return f"{other} comes to {what}, {_of(there, side)}, there after {_range(there)} samples"
    most = "at most " if "at most" in side["bound"].values() else ""
    by_seed = f" ({_range(there)} by seed)" if len(set(map(_count, there))) > 1 else ""
    share = factor(side["mean_samples"] / found["samples"])
    return (
        f"{other} comes to {what}, after {most}{_count(side['mean_samples'])} samples{by_seed}, "
        f"{most}{share} of it"
    )


def _score(record: Mapping[str, Any], value: float) -> str:
    return f"{record['metric']} {value:.3f} on {record['split']}"


def _sizes(arm: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    return (
        f"{_count(arm['mean_samples'])} against {_count(baseline['mean_samples'])}, or "
        f"{arm['mean_epochs']:.1f} against {baseline['mean_epochs']:.1f} epochs"
    )


def _of(held: list[float], side: Mapping[str, Any]) -> str:
    return f"in {len(held)} of {len(side['bound'])} seeds"


def _range(values: list[float]) -> str:
    low, high = _count(min(values)), _count(max(values))
    return low if low == high else f"{low} to {high}"


def _count(samples: float) -> str:
    """To three digits."""
    digits = max(0, len(f"{samples:.0f}") - 3)
    return f"{round(samples, -digits):,.0f}"


def level(value: float) -> str:
    return f"{100 * value:.3g} %"


def factor(value: float) -> str:
    """A ratio of samples: `3.2`, and its reciprocal below 1: `1/3.2`."""
    if value < 1:
        text = factor(1 / value)
        return text if float(text.replace(",", "")) == 1 else f"1/{text}"
    digits = 2 if value < 1.095 else 1 if value < 9.95 else 0
    return f"{value:,.{digits}f}"
