"""The parts of a page by themselves: figures, crossings, tables as LaTeX, media, records."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from triptych.report import media
from triptych.report.blocks import inline_svg
from triptych.report.budget import Mean, crossing_rows, crossings
from triptych.report.exported import latex
from triptych.report.gather import MOST_TRAINING_EVENTS, gather
from triptych.report.store import Store, read_store
from triptych.report.style import svg_text
from triptych.report.verify import look_at, verify
from triptych.report.write import Options, report


def mean(at: list[float], scores: list[float]) -> Mean:
    values = np.array(scores)
    return Mean(np.array(at), values, values, values)


def test_crossings_lie_where_straight_lines_meet() -> None:
    curves = {
        "samples": {
            "early": mean([0, 100, 200], [0.2, 0.4, 0.4]),
            "late": mean([0, 200], [0.0, 0.6]),
            "never": mean([0, 200], [0.01, 0.05]),
        }
    }
    found = {(each.arm, each.other): each for each in crossings(curves)}
    # late(x) = 0.003 x meets 0.4 at 133.3, and never(x) = 0.01 + 0.0002 x at 3.57.
    assert found["late", "early"].at == pytest.approx(400 / 3)
    assert found["late", "early"].score == pytest.approx(0.4)
    assert found["late", "never"].at == pytest.approx(0.01 / 0.0028)
    assert len(found) == 2
    rows = crossing_rows(list(found.values()), higher=True)
    assert ("late", "early", "samples trained on", "133", "0.4000") in rows
    lower = crossing_rows(list(found.values()), higher=False)
    assert ("early", "late", "samples trained on", "133", "0.4000") in lower


def test_a_figure_in_a_page_keeps_its_texts_and_has_ids_of_its_own() -> None:
    figure = Figure(figsize=(2, 2))
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1])
    axes.set_title('<b id="x">&')
    one, two = (inline_svg(svg_text(figure), prefix) for prefix in ("a-", "b-"))
    ids = []
    for svg in (one, two):
        root = ElementTree.fromstring(svg)
        own = [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
        used = [v[1:] for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
        assert set(used) <= set(own)
        assert '<b id="x">&' in [e.text for e in root.iter()]
        ids += own
    assert len(ids) == len(set(ids))


def test_latex_is_escaped() -> None:
    assert latex("50 % of a_b & {c} \\ ±\n<x>") == (
        r"50 \% of a\_b \& \{c\} \textbackslash{} $\pm$ \textless{}x\textgreater{}"
    )


def test_export_has_every_table_and_figure(folders: ModuleType, tmp_path: Path) -> None:
    folders.make_comparison(tmp_path / "c", "classify", items=12)
    report([tmp_path / "c"], tmp_path / "p.html", Options(export=tmp_path / "files"))
    names = {file.name for file in (tmp_path / "files").iterdir()}
    for name in ("s1-arms.csv", "s1-arms.md", "s1-arms.tex", "s1-forest.svg", "s1-forest.png"):
        assert name in names
    assert {name.rpartition(".")[2] for name in names} == {"csv", "md", "tex", "svg", "png"}
    assert (tmp_path / "files/s1-arms.csv").read_text().startswith("arm,metric,mean,std,n,")
    with Image.open(tmp_path / "files/s1-forest.png") as picture:
        assert picture.width == 1200


def test_a_store_comes_back_and_ends_no_script() -> None:
    store = Store({"a": "</script>"}, {"1/x.json": b'{"b": "<!--"}', "1/y": bytes(range(256)) * 99})
    text = store.to_json()
    assert "<" not in text
    found, problems = read_store(text)
    assert problems == []
    assert (found.about, found.records) == (store.about, store.records)


def test_long_journals_are_thinned_and_no_score_is_lost(
    folders: ModuleType, tmp_path: Path
) -> None:
    folders.make_comparison(tmp_path / "c", "classify", seeds=1, items=12, epochs=1000)
    with (tmp_path / "c/first/seed-0/metrics.jsonl").open("a") as file:
        file.write('{"split": "tr')
    content = gather([tmp_path / "c"]).store.records["1/first/seed-0/metrics.jsonl"]
    events = [json.loads(line) for line in content.splitlines()]
    training = [event["epoch"] for event in events if "lr" in event]
    assert len(training) <= MOST_TRAINING_EVENTS + 2
    assert training[0] == 1
    assert training[-1] == 1000
    assert sum("top1" in event for event in events) == 1000


def picture(file: Path, size: tuple[int, int] = (64, 48), mode: str = "RGB") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, 3 if mode == "P" else (9, 99, 9)).save(file)
    return file


def test_pictures_are_shrunk_and_chosen(tmp_path: Path) -> None:
    for number in range(100):
        picture(tmp_path / f"a/{number:03d}.png", (1280, 720) if number == 7 else (32, 24))
        picture(tmp_path / f"b/{number:03d}.png", (32, 24))
    album = media.Album()
    arms = {"first": [tmp_path / "a"], "second": [tmp_path / "b"]}
    media.of_runs(album, "1", arms, ["x/007.jpg"])
    frames = list(dict.fromkeys(entry["frame"] for entry in album.entries))
    assert frames[0] == "007"
    assert 50 < len(frames) <= media.MOST_FRAMES
    assert len(album.entries) == 2 * len(frames)
    assert {entry["layer"] for entry in album.entries} == {"first", "second"}
    assert album.problems == []
    import base64
    import io

    content = base64.b64decode(album.data["m1"].partition(",")[2])
    with Image.open(io.BytesIO(content)) as shown:
        assert shown.size == (640, 360)


def test_captions_and_sheets(folders: ModuleType, tmp_path: Path) -> None:
    """Pictures of one name are set side by side, sheets and others stand alone, with captions."""
    folders.make_comparison(tmp_path / "c", "classify", items=12)
    for arm in ("first", "second"):
        run = tmp_path / "c" / arm / "seed-0"
        picture(run / "media/sheets/augmentation.png")
        own = next((run / "evaluations").iterdir()) / "media"
        picture(own / f"only-{arm}.png")
        picture(own / "both.png")
        picture(own / "sheets/confusions.png")
        (own / "captions.json").write_text(json.dumps({f"only-{arm}.png": f"a caption of {arm}"}))
    report([tmp_path / "c"], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    cells = look_at(text).cells
    shown = {name: cell for name, cell in cells.items() if re.search(r"s1-media\.\w+\.m", name)}
    assert sorted(shown.values()) == [
        "first, augmentation",
        "first, both",
        "first, confusions",
        "first, only-first: a caption of first",
        "second, augmentation",
        "second, both",
        "second, confusions",
        "second, only-second: a caption of second",
    ]
    assert {name.split(".")[1] for name, c in shown.items() if "both" in c} == {"slider"}
    assert {name.split(".")[1] for name, c in shown.items() if "only" in c} == {"gallery"}
    assert sum(name.startswith("s1-media.sheets.") for name in shown) == 4


def test_media_that_will_not_do_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    (tmp_path / "b.mp4").write_bytes(bytes(media.LARGEST_VIDEO + 1))
    picture(tmp_path / "c.png")
    album = media.Album(room=100)
    for name in ("a.png", "b.mp4", "c.png"):
        assert not album.add("1", "", name, tmp_path / name)
    assert len(album.problems) == 3
    assert "too large" in album.problems[2]
    assert album.entries == []


def test_predictions(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    summary = {
        "input": "clip",
        "frames": 2,
        "frames_per_second": 3.0,
        "outputs": ["x.png", "../outside.png"],
        "models": [
            {"name": name, "shares": {"road": 0.5, "sky": 0.0}} for name in ("street", "other")
        ],
        "disagreement": [
            {
                "models": ["street", "other"],
                "pixel_agreement": 0.75,
                "most_different": [
                    {"frame": "x", "pixel_agreement": 0.5, "picture": "disagreement/p/1-x.png"}
                ],
            }
        ],
    }
    picture(folder / "x.png")
    picture(tmp_path / "outside.png")
    picture(folder / "disagreement/p/1-x.png")
    for model in ("street", "other"):
        picture(folder / f"labels/{model}/x.png", mode="P")
    (folder / "summary.json").write_text(json.dumps(summary))
    shown = report([folder], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert shown["sections"] == ["Predictions for clip"]
    assert "50.0% of the pixels differ" in text
    assert text.count("data-slider") == 2  # the element, and where the script looks for it
    assert text.count('data-media="') == 4
    assert "data:image/png" in text
    assert "outside" not in text.partition("<script")[0]


@pytest.mark.parametrize("metric", ["mIoU", "AP50"])
def test_a_bench(tmp_path: Path, metric: str) -> None:
    row = {
        "model": "street",
        "runtime": "torch",
        "precision": "float32",
        "frames_per_second": 12.34,
        "latency_p50_ms": 80.0,
        "latency_p95_ms": None,
        "peak_memory_bytes": 300 * 2**20,
        "weights": "published",
    }
    failed = {"model": "big", "runtime": "torch", "precision": "float32", "error": "no memory"}
    point = {"model": "street", "score": 0.5, "frames_per_second": 12.34, "on_front": True}
    record = {
        "size": "480x360",
        "device": "cpu",
        "processor": "a processor",
        "cores": 2,
        "rule": "one at a time",
        "metric": metric,
        "rows": [row, failed],
        "points": [point | {"claimed": False, "on": "camvid val", "score_size": None}],
    }
    (tmp_path / "bench.json").write_text(json.dumps(record))
    report([tmp_path], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert f">{metric}</th>" in text
    cells = look_at(text).cells
    assert cells["s1.title"] == "Speed at 480x360 on a processor"
    assert [cells[f"s1.rows.1.{k}"] for k in range(3, 8)] == [
        "12.3",
        "80.0",
        "–",
        "300",
        "published",
    ]
    assert cells["s1.rows.2.3"] == "failed: no memory"
    assert cells["s1.points.1.2"] == "0.5000"
    assert f"{metric} (%)" in cells["s1.speed"]
    assert "street" in cells["s1.speed"]


def test_two_runs_of_one_recipe_are_told_apart(folders: ModuleType, tmp_path: Path) -> None:
    folders.make_comparison(tmp_path / "c", "classify", items=24, seeds=1)
    places = [tmp_path / name for name in ("here", "there")]
    for place in places:
        shutil.copytree(tmp_path / "c/first/seed-0", place / "seed-0")
    report([*places, tmp_path / "c"], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    for place in places:
        assert f"seed 0 ({place}/seed-0)</h2>" in text
    assert "Which is better? (" not in text
    assert verify(tmp_path / "page.html")["problems"] == []
