"""A verdict in plain sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from triptych.report import readme
from triptych.report.tables import Verdict, is_fixed
from triptych.report.words import interval, intervals, signed

_WORDS = {
    "better": "is better than",
    "worse": "is worse than",
    "equivalent": "is equivalent to",
}


def verdict_sentence(verdict: Verdict, pair: Verdict) -> str:
    """One pair in a sentence, with its interval."""
    arm, baseline, seen = pair["arm"], pair["baseline"], pair["interval"]
    if is_fixed(verdict):
        range_ = f" ({interval(seen)})" if seen else ""
        return (
            f"{arm} against {baseline}: {signed(pair['difference'])} {verdict['metric']}{range_}; "
            f"{pair['sentence']}."
        )
    if pair["verdict"] == "undecided":
        text = f"Between {arm} and {baseline} it is undecided on this test set"
    else:
        text = f"{arm} {_WORDS[pair['verdict']]} {baseline} on this test set"
    if seen:
        text += f": {signed(seen['difference'])} {verdict['metric']}, {intervals(pair)}"
    text += f"; {pair['reason']}."
    return text


def further_sentences(verdict: Verdict) -> list[str]:
    """What is known of new items, how many seeds would decide a pair, and warnings, by pair."""
    lines = []
    for pair in () if is_fixed(verdict) else verdict["pairs"]:
        parts = []
        if new := pair["new_items"]:
            parts.append(f"New items: {new['sentence']}.")
        if needed := pair["seeds_needed"]:
            parts.append(f"To decide: {needed['reason']}.")
        parts += [f"{warning}." for warning in pair["warnings"]]
        if parts:
            lines.append(f"{pair['arm']} against {pair['baseline']}. {' '.join(parts)}")
    return lines


def limits(verdict: Verdict) -> list[str]:
    """What cannot be concluded; as in the record of `results/`, without Markdown."""
    return [plain(line) for line in readme.limits(verdict)]


def plain(markdown: str) -> str:
    """Text as it was before `words.escape`."""
    return re.sub(r"\\([\\|`*<>&~\[\]#_])", r"\1", markdown)


def machine_lines(
    runtimes: Sequence[Mapping[str, Any]], fingerprints: Sequence[Mapping[str, str]]
) -> list[str]:
    """The environments and the data's digests, each once."""
    lines = []
    for record in runtimes:
        versions = ", ".join(f"{k} {v}" for k, v in sorted(record.get("versions", {}).items()))
        python = f"Python {record['python']}" if "python" in record else None
        commit = f"commit {record['commit']}" if record.get("commit") else None
        parts = [record.get("device"), record.get("system"), python, versions, commit]
        lines.append(", ".join(str(part) for part in parts if part))
    if len(runtimes) > 1:
        lines.append("Runs were not all made alike: times of different devices do not compare.")
    for found in fingerprints:
        each = ", ".join(f"{split} {digest[:12]}" for split, digest in sorted(found.items()))
        lines.append(f"Data, by the start of its sha256: {each}.")
    return lines
