"""Boundaries, scales and tiles: asked for on the command line, of models with and without."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from triptych import cli
from triptych.data.classes import CAMVID
from triptych.errors import UserError
from triptych.segment.abilities import check_edges, check_scales, has_scales, known
from triptych.segment.labeller import FrameKey
from triptych.segment.models import create
from triptych.segment.models.scales import checked_scales
from triptych.segment.open_labeller import NetworkLabeller, open_labeller
from triptych.segment.predict import PredictOptions, predict

HMS = "hrnet48-ocr-hms-if"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def slim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the smallest network that predicts boundaries."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "slim.safetensors"
    save_file(create("hrnet16s-if").state_dict(), file)
    return file


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    areas = np.random.default_rng(2).integers(0, 256, (4, 6, 3), np.uint8)
    file = tmp_path / "street.png"
    Image.fromarray(areas.repeat(40, 0).repeat(40, 1)).save(file)
    return file


def a_run(folder: Path, model: str) -> str:
    folder.mkdir()
    record = {"recipe": {"name": "segment/x", "model": model}, "seed": 0}
    (folder / "recipe.json").write_text(json.dumps(record))
    return str(folder)


def test_a_run_can_what_its_architecture_can(tmp_path: Path) -> None:
    assert has_scales(HMS)
    assert has_scales(a_run(tmp_path / "hms", HMS))
    assert not has_scales(a_run(tmp_path / "tiny", "tiny"))
    assert not has_scales(a_run(tmp_path / "odd", "of another version"))
    assert known(str(tmp_path)) is None
    check_edges(["hrnet18-if", str(tmp_path / "hms")])
    with pytest.raises(UserError, match=r"--view edges: .*tiny predicts no boundaries"):
        check_edges([HMS, str(tmp_path / "tiny")])


def test_scales_are_for_the_models_that_have_some() -> None:
    check_scales(["tiny", HMS])
    with pytest.raises(UserError, match=f"--scales: tiny, dabnet: .*one scale only, unlike {HMS}"):
        check_scales(["tiny", "dabnet"])
    with pytest.raises(UserError, match="--scales: tiny"):
        open_labeller("tiny", scales=(0.5, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "--model dabnet --view edges",
            "--view edges: dabnet predicts no boundaries, unlike hrnet",
        ),
        ("--model dabnet --scales 0.5,1", f"one scale only, unlike {HMS}"),
        ("--model . --scales 1", "--scales: .: looks at a picture at one scale only"),
    ],
)
def test_what_a_model_cannot_is_told_before_it_is_opened(
    options: str, message: str, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = picture.parent / "out"
    assert cli.main(["predict", str(picture), "--out", str(out), *options.split()]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("scales", [(0.5, 2), (0, 1), (1, -1), (1, float("inf")), ()])
def test_scales_that_cannot_be(scales: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match=r"scales .*such as 0\.5,1,2"):
        checked_scales(scales)
    assert checked_scales((2, 0.5, 1, 1.0)) == (0.5, 1.0, 2.0)


class Stub(torch.nn.Module):
    """A network with one scale to set, whose logits say which scales it has."""

    scales = (1.0,)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        chosen = torch.zeros(len(images), 19, *images.shape[-2:])
        chosen[:, len(self.scales)] = 1
        return chosen


def test_scales_reach_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    from triptych.segment import open_labeller as module
    from triptych.segment.models import entry
    from triptych.segment.network import Network

    known = entry(HMS)
    stub = Network(HMS, HMS, Stub(), known.normalisation, known.classes)
    monkeypatch.setattr(module, "open_network", lambda *_: stub)
    picture = np.zeros((1, 40, 40, 3), np.uint8)
    labeller = open_labeller(HMS, scales=(0.5, 1, 2), runtime="torch")
    assert isinstance(labeller, NetworkLabeller)
    assert (labeller.labels(picture, [FrameKey("a", 0)]) == 3).all()
    assert labeller.scales == [0.5, 1.0, 2.0]
    assert labeller.tile is None


class Halves:
    """Left half road, right half car; boundaries get stronger from left to right."""

    name, classes, concurrency, edges = "halves", CAMVID, 1, True

    def labels(
        self,
        images: NDArray[np.uint8],
        keys: Sequence[FrameKey],
        size: tuple[int, int] | None = None,
    ) -> NDArray[np.uint8]:
        raise AssertionError("labels and boundaries come from one call")

    def labels_and_edges(
        self, images: NDArray[np.uint8], keys: Sequence[FrameKey]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        shape = images.shape[:3]
        labels = np.full(shape, 3, np.uint8)
        labels[..., shape[2] // 2 :] = 8
        return labels, np.broadcast_to(np.arange(shape[2]).astype(np.uint8), shape)


def test_the_view_shows_the_input_and_the_boundaries(picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = predict(picture, [Halves(), Halves()], out, PredictOptions(view="edges"))
    sheet = np.asarray(Image.open(out / "street.png"))
    np.testing.assert_array_equal(sheet[:160, :240], np.asarray(Image.open(picture)))
    ramp = np.broadcast_to(np.arange(240)[None, :, None], (160, 240, 3))
    np.testing.assert_array_equal(sheet[:160, 240:480], ramp)
    np.testing.assert_array_equal(sheet[:160, 480:], ramp)
    assert summary["view"] == "edges"
    assert summary["models"][0]["shares"]["Road"] == pytest.approx(0.5)
    assert summary["disagreement"][0]["pixel_agreement"] == 1


def test_labels_of_a_model_without_boundaries_are_refused(picture: Path, tmp_path: Path) -> None:
    mute = Halves()
    mute.edges = False
    with pytest.raises(UserError, match="--view edges: halves predicts no boundaries"):
        predict(picture, [mute], tmp_path / "out", PredictOptions(view="edges"))


def test_boundaries_in_tiles_from_the_command_line(
    slim: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = picture.parent / "out"
    line = f"predict {picture} --model hrnet16s-if --weights {slim} --out {out} --runtime torch"
    assert (
        cli.main(
            [*line.split(), "--view", "edges", "--tile", "256x256", "--size", "384x256", "--json"]
        )
        == 0
    )
    summary = json.loads(capsys.readouterr().out)
    (model,) = summary["models"]
    assert model["scales"] is None
    assert (model["tile"]["size"], model["tile"]["halo"]) == ("256x256", "64x64")
    assert 0 <= model["tile"]["agreement"] <= 1
    sheet = np.asarray(Image.open(out / "street.png"))
    edges = sheet[:160, 240:]
    assert (edges[..., 0] == edges[..., 1]).all()
    assert edges.std() > 0


def test_the_record_of_an_evaluation_says_the_tiles(
    slim: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place, pixels in (("val", (200, 260, 3)), ("valannot", (200, 260))):
        (tmp_path / place).mkdir()
        image = np.random.default_rng(1).integers(0, 11, pixels, np.uint8)
        Image.fromarray(image).save(tmp_path / place / "0016E5_00000.png")
    line = (
        f"evaluate --model hrnet16s-if --weights {slim} --data camvid:{tmp_path} --runtime torch "
        f"--out {tmp_path / 'out'} --size 320x256 --tile 256x256"
    )
    assert cli.main([*line.split(), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["tile"]["size"] == "256x256"
    assert 0 <= scores["tile"]["agreement"] <= 1
    assert "halos" in scores["tile"]["agreement_rule"]
    assert scores["scales"] is None
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["tile"] == scores["tile"]
    assert cli.main([*line.split()[:-2], "--tile", "288x256"]) == 2
    assert "--tile 288x256: sides must be multiples of 64, 256 or more" in capsys.readouterr().err
