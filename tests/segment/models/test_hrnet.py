"""The HRNets published with InverseForm: their names, their trunk against timm's, their outputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

from triptych import recipe as recipes
from triptych.audit import audit_run
from triptych.errors import UserError
from triptych.segment import train as training
from triptych.segment.models import create, describe, entry, records
from triptych.segment.models.base import SegmentationModel
from triptych.segment.models.catalogue import ENTRIES
from triptych.segment.models.hrnet import HRNet
from triptych.segment.models.hrnet_ocr import HRNetOCR
from triptych.segment.models.hrnet_trunk import HRNetTrunk
from triptych.segment.models.resize import resize
from triptych.segment.recipes import SegmentRecipe

Untrained = Callable[[SegmentationModel, str], tuple[list[str], list[str]]]

PUBLISHED = {
    "hrnet48-ocr-hms-if": "ecf3107684e6bc8c289c4cafd29a43ccabc61155c05f9be0f11a33e5b8884841",
    "hrnet48-ocr-if": "1676bc36e910e1a704cd997b50c5d320c4e5b561862e48b576ec0ad330afdf5b",
    "hrnet18-if": "cadc385457cb8d0a036b2e1f5b75e894c2a284c0414b03209c88c733f087372e",
    "hrnet16s-if": "16b54ab11eb01e2d5db5c39e416444d438e4788c680786915804d20963035789",
}
"""SHA-256 of every entry's name and shape in the published checkpoint, sorted."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small tensors: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def images(height: int, width: int, seed: int = 7) -> torch.Tensor:
    noise = np.random.default_rng(seed).normal(0, 1, (1, 3, height, width))
    return torch.from_numpy(noise.astype(np.float32))


def settle(module: nn.Module) -> nn.Module:
    """Evaluation mode, with batch norms that do something, as after training."""
    torch.manual_seed(3)
    with torch.no_grad():
        for each in module.modules():
            if isinstance(each, nn.BatchNorm2d):
                each.running_mean.normal_(0, 0.1)
                each.running_var.uniform_(0.5, 1.5)
                each.weight.uniform_(0.4, 0.8)
                each.bias.normal_(0, 0.1)
    return module.eval()


def fingerprint(shapes: Mapping[str, tuple[int, ...]]) -> str:
    lines = sorted(f"{name} {tuple(shape)}" for name, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def own_shapes(name: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in create(name).state_dict().items()}


def manifest(shared: Path, name: str) -> dict[str, tuple[int, ...]]:
    file = shared / "reference" / f"{name.replace('-', '_')}_manifest.json"
    return {key: tuple(shape) for key, (shape, _) in json.loads(file.read_text()).items()}


@pytest.mark.parametrize("name", PUBLISHED)
class TestPublishedNames:
    def test_entries_and_shapes_are_those_of_the_checkpoint(self, name: str) -> None:
        assert fingerprint(own_shapes(name)) == PUBLISHED[name]

    def test_the_kept_hashes_are_those_of_the_manifests(self, name: str, shared: Path) -> None:
        assert fingerprint(manifest(shared, name)) == PUBLISHED[name]

    def test_the_registry_says_what_it_is(self, name: str) -> None:
        known = entry(name)
        assert known.weights is not None
        assert known.weights.address == (
            "https://github.com/Qualcomm-AI-research/InverseForm/releases/download/v1.0/"
            f"{known.weights.file}"
        )
        assert known.weights.licence == "BSD-3-Clause-Clear"
        assert known.edges
        assert bool(known.scales) == ("hms" in name)
        with torch.device("meta"):
            model = create(name)
        assert sum(p.numel() for p in model.parameters()) == known.parameters


def weights_by_name(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Values drawn for each entry from its name alone."""
    drawn: dict[str, torch.Tensor] = {}
    for name, shape in shapes.items():
        digest = hashlib.sha256(name.encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        if name.endswith("num_batches_tracked"):
            drawn[name] = torch.zeros((), dtype=torch.int64)
            continue
        if name.endswith("running_var"):
            values = rng.uniform(0.5, 1.5, shape)
        elif name.endswith("running_mean"):
            values = rng.normal(0, 0.1, shape)
        elif len(shape) >= 2:
            values = rng.normal(0, 1, shape) * 1.4 / np.sqrt(np.prod(shape[1:]))
        elif name.endswith("weight"):
            values = rng.uniform(0.45, 0.75, shape)
        else:
            values = rng.normal(0, 0.1, shape)
        drawn[name] = torch.from_numpy(values.astype(np.float32))
    return drawn


def test_outputs_are_those_of_the_published_network(shared: Path) -> None:
    golden = np.load(shared / "reference" / "hrnet18_if_golden.npz")
    model = create("hrnet18-if").eval()
    weights = weights_by_name(manifest(shared, "hrnet18-if"))
    model.load_published({"state_dict": {f"module.{k}": v for k, v in weights.items()}})
    with torch.inference_mode():
        logits = model(images(128, 256))
        trained = model.forward_train(images(128, 256))
    for key, got in (("pred", logits), ("edge_pred", trained["edges"])):
        error = np.abs(got[:, :, ::4, ::4].numpy() - golden[key]).max()
        assert error < 1e-4 * np.abs(golden[key]).max()
    assert torch.equal(trained["logits"], logits)


@pytest.mark.parametrize(
    ("twin", "blocks", "modules"),
    [("hrnet_w18_small_v2", 2, (1, 3, 2)), ("hrnet_w18", 4, (1, 4, 3))],
)
def test_the_trunk_is_timms_but_for_the_interpolation(
    twin: str, blocks: int, modules: tuple[int, int, int]
) -> None:
    """`hrnet_w18` is built as the W48 of the checkpoints is, only narrower."""
    theirs = settle(timm.create_model(twin))
    ours = HRNetTrunk(18, blocks, modules).eval()
    given = theirs.state_dict()
    ours.load_state_dict({name: given[name] for name in ours.state_dict()}, strict=True)
    nearest = [m for m in theirs.modules() if isinstance(m, nn.Upsample)]
    assert nearest
    with torch.inference_mode():
        repeated = theirs.stages(stem(theirs, images(64, 128)))
        for module in nearest:
            module.mode, module.align_corners = "bilinear", False
        expected = theirs.stages(stem(theirs, images(64, 128)))
        got = ours(images(64, 128)).split([18, 36, 72, 144], 1)
    assert torch.equal(got[0], expected[0])
    assert not torch.allclose(got[0], repeated[0], rtol=1e-2, atol=1e-2)
    for coarse, joined in zip(expected[1:], got[1:], strict=True):
        assert torch.equal(resize(coarse, like=got[0]), joined)


def stem(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    for name in ("conv1", "bn1", "act1", "conv2", "bn2", "act2"):
        x = getattr(net, name)(x)
    return x


def test_the_slim_network_shrinks_the_picture_first() -> None:
    plain, halved = HRNetTrunk(4, 1, (1, 1, 1)), HRNetTrunk(4, 1, (1, 1, 1), halved=True)
    halved.load_state_dict(plain.state_dict(), strict=False)
    assert halved.conv0 is not None
    with torch.no_grad():
        halved.conv0.weight.copy_(torch.eye(3).view(3, 3, 1, 1).expand(3, 3, 2, 2) / 4)
    x = images(40, 64)
    mean = nn.functional.avg_pool2d(x, 2)
    with torch.inference_mode():
        torch.testing.assert_close(halved.eval()(x), plain.eval()(mean))


def narrow_trunk(halved: bool = False) -> HRNetTrunk:
    return HRNetTrunk(4, 1, (1, 1, 1), halved)


NARROW: dict[str, Callable[..., Any]] = {
    "plain": lambda classes=5: HRNet(classes, narrow_trunk()),
    "slim": lambda classes=5: HRNet(classes, narrow_trunk(halved=True), hidden=6, bias=False),
    "ocr": lambda classes=5: HRNetOCR(classes, narrow_trunk(), mid=12, key=6),
}
"""The published networks, only narrower and less deep."""


@pytest.mark.parametrize("kind", NARROW)
class TestEveryHRNet:
    @pytest.mark.parametrize("size", [(2, 2), (3, 2), (1025, 9), (33, 47), (64, 96)])
    def test_any_size(self, kind: str, size: tuple[int, int]) -> None:
        model = settle(NARROW[kind]())
        with torch.inference_mode():
            logits = model(images(*size))
        assert logits.shape == (1, 5, *size)
        assert logits.isfinite().all()

    def test_what_training_gets(self, kind: str) -> None:
        model = settle(NARROW[kind]())
        with torch.inference_mode():
            found = model.forward_train(images(33, 47))
            assert torch.equal(found["logits"], model(images(33, 47)))
        assert found["aux"].shape == (1, 5, 33, 47)
        assert found["edges"].shape == found["aux_edges"].shape == (1, 1, 33, 47)
        width = model.edgeocr_cls_head.in_channels
        assert found["features"].shape == (1, width, *((4, 6) if kind == "slim" else (9, 12)))

    def test_boundaries_are_logits_of_the_finest_features(self, kind: str) -> None:
        model = settle(NARROW[kind]())
        with torch.inference_mode():
            found = model.forward_train(images(33, 47))
            weight, bias = model.edgeocr_cls_head.weight[0, :, 0, 0], model.edgeocr_cls_head.bias
            by_hand = torch.einsum("c,nchw->nhw", weight, found["features"])[:, None] + bias
            expected = nn.functional.interpolate(by_hand, (33, 47), mode="bilinear")
        torch.testing.assert_close(found["edges"], expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("boundary", ["edges", "inverseform"])
    def test_where_boundaries_are_learnt_everything_learns(
        self, kind: str, boundary: str, untrained: Untrained
    ) -> None:
        assert untrained(NARROW[kind](), boundary) == ([], [])

    def test_where_none_are_learnt_their_heads_are_frozen(
        self, kind: str, untrained: Untrained
    ) -> None:
        missed, frozen = untrained(NARROW[kind](), "none")
        assert missed == []
        heads = ("edge_head.", "edgeocr_cls_head.")
        assert frozen == [n for n, _ in NARROW[kind]().named_parameters() if n.startswith(heads)]
        assert len(frozen) == 8

    @pytest.mark.parametrize("boundary", ["none", "inverseform"])
    def test_the_audit_of_a_training_finds_no_flaw(
        self, kind: str, boundary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = replace(entry("hrnet18-if"), builder=lambda classes: NARROW[kind](classes))
        monkeypatch.setitem(ENTRIES, "narrow", made)
        settings = [
            "model=narrow", f"boundary={boundary}", "data=streets:scenes=2,frames=2,size=72x64",
            "val_data=none", "epochs=2", "batch_size=2", "init=random",
        ]  # fmt: skip
        asked = recipes.override(recipes.get("segment/tiny"), settings)
        assert isinstance(asked, SegmentRecipe)
        training.train(asked, 0, tmp_path / "run", device="cpu", show_progress=False)
        found = {line.about: line for line in audit_run(tmp_path / "run")}
        assert found["frozen"].finding == "fair"
        assert ("no prediction depends on" in found["frozen"].text) == (boundary == "none")


def test_weights_of_a_sister_are_refused() -> None:
    with pytest.raises(UserError, match="not weights of this HRNetOCR"):
        NARROW["ocr"]().load_published(NARROW["plain"]().state_dict())


def test_the_table_states_peak_memory() -> None:
    lines = {line.split()[0]: line for line in describe(records()).splitlines()}
    assert "peak memory" in lines["model"]
    assert " 8.9 GiB " in lines["hrnet48-ocr-hms-if"]
    stated = {r["name"]: r["peak_memory_gib"] for r in records()}
    assert stated["hrnet48-ocr-if"] == 3.2
    assert all(stated[name] for name in (*PUBLISHED, "espnetv2-s2.0", "dabnet"))
