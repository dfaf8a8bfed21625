"""`--anonymous`: nothing tells of machine or person, on the page, in its data, in its files."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from triptych.report.html import RECORDS_ID
from triptych.report.privacy import Anonymous
from triptych.report.store import read_store
from triptych.report.verify import verify
from triptych.report.write import Options, report

SECRETS = ("annbox", "/home/ann", "ann/", "ann@", "/ann", "git.example.org", "ann-secret")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of its own: user ann, host annbox, a checkout with a remote."""
    checkout = tmp_path / "ann-secret"
    checkout.mkdir()
    subprocess.run(["git", "init", "-q", str(checkout)], check=True)
    remote = ["git", "-C", str(checkout), "config", "remote.origin.url"]
    subprocess.run([*remote, "ssh://ann@git.example.org/x.git"], check=True)
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setattr("socket.gethostname", lambda: "annbox.lan")
    monkeypatch.setattr("socket.getfqdn", lambda: "annbox.lan")
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    return checkout


def test_page_data_and_files(machine: Path, folders: ModuleType) -> None:
    folder = machine / "c"
    question = "Is annbox or ssh://ann@git.example.org/x.git better?"
    folders.make_comparison(folder, "classify", question=question, items=12, media=True)
    media = next((folder / "first/seed-0/evaluations").iterdir()) / "media"
    secret = Image.new("RGB", (8, 8))
    secret.save(media / "_home_ann_annbox.jpg", comment=b"taken by ann@annbox")
    captions = {"_home_ann_annbox.jpg": "from /home/ann/x on annbox"}
    (media / "captions.json").write_text(json.dumps(captions))
    failed = folder / "second/seed-2.failed.json"
    failed.write_text(json.dumps({"error": f"cannot write {folder}/x of ann@annbox"}))
    (folder / "second/seed-2/result.json").unlink()
    (folder / "second/seed-1/result.json").write_text("{")
    out, files = machine / "page.html", machine / "export"
    shown = report([folder, machine / "gone"], out, Options(anonymous=True, export=files))
    text = out.read_text()
    store, problems = read_store(text.partition(f'id="{RECORDS_ID}">')[2].partition("</script>")[0])
    assert problems == []
    said = {"page": text, "told": json.dumps(shown["left_out"]), "about": json.dumps(store.about)}
    said |= {name: content.decode(errors="replace") for name, content in store.records.items()}
    said |= {str(f.name): f.read_bytes().decode(errors="replace") for f in files.iterdir()}
    assert len(list(files.iterdir())) > 10
    pictures = re.findall(r'src="data:image/\w+;base64,([^"]+)"', text)
    assert len(pictures) > 4
    said |= {p[-30:]: base64.b64decode(p).decode("latin-1") for p in pictures}
    for where, content in said.items():
        for secret in (*SECRETS, str(machine), str(machine.parent)):
            assert secret not in content, (where, secret)
    cells = text.partition("<main")[2]
    assert "triptych compare x.py --out runs" in cells
    assert "cpu, 1 threads" in cells
    assert verify(out)["problems"] == []


def test_without_it_paths_are_there(machine: Path, folders: ModuleType) -> None:
    folders.make_comparison(machine / "c", "classify", items=12)
    report([machine / "c"], machine / "page.html")
    assert "/home/ann/runs" in (machine / "page.html").read_text()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ann wrote /home/ann/x/y.py", "ann wrote y.py"),
        ("on annbox, annboxes", "on ~, annboxes"),
        ("ann@annbox.lan:x", "~@~:x"),
        ("data=camvid:/home/ann/CamVid", "data=camvid:CamVid"),
        ("vit-tiny 0.1/0.2", "vit-tiny 0.1/0.2"),
    ],
)
def test_texts(text: str, shown: str) -> None:
    hidden = Anonymous(("annbox.lan", "/home/ann", "annbox"), "ann")
    assert hidden.text(text, Path("/data/c")) == shown
