"""Which folders are read, and what of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from triptych.report.gather import gather
from triptych.report.privacy import Anonymous
from triptych.report.verify import verify
from triptych.report.write import Options, report
from triptych.run import write_json


def a_run(folder: Path, seed: int = 0) -> Path:
    record = {"recipe": {"name": "classify/tiny", "lr": 0.1}, "seed": seed, "fingerprint": {}}
    folder.mkdir(parents=True)
    write_json(folder / "recipe.json", record)
    return folder


def change(file: Path, **fields: Any) -> None:
    write_json(file, json.loads(file.read_text()) | fields)


def test_runs_lie_where_train_puts_them(folders: ModuleType, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    folders.make_comparison(runs / "compared", "classify", items=4, seeds=1)
    single = [a_run(runs / "classify-tiny" / f"seed-{seed}", seed) for seed in (0, 1)]
    a_run(single[0] / "members" / "0")
    a_run(single[1] / "folds" / "1")
    direct = a_run(runs / "direct")
    found = gather([runs])
    assert [folder for _, _, folder in found.folders] == [*single, runs / "compared", direct]
    assert found.problems == []
    assert [folder for _, _, folder in gather([runs / "classify-tiny"]).folders] == single


def test_what_is_skipped_is_named(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    a_run(runs / "classify-tiny" / "seed-0")
    a_run(runs / "deep" / "deeper" / "deepest")
    for name in ("classify-tiny/notes", "logs", ".hidden", "classify-tiny/.git"):
        (runs / name).mkdir(parents=True)
    (runs / "log.txt").write_text("x")
    found = gather([runs])
    assert len(found.folders) == 1
    assert found.problems == [
        f"{runs}: no run and no comparison in classify-tiny/notes, deep, logs "
        "(2 levels of folders are looked into)"
    ]
    for number in range(9):
        (runs / f"a{number}").mkdir()
    (problem,) = gather([runs]).problems
    assert "in a0, a1, a2, a3, a4 and 7 more" in problem


def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_run(tmp_path / "run")
    (tmp_path / "closed").mkdir()
    listed = Path.iterdir

    def iterdir(folder: Path) -> object:
        if folder.name == "closed":
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    found = gather([tmp_path])
    assert len(found.folders) == 1
    assert "no run and no comparison in closed" in found.problems[0]


@pytest.mark.parametrize("name", ["streets-test.part-77", "streets-test.replaced"])
def test_evaluations_in_the_making_count_nothing(
    folders: ModuleType, tmp_path: Path, name: str
) -> None:
    folders.make_comparison(tmp_path / "c", "classify", items=4, seeds=1)
    run = tmp_path / "c" / "first" / "seed-0"
    aside = run / "evaluations" / name
    aside.mkdir()
    (aside / "scores.json").write_text(json.dumps({"top1": 0.9}))
    found = gather([tmp_path / "c"])
    there = [each for each in found.store.records if each.endswith("scores.json")]
    assert there == [
        f"1/{arm}/seed-0/evaluations/streets-test/scores.json" for arm in ("first", "second")
    ]
    (run / "evaluations").rename(tmp_path / "kept")
    assert [folder.name for _, _, folder in gather([tmp_path / "kept"]).folders] == ["streets-test"]


HIDDEN = Anonymous(("annbox.lan", "annbox"), "ann")


def test_an_arm_that_is_called_like_the_host_is_there(
    folders: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Anonymous, "of_this_machine", staticmethod(lambda: HIDDEN))
    folder, out = tmp_path / "c", tmp_path / "page.html"
    folders.make_comparison(folder, "classify", arms=("plain", "on-annbox"), items=12)
    (folder / "on-annbox" / "seed-2.failed.json").write_text('{"error": "annbox is full"}')
    write_json(folder / "extension.json", {"seeds": [3]})
    extended = (folder / "on-annbox" / "seed-2").rename(folder / "on-annbox" / "seed-3")
    change(extended / "recipe.json", seed=3)
    for_all = gather([folder]).store.records
    hidden = gather([folder], HIDDEN).store.records
    assert {name.replace("on-annbox", "on-~") for name in for_all} == set(hidden)
    assert any(name.startswith("1/on-~/seed-3/") for name in hidden)
    report([folder], out, Options(anonymous=True))
    assert "annbox" not in out.read_text()
    assert "on-~" in out.read_text()
    assert verify(out)["problems"] == []


def test_fixed_arms_that_are_called_like_the_host_are_there(tmp_path: Path) -> None:
    plan = {"arms": {"annbox": {"source": "x"}}, "metric": "top1", "study": "classify", "seeds": []}
    (tmp_path / "annbox").mkdir()
    (tmp_path / "joined-annbox").mkdir()
    for name in ("annbox", "joined-annbox"):
        write_json(tmp_path / name / "scores.json", {"top1": 0.5})
    write_json(tmp_path / "comparison.json", plan)
    assert "1/~/scores.json" in gather([tmp_path], HIDDEN).store.records
    write_json(tmp_path / "fixed.json", {"arms": {"joined-annbox": {"source": "y"}}})
    assert "1/joined-~/scores.json" in gather([tmp_path], HIDDEN).store.records


def test_arms_that_would_be_called_alike_are_not_mixed(folders: ModuleType, tmp_path: Path) -> None:
    folders.make_comparison(tmp_path / "c", "classify", arms=("annbox", "annbox.lan"), items=4)
    a_run(tmp_path / "run")
    found = gather([tmp_path], HIDDEN)
    assert len(found.folders) == 1
    assert "arms would be called alike without the names of this machine" in found.problems[0]
    assert "annbox" not in found.problems[0]
    assert len(gather([tmp_path]).folders) == 2


ODD_LINES = ["3", "[]", "null", '"x"', '{"epoch": "x", "lr": 1, "split": "train"}', '{"epoch": 1}']


def test_lines_that_are_no_record_are_left_out(folders: ModuleType, tmp_path: Path) -> None:
    folder, out = tmp_path / "c", tmp_path / "page.html"
    folders.make_comparison(folder, "classify", items=12)
    file = folder / "first/seed-0/metrics.jsonl"
    whole = file.read_text()
    kept = gather([folder]).store.records
    file.write_text("".join(f"{line}\n" for line in ODD_LINES) + whole + "3\n")
    assert gather([folder]).store.records == kept
    (folder / "second/seed-0/metrics.jsonl").write_bytes(b"\x89PNG\xff\x00")
    (folder / "second/seed-1/lineage.jsonl").write_text("3\n")
    report([folder, a_run(tmp_path / "run")], out, Options())
    assert verify(out)["problems"] == []
    assert "1/first/seed-0/metrics.jsonl" in gather([folder]).store.records


def test_a_cell_without_a_result_of_this_program_is_named(
    folders: ModuleType, tmp_path: Path
) -> None:
    folder, out = tmp_path / "c", tmp_path / "page.html"
    folders.make_comparison(folder, "classify", items=12)
    for arm, seed, record in (
        ("first", 0, {}),
        ("first", 1, {"scores": 3}),
        ("second", 0, {"scores": {"top1": "high"}}),
    ):
        write_json(folder / arm / f"seed-{seed}" / "result.json", record)
    (folder / "second/seed-1.failed.json").write_text("[]")
    (folder / "second/seed-2.failed.json").write_text("{}")
    (folder / "second/seed-2/result.json").unlink()
    shown = report([folder], out, Options())
    assert shown["sections"] == ["Which is better?"]
    left = "\n".join(shown["left_out"])
    for place in ("first/seed-0", "first/seed-1", "second/seed-0"):
        assert f"{place} was left out: {folder}/{place}/result.json is no result" in left
    assert "second/seed-1.failed.json does not hold a JSON object" in left
    assert "seed-2.failed.json does not say why" in out.read_text()


def test_a_cell_that_is_another_run_is_named(folders: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    folders.make_comparison(folder, "classify", items=12)
    shutil.rmtree(folder / "second/seed-1")
    shutil.copytree(folder / "second/seed-0", folder / "second/seed-1")
    file = folder / "second/seed-2/recipe.json"
    change(file, recipe=json.loads(file.read_text())["recipe"] | {"width": 99, "data": "moved"})
    first, second = gather([folder]).problems
    assert "second/seed-1 was left out" in first
    assert "its seed is 0, here it is 1" in first
    assert "its width is 99, here it is 9;" in second


def test_a_folder_of_odd_records_takes_no_other_with_it(
    folders: ModuleType, tmp_path: Path
) -> None:
    folders.make_comparison(tmp_path / "odd", "classify", items=4)
    change(tmp_path / "odd/comparison.json", seeds=3)
    a_run(tmp_path / "run")
    found = gather([tmp_path])
    assert [folder.name for _, _, folder in found.folders] == ["run"]
    (problem,) = found.problems
    assert "odd was left out: its records are not as this program knows them" in problem
