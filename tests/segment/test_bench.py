"""`triptych bench`: rows of real measurements, scores beside them, and the front worked by hand."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from triptych import cli
from triptych.benching import p95
from triptych.errors import UserError
from triptych.report.pareto import notes, speed_figure, write_bench
from triptych.segment.bench import BenchOptions, bench, describe
from triptych.segment.bench import table as module
from triptych.segment.bench.known_scores import Measured, Score, read_scores, scores_of
from triptych.segment.bench.measure import Task
from triptych.segment.bench.table import points, shown_names
from triptych.segment.models import create

QUICK = BenchOptions(size=(32, 48), frames=2, progress=False)


def evaluation(folder: Path, model: str, miou: float, data: str = "camvid", **more: object) -> Path:
    folder.mkdir(parents=True)
    record = {"model": model, "data": data, "split": "val", "mIoU": miou, "size": "640x480"}
    (folder / "scores.json").write_text(json.dumps(record | more))
    return folder


def a_run(folder: Path, scores: dict[str, float]) -> Path:
    """A run of tiny with its own evaluations, as far as `bench` looks at one."""
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_text("{}")
    for data, miou in scores.items():
        evaluation(folder / "evaluations" / f"{data}-val", "tiny", miou, data)
    return folder


def small_run(folder: Path) -> Path:
    """A whole run of tiny, trained on two street scenes."""
    recipe = "--set data=streets:scenes=2,frames=1,size=96x64 --set val_data=none --set epochs=1"
    line = f"train segment/tiny {recipe} --set warmup=0 --set crop=32,32 --device cpu"
    assert cli.main([*line.split(), "--out", str(folder)]) == 0
    return folder


def published(name: str) -> Measured:
    return Measured(name, "published", "of the authors")


def trained(run: Path, digest: str = "unknown") -> Measured:
    return Measured(str(run), "trained", digest)


def said(model: str, miou: float, weights: str, digest: str) -> Score:
    return replace(measured(model, miou), weights=weights, digest=digest)


def shown(models: Sequence[Measured], scores: Sequence[Score] = ()) -> list[float | None]:
    return [None if found is None else found.mIoU for found in scores_of(models, scores)]


def row(model: str, fps: float, runtime: str = "torch", agree: float = 1.0) -> dict[str, Any]:
    return {
        "model": model, "runtime": runtime, "precision": "float32", "weights": "published",
        "frames_per_second": fps, "labels_agree": agree, "labels_must_agree": 0.998,
        "latency_p50_ms": 1000 / fps, "latency_p95_ms": 1100 / fps, "latency_frames": 30,
        "peak_memory_bytes": 2**30,
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
            assert each["latency_p50_ms"] > 0
            assert (each["latency_frames"], each["latency_p95_ms"]) == (3, None)
            assert each["labels_must_agree"] is None
            assert each["memory_before_bytes"] <= each["peak_memory_bytes"] < 2**32
            assert each["peak_gpu_memory_bytes"] is None
        # Random weights have no clear winners, so a few labels may tip.
        agree = {(r["runtime"], r["precision"]): r["labels_agree"] for r in record["rows"]}
        assert agree["torch", "float32"] == 1
        assert agree["openvino", "float32"] > 0.99

    def test_in_words(self, record: dict[str, Any]) -> None:
        text = describe(record)
        assert text.count("\n") == 2 + len(record["rows"])
        assert "openvino float32" in text
        assert "MiB" in text
        assert "p95: only of n = 20 frames or more" in text

    def test_the_slowest_of_a_hundred(self) -> None:
        """Of few calls no percentile is given; of many it is numpy's."""
        assert p95([1.0] * 19) is None
        assert p95([0.001] * 19 + [2.001]) == pytest.approx(1 + 0.05 * 2000)
        assert p95(np.arange(101) / 1000) == pytest.approx(95)

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
            "code = 'from triptych.benching import peak_memory as p; print(p())'\n"
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
        monkeypatch.setattr(sys, "executable", "/bin/false")
        assert module.in_own_process(task) == {"error": "its process ended with code 1: "}

        class Killed:
            stdout, stderr, returncode = "", "", -9

        monkeypatch.setattr(subprocess, "run", lambda *_, **__: Killed())
        assert (
            "SIGKILL: most likely this machine has too little memory"
            in (module.in_own_process(task)["error"])
        )

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("--model tinny", "did you mean tiny"),
            ("--model none/here", "--model none/here: no such folder"),
            ("--model none.onnx", "--model none.onnx: no such file"),
            ("--model none/here.XML", "--model none/here.XML: no such file"),
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

    def test_an_exported_file_has_no_runtimes_to_compare(self, tmp_path: Path) -> None:
        (tmp_path / "a.onnx").write_text("")
        with pytest.raises(UserError, match="an exported file, which predict and evaluate take"):
            bench([(str(tmp_path / "a.onnx"), None)], QUICK)

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
        run = a_run(tmp_path / "segment-tiny" / "seed-3", {"streets": 0.4})
        (score,) = read_scores([run])
        assert (score.model, score.on) == ("segment-tiny/seed-3", "streets val")
        assert score.run == run
        # And need not be named: they lie in the run.
        assert shown([trained(run)]) == [0.4]

    def test_broken_ones_are_named(self, tmp_path: Path) -> None:
        (tmp_path / "scores.json").write_text('{"model": "a"}')
        with pytest.raises(UserError, match=r"scores\.json: not the scores"):
            read_scores([tmp_path])

    def test_measured_before_claimed(self) -> None:
        models = [published("espnetv2-s2.0"), published("espnetv2-s0.5")]
        own, claim = scores_of(models, [measured("espnetv2-s2.0", 0.5)])
        assert own == measured("espnetv2-s2.0", 0.5)
        assert claim is not None
        assert (claim.claimed, claim.mIoU) == (True, 0.539)
        assert (claim.on, claim.size) == ("Cityscapes val", "1024x512")

    def test_weights_of_a_file_have_the_scores_of_these_weights_only(self, tmp_path: Path) -> None:
        mine = Measured("espnetv2-s2.0", "file", "mine")
        scores = [measured("espnetv2-s2.0", 0.5), said("espnetv2-s2.0", 0.6, "published", "theirs")]
        assert scores_of([mine], scores) == [None]  # nor what the authors claim of theirs
        scores.append(said("espnetv2-s2.0", 0.3, "file", "mine"))
        assert shown([mine], scores) == [0.3]
        # Published weights on this machine are known by their content too.
        assert shown([Measured("espnetv2-s2.0", "published", "theirs")], scores) == [0.6]

    def test_random_weights_stand_for_the_published_ones(self) -> None:
        drawn = Measured("espnetv2-s2.0", "random", "drawn")
        scores = [said("espnetv2-s2.0", 0.6, "published", "a"),
                  said("espnetv2-s2.0", 0.3, "file", "b")]  # fmt: skip
        assert shown([drawn], scores) == [0.6]
        assert shown([drawn]) == [0.664]  # claimed
        # These were never published: a score is of other weights.
        assert shown([Measured("tiny", "random", "drawn")], [measured("tiny", 0.5)]) == [None]

    def test_runs_of_one_name_are_told_apart(self, tmp_path: Path) -> None:
        left, right, bare = (
            a_run(tmp_path / side / "segment-tiny" / "seed-0", scores)
            for side, scores in (("a", {"camvid": 0.1}), ("b", {"camvid": 0.2}), ("c", {}))
        )
        models = [trained(left), trained(right, "second"), trained(bare)]
        assert shown(models) == [0.1, 0.2, None]
        assert shown(models, read_scores([right])) == [0.1, 0.2, None]
        assert shown([trained(bare)], read_scores([right])) == [None]
        # An evaluation elsewhere that says which weights it was of, and an old one that does not.
        assert shown(models, [said("segment-tiny/seed-0", 0.3, "trained", "second")])[1] == 0.3
        assert shown([models[2]], [measured("segment-tiny/seed-0", 0.4)]) == [0.4]
        assert shown(models, [measured("segment-tiny/seed-0", 0.4)])[2] is None

    def test_label_images_of_a_model_s_name_are_not_the_model(self, tmp_path: Path) -> None:
        place = evaluation(tmp_path / "e", "espnetv2-s2.0", 1.0, runtime=None)
        assert shown([published("espnetv2-s2.0")], read_scores([place])) == [0.664]

    def test_of_several_data_that_which_most_of_the_models_share(self, tmp_path: Path) -> None:
        """Whether their evaluations are named or lie in their runs."""
        street = published("street")
        known = [measured("street", 0.5), measured("street", 0.7, "streets val")]
        assert shown([street], known) == [0.7]  # equally many: the last
        runs = [
            a_run(tmp_path / "x" / "seed-0", {"camvid": 0.1, "streets": 0.2}),
            a_run(tmp_path / "x" / "seed-1", {"camvid": 0.3}),
        ]
        assert shown([street, *map(trained, runs)], known) == [0.5, 0.1, 0.3]
        # The same data for all, in whatever order each has them.
        both = a_run(tmp_path / "x" / "seed-2", {"streets": 0.2, "camvid": 0.1})
        for order in (known, known[::-1]):
            found = scores_of([street, trained(both)], order)
            assert len({score.on for score in found if score is not None}) == 1
        # A model that is not there has no say.
        assert shown([street], [*known, measured("dabnet", 0.1)]) == [0.7]

    @pytest.mark.parametrize("kind", ["weights of a file", "two runs"])
    def test_on_the_command_line(
        self, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        line = "bench --size 48x32 --frames 1 --runtime torch --json"
        if kind == "two runs":
            made = small_run(tmp_path / "made")
            shutil.rmtree(made / "evaluations")
            runs = [shutil.copytree(made, tmp_path / side / "r" / "seed-0") for side in "ab"]
            evaluation(runs[1] / "evaluations" / "camvid-val", "tiny", 0.25)
            line += f" --model {runs[0]} --model {runs[1]}"
            wanted = [("r/seed-0 (2)", 0.25, False)]
            capsys.readouterr()
        else:
            save_file(create("espnetv2-s0.5").state_dict(), tmp_path / "mine.safetensors")
            line += f" --model espnetv2-s0.5 --weights {tmp_path / 'mine.safetensors'}"
            wanted = []
        assert cli.main(line.split()) == 0
        points = json.loads(capsys.readouterr().out)["points"]
        assert [(p["model"], p["mIoU"], p["claimed"]) for p in points] == wanted

    def test_what_evaluate_writes_is_known_by_its_weights(
        self, tmp_path: Path, write_drives: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = write_drives(tmp_path / "CamVid", {"val": {"A": 1}})
        files = [tmp_path / f"{name}.safetensors" for name in "ab"]
        for seed, file in enumerate(files):
            torch.manual_seed(seed)
            save_file(create("tiny").state_dict(), file)
        line = f"evaluate --model tiny --weights {files[1]} --data camvid:{data} --runtime torch"
        assert cli.main([*line.split(), "--out", str(tmp_path / "e"), "--json"]) == 0
        record = json.loads(capsys.readouterr().out)
        assert record["weights"] == "file"
        line = "bench --model tiny --model tiny --size 48x32 --frames 1 --runtime torch --json"
        weights = ["--weights", str(files[0]), "--weights", str(files[1])]
        assert cli.main([*line.split(), *weights, "--scores", str(tmp_path / "e")]) == 0
        streams = capsys.readouterr()
        (point,) = json.loads(streams.out)["points"]
        assert (point["model"], point["mIoU"]) == ("tiny (2)", record["mIoU"])
        assert streams.err.count("\n") == 1
        assert "--scores: none of them is of tiny with these weights" in streams.err


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

    def test_labels_of_random_weights_say_nothing_of_a_precision(self) -> None:
        drawn = {"weights": "random", "labels_must_agree": None}
        rows = [
            {**row("a", 10), **drawn},
            {**row("a", 30, "openvino", agree=0.97), **drawn},
            {**row("a", 50, "openvino"), **drawn, "precision": "bfloat16"},
        ]
        (point,) = points(rows, {"a": measured("a", 0.5)})
        assert (point["frames_per_second"], point["runtime"]) == (30, "openvino float32")
        lines = describe({**RECORD, "rows": rows, "points": []}).splitlines()
        assert ["not considered: random weights" in line for line in lines[2:]] == [
            False, False, True,
        ]  # fmt: skip

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
        # Also where a number is part of a name.
        numbered = tmp_path / "segment-tiny" / "seed-0 (2)"
        numbered.mkdir(parents=True)
        assert shown_names([str(numbered), *map(str, runs)]) == [
            "segment-tiny/seed-0 (2)", "segment-tiny/seed-0", "segment-tiny/seed-0 (3)",
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
