"""The record of a comparison: complete, small, and without names and paths."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from triptych.errors import UserError, WorkFailed
from triptych.report import record
from triptych.report.beside_table import beside_table
from triptych.report.reach_table import reach_table
from triptych.report.record import OURS, write_curves, write_record

Record = dict[str, Any]
Make = Callable[..., Path]

BESIDE = {"beside.csv", "beside.svg"}
SAMPLES = {"samples.csv"}
FIXED = {"fixed_arms.csv", "fixed_pairs.csv", "fixed_beside.csv", "fixed.svg", "fixed_beside.svg"}


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_record_is_complete_and_small(
    verdict: Record, make_folder: Make, tmp_path: Path
) -> None:
    out = tmp_path / "results" / "x"
    write_record(make_folder(verdict), verdict, out)
    found = files(out)
    assert set(found) == OURS - FIXED - BESIDE - SAMPLES
    assert sum(map(len, found.values())) < 100_000
    assert [path.name for path in out.parent.iterdir()] == ["x"]
    page = found["README.md"].decode()
    for link in re.findall(r"\]\(([^)]*)\)", page):
        assert link in found
    assert json.loads(found["verdict.json"])["pairs"] == verdict["pairs"]
    assert found["curves.csv"].decode().splitlines()[1] == "1,conv,0,train,loss,1.9,"


def test_the_page_says_what_happened_and_what_cannot_be_concluded(
    verdict: Record, make_folder: Make, tmp_path: Path
) -> None:
    write_record(make_folder(verdict), verdict, tmp_path / "x")
    page = (tmp_path / "x/README.md").read_text()
    for text in (
        "# conv \\| vit?",
        "seeds 0, 1, 2 for every arm",
        "**vit** against **conv**: **better** on this test set; +0.1000, +0.0547 to +0.1453 (95 %;",
        "margin of 0.02",
        "![",
        "late seed 0 failed: MemoryError: cannot write",
        "Fewer than 3 seeds of late",
        "Runs diverged: vit (1)",
        "2 cells have no score",
        "one test set (objects test)",
        "Undecided does not mean equal",
        "The audit marks augmentation, batch size",
        "The audit could not see input",
        "cpu, 1 threads, Python 3.11.7, torch 2.15.0, triptych 0.1.0",
        "test d8c7d8c7d8c7",
    ):
        assert text in page


def test_rate_of_divergence(extended: Record, make_folder: Make, tmp_path: Path) -> None:
    write_record(make_folder(extended), extended, tmp_path / "x")
    page = (tmp_path / "x/README.md").read_text()
    assert "with 5 seeds an arm rules out only a rate of divergence above 45%" in page
    assert "exploratory: undecided on this test set" in page
    assert "is no verdict" in page


def test_nothing_tells_of_machine_or_person(
    verdict: Record, make_folder: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ann lee")
    folder = make_folder(verdict)
    plan = json.loads((folder / "comparison.json").read_text())
    plan["arms"]["conv"] = {"data": "cifar100:../data/ann", "weights": "/home/ann/w.pth"}
    (folder / "comparison.json").write_text(json.dumps(plan))
    verdict["arms"]["conv"]["states"]["1"] = f"failed: {folder}/conv broke"
    write_record(folder, verdict, tmp_path / "x")
    for name, content in files(tmp_path / "x").items():
        text = content.decode()
        for secret in ("/home", "ann lee", "secret", str(tmp_path), "shared", "-dirty", "bin/"):
            assert secret not in text, (name, secret)
    cleaned = json.loads((tmp_path / "x/comparison.json").read_text())
    assert cleaned["arms"]["conv"] == {"data": "cifar100", "weights": "w.pth"}


def test_fixed_predictions(fixed: Record, make_folder: Make, tmp_path: Path) -> None:
    write_record(make_folder(fixed), fixed, tmp_path / "x")
    found = files(tmp_path / "x")
    assert set(found) == OURS - FIXED - BESIDE - SAMPLES - {"curves.csv", "curves.svg"}
    page = found["README.md"].decode()
    assert "curves.svg" not in page
    assert "for these weights on this data" in page
    assert "openvino float32, frames at 640x480" in page


def test_a_verdict_from_its_file_gives_the_same_record(
    extended: Record, make_folder: Make, tmp_path: Path
) -> None:
    folder = make_folder(extended)
    write_record(folder, extended, tmp_path / "x")
    write_record(folder, json.loads(json.dumps(extended, sort_keys=True)), tmp_path / "y")
    assert files(tmp_path / "x") == files(tmp_path / "y")


def test_an_earlier_record_of_the_same_comparison_is_replaced(
    verdict: Record, make_folder: Make, tmp_path: Path
) -> None:
    folder, out = make_folder(verdict), tmp_path / "x"
    write_record(folder, verdict, out)
    changed = copy.deepcopy(verdict)
    changed["pairs"][0]["verdict"] = "undecided"
    write_record(folder, changed, out)
    assert json.loads((out / "verdict.json").read_text())["pairs"][0]["verdict"] == "undecided"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ann-secret", "x"]


def test_what_is_not_this_comparisons_record_is_left_alone(
    verdict: Record, fixed: Record, make_folder: Make, tmp_path: Path
) -> None:
    folder, out = make_folder(verdict), tmp_path / "x"
    write_record(folder, verdict, out)
    before = files(out)
    with pytest.raises(UserError, match="the record of another comparison"):
        write_record(make_folder(fixed, "other"), fixed, out)
    assert files(out) == before
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"notes\.txt"):
        write_record(folder, verdict, out)
    assert (out / "notes.txt").read_text() == "mine"
    with pytest.raises(UserError, match="is a file"):
        write_record(folder, verdict, out / "notes.txt")
    with pytest.raises(UserError, match="holds"):
        write_record(folder, verdict, folder)
    half = tmp_path / "half"
    half.mkdir()
    (half / "README.md").write_text("somebody's")
    with pytest.raises(UserError, match="another comparison"):
        write_record(folder, verdict, half)
    empty = tmp_path / "empty"
    empty.mkdir()
    write_record(folder, verdict, empty)
    assert set(files(empty)) == OURS - FIXED - BESIDE - SAMPLES


def test_a_record_that_cannot_be_written_leaves_the_old_one(
    verdict: Record, make_folder: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = make_folder(verdict), tmp_path / "x"
    write_record(folder, verdict, out)
    before = files(out)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record, "save_svg", full)
    with pytest.raises(WorkFailed, match="No space left"):
        write_record(folder, verdict, out)
    assert files(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ann-secret", "x"]


def test_the_record_holds_table_figure_and_words(
    beside: Record, make_folder: Make, tmp_path: Path
) -> None:
    write_record(make_folder(beside), beside, tmp_path / "x")
    assert set(files(tmp_path / "x")) == OURS - FIXED - SAMPLES
    table = beside_table(beside)
    assert table is not None
    assert (tmp_path / "x/beside.csv").read_text() == table.to_csv()
    page = (tmp_path / "x/README.md").read_text()
    for text in (
        "## Beside the primary metric\n\nbeside the primary metric: described, no verdict; ",
        "(beside.svg)",
        table.to_markdown().strip(),
        "Further scores (BF, mIoU@0-60, loss) are described",
    ):
        assert text in page
    written = json.loads((tmp_path / "x/verdict.json").read_text())
    assert written["pairs"] == beside["pairs"]
    assert written["beside"] == beside["beside"]


def test_fixed_predictions_among_recipes_have_a_part_of_their_own(
    joined: Record, make_folder: Make, tmp_path: Path
) -> None:
    plain = {key: value for key, value in joined.items() if key != "fixed"}
    folder = make_folder(plain)
    write_record(folder, plain, tmp_path / "plain")
    write_record(folder, joined, tmp_path / "x")
    found, without = files(tmp_path / "x"), files(tmp_path / "plain")
    assert set(found) == OURS - SAMPLES
    # What is said of the recipes is the same, file by file and line by line.
    assert set(without) == OURS - FIXED - SAMPLES
    changed = {name for name in without if without[name] != found[name]}
    assert changed == {"README.md", "verdict.json"}
    page = found["README.md"].decode()
    lines = without["README.md"].decode().splitlines()
    assert [line for line in lines if line not in page.splitlines()] == []
    part = page.partition("## Fixed predictions\n")[2].partition("\n## ")[0]
    for text in (
        "On camvid trainval, for these weights on this data: no part of the plan;",
        "- **net** against **conv**: +0.0333; ahead in 2 of 3 drives",
        "- **net** against **vit**: +1.0333; ",
        "(fixed.svg)",
        "(fixed_beside.svg)",
        "| conv | recipe, mean over seeds 0, 1, 2 | 0.5000 | 101 | 0.5000 | 0.4000 | 0.6000 |",
        "| net | fixed predictions | 0.5500 | 101 |",
        "| net against conv | BF, fraction | 0.6200 | 0.6000 |",
    ):
        assert text in part
    for text in (
        "What is said of net holds for these weights on this data",
        "| fixed predictions | unknown | net: not on record |",
        "net: openvino float32, frames at 640x480",
    ):
        assert text in page
    # Where the weights lie is nobody's business.
    assert json.loads(found["verdict.json"])["fixed"]["arms"]["net"]["source"] == "net"
    for link in re.findall(r"\]\(([^)]*)\)", page):
        assert link in found


def test_before_the_recipes_are_complete_the_record_says_so(
    joined_early: Record, make_folder: Make, tmp_path: Path
) -> None:
    write_record(make_folder(joined_early), joined_early, tmp_path / "x")
    assert set(files(tmp_path / "x")) == OURS - FIXED - SAMPLES | {"fixed_arms.csv"}
    page = (tmp_path / "x/README.md").read_text()
    assert "Not compared with the recipes: the recipes are not complete: conv 3, vit 2" in page
    assert "| other | fixed predictions | – | 0 | – | – | – |" in page
    assert "fixed.svg" not in page
    # The record grows when they are compared, and is still the same comparison's.
    write_record(tmp_path / "ann-secret", joined_early, tmp_path / "x")


def test_samples_to_a_score_have_a_table_and_sentences(
    reached: Record, make_folder: Make, tmp_path: Path
) -> None:
    folder = make_folder(reached)
    write_record(folder, reached, tmp_path / "x")
    assert set(files(tmp_path / "x")) == OURS - FIXED - BESIDE
    table = reach_table(reached)
    assert table is not None
    assert (tmp_path / "x/samples.csv").read_text() == table.to_csv()
    page = (tmp_path / "x/README.md").read_text()
    part = page.partition("## Samples to reach a score\n")[2].partition("\n## ")[0]
    for text in (
        "described, no verdict; it holds for these schedules.",
        "- vit needs 1/2.0 of the samples of conv.",
        table.to_markdown().strip(),
    ):
        assert text in part
    assert "- Note: vit began with weights that have seen COCO." in page.partition("## Arms")[0]
    # The seeds' own numbers are kept with the rest.
    written = json.loads((tmp_path / "x/verdict.json").read_text())
    assert written["pairs"] == reached["pairs"]


def test_curves_beside_the_verdict(verdict: Record, fixed: Record, make_folder: Make) -> None:
    folder = make_folder(verdict)
    before = set(folder.iterdir())
    write_curves(folder, verdict)
    assert {path.name for path in set(folder.iterdir()) - before} == {"curves.svg"}
    first = (folder / "curves.svg").read_bytes()
    write_curves(folder, verdict)
    assert (folder / "curves.svg").read_bytes() == first
    other = make_folder(fixed, "other")
    write_curves(other, fixed)
    assert not (other / "curves.svg").exists()


def test_curves_that_cannot_be_written(
    verdict: Record, make_folder: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(verdict)

    def full(_: Any, file: Path) -> None:
        file.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record, "save_svg", full)
    with pytest.raises(WorkFailed, match=r"curves\.svg: cannot be written \(No space left"):
        write_curves(folder, verdict)
    assert not list(folder.glob("*curves*"))
