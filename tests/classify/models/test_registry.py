"""Names, timm's models, and the counts that papers and hand-worked formulas give."""

from __future__ import annotations

import socket

import pytest
import timm
import torch
from timm.layers import DropPath
from timm.models.vision_transformer import VisionTransformer

from triptych.classify.models import create, entry, names, set_drop_path
from triptych.errors import UserError
from triptych.training.state import parameter_count as parameters


def counted(name: str, classes: int = 100) -> int:
    with torch.device("meta"):
        return parameters(create(name, classes=classes))


def test_resnext29_by_hand() -> None:
    def block(into: int, planes: int) -> int:
        width, out = 2 * planes, 4 * planes
        count = into * width + 9 * width * width // 32 + width * out + 2 * (2 * width + out)
        return count + (into * out + 2 * out if into != out else 0)

    stem = 27 * 64 + 2 * 64
    stages = sum(
        block(into, planes) + 2 * block(4 * planes, planes)
        for into, planes in ((64, 64), (256, 128), (512, 256))
    )
    assert counted("resnext29") == stem + stages + 1024 * 100 + 100 == 4_868_004


@pytest.mark.parametrize(
    ("name", "patch", "dim", "hidden", "depth", "count"),
    [("vit13", 2, 192, 768, 11, 4_965_220), ("vit6", 2, 384, 768, 4, 4_878_820)],
)
def test_vits_by_hand(name: str, patch: int, dim: int, hidden: int, depth: int, count: int) -> None:
    tokens = (32 // patch) ** 2
    embed = 3 * patch * patch * dim + dim + dim + (tokens + 1) * dim
    attention = dim * 3 * dim + 3 * dim + dim * dim + dim
    mlp = dim * hidden + hidden + hidden * dim + dim
    by_hand = embed + depth * (attention + mlp + 4 * dim) + 2 * dim + 100 * dim + 100
    assert counted(name) == by_hand == count


def test_the_original_left_out_token_and_positions_of_vit13() -> None:
    known = entry("vit13")
    assert known.original is not None
    assert known.parameters - known.original == 192 + 257 * 192


def test_cct7_has_the_paper_s_count() -> None:
    # Table 2 of the paper: 3.76 M for CCT-7/3×1 (CIFAR-10).
    block = 256 * 768 + 256 * 256 + 256 + 2 * 256 * 512 + 512 + 256 + 4 * 256
    body = 27 * 256 + 256 * 256 + 7 * block + 2 * 256 + 257
    assert counted("cct7", 10) == body + 2_570
    assert round(counted("cct7", 10) / 1e6, 2) == 3.76


def test_slvit_by_hand() -> None:
    tokens = 2 * 240 + 240 * 256 + 256
    attention = 16 + 256 * 768 + 256 * 256 + 256
    mlp = 2 * 256 * 512 + 512 + 256
    by_hand = tokens + 66 * 256 + 9 * (attention + mlp + 4 * 256) + 2 * 256 + 25_700
    assert counted("slvit") == by_hand


@pytest.mark.parametrize("name", ["vit13", "vit-small"])
def test_vit_equals_timm_s(name: str) -> None:
    shape = {
        "vit13": {"patch_size": 2, "embed_dim": 192, "depth": 11, "num_heads": 3},
        "vit-small": {"patch_size": 4, "embed_dim": 96, "depth": 5, "num_heads": 3},
    }[name]
    ratio = {"vit13": 4, "vit-small": 184 / 96}[name]
    peer = VisionTransformer(img_size=32, num_classes=100, mlp_ratio=ratio, **shape).eval()
    ours = create(name).eval()
    ours.load_state_dict(peer.state_dict(), strict=True)
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    one, other = peer(images), ours(images)
    torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-5)
    one.square().sum().backward()
    other.square().sum().backward()
    for (key, a), (_, b) in zip(peer.named_parameters(), ours.named_parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert (a.grad - b.grad).norm() <= 1e-4 * a.grad.norm() + 1e-6, key


class TestTimm:
    @pytest.mark.parametrize("name", ["resnet10t", "test_vit", "test_efficientnet"])
    def test_any_model_by_its_name(self, name: str) -> None:
        model = create(name, classes=7, image_size=64, drop_path=0.2).eval()
        with torch.inference_mode():
            assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 7)

    def test_is_timm_s_own(self) -> None:
        torch.manual_seed(0)
        peer = timm.create_model("resnet10t", num_classes=5, drop_path_rate=0.3)
        torch.manual_seed(0)
        ours = create("resnet10t", classes=5, drop_path=0.3)
        for (key, a), (_, b) in zip(
            peer.state_dict().items(), ours.state_dict().items(), strict=True
        ):
            assert torch.equal(a, b), key
        rates = [
            [module.drop_prob for module in model.modules() if isinstance(module, DropPath)]
            for model in (peer, ours)
        ]
        assert rates[0] == pytest.approx(rates[1])

    def test_fetches_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("a model opened a connection")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        create("resnet18.a1_in1k", classes=5)

    def test_without_stochastic_depth(self) -> None:
        with torch.device("meta"):
            model = create("vgg11", classes=5)
            with pytest.raises(UserError, match="no stochastic depth"):
                set_drop_path(model, 0.1)

    def test_a_size_that_timm_refuses(self) -> None:
        with pytest.raises(UserError, match="bat_resnext26ts does not take images of 32×32"):
            create("bat_resnext26ts", image_size=32)

    def test_a_size_that_the_patches_do_not_divide(self) -> None:
        with pytest.raises(UserError, match=r"vit_tiny_patch16_224, \(16, 16\), do not divide"):
            create("vit_tiny_patch16_224", image_size=40)


def test_ours_come_first() -> None:
    assert names()[:3] == ("resnext29", "vit13", "vit6")
    assert not set(names()) & set(timm.list_models())


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean resnext29"):
        create("resnext-29")
    with pytest.raises(UserError, match="resnet50"):
        create("resnet50_")
    with pytest.raises(UserError, match="there are resnext29, vit13"):
        entry("zzzz")
