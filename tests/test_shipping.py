"""Weights that come with the package: halved, and telling where they are from but not from whom."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from triptych.errors import UserError
from triptych.shipping import write_shipped


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def run_folder(tmp_path: Path, data: str, ended: bool = True) -> Path:
    run = tmp_path / "run"
    run.mkdir()
    recipe = {"name": "segment/x", "data": data, "val_data": None, "epochs": 2}
    record = {"recipe": recipe, "seed": 5, "fingerprint": {"train": "abc"}}
    (run / "recipe.json").write_text(json.dumps(record))
    if ended:
        (run / "result.json").write_text(json.dumps({"scores": {"mIoU": 0.5}}))
    return run


def test_the_file_is_the_network_in_half_precision(tmp_path: Path) -> None:
    net, file = network(), tmp_path / "folder" / "net.safetensors"
    with torch.no_grad():
        net[1].running_var.fill_(1e6)  # type: ignore[union-attr,operator]
    write_shipped(net, run_folder(tmp_path, "streets:scenes=1"), file)
    assert [each.name for each in file.parent.iterdir()] == [file.name]
    with safe_open(file, "pt") as opened:
        about = opened.metadata()
        stored = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    assert stored["0.weight"].dtype == torch.float16
    assert stored["1.running_var"].dtype == torch.float32, "1e6 is no half"
    assert json.loads(about["scores"]) == {"mIoU": 0.5}
    assert json.loads(about["recipe"])["recipe"]["data"] == "streets:scenes=1"
    again = network()
    again.load_state_dict(stored)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    "data", ["camvid:/home/me/CamVid", "camvid:../CamVid", "camvid:CamVid", "camvid:{here}"]
)
def test_it_does_not_say_where_the_data_lay(tmp_path: Path, data: str) -> None:
    file = tmp_path / "net.safetensors"
    write_shipped(network(), run_folder(tmp_path, data.format(here=tmp_path)), file)
    with safe_open(file, "pt") as opened:
        recipe = json.loads(opened.metadata()["recipe"])
    assert recipe["recipe"]["data"] == "camvid"
    assert recipe["fingerprint"] == {"train": "abc"}
    assert str(tmp_path) not in file.read_bytes().decode("latin-1")


def test_a_run_that_has_not_ended_is_not_shipped(tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    with pytest.raises(UserError, match="has not ended"):
        write_shipped(network(), run_folder(tmp_path, "streets", ended=False), file)
    assert not file.exists()
