"""top-1, top-5 and loss against values worked by hand; the folder of an evaluation."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from triptych.classify.evaluate import (
    items_table,
    logits_of,
    read_items,
    scores_of,
    write_evaluation,
)
from triptych.data.labelled_images import LabelledImages
from triptych.errors import UserError


def labelled(labels: list[int], classes: int) -> LabelledImages:
    count = len(labels)
    return LabelledImages(
        name="made up",
        split="test",
        pixels=np.zeros((count, 3, 4, 4), np.uint8),
        labels=np.array(labels, np.int64),
        classes=tuple(f"class {i}" for i in range(classes)),
        keys=tuple(f"{i}.png" for i in range(count)),
    )


def table(logits: list[list[float]], labels: list[int]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = items_table(
        torch.tensor(logits), labelled(labels, len(logits[0]))
    ).to_pydict()
    return found


def test_ranks_by_hand() -> None:
    # Logits fall from class 0 to class 6, so the label is also its rank.
    row = [7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
    found = table([row] * 7, list(range(7)))
    assert found["top1"] == [1, 0, 0, 0, 0, 0, 0]
    assert found["top5"] == [1, 1, 1, 1, 1, 0, 0]
    assert found["predicted"] == [0] * 7
    assert found["label"] == list(range(7))
    assert found["key"][:2] == ["0.png", "1.png"]
    total = sum(math.exp(value) for value in row)
    assert found["loss"] == pytest.approx([math.log(total) - value for value in row])


def test_fewer_than_five_classes() -> None:
    found = table([[0.0, 1.0, 2.0]] * 3, [0, 1, 2])
    assert found["top1"] == [0, 0, 1]
    assert found["top5"] == [1, 1, 1]


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_logits_that_are_not_finite_count_at_chance_level(broken: float) -> None:
    rows = [[9.0] + [0.0] * 9, [broken] + [0.0] * 9, [9.0] * 9 + [broken]]
    found = table(rows, [0, 0, 3])
    assert found["top1"] == [1, 0.1, 0.1]
    assert found["top5"] == [1, 0.5, 0.5]
    assert found["loss"][1:] == pytest.approx([math.log(10)] * 2)
    assert math.isfinite(found["loss"][0])
    few = table([[broken, 0.0, 0.0]], [0])
    assert (few["top1"], few["top5"]) == ([pytest.approx(1 / 3)], [1])


def test_scores_are_means_over_images_and_by_class() -> None:
    data = labelled([0, 0, 1, 1, 1], 3)
    logits = torch.tensor([[2.0, 1, 0], [1, 2, 0], [1, 2, 0], [1, 2, 0], [0, 1, 2]])
    scores = scores_of(items_table(logits, data))
    assert scores["images"] == 5
    assert scores["top1"] == pytest.approx(3 / 5)
    assert scores["top5"] == 1
    assert scores["top1_by_class"] == {"class 0": 0.5, "class 1": 2 / 3, "class 2": None}
    expected = nn.functional.cross_entropy(logits, torch.from_numpy(data.labels))
    assert scores["loss"] == pytest.approx(float(expected))
    json.dumps(scores, allow_nan=False)


class Counting(nn.Module):
    """Logits that say how dark an image is; notes whether it was training."""

    def __init__(self) -> None:
        super().__init__()
        self.modes: list[bool] = []
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images: Tensor) -> Tensor:
        self.modes.append(self.training)
        assert images.dtype == torch.float32
        mean = self.norm(images).mean(dim=(1, 2, 3))
        return torch.stack([mean, -mean], dim=1)


def test_logits_are_made_in_evaluation_mode_in_parts_of_any_size() -> None:
    model = Counting()
    images = torch.randint(0, 256, (600, 3, 4, 4), dtype=torch.uint8)
    whole = logits_of(model, images)
    assert whole.shape == (600, 2)
    assert model.modes == [False] * 3
    assert model.training
    assert not whole.requires_grad
    assert torch.equal(model.norm.running_mean, torch.zeros(3))  # type: ignore[arg-type]
    expected = (images.float() / 127.5 - 1).mean(dim=(1, 2, 3)) / math.sqrt(1 + 1e-5)
    assert torch.allclose(whole[:, 0], expected, atol=1e-5)
    model.eval()
    logits_of(model, images[:3])
    assert not model.training


def test_an_evaluation_is_written_and_read(tmp_path: Path) -> None:
    data = labelled([0, 1, 2], 3)
    items = items_table(torch.eye(3) * 4, data)
    out = tmp_path / "evaluations" / "made-up-test"
    scores = write_evaluation(out, items, {"model": "m"})
    assert json.loads((out / "scores.json").read_text()) == scores
    assert (scores["model"], scores["top1"]) == ("m", 1.0)
    again = read_items(out / "items.parquet")
    assert again.equals(items)
    assert scores_of(again) == scores_of(items)
    write_evaluation(out, items_table(torch.eye(3).flip(0), data), {"model": "m"})
    assert scores_of(read_items(out / "items.parquet"))["top1"] == pytest.approx(1 / 3)
    assert [p.name for p in out.parent.iterdir()] == [out.name]


def test_what_is_no_evaluation_is_named(tmp_path: Path) -> None:
    file = tmp_path / "items.parquet"
    with pytest.raises(UserError, match=r"items\.parquet"):
        read_items(file)
    file.write_bytes(b"PAR1")
    with pytest.raises(UserError, match="not the items of an evaluation"):
        read_items(file)
