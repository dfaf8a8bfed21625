"""How large is the page of a large comparison, and how long does it take?

    uv run python benchmarks/report_page.py [--arms 10] [--seeds 10] [--frames 1000]
        [--study segment] [--pictures 60] [--json]

Makes the folder of a comparison without training (eleven classes, eight drives, curves of 100
epochs, pictures of every arm for as many frames as asked) and writes its page in a process of its
own. `megabytes` and `seconds` are of the page, `verify_seconds` of `triptych verify`; `ratio` is
the larger of their shares of 30 MB and 60 s: below 1 it is within both.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

MOST_MEGABYTES, MOST_SECONDS = 30.0, 60.0
NAMES = (
    *("sky", "building", "pole", "road", "pavement", "tree"),
    *("sign", "fence", "car", "pedestrian", "cyclist"),
)


def folders() -> ModuleType:
    """The maker of folders that the tests use."""
    place = Path(__file__).parents[1] / "tests/report/folders.py"
    spec = importlib.util.spec_from_file_location("report_folders", place)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{place} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def add_pictures(folder: Path, arms: list[str], frames: int, study: str) -> None:
    """Label-like pictures of 960x720 of every arm's first seed."""
    draw = np.random.default_rng(0)
    colours = draw.integers(0, 256, (len(NAMES), 3), np.uint8)
    split = "test" if study == "classify" else "val"
    for arm in arms:
        place = folder / arm / "seed-0" / "evaluations" / f"streets-{split}" / "media"
        place.mkdir()
        for number in range(frames):
            labels = draw.integers(0, len(NAMES), (24, 32)).repeat(30, 0).repeat(30, 1)
            Image.fromarray(colours[labels]).save(place / f"{number:04d}.png", compress_level=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--arms", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--study", choices=["segment", "detect", "classify"], default="segment")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    made = folders()
    made.CLASSES["segment"] = NAMES
    with tempfile.TemporaryDirectory() as place:
        folder, page = Path(place) / "comparison", Path(place) / "page.html"
        arms = [f"arm-{number}" for number in range(options.arms)]
        made.make_comparison(
            folder, options.study, arms=arms, seeds=options.seeds, items=options.frames, epochs=100
        )
        add_pictures(folder, arms, options.pictures, options.study)
        seconds = []
        for arguments in (["report", str(folder), "--out", str(page)], ["verify", str(page)]):
            start = time.perf_counter()
            command = [sys.executable, "-m", "triptych", *arguments]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - start)
        megabytes = page.stat().st_size / 1e6
    result = {
        "study": options.study,
        "arms": options.arms,
        "seeds": options.seeds,
        "frames": options.frames,
        "megabytes": round(megabytes, 2),
        "seconds": round(seconds[0], 2),
        "verify_seconds": round(seconds[1], 2),
        "ratio": round(max(megabytes / MOST_MEGABYTES, seconds[0] / MOST_SECONDS), 3),
    }
    if options.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{key}: {value}" for key, value in result.items()))


if __name__ == "__main__":
    main()
