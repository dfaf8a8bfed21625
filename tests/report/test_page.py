"""The page: complete for any mix of studies, escaped, self-contained; broken parts are named."""

from __future__ import annotations

import html.parser
import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from triptych.errors import UserError, WorkFailed
from triptych.report import write
from triptych.report.verify import look_at
from triptych.report.write import Options, report

Mixed = tuple[Path, dict[str, Any]]
HOSTILE = """<script>alert(1)</script>"'&amp;"""


class Elements(html.parser.HTMLParser):
    """All elements of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def mixed(folders: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Mixed:
    """A page of the three studies, with names that would break it."""
    root = tmp_path_factory.mktemp("mixed")
    arms = ("first", "se<b>co\"nd'")
    for study in ("segment", "detect"):
        question = f"{study}: {HOSTILE}"
        folders.make_comparison(root / study, study, arms=arms, question=question)
    folders.make_comparison(root / "classify", "classify", arms=("first", "third"), media=True)
    out = root / "page.html"
    shown = report(
        [root / "segment", root / "detect", root / "classify", root / "classify/first/seed-0"], out
    )
    return out, shown


def test_every_part_is_there(mixed: Mixed) -> None:
    out, shown = mixed
    assert shown["left_out"] == []
    assert len(shown["sections"]) == 4
    seen = look_at(out.read_text())
    text = " ".join(seen.cells.values())
    for part in (
        "segment: " + HOSTILE,
        "se<b>co\"nd' is better than first on this test set: +",
        "mIoU, mean ± std (n), fraction",
        "cpu, 1 threads",
        "Verdicts hold on one test set",
        "triptych compare x.py --out /home/ann/runs",
        "Python 3.11.7",
        "width",
        "drive-3 (5)",
        "0-60 (",
        "car (40)",
        "cat",
        "One run is a description",
    ):
        assert part in text, part
    names = set(seen.cells)
    for name in (
        "s1-study.iou.1.2", "s1-study.bf.1.2", "s1-study.groups-miou.1.1",
        "s1-study.luminance-bf.1.2", "s1-study.frames-0.1.5", "s1.forest", "s1-training.curves",
        "s1-training.budget", "s2-study.ap50.1.2", "s2-study.precision-recall",
        "s3-study.scores.1.2",
        "s3-study.confusions-0.1.3", "s3-conduct.cost.1.2", "s3-conduct.differs.1.2",
        "s3-detail.runs.1.1", "s3-detail.pairs.1.1", "s4.scores.1", "s3-media.slider.m1",
    ):  # fmt: skip
        assert name in names, name


def test_numbers_are_the_runs(mixed: Mixed, folders: ModuleType) -> None:
    out, _ = mixed
    cells = look_at(out.read_text()).cells
    runs = sorted((out.parent / "segment/first").glob("seed-*/result.json"))
    scores = [json.loads(run.read_text())["scores"]["mIoU"] for run in runs]
    mean = sum(scores) / 3
    std = (sum((s - mean) ** 2 for s in scores) / 2) ** 0.5
    assert cells["s1.arms.1.2"] == f"{mean:.4f} ± {std:.4f} (n = 3)"
    evaluation = out.parent / "segment/first/seed-0/evaluations/streets-val/scores.json"
    assert "road" in json.loads(evaluation.read_text())["IoU"]
    assert cells["s1-study.iou.1.1"] == "road"


def test_hostile_texts_are_texts(mixed: Mixed) -> None:
    text = mixed[0].read_text()
    elements = Elements(text).found
    assert sum(tag == "script" for tag, _ in elements) == 2
    assert not any(tag == "b" for tag, _ in elements)
    assert not any(name.startswith("on") for _, named in elements for name in named)
    assert "alert(1)" in text
    assert "<script>alert" not in text


def test_nothing_is_fetched(mixed: Mixed) -> None:
    text = mixed[0].read_text()
    for tag, named in Elements(text).found:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "xlink:href", "data", "action"):
            address = named.get(name)
            assert not address or address.startswith(("data:", "#")), (tag, address)
    assert "@import" not in text
    assert "url(h" not in text
    assert "default-src 'none'" in text


def test_readers_and_keyboards(mixed: Mixed) -> None:
    elements = Elements(mixed[0].read_text()).found
    assert all(named.get("scope") in ("col", "row") for tag, named in elements if tag == "th")
    ids = [named["id"] for _, named in elements if "id" in named]
    assert len(ids) == len(set(ids))
    for tag, named in elements:
        if named.get("role") in ("img", "region"):
            assert named.get("aria-label")
            assert named.get("tabindex") == "0"
        if tag == "img" and "data-media" in named:
            assert named.get("alt")
        if tag == "a":
            assert (named["href"] or "")[1:] in ids
    assert ("html", {"lang": "en"}) in elements
    levels = [int(tag[1]) for tag, _ in elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_an_arm_has_one_colour_everywhere(mixed: Mixed) -> None:
    text = mixed[0].read_text()
    colours: dict[str, set[str]] = {}
    for place, name in re.findall(r'class="swatch c(\d)" aria-hidden="true"></span>([^<]*)<', text):
        colours.setdefault(name.strip(), set()).add(place)
    assert colours["first"] == {"0"}
    assert all(len(places) == 1 for places in colours.values())
    assert colours["third"] != colours["first"]


def test_what_is_missing_or_broken_is_named(folders: ModuleType, tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    folders.make_comparison(good, "classify", arms=("a", "b", "c"), seeds=3, items=12)
    (good / "a/seed-0/result.json").unlink()
    (good / "b/seed-1/result.json").write_text('{"scores": ')
    shutil.rmtree(good / "b/seed-2")
    (good / "b/seed-2.failed.json").write_text('{"error": "MemoryError: no room"}')
    (good / "c/seed-0/evaluations/streets-test/items.parquet").write_bytes(b"PAR1 no")
    folders.make_comparison(bad, "classify", items=12)
    (bad / "comparison.json").write_text("{")
    odd = tmp_path / "odd"
    odd.mkdir()
    (odd / "comparison.json").write_text('{"arms": {"a": 3}, "metric": "top1", "plan": {}}')
    (tmp_path / "empty").mkdir()
    shown = report([good, bad, odd, tmp_path / "empty", tmp_path / "none"], tmp_path / "page.html")
    assert shown["sections"] == ["Which is better?"]
    left = "\n".join(shown["left_out"])
    for part in (
        "b/seed-1 was left out", "c/seed-0/evaluations/streets-test was left out",
        "bad was left out", "odd was left out",
        "empty holds no run", "none is not there",
    ):  # fmt: skip
        assert part in left, part
    text = " ".join(look_at((tmp_path / "page.html").read_text()).cells.values())
    assert "failed: MemoryError: no room" in text
    assert "Not complete: 6 of 9 runs have ended" in text
    assert shown["going_on"] == 2


def without_scores(folders: ModuleType, folder: Path, *, runs: int) -> None:
    """A sequential plan of four seeds, of which so many runs of the first ended without a score."""
    folders.make_comparison(folder, "detect", seeds=1, items=8)
    plan = json.loads((folder / "comparison.json").read_text())
    plan |= {"seeds": [0, 1, 2, 3], "plan": {"kind": "sequential", "n_max": 4}}
    (folder / "comparison.json").write_text(json.dumps(plan))
    for number, arm in enumerate(("first", "second")):
        result = folder / arm / "seed-0" / "result.json"
        if number >= runs:
            result.unlink()
            continue
        record = json.loads(result.read_text())
        record["scores"]["AP50"] = None
        result.write_text(json.dumps(record))


def test_a_plan_that_ended_without_a_score_is_over(
    folders: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_scores(folders, tmp_path / "c", runs=2)
    monkeypatch.setattr("triptych.report.write.time.sleep", lambda _: pytest.fail("it waits"))
    said: list[int] = []
    out = tmp_path / "page.html"
    write.watch([tmp_path / "c"], out, Options(), lambda found: said.append(found["going_on"]))
    assert said == [0]
    text = " ".join(look_at(out.read_text()).cells.values())
    assert (
        "The plan has ended before every pair is decided, after 2 runs: first seed 0, second seed "
        "0 ended without a score (AP50): no further seed is looked at."
    ) in text
    assert "3 not needed (seed 1, 2, 3)" in text
    for word in ("Not complete", "goes on", "missing", "in all arms yet", "complete yet"):
        assert word not in text, word


def test_a_plan_whose_seed_is_still_trained_goes_on(folders: ModuleType, tmp_path: Path) -> None:
    without_scores(folders, tmp_path / "c", runs=1)
    out = tmp_path / "page.html"
    assert report([tmp_path / "c"], out)["going_on"] == 7
    assert "The same command goes on." in out.read_text()


def test_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing to report on: .*none is not there"):
        report([tmp_path / "none"], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_page_that_cannot_be_written(folders: ModuleType, tmp_path: Path) -> None:
    folders.make_comparison(tmp_path / "c", "classify", items=12)
    with pytest.raises(UserError, match="is a folder"):
        report([tmp_path / "c"], tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkFailed, match="cannot be written"):
        report([tmp_path / "c"], tmp_path / "file" / "page.html")


def test_a_hostile_plan_reads_nothing_outside(folders: ModuleType, tmp_path: Path) -> None:
    folders.make_comparison(tmp_path / "c", "classify", items=12)
    plan = json.loads((tmp_path / "c/comparison.json").read_text())
    plan["arms"]["../../x"] = plan["arms"].pop("second")
    (tmp_path / "c/comparison.json").write_text(json.dumps(plan))
    with pytest.raises(UserError, match="no folder can be named"):
        report([tmp_path / "c"], tmp_path / "page.html")


def test_watching_ends_with_the_runs(
    folders: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "c", tmp_path / "page.html"
    folders.make_comparison(folder, "classify", items=12)
    result = folder / "second/seed-2/result.json"
    kept = result.read_text()
    result.unlink()
    pages: list[str] = []

    def wait(_: float) -> None:
        pages.append(out.read_text())
        result.write_text(kept)

    monkeypatch.setattr("triptych.report.write.time.sleep", wait)
    said: list[int] = []
    write.watch([folder], out, Options(reload=7), lambda found: said.append(found["going_on"]))
    assert said == [1, 0]
    assert 'data-reload="7"' in pages[0]
    assert "5 of 6 runs have ended" in pages[0]
    last = out.read_text()
    assert "data-reload=" not in last.partition("<script")[0]
    assert "Not complete" not in last


def test_no_torch_is_imported(folders: ModuleType, tmp_path: Path) -> None:
    for study in ("segment", "detect", "classify"):
        folders.make_comparison(tmp_path / study, study, items=16)
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from triptych.report.write import report\n"
        "import triptych.report.verify\n"
        "root = Path(sys.argv[1])\n"
        "report([root], root / 'page.html')\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
