"""A step as its container runs it: a real process, a real command line."""

import subprocess
import sys
from pathlib import Path

import pytest

STEP = '''
import atexit, sys, tempfile, weakref
from pathlib import Path
from typing import Annotated, NamedTuple
from argosy import Directory, File, component
from argosy.errors import StepError, UsageError

class Result(NamedTuple):
    text: str
    none: int | None
    file: Annotated[File, "a.bin"]
    folder: Directory
    same: File

@component(image="example/steps:1")
def shown(source: File, text: str = "", times: int = 1, fail: str = "") -> Result:
    """Show what arrives.

    Args:
        text: what to show.
    """
    if fail == "usage":
        raise UsageError("that is no good")
    if fail == "step":
        raise StepError("it did not work")
    if fail == "bug":
        raise KeyError("oops")
    if fail == "late":
        atexit.register(print, "at the end")
        weakref.finalize(shown, print, "finalized")
        sys.exit(7)
    work = Path(tempfile.mkdtemp())
    (work / "made").write_bytes(text.encode())
    (work / "d").mkdir()
    (work / "d" / "x").write_text(str(times))
    return Result(text, None, work / "made", work / "d", source)

@component(image="example/steps:1")
def other() -> None:
    """Another step of the same file."""

if __name__ == "__main__":
    shown.main()
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module `shown` and a file to read."""
    folder = tmp_path_factory.mktemp("step")
    (folder / "shown.py").write_text(STEP)
    (folder / "source").write_text("source")
    return folder


def run(folder: Path, *args: str, module: str = "shown") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *args], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "text", ["", "-x", "--help", "--", "a b", "$(id)", "'\"`", "a\nb\n", "ünï ☃", "{{x}}", "a=b"]
)
def test_values_arrive_unaltered_and_outputs_are_handed_over(folder: Path, tmp_path: Path, text: str) -> None:
    names = ("text", "none", "file", "folder", "same")
    done = run(
        folder,
        "--source=source",
        f"--text={text}",
        "--times=3",
        *(f"--output-{n}={tmp_path}/o/{n}" for n in names),
    )
    assert done.returncode == 0, done.stderr
    out = tmp_path / "o"
    # Argo takes one newline off the end of the file.
    assert (out / "text").read_bytes().removesuffix(b"\n") == text.encode()
    assert (out / "none").read_text() == ""
    assert (out / "file").read_bytes() == text.encode()
    assert (out / "folder" / "x").read_text() == "3"
    assert (out / "same").read_text() == "source"
    assert (folder / "source").read_text() == "source"


@pytest.mark.parametrize(
    ("args", "code", "line"),
    [
        (["--source=source", "--times=many"], 2, "Invalid value for '--times': 'many' is not a whole number"),
        (["--source=nowhere"], 2, "Invalid value for '--source': there is no file at 'nowhere'"),
        ([], 2, "Missing option '--source'"),
        (["--source=source", "--tims=1"], 2, "No such option '--tims'"),
        (["--source=source", "--text=a", "stray"], 2, "Got unexpected extra argument"),
        (["--source=source", "--fail=usage"], 2, "that is no good"),
        (["--source=source", "--fail=step"], 1, "it did not work"),
        (["--source=source", "--fail=bug"], 1, "KeyError: 'oops'"),
    ],
)
def test_what_goes_wrong_is_one_last_line_and_an_exit_code(
    folder: Path, args: list[str], code: int, line: str
) -> None:
    done = run(folder, *args)
    last = done.stderr.strip().splitlines()[-1]
    assert (done.returncode, last.startswith("shown: ")) == (code, True)
    assert line in last


def test_a_file_that_imports_couler_prints_nothing_of_it(folder: Path) -> None:
    (folder / "with_couler.py").write_text("import couler.argo\nfrom shown import other\n")
    done = run(folder, "with_couler:other", module="argosy.step")
    assert (done.returncode, done.stdout) == (0, "")


def test_help_is_made_from_the_declaration(folder: Path) -> None:
    done = run(folder, "--help")
    assert done.returncode == 0
    for words in ("Show what arrives.", "--text", "what to show.", "--output-file"):
        assert words in done.stdout


def test_a_file_of_several_steps_is_entered_by_name(folder: Path) -> None:
    assert run(folder, "shown:other", module="argosy.step").returncode == 0
    refused = run(folder, "shown:nobody", module="argosy.step")
    assert refused.returncode == 2
    assert "there is no component 'shown:nobody'" in refused.stderr


def test_what_is_registered_for_the_end_of_the_program_happens(folder: Path) -> None:
    done = run(folder, "--source=source", "--fail=late")
    assert (done.returncode, done.stdout.split("\n")[:2]) == (7, ["finalized", "at the end"]), done.stderr
