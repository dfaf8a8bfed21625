"""Population Based Training of classifiers: does what is explored take effect, and is it said?"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.layers import DropPath

from triptych import recipe as recipes
from triptych.audit import audit_run
from triptych.classify import pbt
from triptych.classify import train as training
from triptych.classify.recipes import PopulationRecipe
from triptych.classify.recipes.population import SEARCHED
from triptych.classify.space import SPACES
from triptych.classify.study import STUDY, check
from triptych.errors import Stopped, UserError, WorkFailed
from triptych.population.lineage import read_lineage
from triptych.population.member import Member
from triptych.population.rounds import member_seed
from triptych.population.space import Choice, LogUniform, Space, Uniform
from triptych.run import newest_checkpoint, read_json
from triptych.stopping import StopRequest
from triptych.training.seeding import stream

QUICK = Space(
    {
        "crop_area": Uniform(0.3, 0.9),
        "erasing": Uniform(0.2, 0.8),
        "drop_path": Uniform(0.05, 0.3),
        "lr": LogUniform(1e-4, 1e-2),
        "weight_decay": LogUniform(1e-3, 1e-1),
        "batch_size": Choice((4, 6, 8)),
    }
)
SETTINGS = ("model=vit-tiny", "epochs=4", "interval=1", "evaluate_every=1", "repeats=2")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("data")
    draw = np.random.default_rng(0)
    for split, count in (("train", 10), ("val", 10), ("test", 6)):
        for index, name in enumerate(("red", "green", "blue")):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = draw.normal(90, 50, (16, 16, 3))
                pixels[..., index] += 40
                image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
                image.save(root / split / name / f"{number}.png")
    return f"folder:{root}"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pbt, "SPACES", SPACES | {"small": QUICK})


def recipe_of(data: str, *settings: str) -> PopulationRecipe:
    made = recipes.override(
        recipes.get("classify/tiny-pbt"), [f"data={data}", *SETTINGS, *settings]
    )
    assert isinstance(made, PopulationRecipe)
    return made


def run(recipe: Any, out: Path, seed: int = 0, **options: Any) -> dict[str, Any]:
    return STUDY.train(recipe, seed, out, device="cpu", show_progress=False, **options)


class Seen:
    """What really happened in each interval, looked at from outside of the training's own code."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.values: dict[tuple[int, int], dict[str, set[float]]] = {}
        self._now: dict[str, set[float]] = {}
        train, draw, step = pbt.train_interval, training.draw, torch.optim.AdamW.step
        forward = DropPath.forward

        def train_interval(shop: Any, interval: Any, *rest: Any) -> None:
            self._now = defaultdict(set)
            train(shop, interval, *rest)
            self.values[interval.round, interval.member] = self._now

        def drawing(count: int, height: int, width: int, plan: Any, generator: Any) -> Any:
            self._now["crop_area"].add(plan.crop_area)
            self._now["erasing"].add(plan.erasing)
            self._now["batch_size"].add(count)
            return draw(count, height, width, plan, generator)

        def stepping(optimiser: Any, *arguments: Any, **options: Any) -> Any:
            for group in optimiser.param_groups:
                self._now["lr"].add(group["lr"])
                self._now["weight_decay"].add(group["weight_decay"])
            return step(optimiser, *arguments, **options)

        def dropping(layer: DropPath, x: torch.Tensor) -> torch.Tensor:
            if layer.training:
                self._now["drop_path"].add(layer.drop_prob)
            return forward(layer, x)

        monkeypatch.setattr(pbt, "train_interval", train_interval)
        monkeypatch.setattr(training, "draw", drawing)
        monkeypatch.setattr(torch.optim.AdamW, "step", stepping)
        monkeypatch.setattr(DropPath, "forward", dropping)


def test_all_six_take_effect_in_the_next_interval(
    tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen(monkeypatch)
    run(recipe_of(data, "members=4"), tmp_path)
    lineage = read_lineage(tmp_path)
    assert len(seen.values) == 16
    for (number, member), values in seen.values.items():
        hypers = lineage.hypers(number)[member]
        assert hypers.keys() == set(SEARCHED)
        for name in ("crop_area", "erasing", "batch_size", "lr"):
            assert values[name] == {hypers[name]}, (number, member, name)
        # Norms and biases are not decayed.
        assert values["weight_decay"] == {hypers["weight_decay"], 0.0}
        assert max(values["drop_path"]) == pytest.approx(hypers["drop_path"])
    changed = {
        name
        for past in lineage.rounds
        for decision in past.takeovers
        for name in SEARCHED
        if lineage.hypers(past.number)[decision.member][name] != decision.hypers[name]
    }
    assert changed == set(SEARCHED)
    # The witness saw the same, and the audit says so.
    for past in lineage.rounds:
        for member, outcome in enumerate(past.outcomes):
            hypers = lineage.hypers(past.number)[member]
            for name in ("lr", "weight_decay", "batch_size", "drop_path"):
                for end in ("min", "max", "mean"):
                    assert outcome.used[name][end] == pytest.approx(hypers[name])
            assert outcome.used["crop_area"]["min"] >= hypers["crop_area"] - 0.07
            steps = 30 // hypers["batch_size"]
            assert (outcome.updates, outcome.samples) == (steps, steps * hypers["batch_size"])
    lines = {line.about: line for line in audit_run(tmp_path)}
    assert lines["hyperparameters"].finding == "fair"
    assert "took effect in all 16 intervals" in lines["hyperparameters"].text
    assert "of all 4 members" in lines["budget"].text
    # It shows what each member trained with, a line for neighbouring rounds that were alike.
    shown = [line for line in lines.values() if line.about.startswith("member ")]
    assert len(shown) == 4 + sum(len(past.takeovers) for past in lineage.rounds)
    for past in lineage.rounds:
        for decision in past.takeovers:
            (line,) = [
                line for line in shown
                if line.about.startswith(f"member {decision.member}, round")
                and line.about.removeprefix(f"member {decision.member}, round")
                .lstrip("s ").startswith(str(past.number + 1))
            ]  # fmt: skip
            assert line.finding == "fair"
            for name in ("lr", "weight_decay", "batch_size", "drop_path"):
                assert f"{name} {decision.hypers[name]:.4g}" in line.text
            assert "crop_area from 0." in line.text
            assert "erasing in " in line.text


def test_a_restored_optimiser_undoes_what_was_explored_and_the_audit_sees_it(
    tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen(monkeypatch)
    run(recipe_of(data, "members=4", "optimiser=restored"), tmp_path)
    lineage = read_lineage(tmp_path)
    begun = {each["lr"] for each in lineage.start}
    assert {lr for values in seen.values.values() for lr in values["lr"]} <= begun
    decided = {h["lr"] for past in lineage.rounds for h in lineage.hypers(past.number)}
    assert not decided <= begun
    line = {line.about: line for line in audit_run(tmp_path)}["hyperparameters"]
    assert line.finding == "flaw"
    assert "lr was another in" in line.text
    assert "batch_size" not in line.text
    due = {h["lr"] for n in (2, 3, 4) for h in lineage.hypers(n)} - begun
    wrong = [x.text for x in audit_run(tmp_path) if x.finding == "flaw" and "(due " in x.text]
    assert len(due) > 0
    assert all(any(f"(due {lr:.4g})" in text for text in wrong) for lr in due)


def test_a_member_scores_right_after_a_takeover_what_its_donor_did(
    tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = pbt.train_interval

    def until_the_second_round(shop: Any, interval: Any, *rest: Any) -> None:
        if interval.round == 2:
            raise KeyboardInterrupt
        train(shop, interval, *rest)

    recipe = recipe_of(data, "members=4", "ema=0.9")
    monkeypatch.setattr(pbt, "train_interval", until_the_second_round)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path)
    (past,) = read_lineage(tmp_path).rounds
    (decision,) = past.takeovers
    shop = pbt.Workshop.opened(recipe, 0, training.open_splits(recipe), "cpu")
    with Member(tmp_path / "members" / str(decision.member)) as member:
        state, _ = shop.state(decision.member, member, moved=True)
    scores, _ = training.validate(state, shop.val, shop.val_images)
    assert scores == past.outcomes[decision.donor].scores
    assert scores != past.outcomes[decision.member].scores
    assert state.hypers == decision.hypers


def test_the_result_is_the_best_member_and_costs_what_all_did(tmp_path: Path, data: str) -> None:
    recipe = recipe_of(data, "members=4")
    result = run(recipe, tmp_path)
    lineage = read_lineage(tmp_path)
    last = lineage.rounds[-1]
    scores = [outcome.score for outcome in last.outcomes]
    assert result["scores"]["val_top1"] == max(scores)  # type: ignore[type-var]
    assert result["population"]["best"] == last.best
    assert scores[last.best] == max(scores)  # type: ignore[type-var]
    assert [m["score"] for m in result["population"]["members"]] == scores
    updates = sum(o.updates for past in lineage.rounds for o in past.outcomes)
    samples = sum(o.samples for past in lineage.rounds for o in past.outcomes)
    assert (result["updates"], result["samples"]) == (updates, samples)
    assert result["training_GFLOP"] == round(6 * result["MACs"] * samples / 1e9, 1)
    assert result["epochs"] == 4
    members = [
        json.loads(file.read_text())["state"]["seconds"]
        for file in tmp_path.glob("members/*/checkpoints/*/state.json")
    ]
    assert len(members) == 4
    assert result["times"]["seconds"] == pytest.approx(sum(members), abs=1e-3)
    events = [json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(e["split"], e["epoch"]) for e in events] == [
        ("val", 1), ("val", 2), ("val", 3), ("val", 4), ("test", 4),
    ]  # fmt: skip
    assert events[-1]["step"] == events[-2]["step"] == updates
    # What reads a run finds the best member's weights.
    (live,) = (tmp_path / "members" / str(last.best) / "checkpoints").iterdir()
    weights = (newest_checkpoint(tmp_path) / "model.safetensors").read_bytes()
    assert weights == (live / "model.safetensors").read_bytes()
    assert run(recipe, tmp_path) == result


def test_members_differ_from_the_start(tmp_path: Path, data: str) -> None:
    run(recipe_of(data, "members=3", "epochs=1"), tmp_path)
    files = list(tmp_path.glob("members/*/checkpoints/*/model.safetensors"))
    assert len({file.read_bytes() for file in files}) == 3
    assert len({member_seed(seed, member) for seed in range(3) for member in range(3)}) == 9


@pytest.mark.parametrize("settings", [(), ("optimiser=restored",)])
def test_a_replay_gives_the_best_again(
    tmp_path: Path, data: str, settings: tuple[str, ...]
) -> None:
    recipe = recipe_of(data, "members=4", "ema=0.9", *settings)
    # A seed whose best took over others' weights on its way, or the test would show little.
    result = run(recipe, tmp_path / "pbt", 2)
    assert len(result["population"]["schedule"]) > 1
    replay = recipes.override(recipes.get("classify/replay"), [f"schedule_from={tmp_path / 'pbt'}"])
    assert (replay.model, replay.epochs, replay.data) == ("vit-tiny", 4, recipe.data)
    again = run(replay, tmp_path / "replay", 2)
    assert again["scores"] == result["scores"]
    for name in ("model", "ema", "optimiser"):
        ours, theirs = (
            (newest_checkpoint(tmp_path / kind) / f"{name}.safetensors").read_bytes()
            for kind in ("replay", "pbt")
        )
        assert ours == theirs
    assert again["samples"] < result["samples"]
    # The recipe holds the schedule itself, and is refused with another.
    segments = read_json(tmp_path / "replay" / "recipe.json")["recipe"]["segments"]
    assert [each["stop"] for each in segments][-1] == 4
    other = replace(replay, segments=replay.segments[-1:])  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="its segments is"):
        run(other, tmp_path / "replay", 2)
    assert run(replay, tmp_path / "other", 3)["scores"] != result["scores"]


def test_a_replay_needs_a_population_that_ended(tmp_path: Path, data: str) -> None:
    plain = recipes.get("classify/replay")
    for refusing in (check, lambda recipe: run(recipe, tmp_path / "x")):
        with pytest.raises(UserError, match="--set schedule_from=RUN"):
            refusing(plain)
    for setting, message in (
        (f"schedule_from={tmp_path}", "not the run folder of a population"),
        ("lr=0.1", "takes it from the run's schedule"),
        ("segments=1,2", "--set schedule_from=RUN"),
    ):
        with pytest.raises(UserError, match=message):
            recipes.override(plain, [setting])
    run(recipe_of(data, "members=2", "epochs=2"), tmp_path / "run")
    with pytest.raises(UserError, match="a schedule of 2 epochs, not 3"):
        recipes.override(plain, [f"schedule_from={tmp_path / 'run'}", "epochs=3"])
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(UserError, match="has not ended"):
        recipes.override(plain, [f"schedule_from={tmp_path / 'run'}"])


def test_one_that_diverges_is_replaced_and_named(
    tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wild = Space({**QUICK.dimensions, "lr": Choice((1e-3, 1e20))})
    monkeypatch.setattr(pbt, "SPACES", {"small": wild})
    seed = next(
        seed for seed in range(100)
        if 1 <= sum(wild.sample(stream(seed, "start", m))["lr"] > 1 for m in range(4)) <= 2
    )  # fmt: skip
    with caplog.at_level(logging.WARNING):
        result = run(recipe_of(data, "members=4", "epochs=3"), tmp_path, seed)
    lineage = read_lineage(tmp_path)
    first = [h["lr"] > 1 for h in lineage.start]
    assert [o.score is None for o in lineage.rounds[0].outcomes] == first
    named = {d.member for d in lineage.rounds[0].takeovers if d.reason == "diverged"}
    assert named == {m for m in range(4) if first[m]}
    for member in named:
        assert any(f"member {member} diverged in round 1" in r.getMessage() for r in caplog.records)
    assert result["diverged"] is False
    assert result["scores"]["val_top1"] > 0


def test_all_diverging_is_one_clear_line(
    tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = Space({**QUICK.dimensions, "lr": Choice((1e20, 1e21))})
    monkeypatch.setattr(pbt, "SPACES", {"small": wild})
    with pytest.raises(WorkFailed, match="all 3 members diverged"):
        run(recipe_of(data, "members=3"), tmp_path)
    assert not (tmp_path / "result.json").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interval": 2}, "its interval is 1, yours is 2"),
        ({"members": 4}, "its members is 3, yours is 4"),
        ({"space": "published"}, "its space is small, yours is published"),
        ({"optimiser": "restored"}, "its optimiser is rewritten"),
        ({"ema": 0.5}, r"its ema is 0\.0"),
    ],
)
def test_a_changed_recipe_is_refused(
    tmp_path: Path, data: str, change: dict[str, Any], message: str
) -> None:
    recipe = recipe_of(data, "members=3")
    with pytest.raises(Stopped):
        run(recipe, tmp_path, stop=StopRequest(1e-9))
    with pytest.raises(UserError, match=message):
        run(replace(recipe, **change), tmp_path)


def test_it_stops_where_it_is_asked_and_goes_on(tmp_path: Path, data: str) -> None:
    recipe = recipe_of(data, "members=2", "epochs=2")
    whole = run(recipe, tmp_path / "whole")
    said = []
    for _ in range(100):
        try:
            # A step at each start: the limit is over at once.
            result = run(recipe, tmp_path / "run", stop=StopRequest(1e-9))
            break
        except Stopped as stopped:
            said.append(str(stopped))
    assert {k: v for k, v in result.items() if k != "times"} == {
        k: v for k, v in whole.items() if k != "times"
    }
    assert len(said) == whole["updates"]
    assert said[0].startswith("stopped by --max-minutes 1e-09 in round 1 of 2, while member 0")
    assert said[-1].endswith(
        "in round 2 of 2, while member 1 trained; run the same command again to go on"
    )


def test_what_is_searched_cannot_be_set() -> None:
    recipe = recipes.get("classify/published-pbt")
    for name in SEARCHED:
        with pytest.raises(UserError, match=f"--set {name}: classify/published-pbt searches it"):
            recipes.override(recipe, [f"{name}=0.1" if name != "batch_size" else f"{name}=32"])
    with pytest.raises(UserError, match="members must be at least 2"):
        recipes.override(recipe, ["members=1"])
    with pytest.raises(UserError, match="interval must be at least 1"):
        recipes.override(recipe, ["interval=0"])


def test_spaces_have_the_fields_that_are_searched() -> None:
    for space in SPACES.values():
        assert set(space.dimensions) == set(SEARCHED)
    # The original's (its report, and FACTS.md 1).
    assert SPACES["published"].dimensions == {
        "crop_area": Uniform(0.1, 0.9),
        "erasing": Uniform(0, 0.5),
        "drop_path": Uniform(0, 0.3),
        "lr": LogUniform(1e-6, 1e-3),
        "weight_decay": LogUniform(1e-5, 1e-2),
        "batch_size": Choice((32, 64, 128, 256, 384)),
    }


def test_the_published_population() -> None:
    recipe = recipes.get("classify/published-pbt")
    assert isinstance(recipe, PopulationRecipe)
    plain = asdict(recipes.get("classify/published"))
    assert {k for k, v in plain.items() if asdict(recipe)[k] != v} == {"name", "schedule"}
    assert (recipe.members, recipe.interval, recipe.epochs) == (8, 10, 200)
    assert recipe.rounds() == list(range(10, 201, 10))
    as_ran = recipes.get("classify/published-pbt-as-ran")
    assert {k for k, v in asdict(as_ran).items() if asdict(recipe)[k] != v} == {
        "name", "augmentation", "sampler", "optimiser",
    }  # fmt: skip
    for model in ("vit13", "vit6"):
        other = recipes.get(f"classify/published-pbt-{model}")
        changed = {k for k, v in asdict(other).items() if asdict(recipe)[k] != v}
        assert changed == {"name", "model"}
        assert other.model == model
    assert replace(recipe, epochs=25).rounds() == [10, 20, 25]
    # An interval of all epochs is random search: nothing is taken over.
    assert replace(recipe, interval=200).rounds() == [200]
    assert replace(recipe, interval=300).rounds() == [200]
    search = recipes.get("classify/small-random-search")
    assert isinstance(search, PopulationRecipe)
    assert search.rounds() == [search.epochs]
