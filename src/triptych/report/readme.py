"""The page of a record: the question, what came out, and what cannot be concluded from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from triptych.compare.scored_on import OTHER
from triptych.report.beside_table import beside_table
from triptych.report.joined import fixed_part
from triptych.report.reach_table import reach_table
from triptych.report.tables import (
    Cells,
    Verdict,
    arms_of,
    arms_table,
    audit_table,
    is_fixed,
    pairs_table,
    planned_scores,
)
from triptych.report.words import escape, interval, intervals, setting, signed


def readme(
    verdict: Verdict,
    runtimes: Sequence[Mapping[str, Any]],
    fingerprints: Sequence[Mapping[str, str]],
    figures: Sequence[str],
) -> str:
    """Markdown from a verdict without paths.

    `runtimes` and `fingerprints` of the data are those that occur in the cells, `figures` the
    names of the files beside the page.
    """
    parts = [
        f"# {escape(verdict['question'])}",
        setting(verdict, escape),
        "## Verdict",
        "\n".join(f"- {_sentence(verdict, pair)}" for pair in verdict["pairs"]),
    ]
    if "exploratory" in verdict:
        extension = verdict["exploratory"]
        parts += [
            f"Exploratory, with seeds {_list(extension['seeds'])} ({escape(extension['why'])}):",
            "\n".join(f"- {_sentence(verdict, pair, True)}" for pair in extension["pairs"]),
        ]
    if notes := verdict.get("notes"):
        parts.append("\n".join(f"- Note: {escape(note)}." for note in notes))
    if "verdict.svg" in figures:
        parts.append("![Every pair's difference with its interval](verdict.svg)")
    parts += ["### What cannot be concluded", "\n".join(f"- {line}" for line in limits(verdict))]
    parts += ["## Arms", arms_table(verdict).to_markdown().rstrip()]
    if failures := _failures(verdict):
        parts.append("\n".join(f"- {line}" for line in failures))
    if "curves.svg" in figures:
        parts.append("![Score and loss over training](curves.svg)")
    parts += _samples(verdict)
    parts += ["## Pairs", pairs_table(verdict).to_markdown().rstrip()]
    if further := beside_table(verdict):
        about = verdict["beside"]
        parts += [
            "## Beside the primary metric",
            f"{escape(about['label'] + '; ' + about['note'])}.",
        ]
        if "beside.svg" in figures:
            parts.append("![Every further score's differences with their intervals](beside.svg)")
        parts.append(further.to_markdown().rstrip())
    if (joined := fixed_part(verdict)) is not None:
        parts += _joined(verdict, joined, figures)
    if populations := [name for name in figures if name.startswith("population-")]:
        parts += ["## Populations", *(f"![{_figure_title(name)}]({name})" for name in populations)]
    parts += ["## Audit", audit_table(verdict).to_markdown().rstrip()]
    machine = _machine(runtimes, fingerprints) + _evaluations(joined or verdict)
    if machine:
        parts += ["## Machine and data", "\n".join(f"- {line}" for line in machine)]
    return "\n\n".join(parts) + "\n"


def _samples(verdict: Verdict) -> list[str]:
    """How many samples the arms need for a score; nothing where there are no curves."""
    about = verdict.get("samples_to_reach")
    if not about:
        return []
    sentences = [
        f"- {escape(sentence)}."
        for pair in verdict["pairs"]
        for sentence in pair.get("samples_to_reach", {"sentences": ()})["sentences"]
    ]
    table = reach_table(verdict)
    return [
        "## Samples to reach a score",
        f"{escape(about['label'] + '; ' + about['note'])}.",
        *(["\n".join(sentences)] if sentences else []),
        *([table.to_markdown().rstrip()] if table else []),
    ]


def _joined(verdict: Verdict, joined: Verdict, figures: Sequence[str]) -> list[str]:
    """The part of the page on fixed predictions among recipes; `joined` is `fixed_part`."""
    found = verdict["fixed"]
    parts = [
        "## Fixed predictions",
        f"On {escape(joined['data'])}, {escape(found['judged'])}: {escape(found['note'])}.",
    ]
    if found["reason"]:
        parts.append(f"Not compared with the recipes: {escape(found['reason'])}.")
    parts += ["\n".join(f"- {_sentence(joined, pair)}" for pair in joined["pairs"])]
    if "fixed.svg" in figures:
        parts.append("![The difference to every recipe](fixed.svg)")
    parts.append(arms_table(joined).to_markdown().rstrip())
    if joined["pairs"]:
        parts.append(pairs_table(joined).to_markdown().rstrip())
    if further := beside_table(joined):
        parts.append(f"{escape(verdict['beside']['label'])}:")
        if "fixed_beside.svg" in figures:
            parts.append("![The difference to every recipe, further scores](fixed_beside.svg)")
        parts.append(further.to_markdown().rstrip())
    return list(filter(None, parts))


def _figure_title(file: str) -> str:
    return escape(file.removeprefix("population-").removesuffix(".svg").replace("-", " "))


def _sentence(verdict: Verdict, pair: Verdict, exploratory: bool = False) -> str:
    """One pair in a sentence."""
    who = f"**{escape(pair['arm'])}** against **{escape(pair['baseline'])}**"
    if is_fixed(verdict):
        seen = f", {interval(pair['interval'])}" if pair["interval"] else ""
        return f"{who}: {signed(pair['difference'])}{seen}; {escape(pair['sentence'])}."
    seen = pair["interval"]
    word = f"exploratory: {pair['verdict']}" if exploratory else f"**{pair['verdict']}**"
    text = f"{who}: {word} on this test set"
    if seen:
        text += f"; {signed(seen['difference'])}, {intervals(pair)}"
    text += f"; {escape(pair['reason'])}."
    if new := pair["new_items"]:
        text += f" New items: {escape(new['sentence'])}."
    if needed := pair["seeds_needed"]:
        text += f" To decide: {escape(needed['reason'])}."
    return text


def limits(verdict: Verdict) -> list[str]:
    """What a reader may not conclude, each a line of Markdown."""
    lines = _limits_of_fixed(verdict) if is_fixed(verdict) else _limits_of_runs(verdict)
    if "beside" in verdict:
        lines.append(
            f"Further scores ({escape(', '.join(verdict['beside']['scores']))}) are described, and "
            "nothing is concluded from them."
        )
    if "fixed" in verdict:
        lines.append(
            f"What is said of {escape(', '.join(verdict['fixed']['arms']))} holds for these "
            "weights on this data, which they may have been trained on; nothing is said about how "
            "they were trained, and no verdict depends on them."
        )
    suspect = [line["about"] for line in verdict["audit"] if line["finding"] in ("flaw", "differs")]
    unknown = [line["about"] for line in verdict["audit"] if line["finding"] == "unknown"]
    if suspect:
        lines.append(
            f"The audit marks {escape(', '.join(suspect))}: unless that is the question itself, a "
            "difference may come from there."
        )
    if unknown:
        lines.append(f"The audit could not see {escape(', '.join(unknown))}.")
    return lines


def _limits_of_fixed(verdict: Verdict) -> list[str]:
    lines = [
        "What is said holds for these weights on this data; nothing is said about ways of training."
    ]
    if any(pair["new_items"] == "cannot be judged" for pair in verdict["pairs"]):
        lines.append(
            "Where new items cannot be judged, the differences describe this data and no other."
        )
    return lines


def _limits_of_runs(verdict: Verdict) -> list[str]:
    pairs = verdict["pairs"]
    lines = [
        f"Verdicts hold on one test set ({escape(verdict['data'] or 'none yet')}) and for these "
        "recipes; other data, budgets and settings may turn them around."
    ]
    if any(text.startswith(OTHER) for pair in pairs for text in pair["warnings"]):
        lines.append(
            "Where two arms were scored on different data, the difference is of recipe and data "
            "together."
        )
    few = [name for name in arms_of(verdict) if len(planned_scores(verdict, name)) < 3]
    if few:
        lines.append(
            f"Fewer than 3 seeds of {escape(', '.join(few))}: their scores are descriptions, and "
            "no verdict is given."
        )
    if any(pair["verdict"] == "undecided" for pair in pairs):
        lines.append("Undecided does not mean equal: neither was shown.")
    if any(not pair["new_items"] or pair["new_items"]["new_items"] != "yes" for pair in pairs):
        lines.append(
            "Where the column of new items does not say yes, that a difference holds on new items "
            "is not shown."
        )
    if verdict["plan"]["kind"] == "sequential":
        lines.append("A comparison that stops early probably overestimates the difference.")
    if "exploratory" in verdict:
        lines.append("What is exploratory came after a first look and is no verdict.")
    return lines + _limits_of_cells(verdict)


def _limits_of_cells(verdict: Verdict) -> list[str]:
    cells = {name: Cells.of(verdict, name) for name in arms_of(verdict)}
    lines = []
    diverged = {name: len(each.seeds("diverged")) for name, each in cells.items()}
    if any(diverged.values()):
        who = ", ".join(f"{escape(name)} ({count})" for name, count in diverged.items() if count)
        lines.append(f"Runs diverged: {who}. Their scores count as they were measured.")
    elif counts := [len(each.seeds("done")) for each in cells.values() if each.seeds("done")]:
        # Rule 4: with none of n diverged, the rate's upper 95 % bound is 1 - 0.05^(1/n).
        bound = 1 - 0.05 ** (1 / min(counts))
        lines.append(
            f"No run diverged, which with {min(counts)} seeds an arm rules out only a rate of "
            f"divergence above {bound:.0%}."
        )
    kinds = ("failed", "begun") if any(c.needless for c in cells.values()) else _LACKING
    lacking = sum(len(each.seeds(kind)) for each in cells.values() for kind in kinds)
    if lacking:
        lines.append(f"{lacking} cells have no score; what they would say is not in here.")
    return lines


_LACKING = ("failed", "begun", "missing")


def _failures(verdict: Verdict) -> list[str]:
    return [
        f"{escape(name)} seed {seed} {escape(state)}"
        for name in arms_of(verdict)
        for seed, state in sorted(verdict["arms"][name].get("states", {}).items())
        if state.startswith("failed")
    ]


def _machine(
    runtimes: Sequence[Mapping[str, Any]], fingerprints: Sequence[Mapping[str, str]]
) -> list[str]:
    lines = []
    for record in runtimes:
        versions = ", ".join(f"{k} {v}" for k, v in sorted(record.get("versions", {}).items()))
        python = f"Python {record['python']}" if "python" in record else None
        parts = [record.get("device"), record.get("system"), python]
        commit = f"; commit {record['commit']}" if "commit" in record else ""
        lines.append(escape(", ".join([*filter(None, parts), versions]) + commit))
    if len(runtimes) > 1:
        lines.append("Runs were not all made alike: times of different devices do not compare.")
    for found in fingerprints:
        each = ", ".join(f"{split} {digest[:12]}" for split, digest in sorted(found.items()))
        lines.append(f"Data, by the start of its sha256: {escape(each)}")
    return lines


def _evaluations(verdict: Verdict) -> list[str]:
    """How fixed predictions came about, and on which data."""
    lines = []
    for name in arms_of(verdict):
        found = verdict["arms"][name].get("evaluation") or {}
        parts = [found.get("runtime"), f"frames at {found['size']}" if found.get("size") else None]
        if digest := found.get("fingerprint"):
            parts.append(f"data {digest[:12]} by the start of its sha256")
        if text := ", ".join(filter(None, parts)):
            lines.append(escape(f"{name}: {text}"))
    return lines


def _list(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
