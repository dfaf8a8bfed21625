"""Models of segmentation-models-pytorch: by name, from run folders, from folders it saved."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from triptych import recipe as recipes
from triptych.data.class_record import write_classes
from triptych.data.classes import CAMVID, CITYSCAPES, ClassSet
from triptych.errors import UserError
from triptych.normalisation import IMAGENET, Normalisation
from triptych.segment import train as training
from triptych.segment.models import create, entry, is_name
from triptych.segment.models.base import SegmentationModel
from triptych.segment.models.label_folder import LabelFolder
from triptych.segment.network import open_network
from triptych.segment.open_labeller import open_labeller
from triptych.segment.recipes import SegmentRecipe
from triptych.segment.study import check, source_digest
from triptych.study import Predictions

pytestmark = pytest.mark.filterwarnings("ignore:`timm-` encoders:DeprecationWarning")

LITE = "smp:linknet:timm-tf_efficientnet_lite0"
HALVES = Normalisation(mean=(0.5,) * 3, std=(0.5,) * 3, scale=1 / 255)
"""As timm's EfficientNet-Lite was trained."""
SMALL = {"encoder_name": "resnet18", "encoder_depth": 3, "encoder_weights": None}
"""A model of 0.8 M parameters, stride 8."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def stirred(network: nn.Module) -> nn.Module:
    """In evaluation mode, with batch norms that do something."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for each in network.modules():
            if isinstance(each, nn.BatchNorm2d):
                each.running_mean.normal_(0, 0.1, generator=generator)
                each.running_var.uniform_(0.5, 1.5, generator=generator)
    return network.eval()


def theirs(name: str, encoder: str, classes: int) -> nn.Module:
    torch.manual_seed(1)
    return stirred(smp.create_model(name, encoder, encoder_weights=None, classes=classes))


@pytest.fixture(scope="module")
def reference() -> nn.Module:
    return theirs("linknet", "timm-tf_efficientnet_lite0", 11)


@pytest.fixture(scope="module")
def model(reference: nn.Module) -> SegmentationModel:
    made = create(LITE, 11).eval()
    made.load_published({"state_dict": reference.state_dict()})
    return made


class TestByName:
    @pytest.mark.parametrize("size", [(64, 96), (33, 47), (20, 100)])
    def test_it_is_the_packages_network_at_any_size(
        self, model: SegmentationModel, reference: nn.Module, size: tuple[int, int]
    ) -> None:
        height, width = size
        images = torch.randn(2, 3, *size)
        padded = F.pad(images, (0, -width % 32, 0, -height % 32))
        with torch.inference_mode():
            got, wanted = model(images), reference(padded)[..., :height, :width]
        assert got.shape == (2, 11, *size)
        assert wanted.std() > 0.01
        torch.testing.assert_close(got, wanted)

    @pytest.mark.parametrize("architecture", ["unet", "fpn", "pspnet", "deeplabv3plus", "pan"])
    def test_other_architectures(self, architecture: str) -> None:
        network = theirs(architecture, "resnet18", 3)
        made = create(f"smp:{architecture}:resnet18", 3).eval()
        made.load_published(network.state_dict())
        images = torch.randn(1, 3, 128, 160)
        with torch.inference_mode():
            torch.testing.assert_close(made(images), network(images))
            assert made(images[..., :121, :150]).shape == (1, 3, 121, 150)

    def test_training_gives_the_map_before_the_classes(self, model: SegmentationModel) -> None:
        images = torch.randn(2, 3, 64, 96)
        head = model.get_submodule("head")
        with torch.inference_mode():
            found = model.forward_train(images)
            torch.testing.assert_close(head(found["features"]), found["logits"])
            torch.testing.assert_close(found["logits"], model(images))
            odd = model.forward_train(images[..., :50, :70])
        assert found["features"].shape == (2, 32, 64, 96)
        assert odd["features"].shape == (2, 32, 50, 70)
        assert odd["logits"].shape == (2, 11, 50, 70)

    def test_own_names_load_too(self, model: SegmentationModel) -> None:
        other = create(LITE, 11)
        other.load_published(model.state_dict())
        for name, value in other.state_dict().items():
            assert torch.equal(value, model.state_dict()[name]), name

    def test_faulty_weights_are_one_clear_line(
        self, model: SegmentationModel, reference: nn.Module
    ) -> None:
        state = dict(reference.state_dict())
        state.pop("segmentation_head.0.bias")
        with pytest.raises(UserError, match=r"1 of its entries missing \(head\.0\.bias\)") as error:
            model.load_published(state)
        assert "\n" not in str(error.value)

    def test_what_is_known_of_it(self) -> None:
        known = entry(LITE)
        assert (known.name, known.outputs, known.classes) == (LITE, 19, CITYSCAPES)
        assert (known.normalisation, known.weights) == (HALVES, None)
        assert entry("smp:linknet:resnet18").normalisation == IMAGENET
        network = theirs("linknet", "timm-tf_efficientnet_lite0", 19)
        assert known.parameters == sum(each.numel() for each in network.parameters())
        assert is_name(LITE)
        assert is_name("tiny")
        assert not is_name("tony")

    def test_asking_about_a_model_changes_no_random_number(self) -> None:
        torch.manual_seed(3)
        entry("smp:fpn:mobilenet_v2")
        drawn = torch.rand(1)
        torch.manual_seed(3)
        assert torch.equal(drawn, torch.rand(1))

    @pytest.mark.parametrize(
        ("name", "answer"),
        [
            ("smp:linknt:resnet18", r"no architecture 'linknt'; did you mean linknet\?"),
            ("smp:qq:resnet18", r"no architecture 'qq'; there are unet, unetplusplus"),
            ("smp:linknet:resnet19", r"no encoder 'resnet19'; did you mean resnet18"),
            ("smp:unet:tu-resnet19", r"no encoder 'tu-resnet19'; did you mean tu-"),
            ("smp:linknet:mit_b0", r"linknet with the encoder mit_b0: Encoder `mit_b0` is not sup"),
            ("smp:linknet", r"'smp:linknet' is no model: write smp:ARCHITECTURE:ENCODER"),
            ("smp:linknet:", r"write smp:ARCHITECTURE:ENCODER"),
            ("smp:linknet:resnet18:x", r"write smp:ARCHITECTURE:ENCODER"),
        ],
    )
    def test_names_that_are_none(self, name: str, answer: str) -> None:
        with pytest.raises(UserError, match=answer) as error:
            entry(name)
        assert "\n" not in str(error.value)
        with pytest.raises(UserError, match=answer):
            create(name, 3)
        recipe = recipes.override(recipes.get("segment/tiny"), [f"model={name}"])
        assert isinstance(recipe, SegmentRecipe)
        with pytest.raises(UserError, match=answer):
            check(recipe)

    def test_without_the_package_one_line_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
        with pytest.raises(UserError, match=r"pip install 'triptych\[smp\]'"):
            entry("smp:manet:resnet34")

    def test_weights_are_given_by_a_file(self, model: SegmentationModel, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="has no published weights"):
            open_network(LITE)
        network = theirs("linknet", "timm-tf_efficientnet_lite0", 19)
        torch.save(network.state_dict(), tmp_path / "a.pth")
        torch.save(model.state_dict(), tmp_path / "b.pth")
        opened = open_network(LITE, tmp_path / "a.pth")
        assert (opened.name, opened.architecture, opened.classes) == (LITE, LITE, CITYSCAPES)
        with pytest.raises(UserError, match=r"b\.pth: .*head.0.weight is \(11, 32, 1, 1\) there"):
            open_network(LITE, tmp_path / "b.pth")
        digests = {
            source_digest(Predictions(source=LITE, weights=tmp_path / file))
            for file in ("a.pth", "b.pth")
        }
        assert len(digests) == 2


def test_a_run_is_trained_and_opened_again(tmp_path: Path) -> None:
    settings = [
        f"model={LITE}", "data=streets:scenes=2,frames=2,size=72x40", "val_data=none",
        "epochs=1", "batch_size=2",
    ]  # fmt: skip
    recipe = recipes.override(recipes.get("segment/tiny"), settings)
    assert isinstance(recipe, SegmentRecipe)
    folder = tmp_path / "run" / "seed-0"
    result = training.train(recipe, 0, folder, device="cpu", show_progress=False)
    assert result["parameters"] == entry(LITE).parameters
    opened = open_network(str(folder))
    assert (opened.name, opened.architecture) == ("run/seed-0", LITE)
    assert opened.classes == CITYSCAPES
    images = torch.randn(1, 3, 40, 72)
    with torch.inference_mode():
        assert opened.model(images).shape == (1, 19, 40, 72)


def saved(folder: Path, classes: int, **more: object) -> nn.Module:
    torch.manual_seed(classes)
    network = stirred(
        smp.Unet(**{**SMALL, "classes": classes, "decoder_channels": (32, 16, 8), **more})
    )
    network.save_pretrained(folder)
    return network


class TestFolders:
    def test_a_saved_folder_labels_pictures(self, tmp_path: Path) -> None:
        network = saved(tmp_path / "mine", 19, encoder_weights=None, activation="softmax2d")
        opened = open_network(str(tmp_path / "mine"))
        assert (opened.name, opened.architecture) == ("mine", "smp:unet:resnet18")
        assert (opened.classes, opened.normalisation) == (CITYSCAPES, IMAGENET)
        images = torch.randn(1, 3, 40, 56)
        with torch.inference_mode():
            torch.testing.assert_close(opened.model(images).softmax(1), network(images))
        labeller = open_labeller(str(tmp_path / "mine"), runtime="torch", size=(40, 56))
        pictures = np.zeros((1, 32, 48, 3), np.uint8)
        assert labeller.labels(pictures, []).shape == (1, 32, 48)

    def test_classes_are_known_by_their_number_or_a_record(self, tmp_path: Path) -> None:
        saved(tmp_path / "eleven", 11)
        assert open_network(str(tmp_path / "eleven")).classes == CAMVID
        saved(tmp_path / "three", 3)
        with pytest.raises(
            UserError, match=r"what the 3 classes are is not known: .*classes\.json"
        ):
            open_network(str(tmp_path / "three"))
        colours = ((1, 2, 3), (4, 5, 6), (7, 8, 9))
        mine = ClassSet("mine", ("a", "b", "c"), colours)
        write_classes(tmp_path / "three", mine)
        assert open_network(str(tmp_path / "three")).classes == mine
        write_classes(tmp_path / "three", ClassSet("two", ("a", "b"), colours[:2]))
        with pytest.raises(UserError, match=r"names 2 classes, the model has 3"):
            open_network(str(tmp_path / "three"))

    def test_pictures_are_normalised_as_timm_says_of_its_encoders(self, tmp_path: Path) -> None:
        for encoder, wanted in (("tu-tf_efficientnet_lite0", HALVES), ("tu-resnet18", IMAGENET)):
            folder = tmp_path / encoder
            saved(folder, 19, encoder_name=encoder)
            cfg = timm.get_pretrained_cfg(encoder.removeprefix("tu-"))
            assert (cfg.mean, cfg.std) == (wanted.mean, wanted.std)
            assert open_network(str(folder)).normalisation == wanted

    def test_the_folder_itself_may_say_how_pictures_are_normalised(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        saved(tmp_path, 19)
        assert open_network(str(tmp_path)).normalisation == IMAGENET
        (warning,) = (r.getMessage() for r in caplog.records if r.levelname == "WARNING")
        assert "how pictures are normalised for resnet18: as for ImageNet" in warning
        assert "\n" not in warning
        caplog.clear()
        says = {"mean": [1, 2, 3], "std": [4, 5, 6.5], "scale": 1}
        file = tmp_path / "classes.json"
        file.write_text(json.dumps({"normalisation": says}))
        opened = open_network(str(tmp_path))
        assert opened.normalisation == Normalisation((1.0, 2.0, 3.0), (4.0, 5.0, 6.5), 1.0)
        assert opened.classes == CITYSCAPES
        assert not caplog.records
        write_classes(tmp_path, CITYSCAPES)
        file.write_text(json.dumps(json.loads(file.read_text()) | {"normalisation": says}))
        assert open_network(str(tmp_path)).normalisation == opened.normalisation

    @pytest.mark.parametrize(
        "change",
        [{"mean": [1, 2]}, {"std": [0, 1, 1]}, {"scale": "x"}, {"mean": None}, {"scale": -1},
         {"mean": [float("nan"), 0, 0]}, {"std": 3}],
    )  # fmt: skip
    def test_a_record_of_normalisation_that_is_none(
        self, tmp_path: Path, change: dict[str, object]
    ) -> None:
        saved(tmp_path, 19)
        says = {"mean": [1, 2, 3], "std": [4, 5, 6.5], "scale": 1} | change
        (tmp_path / "classes.json").write_text(json.dumps({"normalisation": says}))
        with pytest.raises(UserError, match=r"classes\.json: normalisation must hold mean and std"):
            open_network(str(tmp_path))

    def test_pytorchs_own_format(self, tmp_path: Path) -> None:
        network = saved(tmp_path, 19)
        (tmp_path / "model.safetensors").unlink()
        with pytest.raises(UserError, match=r"holds no weights: neither model\.safetensors nor py"):
            open_network(str(tmp_path))
        torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")
        assert open_network(str(tmp_path)).classes == CITYSCAPES
        state = network.state_dict()
        state.pop("segmentation_head.0.bias")
        torch.save(state, tmp_path / "pytorch_model.bin")
        with pytest.raises(UserError, match=r"pytorch_model\.bin: .*1 of its entries missing"):
            open_network(str(tmp_path))

    def test_what_labels_no_rgb_pictures_is_refused(self, tmp_path: Path) -> None:
        saved(tmp_path / "grey", 19, in_channels=1)
        with pytest.raises(UserError, match="takes 1 channels, not RGB"):
            open_network(str(tmp_path / "grey"))
        saved(tmp_path / "both", 19, aux_params={"classes": 4})
        with pytest.raises(UserError, match="also classifies whole pictures"):
            open_network(str(tmp_path / "both"))

    def test_other_folders_with_a_config_stay_what_they_are(self, tmp_path: Path) -> None:
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
        for content in ("{}", "[]", "no json", json.dumps({"model_type": "segformer"})):
            (tmp_path / "config.json").write_text(content)
            assert isinstance(open_labeller(str(tmp_path)), LabelFolder)
