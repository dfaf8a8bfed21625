"""`triptych bench` of segmentation models: rows of real measurements, and scores beside them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from triptych import cli
from triptych.benching.basis import Basis
from triptych.benching.known_scores import Measured, Score, scores_of
from triptych.benching.points import points
from triptych.errors import UserError
from triptych.segment.bench import BenchOptions, bench, describe
from triptych.segment.bench import table as module
from triptych.segment.bench.known import MIOU, known_model
from triptych.segment.bench.measure import RuntimeTask
from triptych.segment.bench.table import against
from triptych.segment.models import create

QUICK = BenchOptions(size=(32, 48), frames=2, progress=False)


def evaluation(folder: Path, model: str, miou: float, data: str = "camvid", **more: object) -> Path:
    folder.mkdir(parents=True)
    record = {"model": model, "data": data, "split": "val", "mIoU": miou, "size": "640x480"}
    (folder / "scores.json").write_text(json.dumps(record | more))
    return folder


def small_run(folder: Path) -> Path:
    """A whole run of tiny, trained on two street scenes."""
    recipe = "--set data=streets:scenes=2,frames=1,size=96x64 --set val_data=none --set epochs=1"
    line = f"train segment/tiny {recipe} --set warmup=0 --set crop=32,32 --device cpu"
    assert cli.main([*line.split(), "--out", str(folder)]) == 0
    return folder


def row(model: str, fps: float, runtime: str = "torch", agree: float = 1.0) -> dict[str, Any]:
    return {
        "model": model, "runtime": runtime, "precision": "float32", "weights": "published",
        "frames_per_second": fps, "labels_agree": agree, "labels_must_agree": 0.998,
        "latency_p50_ms": 1000 / fps, "latency_p95_ms": 1100 / fps, "latency_frames": 30,
        "peak_memory_bytes": 2**30,
    }  # fmt: skip


class TestMeasuring:
    @pytest.fixture(scope="class")
    @staticmethod
    def record() -> dict[str, Any]:
        return bench([("tiny", None)], QUICK)

    def test_a_row_for_every_runtime_and_precision(self, record: dict[str, Any]) -> None:
        found = {(row["runtime"], row["precision"]) for row in record["rows"]}
        assert {("torch", "float32"), ("openvino", "float32")} <= found
        assert not any("error" in row for row in record["rows"])
        assert (record["size"], record["metric"], record["points"]) == ("48x32", "mIoU", [])
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

    def test_torch_alone_has_one_caller(self) -> None:
        task = RuntimeTask(
            "tiny", None, "cpu", (32, 48), 0.2, None, "torch", "float32", "/dev/null"
        )
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
        task = RuntimeTask("tiny", None, "cpu", (32, 48), 1, None, "torch", "float32", os.devnull)
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
        assert [(p["model"], p["score"], p["claimed"]) for p in points] == wanted

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
        assert (point["model"], point["score"]) == ("tiny (2)", record["mIoU"])
        assert point["fingerprint"] == record["fingerprint"]
        assert streams.err.count("\n") == 1
        assert "--scores: none of them is of tiny with these weights" in streams.err

    def test_what_is_known_of_models(self, tmp_path: Path) -> None:
        known = known_model("espnetv2-s2.0")
        assert (known.registered, known.run) == (True, None)
        (claim,) = scores_of([Measured(known, "published", "theirs")], [], MIOU)
        assert claim is not None
        assert (claim.value, claim.on.data, claim.size) == (0.664, "Cityscapes val", "1024x512")
        assert known_model("tiny").published is None
        run, other = tmp_path / "a" / "seed-0", tmp_path / "b"
        for folder in (run, other):
            folder.mkdir(parents=True)
        (run / "recipe.json").write_text("{}")
        known = known_model(str(run))
        assert (known.name, known.registered, known.run) == ("a/seed-0", False, run.resolve())
        assert known_model(str(other)).run is None


class TestPoints:
    def test_the_fastest_row_whose_labels_agree(self) -> None:
        rows = [row("a", 10), row("a", 30, "openvino"), row("a", 50, "openvino", agree=0.9)]
        (point,) = points(rows, {"a": SCORE}, against)
        assert (point["frames_per_second"], point["runtime"]) == (30, "openvino float32")

    def test_labels_of_random_weights_say_nothing_of_a_precision(self) -> None:
        drawn = {"weights": "random", "labels_must_agree": None}
        rows = [
            {**row("a", 10), **drawn},
            {**row("a", 30, "openvino", agree=0.97), **drawn},
            {**row("a", 50, "openvino"), **drawn, "precision": "bfloat16"},
        ]
        found = points(rows, {"a": SCORE}, against)
        assert [point["frames_per_second"] for point in found] == [30]
        record = {"size": "480x360", "processor": "A processor", "cores": 2, "device": "cpu",
                  "metric": "mIoU", "rows": rows, "points": found}  # fmt: skip
        lines = describe(record).splitlines()
        assert ["not considered: random weights" in line for line in lines[2:5]] == [
            False, False, True,
        ]  # fmt: skip
        assert lines[-1].endswith("mIoU 0.500 measured on camvid val")


SCORE = Score("a", 0.5, Basis("camvid val"), None, claimed=False)
