"""Evaluation: the scores, what they must not depend on, and the folder that is written."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from triptych import cli
from triptych.data.class_record import write_classes
from triptych.data.classes import CAMVID, CITYSCAPES, VOID, ClassSet
from triptych.data.labelled import LabelledData
from triptych.data.mapping import mapping_between
from triptych.data.open_data import open_data
from triptych.errors import UserError, WorkFailed
from triptych.segment.evaluate import describe, evaluate
from triptych.segment.export import export
from triptych.segment.labeller import FrameKey
from triptych.segment.metrics import boundary_f, confusion_matrix
from triptych.segment.models.label_folder import LabelFolder
from triptych.segment.network import untrained_network
from triptych.segment.scores import scores_from_items

ABC = ClassSet("abc", ("a", "b", "c", "d"), ((0, 0, 0),) * 4)
SIZES = ((20, 30), (20, 30), (24, 30), (20, 30), (24, 30))
LIGHT = (10, 60, 95, 119, 59)


class Frames:
    """Five made-up frames of two sizes and two drives; class d never occurs."""

    name, split, classes = "made", "val", ABC
    keys: Sequence[str] = tuple(f"drive/{index}" for index in range(5))
    groups: Sequence[str] = ("x", "y", "x", "y", "y")
    broken: int | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def load(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if index == self.broken:
            raise UserError(f"{self.keys[index]}: cannot be read")
        return np.full((*SIZES[index], 3), LIGHT[index], np.uint8), blocks(index, SIZES[index])

    def fingerprint(self) -> str:
        return "f" * 64


def blocks(seed: int, size: tuple[int, int]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = rng.choice([0, 1, 2, VOID], (6, 6), p=[0.4, 0.3, 0.2, 0.1])
    return np.kron(small, np.ones((5, 5)))[: size[0], : size[1]].astype(np.uint8)


def shifted(truth: np.ndarray) -> np.ndarray:
    predicted = np.roll(truth, 1, axis=1)
    predicted[predicted == VOID] = 3
    predicted[0, 0] = VOID
    return predicted


@dataclass
class Answers:
    """A labeller that answers for each frame what `answer` makes of its truth."""

    data: LabelledData
    answer: Callable[[np.ndarray], np.ndarray]
    classes: ClassSet = ABC
    concurrency: int = 2
    name: str = "answers"
    batches: list[tuple[int, ...]] = field(default_factory=list)
    fails_at: int | None = None
    failure: BaseException = field(default_factory=lambda: UserError("no labels for this frame"))
    at_once: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def labels(
        self,
        images: np.ndarray,
        keys: Sequence[FrameKey],
        size: tuple[int, int] | None = None,
    ) -> np.ndarray:
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            self.batches.append(tuple(key.index for key in keys))
        assert len(images) == len(keys)
        if self.fails_at in [key.index for key in keys]:
            raise self.failure
        found = []
        for key in keys:
            truth = self.data.load(key.index)[1]
            assert self.data.keys[key.index].endswith(key.stem)
            assert size == truth.shape
            found.append(self.answer(truth))
        with self.lock:
            self.at_once -= 1
        return np.stack(found)


def run(data: LabelledData, answer: Callable[[np.ndarray], np.ndarray], **options: object) -> dict:
    return evaluate(Answers(data, answer, data.classes), data, progress=False, **options)  # type: ignore[arg-type]


def test_truth_as_prediction_is_perfect() -> None:
    scores = run(Frames(), lambda truth: truth)
    for part in (scores, *scores["groups"].values(), scores["luminance"]["60-90"]):
        assert part["mIoU"] == part["BF"] == part["pixel_accuracy"] == 1.0
        assert part["IoU"] == part["BF_by_class"] == {"a": 1.0, "b": 1.0, "c": 1.0, "d": None}
    assert scores["classes_averaged"] == 3


def test_scores_against_one_pass_over_all_pixels() -> None:
    data = Frames()
    scores = run(data, shifted)
    for part, chosen in (
        (scores, range(5)),
        (scores["groups"]["x"], (0, 2)),
        (scores["groups"]["y"], (1, 3, 4)),
        (scores["luminance"]["0-60"], (0, 4)),
        (scores["luminance"]["60-90"], (1,)),
        (scores["luminance"]["90-120"], (2, 3)),
    ):
        truths = [data.load(index)[1] for index in chosen]
        truth = np.concatenate([t.ravel() for t in truths])
        predicted = np.concatenate([shifted(t).ravel() for t in truths])[truth != VOID]
        truth = truth[truth != VOID]
        for number, name in enumerate(ABC.names):
            union = ((truth == number) | (predicted == number)).sum()
            hits = ((truth == number) & (predicted == number)).sum()
            assert part["IoU"][name] == (hits / union if union else None)
            bf = [boundary_f(t, shifted(t), 4)[number] for t in truths if (t == number).any()]
            assert part["BF_by_class"][name] == (pytest.approx(np.mean(bf)) if bf else None)
        ious = [value for value in part["IoU"].values() if value is not None]
        assert part["mIoU"] == pytest.approx(np.mean(ious))
        assert part["classes_averaged"] == len(ious)
        assert part["pixel_accuracy"] == (truth == predicted).mean()
        assert part["frames"] == len(truths)
    empty = scores["luminance"]["120-255"]
    assert (empty["frames"], empty["mIoU"], empty["BF"]) == (0, None, None)
    assert scores["IoU"]["d"] == 0.0  # predicted, so its union is not empty
    assert scores["BF_by_class"]["d"] is None
    assert "one confusion matrix" in scores["rule"]["mIoU"]


@pytest.mark.parametrize("batch_size", [2, 3, 5, 99])
def test_batch_size_changes_no_score(batch_size: int) -> None:
    assert run(Frames(), shifted, batch_size=batch_size) == run(Frames(), shifted)


def test_frames_of_one_size_are_labelled_together() -> None:
    labeller = Answers(Frames(), shifted)
    evaluate(labeller, Frames(), batch_size=5, progress=False)
    assert sorted(labeller.batches) == [(0, 1, 3), (2, 4)]
    labeller = Answers(Frames(), shifted, concurrency=1)
    evaluate(labeller, Frames(), progress=False)
    assert sorted(labeller.batches) == [(0,), (1,), (2,), (3,), (4,)]
    assert labeller.most == 1


def test_the_folder_holds_all_that_the_scores_follow_from(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "evaluation"
    scores = run(Frames(), shifted, out=out, about={"runtime": "torch"})
    assert sorted(path.name for path in out.iterdir()) == ["items.parquet", "media", "scores.json"]
    assert [path.name for path in out.parent.iterdir()] == ["evaluation"]
    written = json.loads((out / "scores.json").read_text())
    assert written == scores
    assert {key: written[key] for key in ("model", "data", "split", "runtime")} == {
        "model": "answers",
        "data": "made",
        "split": "val",
        "runtime": "torch",
    }
    recomputed = scores_from_items(out / "items.parquet")
    assert recomputed == {key: written[key] for key in recomputed}
    assert {"mIoU", "IoU", "BF", "pixel_accuracy", "groups", "luminance"} <= set(recomputed)
    rows = pq.read_table(out / "items.parquet").to_pylist()
    assert [row["key"] for row in rows] == list(Frames.keys)
    truth = Frames().load(2)[1]
    counts = np.array(rows[2]["confusion"]).reshape(4, 5)
    assert (counts == confusion_matrix(truth, shifted(truth), 4)).all()
    assert rows[2]["luminance"] == pytest.approx(95)
    assert rows[2]["BF"][3] is None


@pytest.mark.parametrize(
    ("kind", "size"), [("network", "64x48"), ("as they come", None), ("exported", "96x64"),
                       ("label images", None)],
)  # fmt: skip
def test_the_record_says_to_what_size_frames_were_resized(
    kind: str,
    size: str | None,
    tmp_path: Path,
    write_drives: Callable[[Path, Mapping[str, Mapping[str, int]]], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = write_drives(tmp_path / "CamVid", {"val": {"A": 1}})
    model = "street --runtime torch"
    if kind == "network":
        model += f" --size {size}"
    elif kind == "exported":
        model = str(tmp_path / "a.xml")
        export(untrained_network("tiny"), tmp_path / "a.xml", "openvino", (64, 96))
    elif kind == "label images":
        model = str(data / "valannot")
        write_classes(data / "valannot", CAMVID)
    line = f"evaluate --model {model} --data camvid:{data} --out {tmp_path / 'out'} --json"
    assert cli.main(line.split()) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["size"] == size
    assert json.loads((tmp_path / "out" / "scores.json").read_text()) == scores
    assert (scores["runtime"] is None) == (kind == "label images")
    is_network = kind in ("network", "as they come")
    assert scores["weights"] == ("published" if is_network else None)
    assert (scores["weights_digest"] is not None) == is_network


def test_folders_made_for_an_evaluation_that_fails_go(tmp_path: Path) -> None:
    failing = Answers(Frames(), shifted, fails_at=3)
    with pytest.raises(UserError, match="no labels"):
        evaluate(failing, Frames(), out=tmp_path / "new" / "deep" / "out", progress=False)
    assert not list(tmp_path.iterdir())


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_an_old_evaluation_is_replaced_only_by_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "evaluation"
    run(Frames(), shifted, out=out)
    before = contents(out)
    broken = Frames()
    broken.broken = 4
    with pytest.raises(UserError, match="drive/4: cannot be read"):
        run(broken, lambda truth: truth, out=out)
    for failure in (UserError("no labels"), KeyboardInterrupt("SIGTERM")):
        failing = Answers(Frames(), shifted, fails_at=3, failure=failure)
        with pytest.raises(type(failure), match=str(failure)):
            evaluate(failing, Frames(), out=out, progress=False)

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full_disk)
        with pytest.raises(WorkFailed, match="No space left"):
            run(Frames(), lambda truth: truth, out=out)
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation"]
    run(Frames(), lambda truth: truth, out=out)
    assert json.loads((out / "scores.json").read_text())["mIoU"] == 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation"]


def test_killed_between_the_two_renames(tmp_path: Path) -> None:
    out = tmp_path / "evaluation"
    run(Frames(), shifted, out=out)
    before = contents(out)
    out.rename(tmp_path / "evaluation.replaced")
    with pytest.raises(UserError):
        evaluate(Answers(Frames(), shifted, fails_at=0), Frames(), out=out, progress=False)
    assert contents(out) == before


def test_other_files_are_never_deleted(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="not an evaluation"):
        run(Frames(), shifted, out=tmp_path)
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="cannot be written"):
            run(Frames(), shifted, out=out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "thesis.tex"]


def test_prediction_outside_the_classes_names_the_frame() -> None:
    with pytest.raises(UserError, match="drive/0: predicted label id 9 "):
        run(Frames(), lambda truth: np.full_like(truth, 9))


def test_classes_without_a_known_mapping() -> None:
    with pytest.raises(UserError, match="--map FILE"):
        evaluate(Answers(Frames(), shifted, classes=CAMVID), Frames(), progress=False)


def test_label_images_in_the_folders_of_the_drives(tmp_path: Path) -> None:
    """Frames of one name in two drives are two frames."""
    data = Frames()
    data.keys = ("A/0", "B/0", "A/1", "B/1", "B/2")
    for index, key in enumerate(data.keys):
        path = tmp_path / f"{key}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(data.load(index)[1]).save(path)
    scores = evaluate(LabelFolder(tmp_path), data, progress=False, batch_size=3)
    assert scores["mIoU"] == 1.0
    assert scores["mapping"]["name"] == "identity"


def test_label_images_of_the_truth_need_no_record_of_their_classes(
    tmp_path: Path,
    write_drives: Callable[[Path, Mapping[str, Mapping[str, int]]], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = write_drives(tmp_path / "CamVid", {"val": {"A": 2, "B": 1}})
    line = f"evaluate --model {root / 'valannot'} --data camvid:{root} --json"
    assert cli.main(line.split()) == 0
    scores = json.loads(capsys.readouterr().out)
    assert (scores["mIoU"], scores["mapping"]["name"]) == (1.0, "identity")


def test_description_names_what_was_scored() -> None:
    text = describe(run(Frames(), shifted))
    assert "answers on made val, 5 frames" in text
    for word in ("mIoU", "over 4 classes", "drive", "90-120", "pixel accuracy"):
        assert word in text


class Every:
    """Every n-th frame of other data."""

    def __init__(self, data: LabelledData, step: int) -> None:
        self.data, self.indices = data, range(0, len(data), step)
        self.name, self.split, self.classes = data.name, data.split, data.classes
        self.keys: Sequence[str] = [data.keys[index] for index in self.indices]
        self.groups: Sequence[str] = [data.groups[index] for index in self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def load(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.data.load(self.indices[index])

    def fingerprint(self) -> str:
        return self.data.fingerprint()


def test_camvid_truth_is_perfect_and_a_mapped_model_is_mapped(shared: Path) -> None:
    data = Every(open_data(f"camvid:{shared / 'data' / 'CamVid'}", "trainval"), 40)
    scores = run(data, lambda truth: truth)
    assert scores["mIoU"] == scores["BF"] == scores["pixel_accuracy"] == 1.0
    assert set(scores["groups"]) == {"0001TP", "0006R0", "0016E5"}
    assert set(scores["BF_by_class"].values()) == {1.0}
    # A Cityscapes model that knows the scene: one Cityscapes class for each of CamVid's.
    back = np.full(256, VOID, np.uint8)
    for source, target in mapping_between(CITYSCAPES, CAMVID).ids.items():
        back[target] = source
    labeller = Answers(data, lambda truth: back[truth], classes=CITYSCAPES)
    assert evaluate(labeller, data, progress=False)["mIoU"] == 1.0
