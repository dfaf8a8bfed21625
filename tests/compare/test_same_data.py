"""Cells must have seen the same data, but for what follows from fields that may differ."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from triptych.compare.run import compare, status
from triptych.errors import UserError


def of(fake: Any, varied: str, *values: Any, **common: Any) -> Any:
    """Arms of one model, each with another value of a field."""
    arms = {
        name: replace(fake.recipe("m", **common), **{varied: value})
        for name, value in zip("abc", values, strict=False)
    }
    return fake.comparison(arms=arms, varies=frozenset({varied}))


def by_content(recipe: Any, seed: int) -> dict[str, str]:
    """As the studies' own: each entry by what decides it."""
    found = {
        "train": f"{recipe.data} {recipe.train_images}",
        "val": recipe.val_data or recipe.data,
        "init": f"{recipe.init} for {recipe.model}",
    }
    if recipe.folds != "none":
        found = {"all": recipe.data, "init": found["init"]}
    if recipe.boundary == "inverseform" and recipe.inverse_network:
        found["inverse_network"] = f"weights of {recipe.inverse_network}"
    return found


@pytest.mark.parametrize(
    ("varied", "values", "common"),
    [
        ("data", ("one", "other"), {}),
        ("val_data", (None, "other"), {}),
        ("train_images", (None, 10), {}),
        ("init", ("random", "imagenet"), {}),
        ("model", ("m", "n"), {"init": "imagenet"}),
        ("boundary", ("none", "edges", "inverseform"), {"inverse_network": "published"}),
        ("inverse_network", (None, "published"), {"boundary": "inverseform"}),
        ("folds", ("none", "drives"), {}),
    ],
)
def test_what_a_declared_field_decides_may_differ(
    fake: Any, tmp_path: Path, varied: str, values: tuple[Any, ...], common: dict[str, Any]
) -> None:
    fake.fingerprint = by_content
    verdict = compare(of(fake, varied, *values, **common), tmp_path / "c")
    assert {arm["n"] for arm in verdict["arms"].values()} == {3}


@pytest.mark.parametrize(("varied", "entry"), [("lr", "train"), ("init", "val"), ("init", "code")])
def test_what_no_differing_field_decides_may_not(
    fake: Any, tmp_path: Path, varied: str, entry: str
) -> None:
    values = {"lr": (0.1, 0.2), "init": ("random", "imagenet")}[varied]
    asked = of(fake, varied, *values)
    compare(asked, tmp_path / "c")
    for seed in range(3):
        file = tmp_path / "c" / "b" / f"seed-{seed}" / "recipe.json"
        record = json.loads(file.read_text())
        if entry == "code":
            record["code"] = {"own.py": "abc"}
        else:
            record["fingerprint"][entry] = "changed"
        file.write_text(json.dumps(record))
    said = "other code than a seed 0 (code own.py)" if entry == "code" else f"({entry})"
    with pytest.raises(UserError) as caught:
        status(asked, tmp_path / "c")
    assert said in str(caught.value)
    assert "b/seed-0" in str(caught.value)


def test_a_field_that_may_differ_but_does_not_explains_nothing(fake: Any, tmp_path: Path) -> None:
    """Arms b and c differ in the model alone, though `train_images` is declared too."""
    asked = of(fake, "train_images", None, 10, 10)
    arms = {**asked.arms, "c": replace(asked.arms["c"], model="n")}
    asked = replace(asked, arms=arms, varies=frozenset({"train_images", "model"}))
    fake.fingerprint = lambda recipe, seed: (
        by_content(recipe, seed) | ({"train": "changed"} if recipe.model == "n" else {})
    )
    with pytest.raises(UserError, match=r"c/seed-0 saw other data than b seed 0 \(train\)"):
        compare(asked, tmp_path / "c")


def test_seeds_of_an_arm_must_agree_in_everything(fake: Any, tmp_path: Path) -> None:
    fake.fingerprint = lambda recipe, seed: {"train": "same", "init": f"weights {seed // 2}"}
    asked = of(fake, "init", "random", "imagenet")
    with pytest.raises(UserError, match=r"a/seed-2 saw other data than a seed 0 \(init\)"):
        compare(asked, tmp_path / "c")


def test_it_is_told_before_hours_of_training_and_no_cell_need_go(fake: Any, tmp_path: Path) -> None:
    fake.fingerprint = lambda recipe, seed: {"train": f"{recipe.lr}"}
    asked = of(fake, "lr", 0.1, 0.2)
    message = "put it back as it was, or begin anew with another --out"
    with pytest.raises(UserError, match=message) as caught:
        compare(asked, tmp_path / "c")
    assert "remove" not in str(caught.value)
    assert fake.calls == [("m", 0), ("m", 0)]  # the first cell of each arm
    fake.calls.clear()
    with pytest.raises(UserError, match=message):
        compare(asked, tmp_path / "c")
    assert fake.calls == []
