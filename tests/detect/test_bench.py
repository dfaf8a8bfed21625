"""`bench` of detectors: rows of real measurements, scores beside them, and rows of what failed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from triptych import cli
from triptych.benching import Task
from triptych.detect import bench as module
from triptych.detect.bench import BenchOptions, bench, describe
from triptych.detect.bench_measure import measure
from triptych.detect.class_names import write_class_names
from triptych.detect.models import create
from triptych.detect.recipes import DetectRecipe
from triptych.detect.train import train
from triptych.errors import UserError

QUICK = BenchOptions(size=(64, 96), frames=3, device="cpu", progress=False)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def here(name: str, task: str) -> dict[str, Any]:
        assert name == "triptych.detect.bench_measure"
        return measure(Task.from_json(task))

    monkeypatch.setattr(module, "run_in_own_process", here)


@pytest.mark.usefixtures("in_this_process")
def test_a_row_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tiny.safetensors"
    save_file(create("frcnn-tiny", 3).state_dict(), file)
    line = f"bench --model frcnn-tiny --weights {file} --size 96x64 --frames 3 --device cpu --json"
    assert cli.main([*line.split(), "--out", str(tmp_path / "out")]) == 0
    record = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "out" / "bench.json").read_text()) == record
    assert (record["size"], record["metric"], record["points"]) == ("96x64", "AP50", [])
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


@pytest.fixture(scope="module")
def data(boxed: Callable[..., Path]) -> Path:
    return boxed(train=2, val=2)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    recipe = DetectRecipe(
        name="detect/test", model="frcnn-tiny", data=f"vocxml:{data}", epochs=1, batch_size=2,
        lr=0.01,
    )  # fmt: skip
    out = tmp_path_factory.mktemp("runs") / "r" / "seed-0"
    train(recipe, 0, out, device="cpu", show_progress=False)
    return out


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two detectors of the classes of `data`."""
    folder = tmp_path_factory.mktemp("weights")
    write_class_names(folder, ("blue", "red"))
    found = [folder / f"{name}.safetensors" for name in "ab"]
    for seed, file in enumerate(found):
        torch.manual_seed(seed)
        save_file(create("frcnn-tiny", 2).state_dict(), file)
    return found


def evaluated(file: Path, data: Path, out: Path) -> dict[str, Any]:
    line = f"evaluate --model frcnn-tiny --weights {file} --data vocxml:{data} --device cpu"
    assert cli.main([*line.split(), "--out", str(out), "--json"]) == 0
    record: dict[str, Any] = json.loads((out / "scores.json").read_text())
    return record


@pytest.mark.usefixtures("in_this_process")
class TestScores:
    def test_of_these_weights_and_of_runs(
        self,
        data: Path,
        run: Path,
        files: list[Path],
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """What `evaluate` wrote belongs to its weights; what lies in a run need not be named."""
        record = evaluated(files[1], data, tmp_path / "e")
        models = [("frcnn-tiny", files[0]), ("frcnn-tiny", files[1]), (str(run), None)]
        found = bench(models, QUICK, [tmp_path / "e"])
        own = json.loads((run / "evaluations" / "vocxml-val" / "scores.json").read_text())
        assert [(p["model"], p["score"], p["claimed"]) for p in found["points"]] == [
            ("frcnn-tiny (2)", record["AP50"], False), ("r/seed-0", own["AP50"], False),
        ]  # fmt: skip
        # Its own evaluation and the other one are alike: same pictures, same rules.
        assert {p["on"] for p in found["points"]} == {"vocxml val"}
        assert {p["fingerprint"] for p in found["points"]} == {record["fingerprint"]}
        for said in ("iou 0.5", "score_floor 0.05", "max_detections 100", "AP50 area under"):
            assert said in found["points"][0]["rules"]
        assert {p["score_size"] for p in found["points"]} == {None}
        assert f"AP50 {own['AP50']:.3f} measured on vocxml val" in describe(found)
        assert "none of them is of frcnn-tiny with these weights" in caplog.text

    def test_other_data_of_the_same_name_and_other_rules(
        self, data: Path, run: Path, files: list[Path], boxed: Callable[..., Path], tmp_path: Path
    ) -> None:
        """Three detectors, each judged otherwise: two are no better than the third."""
        scores = [evaluated(files[0], boxed(val=1), tmp_path / "a"),
                  evaluated(files[1], data, tmp_path / "b")]  # fmt: skip
        scores[1]["rule"]["score_floor"] = 0.5
        (tmp_path / "b" / "scores.json").write_text(json.dumps(scores[1]))
        models = [("frcnn-tiny", files[0]), ("frcnn-tiny", files[1]), (str(run), None)]
        found = bench(models, QUICK, [tmp_path / "a", tmp_path / "b"])["points"]
        short = [each["fingerprint"][:4] for each in scores]
        assert [point["on"] for point in found] == [
            f"vocxml val ({short[0]}…, score_floor 0.05)",
            f"vocxml val ({short[1]}…, score_floor 0.5)",
            f"vocxml val ({short[1]}…, score_floor 0.05)",
        ]
        assert [point["on_front"] for point in found] == [True, False, False]

    def test_of_another_study(self, run: Path, tmp_path: Path) -> None:
        (tmp_path / "scores.json").write_text('{"model": "street", "mIoU": 0.5}')
        with pytest.raises(UserError, match="not the scores of an evaluation with AP50"):
            bench([(str(run), None)], QUICK, [tmp_path])

    def test_another_program_s_detections_are_of_no_weights(
        self, run: Path, tmp_path: Path
    ) -> None:
        """Even where their file has the name of a run."""
        scores = json.loads((run / "evaluations" / "vocxml-val" / "scores.json").read_text())
        told = dict.fromkeys(("weights", "weights_digest", "runtime", "size"))
        text = json.dumps({**scores, **told, "model": "r/seed-0", "AP50": 0.99})
        (tmp_path / "scores.json").write_text(text)
        (point,) = bench([(str(run), None)], QUICK, [tmp_path])["points"]
        assert point["score"] == scores["AP50"]
