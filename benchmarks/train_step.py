"""How fast is a training step on this processor, against timm's and against the original's way?

    uv run python benchmarks/train_step.py [--models resnext29 vit13 vit6] [--batch 128] [--json]

Three ways to train the same network, each in a process of its own that is warm; they are measured
in turn, round by round, so that whatever else the machine does hits all of them:

- ours: bfloat16, channels last, our attention, memory kept between steps; augmentation of every
  image, MixUp and CutMix are part of the step;
- timm: the same network as timm makes it, eager, at the same precision, on one batch that is
  always ready;
- original: eager timm in float32, torchvision's transforms on the whole batch, timm's sampler for
  repeated augmentation and its MixUp, a DataLoader.

`ratio` is ours over timm, `ratio_original` ours over the original's way, each the median of the
rounds for the model where it is smallest. The share of the machine's speed is that of a bfloat16
product of two 2048 × 2048 matrices in the same rounds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor, nn

from triptych.classify.augment import Augmentation, augment, mix
from triptych.classify.models import create
from triptych.progress import bar
from triptych.training.memory import keep_memory
from triptych.training.optimisers import adamw
from triptych.training.seeding import stream

GFLOP = {"resnext29": 4.4, "vit13": 9.2, "vit6": 8.5}
"""Floating point operations of one image's training step, in thousand millions."""
SHAPES = {
    "vit13": {"embed_dim": 192, "depth": 11, "num_heads": 3, "mlp_ratio": 4},
    "vit6": {"embed_dim": 384, "depth": 4, "num_heads": 6, "mlp_ratio": 2},
}
CLASSES, DROP_PATH = 100, 0.1
MEAN = STD = (0.5, 0.5, 0.5)
PRODUCTS = 10
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
Step = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=GFLOP, default=list(GFLOP))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="cpu, with --threads 1, for a machine that is not idle",
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    models = {
        name: measure(
            name, options.ways, options.batch, options.rounds, options.threads, options.clock
        )
        for name in options.models
    }
    result = {
        "ratio": smallest(models, "timm"),
        "ratio_original": smallest(models, "original"),
        "batch": options.batch,
        "threads": options.threads,
        "clock": options.clock,
        "models": models,
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, found in models.items():
        print(
            f"{name}, batch {options.batch}, {options.threads} threads, {options.clock} time, ",
            end="",
        )
        print(f"bfloat16 matrix product {found['gemm_gflops']:.0f} GFLOP/s")
        for way, speed in found["images_per_second"].items():
            print(f"  {way:9} {speed:6.1f} images/s, {found['gemm_share'][way]:4.0%} of its speed")
        for way, ratio in found["ratios"].items():
            print(f"  ours / {way}: {ratio:.2f}")


def smallest(models: dict[str, Any], way: str) -> float | None:
    found = [model["ratios"][way] for model in models.values() if way in model["ratios"]]
    return min(found, default=None)


def measure(
    name: str, ways: list[str], batch: int, rounds: int, threads: int, clock: str
) -> dict[str, Any]:
    """Median images per second of every way, their ratios, and the share of the GEMM speed."""
    with_gemm = [*ways, "gemm"]
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    workers = []
    for way in with_gemm:
        pipes[way], theirs = context.Pipe()
        workers.append(
            context.Process(
                target=work, args=(theirs, way, name, batch, threads, clock), daemon=True
            )
        )
        workers[-1].start()
    seconds: list[dict[str, float]] = []
    with bar(name, (rounds + 1) * len(with_gemm), unit="steps") as shown:
        for _ in range(rounds + 1):
            seconds.append({})
            for way in with_gemm:
                pipes[way].send("step")
                seconds[-1][way] = pipes[way].recv()
                shown.advance(note=way)
    for worker in workers:
        worker.terminate()
        worker.join()
    del seconds[0]  # caches and kernels were made
    speeds = {way: batch / statistics.median(each[way] for each in seconds) for way in ways}
    gemm = PRODUCTS * 2 * 2048**3 / statistics.median(each["gemm"] for each in seconds) / 1e9
    return {
        "images_per_second": speeds,
        "gemm_gflops": gemm,
        "gemm_share": {way: speed * GFLOP[name] / gemm for way, speed in speeds.items()},
        "ratios": {
            way: statistics.median(each[way] / each["ours"] for each in seconds)
            for way in ways
            if way != "ours" and "ours" in ways
        },
    }


def work(pipe: Connection, way: str, name: str, batch: int, threads: int, clock: str) -> None:
    """A process that takes one step whenever it is asked, and answers with its seconds."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    step = gemm() if way == "gemm" else WAYS[way](name, batch)
    while pipe.recv():
        start = CLOCKS[clock]()
        step()
        pipe.send(CLOCKS[clock]() - start)


def ours(name: str, batch: int) -> Step:
    keep_memory()
    model = create(name, classes=CLASSES, drop_path=DROP_PATH).train()
    model = model.to(memory_format=torch.channels_last)
    optimiser = adamw(model, 5e-4, 1e-3)
    images, labels = pictures(batch), torch.arange(batch) % CLASSES
    plan = Augmentation(size=32, crop_area=0.35, trivial=True, erasing=0.25, mean=MEAN, std=STD)

    def step() -> None:
        versions = augment(images, plan, stream(0, "augment"))
        inputs, targets = mix(versions, labels, CLASSES, stream(0, "mix"))
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        update(model, optimiser, inputs, targets, torch.bfloat16)

    return step


def timm_eager(name: str, batch: int) -> Step:
    model = plain(name).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-4, weight_decay=1e-3)
    inputs = pictures(batch).float() / 127.5 - 1
    targets = torch.full((batch, CLASSES), 1 / CLASSES)
    return lambda: update(model, optimiser, inputs, targets, torch.bfloat16)


def original(name: str, batch: int) -> Step:
    from timm.data import Mixup
    from timm.data.distributed_sampler import RepeatAugSampler
    from torch.utils.data import DataLoader, TensorDataset
    from torchvision import transforms

    model = plain(name).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-4, weight_decay=1e-3)
    change = transforms.Compose(
        [
            transforms.RandomResizedCrop(32, scale=(0.35, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.TrivialAugmentWide(),
            transforms.ConvertImageDtype(torch.float32),
            transforms.Normalize(MEAN, STD),
            transforms.RandomErasing(0.25, ratio=(0.3, 10 / 3), scale=(0.02, 1 / 3)),
        ]
    )
    mixing = Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, label_smoothing=0.1, num_classes=CLASSES)

    def collate(samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        images, labels = (torch.stack(each) for each in zip(*samples, strict=True))
        mixed: tuple[Tensor, Tensor] = mixing(change(images), labels)
        return mixed

    data = TensorDataset(pictures(45_000), torch.arange(45_000) % CLASSES)
    sampler = RepeatAugSampler(data, num_replicas=1, rank=0, num_repeats=3)
    loader = DataLoader(data, batch, sampler=sampler, collate_fn=collate)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from loader

    ready = batches()
    return lambda: update(model, optimiser, *next(ready), torch.float32)


def plain(name: str) -> nn.Module:
    """The network as timm makes it; our ResNeXt has nothing but timm's modules."""
    from timm.models.vision_transformer import VisionTransformer

    if name not in SHAPES:
        return create(name, classes=CLASSES, drop_path=DROP_PATH)
    model: nn.Module = VisionTransformer(
        img_size=32, patch_size=2, num_classes=CLASSES, drop_path_rate=DROP_PATH, **SHAPES[name]
    )
    return model


def update(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    inputs: Tensor,
    targets: Tensor,
    precision: torch.dtype,
) -> None:
    """One update with soft targets."""
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        logits = model(inputs)
    loss = nn.functional.cross_entropy(logits.float(), targets)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def gemm() -> Step:
    matrix = torch.randn(2048, 2048).bfloat16()
    return lambda: [matrix @ matrix for _ in range(PRODUCTS)]


def pictures(count: int) -> Tensor:
    return torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)


WAYS = {"ours": ours, "timm": timm_eager, "original": original}

if __name__ == "__main__":
    main()
