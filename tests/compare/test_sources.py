"""Comparisons by name, from a Python file, and from the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from triptych import recipe as recipes
from triptych import study
from triptych.compare import Comparison, Predictions, Sequential, check, sources
from triptych.errors import UserError
from triptych.recipe import Recipe

REPOSITORY = Path(__file__).parents[2]
FILE = """
from triptych import recipe as recipes
from triptych.compare import Comparison

def comparison():
    return Comparison(
        question="Which?",
        arms={
            "one": recipes.get("classify/tiny"),
            "two": recipes.override(recipes.get("classify/tiny"), ["model=vit-tiny"]),
        },
        varies=frozenset({"model"}), seeds=(0, 1, 2), metric="top1", margin=0.02,
    )
"""
FIXED = """
from triptych.compare import Comparison, Predictions

def comparison():
    return Comparison(
        question="Which?", arms={"one": Predictions("one.csv"), "two": Predictions("two.csv")},
        varies=frozenset(), seeds=(), metric="top1", margin=0.02, data="cifar100",
    )
"""


def asked(
    *what: str,
    predictions: tuple[str, ...] = (),
    varies: tuple[str, ...] = (),
    metric: str | None = "top1",
    margin: float | None = 0.02,
    seeds: int | None = None,
    until_decided: int | None = None,
    settings: tuple[str, ...] = (),
    data: str | None = None,
    split: str | None = None,
    size: tuple[int, int] | None = None,
) -> Comparison:
    return sources.of_command_line(
        what,
        predictions,
        varies=varies,
        metric=metric,
        margin=margin,
        seeds=seeds,
        until_decided=until_decided,
        settings=settings,
        data=data,
        split=split,
        size=size,
    )


@pytest.mark.parametrize("file", sorted((REPOSITORY / "comparisons").glob("*.py")), ids=str)
def test_every_comparison_of_the_repository_is_controlled(file: Path) -> None:
    made = sources.from_name(str(file))
    of = study.get(made.study)
    check(made, of.metrics, of.beside)
    assert made.question.endswith("?")


def test_a_name_is_a_file_of_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    by_name = sources.from_name("flaw-ladder")
    assert by_name.record() == sources.from_name("comparisons/flaw_ladder.py").record()
    with pytest.raises(UserError, match="no comparison 'flaw-lader'; did you mean flaw_ladder"):
        sources.from_name("flaw-lader")


def test_elsewhere_it_is_said_where_names_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="comparisons/ is looked for in the working folder"):
        sources.from_name("flaw-ladder")
    with pytest.raises(UserError, match=r"no comparison 'mine\.py'"):
        sources.from_name("mine.py")


def test_a_python_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FILE)
    made = sources.from_name(str(tmp_path / "mine.py"))
    assert list(made.arms) == ["one", "two"]
    check(made, {"top1": True})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "raise RuntimeError('not\\ntoday')",
            "does not make a comparison: RuntimeError: not today",
        ),
        ("import sys; sys.exit(5)", "does not make a comparison: SystemExit: 5"),
        ("def comparison(:", "does not make a comparison: SyntaxError"),
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to"),
        ("x = 1", "does not make a comparison: AttributeError: .*'comparison'"),
        ("def comparison(): return {'arms': 1}", "must return a Comparison, not dict"),
        ("def comparison(): return None", "must return a Comparison, not NoneType"),
        (
            "from triptych import recipe\ndef comparison(): return recipe.get('classify/tyny')",
            "no recipe 'classify/tyny'; did you mean classify/tiny",
        ),
    ],
)
def test_a_python_file_that_makes_none(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        sources.from_name(str(file))
    assert "\n" not in str(caught.value)
    assert "recipe" in text or str(file) in str(caught.value)


def test_recipes_of_the_command_line() -> None:
    made = asked("classify/tiny", "classify/tiny:model=vit-tiny,lr=1e-3", varies=("model", "lr"))
    assert list(made.arms) == ["tiny", "tiny-model-vit-tiny-lr-1e-3"]
    arm = made.arms["tiny-model-vit-tiny-lr-1e-3"]
    assert isinstance(arm, Recipe)
    assert (arm.model, arm.lr) == ("vit-tiny", 0.001)
    assert made.seeds == (0, 1, 2)
    assert made.varies == {"model", "lr"}
    check(made, {"top1": True})


def test_a_comma_within_a_value_belongs_to_it() -> None:
    made = asked(
        "segment/tiny", "segment/tiny:scale=0.5,1.5,epochs=2,crop=32,64", varies=("scale", "crop")
    )
    arm = made.arms["tiny-scale-0.5-1.5-epochs-2-crop-32-64"]
    baseline = made.arms["tiny"]
    assert isinstance(arm, Recipe)
    assert isinstance(baseline, Recipe)
    found = recipes.differences(baseline, arm)
    assert {key: value for key, (_, value) in found.items()} == {
        "scale": (0.5, 1.5),
        "epochs": 2,
        "crop": (32, 64),
    }


def test_settings_go_to_every_arm_and_the_plan_is_as_asked() -> None:
    pair = ("classify/tiny", "classify/tiny:model=vit-tiny")
    made = asked(*pair, settings=("epochs=2", "data=objects:train=50"), seeds=5)
    assert {arm.epochs for _, arm in made.recipes()} == {2}
    assert {arm.data for _, arm in made.recipes()} == {"objects:train=50"}
    assert made.seeds == (0, 1, 2, 3, 4)
    made = asked(*pair, until_decided=8)
    assert made.until_decided == Sequential(8)
    assert made.seeds == tuple(range(8))


def test_a_named_comparison_may_be_changed(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    made = asked(str(file), metric=None, margin=None)
    assert (made.metric, made.margin, made.seeds) == ("top1", 0.02, (0, 1, 2))
    made = asked(
        str(file), metric="top5", margin=0.1, seeds=4, settings=("epochs=1",), varies=("lr",)
    )
    assert (made.metric, made.margin, made.seeds) == ("top5", 0.1, (0, 1, 2, 3))
    assert made.varies == {"model", "lr"}
    assert {arm.epochs for _, arm in made.recipes()} == {1}
    assert asked(str(file), until_decided=6).until_decided == Sequential(6)


def test_fixed_predictions(tmp_path: Path) -> None:
    file = tmp_path / "my scores (1).csv"
    file.write_text("key")
    made = asked(predictions=(str(file), "out/b.csv"), data="cifar100", split="test")
    assert list(made.arms) == ["my-scores-1-", "out-b.csv"]
    assert made.arms["my-scores-1-"] == Predictions(str(file))
    assert (made.fixed, made.seeds, made.split) == (True, (), "test")
    check(made, {"top1": True})


@pytest.mark.parametrize("kind", ["file", "recipes"])
def test_predictions_join_recipes(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    what = (str(file),) if kind == "file" else ("classify/tiny", "classify/tiny:model=vit-tiny")
    plain = asked(*what, seeds=4, settings=("epochs=2",), varies=("model",))
    size = (480, 640)
    made = asked(
        *what,
        predictions=("net-r101", "../x/y z.csv", "-rf"),
        seeds=4,
        settings=("epochs=2",),
        varies=("model",),
        size=size,
    )
    assert made.record() == plain.record()
    assert list(made.arms)[: len(plain.arms)] == list(plain.arms)
    assert made.joined() == {
        "net-r101": Predictions("net-r101", size=size),
        "x-y-z.csv": Predictions("../x/y z.csv", size=size),
        "rf": Predictions("-rf", size=size),
    }
    check(made, {"top1": True})


def test_a_named_comparison_of_predictions(tmp_path: Path) -> None:
    file = tmp_path / "fixed.py"
    file.write_text(FIXED)
    assert asked(str(file)).data == "cifar100"
    assert asked(str(file), data="cifar100:DIR").data == "cifar100:DIR"
    with pytest.raises(UserError, match="its arms are fixed predictions already"):
        asked(str(file), predictions=("three.csv",))
    for options in ({"seeds": 3}, {"until_decided": 5}, {"settings": ("lr=1",)}):
        with pytest.raises(UserError, match="its arms are fixed predictions"):
            asked(str(file), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("what", "options", "message"),
    [
        ((), {}, "say what to compare"),
        (("classify/tiny",) * 2, {}, "two arms are called tiny"),
        (("classify/tiny", "flaw-ladder"), {}, "'flaw-ladder' is no recipe"),
        (("classify/tiny", "classify/tyny"), {}, "did you mean classify/tiny"),
        (("classify/tiny", "classify/tiny:lr"), {}, "write it as key=value"),
        (("classify/tiny", "classify/tiny:lr=1"), {"metric": None}, "--metric is needed"),
        (("classify/tiny", "classify/tiny:lr=1"), {"margin": None}, "--margin is needed"),
        (("classify/tiny", "classify/tiny:lr=1"), {"data": "cifar100"}, "--set data="),
        (("classify/tiny", "classify/tiny:lr=1"), {"split": "val"}, "--set data="),
        (("classify/tiny", "classify/tiny:lr=1"), {"size": (1, 1)}, "--size is for --predictions"),
        (("a",), {"seeds": 3, "until_decided": 3}, "no comparison 'a'"),
        (
            ("classify/tiny", "classify/tiny:lr=1"),
            {"seeds": 3, "until_decided": 3},
            "two plans; choose one",
        ),
        ((), {"predictions": ("a.csv", "b.csv")}, "--data"),
        ((), {"predictions": ("a.csv", "a.csv"), "data": "cifar100"}, "named twice"),
        ((), {"predictions": ("a.csv",), "seeds": 3}, "alone are fixed arms: no --varies"),
        (("classify/tiny",), {"predictions": ("a.csv",), "split": "val"}, "--set data="),
        (("nowhere",), {"predictions": ("a.csv",)}, "no comparison 'nowhere'"),
        (("a", "b"), {"predictions": ("a.csv",)}, "'a' is no recipe"),
        (
            ("classify/tiny", "classify/tiny:lr=1"),
            {"predictions": ("tiny",)},
            "--predictions tiny: the comparison has an arm tiny already",
        ),
        (
            ("classify/tiny", "classify/tiny:lr=1"),
            {"predictions": ("x/y.csv", "x y.csv")},
            "x/y.csv and x y.csv: no names tell these arms apart",
        ),
    ],
)
def test_impossible_requests(
    what: tuple[str, ...], options: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        asked(*what, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["ra/seed-0/", "rb/seed-0/"], ["ra-seed-0", "rb-seed-0"]),
        (["ra/seed-0/", "rb/seed-0/", "c.csv"], ["ra-seed-0", "rb-seed-0", "c"]),
        (["x/ra/seed-0/", "x/rb/seed-0/"], ["ra-seed-0", "rb-seed-0"]),
        (["ra/x/b/", "rb/x/b/", "rb/y/b/"], ["ra-x-b", "rb-x-b", "rb-y-b"]),
        (["runs/b/", "b.onnx"], ["runs-b", "b"]),
        (["p/b.onnx", "p/b.csv"], ["b.onnx", "b.csv"]),
        (["p/b.onnx", "p/b.csv", "q/b.csv"], ["p-b.onnx", "p-b.csv", "q-b.csv"]),
        (["runs/dabnet/", "dabnet"], ["runs-dabnet", "dabnet"]),  # beside a published model
    ],
)
def test_equal_names_of_fixed_arms_are_told_apart_by_their_folders(
    given: list[str], names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lay(given)
    asked_for = [source.rstrip("/") for source in given]
    found = asked(predictions=asked_for, data="cifar100").arms
    assert list(found) == names
    assert [arm.source for arm in found.values() if isinstance(arm, Predictions)] == asked_for


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["ra/b/", "ra/b/"], "the arm ra/b is named twice"),
        (["ra/b/", "./ra/b/"], "the arm ./ra/b is named twice"),
        (["b/", "../here/b/"], "the arm ../here/b is named twice"),
        (["ra/b/", "rb/b/", "ra-b/"], "ra/b and rb/b: no names tell these arms apart"),
    ],
)
def test_fixed_arms_that_are_the_same_or_cannot_be_told_apart(
    given: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    lay(given)
    with pytest.raises(UserError, match=re.escape(message)):
        asked(predictions=[source.rstrip("/") for source in given], data="cifar100")


def lay(sources: list[str]) -> None:
    """Make these files and, where they end in a slash, folders; a bare name is nothing on disk."""
    for source in sources:
        if source.endswith("/"):
            Path(source).mkdir(parents=True, exist_ok=True)
        elif Path(source).suffix:
            Path(source).parent.mkdir(exist_ok=True)
            Path(source).touch()


def test_a_folders_name_for_what_is_compared() -> None:
    name = sources.folder_name
    assert name(["flaw-ladder"], []) == "flaw-ladder"
    assert name(["/a/b/mine.py"], []) == "mine"
    assert name(["classify/tiny", "classify/tiny:lr=1e-3"], []) == (
        "classify-tiny-classify-tiny-lr-1e-3"
    )
    assert name([], ["street", "dabnet"]) == "street-dabnet"
    assert name(["flaw-ladder"], ["dabnet"]) == "flaw-ladder"  # they join it


def test_a_long_name_of_a_folder_ends_with_a_digest() -> None:
    long = [f"classify/tiny:model={'x' * 300},lr={lr}" for lr in (1, 2)]
    names = [sources.folder_name(["classify/tiny", each], []) for each in long]
    assert names == [sources.folder_name(["classify/tiny", each], []) for each in long]
    assert len(set(names)) == 2
    assert all(len(name) <= 100 for name in names)
    assert all(name.startswith("classify-tiny-classify-tiny-model-xxx") for name in names)
    assert sources.folder_name(["x" * 100], []) == "x" * 100
