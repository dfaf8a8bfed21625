"""What every classification model must do, whatever its architecture."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator

import pytest
import torch
from timm.layers import DropPath
from torch import nn

from triptych.classify.models import create, entry, names, set_drop_path
from triptych.errors import UserError
from triptych.training import cost as costs
from triptych.training.state import parameter_count


def awake(name: str, classes: int = 10, image_size: int = 32, drop_path: float = 0.0) -> nn.Module:
    """A model whose every layer matters: none is drawn as 0, as ResNeXt's last norms are."""
    torch.manual_seed(4)
    model = create(name, classes=classes, image_size=image_size, drop_path=drop_path)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.8, 1.6)
                module.bias.normal_(0, 0.1)
    return model


def pictures(count: int = 2, size: int = 32) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small tensors: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def built(name: str) -> nn.Module:
    return awake(name)


@pytest.fixture
def model(built: nn.Module) -> nn.Module:
    """In evaluation mode, without stochastic depth."""
    set_drop_path(built, 0.0)
    return built.eval()


class TestEveryModel:
    def test_costs_are_those_of_the_table(self, name: str) -> None:
        with torch.device("meta"):
            model = create(name)
        known = entry(name)
        assert parameter_count(model) == known.parameters
        assert costs.macs(model, 32) == known.macs
        assert costs.activations(model, 32) == known.activations

    def test_every_parameter_gets_a_finite_gradient(self, model: nn.Module) -> None:
        model.train()
        logits = model(pictures())
        assert logits.shape == (2, 10)
        torch.nn.functional.cross_entropy(logits, torch.tensor([3, 7])).backward()
        for key, parameter in model.named_parameters():
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all(), key
            assert parameter.grad.abs().sum() > 0, key
        model.zero_grad()

    def test_evaluation_is_deterministic_and_by_image(self, model: nn.Module) -> None:
        set_drop_path(model, 0.5)
        images = pictures(3)
        with torch.inference_mode():
            together = model(images)
            torch.testing.assert_close(model(images), together, rtol=0, atol=0)
            torch.testing.assert_close(model(images[1:2]), together[1:2], rtol=1e-4, atol=1e-4)
        assert together.std() > 0

    def test_stochastic_depth_acts_in_training_only(self, model: nn.Module) -> None:
        images = pictures(8)
        # Batch norms stay in evaluation, so that only the drops can change the output.
        for module in model.modules():
            if isinstance(module, DropPath):
                module.train()
        with torch.inference_mode():
            plain = model(images)
            set_drop_path(model, 0.9)
            torch.manual_seed(1)
            dropped = model(images)
            torch.manual_seed(1)
            torch.testing.assert_close(model(images), dropped, rtol=0, atol=0)
            set_drop_path(model, 0.0)
            torch.testing.assert_close(model(images), plain, rtol=0, atol=0)
        changed = (dropped - plain).abs().amax(1) > 1e-3
        assert changed.sum() >= 4

    def test_stochastic_depth_rises_linearly_to_the_last_block(self, name: str) -> None:
        # The names of timm's and our blocks differ; the order of the modules is that of the blocks.
        rates = [
            module.drop_prob
            for module in create(name, drop_path=0.3).modules()
            if isinstance(module, DropPath)
        ]
        assert rates == sorted(rates)
        assert rates[-1] == pytest.approx(0.3)
        steps = {round(b - a, 6) for a, b in itertools.pairwise(rates)} - {0.0}
        assert len(steps) <= 1

    def test_memory_layout_changes_nothing(self, model: nn.Module) -> None:
        images = pictures()
        last = copy.deepcopy(model).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            expected = model(images)
            found = last(images.to(memory_format=torch.channels_last))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)

    def test_other_sizes_and_numbers_of_classes(self, name: str) -> None:
        size = 48
        with torch.inference_mode():
            assert awake(name, classes=3, image_size=size).eval()(pictures(2, size)).shape == (2, 3)

    def test_a_state_dict_makes_another_model_equal(self, model: nn.Module, name: str) -> None:
        other = create(name, classes=10).eval()
        images = pictures()
        with torch.inference_mode():
            assert not torch.equal(other(images), model(images))
            other.load_state_dict(model.state_dict(), strict=True)
            torch.testing.assert_close(other(images), model(images), rtol=0, atol=0)

    def test_a_seed_decides_the_weights(self, name: str) -> None:
        def drawn(seed: int) -> dict[str, torch.Tensor]:
            torch.manual_seed(seed)
            return dict(create(name).state_dict())

        one, same, other = drawn(1), drawn(1), drawn(2)
        assert all(torch.equal(one[key], same[key]) for key in one)
        matrices = [key for key in one if one[key].ndim > 1 and one[key].std() > 0]
        assert matrices
        assert all(not torch.equal(one[key], other[key]) for key in matrices)

    def test_bfloat16_stays_near(self, model: nn.Module) -> None:
        images = pictures()
        with torch.inference_mode():
            expected = model(images)
            with torch.autocast("cpu", torch.bfloat16):
                found = model(images).float()
        assert (found - expected).norm() < 0.1 * expected.norm()


@pytest.mark.parametrize(
    ("pair", "tolerance"),
    [
        (("resnext29", "vit6"), 0.005),
        (("resnext29", "vit13"), 0.02),
        (("resnext-small", "vit-small"), 0.01),
        (("resnext-tiny", "vit-tiny"), 0.02),
    ],
)
def test_pairs_are_matched(pair: tuple[str, str], tolerance: float) -> None:
    one, other = (entry(name).parameters for name in pair)
    assert abs(one - other) < tolerance * one


@pytest.mark.parametrize("name", ["resnext29", "vit6", "slvit"])
def test_the_budget_of_the_original(name: str) -> None:
    assert abs(entry(name).parameters - 4_900_000) < 0.02 * 4_900_000


@pytest.mark.parametrize(
    ("name", "size", "patch"), [("vit13", 33, 2), ("vit-small", 30, 4), ("slvit", 34, 4)]
)
def test_a_size_that_the_patches_do_not_divide(name: str, size: int, patch: int) -> None:
    with pytest.raises(UserError, match=f"multiple of {patch}"):
        create(name, image_size=size)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"classes": 0}, "at least one class"),
        ({"image_size": 0}, "at least one pixel"),
        ({"drop_path": 1.0}, "below 1, not 1.0"),
        ({"drop_path": -0.1}, "at least 0"),
        ({"drop_path": float("nan")}, "not nan"),
    ],
)
def test_numbers_out_of_range(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        create("vit-tiny", **wrong)  # type: ignore[arg-type]
