"""Checkpoints of mmsegmentation: every entry lands in its place, whatever else a file holds.

Their names and shapes are worked out here from the architecture, and the network that they
describe is computed step by step from the entries under their published names.
"""

from __future__ import annotations

import hashlib
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from triptych.errors import UserError
from triptych.inference import Prepared, Runtime
from triptych.segment.models import create, entry
from triptych.segment.models.base import SegmentationModel
from triptych.segment.models.mmseg_names import from_mmseg
from triptych.segment.network import open_network
from triptych.weights import load

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
BINS = (1, 2, 3, 6)
META = {
    "mmseg_version": "0.5.0+", "CLASSES": ("road", "sidewalk"), "PALETTE": [[128, 64, 128]],
    "config": "norm_cfg = dict(type='SyncBN')", "epoch": 215, "iter": 80000,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def shapes(depth: int, classes: int = 19) -> dict[str, tuple[int, ...]]:
    """Every entry of a published PSPNet by its name."""
    found: dict[str, tuple[int, ...]] = {}

    def norm(name: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"{name}.{part}"] = (channels,)
        found[f"{name}.num_batches_tracked"] = ()

    def convolution(name: str, outputs: int, inputs: int, kernel: int, batch_norm: str) -> None:
        found[f"{name}.weight"] = (outputs, inputs, kernel, kernel)
        norm(batch_norm, outputs)

    stem = "backbone.stem"
    convolution(f"{stem}.0", 32, 3, 3, f"{stem}.1")
    convolution(f"{stem}.3", 32, 32, 3, f"{stem}.4")
    convolution(f"{stem}.6", 64, 32, 3, f"{stem}.7")
    inputs = 64
    for stage, blocks in enumerate(BLOCKS[depth]):
        width = 64 * 2**stage
        for number in range(blocks):
            block = f"backbone.layer{stage + 1}.{number}"
            convolution(f"{block}.conv1", width, inputs, 1, f"{block}.bn1")
            convolution(f"{block}.conv2", width, width, 3, f"{block}.bn2")
            convolution(f"{block}.conv3", 4 * width, width, 1, f"{block}.bn3")
            if number == 0:
                side = f"{block}.downsample"
                convolution(f"{side}.0", 4 * width, inputs, 1, f"{side}.1")
            inputs = 4 * width
    head = "decode_head"
    for level in range(len(BINS)):
        place = f"{head}.psp_modules.{level}.1"
        convolution(f"{place}.conv", 512, 2048, 1, f"{place}.bn")
    convolution(f"{head}.bottleneck.conv", 512, 4096, 3, f"{head}.bottleneck.bn")
    aux = "auxiliary_head"
    convolution(f"{aux}.convs.0.conv", 256, 1024, 3, f"{aux}.convs.0.bn")
    for name, width in ((head, 512), (aux, 256)):
        found[f"{name}.conv_seg.weight"] = (classes, width, 1, 1)
        found[f"{name}.conv_seg.bias"] = (classes,)
    return found


def weights_of(depth: int) -> OrderedDict[str, Tensor]:
    """A checkpoint with values that keep the maps alive, another one for each entry."""
    state: OrderedDict[str, Tensor] = OrderedDict()
    for name, shape in shapes(depth).items():
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "little")
        draw = torch.Generator().manual_seed(seed)
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(80000)
        elif len(shape) == 4:
            spread = (2 / (shape[1] * shape[2] * shape[3])) ** 0.5
            state[name] = torch.randn(shape, generator=draw) * spread
        elif name.endswith(("running_var", "weight")):
            state[name] = torch.rand(shape, generator=draw) * 0.5 + 0.5
        else:
            state[name] = torch.randn(shape, generator=draw) * 0.1
    return state


def reference(w: dict[str, Tensor], images: Tensor, depth: int) -> tuple[Tensor, Tensor]:
    """Logits and auxiliary logits that the entries describe, at the size of the images."""

    def conv_norm(x: Tensor, conv: str, norm: str, stride: int = 1, dilation: int = 1) -> Tensor:
        kernel = w[f"{conv}.weight"]
        padding = dilation * (kernel.shape[-1] // 2)
        x = F.conv2d(x, kernel, stride=stride, padding=padding, dilation=dilation)
        mean, var = w[f"{norm}.running_mean"], w[f"{norm}.running_var"]
        return F.batch_norm(x, mean, var, w[f"{norm}.weight"], w[f"{norm}.bias"], eps=1e-5)

    x = images
    for first, stride in ((0, 2), (3, 1), (6, 1)):
        place = "backbone.stem"
        x = conv_norm(x, f"{place}.{first}", f"{place}.{first + 1}", stride).relu()
    x = F.max_pool2d(x, 3, 2, 1)
    earlier = x
    # strides (1, 2, 1, 1), dilations (1, 1, 2, 4), the first block of a stage has half of it
    for stage, (blocks, stride, dilation) in enumerate(
        zip(BLOCKS[depth], (1, 2, 1, 1), (1, 1, 2, 4), strict=True), start=1
    ):
        earlier = x
        for number in range(blocks):
            block = f"backbone.layer{stage}.{number}"
            step, wide = (stride, max(dilation // 2, 1)) if number == 0 else (1, dilation)
            y = conv_norm(x, f"{block}.conv1", f"{block}.bn1").relu()
            y = conv_norm(y, f"{block}.conv2", f"{block}.bn2", step, wide).relu()
            y = conv_norm(y, f"{block}.conv3", f"{block}.bn3")
            if number == 0:
                x = conv_norm(x, f"{block}.downsample.0", f"{block}.downsample.1", step)
            x = (x + y).relu()
    pooled = [x]
    for level, bins in enumerate(BINS):
        place = f"decode_head.psp_modules.{level}.1"
        y = conv_norm(cells(x, bins), f"{place}.conv", f"{place}.bn").relu()
        pooled.append(F.interpolate(y, x.shape[2:], mode="bilinear", align_corners=False))
    place = "decode_head.bottleneck"
    fused = conv_norm(torch.cat(pooled, 1), f"{place}.conv", f"{place}.bn").relu()
    place = "auxiliary_head.convs.0"
    side = conv_norm(earlier, f"{place}.conv", f"{place}.bn").relu()
    outputs = [
        F.conv2d(y, w[f"{head}.conv_seg.weight"], w[f"{head}.conv_seg.bias"])
        for head, y in (("decode_head", fused), ("auxiliary_head", side))
    ]
    logits, aux = (
        F.interpolate(y, images.shape[2:], mode="bilinear", align_corners=False) for y in outputs
    )
    return logits, aux


def cells(x: Tensor, bins: int) -> Tensor:
    """Averages over a grid: cell i goes from floor(i n / bins) to ceil((i + 1) n / bins)."""
    rows, columns = (
        [(i * n // bins, -(-(i + 1) * n // bins)) for i in range(bins)] for n in x.shape[2:]
    )
    return torch.stack(
        [torch.stack([x[:, :, a:b, c:d].mean((2, 3)) for c, d in columns], -1) for a, b in rows],
        -2,
    )


@pytest.fixture(scope="module")
def state() -> OrderedDict[str, Tensor]:
    return weights_of(50)


@pytest.fixture(scope="module")
def model(state: OrderedDict[str, Tensor]) -> SegmentationModel:
    made = create("pspnet-r50").eval()
    made.load_published({"state_dict": state, "meta": META})
    return made


def test_the_network_is_the_one_that_the_entries_describe(
    model: SegmentationModel, state: OrderedDict[str, Tensor]
) -> None:
    images = torch.randn(1, 3, 89, 107, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        found = model.forward_train(images)
        logits, aux = reference(state, images, 50)
    assert logits.std() > 0.1
    torch.testing.assert_close(found["logits"], logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found["aux"], aux, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model(images), logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("depth", [50, 101])
def test_every_entry_is_accounted_for(depth: int) -> None:
    published = {name: torch.empty(s, device="meta") for name, s in shapes(depth).items()}
    with torch.device("meta"):
        own = create(f"pspnet-r{depth}").state_dict()
    converted = from_mmseg(published)
    assert len(converted) == len(published)
    assert {k: v.shape for k, v in converted.items()} == {k: v.shape for k, v in own.items()}
    counted = sum(
        v.numel() for k, v in published.items() if "running" not in k and "num_batch" not in k
    )
    assert counted == entry(f"pspnet-r{depth}").parameters


def test_other_names_stay_as_they_are() -> None:
    names = (
        "backbone.stem.9.weight", "backbone.layer4.2.bn3.bias", "decode_head.psp_modules.1.bn.bias",
        "decode_head.conv_cat.conv.weight", "head.classify.bias", "x.backbone.stem.0.weight",
    )  # fmt: skip
    assert list(from_mmseg(dict.fromkeys(names, torch.zeros(1)))) == list(names)


def test_faulty_checkpoints_are_one_clear_line(
    model: SegmentationModel, state: OrderedDict[str, Tensor]
) -> None:
    def refused(weights: dict[str, Tensor]) -> str:
        with pytest.raises(UserError) as error:
            model.load_published({"state_dict": weights, "meta": META})
        assert "\n" not in str(error.value)
        return str(error.value)

    lacking = {k: v for k, v in state.items() if k != "decode_head.conv_seg.bias"}
    assert "1 of its entries missing (head.classify.bias)" in refused(lacking)
    extra = {**state, "decode_head.conv_cat.conv.weight": torch.zeros(1)}
    assert "1 entries it does not have (decode_head.conv_cat.conv.weight)" in refused(extra)
    ade = {**state, "decode_head.conv_seg.weight": torch.zeros(150, 512, 1, 1)}
    assert "head.classify.weight is (150, 512, 1, 1) there and (19, 512, 1, 1) here" in (
        refused(ade)
    )
    plain_stem = {k: v for k, v in state.items() if ".stem." not in k}
    plain_stem["backbone.conv1.weight"] = torch.zeros(64, 3, 7, 7)
    assert "18 of its entries missing" not in refused(plain_stem)
    assert "backbone.conv1.weight" in refused(plain_stem)


@pytest.mark.parametrize("legacy", [True, False])
def test_files_with_scores_and_histories_beside_the_weights_load(
    tmp_path: Path, legacy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As training programs write them: numpy scalars and arrays, mmengine's histories."""
    packages = ("mmengine", "mmengine.logging", "mmengine.logging.history_buffer")
    modules = [types.ModuleType(name) for name in packages]
    history = type("HistoryBuffer", (), {"__module__": packages[-1]})
    modules[-1].HistoryBuffer = history  # type: ignore[attr-defined]
    losses = history()
    losses.values = np.arange(3.0)  # type: ignore[attr-defined]
    content = {
        "meta": {**META, "hook_msgs": {"best_score": np.float64(0.78)}},
        "message_hub": {"log_scalars": OrderedDict(loss=losses)},
        "state_dict": OrderedDict({"decode_head.conv_seg.bias": torch.arange(19.0)}),
    }
    path = tmp_path / "model.pth"
    with monkeypatch.context() as installed:
        for name, module in zip(packages, modules, strict=True):
            installed.setitem(sys.modules, name, module)
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    weights = load(path)["state_dict"]
    assert isinstance(weights, OrderedDict)
    assert torch.equal(weights["decode_head.conv_seg.bias"], torch.arange(19.0))


def test_a_whole_file_labels_pictures(
    model: SegmentationModel, state: OrderedDict[str, Tensor], tmp_path: Path
) -> None:
    """The format of 2020: a bare pickle, meta beside the weights."""
    path = tmp_path / "pspnet.pth"
    torch.save({"meta": META, "state_dict": state}, path, _use_new_zipfile_serialization=False)
    pictures = np.random.default_rng(0).integers(0, 256, (1, 40, 56, 3), np.uint8)
    opened = open_network("pspnet-r50", path)
    path.unlink()  # 200 MB
    prepared = Prepared(
        opened.model,
        opened.normalisation,
        len(opened.classes),
        runtime=Runtime("torch"),
        device=torch.device("cpu"),
    )
    found = prepared.labels(pictures)
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    images = torch.from_numpy(((pictures - mean) / std).transpose(0, 3, 1, 2).astype(np.float32))
    with torch.inference_mode():
        wanted = model(images).argmax(1).numpy()
    assert (found == wanted).mean() > 0.99
    assert len(np.unique(wanted)) > 1


def test_the_registry_says_where_the_files_are_and_how_they_are_known() -> None:
    for name in ("pspnet-r50", "pspnet-r101"):
        known = entry(name)
        assert known.weights is not None
        assert known.weights.licence == "Apache-2.0"
        assert known.weights.sha256 is not None
        assert known.weights.address is not None
        assert known.weights.file.endswith(f"-{known.weights.sha256}.pth")
        assert known.weights.address.endswith(f"/{known.weights.file}")
        assert known.weights.address.startswith("https://download.openmmlab.com/")
