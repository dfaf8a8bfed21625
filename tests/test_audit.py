"""The audit finds what runs did wrong, from what entered the model and not from recipes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from triptych import recipe as recipes
from triptych.audit import (
    Line,
    as_text,
    audit_comparison,
    audit_run,
    copies,
    frozen,
    images_seen,
    versions,
)
from triptych.audit import (
    testimony as told,
)
from triptych.classify.train import train
from triptych.compare.audit_folder import audit_folder
from triptych.errors import UserError

SOUND: dict[str, Any] = {
    "training_images": 100,
    "images_seen": 100,
    "strangers_seen": 0,
    "images_seen_by_epoch": [60, 90, 100],
    "samples": 240,
    "updates": 30,
    "copies_in_batches": 0,
    "versions_of_copies": 0,
    "probed_copies": 24,
    "probed_versions": 24,
    "probes": 3,
    "augmented": True,
    "input": [3, 8, 8, "float32"],
    "settings": {
        "batch_size": {"first": 8, "min": 8, "max": 8, "last": 8},
        "lr": {"first": 0.1, "min": 0.0, "max": 0.1, "last": 0.0},
        "weight_decay": {"first": 0.01, "min": 0.01, "max": 0.01, "last": 0.01},
    },
    "parameters": 1000,
    "parameters_never_changed": 0,
    "entries_never_changed": [],
    "buffers_never_changed": [],
    "copies_in_val": {"exact": 0, "near": 2, "images": 500},
}


def test_a_sound_run() -> None:
    lines = audit_comparison({"a": [SOUND, SOUND], "b": [SOUND]})
    assert {line.finding for line in lines} == {"fair"}
    texts = {line.about: line.text for line in lines}
    assert texts["images seen"] == "alike: 100 of 100 training images seen (100%)"
    assert texts["samples and updates"] == "alike: 240 in 30"
    assert texts["learning rate"] == "alike: 0 to 0.1"
    assert texts["batch size"] == "alike: 8"
    assert texts["stochastic depth"] == "alike: none"
    assert texts["input"] == "alike: 3x8x8xfloat32"
    assert "0 of 500 images of val are in train, 2 more are near copies" in texts["copies in val"]


@pytest.mark.parametrize(
    ("seen", "by_epoch", "finding"),
    [
        (100, [100, 100], "fair"),  # all of them: nothing new is left to show
        (34, [34, 34, 34], "flaw"),
        (34, [34], "fair"),  # one epoch cannot tell
        (70, [34, 60, 70], "fair"),
        (34, [20, 34, 34], "fair"),  # it moved
    ],
)
def test_a_sampler_that_stands(seen: int, by_epoch: list[int], finding: str) -> None:
    line = images_seen(SOUND | {"images_seen": seen, "images_seen_by_epoch": by_epoch})
    assert line.finding == finding
    assert f"{seen} of 100 training images seen ({seen}%)" in line.text
    assert ("the same ones in every epoch" in line.text) == (finding == "flaw")


def test_images_that_are_not_in_the_training_set() -> None:
    line = images_seen(SOUND | {"strangers_seen": 7})
    assert line.finding == "flaw"
    assert "7 that are not in it" in line.text


@pytest.mark.parametrize(
    ("copies", "distinct", "probes", "augmented", "finding"),
    [
        (24, 24, 3, True, "fair"),
        (24, 6, 3, True, "fair"),  # a flip alone makes two versions in each of three batches
        (24, 4, 3, True, "fair"),
        (24, 3, 3, True, "flaw"),
        (8, 1, 1, True, "flaw"),
        (24, 3, 3, False, "fair"),  # no augmentation at all
        (3, 3, 3, True, "fair"),  # batches of one image cannot share
        (4, 2, 2, True, "unknown"),  # two batches of two: a flip may have fallen alike
        (0, 0, 0, False, "unknown"),
    ],
)
def test_one_augmentation_for_a_batch(
    copies: int, distinct: int, probes: int, augmented: bool, finding: str
) -> None:
    found = {"probed_copies": copies, "probed_versions": distinct, "probes": probes}
    assert versions(SOUND | found | {"augmented": augmented}).finding == finding


def test_repeats_are_told() -> None:
    line = versions(SOUND | {"copies_in_batches": 1200, "versions_of_copies": 400})
    assert "8 copies of an image became 8 versions" in line.text
    assert "of 1,200 repeats in batches 400 were distinct" in line.text


def test_what_is_frozen_is_named() -> None:
    weights = frozen(
        SOUND | {"parameters_never_changed": 250, "entries_never_changed": ["a", "b", "c", "d"]}
    )
    assert weights == Line(
        "frozen", "flaw", "25.0% of the parameters never changed (a, b, c and 1 more)"
    )
    statistics = frozen(
        SOUND | {"buffers_never_changed": ["bn.num_batches_tracked", "bn.running_mean"]}
    )
    assert statistics.finding == "flaw"
    assert "1 statistics never changed (bn.running_mean)" in statistics.text
    assert frozen(SOUND | {"buffers_never_changed": ["position_index"]}).finding == "fair"


IDLE = {"parameters_idle": 250, "entries_idle": ["edge_head.bias"]}
FEW = {"parameters_unmoved": 3, "entries_unmoved": ["bn.bias"]}
TOO_SMALL = "parameters whose gradients were too small to change any"


@pytest.mark.parametrize(
    ("told", "besides"),
    [
        (IDLE, "25.0% that no prediction depends on (edge_head.bias)"),
        (FEW, f"3 {TOO_SMALL} (bn.bias)"),
        (
            IDLE | FEW,
            f"3 {TOO_SMALL} (bn.bias) and 25.0% that no prediction depends on (edge_head.bias)",
        ),
    ],
)
def test_what_may_stay_as_it_was(told: dict[str, Any], besides: str) -> None:
    text = f"every parameter and statistic changed but for {besides}"
    assert frozen(SOUND | told) == Line("frozen", "fair", text)


def test_gradients_too_small_to_change_much_of_a_model_are_a_flaw() -> None:
    many = {"parameters_unmoved": 900, "entries_unmoved": ["weight"]}
    assert frozen(SOUND | many) == Line("frozen", "flaw", f"900 {TOO_SMALL} (weight)")


def test_rates_of_a_trunk_are_compared_too() -> None:
    def arm(trunk: float) -> list[dict[str, Any] | None]:
        rates = {"lr": 0.1, "lr x0.5": trunk}
        settings = {k: dict.fromkeys(("first", "min", "max", "last"), v) for k, v in rates.items()}
        return [SOUND | {"settings": SOUND["settings"] | settings}]

    def rates(a: float, b: float) -> Line:
        lines = audit_comparison({"a": arm(a), "b": arm(b)})
        return next(line for line in lines if line.about == "learning rate")

    assert rates(0.05, 0.05).text == "alike: 0.1, 0.05 (lr x0.5)"
    assert rates(0.05, 0.03).finding == "differs"


def test_copies_are_counted_where_they_were_sought() -> None:
    assert [line.about for line in copies(SOUND)] == ["copies in val"]
    both = copies(SOUND | {"copies_in_test": {"exact": 100, "near": 1200, "images": 10_000}})
    assert "100 of 10,000 images of test are in train, 1,200 more are near copies" in both[1].text
    assert [line.finding for line in both] == ["fair", "fair"]
    (_, flawed) = copies(SOUND | {"copies_in_test": {"exact": 101, "near": 0, "images": 10_000}})
    assert flawed.finding == "flaw"


def test_the_worst_run_of_an_arm_counts_and_arms_are_told_apart() -> None:
    stuck = SOUND | {"images_seen": 34, "images_seen_by_epoch": [34, 34]}
    lines = {x.about: x for x in audit_comparison({"a": [SOUND, SOUND], "b": [SOUND, stuck]})}
    assert lines["images seen"].finding == "flaw"
    assert lines["images seen"].text.startswith("b: 34 of 100")
    both = {x.about: x for x in audit_comparison({"a": [stuck], "b": [stuck]})}
    assert both["images seen"].text.endswith("(all arms)")


def test_an_unknown_in_one_arm_is_not_called_fair() -> None:
    unprobed = SOUND | {"probed_copies": 0, "probed_versions": 0, "probes": 0}
    lines = {x.about: x for x in audit_comparison({"a": [SOUND], "b": [unprobed]})}
    assert lines["augmentation"].finding == "unknown"
    assert "b: no batch was probed" in lines["augmentation"].text


@pytest.mark.parametrize(
    ("about", "changes"),
    [
        ("samples and updates", {"samples": 480}),
        ("samples and updates", {"updates": 60}),
        ("input", {"input": [3, 16, 16, "float32"]}),
        ("training images", {"training_images": 90, "images_seen": 90}),
        ("learning rate", {"settings": {"lr": {"first": 1, "min": 0, "max": 0.2, "last": 0}}}),
        ("weight decay", {"settings": {"weight_decay": {"min": 0.1, "max": 0.1}}}),
        ("batch size", {"settings": {"batch_size": {"min": 16, "max": 16}}}),
        ("stochastic depth", {"settings": {"drop_path": {"min": 0.1, "max": 0.1}}}),
    ],
)
def test_arms_that_were_not_treated_alike(about: str, changes: dict[str, Any]) -> None:
    settings = SOUND["settings"] | changes.get("settings", {})
    other = SOUND | changes | {"settings": settings}
    lines = audit_comparison({"a": [SOUND], "b": [other]})
    assert [line.about for line in lines if line.finding == "differs"] == [about]


def test_an_arm_from_outside_makes_all_unknown() -> None:
    for arms in ({"a": [SOUND], "b": []}, {"a": [SOUND], "b": [None, None]}, {"a": [], "b": []}):
        lines = audit_comparison(arms)
        assert {line.finding for line in lines} == {"unknown"}
        assert all("b: what it did is not on record" in line.text for line in lines)


def test_marks_stand_out() -> None:
    text = as_text([Line("x", "fair", "1"), Line("y", "flaw", "2"), Line("z", "differs", "3")])
    assert text.splitlines() == ["  ok      x: 1", "  FLAW    y: 2", "  DIFFERS z: 3"]


# Real trainings from here on.


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """24 pictures to train on, 16x16, in two classes."""
    root = tmp_path_factory.mktemp("data")
    draw = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 4), ("test", 4)):
        for name in ("one", "two"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 256, (16, 16, 3), np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
    return f"folder:{root}"


Runs = Callable[..., Path]


@pytest.fixture(scope="module")
def run(data: str, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Trains a recipe at a small scale, once for all tests."""
    folder = tmp_path_factory.mktemp("runs")

    def trained(name: str, model: str = "vit-tiny", seed: int = 0, *settings: str) -> Path:
        out = folder / f"{name}-{model}-{seed}{'-'.join(settings)}".replace("/", "-")
        scale = [f"data={data}", "epochs=3", "batch_size=8", "warmup=0.3", f"model={model}"]
        recipe = recipes.override(recipes.get(name), [*scale, *settings])
        torch.set_num_threads(1)
        train(recipe, seed, out, device="cpu", show_progress=False)  # type: ignore[arg-type]
        return out

    return trained


RUNGS = {
    "classify/published-as-ran": {"images seen", "augmentation"},
    "classify/published-per-sample": {"images seen"},
    "classify/published-moving-sampler": {"augmentation"},
    "classify/published": set(),
}


@pytest.mark.parametrize("model", ["vit-tiny", "resnext-tiny"])
@pytest.mark.parametrize("name", list(RUNGS))
def test_each_rung_shows_its_own_flaws(run: Runs, name: str, model: str) -> None:
    lines = audit_run(run(name, model))
    assert {line.about for line in lines if line.finding == "flaw"} == RUNGS[name]


def test_the_numbers_of_the_original_as_it_ran(run: Runs) -> None:
    found = told(run("classify/published-as-ran"))
    assert found is not None
    assert found["training_images"] == 24
    assert found["images_seen"] == 8  # a third
    assert found["images_seen_by_epoch"] == [8, 8, 8]
    assert (found["samples"], found["updates"]) == (72, 9)
    assert (found["probed_copies"], found["probed_versions"]) == (24, 3)
    # Batches of 8 hold 3 + 3 + 2 versions of an image, all of a kind.
    assert found["copies_in_batches"] > 60
    assert found["versions_of_copies"] < found["copies_in_batches"] / 2
    assert found["settings"]["lr"]["first"] == 0
    assert found["settings"]["lr"]["max"] == pytest.approx(5e-4, rel=0.05)
    assert found["settings"]["drop_path"]["max"] == pytest.approx(0.1)
    assert found["settings"]["weight_decay"]["min"] == 1e-3


def test_the_numbers_of_the_fair_one(run: Runs) -> None:
    found = told(run("classify/published"))
    assert found is not None
    first, *_, last = found["images_seen_by_epoch"]
    assert (first, last) == (8, found["images_seen"])
    assert last > 8
    assert found["probed_versions"] > 20  # of 24
    assert found["versions_of_copies"] > 0.8 * found["copies_in_batches"]


@pytest.mark.parametrize("name", ["classify/tiny", "classify/small"])
def test_other_fair_recipes_pass(run: Runs, name: str) -> None:
    assert {line.finding for line in audit_run(run(name))} == {"fair"}


def test_a_training_without_augmentation_is_no_flaw(run: Runs) -> None:
    lines = audit_run(run("classify/tiny", "vit-tiny", 0, "augmentation=none"))
    texts = {line.about: line.text for line in lines if line.finding == "fair"}
    assert texts["augmentation"] == "images entered as they are"


def _in_one_folder(run: Runs, folder: Path, **arms: str) -> Path:
    """A comparison's folder made of runs."""
    (folder / "comparison.json").write_text(json.dumps({"arms": dict.fromkeys(arms)}))
    for arm, name in arms.items():
        for seed in range(2):
            shutil.copytree(run(name, "vit-tiny", seed), folder / arm / f"seed-{seed}")
    return folder


def test_a_comparison_in_which_one_arm_is_flawed(run: Runs, tmp_path: Path) -> None:
    folder = _in_one_folder(
        run, tmp_path, fair="classify/published", flawed="classify/published-as-ran"
    )
    lines = {line.about: line for line in audit_folder(folder)}
    for about in ("images seen", "augmentation"):
        assert lines[about].finding == "flaw"
        assert lines[about].text.startswith("flawed: ")
        assert "; fair: " not in lines[about].text
    assert lines["frozen"].finding == "fair"
    assert lines["samples and updates"].text == "alike: 72 in 9"


def test_falsified_recipes_hide_nothing(run: Runs, tmp_path: Path) -> None:
    honest = _in_one_folder(
        run, tmp_path, fair="classify/published", flawed="classify/published-as-ran"
    )
    expected = audit_folder(honest)
    for seed in range(2):
        clean = json.loads((honest / "fair" / f"seed-{seed}" / "recipe.json").read_text())
        (honest / "flawed" / f"seed-{seed}" / "recipe.json").write_text(json.dumps(clean))
    assert audit_folder(honest) == expected
    for file in honest.rglob("recipe.json"):
        file.write_text("{}")
    assert audit_folder(honest) == expected


def test_folders_that_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither a run nor a comparison"):
        audit_folder(tmp_path)
    (tmp_path / "recipe.json").write_text("{}")
    assert [line.finding for line in audit_folder(tmp_path)] == ["unknown"]
