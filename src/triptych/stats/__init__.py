"""Intervals and verdicts of a comparison, by the rules explained in docs/statistics.md."""

from triptych.stats.intervals import (
    Interval,
    Summary,
    paired_seed_difference,
    seed_difference,
    summary,
)
from triptych.stats.items import (
    ItemVerdict,
    bootstrap_difference,
    bootstrap_replicates,
    item_difference,
    mid_p_mcnemar,
    scores_by_group,
)
from triptych.stats.planner import SeedPlan, divergence_bound, plan_seeds
from triptych.stats.samples_to_reach import Curve, SampleRatio, reached, sample_ratio
from triptych.stats.sequential import judge_sequential
from triptych.stats.two_way import two_way_difference, two_way_from_replicates
from triptych.stats.verdicts import Comparand, Judgement, holm, judge

__all__ = [
    "Comparand",
    "Curve",
    "Interval",
    "ItemVerdict",
    "Judgement",
    "SampleRatio",
    "SeedPlan",
    "Summary",
    "bootstrap_difference",
    "bootstrap_replicates",
    "divergence_bound",
    "holm",
    "item_difference",
    "judge",
    "judge_sequential",
    "mid_p_mcnemar",
    "paired_seed_difference",
    "plan_seeds",
    "reached",
    "sample_ratio",
    "scores_by_group",
    "seed_difference",
    "summary",
    "two_way_difference",
    "two_way_from_replicates",
]
