"""`bench` of detectors: rows of real measurements, and rows of what failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from triptych import cli
from triptych.detect import bench as module
from triptych.detect.bench import BenchOptions, Task, bench, describe
from triptych.detect.bench_measure import measure
from triptych.detect.models import create
from triptych.errors import UserError

QUICK = BenchOptions(size=(64, 96), frames=3, device="cpu", progress=False)


def test_a_row_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(name: str, task: str) -> dict[str, Any]:
        assert name == "triptych.detect.bench_measure"
        return measure(Task.from_json(task))

    monkeypatch.setattr(module, "run_in_own_process", here)
    file = tmp_path / "tiny.safetensors"
    save_file(create("frcnn-tiny", 3).state_dict(), file)
    line = f"bench --model frcnn-tiny --weights {file} --size 96x64 --frames 3 --device cpu --json"
    assert cli.main([*line.split(), "--out", str(tmp_path / "out")]) == 0
    record = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "out" / "bench.json").read_text()) == record
    assert record["size"] == "96x64"
    (row,) = record["rows"]
    assert (row["runtime"], row["precision"]) == ("torch", "float32")
    assert (row["weights"], row["latency_frames"], row["latency_p95_ms"]) == ("file", 3, None)
    assert row["frames_per_second"] > 0
    assert row["parameters"] == sum(each.numel() for each in create("frcnn-tiny", 3).parameters())
    assert "torch float32" in describe(record)


def test_random_weights_and_weights_that_do_not_fit(tmp_path: Path) -> None:
    """Each in a process of its own; one that fails is a row with its error."""
    file = tmp_path / "a.safetensors"
    save_file(create("frcnn-tiny", 3).state_dict(), file)
    random, wrong = bench([("frcnn-tiny", None), ("frcnn-lite0-fpn", file)], QUICK)["rows"]
    assert (random["weights"], random["detections"]) == ("random", 100)
    assert random["memory_before_bytes"] < random["peak_memory_bytes"] < 2**32
    assert "does not fit frcnn-lite0-fpn" in wrong["error"]


def test_a_file_has_no_speed_of_its_own() -> None:
    with pytest.raises(UserError, match="a file; bench takes a detector's name or run folder"):
        bench([(__file__, None)], QUICK)
