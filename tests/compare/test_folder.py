"""A comparison's folder: its plan stays, others are refused, an extension is exploratory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from triptych.compare import Sequential
from triptych.compare.run import compare, status
from triptych.errors import UserError
from triptych.report.record import write_record


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_plan_is_written_before_the_first_look(fake: Any, tmp_path: Path) -> None:
    seen = []
    plan = tmp_path / "c" / "comparison.json"
    fake.acts["a", 0] = {"early": lambda: seen.append(json.loads(plan.read_text()))}
    compare(fake.comparison(), tmp_path / "c")
    (record,) = seen
    assert record["metric"] == "top1"
    assert record["margin"] == 0.02
    assert record["seeds"] == [0, 1, 2]
    assert record["plan"] == {"kind": "fixed", "n": 3}
    assert record["pairs"] == [["b", "a"]]
    assert record["varies"] == ["model", "quality", "spread"]
    assert record["arms"]["b"]["quality"] == 0.6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "loss"}, "its metric is top1, yours is loss"),
        ({"margin": 0.5}, r"its margin is 0\.02, yours is 0\.5"),
        ({"varies": frozenset({"model", "quality"})}, "its varies is"),
        ({"seeds": (0, 1)}, r"its seeds is \[0, 1, 2\], yours is \[0, 1\]"),
        ({"seeds": (0, 2, 1, 3)}, "its seeds is"),
        ({"pairs": (("a", "b"),)}, "its pairs is"),
        ({"paired": True}, "its paired is False, yours is True"),
        ({"seeds": (0, 1, 2, 3), "until_decided": Sequential(4)}, "belongs to another comparison"),
        ({"question": "Why?"}, "its question is Which is better.*yours is Why"),
    ],
)
def test_another_comparisons_folder_is_refused_and_left_alone(
    fake: Any, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    compare(fake.comparison(), tmp_path / "c")
    before = files(tmp_path)
    fake.calls.clear()
    with pytest.raises(UserError, match=message):
        compare(fake.comparison(**changes), tmp_path / "c")
    with pytest.raises(UserError, match=message):
        status(fake.comparison(**changes), tmp_path / "c")
    assert files(tmp_path) == before
    assert fake.calls == []


def test_of_other_arms_the_field_is_named(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison()
    compare(asked, tmp_path / "c")
    other = {"a": asked.arms["a"], "b": replace(asked.arms["b"], spread=0.5)}
    with pytest.raises(UserError, match=r"its b's spread is 0\.01, yours is 0\.5"):
        compare(replace(asked, arms=other), tmp_path / "c")
    with pytest.raises(UserError, match="its arms is a, b, yours is a, b, c"):
        compare(fake.comparison(0.5, 0.6, 0.7), tmp_path / "c")
    turned = {"b": asked.arms["b"], "a": asked.arms["a"]}
    with pytest.raises(UserError, match=r"its order is \['a', 'b'\], yours is \['b', 'a'\]"):
        compare(replace(asked, arms=turned), tmp_path / "c")


def test_arms_need_not_be_in_alphabetical_order(fake: Any, tmp_path: Path) -> None:
    arms = {"z": fake.recipe("z"), "b": fake.recipe("b")}
    compare(fake.comparison(arms=arms), tmp_path / "c")
    other = {"z": fake.recipe("z"), "b": fake.recipe("b", spread=0.5)}
    with pytest.raises(UserError, match=r"its b's spread is 0\.01, yours is 0\.5"):
        compare(fake.comparison(arms=other), tmp_path / "c")


def test_a_sequential_plans_limit_cannot_be_moved(fake: Any, tmp_path: Path) -> None:
    def plan(n_max: int) -> Any:
        return fake.comparison(seeds=tuple(range(n_max)), until_decided=Sequential(n_max))

    compare(plan(4), tmp_path / "c")
    with pytest.raises(UserError, match="belongs to another comparison: its seeds"):
        compare(plan(6), tmp_path / "c")
    with pytest.raises(UserError, match="belongs to another comparison: its seeds"):
        compare(fake.comparison(seeds=(0, 1, 2)), tmp_path / "c")


def test_a_folder_with_something_else_is_refused(fake: Any, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match=r"no comparison and not empty \(it holds thesis\.tex\)"):
        compare(fake.comparison(), tmp_path)
    with pytest.raises(UserError, match="is a file"):
        compare(fake.comparison(), tmp_path / "thesis.tex")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_left_empty_by_a_killed_process_is_taken(fake: Any, tmp_path: Path) -> None:
    (tmp_path / ".comparison.json.4194305.part").write_text('{"arms')
    assert compare(fake.comparison(), tmp_path)["arms"]["a"]["n"] == 3


def test_a_broken_plan_is_named(fake: Any, tmp_path: Path) -> None:
    (tmp_path / "comparison.json").write_text('{"arms')
    with pytest.raises(UserError, match=r"comparison\.json is not valid JSON"):
        compare(fake.comparison(), tmp_path)


def test_a_wrong_data_folder_can_be_mended_until_a_cell_has_begun(
    fake: Any, tmp_path: Path
) -> None:
    def on(data: str) -> Any:
        asked = fake.comparison()
        return replace(asked, arms={k: replace(v, data=data) for k, v in asked.arms.items()})

    def none_there() -> None:
        raise UserError("nowhere: no such folder")

    fake.acts["a", 0] = {"early": none_there}
    with pytest.raises(UserError, match="no such folder"):
        compare(on("nowhere"), tmp_path / "c")
    with pytest.raises(UserError, match=r"its margin is 0\.02"):
        compare(replace(on("nowhere"), margin=0.5), tmp_path / "c")
    fake.acts.clear()
    compare(on("here"), tmp_path / "c")


def test_more_seeds_keep_the_first_verdict_and_are_exploratory(fake: Any, tmp_path: Path) -> None:
    first = compare(fake.comparison(0.5, 0.51, 0.6), tmp_path / "c")
    assert "exploratory" not in first
    plan = (tmp_path / "c" / "comparison.json").read_bytes()
    fake.calls.clear()
    more = compare(fake.comparison(0.5, 0.51, 0.6, seeds=tuple(range(5))), tmp_path / "c")
    assert sorted(fake.calls) == [(model, seed) for model in "abc" for seed in (3, 4)]
    assert (tmp_path / "c" / "comparison.json").read_bytes() == plan
    as_bytes = json.dumps(first["pairs"], sort_keys=True)
    assert json.dumps(more["pairs"], sort_keys=True) == as_bytes
    assert more["plan"] == first["plan"] == {"kind": "fixed", "n": 3, "seeds": [0, 1, 2]}
    assert more["exploratory"]["seeds"] == [0, 1, 2, 3, 4]
    assert more["exploratory"]["pairs"] != first["pairs"]
    assert len(more["arms"]["a"]["scores"]) == 5


def test_an_extension_is_not_forgotten_when_fewer_seeds_are_asked_for(
    fake: Any, tmp_path: Path
) -> None:
    compare(fake.comparison(), tmp_path / "c")
    more = compare(fake.comparison(seeds=tuple(range(5))), tmp_path / "c")
    fake.calls.clear()
    assert compare(fake.comparison(), tmp_path / "c") == more
    assert status(fake.comparison(seeds=(0, 1, 2, 3)), tmp_path / "c") == more
    assert fake.calls == []
    most = compare(fake.comparison(seeds=(0, 1, 2, 7)), tmp_path / "c")
    assert most["exploratory"]["seeds"] == [0, 1, 2, 3, 4, 7]


def test_status_runs_nothing_and_writes_nothing(fake: Any, tmp_path: Path) -> None:
    looked = status(fake.comparison(), tmp_path / "c")
    assert looked["arms"]["a"]["states"] == {"0": "missing", "1": "missing", "2": "missing"}
    assert looked["pairs"][0]["verdict"] == "undecided"
    assert not (tmp_path / "c").exists()
    done = compare(fake.comparison(), tmp_path / "c")
    before = files(tmp_path)
    fake.calls.clear()
    assert status(fake.comparison(), tmp_path / "c") == done
    looked = status(fake.comparison(seeds=tuple(range(5))), tmp_path / "c")
    assert looked["pairs"] == done["pairs"]
    assert looked["arms"]["b"]["states"]["4"] == "missing"
    assert files(tmp_path) == before
    assert fake.calls == []


def test_data_may_move(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison()
    first = compare(asked, tmp_path / "c")
    moved = {name: replace(arm, data="elsewhere") for name, arm in asked.arms.items()}
    assert compare(replace(asked, arms=moved), tmp_path / "c") == first


def test_cells_that_saw_other_data_are_named(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison()
    compare(asked, tmp_path / "c")
    shutil.rmtree(tmp_path / "c" / "b" / "seed-2")
    other = {name: replace(arm, data="changed") for name, arm in asked.arms.items()}
    with pytest.raises(UserError, match=r"b/seed-2 saw other data than b seed 0 \(train\)"):
        compare(replace(asked, arms=other), tmp_path / "c")


def test_a_plan_of_before_a_field_was_known_is_still_this_plan(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison()
    first = compare(asked, tmp_path / "c")
    file = tmp_path / "c" / "comparison.json"
    plan = json.loads(file.read_text())
    del plan["order"], plan["arms"]["a"]["spread"]
    file.write_text(json.dumps(plan))
    assert compare(asked, tmp_path / "c") == first


def test_notes_stand_with_the_verdict_and_may_come_later(fake: Any, tmp_path: Path) -> None:
    assert "notes" not in compare(fake.comparison(), tmp_path / "c")
    write_record(tmp_path / "c", compare(fake.comparison(), tmp_path / "c"), tmp_path / "record")
    notes = ["a pilot had b ahead"]
    for _ in range(2):
        verdict = compare(fake.comparison(notes=tuple(notes)), tmp_path / "c")
        assert verdict["notes"] == notes
        assert json.loads((tmp_path / "c/comparison.json").read_text())["notes"] == notes
    write_record(tmp_path / "c", verdict, tmp_path / "record")
    assert "- Note: a pilot had b ahead." in (tmp_path / "record/README.md").read_text()


def test_a_folder_may_be_called_as_an_arm(
    fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = fake.comparison(arms={"plain": fake.recipe("a"), "other": fake.recipe("b")})
    write_record(Path("plain"), compare(asked, Path("plain")), Path("record"))
    verdict = json.loads((tmp_path / "record/verdict.json").read_text())
    assert verdict["pairs"][0]["baseline"] == "plain"
    assert "COMPARISON" not in (tmp_path / "record/README.md").read_text()


def other_recipe(place: Path) -> None:
    record = json.loads((place / "recipe.json").read_text())
    record["recipe"]["spread"] = 0.5
    (place / "recipe.json").write_text(json.dumps(record))


def copied_from_seed_0(place: Path) -> None:
    shutil.rmtree(place)
    shutil.copytree(place.with_name("seed-0"), place)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_recipe, r"b/seed-1 is .* another run: its spread is 0\.5, here it is 0\.01"),
        (copied_from_seed_0, "b/seed-1 is .* another run: its seed is 0, here it is 1"),
    ],
)
def test_a_cell_that_is_another_run_counts_nowhere(
    fake: Any, tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    asked = fake.comparison()
    compare(asked, tmp_path / "c")
    change(tmp_path / "c/b/seed-1")
    before = files(tmp_path)
    for look in (compare, status):
        with pytest.raises(UserError, match=message):
            look(asked, tmp_path / "c")
    more = fake.comparison(seeds=(0, 1, 2, 3))
    with pytest.raises(UserError, match=message):
        compare(more, tmp_path / "c")
    assert files(tmp_path) == before


def test_a_cell_of_before_a_field_was_known_did_what_its_default_does(
    fake: Any, tmp_path: Path
) -> None:
    asked = fake.comparison()
    first = compare(asked, tmp_path / "c")
    file = tmp_path / "c/b/seed-1/recipe.json"
    record = json.loads(file.read_text())
    del record["recipe"]["spread"], record["recipe"]["lr"]
    record["recipe"]["data"] = "elsewhere"
    file.write_text(json.dumps(record))
    assert compare(asked, tmp_path / "c") == first
    del record["recipe"]["quality"]
    file.write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"its quality is 0\.5, here it is 0\.6"):
        compare(asked, tmp_path / "c")


@pytest.mark.parametrize("record", [None, {}, {"fingerprint": {"train": "made up"}}])
def test_a_cell_that_does_not_say_its_recipe_is_taken(
    fake: Any, tmp_path: Path, record: dict[str, Any] | None
) -> None:
    asked = fake.comparison()
    compare(asked, tmp_path / "c")
    for file in tmp_path.glob("c/*/*/recipe.json"):
        file.unlink()
        if record is not None:
            file.write_text(json.dumps(record))
    assert status(asked, tmp_path / "c")["arms"]["b"]["n"] == 3


@pytest.mark.parametrize("record", [{}, {"scores": [], "data": "x"}, {"scores": {"top1": "high"}}])
def test_a_result_that_is_none_is_named(fake: Any, tmp_path: Path, record: dict[str, Any]) -> None:
    asked = fake.comparison()
    compare(asked, tmp_path / "c")
    (tmp_path / "c/b/seed-1/result.json").write_text(json.dumps(record))
    for look in (compare, status):
        with pytest.raises(UserError, match=r"b/seed-1/result\.json is no result .* its scores is"):
            look(asked, tmp_path / "c")


def test_a_failure_that_does_not_say_why(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison()
    compare(asked, tmp_path / "c")
    shutil.rmtree(tmp_path / "c/b/seed-1")
    (tmp_path / "c/b/seed-1.failed.json").write_text("{}")
    states = status(asked, tmp_path / "c")["arms"]["b"]["states"]
    assert states["1"] == "failed: seed-1.failed.json does not say why"
    assert compare(asked, tmp_path / "c")["arms"]["b"]["n"] == 3


def test_a_journal_that_is_no_text_costs_only_the_curve(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison(reach=(0.5,))
    compare(asked, tmp_path / "c")
    (tmp_path / "c/b/seed-1/metrics.jsonl").write_bytes(b"\x89PNG\xff\x00")
    assert status(asked, tmp_path / "c")["arms"]["b"]["n"] == 3
