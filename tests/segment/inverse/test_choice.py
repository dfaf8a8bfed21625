"""Which inverse network a recipe asks for: the loss is of that one, and the run is known by it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from triptych import recipe as recipes
from triptych.data.download import file_sha256
from triptych.data.open_data import open_data
from triptych.errors import UserError
from triptych.recipe import differences
from triptych.run import Run, newest_checkpoint, read_json
from triptych.segment import train as training
from triptych.segment.inverse import shipped
from triptych.segment.inverse.homography import euclidean, geodesic
from triptych.segment.inverse.networks import InverseNet, PublishedInverseNet
from triptych.segment.inverse.recipe import inverse
from triptych.segment.inverse.train import start
from triptych.segment.objective import Objective, loss_fingerprint
from triptych.segment.recipes import SegmentRecipe

Write = Callable[[Path, Mapping[str, Mapping[str, int]]], Path]
DATA = "streets:scenes=2,frames=2,size=72x48"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of an inverse network that has got as far as its first checkpoint."""
    folder = tmp_path_factory.mktemp("inverse") / "run"
    asked = inverse()
    with Run.open(folder, asked, 4, {"train": "a", "val": "b"}) as run:
        run.save(start(asked, 4, torch.device("cpu")))
    return folder


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The published file in the folder where it is looked for; its layers see smaller tiles, so
    that a test need not write 400 MB."""

    class Narrow(PublishedInverseNet):
        tile = 16
        map_size = (48, 96)

    monkeypatch.setattr(shipped, "PublishedInverseNet", Narrow)
    monkeypatch.setenv("TRIPTYCH_WEIGHTS", str(tmp_path / "weights"))
    file = tmp_path / "weights" / "distance_measures_regressor.pth"
    file.parent.mkdir()
    torch.save(Narrow().state_dict(), file)
    return file


def recipe(**changes: Any) -> SegmentRecipe:
    made = recipes.get("segment/tiny")
    assert isinstance(made, SegmentRecipe)
    short: dict[str, Any] = {
        "data": DATA, "val_data": None, "epochs": 1, "batch_size": 2, "boundary": "inverseform",
    }  # fmt: skip
    return replace(made, **short | changes)


def objective(**changes: Any) -> Objective:
    return Objective(recipe(**changes), open_data(DATA, "train"))


def entries(asked: Objective) -> dict[str, torch.Tensor]:
    assert asked.inverse is not None
    return asked.inverse.network.state_dict()


def test_without_a_choice_it_is_the_packages_own() -> None:
    own = shipped.shipped_network().state_dict()
    assert all(torch.equal(value, own[name]) for name, value in entries(objective()).items())
    assert loss_fingerprint(recipe()) == {}


def test_a_runs_network_is_asked_and_its_weights_are_on_record(trained: Path) -> None:
    asked = objective(inverse_network=str(trained))
    given = shipped.trained_network(trained).state_dict()
    assert all(torch.equal(value, given[name]) for name, value in entries(asked).items())
    digest = file_sha256(newest_checkpoint(trained) / "model.safetensors")
    chosen = recipe(inverse_network=str(trained))
    assert loss_fingerprint(chosen) == {"inverse_network": digest}
    assert loss_fingerprint(replace(chosen, boundary="edges")) == {}


def test_the_published_network_is_asked_and_its_weights_are_on_record(published: Path) -> None:
    asked = objective(inverse_network="published")
    assert asked.inverse is not None
    assert isinstance(asked.inverse.network, PublishedInverseNet)
    given = torch.load(published, weights_only=True)
    assert all(torch.equal(value, given[name]) for name, value in entries(asked).items())
    found = loss_fingerprint(recipe(inverse_network="published"))
    assert found == {"inverse_network": file_sha256(published)}


@pytest.mark.parametrize(("asked", "distance"), [(None, euclidean), (True, geodesic)])
def test_distances_are_measured_as_asked(asked: bool | None, distance: Any) -> None:
    loss = objective(geodesic=asked).inverse
    assert loss is not None
    assert isinstance(loss.network, InverseNet)
    truth = torch.zeros(1, 1, 112, 112)
    truth[..., 40:44, :] = 1
    edges = truth.roll(9, 2)
    with torch.no_grad():
        expected = distance(loss.network(edges, truth)).mean()
        assert loss(edges, truth).item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_run_with_another_network_is_another_run(trained: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(trained, tmp_path / "copied")
    chosen = recipe(inverse_network=str(copied))
    out = tmp_path / "run"
    result = training.train(chosen, 0, out, device="cpu", show_progress=False)
    kept = read_json(out / "recipe.json")["fingerprint"]
    assert kept["inverse_network"] == loss_fingerprint(chosen)["inverse_network"]
    assert training.train(chosen, 0, out, device="cpu", show_progress=False) == result
    with pytest.raises(UserError, match=r"its inverse_network is .*copied, yours is None"):
        training.train(recipe(), 0, out, device="cpu", show_progress=False)
    # The same weights elsewhere are the same network.
    moved = replace(chosen, inverse_network=str(trained))
    assert training.train(moved, 0, out, device="cpu", show_progress=False) == result
    with Run.open(copied, inverse(), 4, {"train": "a", "val": "b"}) as run:
        trained_on = start(inverse(), 5, torch.device("cpu"))
        trained_on.step = 1
        run.save(trained_on)
    with pytest.raises(UserError, match=r"changed since \(inverse_network\)"):
        training.train(chosen, 0, out, device="cpu", show_progress=False)


@pytest.mark.parametrize("folder", ["nowhere", "a-run"])
@pytest.mark.parametrize("folds", ["none", "drives"])
def test_what_is_no_inverse_network_is_refused_before_there_is_a_folder(
    tmp_path: Path, folder: str, folds: Any, write_drives: Write
) -> None:
    data = write_drives(tmp_path / "CamVid", {"train": {"A": 2, "B": 2}, "val": {"A": 1}})
    (tmp_path / "a-run").mkdir()
    record = {"recipe": {"name": "segment/tiny", "model": "tiny"}}
    (tmp_path / "a-run" / "recipe.json").write_text(json.dumps(record))
    chosen = recipe(
        data=f"camvid:{data}", train_split="trainval", folds=folds,
        inverse_network=str(tmp_path / folder),
    )  # fmt: skip
    with pytest.raises(UserError, match=r"(no run|not) of an inverse network") as error:
        training.train(chosen, 0, tmp_path / "out", device="cpu", show_progress=False)
    assert str(tmp_path / folder) in str(error.value)
    assert not (tmp_path / "out").exists()


def test_the_published_network_has_no_geodesics() -> None:
    with pytest.raises(UserError, match=r"geodesic=true needs homographies, which inverse_network"):
        recipe(geodesic=True, inverse_network="published")


def test_a_run_that_was_begun_before_there_was_a_choice_goes_on(tmp_path: Path) -> None:
    asked = recipe(boundary="edges", epochs=2)
    new = {"inverse_network", "geodesic"}
    old = {name: value for name, value in asdict(asked).items() if name not in new}
    out = tmp_path / "run"
    training.train(replace(asked, epochs=1), 0, out, device="cpu", show_progress=False)
    (out / "result.json").unlink()
    record = read_json(out / "recipe.json")
    (out / "recipe.json").write_text(json.dumps(record | {"recipe": old}))
    result = training.train(asked, 0, out, device="cpu", show_progress=False)
    assert result["epochs"] == 2
    assert differences(asked, replace(asked, geodesic=None, inverse_network=None)) == {}
