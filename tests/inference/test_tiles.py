"""Tiles: they cover the picture, and give what the whole picture gives wherever they can."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from triptych.errors import UserError
from triptych.inference import Prepared, Runtime, prepare
from triptych.inference.tiles import Agreement, Tiling, spans, stitch
from triptych.normalisation import IMAGENET
from triptych.segment.models import entry
from triptych.segment.models.hms import HRNetOCRMultiScale
from triptych.segment.models.hrnet_ocr import HRNetOCR
from triptych.segment.models.hrnet_trunk import HRNetTrunk
from triptych.segment.models.ocr import OCRHead
from triptych.segment.models.psp_head import PSPHead

CPU = torch.device("cpu")
TILE = Tiling.of((128, 160))


class Near(nn.Module):
    """Three classes from a neighbourhood of 13 pixels a side, at a quarter of the resolution."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 6, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(6, 3, 1),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        return F.interpolate(self.layers(images), images.shape[-2:], mode="bilinear")

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        logits = self(images)
        return {"logits": logits, "edges": logits[:, :1] - logits[:, 1:2]}


class WithMean(nn.Module):
    """As near, but each pixel also sees the mean of all."""

    def __init__(self) -> None:
        super().__init__()
        self.near = Near()

    def forward(self, images: Tensor) -> Tensor:
        x = self.near(images)
        return x + 3 * (x.mean((2, 3), keepdim=True) - x[..., :1, :1])


def pictures(height: int, width: int, count: int = 1) -> NDArray[np.uint8]:
    """Areas that differ, with noise."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (count, -(-height // 50), -(-width // 50), 3))
    noise = rng.normal(0, 20, (count, height, width, 3))
    areas = coarse.repeat(50, 1).repeat(50, 2)[:, :height, :width]
    return (areas + noise).clip(0, 255).astype(np.uint8)


def prepared(model: nn.Module, tile: tuple[int, int] | None, **more: object) -> Prepared:
    runtime = more.pop("runtime", Runtime("torch"))
    tiling = None if tile is None else Tiling.of(tile)
    return Prepared(model, IMAGENET, 3, runtime=runtime, device=CPU, tiling=tiling, **more)


@given(st.integers(1, 2000), st.integers(4, 20), st.integers(1, 3), st.sampled_from([8, 32, 64]))
def test_spans_cover_the_axis_once(length: int, sides: int, halos: int, grid: int) -> None:
    side, halo = grid * sides, grid * min(halos, (sides - 1) // 2)
    found = spans(length, side, halo, grid)
    assert found[0].first == found[0].start == 0
    assert found[-1].last == found[-1].stop == length
    for one, following in itertools.pairwise(found):
        assert one.last == following.first
        assert one.last <= one.stop - halo
        assert following.first >= following.start + halo
        assert following.start > one.start
    for each in found:
        assert each.start % grid == 0
        assert each.first < each.last
        assert side - grid < each.stop - each.start <= side or len(found) == 1


def test_spans_worked_by_hand() -> None:
    found = [(s.start, s.stop, s.first, s.last) for s in spans(300, 128, 32, 32)]
    assert found == [
        (0, 128, 0, 96),
        (64, 192, 96, 160),
        (128, 256, 160, 224),
        (192, 300, 224, 300),
    ]
    assert [(s.start, s.stop) for s in spans(1024, 512, 64, 32)] == [
        (0, 512),
        (384, 896),
        (512, 1024),
    ]
    assert [(s.start, s.stop) for s in spans(100, 128, 32, 32)] == [(0, 100)]


def test_a_network_that_sees_no_further_than_the_halo_gives_what_the_whole_gives() -> None:
    model, images = Near().double(), torch.randn(2, 3, 288, 416, dtype=torch.float64)
    agreement = Agreement()
    with torch.inference_mode():
        whole = model(images)
        tiled = stitch(images, TILE, model, 3, agreement)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-12)
    # In the outermost pixels of a tile's halo its cut edge shows, so not all of it agrees.
    assert agreement.share is not None
    assert 0.9 < agreement.share < 1


class Coarse(nn.Module):
    """Three classes at a 64th of the resolution: each from its own 64 pixels a side."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.layer = nn.Conv2d(3, 3, 64, 64)

    def forward(self, images: Tensor) -> Tensor:
        return F.interpolate(self.layer(images), images.shape[-2:], mode="bilinear")


def test_tiles_begin_where_the_coarsest_maps_have_an_edge() -> None:
    model, images = Coarse().double(), torch.randn(1, 3, 384, 576, dtype=torch.float64)
    with torch.inference_mode():
        whole = model(images)
        tiled = stitch(images, Tiling.of((256, 256), 64), model, 3)
        beside = stitch(images, Tiling.of((288, 288), 32), model, 3)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-12)
    assert (beside - whole).abs().max() > 0.01  # as the default would have it


@pytest.mark.parametrize("name", ["hrnet16s-if", "hrnet18-if", "tiny", "dabnet"])
def test_the_catalogue_knows_the_stride_of_the_coarsest_maps(name: str) -> None:
    """Against the smallest map that any convolution gives, of shapes alone."""
    known, sides = entry(name), set()
    with torch.device("meta"):
        model = known.builder(known.outputs).eval()
        for each in model.modules():
            if isinstance(each, nn.Conv2d):
                each.register_forward_hook(lambda _, __, out: sides.add(min(out.shape[2:])))
        model(torch.zeros(1, 3, 512, 512))
    coarsest = 512 // min(sides)
    assert known.stride % coarsest == 0
    assert name != "hrnet16s-if" or coarsest == 64


def test_a_tile_sees_only_itself() -> None:
    """Away from the seams nothing of a far change is seen; a network with a mean sees it all."""
    seen = []

    def run(tile: Tensor) -> Tensor:
        seen.append(tuple(tile.shape))
        return tile * 0 + tile.mean((2, 3), keepdim=True)

    images = torch.arange(256 * 320, dtype=torch.float64).view(1, 1, 256, 320).expand(1, 3, -1, -1)
    maps = stitch(images, TILE, run, 3)
    assert set(seen) == {(1, 3, 128, 160)}
    tile = images[..., :128, :160]
    torch.testing.assert_close(maps[..., :96, :128], tile.mean().expand(1, 3, 96, 128))


@pytest.mark.parametrize("size", [None, (256, 352)])
def test_labels_are_those_of_the_whole_picture(size: tuple[int, int] | None) -> None:
    images = pictures(200, 320)
    whole, tiled = (prepared(Near(), tile, input_size=size) for tile in (None, (128, 128)))
    np.testing.assert_allclose(tiled(images), whole(images), atol=1e-4)
    assert (tiled.labels(images) == whole.labels(images)).mean() > 0.9999
    smaller = tiled.labels(images, (100, 160)), whole.labels(images, (100, 160))
    assert (smaller[0] == smaller[1]).mean() > 0.9999
    labels, edges = tiled.labels_and_edges(images)
    assert (labels == whole.labels(images)).mean() > 0.9999
    assert np.abs(edges.astype(int) - whole.labels_and_edges(images)[1]).max() <= 1
    assert tiled.agreement.share is not None
    assert tiled.agreement.share > 0.97


def test_openvino_runs_tiles_too() -> None:
    images = pictures(176, 192)
    tiled = prepared(Near(), (128, 128), runtime=Runtime("openvino"))
    assert (tiled.labels(images) == prepared(Near(), None).labels(images)).mean() > 0.9999


def test_a_picture_of_one_tile_is_labelled_whole() -> None:
    images = pictures(100, 128)
    tiled = prepared(WithMean(), (128, 128))
    np.testing.assert_array_equal(tiled(images), prepared(WithMean(), None)(images))
    assert tiled.agreement.share is None


def test_a_network_that_looks_at_the_whole_picture_says_how_far_tiles_agree() -> None:
    images = pictures(256, 384)
    tiled = prepared(WithMean(), (128, 128))
    whole = prepared(WithMean(), None).labels(images)
    assert (tiled.labels(images) == whole).mean() < 0.95
    assert tiled.agreement.share is not None
    assert tiled.agreement.share < 0.95


class OnConvolutions(nn.Module):
    """A head on features of one strided convolution."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 12, 3, 4, 1), nn.BatchNorm2d(12), nn.ReLU())
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        found = self.head(self.trunk(images))
        logits = found[0] if isinstance(found, tuple) else found
        return F.interpolate(logits, images.shape[-2:], mode="bilinear")


GLOBAL = {
    "ocr": lambda: OnConvolutions(OCRHead(12, 3, mid=16, key=8)),
    "psp": lambda: OnConvolutions(PSPHead(12, 3, mid=8)),
    "hms": lambda: HRNetOCRMultiScale(3, HRNetTrunk(4, 1, (1, 1, 1)), mid=12, key=6),
    "hrnet-ocr": lambda: HRNetOCR(3, HRNetTrunk(4, 1, (1, 1, 1)), mid=12, key=6),
}


@pytest.mark.parametrize("kind", GLOBAL)
def test_heads_that_look_at_the_whole_picture_differ_in_tiles(kind: str) -> None:
    torch.manual_seed(1)
    model = GLOBAL[kind]().eval()
    images = pictures(192, 256)
    tiled = prepared(model, (128, 128))
    whole = prepared(model, None)(images)
    assert not np.allclose(tiled(images), whole, atol=1e-3 * whole.std())
    assert tiled.agreement.share is not None
    assert 0 <= tiled.agreement.share <= 1


def test_what_is_labelled_to_measure_does_not_count() -> None:
    found = prepare(
        Near(), IMAGENET, 3, name="near", runtime="torch", device="cpu", tile=(128, 128)
    )
    assert found.agreement.share is None
    found.labels(pictures(150, 150))
    assert found.agreement.share is not None


@pytest.mark.parametrize("size", [(96, 128), (128, 130), (0, 128), (500, 512)])
def test_tiles_that_cannot_be_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UserError, match=rf"--tile {size[1]}x{size[0]}: .*multiples of 32, 128"):
        Tiling.of(size)


def test_the_halo_grows_with_the_tile() -> None:
    assert Tiling.of((128, 512)).halo == (32, 64)
    assert Tiling.of((768, 1024)).halo == (96, 128)
    assert str(Tiling.of((128, 512))) == "512x128"
    assert Tiling.of((256, 1024), 64).halo == (64, 128)
    with pytest.raises(UserError, match="multiples of 64, 256 or more"):
        Tiling.of((256, 288), 64)
