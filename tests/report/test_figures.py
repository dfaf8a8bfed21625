"""The figures: what they show is what the record says, and every text fits."""

from __future__ import annotations

import copy
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axis import Tick
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from triptych.report.beside_forest import beside_figure
from triptych.report.crossings import crossings_of
from triptych.report.figures import curves, draw_curves, save_png, save_svg, verdict_figure
from triptych.report.history import Point
from triptych.report.joined import fixed_part

Record = dict[str, Any]

LONG = "tiny-model-vit-tiny-lr-0.004-weight_decay-0.05-smoothing-0.1"


def texts_of(file: Path) -> str:
    """All texts of an SVG file, which has to be whole XML."""
    tree = ElementTree.parse(file)
    return " ".join("".join(e.itertext()) for e in tree.iter("{http://www.w3.org/2000/svg}text"))


def renamed(verdict: Record, old: str, new: str) -> Record:
    verdict["arms"] = {new if k == old else k: v for k, v in verdict["arms"].items()}
    for pair in verdict["pairs"]:
        pair.update({k: new for k in ("arm", "baseline") if pair[k] == old})
    return verdict


def many(verdict: Record, count: int, name: str = "arm") -> Record:
    """The verdict with `count` arms and as many pairs but one."""
    verdict["arms"] = {"conv": verdict["arms"]["conv"]} | {
        f"{name}-{i}": verdict["arms"]["vit"] for i in range(1, count)
    }
    first = verdict["pairs"][0]
    verdict["pairs"] = [copy.deepcopy(first) | {"arm": f"{name}-{i}"} for i in range(1, count)]
    return verdict


def history(verdict: Record) -> list[Point]:
    return [
        Point(epoch, arm, seed, split, name, 1 / epoch + 0.1 * seed)
        for arm in verdict["arms"]
        for seed in range(3)
        for epoch in range(1, 31)
        for split, name in (("train", "loss"), ("val", "top1"))
    ]


def with_losses(points: list[Point]) -> list[Point]:
    """The same points and a loss on val at each score's place."""
    return [*points, *(replace(p, metric="loss", score=2.0) for p in points if p.split == "val")]


def boxes(figure: Figure) -> list[tuple[str, Any]]:
    """All texts but the numbers at the axes, and the pixels that they cover."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    numbers = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.findobj(Tick)
        for label in tick.findobj(Text)
    }
    texts = [t for t in figure.findobj(Text) if t not in numbers and t.get_text().strip()]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in texts]


def assert_texts_fit(figure: Figure) -> None:
    found = boxes(figure)
    assert found
    for index, (text, box) in enumerate(found):
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y1 <= figure.bbox.y1, text
        for other, second in found[:index]:
            # Two neighbouring lines may touch.
            apart = min(box.y1, second.y1) - max(box.y0, second.y0) < 3
            assert apart or not box.overlaps(second), (text, other)


@pytest.mark.parametrize("count", [2, 8])
@pytest.mark.parametrize("name", ["a", LONG])
def test_texts_fit(verdict: Record, count: int, name: str) -> None:
    verdict = many(verdict, count, name)
    for figure in (verdict_figure(verdict), draw_curves(history(verdict), verdict)):
        assert figure is not None
        assert figure.get_figwidth() == 8
        assert_texts_fit(figure)


@pytest.mark.parametrize("name", ["verdict", "extended", "fixed"])
@pytest.mark.parametrize("arm", ["a", LONG])
def test_texts_of_every_kind_of_verdict_fit(
    name: str, arm: str, request: pytest.FixtureRequest
) -> None:
    verdict = request.getfixturevalue(name)
    assert_texts_fit(verdict_figure(renamed(verdict, verdict["pairs"][0]["arm"], arm)))


def test_forest_shows_intervals_margin_and_verdicts(verdict: Record, tmp_path: Path) -> None:
    figure = verdict_figure(verdict)
    (axes,) = figure.axes
    spans = [line.get_xdata() for line in axes.lines]
    assert any(np.array_equal(span, [0.0547, 0.1453]) for span in spans)
    assert any(np.array_equal(span, [0.04, 0.16]) for span in spans)
    band = axes.collections[0].get_datalim(axes.transData)
    assert (band.x0, band.x1) == pytest.approx((-0.02, 0.02))
    save_svg(figure, tmp_path / "x.svg")
    texts = texts_of(tmp_path / "x.svg")
    for text in (
        *("vit", "against conv", "better", "undecided", "+0.0547 to +0.1453 (95\u00a0%)"),
        *("new items: not shown", "vit: 1 of 3 diverged", "no interval: not complete:"),
        *("top1, arm minus baseline (fraction; higher is better)", "margin of 0.02"),
    ):
        assert text in texts


def test_forest_marks_what_is_exploratory(extended: Record, tmp_path: Path) -> None:
    save_svg(verdict_figure(extended), tmp_path / "x.svg")
    texts = texts_of(tmp_path / "x.svg")
    assert "exploratory: undecided" in texts
    assert "with added seeds (0, 1, 2, 3, 4)" in texts


def test_forest_of_fixed_predictions(fixed: Record, tmp_path: Path) -> None:
    fixed["pairs"][0]["by_group"]["$a$"] = 0.01
    save_svg(verdict_figure(fixed), tmp_path / "x.svg")
    texts = texts_of(tmp_path / "x.svg")
    for text in ("+0.0333", "0001TP: +0.1000", "Seq05VD: −0.0500", "$a$: +0.0100", "2 of 3 drives"):
        assert text in texts


def test_one_wide_interval_leaves_room_for_the_others(verdict: Record) -> None:
    verdict = many(verdict, 5)
    verdict["pairs"][0]["interval"] |= {"low": -5.0, "high": 5.1}
    (axes,) = verdict_figure(verdict).axes
    low, high = axes.get_xlim()
    assert -1 < low < -0.02
    assert 0.16 < high < 1
    arrows = [line.get_marker() for line in axes.lines if line.get_marker() in ("<", ">")]
    assert sorted(arrows) == ["<", ">"]


def test_curves_are_means_with_bands(
    verdict: Record, make_folder: Callable[[Record], Path], tmp_path: Path
) -> None:
    figure = curves(make_folder(verdict), verdict)
    assert figure is not None
    left, right = figure.axes
    conv, vit = [line for line in left.lines if len(line.get_xdata()) == 2][:2]
    assert list(conv.get_xdata()) == [2, 4]
    # Seeds 0, 1, 2 score 0.2, 0.21, 0.24 after two epochs.
    assert list(conv.get_ydata()) == pytest.approx([0.65 / 3, 1.25 / 3])
    assert vit.get_ydata()[1] == pytest.approx(2.405)  # of seeds 0 and 1: the third diverged
    band = left.collections[0].get_datalim(left.transData)
    assert (band.y0, band.y1) == pytest.approx((0.2, 0.44))
    crosses = [line for line in right.lines if line.get_marker() == "x"]
    assert [(list(c.get_xdata()), list(c.get_ydata())) for c in crosses] == [([2], [1.82])]
    save_svg(figure, tmp_path / "x.svg")
    texts = texts_of(tmp_path / "x.svg")
    for text in (
        "top1 on val (fraction)",
        "training loss",
        "epoch",
        "conv (n = 3)",
        "late (n = 2)",
    ):
        assert text in texts
    assert "band or bar: lowest to highest seed; ×: a seed diverged here" in texts


def test_curves_on_another_split(
    verdict: Record, make_folder: Callable[[Record], Path], fixed: Record
) -> None:
    folder = make_folder(verdict)
    for asked, shown in (("test", "test"), ("val", "val"), ("nowhere", "val")):
        figure = curves(folder, verdict, asked)
        assert figure is not None
        assert figure.axes[0].get_title("left") == f"top1 on {shown} (fraction)"
    assert curves(folder, fixed) is None


@pytest.mark.parametrize("count", [2, 8])
@pytest.mark.parametrize("name", ["a", LONG])
@pytest.mark.parametrize("by_samples", [False, True])
def test_texts_of_three_panels_fit(
    reached: Record, count: int, name: str, by_samples: bool
) -> None:
    verdict = many(reached, count, name)
    points = with_losses(history(verdict))
    if by_samples:
        rate = {arm: 1e5 * (1 + i % 2) for i, arm in enumerate(verdict["arms"])}
        points = [replace(p, samples=rate[p.arm] * p.epoch) for p in points]
    figure = draw_curves(points, verdict)
    assert figure is not None
    assert_texts_fit(figure)


def test_loss_on_val_has_a_panel_of_its_own(verdict: Record, tmp_path: Path) -> None:
    figure = draw_curves(with_losses(history(verdict)), verdict)
    assert figure is not None
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["top1 on val (fraction)", "training loss", "loss on val"]
    score, _, loss = figure.axes
    assert list(loss.lines[0].get_ydata()) == [2.0] * 30
    assert next(iter(score.lines[0].get_ydata())) == pytest.approx(1.1)  # of seeds 0, 1, 2
    # Where the loss itself is judged it is shown once.
    judged = verdict | {"metric": "loss"}
    figure = draw_curves([p for p in with_losses(history(verdict)) if p.metric == "loss"], judged)
    assert figure is not None
    assert [axes.get_title("left") for axes in figure.axes] == [
        "loss on val (nats)",
        "training loss",
    ]


def test_epochs_of_unequal_length_are_drawn_over_samples(verdict: Record) -> None:
    verdict = many(verdict, 2)
    rates = {"conv": 100.0, "arm-1": 800.0}
    points = [replace(p, samples=rates[p.arm] * p.epoch) for p in history(verdict)]
    figure = draw_curves(points, verdict)
    assert figure is not None
    axes = figure.axes[0]
    assert axes.get_xlabel() == "samples trained on"
    assert [line.get_xdata()[-1] for line in axes.lines[:2]] == [3_000, 24_000]
    # As long as it is not known of every arm, or where all are alike, epochs.
    unknown = [replace(p, samples=None) if p.arm == "conv" else p for p in points]
    alike = [replace(p, samples=100.0 * p.epoch) for p in points]
    for others in (unknown, alike):
        figure = draw_curves(others, verdict)
        assert figure is not None
        assert figure.axes[0].get_xlabel() == "epoch"
        assert figure.axes[0].lines[0].get_xdata()[-1] == 30


def test_where_arms_come_to_the_score_that_is_shown(reached: Record, tmp_path: Path) -> None:
    def marks(verdict: Record) -> list[tuple[str, float, float]]:
        figure = draw_curves(history(verdict), verdict)
        assert figure is not None
        save_svg(figure, tmp_path / "x.svg")
        return [
            (line.get_marker(), line.get_xdata()[0], line.get_ydata()[0])
            for line in figure.axes[0].lines
            if line.get_markerfacecolor() == "white"
        ]

    found = reached["pairs"][0]["samples_to_reach"]
    means = [found["scores"][1][role]["mean_epochs"] for role in ("baseline", "arm")]
    assert marks(reached) == [("o", pytest.approx(m), pytest.approx(0.35)) for m in means]
    assert "thin line: score at which samples are compared" in texts_of(tmp_path / "x.svg")
    found["shown"] = 2
    assert [mark for mark, _, _ in marks(reached)] == [">", "o"]
    found["scores"][2]["arm"]["bound"]["0"] = "at most"
    assert [mark for mark, _, _ in marks(reached)] == [">", "<"]
    # Two arms at one place are both seen.
    found["scores"][2]["arm"]["mean_epochs"] = found["scores"][2]["baseline"]["mean_epochs"]
    figure = draw_curves(history(reached), reached)
    assert figure is not None
    rings = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert rings[0].get_markersize() < rings[1].get_markersize()
    assert rings[0].get_zorder() > rings[1].get_zorder()
    # Not of another split than the one that is drawn.
    found["split"] = "test"
    assert marks(reached) == []
    assert "thin line" not in texts_of(tmp_path / "x.svg")


def test_too_many_scores_are_not_drawn(reached: Record) -> None:
    first = reached["pairs"][0]
    reached["pairs"] = [copy.deepcopy(first) for _ in range(4)]
    for index, pair in enumerate(reached["pairs"]):
        pair["samples_to_reach"]["scores"][1]["target"] += 0.01 * index
    assert crossings_of(reached, "val", False) == []
    assert len(crossings_of(reached | {"pairs": reached["pairs"][:3]}, "val", False)) == 6


def test_eight_curves_differ_in_colour_and_in_line(verdict: Record) -> None:
    verdict = many(verdict, 8)
    figure = draw_curves(history(verdict), verdict)
    assert figure is not None
    lines = figure.axes[1].lines[: 3 * 8]
    looks = [(line.get_color(), line._dash_pattern) for line in lines if len(line.get_xdata()) > 1]
    assert len({colour for colour, _ in looks}) == 8
    assert len({str(pattern) for _, pattern in looks}) == 8


def test_equal_input_gives_equal_files(
    verdict: Record, make_folder: Callable[[Record], Path], tmp_path: Path
) -> None:
    folder = make_folder(verdict)
    settings = dict(matplotlib.rcParams)
    for name in ("a", "b"):
        # What the user has set must not show.
        with matplotlib.rc_context({"axes.facecolor": "white" if name == "a" else "red"}):
            figure = curves(folder, verdict)
            assert figure is not None
            save_svg(figure, tmp_path / f"{name}.svg")
            save_png(figure, tmp_path / f"{name}.png")
    for kind in ("svg", "png"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    assert b"date" not in (tmp_path / "a.svg").read_bytes().lower()
    assert dict(matplotlib.rcParams) == settings


def test_neither_pyplot_nor_torch_is_imported(
    joined: Record, make_folder: Callable[[Record], Path], tmp_path: Path
) -> None:
    (tmp_path / "verdict.py").write_text(f"VERDICT = {joined!r}\n")
    code = (
        "import sys; from pathlib import Path; from verdict import VERDICT\n"
        "from triptych.report import figures, record\n"
        "assert 'matplotlib' not in sys.modules\n"
        f"record.write_record(Path({str(make_folder(joined))!r}), VERDICT, Path('out'))\n"
        "assert not {'matplotlib.pyplot', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_a_panel_for_each_score_beside_the_metric(beside: Record, tmp_path: Path) -> None:
    figure = beside_figure(beside)
    assert figure is not None
    first, dim, loss = figure.axes
    spans = [line.get_xdata() for line in first.lines]
    assert any(np.array_equal(span, [-0.0123, 0.0523]) for span in spans)
    assert any(np.array_equal(span, [-0.03, 0.01]) for span in spans)  # the drives
    # One scale for scores of one unit, and no margin, which belongs to the metric alone.
    assert first.get_xlim() == dim.get_xlim() != loss.get_xlim()
    assert not any(axes.collections for axes in figure.axes)
    save_svg(figure, tmp_path / "x.svg")
    texts = texts_of(tmp_path / "x.svg")
    for text in (
        *("BF (fraction)", "mIoU@0-60 (fraction)", "loss (nats)", "+0.0200"),
        *(
            "−0.0123 to +0.0523 (95\u00a0%)",
            "missing in 1 of 3",
            "described, no verdict",
            "no Holm",
        ),
        *("arm minus baseline", "against conv", "the seed changed nothing"),
    ):
        assert text in texts
    for word in ("better", "worse", "equivalent", "undecided"):
        assert word not in texts


@pytest.mark.parametrize("name", ["beside", "beside_extended", "beside_fixed"])
@pytest.mark.parametrize("arm", ["a", LONG])
def test_texts_beside_the_metric_fit(name: str, arm: str, request: pytest.FixtureRequest) -> None:
    verdict = request.getfixturevalue(name)
    figure = beside_figure(renamed(verdict, verdict["pairs"][0]["arm"], arm))
    assert figure is not None
    assert_texts_fit(figure)


@pytest.mark.filterwarnings("error")
def test_scores_beside_without_a_single_difference(beside: Record) -> None:
    beside["pairs"] = beside["pairs"][1:]
    figure = beside_figure(beside)
    assert figure is not None
    assert_texts_fit(figure)


@pytest.mark.parametrize("name", ["verdict", "extended", "fixed"])
def test_no_scores_beside_no_figure(name: str, request: pytest.FixtureRequest) -> None:
    assert beside_figure(request.getfixturevalue(name)) is None


@pytest.mark.parametrize("arm", ["net", LONG])
def test_fixed_predictions_among_recipes(joined: Record, arm: str, tmp_path: Path) -> None:
    joined["fixed"]["arms"] = {arm: joined["fixed"]["arms"]["net"]}
    for pair in joined["fixed"]["pairs"]:
        pair["arm"] = arm
    part = fixed_part(joined)
    assert part is not None
    figure, further = verdict_figure(part), beside_figure(part)
    assert further is not None
    for each in (figure, further):
        assert_texts_fit(each)
    save_svg(figure, tmp_path / "x.svg")
    texts = texts_of(tmp_path / "x.svg")
    for text in (arm, "against conv", "against vit", "+1.0333", "0001TP: +0.1000"):
        assert text in texts
    for word in ("better", "worse", "equivalent", "undecided"):
        assert word not in texts.replace("higher is better", "")


def test_a_pair_without_any_difference_is_drawn(joined: Record) -> None:
    joined["fixed"]["pairs"][0] |= {"difference": None, "by_group": None, "interval": None}
    part = fixed_part(joined)
    assert part is not None
    assert_texts_fit(verdict_figure(part))
