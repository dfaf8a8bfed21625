"""How much faster is augmenting a batch at once than torchvision, one picture at a time?

    uv run --group bench python benchmarks/augment.py [--size 32] [--batch 128]
        [--rounds 10] [--json]

All ways run on one thread, in turn, round by round, so that whatever else the machine does hits
all of them. Time is this process's CPU time, in which waiting for a busy core does not count, and
each way is given by its best round. `ratio` is our speed over torchvision v1 on Pillow pictures,
the usual CIFAR pipeline.

All start from decoded pictures in memory and do the same to each: random resized crop, flip,
TrivialAugmentWide, normalising, RandomErasing. Torchvision works on one picture after the other,
and its results are stacked to a batch. Kornia works on the batch, with parameters for each
picture, but has no TrivialAugmentWide that draws an operation for each: its operations are applied
one after the other, each with probability 1/14, so a picture gets one on average and not exactly
one. It works on floats, so nothing is rounded between steps; its brightness adds instead of
multiplying, and its saturation goes through HSV.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch
from kornia import augmentation as kornia
from PIL import Image as Pillow
from torch import Tensor
from torchvision import transforms
from torchvision.transforms import v2

from triptych.classify.augment import Augmentation, augment
from triptych.training.seeding import stream

OURS, PEER = "triptych", "torchvision v1, Pillow"
AREA, ERASE_AREA, ERASE_ASPECT = (0.35, 1.0), (1 / 50, 1 / 3), (3 / 10, 10 / 3)
ERASING, HALF = 0.25, [0.5, 0.5, 0.5]
MEASURE = 0.1
"""Least seconds that a way runs in a round."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=32, help="side of pictures and results")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)  # of torchvision's and kornia's draws

    ways = all_ways(pictures(options.batch, options.size), options.size)
    for way in ways.values():
        way()
    rounds = [
        {name: speed(way, options.batch) for name, way in ways.items()}
        for _ in range(options.rounds)
    ]
    best = {name: max(found[name] for found in rounds) for name in ways}
    result = {
        "ratio": best[OURS] / best[PEER],
        "size": options.size,
        "batch": options.batch,
        "rounds": options.rounds,
        "threads": 1,
        "images_per_second": best,
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{options.size}×{options.size}, batches of {options.batch}, one thread")
    for name, found in best.items():
        print(f"  {name:26} {found:9,.0f} images/s")
    print(f"  ratio of {OURS} to {PEER}: {result['ratio']:.1f}")


def pictures(count: int, size: int) -> Tensor:
    """Smooth pictures with some noise (count, 3, size, size) uint8."""
    generator = stream(0, "pictures")
    coarse = torch.rand((count, 3, 6, 6), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear") * 255
    noise = torch.randn(smooth.shape, generator=generator) * 10
    return (smooth + noise).clamp(0, 255).to(torch.uint8)


def all_ways(images: Tensor, size: int) -> dict[str, Callable[[], Tensor]]:
    """By name, what makes one augmented batch of the same pictures."""
    plan, generator = Augmentation(size, AREA[0], erasing=ERASING), stream(0, "augment")
    arrays = list(images.permute(0, 2, 3, 1).contiguous().numpy())
    pillow = torchvision_v1(size, transforms.ToTensor())
    first = torchvision_v1(size, transforms.ConvertImageDtype(torch.float32))
    second, whole = torchvision_v2(size), kornia_batch(size)
    return {
        OURS: lambda: augment(images, plan, generator),
        PEER: lambda: torch.stack([pillow(Pillow.fromarray(array)) for array in arrays]),
        "torchvision v1, tensors": lambda: torch.stack([first(image) for image in images]),
        "torchvision v2, tensors": lambda: torch.stack([second(image) for image in images]),
        "kornia, batch": lambda: torch.as_tensor(whole(images.float() / 255)),
    }


def speed(way: Callable[[], Tensor], batch: int) -> float:
    """Images per second of CPU time, over at least MEASURE seconds."""
    start, done = time.process_time(), 0
    while (passed := time.process_time() - start) < MEASURE or not done:
        way()
        done += batch
    return done / passed


def torchvision_v1(size: int, to_float: Any) -> Any:
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(size, AREA),
            transforms.RandomHorizontalFlip(),
            transforms.TrivialAugmentWide(),
            to_float,
            transforms.Normalize(HALF, HALF),
            transforms.RandomErasing(ERASING, ERASE_AREA, ERASE_ASPECT),
        ]
    )


def torchvision_v2(size: int) -> Any:
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, AREA),
            v2.RandomHorizontalFlip(),
            v2.TrivialAugmentWide(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(HALF, HALF),
            v2.RandomErasing(ERASING, ERASE_AREA, ERASE_ASPECT),
        ]
    )


def kornia_batch(size: int) -> Any:
    one: dict[str, Any] = {"p": 1 / 14}
    move = {"resample": "nearest", **one}
    return kornia.AugmentationSequential(
        kornia.RandomResizedCrop((size, size), AREA, (3 / 4, 4 / 3)),
        kornia.RandomHorizontalFlip(),
        kornia.RandomShear((-45.0, 45.0, 0.0, 0.0), **move),
        kornia.RandomShear((0.0, 0.0, -45.0, 45.0), **move),
        kornia.RandomTranslate((-1.0, 1.0), None, **move),
        kornia.RandomTranslate(None, (-1.0, 1.0), **move),
        kornia.RandomRotation(135.0, **move),
        kornia.RandomBrightness((0.01, 1.99), **one),
        kornia.RandomSaturation((0.01, 1.99), **one),
        kornia.RandomContrast((0.01, 1.99), **one),
        kornia.RandomSharpness((0.01, 1.99), **one),
        kornia.RandomPosterize((2, 8), **one),
        kornia.RandomSolarize((0.0, 1.0), (0.0, 0.0), **one),
        kornia.RandomAutoContrast(**one),
        kornia.RandomEqualize(**one),
        kornia.Normalize(torch.tensor(HALF), torch.tensor(HALF)),
        kornia.RandomErasing(ERASE_AREA, ERASE_ASPECT, p=ERASING),
    )


if __name__ == "__main__":
    main()
