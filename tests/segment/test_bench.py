"""`triptych bench`: rows of real measurements, scores beside them, and the front worked by hand."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from triptych import cli
from triptych.errors import UserError
from triptych.report.pareto import notes, speed_figure, write_bench
from triptych.segment.bench import BenchOptions, bench, describe
from triptych.segment.bench import table as module
from triptych.segment.bench.known_scores import Score, read_scores, score_of
from triptych.segment.bench.measure import Task
from triptych.segment.bench.table import points, shown_names
from triptych.segment.models import create

QUICK = BenchOptions(size=(32, 48), frames=2, progress=False)


def evaluation(folder: Path, model: str, miou: float, data: str = "camvid") -> Path:
    folder.mkdir(parents=True)
    record = {"model": model, "data": data, "split": "val", "mIoU": miou, "size": "640x480"}
    (folder / "scores.json").write_text(json.dumps(record))
    return folder


def row(model: str, fps: float, runtime: str = "torch", agree: float = 1.0) -> dict[str, Any]:
    return {
        "model": model, "runtime": runtime, "precision": "float32", "weights": "random",
        "frames_per_second": fps, "labels_agree": agree, "labels_must_agree": 0.998,
        "latency_p50_ms": 1000 / fps, "latency_p95_ms": 1100 / fps, "peak_memory_bytes": 2**30,
    }  # fmt: skip


def measured(model: str, miou: float, on: str = "camvid val") -> Score:
    return Score(model, miou, on, None, claimed=False)


class TestMeasuring:
    @pytest.fixture(scope="class")
    @staticmethod
    def record() -> dict[str, Any]:
        return bench([("tiny", None)], QUICK)

    def test_a_row_for_every_runtime_and_precision(self, record: dict[str, Any]) -> None:
        found = {(row["runtime"], row["precision"]) for row in record["rows"]}
        assert {("torch", "float32"), ("openvino", "float32")} <= found
        assert not any("error" in row for row in record["rows"])
        assert record["size"] == "48x32"
        for each in record["rows"]:
            assert each["weights"] == "random"
            assert each["parameters"] == 505_891
            assert 0 < each["latency_p50_ms"] <= each["latency_p95_ms"]
            assert each["latency_frames"] == 3
            assert each["memory_before_bytes"] <= each["peak_memory_bytes"] < 2**32
            assert each["peak_gpu_memory_bytes"] is None
        # Random weights have no clear winners, so a few labels may tip.
        agree = {(r["runtime"], r["precision"]): r["labels_agree"] for r in record["rows"]}
        assert agree["torch", "float32"] == 1
        assert agree["openvino", "float32"] > 0.99

    def test_in_words(self, record: dict[str, Any]) -> None:
        text = describe(record)
        assert text.count("\n") == 1 + len(record["rows"])
        assert "openvino float32" in text
        assert "MiB" in text

    def test_torch_alone_has_one_caller(self) -> None:
        task = Task("tiny", None, "torch", "float32", "cpu", (32, 48), 0.2, None, "/dev/null")
        start = time.perf_counter()
        found = module.in_own_process(task)
        elapsed = time.perf_counter() - start
        assert found["callers"] == 1
        assert found["latency_frames"] >= 3
        # One at a time: the frames fill no more than the time that passed, and since half of the
        # calls take the median or longer, their mean is at least half of it.
        mean = 1 / found["frames_per_second"]
        assert found["latency_frames"] * mean <= elapsed
        assert 1000 * mean >= found["latency_p50_ms"] / 2

    def test_peak_memory_is_the_process_s_own(self) -> None:
        """Linux hands a parent's peak down to its children's getrusage; ours must not count."""
        script = (
            "import subprocess, sys\n"
            "big = bytearray(b'x' * (1 << 30))\n"
            "code = 'from triptych.segment.bench.measure import peak_memory as p; print(p())'\n"
            "subprocess.run([sys.executable, '-c', code])\n"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert 2**20 < int(done.stdout) < 2**29

    def test_weights_of_a_file(self, tmp_path: Path) -> None:
        torch.manual_seed(1)
        save_file(create("tiny").state_dict(), tmp_path / "mine.safetensors")
        options = BenchOptions(size=(32, 48), frames=1, runtime="torch", progress=False)
        found = bench([("tiny", tmp_path / "mine.safetensors")], options)["rows"][0]
        assert found["weights"] == "file"


class TestErrors:
    def test_of_one_model_leave_the_others(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Weights of another network: known only when they are loaded."""
        save_file(create("dabnet").state_dict(), tmp_path / "other.safetensors")
        save_file(create("tiny").state_dict(), tmp_path / "tiny.safetensors")
        line = "bench --model tiny --model tiny --size 48x32 --frames 1 --runtime torch --json"
        files = [tmp_path / "other.safetensors", tmp_path / "tiny.safetensors"]
        weights = [part for file in files for part in ("--weights", str(file))]
        assert cli.main([*line.split(), *weights, "--out", str(tmp_path / "out")]) == 1
        streams = capsys.readouterr()
        rows = json.loads(streams.out)["rows"]
        assert json.loads((tmp_path / "out/bench.json").read_text())["rows"] == rows
        by_model: dict[str, list[bool]] = {}
        for each in rows:
            by_model.setdefault(each["model"], []).append("error" in each)
        assert set(by_model["tiny"]) == {True}
        assert set(by_model["tiny (2)"]) == {False}
        assert "missing" in rows[0]["error"]
        assert streams.err.count("\n") == 1
        assert "could not be measured; tiny: " in streams.err

    def test_a_process_that_dies(self, monkeypatch: pytest.MonkeyPatch) -> None:
        task = Task("tiny", None, "torch", "float32", "cpu", (32, 48), 1, None, "/dev/null")
        monkeypatch.setattr(module.sys, "executable", "/bin/false")
        assert module.in_own_process(task) == {"error": "its process ended with code 1: "}

        class Killed:
            stdout, stderr, returncode = "", "", -9

        monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: Killed())
        assert (
            "SIGKILL: most likely this machine has too little memory"
            in (module.in_own_process(task)["error"])
        )

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("--model tinny", "did you mean tiny"),
            ("--model none/here", "--model none/here: no such folder"),
            ("--model tiny --size 0x9", "WIDTHxHEIGHT"),
            ("--model tiny --frames 3 --seconds 1", "give one of them"),
            ("--model tiny --weights none.pth", "--weights none.pth: no such file"),
            ("--model tiny --scores none", "--scores none: no evaluation there"),
            ("--model tiny --model tiny --weights a.pth", "1 --weights for 2 --model"),
        ],
    )
    def test_a_wrong_request_is_told_before_anything_runs(
        self, line: str, message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["bench", *line.split()]) == 2
        assert message in capsys.readouterr().err

    def test_a_folder_of_labels_has_no_speed(self, tmp_path: Path) -> None:
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
        with pytest.raises(UserError, match="not the folder of a run"):
            bench([(str(tmp_path), None)], QUICK)


class TestScores:
    def test_places(self, tmp_path: Path) -> None:
        one = evaluation(tmp_path / "evaluations" / "a", "a", 0.5)
        evaluation(tmp_path / "evaluations" / "b", "b", 0.6)
        assert read_scores([one / "scores.json"]) == read_scores([one])
        assert read_scores([one])[0] == Score("a", 0.5, "camvid val", "640x480", claimed=False)
        assert [score.model for score in read_scores([tmp_path / "evaluations"])] == ["a", "b"]
        assert [score.model for score in read_scores([tmp_path])] == ["a", "b"]

    def test_of_a_run_have_the_run_s_name(self, tmp_path: Path) -> None:
        run = tmp_path / "segment-tiny" / "seed-3"
        evaluation(run / "evaluations" / "streets-val", "tiny", 0.4, "streets")
        (run / "recipe.json").write_text("{}")
        (score,) = read_scores([run])
        assert (score.model, score.on) == ("segment-tiny/seed-3", "streets val")
        # And need not be named: they lie in the run.
        assert score_of(str(run), "segment-tiny/seed-3", []) == score

    def test_broken_ones_are_named(self, tmp_path: Path) -> None:
        (tmp_path / "scores.json").write_text('{"model": "a"}')
        with pytest.raises(UserError, match=r"scores\.json: not the scores"):
            read_scores([tmp_path])

    def test_measured_before_claimed(self) -> None:
        known = [measured("espnetv2-s2.0", 0.5)]
        assert score_of("espnetv2-s2.0", "espnetv2-s2.0", known) == known[0]
        claim = score_of("espnetv2-s0.5", "espnetv2-s0.5", known)
        assert claim is not None
        assert (claim.claimed, claim.mIoU) == (True, 0.539)
        assert (claim.on, claim.size) == ("Cityscapes val", "1024x512")
        assert score_of("tiny", "tiny", known) is None

    def test_of_several_data_that_which_most_share(self) -> None:
        known = [
            measured("tiny", 0.5), measured("tiny", 0.7, "streets val"), measured("street", 0.6),
        ]  # fmt: skip
        assert score_of("tiny", "tiny", known) == known[0]
        # Equally many: the last.
        assert score_of("tiny", "tiny", known[:2]) == known[1]


class TestFront:
    def test_by_hand(self) -> None:
        table = {"fast": (90, 0.4), "good": (10, 0.8), "both": (80, 0.7), "slow": (5, 0.75)}
        table["alike"] = table["both"]
        rows = [row(name, fps) for name, (fps, _) in table.items()]
        scores = {name: measured(name, miou) for name, (_, miou) in table.items()}
        found = points(rows, scores)
        assert {point["model"] for point in found if point["on_front"]} == {
            "fast", "good", "both", "alike",
        }  # fmt: skip

    def test_the_fastest_row_whose_labels_agree(self) -> None:
        rows = [
            row("a", 10), row("a", 30, "openvino"), row("a", 50, "openvino", agree=0.9),
            {"model": "a", "runtime": "x", "precision": "y", "error": "no"},
            row("unscored", 99),
        ]  # fmt: skip
        scores = {"a": measured("a", 0.5), "unscored": None}
        (point,) = points(rows, scores)
        assert (point["frames_per_second"], point["runtime"]) == (30, "openvino float32")

    def test_claims_and_measurements_are_not_mixed(self) -> None:
        rows = [row("a", 10), row("b", 20), row("c", 5)]
        scores = {
            "a": measured("a", 0.5),
            "b": Score("b", 0.9, "Cityscapes val", None, claimed=True),
            "c": Score("c", 0.95, "Cityscapes val", None, claimed=True),
        }
        assert [p["on_front"] for p in points(rows, scores)] == [True, False, False]
        del scores["a"]
        assert [p["on_front"] for p in points(rows[1:], scores)] == [True, True]

    def test_names_are_unique(self, tmp_path: Path) -> None:
        runs = [tmp_path / side / "segment-tiny" / "seed-0" for side in "ab"]
        for run in runs:
            run.mkdir(parents=True)
            (run / "recipe.json").write_text("{}")
        assert shown_names(["tiny", *map(str, runs)]) == [
            "tiny", "segment-tiny/seed-0", "segment-tiny/seed-0 (2)",
        ]  # fmt: skip


RECORD: dict[str, Any] = {
    "size": "480x360", "processor": "A processor", "cores": 2, "device": "cpu", "rows": [],
}  # fmt: skip


class TestFigure:
    def record(self) -> dict[str, Any]:
        rows = [row("street", 78), row("tiny", 95), row("slow <&>", 20), row("claim", 6)]
        scores = {
            "street": measured("street", 0.75), "tiny": measured("tiny", 0.4),
            "slow <&>": Score("slow <&>", 0.5, "camvid val", "640x480", claimed=False),
            "claim": Score("claim", 0.9, "Cityscapes val", None, claimed=True),
        }  # fmt: skip
        return {**RECORD, "rows": rows, "points": points(rows, scores)}

    def test_is_written_whole(self, tmp_path: Path) -> None:
        record = self.record()
        files = write_bench(record, tmp_path / "out")
        assert {file.name for file in files} == {path.name for path in (tmp_path / "out").iterdir()}
        assert len(files) == 3
        svg = tmp_path / "out/accuracy-against-speed.svg"
        text = " ".join(ElementTree.parse(svg).getroot().itertext())
        for name in ("street", "tiny", "slow <&>", "claim", "mIoU (%)", "480x360", "A processor"):
            assert name in text
        with Image.open(tmp_path / "out/accuracy-against-speed.png") as picture:
            assert picture.size == (800, 520)

    def test_front_and_marks(self) -> None:
        figure = speed_figure(self.record())
        assert figure is not None
        (axes,) = figure.axes
        front, *marks = axes.lines
        x, y = (np.asarray(values, float) for values in front.get_data())
        # From the left edge level to street, down to tiny's score and on to tiny, then down.
        assert list(zip(x[1:3], y[1:3], strict=True)) == [(78, 0.75), (95, 0.4)]
        hollow = [mark.get_markerfacecolor() == "white" for mark in marks]
        assert hollow == [False, False, False, True]
        on_front = {name.get_text() for name in axes.texts}
        assert on_front == {"street", "tiny", "slow <&>", "claim"}

    def test_notes_say_what_is_not_comparable(self) -> None:
        speed, scores, hollow = notes(self.record())
        assert "2 cores" in speed
        assert "measured on camvid val, frames resized to 640x480, not to 480x360" in scores
        assert "claimed on Cityscapes val" in hollow

    def test_without_scores_there_is_none(self, tmp_path: Path) -> None:
        record = {**RECORD, "points": []}
        assert speed_figure(record) is None
        assert [file.name for file in write_bench(record, tmp_path)] == ["bench.json"]

    def test_in_words(self) -> None:
        text = describe(self.record())
        assert "* tiny" in text
        assert "  slow <&>" in text
        assert "claimed on Cityscapes val" in text
