"""How a population stands, read from its folder by any process while another trains it."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from triptych.checkpoint import RECORD, newest_first
from triptych.population.lineage import Lineage, read_lineage
from triptych.population.live import Row, happened, members_table
from triptych.population.member import MEMBERS
from triptych.population.records import Change, Outcome
from triptych.run import CHECKPOINTS, read_json, read_result


def standing(run: Path) -> dict[str, Any]:
    """Round, epochs and, of each member, score, hyperparameters and what the last round did to it.

    Nothing is written. A score is the newest that there is, of the member's interval in this round
    or the last. Raises UserError where the folder is no population's.
    """
    lineage = read_lineage(run)
    record = read_json(run / "recipe.json")
    return {
        "recipe": record["recipe"]["name"],
        "seed": record["seed"],
        "ended": read_result(run) is not None,
        "rounds": len(lineage.rounds),
        "epoch": lineage.rounds[-1].epoch if lineage.rounds else 0,
        "epochs": record["recipe"]["epochs"],
        "best": lineage.rounds[-1].best if lineage.rounds else None,
        "members": [_member(run, lineage, member) for member in range(len(lineage.start))],
    }


def _member(run: Path, lineage: Lineage, member: int) -> dict[str, Any]:
    last = lineage.rounds[-1] if lineage.rounds else None
    decision = None if last is None else last.takeover(member)
    now = _live(run / MEMBERS / str(member))
    outcome = None if last is None else last.outcomes[member]
    if now.get("round") == len(lineage.rounds) + 1 and "outcome" in now:
        outcome = Outcome(**now["outcome"])
    return {
        "member": member,
        "score": None if outcome is None else outcome.score,
        "diverged": outcome is not None and outcome.score is None,
        "epoch": now.get("state", {}).get("epoch", 0),
        "hypers": lineage.hypers(len(lineage.rounds) + 1)[member],
        "last_round": None if last is None else happened(member, last),
        "changes": {} if decision is None else dataclasses.asdict(decision)["changes"],
    }


def _live(member: Path) -> Mapping[str, Any]:
    """The record of a member's checkpoint; empty where there is none, or it is just replaced."""
    for checkpoint in newest_first(member / CHECKPOINTS):
        try:
            found: dict[str, Any] = json.loads((checkpoint / RECORD).read_text())
        except (OSError, ValueError):
            continue
        return found
    return {}


def as_text(found: Mapping[str, Any]) -> str:
    """What `standing` found, a line a member."""
    rows = [
        Row(
            each["member"],
            _score(each),
            each["hypers"],
            each["last_round"] or "",
            {name: Change(**change) for name, change in each["changes"].items()},
        )
        for each in found["members"]
    ]
    stands = "ended" if found["ended"] else f"round {found['rounds'] + 1}"
    title = (
        f"{found['recipe']} seed {found['seed']}: {stands}, "
        f"{found['epoch']} of {found['epochs']} epochs scored"
    )
    out = io.StringIO()
    Console(file=out, width=120).print(members_table(title, rows))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _score(member: Mapping[str, Any]) -> str:
    if member["diverged"]:
        return "diverged"
    return "" if member["score"] is None else f"{member['score']:.4f}"
