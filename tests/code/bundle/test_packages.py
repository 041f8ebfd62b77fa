"""`packages=` of a step whose code travels: locked, installed at the pod's start, looked for here."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from argosy.code.bundle.attach import Attached, attach
from argosy.code.bundle.packages import check_here
from argosy.compose.settings import Settings
from argosy.declare.template import render_template
from argosy.errors import ArgosyError, UsageError
from tests.code.bundle.test_bundle import step, workflow, write

LOCK = """- packages: [tiny==1.0]
  python: '3.11'
  platform: linux/amd64
  wheels: true
  resolved: ['tiny==1.0 --hash=sha256:{digest}']
"""


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel of one module, in a folder of its own."""
    path = tmp_path / "wheels" / "tiny-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny.py", "WORD = 'tiny'\n")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(
            "tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    return path


def bundled(root: Path, digest: str, image: str = "python:3.11-slim", **more: Any) -> Attached:
    """A step that needs the package, with its lock."""
    write(root, {"steps.py": step(body="import tiny; return type('R', (), {'text': tiny.WORD + who})")})
    (root / "argosy.lock").write_text(LOCK.format(digest=digest))
    manifest = workflow(["python", "-m", "argosy.step", "steps:greet"], image=image)
    (template,) = manifest["spec"]["templates"]
    template["metadata"] = {"annotations": {"argosy.dev/packages": "tiny==1.0"}}
    return attach(manifest, Settings(folder=root), [str(root)], **more)


def start(attached: Attached, tmp_path: Path, links: Path) -> subprocess.CompletedProcess[str]:
    """The container, with the pod's folders below `tmp_path`."""
    (template,) = attached.manifest["spec"]["templates"]
    assert attached.bundle is not None
    (tmp_path / "code.zip").write_bytes(attached.bundle.data)
    places = {"/argosy/code": str(tmp_path), "/argosy/packages": str(tmp_path / "packages")}

    def here(text: str) -> str:
        for there, place in places.items():
            text = text.replace(there, place)
        return text

    command = [sys.executable, *map(here, template["container"]["command"][1:]), "--who=Ada"]
    path = next(e["value"] for e in template["container"]["env"] if e["name"] == "PYTHONPATH")
    last_words = tmp_path / "last-words"
    last_words.touch()
    env = {**os.environ, "PYTHONPATH": here(path), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(links)}
    env["ARGOSY_TERMINATION_LOG"] = str(last_words)
    (tmp_path / "fresh").mkdir()
    return subprocess.run(command, cwd=tmp_path / "fresh", capture_output=True, text=True, env=env)


def test_they_are_installed_at_the_pods_start(tmp_path: Path, wheel: Path) -> None:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    attached = bundled(tmp_path, digest)
    (template,) = attached.manifest["spec"]["templates"]
    assert {"name": "argosy-packages", "emptyDir": {}} in template["volumes"]
    done = start(attached, tmp_path, wheel.parent)
    assert (done.returncode, done.stdout) == (0, "text = 'tinyAda'\n"), done.stderr
    assert "packages installed in" in done.stderr and "argosy build" in done.stderr


def test_another_hash_is_refused_in_one_line(tmp_path: Path, wheel: Path) -> None:
    done = start(bundled(tmp_path, "0" * 64), tmp_path, wheel.parent)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("argosy.step: the packages could not be installed:")
    assert "hash" in (tmp_path / "last-words").read_text().lower()
    assert done.stdout == ""


def test_what_the_lock_lacks_is_refused_where_nothing_may_be_written(tmp_path: Path) -> None:
    write(tmp_path, {"argosy.lock": ""})
    with pytest.raises(ArgosyError, match=r"argosy\.lock lacks tiny==1\.0"):
        _without_lock(tmp_path)


def _without_lock(root: Path) -> None:
    write(root, {"steps.py": step()})
    manifest = workflow(["python", "-m", "argosy.step", "steps:greet"])
    manifest["spec"]["templates"][0]["metadata"] = {"annotations": {"argosy.dev/packages": "tiny==1.0"}}
    attach(manifest, Settings(folder=root), [str(root)], packages="frozen")


def test_the_images_python_must_be_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="locked for the Python of 'mine:1', which nobody tells"):
        bundled(tmp_path, "0" * 64, image="mine:1")


def test_here_they_are_looked_for_before_the_run() -> None:
    template = {
        "metadata": {"annotations": {"argosy.dev/packages": "click>=8\nclick==1.0\nno-such-thing\n/x y"}}
    }
    with pytest.raises(UsageError) as error:
        check_here([template])
    line = str(error.value)
    assert "no-such-thing (missing)" in line and "click==1.0 (here is " in line and "click>=8" not in line
    assert "/x y (no package: " in line and "\n" not in line


def test_a_component_declares_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.code.bundle.declared import greet

    annotations = render_template(greet, "greet")["metadata"]["annotations"]
    assert annotations == {"argosy.dev/code": "bundle", "argosy.dev/packages": "pandas==2.2.3\nattrs"}
