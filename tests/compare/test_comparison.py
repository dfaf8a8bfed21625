"""What is refused as no controlled comparison, and how it is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from triptych.compare import Comparison, Predictions, Sequential, check
from triptych.errors import UserError

METRICS = {"top1": True, "loss": False}


def refused(comparison: Comparison, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        check(comparison, METRICS)
    assert "\n" not in str(caught.value)


def test_a_controlled_comparison_passes(fake: Any) -> None:
    check(fake.comparison(0.5, 0.6, 0.7), METRICS)


def test_an_undeclared_difference_is_named_with_both_values(fake: Any) -> None:
    asked = fake.comparison(varies=frozenset({"model"}))
    refused(asked, r"b differs from a in quality \(0\.5 against 0\.6\).*--varies quality")


def test_every_arm_is_held_against_the_baseline(fake: Any) -> None:
    arms = {name: fake.recipe(name) for name in "ab"} | {"c": fake.recipe("c", lr=0.2)}
    refused(fake.comparison(arms=arms), r"c differs from a in lr \(0\.1 against 0\.2\)")


def test_several_undeclared_differences_give_a_line_that_can_be_pasted(fake: Any) -> None:
    asked = fake.comparison(varies=frozenset())
    refused(asked, "add --varies model --varies quality or make them equal")


def test_a_declared_field_must_exist(fake: Any) -> None:
    refused(fake.comparison(varies=frozenset({"model", "colour"})), "--varies colour: .*no such")


def test_a_declared_field_need_not_differ(fake: Any) -> None:
    check(fake.comparison(varies=frozenset({"model", "quality", "lr"})), METRICS)


def test_the_same_recipe_twice_is_no_comparison(fake: Any) -> None:
    same = replace(fake.recipe("a"), name="fake/other")
    arms = {"one": fake.recipe("a"), "two": fake.recipe("b"), "three": same}
    refused(fake.comparison(arms=arms), "the arms one and three are the same recipe")


def test_arms_are_of_one_study(fake: Any) -> None:
    other = replace(fake.recipe("b"), name="elsewhere/recipe")
    refused(fake.comparison(arms={"a": fake.recipe(), "b": other}), "of the study elsewhere")


def test_an_arms_name_is_no_longer_than_a_disk_takes(fake: Any) -> None:
    def named(length: int) -> Comparison:
        return fake.comparison(arms={"a": fake.recipe("a"), "b" * length: fake.recipe("b")})

    check(named(200), METRICS)
    refused(named(201), "'b{40}…' has 201 letters, at most 200 will do")


def test_one_arm_is_no_comparison(fake: Any) -> None:
    refused(fake.comparison(arms={"a": fake.recipe()}), "at least two arms")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../b",
        "a/b",
        ".hidden",
        "with space",
        "b\n",
        "-b",
        "verdict.json",
        "Fixed.JSON",
        "curves.svg",
    ],
)
def test_an_arms_name_is_a_folders_name(fake: Any, name: str) -> None:
    arms = {"a": fake.recipe(), name: fake.recipe("b")}
    with pytest.raises(UserError, match="an arm's name is a folder's name"):
        check(fake.comparison(arms=arms), METRICS)


def test_the_metric_is_one_of_the_studys(fake: Any) -> None:
    refused(fake.comparison(metric="top2"), "--metric top2: fake has top1, loss")


@pytest.mark.parametrize("margin", [0.0, -0.1, float("nan"), float("inf")])
def test_the_margin_is_a_number_above_0(fake: Any, margin: float) -> None:
    refused(fake.comparison(margin=margin), "--margin .* a number above 0")


def test_seeds_are_some_and_differ(fake: Any) -> None:
    refused(fake.comparison(seeds=()), "at least one seed")
    refused(fake.comparison(seeds=(0, 1, 1)), r"a seed stands twice in \[0, 1, 1\]")


def test_a_sequential_plan_names_all_its_seeds(fake: Any) -> None:
    def plan(count: int, n_max: int, **changes: Any) -> Comparison:
        asked: Comparison = fake.comparison(
            seeds=tuple(range(count)), until_decided=Sequential(n_max), **changes
        )
        return asked

    check(plan(3, 3), METRICS)
    refused(plan(2, 2), "at least 3 seeds")
    refused(plan(4, 8), "4 seeds for a plan of at most 8")
    refused(plan(8, 4), "8 seeds for a plan of at most 4")
    refused(plan(8, 8, paired=True), "paired")


def test_pairs_name_two_arms(fake: Any) -> None:
    refused(fake.comparison(pairs=(("b", "z"),)), "no arm is called 'z'")
    refused(fake.comparison(pairs=(("b", "b"),)), "the arm b cannot be compared with itself")


def test_predictions_may_join_recipes_and_are_no_part_of_the_plan(fake: Any) -> None:
    plain = fake.comparison(0.1, 0.2)
    for order in ("abz", "azb"):
        arms = {name: plain.arms.get(name, Predictions("z.csv")) for name in order}
        mixed = replace(plain, arms=arms)
        check(mixed, METRICS)
        assert mixed.record() == plain.record()
        assert mixed.judged() == (("b", "a"),)
        assert (mixed.fixed, mixed.study, list(mixed.joined())) == (False, "fake", ["z"])
    check(replace(mixed, pairs=(("a", "b"),)), METRICS)


def test_no_verdict_may_depend_on_predictions_among_recipes(fake: Any) -> None:
    a, b, z = fake.recipe("a"), fake.recipe("b", quality=0.6), Predictions("z.csv")
    refused(fake.comparison(arms={"z": z, "a": a, "b": b}), "the first arm is the baseline: .* z,")
    refused(fake.comparison(arms={"a": a, "z": z}), "join a comparison of at least two recipes")
    mixed = fake.comparison(arms={"a": a, "b": b, "z": z})
    for pair in (("z", "a"), ("b", "z")):
        refused(replace(mixed, pairs=(pair,)), "z is fixed predictions.*pairs of recipes only")
    refused(replace(mixed, data="cifar100:DIR"), r"leave out data \(cifar100:DIR\)")
    refused(replace(mixed, seeds=()), "at least one seed")


def test_predictions_need_data(fake: Any) -> None:
    arms = {name: Predictions(f"{name}.csv") for name in "ab"}
    refused(fake.comparison(arms=arms, seeds=()), "--data")
    check(fake.comparison(arms=arms, seeds=(), data="cifar100"), METRICS)


@pytest.mark.parametrize(
    ("sources", "data", "study"),
    [
        ("street espnetv2-s2.0", "camvid:DIR", "segment"),
        ("labels/one labels/two", "folder:DIR", "segment"),
        ("one.csv two.CSV", "folder:DIR", "classify"),
        ("one two", "cifar100", "classify"),
        ("one two", "objects:val=10", "classify"),
    ],
)
def test_the_study_of_predictions(fake: Any, sources: str, data: str, study: str) -> None:
    arms = {f"arm{i}": Predictions(source) for i, source in enumerate(sources.split())}
    assert fake.comparison(arms=arms, seeds=(), data=data).study == study


def test_every_arm_is_judged_against_the_first_unless_pairs_are_declared(fake: Any) -> None:
    assert fake.comparison(0.1, 0.2, 0.3).judged() == (("b", "a"), ("c", "a"))
    assert fake.comparison(0.1, 0.2, 0.3, pairs=(("c", "b"),)).judged() == (("c", "b"),)
