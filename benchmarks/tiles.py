"""How much less memory do tiles take, and how many labels stay as they are on the whole picture?

    uv run python benchmarks/tiles.py --model M [--model N …] [--data streets] [--split val]
        [--size 2048x1024] [--tile 512x512] [--frames 4] [--json]

`--model` takes what `triptych predict` takes: a name, for which its published weights must be on
this machine, or a run folder; `drawn:NAME` has weights drawn at random, good for memory only.
Each model labels the same frames twice, whole and in tiles, with float32 PyTorch in a process of
its own. `ratio` is the peak memory of the first model's first process over that of its second,
`agreement` the share of pixels with the same label in both, and `halo_agreement` what `predict`
and `evaluate` report, which need no whole picture: it looks at the pixels near the tiles' edges
only, and so is lower. 1 is reached by models that see no further than a tile's halo; OCR, pyramid
pooling and attention over scales look at all of a picture, and see a tile as another one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from triptych.benching import peak_memory
from triptych.data.open_data import open_data
from triptych.inference import Prepared, Runtime, Size, Tiling
from triptych.segment.models import entry
from triptych.segment.network import Network, open_network, untrained_network

DRAWN = "drawn:"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--data", default="streets")
    parser.add_argument("--split", default="val")
    parser.add_argument("--size", default="2048x1024", help="width x height of the model's input")
    parser.add_argument("--tile", default="512x512", help="width x height")
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--child", nargs=2, metavar=("TILE", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.child is not None:
        tile, file = options.child
        label(options, None if tile == "whole" else size_of(tile), Path(file))
        return

    models = {name: compare(name, options) for name in options.model}
    result = {
        "ratio": next(iter(models.values()))["ratio"],
        "size": options.size,
        "tile": options.tile,
        "frames": options.frames,
        "models": models,
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, found in models.items():
        print(
            f"{name}: {found['whole_gib']:.1f} GiB whole, {found['tiled_gib']:.1f} GiB in tiles of "
            f"{options.tile}; {found['agreement']:.1%} of the labels agree, "
            f"{found['halo_agreement']:.1%} in the halos"
        )


def compare(model: str, options: argparse.Namespace) -> dict[str, Any]:
    """Memory and agreement of one model, whole and in tiles."""
    with tempfile.TemporaryDirectory() as folder:
        told, labels = {}, {}
        for way in ("whole", options.tile):
            file = Path(folder) / f"{way}.npy"
            line = [sys.executable, __file__, "--model", model, "--child", way, str(file)]
            for key in ("data", "split", "size", "frames"):
                line += [f"--{key}", str(getattr(options, key))]
            done = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True)
            told[way], labels[way] = json.loads(done.stdout), np.load(file)
    whole, tiled = told["whole"], told[options.tile]
    return {
        "whole_gib": whole["gib"],
        "tiled_gib": tiled["gib"],
        "ratio": whole["gib"] / tiled["gib"],
        "agreement": float((labels["whole"] == labels[options.tile]).mean()),
        "halo_agreement": tiled["halo_agreement"],
    }


def label(options: argparse.Namespace, tile: Size | None, file: Path) -> None:
    """Label the frames into `file` and print what it took."""
    network = opened(options.model[0])
    tiling = None if tile is None else Tiling.of(tile, entry(network.architecture).stride)
    prepared = Prepared(
        network.model,
        network.normalisation,
        len(network.classes),
        runtime=Runtime("torch"),
        device=torch.device("cpu"),
        input_size=size_of(options.size),
        tiling=tiling,
    )
    frames = open_data(options.data, options.split)
    chosen = np.linspace(0, len(frames) - 1, options.frames).astype(int)
    np.save(file, np.concatenate([prepared.labels(frames.load(int(i))[0][None]) for i in chosen]))
    gib = round(peak_memory() / 2**30, 3)
    print(json.dumps({"gib": gib, "halo_agreement": prepared.agreement.share}))


def opened(model: str) -> Network:
    if model.startswith(DRAWN):
        return untrained_network(model.removeprefix(DRAWN))
    return open_network(model)


def size_of(text: str) -> Size:
    width, height = map(int, text.split("x"))
    return height, width


if __name__ == "__main__":
    main()
