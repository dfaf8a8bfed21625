"""From what `--model` says to labels, with every way in which it may be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from triptych import cli
from triptych.cli.labellers import open_labellers
from triptych.data.classes import CITYSCAPES
from triptych.errors import UserError, WorkFailed
from triptych.segment.labeller import FrameKey
from triptych.segment.models import create
from triptych.segment.open_labeller import NetworkLabeller, open_labeller

PICTURES = np.random.default_rng(0).integers(0, 256, (1, 32, 48, 3), np.uint8)
KEYS = [FrameKey("a", 0)]
CAMVID_IDS = np.array([3, 4, 1, 1, 7, 2, 6, 6, 5, 5, 0, 9, 10, 8, 8, 8, 8, 10, 10])


@pytest.fixture
def tiny_weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_file(create("tiny").state_dict(), tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


def test_a_name_with_a_file_of_weights(tiny_weights: Path) -> None:
    labeller = open_labeller("tiny", weights=tiny_weights, runtime="torch")
    assert (labeller.name, labeller.classes) == ("tiny", CITYSCAPES)
    assert labeller.concurrency >= 1
    labels = labeller.labels(PICTURES, KEYS)
    assert labels.shape == (1, 32, 48)
    assert labels.max() < 19
    assert labeller.labels(PICTURES, KEYS, (16, 20)).shape == (1, 16, 20)
    assert open_labeller("tiny", weights=tiny_weights, runtime="torch", name="mine").name == "mine"


def test_its_weights_are_known_by_their_content(tiny_weights: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(tiny_weights.read_bytes())
    other = create("tiny").state_dict()
    other["classify.bias"] = other["classify.bias"] + 1e-3
    save_file(other, tmp_path / "other.safetensors")
    files = [tiny_weights, copy, tmp_path / "other.safetensors"]
    first, same, another = (open_labeller("tiny", weights=file, runtime="torch") for file in files)
    for labeller in (first, same, another):
        assert isinstance(labeller, NetworkLabeller)
        assert labeller.weights == "file"
    assert first.weights_digest == same.weights_digest != another.weights_digest


def test_frames_are_resized_for_the_network_only(tiny_weights: Path) -> None:
    labeller = open_labeller("tiny", weights=tiny_weights, runtime="torch", size=(64, 96))
    assert labeller.labels(PICTURES, KEYS).shape == (1, 32, 48)


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UserError, match=r"'espnet-s2\.0'; did you mean espnetv2-s2\.0"):
        open_labeller("espnet-s2.0")


def test_folders_that_are_not_there_are_named(tmp_path: Path, tiny_weights: Path) -> None:
    with pytest.raises(UserError, match=r"--model .*none: no such folder"):
        open_labeller(str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"tiny\.safetensors: no such folder"):
        open_labeller(str(tiny_weights))


def test_a_model_without_published_weights_needs_some() -> None:
    with pytest.raises(UserError, match=r"tiny has no published weights.*--weights FILE"):
        open_labeller("tiny")


def test_weights_that_cannot_be_had_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIPTYCH_WEIGHTS", raising=False)
    with pytest.raises(UserError, match=r"dabnet_cityscapes.*--weights FILE"):
        open_labeller("dabnet")

    def offline(*_: object, **__: object) -> None:
        raise WorkFailed("https://example.org/w.pth cannot be downloaded: no network")

    monkeypatch.setattr("triptych.segment.network.fetch", offline)
    with pytest.raises(WorkFailed, match=r"https://example\.org/w\.pth .*--weights FILE"):
        open_labeller("espnetv2-s2.0")


def test_weights_of_another_model_are_refused_by_name(tiny_weights: Path) -> None:
    with pytest.raises(UserError, match=r"tiny\.safetensors: these are not weights of this DABNet"):
        open_labeller("dabnet", weights=tiny_weights)


def test_a_folder_of_label_images(tmp_path: Path, tiny_weights: Path) -> None:
    folder = tmp_path / "truth"
    folder.mkdir()
    Image.fromarray(np.full((32, 48), 13, np.uint8)).save(folder / "a.png")
    labeller = open_labeller(str(folder))
    assert labeller.name == "truth"
    assert (labeller.labels(PICTURES, KEYS) == 13).all()
    assert open_labeller(str(folder), name="the truth").name == "the truth"
    with pytest.raises(UserError, match="--weights goes with a model's name"):
        open_labeller(str(folder), weights=tiny_weights)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("--size 64x48", "--size"),
        ("--tile 128x128", "--tile"),
        ("--runtime torch", "--runtime torch"),
        ("--device cuda", "--device cuda"),
        ("--size 64x48 --runtime openvino", "--size, --runtime openvino"),
    ],
)
@pytest.mark.parametrize("verb", ["evaluate", "predict"])
def test_options_that_label_images_could_only_ignore(
    tmp_path: Path, verb: str, options: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "truth"
    folder.mkdir()
    Image.fromarray(np.full((32, 48), 13, np.uint8)).save(folder / "a.png")
    Image.fromarray(PICTURES[0]).save(tmp_path / "a.png")
    what = "--data streets" if verb == "evaluate" else str(tmp_path / "a.png")
    line = f"{verb} {what} --model {folder} --out {tmp_path / 'out'} {options}"
    assert cli.main(line.split()) == 2
    assert capsys.readouterr().err == (
        f"triptych: error: --model {folder}: a folder of label images is read, not run; "
        f"leave out {named}\n"
    )
    assert not (tmp_path / "out").exists()
    assert open_labeller(str(folder), device="cpu").name == "truth"


def test_beside_a_network_label_images_stay_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "truth"
    folder.mkdir()
    Image.fromarray(np.full((32, 48), 13, np.uint8)).save(folder / "a.png")
    street, labels = open_labellers(
        ["street", str(folder)], [], size=(64, 96), runtime="torch", device="cpu"
    )
    assert isinstance(street, NetworkLabeller)
    assert (street.size, street.runtime, street.weights) == ("96x64", "torch float32", "published")
    assert (labels.labels(PICTURES, KEYS) == 13).all()


def mean_iou(model: str, weights: Path, camvid: Path, size: tuple[int, int]) -> float:
    """On every twentieth CamVid val frame, 11 classes, from the definition of IoU."""
    labeller = open_labeller(model, weights=weights, size=size, runtime="torch")
    confusion = np.zeros((11, 11), np.int64)
    for frame in sorted((camvid / "val").iterdir())[::20]:
        truth = np.asarray(Image.open(camvid / "valannot" / f"{frame.stem}.png"))
        image = np.asarray(Image.open(frame).convert("RGB"))
        got = CAMVID_IDS[labeller.labels(image[None], KEYS, truth.shape)[0]]
        np.add.at(confusion, (truth[truth < 11], got[truth < 11]), 1)
    hits = confusion.diagonal()
    union = confusion.sum(0) + confusion.sum(1) - hits
    return float((hits[union > 0] / union[union > 0]).mean())


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """On a busy machine the threads of one operation mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_one_thread")
def test_published_weights_segment_real_frames(shared: Path) -> None:
    weights, camvid = shared / "weights", shared / "data" / "CamVid"
    score = {
        scale: mean_iou(
            f"espnetv2-s{scale}",
            weights / f"espnetv2_s_{scale}_city_1024x512.pth",
            camvid,
            (480, 640),
        )
        for scale in ("2.0", "0.5")
    }
    assert score["2.0"] == pytest.approx(0.59, abs=0.05)
    assert score["2.0"] > score["0.5"] + 0.08
