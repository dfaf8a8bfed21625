"""Which score is of which weights, and which of several is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from triptych.benching.basis import Basis
from triptych.benching.known_scores import (
    Measured,
    Metric,
    Model,
    Score,
    own_scores,
    read_scores,
    scores_of,
)
from triptych.errors import UserError
from triptych.weights import Published

Evaluation = Callable[..., Path]
ARun = Callable[[Path, dict[str, float]], Path]

MIOU = Metric("mIoU", resized=True)
AP50 = Metric("AP50", rules=("iou", "score_floor"))
WEIGHTS = Published("a.pth", None, None, "MIT", {"mIoU": 0.664}, "Cityscapes val at 1024x512", "us")


def known(name: str, claims: bool = True) -> Model:
    return Model(name, registered=True, published=WEIGHTS if claims else None)


def published(name: str) -> Measured:
    return Measured(known(name), "published", "of the authors")


def trained(run: Path, digest: str = "unknown") -> Measured:
    name = "/".join(run.parts[-2:])
    return Measured(Model(name, registered=False, run=run.resolve()), "trained", digest)


def measured(model: str, miou: float, on: str = "camvid val") -> Score:
    return Score(model, miou, Basis(on), None, claimed=False)


def said(model: str, miou: float, weights: str, digest: str) -> Score:
    return replace(measured(model, miou), weights=weights, digest=digest)


def shown(models: Sequence[Measured], scores: Sequence[Score] = ()) -> list[float | None]:
    """The values for models, also of evaluations in their runs, as `bench` puts them together."""
    own = own_scores([each.model for each in models], MIOU)
    found = scores_of(models, [*own, *scores], MIOU)
    return [None if each is None else each.value for each in found]


def test_places(tmp_path: Path, evaluation: Evaluation) -> None:
    one = evaluation(tmp_path / "evaluations" / "a", "a", 0.5, fingerprint="f0")
    evaluation(tmp_path / "evaluations" / "b", "b", 0.6)
    assert read_scores([one / "scores.json"], MIOU) == read_scores([one], MIOU)
    basis = Basis("camvid val", "f0")
    assert read_scores([one], MIOU) == [Score("a", 0.5, basis, "640x480", claimed=False)]
    for place in (tmp_path / "evaluations", tmp_path):
        assert [score.model for score in read_scores([place], MIOU)] == ["a", "b"]


def test_evaluations_in_the_making_have_no_scores(
    tmp_path: Path, evaluation: Evaluation, a_run: ARun
) -> None:
    run = a_run(tmp_path / "run", {"camvid": 0.5})
    for name in ("camvid-val.part-77", "camvid-val.replaced"):
        evaluation(run / "evaluations" / name, "tiny", 0.9)
    for place in (run, run / "evaluations"):
        assert [score.value for score in read_scores([place], MIOU)] == [0.5]
    assert shown([trained(run)]) == [0.5]
    half = run / "evaluations" / "camvid-val.part-77"
    assert [score.value for score in read_scores([half], MIOU)] == [0.9], "it was asked for"


def test_rules_are_part_of_what_it_is_on(tmp_path: Path, evaluation: Evaluation) -> None:
    rule = {"iou": 0.5, "score_floor": 0.05, "size": "of the box"}
    place = evaluation(tmp_path / "e", "a", None, "voc2007", AP50=0.4, rule=rule)
    (score,) = read_scores([place], AP50)
    assert score.on == Basis("voc2007 val", None, (("iou", "0.5"), ("score_floor", "0.05")))
    assert score.on.rules_text == "iou 0.5, score_floor 0.05"
    assert score.size is None, "the model's own"


def test_a_score_of_nothing_is_none(tmp_path: Path, evaluation: Evaluation) -> None:
    place = evaluation(tmp_path / "e", "a", None)
    assert read_scores([place], MIOU) == []


@pytest.mark.parametrize(
    ("text", "metric", "message"),
    [
        ('{"model": "a"}', MIOU, r"scores\.json: not the scores of an evaluation with mIoU"),
        ('{"AP50": 0.5}', MIOU, "with mIoU"),
        ('{"mIoU": 0.5}', MIOU, r"not the scores of an evaluation \(KeyError"),
        ('{"mIoU": "high", "model": "a", "data": "b", "split": "c"}', MIOU, "ValueError"),
        ('{"AP50": 0.5, "model": "a", "data": "b", "split": "c"}', AP50, "KeyError"),
        ('{"AP50": 0.5, "model": "a", "data": "b", "split": "c", "rule": 1}', AP50, "Attribute"),
        ("[", MIOU, "JSONDecodeError"),
    ],
)
def test_broken_ones_are_named(tmp_path: Path, text: str, metric: Metric, message: str) -> None:
    (tmp_path / "scores.json").write_text(text)
    with pytest.raises(UserError, match=message):
        read_scores([tmp_path], metric)


def test_of_a_run_need_not_be_named(tmp_path: Path, a_run: ARun) -> None:
    run = a_run(tmp_path / "segment-tiny" / "seed-3", {"streets": 0.4})
    (score,) = read_scores([run], MIOU)
    assert (score.on.data, score.run) == ("streets val", run.resolve())
    assert shown([trained(run)]) == [0.4]


def test_measured_before_claimed() -> None:
    models = [published("a"), published("b")]
    own, claim = scores_of(models, [measured("a", 0.5)], MIOU)
    assert own == measured("a", 0.5)
    assert claim == Score("b", 0.664, Basis("Cityscapes val"), "1024x512", claimed=True)
    # A claim of another score is none of this one.
    assert scores_of(models, [], AP50) == [None, None]


def test_weights_of_a_file_have_the_scores_of_these_weights_only() -> None:
    mine = Measured(known("a"), "file", "mine")
    scores = [measured("a", 0.5), said("a", 0.6, "published", "theirs")]
    assert shown([mine], scores) == [None]  # nor what the authors claim of theirs
    scores.append(said("a", 0.3, "file", "mine"))
    assert shown([mine], scores) == [0.3]
    # Published weights on this machine are known by their content too.
    assert shown([Measured(known("a"), "published", "theirs")], scores) == [0.6]


def test_random_weights_stand_for_the_published_ones() -> None:
    drawn = Measured(known("a"), "random", "drawn")
    scores = [said("a", 0.6, "published", "x"), said("a", 0.3, "file", "y")]
    assert shown([drawn], scores) == [0.6]
    assert shown([drawn]) == [0.664]  # claimed
    # These were never published: a score is of other weights.
    never = Measured(known("a", claims=False), "random", "drawn")
    assert shown([never], [measured("a", 0.5)]) == [None]


def test_runs_of_one_name_are_told_apart(tmp_path: Path, a_run: ARun) -> None:
    left, right, bare = (
        a_run(tmp_path / side / "segment-tiny" / "seed-0", scores)
        for side, scores in (("a", {"camvid": 0.1}), ("b", {"camvid": 0.2}), ("c", {}))
    )
    models = [trained(left), trained(right, "second"), trained(bare)]
    assert shown(models) == [0.1, 0.2, None]
    of_right = read_scores([right], MIOU)
    assert shown(models, of_right) == [0.1, 0.2, None]
    assert shown([trained(bare)], of_right) == [None]
    # An evaluation elsewhere that says which weights it was of, and an old one that does not.
    assert shown(models, [said("segment-tiny/seed-0", 0.3, "trained", "second")])[1] == 0.3
    assert shown([models[2]], [measured("segment-tiny/seed-0", 0.4)]) == [0.4]
    assert shown(models, [measured("segment-tiny/seed-0", 0.4)])[2] is None


def test_files_of_a_model_s_name_are_not_the_model(tmp_path: Path, evaluation: Evaluation) -> None:
    place = evaluation(tmp_path / "e", "a", 1.0, runtime=None)
    assert shown([published("a")], read_scores([place], MIOU)) == [0.664]


def test_of_several_data_that_which_most_of_the_models_share(tmp_path: Path, a_run: ARun) -> None:
    """Whether their evaluations are named or lie in their runs."""
    street = published("street")
    given = [measured("street", 0.5), measured("street", 0.7, "streets val")]
    assert shown([street], given) == [0.7]  # equally many: the last
    runs = [
        a_run(tmp_path / "x" / "seed-0", {"camvid": 0.1, "streets": 0.2}),
        a_run(tmp_path / "x" / "seed-1", {"camvid": 0.3}),
    ]
    assert shown([street, *map(trained, runs)], given) == [0.5, 0.1, 0.3]
    # The same data for all, in whatever order each has them.
    both = a_run(tmp_path / "x" / "seed-2", {"streets": 0.2, "camvid": 0.1})
    own = own_scores([trained(both).model], MIOU)
    for order in (given, given[::-1]):
        found = scores_of([street, trained(both)], [*own, *order], MIOU)
        assert len({score.on for score in found if score is not None}) == 1
    # A model that is not there has no say.
    assert shown([street], [*given, measured("dabnet", 0.1)]) == [0.7]


@pytest.mark.parametrize("differs", [{"fingerprint": "two"}, {"rules": (("iou", "0.7"),)}])
def test_data_of_one_name_are_shared_only_where_they_are_the_same(differs: dict[str, Any]) -> None:
    one = Basis("folder val", "one", (("iou", "0.5"),))
    models = [published(name) for name in "abc"]
    scores = [
        Score(name, value, basis, None, claimed=False)
        for name, value, basis in (
            ("a", 0.1, one), ("b", 0.2, one), ("c", 0.3, one), ("a", 0.4, replace(one, **differs)),
        )
    ]  # fmt: skip
    assert shown(models, scores) == [0.1, 0.2, 0.3]
    assert shown(models[:1], scores) == [0.4]


def test_a_run_s_own_broken_evaluation_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "evaluations/x/scores.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    assert own_scores([Model("a", registered=False, run=tmp_path)], MIOU) == []
    assert str(file) in caplog.text
    with pytest.raises(UserError, match="scores"):
        read_scores([file], MIOU)
