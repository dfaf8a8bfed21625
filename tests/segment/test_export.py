"""Exported files in their own runtimes, against what `triptych predict` would say."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from triptych import cli
from triptych.data.classes import CAMVID, ClassSet
from triptych.errors import UserError, WorkFailed
from triptych.exporting import format_of
from triptych.inference import Prepared, Runtime
from triptych.normalisation import IMAGENET, Normalisation
from triptych.segment import export as module
from triptych.segment.export import export
from triptych.segment.exported import Opened, open_exported
from triptych.segment.labeller import FrameKey
from triptych.segment.models import create
from triptych.segment.models.hrnet import HRNet
from triptych.segment.models.hrnet_trunk import HRNetTrunk
from triptych.segment.models.ocr import OCRHead
from triptych.segment.models.psp_head import PSPHead
from triptych.segment.models.resize import resize
from triptych.segment.network import Network, open_network
from triptych.segment.open_labeller import open_labeller

Labels = NDArray[np.uint8]
THREE = ClassSet("three", ("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)))
SIZE = 64, 96
CPU = torch.device("cpu")


def pictures(count: int) -> NDArray[np.uint8]:
    """Noise over areas of plain colour."""
    rng = np.random.default_rng(count)
    coarse = rng.integers(0, 256, (count, 4, 6, 3)).repeat(16, 1).repeat(16, 2)
    return (coarse * 0.8 + rng.integers(0, 50, coarse.shape)).astype(np.uint8)


def with_onnxruntime(file: Path, images: NDArray[np.uint8]) -> tuple[Labels, NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    labels, logits = session.run(["labels", "logits"], {"images": images})
    return labels, logits


def with_openvino(file: Path, images: NDArray[np.uint8]) -> tuple[Labels, NDArray[np.float32]]:
    hint = {"INFERENCE_PRECISION_HINT": "f32"}
    found = openvino.Core().compile_model(file, "CPU", hint)({"images": images})
    return found["labels"], found["logits"]


RUN = {".onnx": with_onnxruntime, ".xml": with_openvino}


def told_by(file: Path) -> dict[str, str]:
    """The metadata, read with the runtimes' own functions."""
    if file.suffix == ".onnx":
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        return dict(session.get_modelmeta().custom_metadata_map)
    model = openvino.Core().read_model(file)
    keys = model.get_rt_info("triptych").astype(dict)
    return {key: model.get_rt_info(["triptych", key]).astype(str) for key in keys}


def check(file: Path, network: Network) -> None:
    """Labels and logits as PyTorch's, for batches of several sizes; metadata as they should be."""
    torch_way = Prepared(
        network.model,
        network.normalisation,
        len(network.classes),
        runtime=Runtime("torch"),
        device=CPU,
    )
    for count in (1, 3):
        images = pictures(count)
        labels, logits = RUN[file.suffix](file, images)
        assert labels.dtype == np.uint8
        assert labels.shape == (count, *SIZE)
        assert logits.shape == (count, len(network.classes), *SIZE)
        wanted = torch_way(images)
        np.testing.assert_allclose(logits, wanted, atol=1e-4 * np.abs(wanted).max())
        assert (labels == torch_way.labels(images)).mean() > 0.999
        np.testing.assert_array_equal(labels, logits.argmax(1))
    told = told_by(file)
    assert json.loads(told["classes"]) == list(network.classes.names)
    assert json.loads(told["colours"]) == [list(colour) for colour in network.classes.colours]
    rule = json.loads(told["normalisation"])
    assert rule["mean"] == list(network.normalisation.mean)
    assert rule["scale"] == network.normalisation.scale
    assert "part of the graph" in rule["rule"]
    assert told["size"] == "96x64"
    assert told["input"] == "images: RGB pictures, uint8 (N, 64, 96, 3), 0 to 255"
    assert told["void"] == "255"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class OnConvolution(nn.Module):
    """A head on the features of one convolution."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 12, 3, 4, 1), nn.BatchNorm2d(12), nn.ReLU())
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        found = self.head(self.trunk(images))
        logits = found[0] if isinstance(found, tuple) else found
        return resize(logits, like=images)


FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "tiny": lambda: create("tiny", 3),
    "street": lambda: create("street", 3),
    "espnetv2": lambda: create("espnetv2-s0.5", 3),
    "dabnet": lambda: create("dabnet", 3),
    "hrnet": lambda: HRNet(3, HRNetTrunk(4, 1, (1, 1, 1))),
    "hrnet-halved": lambda: HRNet(3, HRNetTrunk(4, 1, (1, 1, 1), halved=True), hidden=8),
    "psp": lambda: OnConvolution(PSPHead(12, 3, mid=8)),
    "ocr": lambda: OnConvolution(OCRHead(12, 3, mid=16, key=8)),
}
"""A small one of each."""
QUICK_IN_ONNX = ("tiny", "psp", "ocr")
"""The exporter to ONNX takes too long for the other ones, which have many layers."""
WRITTEN = [*((name, ".xml") for name in FAMILIES), *((name, ".onnx") for name in QUICK_IN_ONNX)]


@pytest.mark.parametrize(("name", "ending"), WRITTEN)
def test_gives_the_same_labels_in_its_own_runtime(name: str, ending: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Network(name, name, FAMILIES[name]().eval(), IMAGENET, THREE)
    file = tmp_path / f"model{ending}"
    record = export(network, file, format_of(file, None), SIZE)
    check(file, network)
    files = {file.name} | ({"model.bin"} if ending == ".xml" else set())
    assert {path.name for path in tmp_path.iterdir()} == files
    assert record["files"] == [str(tmp_path / each) for each in sorted(files, reverse=True)]
    assert record["bytes"] == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert record["labels_agree"] > 0.998
    assert record["logits_differ"] < 1e-4
    assert told_by(file) == record["metadata"]


def test_a_run_folder(
    tmp_path: Path,
    write_drives: Callable[[Path, Mapping[str, Mapping[str, int]]], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Trained on the 11 classes of CamVid, exported by the command line."""
    data = write_drives(tmp_path / "CamVid", {"train": {"A": 4}, "val": {"A": 2}})
    run, file = tmp_path / "runs" / "seed-0", tmp_path / "made" / "model.onnx"
    line = f"train segment/tiny --set data=camvid:{data} --set val_data=none --set epochs=1"
    more = f"--set batch_size=2 --set warmup=0 --device cpu --out {run}"
    assert cli.main([*line.split(), *more.split()]) == 0
    capsys.readouterr()
    line = f"export --model {run} --format onnx --size 96x64 --out {file} --json"
    assert cli.main(line.split()) == 0
    record = json.loads(capsys.readouterr().out)
    network = open_network(str(run))
    assert network.classes == CAMVID
    check(file, network)
    images = pictures(2)
    again = open_labeller(str(file)).labels(images, [FrameKey("a", 0), FrameKey("a", 1)])
    np.testing.assert_array_equal(again, with_onnxruntime(file, images)[0])
    onnx.checker.check_model(onnx.load(file), full_check=True)
    assert record["metadata"]["model"] == "runs/seed-0"
    assert "licence" not in record["metadata"]


class Quick(nn.Module):
    """A network of three classes whose logits are the colours; the last channel is no class."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([images, 100 * images[:, :1]], 1)


def quick(model: nn.Module | None = None, normalisation: Normalisation = IMAGENET) -> Network:
    model = (model or Quick()).eval()
    return Network("quick", "quick", model, normalisation, THREE, licence="MIT")


class TestContent:
    def test_by_hand(self, tmp_path: Path) -> None:
        """Normalisation is in the graph, channels beyond the classes are not in the output."""
        rule = Normalisation(mean=(10, 20, 30), std=(2, 4, 5), scale=0.5)
        export(quick(normalisation=rule), tmp_path / "a.xml", "openvino", SIZE)
        images = pictures(2)
        labels, logits = with_openvino(tmp_path / "a.xml", images)
        wanted = (images * 0.5 - [10, 20, 30]) / [2, 4, 5]
        np.testing.assert_allclose(logits, wanted.transpose(0, 3, 1, 2), atol=1e-4)
        np.testing.assert_array_equal(labels, logits.argmax(1))

    def test_the_licence_of_published_weights_travels(self, tmp_path: Path) -> None:
        export(quick(), tmp_path / "a.xml", "openvino", SIZE)
        assert told_by(tmp_path / "a.xml")["licence"] == "MIT"

    def test_only_published_weights_have_one(
        self, shared: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TRIPTYCH_WEIGHTS", str(shared / "weights"))
        assert open_network("espnetv2-s0.5").licence == "MIT"
        file = shared / "weights" / "espnetv2_s_0.5_city_1024x512.pth"
        assert open_network("espnetv2-s0.5", file).licence is None


class TestAsAModel:
    @pytest.fixture(scope="class")
    @staticmethod
    def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
        file = tmp_path_factory.mktemp("exported") / "a.xml"
        export(quick(), file, "openvino", SIZE)
        return file

    def labels(self, file: Path, images: NDArray[np.uint8], size: Any = None) -> Labels:
        keys = [FrameKey("a", index) for index in range(len(images))]
        return open_labeller(str(file)).labels(images, keys, size)

    def test_at_its_own_size(self, file: Path) -> None:
        labeller = open_labeller(str(file))
        assert (labeller.name, labeller.classes) == ("a.xml", THREE)
        images = pictures(2)
        np.testing.assert_array_equal(self.labels(file, images), with_openvino(file, images)[0])
        assert open_labeller(str(file), name="mine").name == "mine"

    def test_at_other_sizes_as_predict_resizes(self, file: Path) -> None:
        """Logits are resized, label maps never; pictures are rounded after resizing."""
        images = pictures(2).repeat(2, 1).repeat(2, 2)
        prepared = Prepared(
            Quick(), IMAGENET, 3, runtime=Runtime("torch"), device=CPU, input_size=SIZE
        )
        for size in (None, (50, 70)):
            found, wanted = self.labels(file, images, size), prepared.labels(images, size)
            assert found.shape == wanted.shape
            assert (found == wanted).mean() > 0.98

    def test_on_the_command_line(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        line = f"evaluate --model {file} --data streets --split val --json"
        assert cli.main(line.split()) == 2
        assert "three" in capsys.readouterr().err  # classes that nothing maps to the street's

    @pytest.mark.parametrize(
        "option",
        ["--size 96x64", "--runtime torch", "--tile 128x128", "--device cuda", "--weights a.pth"],
    )
    def test_options_that_are_in_the_file(
        self, file: Path, option: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        line = f"evaluate --model {file} --data streets {option}"
        assert cli.main(line.split()) == 2
        error = capsys.readouterr().err
        assert "an exported file has its weights, size and runtime" in error
        named = option if option.startswith(("--runtime", "--device")) else option.split()[0]
        assert error.endswith(f"leave out {named}\n")

    def test_options_that_say_what_is_so(self, file: Path, tmp_path: Path) -> None:
        """OpenVINO runs its own files, on the processor; it does not run ONNX's."""
        assert open_labeller(str(file), runtime="openvino", device="cpu").name == "a.xml"
        (tmp_path / "a.onnx").write_text("")
        with pytest.raises(UserError, match="leave out --runtime openvino"):
            open_labeller(str(tmp_path / "a.onnx"), runtime="openvino")

    @pytest.mark.parametrize("verb", ["evaluate --data streets", "export --out b.xml"])
    def test_files_that_are_not_there(self, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(f"{verb} --model none.onnx".split()) == 2
        assert capsys.readouterr().err == "triptych: error: --model none.onnx: no such file\n"

    @pytest.mark.parametrize("name", ["a.xml", "a.onnx"])
    def test_files_that_are_none(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("not a model")
        with pytest.raises(UserError, match=f"{name}: cannot be read as a model"):
            open_labeller(str(tmp_path / name))

    def test_files_of_other_programs(self, tmp_path: Path) -> None:
        shape = ["N", 3, 8, 8]
        ends = [onnx.helper.make_tensor_value_info(name, 1, shape) for name in ("x", "y")]
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("Relu", ["x"], ["y"])], "other", ends[:1], ends[1:]
        )
        opset = [onnx.helper.make_opsetid("", 18)]
        other = onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)
        onnx.save(other, tmp_path / "a.onnx")
        with pytest.raises(UserError, match="says nothing of its classes"):
            open_labeller(str(tmp_path / "a.onnx"))


class TestFailures:
    def test_other_labels_than_in_torch_are_not_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def wrong(file: Path) -> Opened:
            run = open_exported(file).run
            return Opened(lambda images: (run(images)[0] + 1, run(images)[1]), {})

        monkeypatch.setattr(module, "open_exported", wrong)
        with pytest.raises(WorkFailed, match=r"other labels than in PyTorch \(0\.00% agree\)"):
            export(quick(), tmp_path / "a.xml", "openvino", SIZE)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("kind", [RuntimeError, OSError, KeyboardInterrupt])
    def test_an_earlier_file_stays(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
    ) -> None:
        for name in ("a.xml", "a.bin"):
            (tmp_path / name).write_text("earlier")

        def fail(graph: Any, images: Any, file: Path, told: Any) -> None:
            file.write_text("half")
            raise kind("it broke\nin two lines")

        monkeypatch.setitem(module.WRITERS, "openvino", fail)
        expected = KeyboardInterrupt if kind is KeyboardInterrupt else WorkFailed
        with pytest.raises(expected) as caught:
            export(quick(), tmp_path / "a.xml", "openvino", SIZE)
        if kind is RuntimeError:
            assert str(caught.value) == (
                "quick cannot be written as openvino: it broke in two lines"
            )
        assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
            "a.xml": "earlier",
            "a.bin": "earlier",
        }

    def test_folders_made_for_it_go(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any) -> None:
            raise RuntimeError("it broke")

        monkeypatch.setitem(module.WRITERS, "openvino", fail)
        with pytest.raises(WorkFailed, match="it broke"):
            export(quick(), tmp_path / "new" / "deep" / "a.xml", "openvino", SIZE)
        assert not list(tmp_path.iterdir())

    def test_what_a_killed_start_left_goes(self, tmp_path: Path) -> None:
        script = (
            "import os, signal, sys\n"
            "from pathlib import Path\n"
            "from triptych.segment import export as module\n"
            "from triptych.segment.network import untrained_network\n"
            "def die(graph, pictures, part, told):\n"
            "    part.write_text('half')\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            "module.WRITERS['openvino'] = die\n"
            "module.export(untrained_network('tiny'), Path(sys.argv[1]), 'openvino', (32, 32))\n"
        )
        line = [sys.executable, "-c", script, str(tmp_path / "a.xml")]
        assert subprocess.run(line, check=False).returncode == -signal.SIGKILL
        assert len(list(tmp_path.iterdir())) == 1
        export(quick(), tmp_path / "a.xml", "openvino", SIZE)
        assert {path.name for path in tmp_path.iterdir()} == {"a.xml", "a.bin"}

    def test_a_file_is_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "a.xml").write_text("earlier")
        export(quick(), tmp_path / "a.xml", "openvino", SIZE)
        with_openvino(tmp_path / "a.xml", pictures(1))

    def test_missing_packages_are_named_before_any_work(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        find = importlib.util.find_spec

        def without(name: str, *more: Any) -> Any:
            return None if name == "onnxscript" else find(name, *more)

        monkeypatch.setattr(importlib.util, "find_spec", without)
        monkeypatch.setattr("triptych.segment.network.open_network", pytest.fail)
        assert cli.main(["export", "--model", "tiny", "--out", str(tmp_path / "a.onnx")]) == 2
        streams = capsys.readouterr()
        assert streams.err == (
            "triptych: error: --format onnx needs onnxscript: pip install 'triptych[export]'\n"
        )
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("--model tiny --out {}/a.pt", "must end in .onnx (onnx) or .xml (openvino)"),
            ("--model tiny --out {}/a.xml --format onnx", "must end in .onnx (onnx)"),
            ("--model tiny --out {}/a.xml", "has no published weights: give its run folder"),
            ("--model tinny --out {}/a.xml", "did you mean tiny"),
            ("--model {} --out {}/a.xml", "not the folder of a run"),
            ("--model tiny --out {}/new/deep/a.xml", "has no published weights"),
            ("--model tiny --out {}/file/a.xml", "cannot be written there"),
            ("--model tiny", "Missing option '--out'"),
        ],
    )
    def test_wrong_requests(
        self, line: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "file").write_text("")
        assert cli.main(["export", *line.replace("{}", str(tmp_path)).split()]) == 2
        assert message in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.xml").mkdir()
        with pytest.raises(UserError, match="is a folder; name a file"):
            export(quick(), tmp_path / "a.xml", "openvino", SIZE)
