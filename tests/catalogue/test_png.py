"""A drawing as PNG, and the file names that `argosy graph` goes by."""

import io
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from argosy.catalogue import svg
from argosy.cli.graph import graph
from argosy.errors import UsageError

MANIFEST = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: drawn}
spec:
  entrypoint: main
  templates:
  - {name: main, dag: {tasks: [{name: say, template: say}]}}
  - {name: say, container: {image: x, command: [a]}}
"""
WORDS = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="30">'
    '<text x="2" y="20" font-family="sans-serif">%s</text></svg>'
)
needs_font = pytest.mark.skipif(svg.font() is None, reason="this machine has no font")


def drawn(tmp_path: Path, *args: str) -> object:
    (tmp_path / "drawn.yaml").write_text(MANIFEST)
    return CliRunner().invoke(graph, [str(tmp_path / "drawn.yaml"), *args])


@needs_font
def test_the_text_is_painted_at_twice_the_size() -> None:
    image = Image.open(io.BytesIO(svg.to_png(WORDS % "a step")))
    assert image.size == (180, 60)
    assert image.tobytes() != Image.open(io.BytesIO(svg.to_png(WORDS % ""))).tobytes()


@needs_font
@pytest.mark.parametrize(
    ("name", "start"),
    [("x.png", b"\x89PNG"), ("x.svg", b"<svg"), ("x.mmd", b"flowchart"), ("X.PNG", b"\x89PNG")],
)
def test_the_name_of_the_file_says_the_form(tmp_path: Path, name: str, start: bytes) -> None:
    drawn(tmp_path, "-o", str(tmp_path / name))
    assert (tmp_path / name).read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("args", "fragment"),
    [
        (["-o", "x.jpeg"], "'x.jpeg' ends with none of .mmd"),
        (["--format", "png"], "name its file with -o"),
        (["-o", "/nowhere/x.png"], "cannot write '/nowhere/x.png'"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, args: list[str], fragment: str) -> None:
    error = drawn(tmp_path, *args).exception  # type: ignore[attr-defined]
    assert isinstance(error, UsageError) and fragment in str(error)


def test_without_a_font_the_text_is_not_left_out_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svg, "_FONTS", ("No Such Font",))
    with pytest.raises(UsageError, match="a PNG needs a font"):
        svg.to_png(WORDS % "x")


def test_without_resvg_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(UsageError, match=r"pip install 'argosy\[png\]'"):
        svg.to_png(WORDS % "x")
