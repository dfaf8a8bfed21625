"""Fixed predictions that joined a comparison of recipes, for tables and figures."""

from __future__ import annotations

from triptych.report.tables import Verdict


def fixed_part(verdict: Verdict) -> Verdict | None:
    """They and the recipes they are compared with, as a verdict of fixed predictions.

    None where a verdict has none. Each arm has a word on `what` it is. There are no pairs, and
    nothing beside the metric, while the recipes are not complete.
    """
    if "fixed" not in verdict:
        return None
    found = verdict["fixed"]
    seeds = ", ".join(map(str, found["seeds"]))
    arms = {
        name: arm | {"what": f"recipe, mean over seeds {seeds}"}
        for name, arm in found["recipes"].items()
    }
    arms |= {name: arm | {"what": "fixed predictions"} for name, arm in found["arms"].items()}
    left_out = {"fixed", "exploratory"} | (set() if found["pairs"] else {"beside"})
    return {key: value for key, value in verdict.items() if key not in left_out} | {
        "plan": {"kind": "fixed predictions"},
        "data": found["data"],
        "arms": arms,
        "pairs": found["pairs"],
        "audit": found["audit"],
    }
