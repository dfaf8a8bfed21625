"""Population Based Training of classifiers: what a member's interval is, on this device.

All members of one process share the one copy of the data. On a cluster each worker is such a
process, with one member at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from triptych.audit import TESTIMONY
from triptych.classify.recipes import PopulationRecipe
from triptych.classify.recipes.base import ClassifyRecipe
from triptych.classify.space import SPACES
from triptych.classify.train import (
    CLASSES,
    TrainData,
    conclude,
    on_device,
    open_splits,
    start,
    train_epoch,
    validate,
)
from triptych.data.labelled_images import LabelledImages
from triptych.errors import Stopped
from triptych.population.cluster import Cluster, Crew, TrainMember, Watching
from triptych.population.lineage import Lineage, read_lineage
from triptych.population.live import Population, live
from triptych.population.member import MEMBERS, Member
from triptych.population.records import Outcome
from triptych.population.rounds import (
    Interval,
    member_seed,
    one_after_another,
    run_rounds,
)
from triptych.run import Run, read_json, read_result, write_json
from triptych.runtime import runtime_record
from triptych.stopping import StopRequest
from triptych.training.cost import training_gflop
from triptych.training.device import device_name, training_device
from triptych.training.memory import keep_memory
from triptych.training.pace import Pace
from triptych.training.prefetch import steps_per_epoch
from triptych.training.schedules import rate
from triptych.training.state import TrainState


@dataclass
class Workshop:
    """What the members on one device share, and the states that they are in."""

    recipe: PopulationRecipe
    seed: int
    data: TrainData
    val: LabelledImages
    val_images: Tensor
    """(N, 3, H, W) uint8, on the device."""
    states: dict[int, tuple[TrainState, TrainData]] = field(default_factory=dict)

    @classmethod
    def opened(
        cls, recipe: PopulationRecipe, seed: int, splits: dict[str, LabelledImages], device: str
    ) -> Workshop:
        """Put the data on a device. Raises UserError where the recipe's model cannot be made."""
        place = training_device(device, recipe.precision)
        data = on_device(recipe, splits["train"], place)
        val = torch.from_numpy(splits["val"].pixels).to(place)
        start(recipe, member_seed(seed, 0), data)
        return cls(recipe, seed, data, splits["val"], val)

    def state(self, member: int, folder: Member, moved: bool) -> tuple[TrainState, TrainData]:
        """A member's state as its folder has it, read from there where memory has another."""
        known = self.states.get(member)
        if known is None or moved:
            known = known or start(self.recipe, member_seed(self.seed, member), self.data)
            folder.restore(known[0])
            self.states[member] = known
        return known

    def make_room(self, member: int, folder: Member) -> None:
        """Hold no state but the member's own; what its folder has is put into another's."""
        states, self.states = self.states, {}
        if folder.live() is not None and states:
            self.states[member] = states.get(member) or next(iter(states.values()))


def train_population(
    recipe: PopulationRecipe,
    seed: int,
    out: Path,
    *,
    device: str = "auto",
    stop: StopRequest | None = None,
    show_progress: bool = True,
    cluster: Cluster | None = None,
) -> dict[str, Any]:
    """Train a population in the run folder `out`, or go on where an earlier start stopped.

    The model of the run is the member with the best validation top1 at the end; test is read once,
    for that one. The cost in the result counts all members. Raises `Stopped`, with a checkpoint
    written, when `stop` asks for it, and WorkFailed where all members diverge. On a `cluster`
    members train side by side; the best is scored here.
    """
    stop = stop or StopRequest()
    keep_memory()
    splits = open_splits(recipe)
    fingerprint = {name: split.fingerprint() for name, split in splits.items()}
    # Before the folder is made: a model's name or size that will not do leaves nothing behind.
    shop = Workshop.opened(recipe, seed, splits, device)
    runtime = runtime_record(device_name(shop.data.images.device))
    with ExitStack() as stack:
        run = stack.enter_context(Run.open(out, recipe, seed, fingerprint, runtime))
        if (done := read_result(out)) is not None:
            return done
        write_json(out / CLASSES, {"names": list(splits["train"].classes)})
        members = [
            stack.enter_context(Member(out / MEMBERS / str(index), deferred=True))
            for index in range(recipe.members)
        ]
        ends = recipe.rounds()
        title = f"{recipe.name} seed {seed}"
        stack.enter_context(stop.listening())
        with (
            live(title, len(members), len(ends), show=show_progress) as view,
            _crew(shop, splits, out, device, stop, view, cluster) as crew,
        ):
            if crew.record:
                write_json(out / "runtime.json", runtime | crew.record)
            lineage = run_rounds(
                run,
                members,
                SPACES[recipe.space],
                seed,
                ends,
                crew.train,
                view,
            )
        best = lineage.rounds[-1].best
        state, data = shop.state(best, members[best], moved=False)
        result = conclude(
            run, state, recipe, seed, splits, data, show_progress, step=lineage.updates()
        )
        write_json(out / TESTIMONY, testimony(read_json(out / TESTIMONY), lineage))
        result |= cost(result, lineage, members) | {"population": summary(lineage)}
        run.finish(result)
        return result


def _crew(
    shop: Workshop,
    splits: Mapping[str, LabelledImages],
    run: Path,
    device: str,
    stop: StopRequest,
    view: Population,
    cluster: Cluster | None,
) -> AbstractContextManager[Crew]:
    """Who trains the members: this process, or workers on a cluster."""

    def recipe_of(interval: Interval) -> ClassifyRecipe:
        return effective(shop.recipe, interval, run)

    if cluster is None:

        def train(interval: Interval) -> None:
            train_interval(shop, interval, recipe_of(interval), stop, view)

        return nullcontext(Crew(one_after_another(train), {}))
    seen = {name: splits[name] for name in ("train", "val")}
    return cluster.members(
        open_workshop,
        (shop.recipe, shop.seed, seen),
        told=recipe_of,
        count=shop.recipe.members,
        device=device,
        stop=stop,
        view=view,
    )


def open_workshop(
    recipe: PopulationRecipe, seed: int, splits: dict[str, LabelledImages], device: str
) -> TrainMember:
    """What a worker on a cluster trains intervals with."""
    keep_memory()
    shop = Workshop.opened(recipe, seed, splits, device)

    def train(interval: Interval, own: ClassifyRecipe, stop: StopRequest, view: Watching) -> None:
        shop.make_room(interval.member, interval.folder)
        # What is held may be another member's, or older: the folder has what counts.
        train_interval(shop, replace(interval, moved=True), own, stop, view)

    return train


def train_interval(
    shop: Workshop, interval: Interval, recipe: ClassifyRecipe, stop: StopRequest, view: Watching
) -> None:
    """Train and score one member until the end of its interval, or go on within it.

    `recipe` is the one that is `effective` in the interval.
    """
    seed = member_seed(shop.seed, interval.member)
    state, data = shop.state(interval.member, interval.folder, interval.moved)
    witness = state.witness
    assert witness is not None
    steps = steps_per_epoch(len(data.images), recipe.batch_size)
    if (state.epoch, state.step_in_epoch) == (interval.start, 0):
        state.hypers = dict(interval.hypers)
        witness.begin_part()
    total = steps * (interval.epoch - interval.start)
    done = steps * (state.epoch - interval.start) + state.step_in_epoch
    scores: dict[str, float] = {}
    with view.training(interval.member, total, done) as shown:
        pace = Pace(interval.folder, state, total, stop, shown)
        try:
            while state.epoch < interval.epoch and not state.diverged:
                loss = train_epoch(state, recipe, seed, data, interval.folder, pace.after_step)
                state.diverged = not math.isfinite(loss)
                if state.epoch % recipe.evaluate_every == 0 or state.epoch == interval.epoch:
                    scores, finite = validate(state, shop.val, shop.val_images)
                    state.diverged |= not finite
                    interval.folder.log(state.step, "val", epoch=state.epoch, **scores)
        except Stopped:
            raise Stopped(
                f"stopped by {stop.reason} in round {interval.round} of "
                f"{len(shop.recipe.rounds())}, while member {interval.member} trained; run the "
                "same command again to go on"
            ) from None
    state.optimiser.zero_grad(set_to_none=True)  # memory for the next member
    pace.note_time()
    samples, updates, used = witness.part()
    outcome = Outcome(
        score=None if state.diverged else scores["top1"],
        updates=updates,
        samples=samples,
        scores={} if state.diverged else scores,
        due=due(shop.recipe, interval, len(data.images)),
        used=used,
    )
    interval.folder.finish(state, outcome)


def effective(recipe: PopulationRecipe, interval: Interval, run: Path) -> ClassifyRecipe:
    """The recipe by which a member trains its interval: with its hyperparameters in place."""
    hypers = dict(interval.hypers)
    if recipe.optimiser == "restored":
        # The optimiser's state has handed on the rate and the decay that it was made with.
        lineage = read_lineage(run)
        first = lineage.start[lineage.origin(interval.member)]
        hypers |= {name: first[name] for name in ("lr", "weight_decay")}
    return replace(recipe, **hypers)  # type: ignore[arg-type]


def due(recipe: PopulationRecipe, interval: Interval, images: int) -> dict[str, list[float]]:
    """Least and greatest value of each hyperparameter that was decided for an interval."""
    decided = replace(recipe, **interval.hypers)  # type: ignore[arg-type]
    steps = steps_per_epoch(images, decided.batch_size)
    updates = range(steps * interval.start, steps * interval.epoch)
    rates = [rate(decided, update, steps * recipe.epochs) for update in updates]
    found = {name: [value, value] for name, value in interval.hypers.items()}
    found["batch_size"] = [min(decided.batch_size, images)] * 2
    return found | {"lr": [min(rates), max(rates)]}


def testimony(best: dict[str, Any], lineage: Lineage) -> dict[str, Any]:
    """What the population did, for its audit: images and settings of the weights that were kept,
    the cost of all members, and of every interval what was decided and what its witness saw."""
    intervals = [
        {
            "round": past.number,
            "member": member,
            "updates": outcome.updates,
            "due": outcome.due,
            "used": outcome.used,
        }
        for past in lineage.rounds
        for member, outcome in enumerate(past.outcomes)
        if outcome.score is not None
    ]
    return best | {
        "samples": lineage.samples(),
        "updates": lineage.updates(),
        "members": len(lineage.start),
        "intervals": intervals,
    }


def cost(result: dict[str, Any], lineage: Lineage, members: list[Member]) -> dict[str, Any]:
    """What all members cost together; parameters and MACs are those of one."""
    records = [member.record() for member in members]
    seconds = sum(record["state"]["seconds"] for record in records if record is not None)
    return {
        "updates": lineage.updates(),
        "samples": lineage.samples(),
        "training_GFLOP": training_gflop(result["MACs"], lineage.samples()),
        "times": {"seconds": round(seconds, 3)},
    }


def summary(lineage: Lineage) -> dict[str, Any]:
    """The population at its end, and how its best came to be."""
    last = lineage.rounds[-1]
    hypers = lineage.hypers(last.number)
    return {
        "best": last.best,
        "rounds": last.number,
        "takeovers": sum(len(past.takeovers) for past in lineage.rounds),
        "members": [
            {
                "member": member,
                "score": outcome.score,
                "hypers": hypers[member],
                "first_weights_of": lineage.owners(member)[0],
            }
            for member, outcome in enumerate(last.outcomes)
        ],
        "schedule": [asdict(segment) for segment in lineage.schedule()],
    }
