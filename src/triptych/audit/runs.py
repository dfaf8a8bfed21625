"""What is looked at in a run, and in the arms of a comparison side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from triptych.audit.line import Finding, Line, span
from triptych.audit.population import hyperparameters, settings_of_intervals
from triptych.errors import UserError
from triptych.run import read_json

TESTIMONY = "audit.json"
UNMOVED = 0.01
"""Share of the parameters of which updates may be too small to change a value: biases that the
next BatchNorm takes away again are far fewer, and a rate of next to nothing would concern all."""
TELLING = 5
"""Copies beyond the first of every batch that must be alike before a batch counts as augmented as
one: where half of all images are flipped and nothing else is done, that is luck 1 time in 32."""

COPIES = 0.01
"""Share of the scored images that may be in the training set; CIFAR-100's own is 0.001."""

NEAR_COPIES = 0.2
"""Share that may look like one there; CIFAR-100's own is 0.033."""


_NOT_NOTED = "not noted"

Look = Callable[[Mapping[str, Any]], Line]


def testimony(folder: Path) -> dict[str, Any] | None:
    """What a run's witness wrote; None where the run has not ended or has none.

    A run of several trainings has those of each in `folds`.
    """
    file = folder / TESTIMONY
    if not file.exists():
        return None
    found = read_json(file)
    # Sums that were written without them counted an image once for each fold that it is in.
    parts = {p.parent.name: p for p in sorted(folder.glob(f"folds/*/{TESTIMONY}"))}
    if parts and "folds" not in found:
        found["folds"] = {name: read_json(part) for name, part in parts.items()}
    return found


def audit_run(folder: Path) -> list[Line]:
    """What one run did. Raises UserError where the folder is no run that ended."""
    if not (folder / "recipe.json").is_file():
        raise UserError(f"{folder} is neither a run nor a comparison")
    found = testimony(folder)
    if found is None:
        return [Line("run", "unknown", "no testimony: the run has not ended")]
    return [
        in_folds(images_seen, found),
        in_folds(versions, found),
        in_folds(frozen, found),
        *([Line("parts", "fair", _parts(found))] if "parts" in found else []),
        Line("budget", "fair", _budget(found)),
        Line("settings", "fair", _settings(found)),
        *hyperparameters(found),
        *settings_of_intervals(found),
        *copies(found),
    ]


def in_folds(look: Look, found: Mapping[str, Any]) -> Line:
    """What `look` finds in a testimony, or the flaw of the first of its folds that has one."""
    for name, fold in found.get("folds", {}).items():
        line = look(fold)
        if line.finding == "flaw":
            return Line(line.about, "flaw", f"fold {name}: {line.text}")
    return look(found)


def images_seen(found: Mapping[str, Any]) -> Line:
    """Did the sampler move? A share below 1 is a flaw where later epochs showed nothing new."""
    if "folds" in found:
        folds = found["folds"].values()
        seen_in = span((f["images_seen"] for f in folds), ",d")
        shares = span((f["images_seen"] / f["training_images"] for f in folds), ".0%")
        text = f"{seen_in} of {_training_images(found)} training images seen ({shares})"
        return Line("images seen", "fair", f"{text} in each of {len(folds)} folds")
    seen, whole = found["images_seen"], found["training_images"]
    epochs = found["images_seen_by_epoch"]
    text = f"{seen:,} of {whole:,} training images seen ({seen / whole:.0%})"
    stuck = len(epochs) > 1 and epochs[-1] == epochs[0] and seen < whole
    if found["strangers_seen"]:
        return Line(
            "images seen", "flaw", f"{text}, and {found['strangers_seen']:,} that are not in it"
        )
    if stuck:
        return Line("images seen", "flaw", f"{text}, the same ones in every epoch")
    return Line("images seen", "fair", text)


def _training_images(found: Mapping[str, Any]) -> str:
    folds = found.get("folds", {"": found}).values()
    return span((f["training_images"] for f in folds), ",d")


def versions(found: Mapping[str, Any]) -> Line:
    """Was augmentation drawn for every sample? Copies of one image in a batch say it."""
    probed, distinct = found["probed_copies"], found["probed_versions"]
    copies, of_copies = found["copies_in_batches"], found["versions_of_copies"]
    if not probed:
        return Line("augmentation", "unknown", "no batch was probed")
    batch = probed / found["probes"]
    text = f"{batch:.0f} copies of an image became {distinct / found['probes']:.3g} versions"
    if copies:
        text += f"; of {copies:,} repeats in batches {of_copies:,} were distinct"
    if not found["augmented"]:
        return Line("augmentation", "fair", "images entered as they are")
    # One version in every batch, although images were changed: the draws were shared. Weak
    # augmentation (a flip alone) makes few versions, but hardly one in every batch.
    if batch == 1 or distinct > found["probes"]:
        return Line("augmentation", "fair", text)
    if probed - found["probes"] < TELLING:
        return Line("augmentation", "unknown", f"{text}, too few to tell")
    return Line("augmentation", "flaw", text)


def frozen(found: Mapping[str, Any]) -> Line:
    """Parameters that no update changed, and statistics that no batch did.

    Parts that are frozen and that no prediction depends on, such as the boundary heads of a
    training that learns no boundaries, are told and are no flaw.
    """
    share = found["parameters_never_changed"] / max(found["parameters"], 1)
    weights, buffers = found["entries_never_changed"], found["buffers_never_changed"]
    # Other buffers, such as tables of positions, are constants by design.
    statistics = [name for name in buffers if name.endswith(("running_mean", "running_var"))]
    parts = []
    if weights:
        parts.append(f"{share:.1%} of the parameters never changed ({_few(weights)})")
    if statistics:
        parts.append(f"{len(statistics)} statistics never changed ({_few(statistics)})")
    # Testimonies came to tell these two later.
    besides: list[str] = []
    if unmoved := found.get("entries_unmoved"):
        count = found["parameters_unmoved"]
        small = f"{count:,} parameters whose gradients were too small to change any"
        kind = parts if count > UNMOVED * found["parameters"] else besides
        kind.append(f"{small} ({_few(unmoved)})")
    if idle := found.get("entries_idle"):
        part = found["parameters_idle"] / max(found["parameters"], 1)
        besides.append(f"{part:.1%} that no prediction depends on ({_few(idle)})")
    if parts:
        return Line("frozen", "flaw", "; ".join(parts))
    text = "every parameter and statistic changed"
    if besides:
        text += f" but for {' and '.join(besides)}"
    return Line("frozen", "fair", text)


def _parts(found: Mapping[str, Any]) -> str:
    """How many parameters of each part of a model an update changed, and of how many."""
    texts = [
        f"{name} {each['changed']:,}"
        + ("" if each["changed"] == each["parameters"] else f" of {each['parameters']:,}")
        for name, each in found["parts"].items()
    ]
    return f"parameters changed by training: {', '.join(texts)}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def copies(found: Mapping[str, Any]) -> list[Line]:
    """Near-duplicates between what was trained on and what was scored on.

    A flaw where more than `COPIES` of the scored images are in the training set pixel by pixel, or
    more than `NEAR_COPIES` look like one there.
    """
    lines = []
    for name in ("val", "test"):
        count = found.get(f"copies_in_{name}")
        if count is None:
            continue
        images = count["images"]
        text = (
            f"{count['exact']:,} of {images:,} images of {name} are in train, "
            f"{count['near']:,} more are near copies"
        )
        flaw = count["exact"] > COPIES * images or count["near"] > NEAR_COPIES * images
        lines.append(Line(f"copies in {name}", "flaw" if flaw else "fair", text))
    return lines


def _budget(found: Mapping[str, Any]) -> str:
    text = f"{found['samples']:,} samples in {found['updates']:,} updates"
    return f"{text}, of all {found['members']} members" if "members" in found else text


def _settings(found: Mapping[str, Any]) -> str:
    parts = []
    for name, values in found["settings"].items():
        low, high = values["min"], values["max"]
        parts.append(f"{name} {low:.4g}" + ("" if low == high else f" to {high:.4g}"))
    return ", ".join(parts)


def audit_comparison(arms: Mapping[str, Sequence[dict[str, Any] | None]]) -> list[Line]:
    """Were the arms treated alike? One line each; `arms` are the testimonies of their runs.

    An arm without any testimony, such as published weights, makes a line unknown.
    """
    known = {name: [t for t in found if t is not None] for name, found in arms.items()}
    outside = [name for name, found in known.items() if not found]
    if outside:
        who = ", ".join(outside)
        return [
            Line(about, "unknown", f"{who}: what it did is not on record")
            for about in ("images seen", "augmentation", "frozen", "budget", "settings")
        ]
    return [
        _each("images seen", known, images_seen),
        _each("augmentation", known, versions),
        _each("frozen", known, frozen),
        *_learnt(known),
        _alike("samples and updates", known, _cost),
        _alike("learning rate", known, _learning_rates),
        _alike("weight decay", known, lambda t: _range(t, "weight_decay")),
        _alike("batch size", known, lambda t: _range(t, "batch_size")),
        _alike("stochastic depth", known, lambda t: _range(t, "drop_path")),
        *_drawn(known),
        _alike("input", known, lambda t: "x".join(map(str, t["input"] or ["nothing"]))),
        _alike("training images", known, _training_images),
        *_explored(known),
        *_copies(known),
    ]


def _cost(found: Mapping[str, Any]) -> str:
    text = f"{found['samples']:,} in {found['updates']:,}"
    return f"{text} of all {found['members']} members" if "members" in found else text


def _learnt(known: Mapping[str, Sequence[dict[str, Any]]]) -> list[Line]:
    """Which parts learnt, where all arms tell it."""
    told = all("parts" in each for found in known.values() for each in found)
    return [_alike("parts", known, _parts)] if told else []


def _drawn(known: Mapping[str, Sequence[dict[str, Any]]]) -> list[Line]:
    """Erased pixels and soft targets, in studies that have them: where any run noted them."""
    return [
        _alike(about, known, lambda t, setting=setting: _seen(t, setting))
        for about, setting in (("erased pixels", "erased"), ("soft targets", "target"))
        if any(setting in each["settings"] for found in known.values() for each in found)
    ]


def _explored(known: Mapping[str, Sequence[dict[str, Any]]]) -> list[Line]:
    """Whether what populations explored took effect, in the arms that have one."""
    searched = {
        name: [each for each in found if "intervals" in each] for name, found in known.items()
    }
    searched = {name: found for name, found in searched.items() if found}
    if not searched:
        return []
    return [_each("hyperparameters", searched, lambda found: hyperparameters(found)[0])]


def _copies(known: Mapping[str, Sequence[dict[str, Any]]]) -> list[Line]:
    """The copies of every arm, by what was scored on; arms may differ in their data."""
    found = {
        name: {line.about: line for t in of for line in copies(t)} for name, of in known.items()
    }
    abouts = dict.fromkeys(about for lines in found.values() for about in lines)
    together = []
    for about in abouts:
        lines = {name: of[about] for name, of in found.items() if about in of}
        finding: Finding = "flaw" if any(x.finding == "flaw" for x in lines.values()) else "fair"
        texts = dict.fromkeys(line.text for line in lines.values())
        if len(texts) == 1:
            together.append(Line(about, finding, next(iter(texts))))
        else:
            text = "; ".join(f"{name}: {line.text}" for name, line in lines.items())
            together.append(Line(about, finding, text))
    return together


def _seen(found: Mapping[str, Any], setting: str) -> str:
    """Whether something drawn at random took effect; its exact range differs by chance."""
    values = found["settings"].get(setting)
    if values is None:
        return _NOT_NOTED
    neutral = 0.0 if setting == "erased" else 1.0
    return "none" if values["min"] == values["max"] == neutral else "some"


def _learning_rates(found: Mapping[str, Any]) -> str:
    """The rate, and those of parts that learn at a multiple of it."""
    parts = [name for name in sorted(found["settings"]) if name.startswith("lr x")]
    return _range(found, "lr") + "".join(f", {_range(found, part)} ({part})" for part in parts)


def _range(found: Mapping[str, Any], setting: str) -> str:
    values = found["settings"].get(setting)
    if values is None:
        return "none"
    low, high = values["min"], values["max"]
    return f"{high:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _each(about: str, known: Mapping[str, Sequence[dict[str, Any]]], look: Look) -> Line:
    """The worst run of every arm, and whether all arms fare alike."""
    worst = {}
    for name, found in known.items():
        lines = [in_folds(look, each) for each in found]
        worst[name] = min(lines, key=lambda line: ("flaw", "unknown", "fair").index(line.finding))
    flawed = [name for name, line in worst.items() if line.finding == "flaw"]
    if flawed:
        text = "; ".join(f"{name}: {worst[name].text}" for name in flawed)
        if len(flawed) == len(worst):
            text += " (all arms)"
        return Line(about, "flaw", text)
    unknown = any(line.finding == "unknown" for line in worst.values())
    finding: Finding = "unknown" if unknown else "fair"
    texts = {line.text for line in worst.values()}
    if len(texts) == 1:
        return Line(about, finding, f"alike: {texts.pop()}")
    text = "; ".join(f"{name}: {line.text}" for name, line in worst.items())
    return Line(about, finding, text)


def _alike(about: str, known: Mapping[str, Sequence[dict[str, Any]]], measure: Any) -> Line:
    """Whether a measured setting is the same in all runs of all arms."""
    values = {name: " or ".join(sorted({measure(t) for t in of})) for name, of in known.items()}
    if any(_NOT_NOTED in value for value in values.values()):
        who = [name for name, value in values.items() if _NOT_NOTED in value]
        return Line(about, "unknown", f"not noted in {', '.join(who)}")
    if len(set(values.values())) == 1:
        return Line(about, "fair", f"alike: {next(iter(values.values()))}")
    return Line(about, "differs", "; ".join(f"{name}: {value}" for name, value in values.items()))


def as_text(lines: Sequence[Line]) -> str:
    """The audit as a person reads it, flaws marked."""
    marks = {"fair": "ok", "flaw": "FLAW", "differs": "DIFFERS", "unknown": "unknown"}
    return "\n".join(f"  {marks[line.finding]:<8}{line.about}: {line.text}" for line in lines)
