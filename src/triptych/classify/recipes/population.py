"""Recipes of Population Based Training, and of one model along a schedule that it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, Self

from triptych.classify.recipes.base import ClassifyRecipe
from triptych.classify.recipes.fixed import (
    published,
    published_vit6,
    published_vit13,
    small,
    tiny,
)
from triptych.errors import UserError
from triptych.population.lineage import Segment, read_lineage
from triptych.recipe import register
from triptych.run import read_json, read_result

SEARCHED = ("crop_area", "erasing", "drop_path", "lr", "weight_decay", "batch_size")
"""What a population searches: the names in every space of `classify/space.py`. The recipe's own
values for these take no effect."""


@dataclass(frozen=True, kw_only=True)
class PopulationRecipe(ClassifyRecipe):
    """Population Based Training (Jaderberg 2017): a population is one run.

    Each member has hyperparameters of its own, drawn from the space, and weights, data order and
    augmentation from a seed of its own. After every interval the worst quarter takes over the
    weights of the best, and explores from their hyperparameters. `epochs` is what each member
    trains; the best on validation at the end is the run's model. With an interval of all epochs
    nothing is ever taken over: that is random search.
    """

    members: int = 8
    interval: int = 10
    """Epochs between two rounds of taking over; the last interval may be shorter."""
    space: Literal["published", "small"] = "published"
    optimiser: Literal["rewritten", "restored"] = "rewritten"
    """`restored` lets the optimiser's state that comes with the weights overwrite the learning rate
    and the weight decay, as in code that loads it after the optimiser was made from them: explored
    values of these two never take effect. A flaw to reproduce, not to use."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks = {
            "members must be at least 2": self.members >= 2,
            "interval must be at least 1": self.interval >= 1,
        }
        for rule, holds in checks.items():
            if not holds:
                raise UserError(f"{self.name}: {rule}")

    def changed(self, values: Mapping[str, Any]) -> Self:
        """Raises UserError for a hyperparameter that is searched."""
        for name in SEARCHED:
            if name in values:
                raise UserError(
                    f"--set {name}: {self.name} searches it, a value would take no effect; its "
                    f"range is that of space={self.space}"
                )
        return super().changed(values)

    def rounds(self) -> list[int]:
        """The epochs at which rounds end."""
        return [*range(self.interval, self.epochs, self.interval), self.epochs]


@dataclass(frozen=True, kw_only=True)
class ReplayRecipe(ClassifyRecipe):
    """One model alone, along the hyperparameters that led to a population's best."""

    schedule_from: str = ""
    """The run folder of a population that ended. All other fields are that run's, unless they are
    set too."""
    segments: tuple[Segment, ...] = ()
    """The schedule, taken from that run."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.segments:
            return
        if not all(isinstance(each, Segment) for each in self.segments):
            raise UserError("segments are taken from a run: --set schedule_from=RUN")
        if self.segments[-1].stop != self.epochs:
            raise UserError(
                f"{self.schedule_from} has a schedule of {self.segments[-1].stop} epochs, not "
                f"{self.epochs}: leave out epochs"
            )

    def changed(self, values: Mapping[str, Any]) -> Self:
        """Raises UserError where the run is no population that ended, or for a hyperparameter that
        its schedule sets."""
        for name in SEARCHED:
            if name in values:
                raise UserError(f"--set {name}: {self.name} takes it from the run's schedule")
        if "schedule_from" not in values:
            return super().changed(values)
        folder = Path(values["schedule_from"])
        lineage = read_lineage(folder)
        if read_result(folder) is None:
            raise UserError(f"{folder} has not ended: its schedule is not known yet")
        theirs = read_json(folder / "recipe.json")["recipe"]
        segments = lineage.schedule()
        if theirs["optimiser"] == "restored":
            # The run's rate and decay never changed; what it really trained with is replayed.
            first = lineage.start[segments[0].member]
            kept = {name: first[name] for name in ("lr", "weight_decay")}
            segments = [replace(each, hypers=each.hypers | kept) for each in segments]
        known = {f.name for f in fields(ClassifyRecipe)} - {"name"}
        run = {name: value for name, value in theirs.items() if name in known}
        return super().changed({**run, **values, "segments": tuple(segments)})

    def hypers(self, epoch: int) -> tuple[int, dict[str, float]]:
        """The member that trained an epoch, from 0, and the hyperparameters it had."""
        segment = next(each for each in self.segments if epoch < each.stop)
        return segment.member, segment.hypers


def _population(base: ClassifyRecipe, name: str, **changes: Any) -> PopulationRecipe:
    # A rate that decays by itself would hide what the search finds: it is constant between rounds.
    plain = {f.name: getattr(base, f.name) for f in fields(base)}
    return PopulationRecipe(
        **(plain | {"name": name, "schedule": "constant", "warmup": 0.0} | changes)
    )


def without_takeovers(recipe: PopulationRecipe, name: str) -> PopulationRecipe:
    """Random search: members that start alike and each go on to the end as they began."""
    return replace(recipe, name=name, interval=recipe.epochs)


@register("classify/published-pbt")
def published_pbt() -> PopulationRecipe:
    """ResNeXt-29 as the original describes its training and its search, without its flaws.

    8 members, a round every 10 epochs, six hyperparameters; the learning rate changes by the search
    alone.

    Command: triptych train classify/published-pbt --set data=cifar100:DIR
    Time: not measured in full; 8 times that of `classify/published`
    Score: not measured in full; the original, with its flaws: test top1 0.631
    """
    return _population(published(), "classify/published-pbt")


@register("classify/published-pbt-vit13")
def published_pbt_vit13() -> PopulationRecipe:
    """ViT-13 in place of ResNeXt-29, all else as `classify/published-pbt`.

    Command: triptych train classify/published-pbt-vit13 --set data=cifar100:DIR
    Time: not measured in full; 8 times that of `classify/published-vit13`
    Score: not measured in full; the original, with its flaws: test top1 0.429
    """
    return _population(published_vit13(), "classify/published-pbt-vit13")


@register("classify/published-pbt-vit6")
def published_pbt_vit6() -> PopulationRecipe:
    """ViT-6 in place of ResNeXt-29, all else as `classify/published-pbt`.

    Command: triptych train classify/published-pbt-vit6 --set data=cifar100:DIR
    Time: not measured in full; 8 times that of `classify/published-vit6`
    Score: not measured in full; the original, with its flaws: test top1 0.388
    """
    return _population(published_vit6(), "classify/published-pbt-vit6")


@register("classify/published-pbt-as-ran")
def published_pbt_as_ran() -> PopulationRecipe:
    """`classify/published-pbt` with the flaws that the original's code had.

    Every batch shares one set of augmentation parameters, every epoch shows the same third of the
    training images, and explored learning rates and weight decays are overwritten by the restored
    optimiser. Values stay inside the space, as the original's did not. Other models: --set
    model=vit13.

    Command: triptych train classify/published-pbt-as-ran --set data=cifar100:DIR
    Time: as `classify/published-pbt`
    Score: not measured in full
    """
    return replace(
        published_pbt(),
        name="classify/published-pbt-as-ran",
        augmentation="per-batch",
        sampler="fixed",
        optimiser="restored",
    )


@register("classify/small-pbt")
def small_pbt() -> PopulationRecipe:
    """A population of the networks of `classify/small`: 8 members, a round every 3 epochs.

    Command: triptych train classify/small-pbt --set data=cifar100:DIR
    Time: 8 times that of `classify/small`
    Score: not measured in full
    """
    return _population(small(), "classify/small-pbt", interval=3, space="small", evaluate_every=3)


@register("classify/small-random-search")
def small_random_search() -> PopulationRecipe:
    """`classify/small-pbt` without any takeover: the same 8 starts, each trained to the end.

    Command: triptych train classify/small-random-search --set data=cifar100:DIR
    Time: as `classify/small-pbt`
    Score: not measured in full
    """
    return without_takeovers(small_pbt(), "classify/small-random-search")


@register("classify/tiny-pbt")
def tiny_pbt() -> PopulationRecipe:
    """A population of 4 networks of 26 thousand parameters on procedural street objects.

    Command: triptych train classify/tiny-pbt
    Time: about 10 s on 2 cores, after about 10 s in which the pictures are drawn once
    Score: chance is 0.10
    """
    return _population(
        tiny(),
        "classify/tiny-pbt",
        members=4,
        epochs=8,
        interval=2,
        space="small",
        evaluate_every=2,
    )


@register("classify/replay")
def replay() -> ReplayRecipe:
    """One model alone, along the schedule of hyperparameters that a population found.

    With the seed of that run it gives the very weights that the population's best has.

    Command: triptych train classify/replay --set schedule_from=RUN
    Time: that of the run over the number of its members
    Score: with the run's seed, the run's
    """
    plain = {f.name: getattr(tiny(), f.name) for f in fields(ClassifyRecipe)}
    return ReplayRecipe(**(plain | {"name": "classify/replay"}))
