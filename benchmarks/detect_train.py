"""How fast does a detector train on this processor, against torchvision's reference loop?

    uv run python benchmarks/detect_train.py [--data voc2007:DIR] [--recipe detect/lite] [--json]

The same detector, with the same weights, on the same pictures, batches and precision, each way in
a process of its own that is warm; they are measured in turn, round by round, so that whatever else
the machine does hits both:

- ours: `detect.train.train_epoch`, with its augmentation (scale, flip, light), its prefetching and
  all that it notes for the audit;
- torchvision: what its `references/detection` does: a DataLoader, transforms v2 (flip, float),
  `GeneralizedRCNN.forward` with torchvision's own RPN and RoIAlign, torch's autocast where the
  recipe is in bfloat16, memory format as it comes.

`ratio` is images a second of ours over torchvision's, the median of the rounds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import MultiScaleRoIAlign
from torchvision.transforms import v2

from triptych import recipe as recipes
from triptych.data.boxes import DetectionData
from triptych.data.open_detection import open_detection
from triptych.detect.batches import CachedPictures
from triptych.detect.models.detector import Detector
from triptych.detect.recipes import DetectRecipe
from triptych.detect.subset import Subset
from triptych.detect.train import TrainData, start, train_epoch
from triptych.progress import bar
from triptych.training.memory import keep_memory

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
Steps = Callable[[], object]
_STREETS = "streets:scenes=16,frames=4,size=480x320"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="detect/lite")
    parser.add_argument("--data", default=_STREETS)
    parser.add_argument("--steps", type=int, default=3, help="of each way in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--workers", type=int, default=1, help="of torchvision's DataLoader")
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="cpu, with --threads 1 and --workers 0, for a machine that is not idle",
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{options.recipe} on {result['data']}, batch {result['batch']}, {result['precision']}, "
          f"{options.threads} threads, {options.clock} time")  # fmt: skip
    for way, speed in result["images_per_second"].items():
        print(f"  {way:12}{speed:7.2f} images/s")
    low, high = result["ratio_range"]
    print(f"  ours / torchvision: {result['ratio']:.2f} (rounds from {low:.2f} to {high:.2f})")


def asked(options: argparse.Namespace) -> DetectRecipe:
    recipe = recipes.get(options.recipe)
    assert isinstance(recipe, DetectRecipe)
    return replace(recipe, data=options.data, val_data=None)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Images per second of both ways and their ratio."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    workers = []
    for way in WAYS:
        pipes[way], theirs = context.Pipe()
        # No daemons: those may not have the processes of a DataLoader.
        workers.append(context.Process(target=work, args=(theirs, way, options)))
        workers[-1].start()
    seconds: list[dict[str, float]] = []
    with bar("training", (options.rounds + 1) * len(WAYS), unit="round") as shown:
        for _ in range(options.rounds + 1):
            seconds.append({})
            for way in WAYS:
                pipes[way].send("go")
                seconds[-1][way] = pipes[way].recv()
                shown.advance(note=way)
    for way, worker in zip(WAYS, workers, strict=True):
        pipes[way].send(None)
        worker.join()
    del seconds[0]  # caches and kernels were made
    recipe = asked(options)
    images = options.steps * recipe.batch_size
    ratios = [each["torchvision"] / each["ours"] for each in seconds]
    return {
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "images_per_second": {
            way: images / statistics.median(each[way] for each in seconds) for way in WAYS
        },
        "recipe": options.recipe,
        "data": options.data.partition(":")[0],
        "batch": recipe.batch_size,
        "precision": recipe.precision,
        "threads": options.threads,
        "workers": options.workers,
        "clock": options.clock,
        "rounds": options.rounds,
    }


def work(pipe: Connection, way: str, options: argparse.Namespace) -> None:
    """A process that takes a round's steps whenever it is asked, and answers with its seconds."""
    torch.set_num_threads(options.threads)
    recipe = asked(options)
    data = open_detection(recipe.data, recipe.train_split)
    enough = options.steps * recipe.batch_size * (options.rounds + 1)
    steps = WAYS[way](recipe, Subset(data, min(enough, len(data)), 0), options)
    while pipe.recv() is not None:
        begun = CLOCKS[options.clock]()
        steps()
        pipe.send(CLOCKS[options.clock]() - begun)


class _Enough(Exception):
    """A round's steps are done."""


class _NoLog:
    def log(self, *args: Any, **scores: Any) -> None: ...


def ours(recipe: DetectRecipe, data: DetectionData, options: argparse.Namespace) -> Steps:
    keep_memory()
    cached = CachedPictures(data)
    both = TrainData(cached, cached)
    state, _ = start(recipe, 0, both, torch.device("cpu"))

    def steps() -> None:
        wanted = state.step + options.steps

        def after() -> None:
            if state.step == wanted:
                raise _Enough

        try:
            while True:
                train_epoch(state, recipe, 0, both, _NoLog(), after)  # type: ignore[arg-type]
        except _Enough:
            pass

    return steps


class Pictures(Dataset[Any]):
    """What torchvision's VOCDetection gives: a PIL picture, its boxes and labels."""

    def __init__(self, data: DetectionData) -> None:
        self.data = data
        self.transforms = v2.Compose(
            [
                v2.ToImage(),
                v2.RandomHorizontalFlip(),
                v2.ToDtype(torch.float, scale=True),
                v2.ConvertBoundingBoxFormat(tv_tensors.BoundingBoxFormat.XYXY),
                v2.SanitizeBoundingBoxes(),
                v2.ToPureTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        image, objects = self.data.load(index)
        boxes = tv_tensors.BoundingBoxes(
            torch.from_numpy(objects.boxes.copy()),
            format=tv_tensors.BoundingBoxFormat.XYXY,
            canvas_size=image.shape[:2],
        )
        target = {"boxes": boxes, "labels": torch.from_numpy(objects.labels) + 1}
        return self.transforms(Image.fromarray(np.asarray(image)), target)


def torchvision(recipe: DetectRecipe, data: DetectionData, options: argparse.Namespace) -> Steps:
    model = with_torchvisions_parts(recipe, data)
    optimiser = torch.optim.SGD(model.parameters(), lr=recipe.lr, momentum=recipe.momentum)
    loader = DataLoader(
        Pictures(data),
        batch_size=recipe.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=options.workers,
        collate_fn=_collate,
    )

    def forever() -> Iterator[Any]:
        while True:
            yield from loader

    batches = forever()

    def steps() -> None:
        for _ in range(options.steps):
            images, targets = next(batches)
            # As with its --amp; what `training.device.autocast` adds to torch's is ours.
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                losses = GeneralizedRCNN.forward(model, list(images), list(targets))
            loss = sum(losses.values())
            assert torch.isfinite(loss)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return steps


def _collate(batch: Any) -> Any:
    return tuple(zip(*batch, strict=True))


def with_torchvisions_parts(recipe: DetectRecipe, data: DetectionData) -> Detector:
    """The same detector with torchvision's RPN and RoIAlign, in torch's usual memory format."""
    cached = CachedPictures(data)
    state, _ = start(recipe, 0, TrainData(cached, cached), torch.device("cpu"))
    model: Any = state.model.to(memory_format=torch.contiguous_format)
    ours = model.roi_heads.box_roi_pool
    pool = MultiScaleRoIAlign(ours.featmap_names, ours.output_size, ours.sampling_ratio)
    pool.scales, pool.map_levels = ours.scales, ours.map_levels
    model.roi_heads.box_roi_pool = pool
    rpn = RegionProposalNetwork.__new__(RegionProposalNetwork)
    rpn.__dict__.update(model.rpn.__dict__)
    model.rpn = rpn
    found: Detector = model.train()
    return found


WAYS: dict[str, Callable[[DetectRecipe, DetectionData, argparse.Namespace], Steps]] = {
    "ours": ours,
    "torchvision": torchvision,
}

if __name__ == "__main__":
    main()
