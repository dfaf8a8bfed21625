"""The table of models, without torch."""

from __future__ import annotations

import subprocess
import sys

from triptych.classify.models import describe, names, records


def test_one_line_a_model() -> None:
    text = describe(records())
    lines = text.splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(names())]] == list(names())
    assert "4,965,220" in text
    assert "4,915,684" in text
    assert "leaves out class token and positions: 258 x 192 = 49,536" in text


def test_records_hold_what_the_table_shows() -> None:
    listed = records()
    vit13 = next(model for model in listed["models"] if model["name"] == "vit13")
    assert vit13["parameters"] - vit13["original_parameters"] == 49_536
    assert listed["image_size"] == 32
    assert listed["classes"] == 100


def test_listing_needs_no_torch() -> None:
    code = (
        "import sys; from triptych.classify.models import records; records();"
        "sys.exit('torch' in sys.modules or 'timm' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
