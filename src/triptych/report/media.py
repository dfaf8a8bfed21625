"""Pictures and videos of a page: what a folder holds, which are chosen, and how they travel.

Two kinds of folders have them: `media/` of a run and of its `evaluations/*` (`FRAME.png`, or a
sub-folder for each of several layers such as `input` and `labels`, and `sheets` for pictures that
stand alone), and what `triptych predict` wrote. A page
shows at most `MOST_FRAMES` frames of each, shrunk, within `ROOM` bytes in all. What each picture is
stands in the store, with the digest of its bytes; the bytes themselves only in the page.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image as Pillow
from PIL import ImageOps

from triptych.evaluation_folder import CAPTIONS, SHEETS, media_name
from triptych.pictures import natural_order

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
VIDEOS = {".mp4": "video/mp4", ".webm": "video/webm"}
MOST_FRAMES = 60
MOST_PICTURES = 240
"""Of one comparison: with many arms there are fewer frames."""
ROOM = 16 * 2**20
"""Bytes of all media of a page; as text in the page they are a third more."""
LARGEST_VIDEO = 8 * 2**20
WIDE = 640
"""Pixels to which a picture is shrunk; sheets of several panels get them for each."""


@dataclass
class Album:
    """The media of a page."""

    data: dict[str, str] = field(default_factory=dict)
    """Id → data address."""
    entries: list[dict[str, Any]] = field(default_factory=list)
    """What `about` of the store says: id, folder, layer, frame, sha256, whether it is a video, size
    (width, height in pixels)."""
    problems: list[str] = field(default_factory=list)
    room: int = ROOM

    def add(
        self, folder: str, layer: str, frame: str, file: Path, *, sheet: int = 1, **said: Any
    ) -> bool:
        """Take a picture or video in; False where it cannot be read or there is no room left."""
        try:
            kind, content, size = _content(file, WIDE * min(sheet, 3))
        except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError) as error:
            self.problems.append(f"{file} was left out: {' '.join(str(error).split())}")
            return False
        if len(content) > self.room:
            self.problems.append(f"{file} was left out: the page's media would grow too large")
            return False
        self.room -= len(content)
        number = f"m{len(self.entries) + 1}"
        self.data[number] = f"data:{kind};base64,{base64.b64encode(content).decode()}"
        digest = hashlib.sha256(content).hexdigest()
        self.entries.append(
            {"id": number, "folder": folder, "layer": layer, "frame": frame, "sha256": digest}
            | {"video": kind.startswith("video/"), "size": size}
            | said
        )
        return True


def _content(file: Path, wide: int) -> tuple[str, bytes, tuple[int, int] | None]:
    """Kind, bytes and size of what is shown of a file; no size where a video does not say it."""
    if file.suffix.lower() in VIDEOS:
        if file.stat().st_size > LARGEST_VIDEO:
            raise ValueError(f"a video of more than {LARGEST_VIDEO // 2**20} MB")
        return VIDEOS[file.suffix.lower()], file.read_bytes(), _size_of_video(file)
    stream = io.BytesIO()
    with Pillow.open(file) as opened:
        picture = ImageOps.exif_transpose(opened)
        picture.info.clear()  # comments and places where it was taken
        if picture.mode == "P":  # labels: few colours, sharp edges
            if picture.width > wide:
                size = (wide, max(1, round(picture.height * wide / picture.width)))
                picture = picture.resize(size, Pillow.Resampling.NEAREST)
            picture.save(stream, "PNG", optimize=True)
            return "image/png", stream.getvalue(), picture.size
        small = picture.convert("RGB")
        small.thumbnail((wide, 4 * wide))
        small.save(stream, "JPEG", quality=82)
    return "image/jpeg", stream.getvalue(), small.size


def _size_of_video(file: Path) -> tuple[int, int] | None:
    import av

    try:
        with av.open(str(file)) as opened:
            stream = opened.streams.video[0]
            return stream.width, stream.height
    except (av.FFmpegError, IndexError):
        return None


def pictures_in(folder: Path) -> dict[str, dict[str, Path]]:
    """Layer → frame → file of a `media` folder; the layer of what lies in it itself is ''."""
    found: dict[str, dict[str, Path]] = {}
    for place in (folder, *sorted(p for p in folder.iterdir() if p.is_dir())):
        layer = "" if place == folder else place.name
        for file in sorted(place.iterdir(), key=lambda p: (natural_order(p), p.name)):
            ending = file.suffix.lower()
            if file.is_file() and (ending in PICTURES or ending in VIDEOS):
                found.setdefault(layer, {})[file.stem] = file
    return found


def of_runs(
    album: Album,
    number: str,
    media: Mapping[str, Sequence[Path]],
    first: Sequence[str] = (),
) -> None:
    """The media of arms, arm → its `media` folders; `first` are the frames to choose first.

    Of layers of one name that all arms have and that are the same everywhere (`input`, `truth`)
    the first arm's are taken.
    """
    layers: dict[str, dict[str, Path]] = {}
    said: dict[Path, str] = {}
    places = [(arm, folder) for arm, folders in media.items() for folder in folders]
    for arm, folder in places:
        captions = _captions(folder)
        for layer, frames in pictures_in(folder).items():
            if layer == SHEETS:
                for frame, file in frames.items():
                    album.add(number, arm, frame, file, sheet=3, alone=True)
                continue
            name = layer if layer in ("input", "truth") else arm
            if layer not in ("", "input", "truth", "labels"):
                name = f"{arm}, {layer}"
            layers.setdefault(name, {}).update(
                {k: v for k, v in frames.items() if k not in layers.get(name, {})}
            )
            if layer == "":
                said |= {file: captions.get(file.name, "") for file in frames.values()}
    for layer, frames in layers.items():
        for frame in [f for f, file in frames.items() if file.suffix.lower() in VIDEOS]:
            album.add(number, layer, frame, frames.pop(frame))
    frames_of = {layer: frames for layer, frames in layers.items() if frames}
    for frame in chosen(frames_of, first):
        for layer, frames in frames_of.items():
            if frame in frames:
                file = frames[frame]
                album.add(number, layer, frame, file, caption=said.get(file, ""))


def _captions(folder: Path) -> dict[str, str]:
    """What its pictures are, by file name; nothing where that is not on record."""
    try:
        found = json.loads((folder / CAPTIONS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def chosen(layers: dict[str, dict[str, Path]], first: Sequence[str]) -> list[str]:
    """Frames to show: those named first, then evenly from those that most layers have, then, where
    there is room, evenly from the rest."""
    if not layers:
        return []
    counts: dict[str, int] = {}
    for frames in layers.values():
        for frame in frames:
            counts[frame] = counts.get(frame, 0) + 1
    most = max(1, min(MOST_FRAMES, MOST_PICTURES // len(layers)))
    # A folder that was made by hand has the frames' own names.
    named = [name for frame in first for name in (media_name(frame), Path(frame).stem)]
    found = [name for name in dict.fromkeys(named) if name in counts][: max(1, most // 3)]
    highest = max(counts.values())
    first_ones = set(found)
    shared = [f for f, count in counts.items() if count == highest and f not in first_ones]
    found += _evenly(shared, most - len(found))
    taken = {*found, *shared}
    rest = [frame for frame in counts if frame not in taken]
    return found + _evenly(rest, most - len(found))


def _evenly(frames: Sequence[str], most: int) -> list[str]:
    step = max(1, -(-len(frames) // max(1, most)))
    return list(frames[::step][:most])


def of_predictions(album: Album, number: str, folder: Path) -> None:
    """What `triptych predict` wrote: its pictures or video, each model's labels, and the frames in
    which models differ most."""
    summary = json.loads((folder / "summary.json").read_text())
    models = [str(model["name"]) for model in summary.get("models", ())]
    for name, file in _outputs(folder, summary):
        album.add(number, "", name, file, sheet=1 + len(models))
    for pair in summary.get("disagreement", ()):
        for told in pair.get("most_different", ()):
            file = folder / str(told["picture"])
            if _inside(file, folder) and file.exists():
                who = " and ".join(map(str, pair["models"]))
                said = {"differs": told.get("pixel_agreement"), "models": pair["models"]}
                album.add(number, f"{who} differ", str(told["frame"]), file, sheet=3, **said)
    if (folder / "labels").is_dir():
        layers = {
            place.name: pictures_in(place).get("", {})
            for place in sorted((folder / "labels").iterdir())
            if place.is_dir()
        }
        layers = {name: frames for name, frames in layers.items() if frames}
        for frame in chosen(layers, ()):
            for layer, frames in layers.items():
                if frame in frames:
                    album.add(number, layer, frame, frames[frame])


def _outputs(folder: Path, summary: dict[str, Any]) -> Iterator[tuple[str, Path]]:
    outputs = [str(name) for name in summary.get("outputs", ())]
    step = max(1, -(-len(outputs) // 12))
    for name in outputs[::step]:
        file = folder / name
        if _inside(file, folder) and file.suffix.lower() in (*PICTURES, *VIDEOS) and file.exists():
            yield Path(name).stem, file


def _inside(file: Path, folder: Path) -> bool:
    return file.resolve().is_relative_to(folder.resolve())
