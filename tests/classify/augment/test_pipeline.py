"""The whole augmentation against torchvision's chain, and what must hold for any batch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torchvision import transforms
from torchvision.transforms import InterpolationMode, functional
from torchvision.transforms.autoaugment import _apply_op

from triptych.classify.augment import (
    MAGNITUDES,
    OPERATIONS,
    SIGNED,
    Augmentation,
    Parameters,
    apply,
    augment,
    draw,
    normalise,
)
from triptych.errors import UserError

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
PLAN = Augmentation(32, 0.35, erasing=0.5, mean=MEAN, std=STD)


def pictures(count: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(9)
    coarse = torch.rand((count, 3, 6, 6), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear") * 255
    noise = torch.randn(smooth.shape, generator=generator) * 20
    return (smooth + noise).clamp(0, 255).to(torch.uint8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def chain(image: Tensor, drawn: Parameters, index: int, plan: Augmentation) -> Tensor:
    """Torchvision's functions, one after the other, for one sample or a batch (…, 3, H, W)."""
    crop, side = drawn.crops[index].tolist(), [plan.size, plan.size]
    image = functional.resized_crop(image, *crop, side, antialias=True)
    if drawn.flips[index]:
        image = functional.hflip(image)
    operation = int(drawn.operations[index])
    magnitude = float(MAGNITUDES[operation, drawn.bins[index]])
    if SIGNED[operation] and drawn.negative[index]:
        magnitude *= -1
    name = OPERATIONS[operation]
    image = _apply_op(image, name, magnitude, InterpolationMode.NEAREST, None)
    image = functional.convert_image_dtype(image, torch.float32)
    image = functional.normalize(image, list(plan.mean), list(plan.std))
    top, left, tall, wide = drawn.erased[index].tolist()
    return functional.erase(image, top, left, tall, wide, torch.zeros(3, 1, 1))


def close(ours: Tensor, theirs: Tensor) -> None:
    """Within 1/255 on 99.9 % of the values, before normalising."""
    spread = torch.tensor(STD).view(3, 1, 1)
    difference = (ours - theirs).abs() * spread
    assert (difference > 1.001 / 255).double().mean() <= 1e-3


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (64, 64), (96, 96)])
def test_equals_torchvision_for_what_was_drawn(height: int, width: int) -> None:
    images = pictures(200, height, width)
    drawn = draw(200, height, width, PLAN, seeded())
    expected = torch.stack([chain(image, drawn, i, PLAN) for i, image in enumerate(images)])
    ours = apply(images, drawn, PLAN)
    close(ours, expected)
    assert torch.equal(augment(images, PLAN, seeded()), ours)


@pytest.mark.parametrize("seed", range(30))
def test_shared_is_torchvision_on_the_batched_tensor(seed: int) -> None:
    plan = Augmentation(32, 0.35, erasing=0.5, mean=MEAN, std=STD, shared=True)
    images = pictures(12, 33, 47)
    drawn = draw(12, 33, 47, plan, seeded(seed))
    close(augment(images, plan, seeded(seed)), chain(images, drawn, 0, plan))


def test_shared_is_the_original_flaw() -> None:
    """The same calls as the original's collate function: 64 copies come out as one picture."""
    copies = pictures(1, 32, 32).repeat(64, 1, 1, 1)
    original = transforms.Compose(
        [
            transforms.RandomResizedCrop(32, (0.35, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.TrivialAugmentWide(),
            transforms.ConvertImageDtype(torch.float32),
            transforms.Normalize((0.5,) * 3, (0.5,) * 3),
            transforms.RandomErasing(0.25, (1 / 50, 1 / 3), (3 / 10, 10 / 3)),
        ]
    )
    distinct = {
        "original": original(copies).unique(dim=0),
        "shared": augment(copies, Augmentation(32, 0.35, shared=True), seeded()).unique(dim=0),
        "ours": augment(copies, Augmentation(32, 0.35), seeded()).unique(dim=0),
    }
    assert {name: len(rows) for name, rows in distinct.items()} == {
        "original": 1,
        "shared": 1,
        "ours": 64,
    }


@pytest.fixture
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize(("size", "source"), [(32, 32), (48, 96)])
def test_same_bytes_on_any_number_of_threads(size: int, source: int) -> None:
    images = pictures(128, source, source)
    plan = Augmentation(size, 0.2)
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append(augment(images, plan, seeded(5)))
    assert results[0].numpy().tobytes() == results[1].numpy().tobytes()
    assert results[0].numpy().tobytes() == results[2].numpy().tobytes()
    assert not torch.equal(results[0], augment(images, plan, seeded(6)))


def test_a_sample_does_not_depend_on_its_batch() -> None:
    images = pictures(40, 32, 32)
    drawn = draw(40, 32, 32, PLAN, seeded())
    together = apply(images, drawn, PLAN)
    for index in (0, 17, 39):
        part = slice(index, index + 1)
        alone = Parameters(**{name: values[part] for name, values in vars(drawn).items()})
        assert torch.equal(apply(images[part], alone, PLAN)[0], together[index])


def test_inputs_stay_as_they_are() -> None:
    images = pictures(64, 32, 32)
    before = images.clone()
    drawn = draw(64, 32, 32, PLAN, seeded())
    kept = {name: values.clone() for name, values in vars(drawn).items()}
    out = apply(images, drawn, PLAN)
    assert torch.equal(images, before)
    assert all(torch.equal(kept[name], values) for name, values in vars(drawn).items())
    assert (out.dtype, out.shape) == (torch.float32, (64, 3, 32, 32))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_small_batches(count: int, shared: bool) -> None:
    plan = Augmentation(24, 0.5, shared=shared)
    out = augment(pictures(2, 33, 47)[:count], plan, seeded())
    assert out.shape == (count, 3, 24, 24)
    assert out.dtype == torch.float32


@pytest.mark.parametrize("side", [1, 2, 3])
def test_tiny_pictures(side: int) -> None:
    out = augment(pictures(100, side, side), Augmentation(side, 0.1, erasing=1.0), seeded())
    assert out.isfinite().all()


def test_memory_layout_does_not_matter() -> None:
    images = pictures(32, 32, 32)
    layout = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(augment(layout, PLAN, seeded()), augment(images, PLAN, seeded()))


def test_precision_of_the_training_does_not_matter() -> None:
    images = pictures(64, 48, 48)
    with torch.autocast("cpu", torch.bfloat16):
        inside = augment(images, PLAN, seeded())
    assert torch.equal(inside, augment(images, PLAN, seeded()))


def test_normalise() -> None:
    images = torch.arange(256, dtype=torch.uint8).repeat(2, 3, 3, 1)
    expected = transforms.Normalize(MEAN, STD)(images / 255)
    torch.testing.assert_close(normalise(images, MEAN, STD), expected, atol=1e-6, rtol=1e-6)
    half = normalise(images, (0.5,) * 3, (0.5,) * 3)
    assert (half.min().item(), half.max().item()) == (-1.0, 1.0)
    assert normalise(images[:0], MEAN, STD).shape == (0, 3, 3, 256)


@pytest.mark.parametrize(
    "images",
    [torch.zeros(2, 3, 8, 8), torch.zeros(3, 8, 8).byte(), torch.zeros(2, 1, 8, 8).byte()],
)
def test_refuses_other_tensors(images: Tensor) -> None:
    with pytest.raises(ValueError, match="uint8"):
        augment(images, PLAN, seeded())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 0}, "size"),
        ({"crop_area": 0.0}, "crop area"),
        ({"crop_area": 1.5}, "crop area"),
        ({"flip": -0.1}, "flip"),
        ({"erasing": 1.1}, "erasing"),
        ({"std": (0.5, 0.0, 0.5)}, "std"),
    ],
)
def test_refuses_impossible_plans(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Augmentation(**{"size": 32, "crop_area": 0.5, **change})  # type: ignore[arg-type]
