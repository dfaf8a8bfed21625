"""Pictures of a run: what its recipe made of training images, and what it takes for what."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import torch
from torch import Tensor

from triptych.classify.augment import Augmentation, apply, draw, mix
from triptych.classify.recipes import ClassifyRecipe
from triptych.classify.sheet import pixels_of
from triptych.classify.tiles import Row, Tile, tile, write_sheet
from triptych.data.labelled_images import LabelledImages
from triptych.evaluation_folder import MEDIA, SHEETS
from triptych.training.seeding import stream

IMAGES, VERSIONS = 5, 9
CONFUSIONS, EXAMPLES = 6, 10


def write_augmented(
    run: Path,
    images: Tensor,
    recipe: ClassifyRecipe,
    plan: Augmentation | None,
    seed: int,
) -> None:
    """Write the sheet `media/sheets/augmentation.png` of a run; nothing where nothing is done.

    Of training images (n, 3, H, W) uint8 on the CPU, n at least 1: each as one batch that holds
    nothing else, so that what is drawn once for a whole batch is seen to be alike. Below, where the
    recipe mixes, a batch of different images. All is drawn anew, by streams of its own.
    """
    if plan is None:
        return
    rows = []
    for number, image in enumerate(images[:IMAGES]):
        batch = image.expand(VERSIONS, *image.shape)
        generator = stream(seed, "sheet", "augmented", number)
        drawn = draw(VERSIONS, image.shape[1], image.shape[2], plan, generator)
        versions = apply(batch, drawn, plan)
        title = "What the recipe makes of an image: versions of it, as of a batch of its own"
        tiles: list[Tile | None] = [tile(image, "original")]
        tiles += [tile(each, "") for each in pixels_of(versions)]
        rows.append(Row(tiles, title if number == 0 else ""))
    if recipe.mixup or recipe.cutmix:
        count = min(len(images), VERSIONS)
        height, width = images.shape[2:]
        drawn = draw(count, height, width, plan, stream(seed, "sheet", "to mix"))
        whole = apply(images[:count], drawn, plan)
        labels = torch.arange(count)
        mixed, targets = mix(
            whole,
            labels,
            count,
            stream(seed, "sheet", "mixed"),
            mixup=recipe.mixup,
            cutmix=recipe.cutmix,
        )
        shares = targets.gather(1, labels[:, None])[:, 0].tolist()
        mixes: list[Tile | None] = [None]
        mixes += [
            tile(each, f"{share:.0%} its own")
            for each, share in zip(pixels_of(mixed), shares, strict=True)
        ]
        rows.append(Row(mixes, "A batch of different images, augmented and mixed"))
    write_sheet(rows, run / MEDIA / SHEETS / "augmentation.png")


def write_confusions(folder: Path, items: pa.Table, data: LabelledImages) -> None:
    """Write the sheet `media/sheets/confusions.png` into an evaluation's folder: the commonest
    confusions, with images of each; nothing where nothing was wrong."""
    classes: list[str] = json.loads(items.schema.metadata[b"classes"])
    label, predicted = items["label"].to_numpy(), items["predicted"].to_numpy()
    wrong = (label != predicted).nonzero()[0].tolist()
    counts = Counter((int(label[index]), int(predicted[index])) for index in wrong)
    rows: list[Row] = []
    # Of equally common ones those of the first classes, so that the sheet is the same each time.
    for (true, taken), count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if len(rows) == CONFUSIONS:
            break
        of = [i for i in wrong if (label[i], predicted[i]) == (true, taken)][:EXAMPLES]
        tiles: list[Tile | None] = [tile(torch.from_numpy(data.pixels[i]), "") for i in of]
        total = int((label == true).sum())
        rows.append(Row(tiles, f"{classes[true]} taken for {classes[taken]}: {count} of {total}"))
    if rows:
        write_sheet(rows, folder / MEDIA / SHEETS / "confusions.png", EXAMPLES)
