"""The fast way of running a model gives what the plain way gives, from any thread."""

from __future__ import annotations

import ctypes
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.nn import functional as F

from triptych.errors import UserError, WorkFailed
from triptych.inference import Prepared, Runtime, choice, prepare
from triptych.inference.choice import AGREEMENT, candidates
from triptych.normalisation import Normalisation
from triptych.segment.models import create, entry
from triptych.weights import load

CPU = torch.device("cpu")
RUNTIMES = [Runtime("torch"), Runtime("openvino")]
HALVES = Normalisation(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), scale=1 / 255)


class Small(nn.Module):
    """Four logits at the input's size, the last of them void."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.conv(images)  # type: ignore[no-any-return]


def pictures(count: int, height: int = 24, width: int = 32) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, height, width, 3), np.uint8)


def on(
    runtime: Runtime, model: nn.Module | None = None, size: tuple[int, int] | None = None
) -> Prepared:
    return Prepared(model or Small(), HALVES, 3, runtime=runtime, device=CPU, input_size=size)


def by_hand(model: nn.Module, images: NDArray[np.uint8], classes: int = 3) -> torch.Tensor:
    """Logits from the definition, one step a line."""
    x = torch.from_numpy(images).double().permute(0, 3, 1, 2) / 255
    x = (x - torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1)) / torch.tensor([0.2, 0.3, 0.4]).view(
        1, 3, 1, 1
    )
    with torch.inference_mode():
        return model(x.float())[:, :classes]  # type: ignore[no-any-return]


@pytest.mark.parametrize("runtime", RUNTIMES, ids=str)
class TestEveryRuntime:
    def test_logits_are_those_of_the_definition(self, runtime: Runtime) -> None:
        images = pictures(2)
        logits = on(runtime)(images)
        assert logits.shape == (2, 3, 24, 32)
        np.testing.assert_allclose(logits, by_hand(Small(), images), atol=1e-4)

    def test_labels_are_the_largest_class_and_never_void(self, runtime: Runtime) -> None:
        images = pictures(2)
        void_wins = Small()
        assert void_wins.conv.bias is not None
        with torch.no_grad():
            void_wins.conv.bias[3] = 1e6
        labels = on(runtime, void_wins).labels(images)
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(labels, by_hand(void_wins, images).argmax(1))

    def test_logits_are_resized_before_the_argmax(self, runtime: Runtime) -> None:
        images = pictures(1)
        labels = on(runtime).labels(images, (17, 40))
        expected = F.interpolate(by_hand(Small(), images), (17, 40), mode="bilinear").argmax(1)
        assert (labels == expected.numpy()).mean() > 0.999

    @pytest.mark.parametrize("size", [(12, 16), (36, 50)])
    def test_pictures_are_resized_before_the_model(
        self, runtime: Runtime, size: tuple[int, int]
    ) -> None:
        images = pictures(1)
        resized = F.interpolate(
            torch.from_numpy(images).permute(0, 3, 1, 2).float(),
            size,
            mode="bicubic",
            antialias=size[0] < images.shape[1],
        ).permute(0, 2, 3, 1)
        expected = F.interpolate(by_hand(Small(), resized.numpy()), (24, 32), mode="bilinear")
        np.testing.assert_allclose(on(runtime, size=size)(images), expected, atol=2e-3)

    def test_shapes_may_come_in_any_order(self, runtime: Runtime) -> None:
        prepared = on(runtime)
        for count, height, width in ((1, 24, 32), (3, 17, 21), (2, 24, 32), (1, 17, 21)):
            images = pictures(count, height, width)
            np.testing.assert_array_equal(
                prepared.labels(images), by_hand(Small(), images).argmax(1)
            )

    def test_threads_do_not_disturb_each_other(self, runtime: Runtime) -> None:
        prepared, images = on(runtime), pictures(8)
        one_by_one = [prepared.labels(image[None]) for image in images]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda i: prepared.labels(images[i % 8][None]), range(64)))
        for index, labels in enumerate(together):
            np.testing.assert_array_equal(labels, one_by_one[index % 8])
        assert len({labels.tobytes() for labels in one_by_one}) == 8

    def test_an_earlier_result_is_not_overwritten(self, runtime: Runtime) -> None:
        prepared, images = on(runtime), pictures(2)
        first = prepared.labels(images[:1])
        kept = first.copy()
        prepared.labels(images[1:])
        np.testing.assert_array_equal(first, kept)

    def test_pictures_in_pieces_of_memory_are_read_right(self, runtime: Runtime) -> None:
        flipped = pictures(1)[:, :, ::-1]
        np.testing.assert_array_equal(
            on(runtime).labels(flipped), on(runtime).labels(flipped.copy())
        )

    def test_other_arrays_are_refused(self, runtime: Runtime) -> None:
        for wrong in (pictures(1)[0], pictures(1)[..., :1], pictures(1).astype(np.float32)):
            with pytest.raises(UserError, match=r"8-bit RGB of shape \(N, H, W, 3\)"):
                on(runtime).labels(wrong)


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path))
    monkeypatch.setattr(logging.getLogger("triptych"), "propagate", True)
    return tmp_path / "runtimes.json"


@pytest.fixture
def small(memory: Path) -> Callable[..., Prepared]:
    def make(model: nn.Module | None = None, **more: object) -> Prepared:
        return prepare(model or Small(), HALVES, 3, name="small", input_size=(48, 64), **more)  # type: ignore[arg-type]

    return make


def test_the_choice_is_measured_once_and_remembered(
    small: Callable[..., Prepared], memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first = small()
    (record,) = json.loads(memory.read_text()).values()
    assert record["chosen"] == str(first.runtime)
    assert record["fps"][record["chosen"]] == max(record["fps"].values())
    assert caplog.text.count("small runs on") == 1
    assert small().runtime == first.runtime
    assert caplog.text.count("small runs on") == 1
    other = Small()
    with torch.no_grad():
        other.conv.weight.mul_(2)
    small(other)
    assert len(json.loads(memory.read_text())) == 2, "other weights are measured anew"


def test_what_is_remembered_is_believed(
    small: Callable[..., Prepared], memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small()
    (key,) = json.loads(memory.read_text())

    def measures(*_: object) -> float:
        raise AssertionError("measured again")

    monkeypatch.setattr(choice, "_frames_per_second", measures)
    for name in ("torch float32", "openvino float32"):
        memory.write_text(json.dumps({key: {"chosen": name}}))
        assert str(small().runtime) == name


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"x": 3}'])
def test_a_broken_memory_is_made_anew(
    small: Callable[..., Prepared], memory: Path, content: str
) -> None:
    memory.write_text(content)
    small()
    assert "small | " in memory.read_text()


def test_a_cache_that_cannot_be_written_does_not_matter(
    small: Callable[..., Prepared], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "file"))
    assert small().labels(pictures(1)).shape == (1, 24, 32)


def test_a_named_runtime_is_kept(small: Callable[..., Prepared]) -> None:
    for name in ("torch", "openvino"):
        assert small(runtime=name).runtime.name == name


def test_a_model_that_openvino_cannot_run_runs_on_torch(small: Callable[..., Prepared]) -> None:
    class Exotic(Small):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.special.bessel_j0(super().forward(images))

    assert small(Exotic()).runtime.name == "torch"
    before = logging.getLogger().level
    with pytest.raises(WorkFailed, match="runs small on this machine"):
        small(Exotic(), runtime="openvino")
    assert logging.getLogger().level == before, "the converter silences logging when it fails"


def test_a_precision_that_changes_labels_is_not_taken(
    small: Callable[..., Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    def prefers_reduced(prepared: Prepared, _: object) -> float:
        return 1.0 + (prepared.runtime.precision != "float32")

    class Fragile(Small):
        """Two classes that differ by less than bfloat16 can tell apart."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            x = super().forward(images)
            return torch.cat([100 + 0.01 * x[:, :3], x[:, 3:]], 1)

    assert small(Fragile()).runtime.precision == "float32"
    assert AGREEMENT >= 0.995
    # Where less is asked for, because the weights were checked otherwise, speed alone decides.
    monkeypatch.setattr(choice, "_frames_per_second", prefers_reduced)
    assert small(Fragile()).runtime.precision == "float32", "remembered, and what is asked is kept"
    reduced = {each.precision for each in candidates("auto", torch.device("cpu"))} - {"float32"}
    if reduced:
        assert small(Fragile(), agreement=0.0).runtime.precision in reduced


def test_unknown_runtimes_and_devices_are_refused(small: Callable[..., Prepared]) -> None:
    with pytest.raises(UserError, match="--runtime tensorrt: write auto, torch or openvino"):
        small(runtime="tensorrt")
    with pytest.raises(UserError, match="--device"):
        small(device="nonsense")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="no CUDA device"):
            small(device="cuda")
    assert all(each.name == "torch" for each in candidates("auto", torch.device("cuda")))


def test_openvino_is_refused_beside_a_device(
    small: Callable[..., Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.inference.pick_device", lambda _: torch.device("cuda"))
    with pytest.raises(UserError, match="--runtime openvino runs on the processor, not on cuda"):
        small(device="cuda", runtime="openvino")


@pytest.mark.parametrize("name", ["espnetv2-s0.5", "dabnet"])
def test_openvino_gives_the_logits_of_real_models_at_odd_sizes(name: str) -> None:
    torch.manual_seed(4)
    model = create(name, classes=3).eval()
    images = pictures(1, 61, 83)
    expected = by_hand(model, images)
    logits = on(Runtime("openvino"), model)(images)
    assert logits.shape == (1, 3, 61, 83)
    np.testing.assert_allclose(logits, expected, atol=1e-3 * float(expected.abs().max()))


def test_two_threads_label_as_one_does() -> None:
    torch.manual_seed(4)
    prepared, images = on(Runtime("openvino"), create("tiny", classes=3)), pictures(6, 61, 83)
    one_by_one = [prepared.labels(image[None]) for image in images]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda image: prepared.labels(image[None]), images))
    np.testing.assert_array_equal(together, one_by_one)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("espnetv2-s0.5", "espnetv2_s_0.5_city_1024x512.pth"),
        ("espnetv2-s2.0", "espnetv2_s_2.0_city_1024x512.pth"),
        ("dabnet", "dabnet_cityscapes.safetensors"),
    ],
)
def test_whatever_may_be_chosen_labels_real_frames_as_float32_torch_does(
    shared: Path, memory: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str
) -> None:
    may_be_chosen: list[Prepared] = []

    def note(prepared: Prepared, _: object) -> float:
        may_be_chosen.append(prepared)
        return 1.0

    monkeypatch.setattr(choice, "_frames_per_second", note)
    known = entry(name)
    model = create(name).eval()
    model.load_published(load(shared / "weights" / file))
    frames = sorted((shared / "data" / "CamVid" / "val").iterdir())[::60]
    images = np.stack([np.asarray(Image.open(frame).convert("RGB")) for frame in frames])
    height, width = images.shape[1:3]
    prepare(model, known.normalisation, 19, name=name, input_size=(height, width))
    assert {str(each.runtime) for each in may_be_chosen} >= {"torch float32", "openvino float32"}

    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() * known.normalisation.scale
    mean = torch.tensor(known.normalisation.mean).view(1, 3, 1, 1)
    std = torch.tensor(known.normalisation.std).view(1, 3, 1, 1)
    with torch.inference_mode():
        logits = model((x - mean) / std)[:, :19]
        expected = F.interpolate(logits, (height, width), mode="bilinear").argmax(1).numpy()
    assert len(np.unique(expected)) > 5
    for each in may_be_chosen:
        labels = np.concatenate([each.labels(image[None]) for image in images])
        agreement = (labels == expected).mean()
        assert agreement >= 0.995, f"{each.runtime}: {agreement:.4f}"


def test_signals_are_obeyed_after_an_openvino_model_is_gone() -> None:
    # In a process of its own: where it fails, the signal is a segmentation fault (code -11).
    script = """
import gc, os, signal
import numpy as np
import torch
from triptych.inference.prepared import Prepared, Runtime
from triptych.segment.models import create, entry

def labelled():
    model = create("tiny", classes=19)
    device = torch.device("cpu")
    wants = entry("tiny").normalisation
    prepared = Prepared(model, wants, 19, runtime=Runtime("openvino"), device=device)
    prepared.labels(np.zeros((1, 64, 64, 3), np.uint8))
    return prepared

first, second = labelled(), labelled()
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGTERM)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="needs sigaltstack as Linux has it")
def test_compiling_leaves_the_signal_stack_as_it_was(small: Callable[..., Prepared]) -> None:
    stack = (ctypes.c_uint64 * 3)()
    query = ctypes.CDLL(None).sigaltstack
    query(None, stack)
    before = list(stack)
    small(runtime="openvino").labels(np.zeros((1, 40, 48, 3), np.uint8))
    query(None, stack)
    assert list(stack) == before
