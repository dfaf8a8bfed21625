"""Where `bench` puts what it measured: nothing is lost to a disk that cannot be written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from triptych import cli
from triptych.errors import WorkFailed

ROW = {"model": "street", "runtime": "torch", "precision": "float32", "frames_per_second": 7.0}
RECORD: dict[str, Any] = {
    "size": "480x360", "processor": "A processor", "cores": 2, "device": "cpu", "rows": [ROW],
    "metric": "mIoU", "points": [],
}  # fmt: skip


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every measurement, which takes no time, notes itself here."""
    done: list[str] = []

    def bench(*_: Any) -> dict[str, Any]:
        done.append("measured")
        return RECORD

    for study in ("segment", "detect"):
        monkeypatch.setattr(f"triptych.{study}.bench.bench", bench)
    return done


@pytest.mark.parametrize("model", ["street", "frcnn-tiny"])
def test_a_wrong_place_is_told_before_anything_is_measured(
    tmp_path: Path, measured: list[str], model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    for out in (file, file / "below"):
        assert cli.main(["bench", "--model", model, "--out", str(out)]) == 2
        assert f"--out {out}: cannot be written" in capsys.readouterr().err
    assert measured == []
    assert cli.main(["bench", "--model", model, "--out", str(tmp_path / "new"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == RECORD
    assert json.loads((tmp_path / "new" / "bench.json").read_text()) == RECORD


def test_results_are_shown_where_they_cannot_be_kept(
    tmp_path: Path,
    measured: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(record: Any, out: Path) -> None:
        raise WorkFailed(f"--out {out}: cannot be written (No space left on device)")

    monkeypatch.setattr("triptych.report.pareto.write_bench", full)
    assert cli.main(["bench", "--model", "street", "--out", str(tmp_path / "o"), "--json"]) == 1
    streams = capsys.readouterr()
    assert json.loads(streams.out) == RECORD
    assert "No space left" in streams.err
