"""Points of accuracy against speed, the front worked by hand."""

from __future__ import annotations

from typing import Any

import pytest

from triptych.benching.basis import Basis, basis_texts
from triptych.benching.known_scores import Score
from triptych.benching.points import point_lines, points


def row(model: str, fps: float, runtime: str = "torch") -> dict[str, Any]:
    return {
        "model": model, "runtime": runtime, "precision": "float32", "frames_per_second": fps,
    }  # fmt: skip


def measured(model: str, value: float, on: Basis | str = "camvid val") -> Score:
    basis = Basis(on) if isinstance(on, str) else on
    return Score(model, value, basis, None, claimed=False)


def test_by_hand() -> None:
    table = {"fast": (90, 0.4), "good": (10, 0.8), "both": (80, 0.7), "slow": (5, 0.75)}
    table["alike"] = table["both"]
    rows = [row(name, fps) for name, (fps, _) in table.items()]
    scores = {name: measured(name, value) for name, (_, value) in table.items()}
    found = points(rows, scores)
    assert {point["model"] for point in found if point["on_front"]} == {
        "fast", "good", "both", "alike",
    }  # fmt: skip


def test_the_fastest_row_that_nothing_is_against() -> None:
    rows = [
        row("a", 10), row("a", 30, "openvino"), row("a", 50, "other"),
        {"model": "a", "runtime": "x", "precision": "y", "error": "no"},
        row("unscored", 99), row("refused", 99, "other"),
    ]  # fmt: skip
    scores = {"a": measured("a", 0.5), "unscored": None, "refused": measured("refused", 0.5)}
    (point,) = points(rows, scores, lambda row: "no" if row["runtime"] == "other" else "")
    assert (point["frames_per_second"], point["runtime"]) == (30, "openvino float32")


def test_claims_and_measurements_are_not_mixed() -> None:
    rows = [row("a", 10), row("b", 20), row("c", 5)]
    scores = {
        "a": measured("a", 0.5, "Cityscapes val"),
        "b": Score("b", 0.9, Basis("Cityscapes val"), None, claimed=True),
        "c": Score("c", 0.95, Basis("Cityscapes val"), None, claimed=True),
    }
    found = points(rows, scores)
    assert [p["on_front"] for p in found] == [True, False, False]
    assert {p["on"] for p in found} == {"Cityscapes val"}
    del scores["a"]
    assert [p["on_front"] for p in points(rows[1:], scores)] == [True, True]


@pytest.mark.parametrize(
    ("other", "texts"),
    [
        (Basis("folder val", "2c9b", (("iou", "0.5"),)), ("(2c9a…)", "(2c9b…)")),
        (Basis("folder val", None, (("iou", "0.5"),)), ("(2c9a…)", "(no fingerprint)")),
        (Basis("folder val", "2c9a77", (("iou", "0.7"),)), ("(iou 0.5)", "(iou 0.7)")),
    ],
)
def test_other_data_or_rules_of_one_name_are_not_mixed(
    other: Basis, texts: tuple[str, str]
) -> None:
    """The slower and worse model is not beaten by those that were judged on something else."""
    main = Basis("folder val", "2c9a77", (("iou", "0.5"),))
    rows = [row("a", 10), row("b", 20), row("c", 5)]
    scores = {"a": measured("a", 0.5, main), "b": measured("b", 0.9, other),
              "c": measured("c", 0.95, main)}  # fmt: skip
    found = {point["model"]: point for point in points(rows, scores)}
    assert {name: p["on_front"] for name, p in found.items()} == {"a": True, "b": False, "c": True}
    assert [found[name]["on"] for name in "abc"] == [
        f"folder val {texts[0]}", f"folder val {texts[1]}", f"folder val {texts[0]}",
    ]  # fmt: skip
    assert (found["b"]["fingerprint"], found["b"]["rules"]) == (
        other.fingerprint, other.rules_text,
    )  # fmt: skip
    # Alone it needs no more than its name.
    assert points(rows, {"b": scores["b"]})[0]["on"] == "folder val"


def test_in_words() -> None:
    scores = {"a": measured("a", 0.5), "b": measured("b", 0.4)}
    record = {"metric": "AP50", "points": points([row("a", 10), row("b", 5)], scores)}
    text = "\n".join(point_lines(record))
    assert "* a " in text
    assert "  b " in text
    assert "AP50 0.500 measured on camvid val" in text
    assert point_lines({"metric": "AP50", "points": []}) == []


class TestBasisTexts:
    def test_a_name_is_enough_where_it_is_the_only_one(self) -> None:
        one, two = Basis("a val", "1111"), Basis("b val", "2222")
        assert basis_texts([one, two, one]) == {one: "a val", two: "b val"}

    def test_as_many_digits_as_tell_them_apart(self) -> None:
        bases = [Basis("a val", digits) for digits in ("12345678", "12345999", "9")]
        assert [*basis_texts(bases).values()] == [
            "a val (123456…)",
            "a val (123459…)",
            "a val (9…)",
        ]

    def test_no_two_are_the_same(self) -> None:
        bases = [
            Basis(data, fingerprint, (("iou", iou), ("floor", "0")))
            for data in ("a val", "b val")
            for fingerprint in (None, "", "1111", "11111", "2222")
            for iou in ("0.5", "0.7")
        ]
        assert len({*basis_texts(bases).values()}) == len(bases)
