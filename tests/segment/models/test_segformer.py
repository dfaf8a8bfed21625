"""SegFormer: equal to transformers' own network that loads the same published file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from triptych.errors import UserError
from triptych.segment.models import create, entry
from triptych.segment.models.base import SegmentationModel
from triptych.weights import load

WIDTHS = {"b0": (32, 64, 160, 256), "b5": (64, 128, 320, 512)}
DEPTHS = {"b0": (2, 2, 2, 2), "b5": (3, 6, 40, 3)}
DECODER = {"b0": 256, "b5": 768}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def shapes(size: str) -> dict[str, tuple[int, ...]]:
    """Every entry of a published file by the name of 2021, worked out from the architecture."""
    found: dict[str, tuple[int, ...]] = {}

    def layer(name: str, *shape: int) -> None:
        found[f"{name}.weight"] = shape
        found[f"{name}.bias"] = shape[:1]

    encoder, inputs = "segformer.encoder", 3
    for stage, (width, depth) in enumerate(zip(WIDTHS[size], DEPTHS[size], strict=True)):
        kernel, reduction = (7 if stage == 0 else 3), (8, 4, 2, 1)[stage]
        layer(f"{encoder}.patch_embeddings.{stage}.proj", width, inputs, kernel, kernel)
        layer(f"{encoder}.patch_embeddings.{stage}.layer_norm", width)
        for number in range(depth):
            block = f"{encoder}.block.{stage}.{number}"
            layer(f"{block}.layer_norm_1", width)
            for part in ("query", "key", "value"):
                layer(f"{block}.attention.self.{part}", width, width)
            if reduction > 1:
                layer(f"{block}.attention.self.sr", width, width, reduction, reduction)
                layer(f"{block}.attention.self.layer_norm", width)
            layer(f"{block}.attention.output.dense", width, width)
            layer(f"{block}.layer_norm_2", width)
            layer(f"{block}.mlp.dense1", 4 * width, width)
            layer(f"{block}.mlp.dwconv.dwconv", 4 * width, 1, 3, 3)
            layer(f"{block}.mlp.dense2", width, 4 * width)
        layer(f"{encoder}.layer_norm.{stage}", width)
        layer(f"decode_head.linear_c.{stage}.proj", DECODER[size], width)
        inputs = width
    head = DECODER[size]
    found["decode_head.linear_fuse.weight"] = (head, 4 * head, 1, 1)
    layer("decode_head.batch_norm", head)
    found["decode_head.batch_norm.running_mean"] = (head,)
    found["decode_head.batch_norm.running_var"] = (head,)
    found["decode_head.batch_norm.num_batches_tracked"] = ()
    layer("decode_head.classifier", 19, head, 1, 1)
    return found


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the hub has it, with drawn weights in a file under the published names."""
    draw = torch.Generator().manual_seed(8)
    weights: dict[str, Tensor] = {}
    for name, shape in shapes("b0").items():
        if not shape:
            weights[name] = torch.tensor(160000)
        elif name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
            weights[name] = torch.rand(shape, generator=draw) + 0.5
        else:
            fan_in = max(int(torch.tensor(shape[1:]).prod()), 1)
            weights[name] = torch.randn(shape, generator=draw) * (2 / fan_in) ** 0.5
    folder = tmp_path_factory.mktemp("segformer")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["SegformerForSemanticSegmentation"], "model_type": "segformer",
        "depths": [2, 2, 2, 2], "hidden_sizes": [32, 64, 160, 256], "decoder_hidden_size": 256,
        "num_attention_heads": [1, 2, 5, 8], "sr_ratios": [8, 4, 2, 1],
        "id2label": {str(number): str(number) for number in range(19)},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def model(published: Path) -> SegmentationModel:
    made = create("segformer-b0").eval()
    made.load_published(load(published / "model.safetensors"))
    return made


@pytest.mark.parametrize("size", [(64, 96), (75, 50), (33, 130)])
def test_it_is_transformers_network(
    published: Path, model: SegmentationModel, size: tuple[int, int]
) -> None:
    """Theirs finds its names in the file by its own rules."""
    from transformers import SegformerForSemanticSegmentation

    theirs, about = SegformerForSemanticSegmentation.from_pretrained(
        published, output_loading_info=True
    )
    assert not any(about.values()), about
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = theirs.eval()(pixel_values=images).logits
        wanted = F.interpolate(wanted, size, mode="bilinear", align_corners=False)
        got = model(images)
    assert wanted.std() > 0.1
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("size", "millions"), [("b0", 3.7), ("b5", 84.6)])
def test_every_entry_is_accounted_for(size: str, millions: float) -> None:
    with torch.device("meta"):
        made = create(f"segformer-{size}")
        state = {name: torch.empty(shape) for name, shape in shapes(size).items()}
    made.load_published(state)
    assert len(made.state_dict()) == len(state)
    counted = sum(each.numel() for each in made.parameters())
    assert counted == entry(f"segformer-{size}").parameters
    assert counted / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize("size", [(1, 1), (7, 45), (31, 31), (50, 20)])
def test_pictures_smaller_than_its_stride_are_padded(
    model: SegmentationModel, size: tuple[int, int]
) -> None:
    images = torch.randn(1, 3, *size)
    padded = F.pad(images, (0, max(32 - size[1], 0), 0, max(32 - size[0], 0)))
    with torch.inference_mode():
        got = model(images)
        torch.testing.assert_close(got, model(padded)[..., : size[0], : size[1]])
    assert got.shape == (1, 19, *size)


def test_what_is_before_the_classes_can_be_trained_on(model: SegmentationModel) -> None:
    images = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        found = model.forward_train(images)
        classify = model.get_submodule("classify")
        assert isinstance(classify, nn.Conv2d)
        logits = F.interpolate(
            classify(found["features"]), (64, 96), mode="bilinear", align_corners=False
        )
    assert found["features"].shape == (2, 256, 16, 24)
    torch.testing.assert_close(found["logits"], logits)


def test_any_number_of_classes() -> None:
    for classes in (1, 2, 11):
        assert create("segformer-b0", classes).eval()(torch.zeros(1, 3, 32, 32)).shape[1] == classes


def test_faulty_checkpoints_are_one_clear_line(published: Path, model: SegmentationModel) -> None:
    weights = dict(load(published / "model.safetensors"))
    lacking = {k: v for k, v in weights.items() if k != "decode_head.classifier.bias"}
    with pytest.raises(UserError, match=r"1 of its entries missing \(classify\.bias\)") as error:
        model.load_published(lacking)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"1 entries it does not have \(decode_head\.conv_seg\.w"):
        model.load_published({**weights, "decode_head.conv_seg.weight": torch.zeros(1)})
    with pytest.raises(UserError, match=r"classify\.weight is \(150, 256, 1, 1\) there"):
        model.load_published(
            {**weights, "decode_head.classifier.weight": torch.zeros(150, 256, 1, 1)}
        )
    with pytest.raises(UserError, match="not weights of this SegFormer"):
        create("segformer-b0").load_published(
            {name: torch.empty(shape, device="meta") for name, shape in shapes("b5").items()}
        )


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"pip install 'triptych\[segformer\]'"):
        create("segformer-b0")
    assert entry("segformer-b0").parameters == 3_719_027


def test_the_registry_says_that_it_is_for_research_only() -> None:
    for name in ("segformer-b0", "segformer-b5"):
        weights = entry(name).weights
        assert weights is not None
        assert "research" in weights.licence
        assert weights.address is not None
        assert weights.address.startswith(f"https://huggingface.co/nvidia/{name}-finetuned-city")
        assert name in weights.file
