"""Budgets, and what lies near them, over a small stand-in for timm's list."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import timm

from triptych.classify.models import describe_near, near
from triptych.classify.models.near import parse_budget
from triptych.errors import UserError

FEW = ["resnet10t", "test_vit", "test_resnet", "bat_resnext26ts"]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path))
    monkeypatch.setattr(timm, "list_models", lambda: FEW)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("4.9M", "parameters", 4_900_000),
        ("31396", "parameters", 31_396),
        ("30k", "parameters", 30_000),
        ("0.1b", "parameters", 100_000_000),
        ("600MMACs", "macs", 600_000_000),
        ("0.15GMACs", "macs", 150_000_000),
        ("0.15 gmacs", "macs", 150_000_000),
    ],
)
def test_budgets(text: str, unit: str, value: int) -> None:
    assert parse_budget(text) == (unit, value)


@pytest.mark.parametrize("text", ["", "M", "-4M", "4.9X", "4,9M", "4.9MFLOPs", "0", "nan", "1e6"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(UserError, match=r"such as 4\.9M"):
        parse_budget(text)


@pytest.mark.parametrize("tolerance", [-0.1, 1.0, float("nan")])
def test_what_is_no_tolerance(tolerance: float) -> None:
    with pytest.raises(UserError, match="tolerance"):
        near("4.9M", tolerance)


def test_by_parameters(cache: Path) -> None:
    found = near("4.95M", 0.02)
    assert [model["name"] for model in found["models"]] == [
        "vit13",
        "resnet10t",
        "vit6",
        "resnext29",
    ]
    assert found["models"][0] == {
        "name": "vit13",
        "source": "triptych",
        "parameters": 4_965_220,
        "macs": 1_530_174_336,
    }
    text = describe_near(found)
    assert "vit13" in text
    assert "+0.31%" in text


def test_by_macs(cache: Path) -> None:
    found = near("774MMACs", 0.9999)
    names = {model["name"]: model["source"] for model in found["models"]}
    assert names["resnet10t"] == "timm"
    assert found["models"][0]["name"] == "resnext29"


def test_what_cannot_run_is_no_match(cache: Path) -> None:
    every = {model["name"] for model in near("10M", 0.9999)["models"]}
    assert "test_vit" in every
    # It can be built for this size, but fails on an image.
    assert "bat_resnext26ts" not in every


def test_other_sizes_are_measured(cache: Path) -> None:
    found = near("31.4k", 0.05, image_size=64)
    names = {model["name"]: model for model in found["models"]}
    # At 64×64 the transformer has 192 more positions.
    assert names["resnext-tiny"]["parameters"] == 31_396
    assert "vit-tiny" not in names
    assert names["resnext-tiny"]["macs"] > 4 * 600_000


def test_nothing_near(cache: Path) -> None:
    assert describe_near(near("1GMACs", 0.0001)).endswith("none")


def test_timm_is_measured_once_and_goes_on_after_a_death(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = near("5M", 0.9)
    file = next(cache.glob("*.jsonl"))
    assert timm.__version__ in file.name
    written = file.read_text()
    asked: list[str] = []
    module = sys.modules["triptych.classify.models.near"]
    measure = module._measure

    def watch(name: str, image_size: int) -> dict[str, int] | None:
        asked.append(name)
        costs: dict[str, int] | None = measure(name, image_size)
        return costs

    monkeypatch.setattr(module, "_measure", watch)
    assert near("5M", 0.9) == whole
    assert not set(asked) & set(FEW)
    cut = written.index(FEW[2]) + 3
    file.write_text(written[:cut])
    asked.clear()
    assert near("5M", 0.9) == whole
    assert [name for name in asked if name in FEW] == FEW[2:]
    asked.clear()
    assert near("5M", 0.9) == whole
    assert not set(asked) & set(FEW)
