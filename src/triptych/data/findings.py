"""What is wrong or doubtful with a data set, drawn from looks at all of its frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from triptych.data.classes import VOID, ClassSet
from triptych.data.copies import near_copies
from triptych.data.frames import LabelCode, value_text
from triptych.data.look import Look

NAMED = 3
"""How many files a finding's line names; `files` has them all."""


@dataclass(frozen=True)
class Finding:
    severity: Literal["error", "warning", "note"]
    """`error`: training on it would be wrong. `warning`: a score on it says less than it seems.
    `note`: worth knowing."""
    text: str
    files: tuple[str, ...] = ()


def file_findings(split: str, looks: Sequence[Look], unpaired: Sequence[str]) -> list[Finding]:
    """Files that are missing, broken, colour-coded, or of the wrong size."""
    found = []
    if unpaired:
        text = f"{split}: {len(unpaired)} without a partner (picture or label): {_few(unpaired)}"
        found.append(Finding("error", text, tuple(unpaired)))
    unreadable = {file: why for look in looks for file, why in look.unreadable.items()}
    if unreadable:
        text = f"{split}: {len(unreadable)} files cannot be used: {_few(list(unreadable.values()))}"
        found.append(Finding("error", text, tuple(unreadable)))
    coded = [look.label for look in looks if look.colour_coded]
    if coded:
        text = f"{split}: {len(coded)} labels are RGB colours where ids are due: {_few(coded)}"
        found.append(Finding("error", text, tuple(coded)))
    wrong = [look for look in looks if look.mismatch]
    if wrong:
        text = f"{split}: {len(wrong)} labels differ from their picture in size: "
        text += _few([f"{look.label} ({look.mismatch})" for look in wrong])
        found.append(Finding("error", text, tuple(look.label for look in wrong)))
    return found


def label_findings(
    split: str, looks: Sequence[Look], classes: ClassSet, code: LabelCode
) -> list[Finding]:
    """Label values without a class, frames that are void all over, classes that never occur."""
    found = []
    strange: dict[tuple[int, bool], list[Look]] = {}
    for look in looks:
        for value in look.values:
            if class_of(value, code) is None:
                strange.setdefault(value, []).append(look)
    total = sum(count for look in looks for count in look.values.values())
    for value, members in sorted(strange.items()):
        share = sum(look.values[value] for look in members) / total
        files = [look.label for look in members]
        text = (
            f"{split}: {value_text(*value)} is neither a class nor void: {100 * share:.2g} % of "
            f"all pixels, in {len(files)} files: {_few(files)}"
        )
        found.append(Finding("error", text, tuple(files)))
    empty = [
        look.label
        for look in looks
        if look.values and all(class_of(value, code) == VOID for value in look.values)
    ]
    if empty:
        text = f"{split}: {len(empty)} labels are void all over: {_few(empty)}"
        found.append(Finding("warning", text, tuple(empty)))
    present = {class_of(value, code) for look in looks for value in look.values}
    absent = [name for number, name in enumerate(classes.names) if number not in present]
    if absent and looks:
        found.append(Finding("note", f"{split}: never occurs: {', '.join(absent)}"))
    return found


def drive_findings(
    first: str, looks: Sequence[Look], second: str, others: Sequence[Look]
) -> list[Finding]:
    """Drives that two splits share, and how their frames lie to each other."""
    counts = Counter(look.group for look in looks), Counter(look.group for look in others)
    found = []
    for drive in sorted(counts[0].keys() & counts[1].keys()):
        text = (
            f"{first} and {second} share drive {drive} ({counts[0][drive]} and "
            f"{counts[1][drive]} frames)"
        )
        ours, theirs = (
            sorted(look.number for look in side if look.group == drive and look.number is not None)
            for side in (looks, others)
        )
        if ours and theirs:
            text += "; " + _interleaving(first, ours, second, theirs)
        text += ": frames of one drive are not independent"
        found.append(Finding("warning", text))
    return found


def _interleaving(first: str, ours: list[int], second: str, theirs: list[int]) -> str:
    gap = min(int(np.abs(np.array(ours) - number).min()) for number in theirs)
    for (name, inner), (outer_name, outer) in (
        ((second, theirs), (first, ours)),
        ((first, ours), (second, theirs)),
    ):
        before = [number for number in outer if number < inner[0]]
        after = [number for number in outer if number > inner[-1]]
        if before and after and len(before) + len(after) == len(outer):
            return (
                f"{name} frames {inner[0]} to {inner[-1]} lie between {outer_name} frames "
                f"{before[-1]} and {after[0]}"
            )
    inside = sum(ours[0] < number < ours[-1] for number in theirs)
    if inside or any(theirs[0] < number < theirs[-1] for number in ours):
        return f"their frame numbers interleave, the nearest {gap} apart"
    return f"the nearest frames are {gap} apart"


def copy_findings(
    first: str, looks: Sequence[Look], second: str, others: Sequence[Look]
) -> list[Finding]:
    """Pictures of the second split that are in the first too, by their pixels."""
    found = []
    by_digest = {look.digest: look for look in looks if look.digest is not None}
    exact = [(by_digest[look.digest], look) for look in others if look.digest in by_digest]
    if exact:
        found.append(_copies("the same pixels", first, second, exact))
    copied = {look.picture for _, look in exact}
    left = [look for look in looks if look.signature is not None]
    right = [look for look in others if look.signature is not None and look.picture not in copied]
    near = near_copies(
        [look.signature for look in left if look.signature is not None],
        [look.signature for look in right if look.signature is not None],
    )
    if near:
        kind = "the same picture re-encoded or resized, or frames a blink apart"
        found.append(_copies(kind, first, second, [(left[i], right[j]) for i, j in near]))
    return found


def _copies(kind: str, first: str, second: str, pairs: list[tuple[Look, Look]]) -> Finding:
    named = [f"{ours.picture} = {theirs.picture}" for ours, theirs in pairs]
    text = f"{first} and {second} share {len(pairs)} pictures ({kind}): {_few(named)}"
    return Finding("error", text, tuple(look.picture for pair in pairs for look in pair))


def class_of(value: tuple[int, bool], code: LabelCode) -> int | None:
    """Class id (or void) of a label value, None where it has none."""
    number, coloured = value
    return (code.colours if coloured else code.ids).get(number)


def _few(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
