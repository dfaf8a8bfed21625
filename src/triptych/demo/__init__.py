"""The embedded default, end to end: three studies in miniature, offline, and the page of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from triptych.classify.study import STUDY as CLASSIFY
from triptych.compare import Comparison
from triptych.compare.folder import cell
from triptych.compare.run import compare
from triptych.demo import questions
from triptych.demo.clip import draw_clip
from triptych.report.write import report
from triptych.run import write_json
from triptych.segment.open_labeller import open_labeller
from triptych.segment.predict import PredictOptions, predict

Say = Callable[[str], None]


def demo(out: Path, *, seed: int = 0, device: str = "auto") -> dict[str, Any]:
    """Run the demo into `out`; the same command goes on where it stopped.

    Returns verdicts, the files to open, and under `text` what to show a person.
    """
    began = time.monotonic()
    steps = _Steps(6)

    steps.say("segment: the same small network with and without InverseForm, three seeds each")
    boundaries = questions.boundaries(seed)
    verdicts = {"segment": compare(boundaries, out / "segment", device=device)}
    steps.say("label a clip of a street that neither saw, beside the truth")
    clip, labelled = label_clip(out, boundaries, seed, device)

    steps.say("detect: train a backbone to classify street objects")
    backbone = out / "backbone" / f"seed-{seed}"
    CLASSIFY.train(questions.backbone(), seed, backbone, device=device)
    steps.say("detect: random against that backbone, three seeds each")
    asked = questions.initialisation(seed, backbone)
    verdicts["detect"] = compare(asked, out / "detect", device=device)

    steps.say("classify: the original's flaws, mended one by one; then two populations")
    verdicts["flaws"] = compare(questions.flaws(seed), out / "flaws", device=device)
    verdicts["classify"] = compare(questions.models(seed), out / "classify", device=device)

    steps.say("one page of it all")
    page = out / "report.html"
    places = [out / name for name in ("segment", "detect", "flaws", "classify")]
    report([*places, labelled], page)
    record: dict[str, Any] = {
        "page": str(page),
        "video": str(labelled / clip.name),
        "comparisons": {name: str(out / name) for name in verdicts},
        "verdicts": {
            name: [
                {"question": verdict["question"], **_sentence(pair, verdict["metric"])}
                for pair in verdict["pairs"]
            ]
            for name, verdict in verdicts.items()
        },
        "seconds": round(time.monotonic() - began, 1),
    }
    write_json(out / "summary.json", record)
    return record | {"text": text_of(record)}


def label_clip(out: Path, asked: Comparison, seed: int, device: str) -> tuple[Path, Path]:
    """The clip, and the folder of its labels by both models of a seed and in truth."""
    clip, truth = draw_clip(out / f"clip-{seed}", seed)
    labelled = clip.parent / "labelled"
    models = [
        open_labeller(
            str(cell(out / "segment", arm, seed)), size=(96, 192), device=device, name=arm
        )
        for arm in asked.arms
    ]
    predict(clip, [*models, open_labeller(str(truth), name="truth")], labelled, PredictOptions())
    return clip, labelled


def _sentence(pair: dict[str, Any], metric: str) -> dict[str, Any]:
    """What a pair of arms came to, as the record has it."""
    said = f"{pair['arm']} against {pair['baseline']}: {pair['verdict']}"
    interval = pair.get("interval")
    if interval:
        low, high = interval["low"], interval["high"]
        said += f", {metric} {interval['difference']:+.3f} ({low:+.3f} to {high:+.3f})"
    return {"arm": pair["arm"], "baseline": pair["baseline"], "said": said}


class _Steps:
    """Tells a person which of the demo's steps begins."""

    def __init__(self, count: int) -> None:
        self._count, self._done = count, 0

    def say(self, line: str) -> None:
        self._done += 1
        print(f"{self._done}/{self._count}  {line}", file=sys.stderr, flush=True)


def text_of(record: dict[str, Any]) -> str:
    """What the demo says at its end."""
    lines: list[str] = []
    for pairs in record["verdicts"].values():
        lines += [pairs[0]["question"], *(f"    {pair['said']}" for pair in pairs), ""]
    return "\n".join([*lines, *_next(record)])


def _next(record: dict[str, Any]) -> Sequence[str]:
    return (
        "Open these:",
        f"    {record['page']}",
        "        all of it on one page: verdicts, tables, figures, audit",
        f"    {record['video']}",
        "        a street, labelled by both networks, beside the truth",
        "",
        "Next, on data of your own:",
        "    triptych predict drive.mp4 --out labelled",
        "    triptych train detect/lite --set data=coco:FILE_{split}.json,PICTURES "
        "--set val_data=none --set init=imagenet",
        "    triptych compare classify/small classify/small-vit --varies model --metric top1 \\",
        "        --margin 0.01 --set data=folder:DIR,size=32 --out mine",
        "    triptych report mine --out mine.html",
    )
