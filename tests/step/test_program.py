"""A step as its container runs it: a real process, a real command line."""

import os
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


MISTAKE = """
from argosy import component

@component(image="example/steps:1")
def with_mistake(text: str) -> float:
    return float("nan")

if __name__ == "__main__":
    with_mistake.main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module `shown` and a file to read."""
    folder = tmp_path_factory.mktemp("step")
    (folder / "shown.py").write_text(STEP)
    (folder / "source").write_text("source")
    (folder / "with_mistake.py").write_text(MISTAKE)
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
        (["--source=source", "--times=many"], 2, "--times: 'many' is not a whole number"),
        (["--source=nowhere"], 2, "--source: there is no file at 'nowhere'"),
        ([], 2, "'--source' is missing (file)"),
        (["--source=source", "--tims=1"], 2, "there is no option '--tims'; did you mean '--times'?"),
        (["--source=source", "--text=a", "stray"], 2, "unexpected word 'stray'"),
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


def test_by_hand_without_places_the_outputs_are_checked_and_shown(folder: Path) -> None:
    done = run(folder, "--source=source", "--text=a b")
    assert done.returncode == 0, done.stderr
    shown = done.stdout.splitlines()
    assert shown[:2] == ["text = 'a b'", "none = none"]
    assert shown[4] == "same = source"
    wrong = run(folder, "--text=1", module="with_mistake")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    line = "with-mistake: output 'result': nan is not a finite number"
    assert wrong.stderr.splitlines() == [line]


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--source=source", "--source=other"], "'--source' is given twice"),
        (["--source=source", "--text"], "'--text' has no value; write --text=VALUE"),
        (["--source=."], "--source: there is no file at '.', but a directory"),
        (["--source=source", "--output-folder=full"], "--output-folder: there is something in that folder"),
    ],
)
def test_more_that_is_refused_before_the_step_begins(folder: Path, args: list[str], line: str) -> None:
    (folder / "full").mkdir(exist_ok=True)
    (folder / "full" / "x").touch()
    done = run(folder, *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert line in done.stderr.splitlines()[-1]


def test_values_may_also_stand_in_a_word_of_their_own(folder: Path) -> None:
    done = run(folder, "--source", "source", "--times", "-2", "--text", "--")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "text = '--'")


def test_a_users_file_and_folder_are_copied(folder: Path, tmp_path: Path) -> None:
    done = run(folder, "--source=source", "--output-same=same.copy")
    assert done.returncode == 0, done.stderr
    assert [(folder / n).read_text() for n in ("source", "same.copy")] == ["source", "source"]


OWN_MODULE = """
{first}
{second}
{broken}

@component(image="x")
def fit() -> None:
    "Fit."
    {broken}

if __name__ == "__main__":
    fit.main()
"""


@pytest.mark.parametrize("couler_first", [True, False])
def test_an_error_at_the_imports_of_a_step_is_the_last_that_it_says(folder: Path, couler_first: bool) -> None:
    imports = ["import couler.argo  # which prints a workflow at the end", "from argosy import component"]
    first, second = imports if couler_first else imports[::-1]
    text = OWN_MODULE.format(first=first, second=second, broken="import no_such_package")
    (folder / "own.py").write_text(text)
    for words in (["own.py"], ["-m", "own"]):
        done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'no_such_package'"


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


@pytest.mark.parametrize(
    ("line", "problem"),
    [("1 / 0", "ZeroDivisionError: division by zero"), ("raise SystemExit(0)", "SystemExit: 0")],
)
def test_a_module_that_cannot_be_imported_is_one_line_with_its_place(
    folder: Path, line: str, problem: str
) -> None:
    (folder / "broken.py").write_text(f"import couler.argo  # which prints a workflow at the end\n{line}\n")
    done = run(folder, "broken:step", module="argosy.step")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "'broken' cannot be imported: " in done.stderr
    assert f"broken.py:2: {problem}" in done.stderr


def test_what_is_registered_for_the_end_of_the_program_happens(folder: Path) -> None:
    done = run(folder, "--source=source", "--fail=late")
    assert (done.returncode, done.stdout.split("\n")[:2]) == (7, ["finalized", "at the end"]), done.stderr


@pytest.mark.parametrize(
    ("name", "given", "code", "line"),
    [
        ("quiet", "0", 0, None),
        ("quiet", "None", 0, None),
        ("quiet", "'no more data'", 1, "quiet: no more data"),
        ("quiet", "3", 3, "quiet: ended by sys.exit(3)"),
        ("telling", "0", 1, "telling: ended by sys.exit, and returned no outputs: 'result'"),
        ("telling", "None", 1, "telling: ended by sys.exit, and returned no outputs: 'result'"),
    ],
)
def test_a_step_that_leaves_early_says_so(
    folder: Path, name: str, given: str, code: int, line: str | None
) -> None:
    lines = ["import sys", "from argosy import component"]
    for step, hint in (("quiet", "None"), ("telling", "int")):
        lines += ["@component(image='i:1')", f"def {step}(code: str) -> {hint}:", "    sys.exit(eval(code))"]
    (folder / "leaving.py").write_text("\n".join(lines))
    done = run(folder, f"leaving:{name}", f"--code={given}", module="argosy.step")
    assert (done.returncode, done.stderr) == (code, f"{line}\n" if line else "")


def test_the_one_line_error_is_also_the_containers_termination_message(folder: Path, tmp_path: Path) -> None:
    last_words = tmp_path / "termination-log"
    last_words.write_text("of an attempt before")
    environment = {**os.environ, "ARGOSY_TERMINATION_LOG": str(last_words)}
    command = [sys.executable, "-m", "shown", "--source=source", "--fail=step"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert last_words.read_text() == "shown: it did not work" == done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("target", "instead"),
    [
        ("flows/shown.py:shown", "write the module's importable name and the function, flows.shown:shown"),
        ("./shown.py:shown", "function, shown:shown"),
        ("shown.py:shown", "function, shown:shown"),
        ("shown", "function, shown:FUNCTION"),
        ("shown:", "function, shown:FUNCTION"),
    ],
)
def test_a_path_or_a_module_alone_is_told_what_to_write(folder: Path, target: str, instead: str) -> None:
    command = [sys.executable, "-m", "argosy.step", target]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.endswith(f"{instead}\n"), done.stderr


def test_a_pipeline_is_no_step(folder: Path) -> None:
    text = "from argosy import pipeline\n\n@pipeline\ndef flow() -> None:\n    print('run here')\n"
    (folder / "flows.py").write_text(text)
    done = run(folder, "flows:flow", module="argosy.step")
    told = "argosy.step: 'flows:flow' is not a component; run the pipeline with 'argosy run flows:flow'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)


@pytest.mark.parametrize("target", ["nowhere", "shown:nothing"])
def test_a_step_that_is_not_there_is_told_there_too(folder: Path, tmp_path: Path, target: str) -> None:
    last_words = tmp_path / "termination-log"
    last_words.touch()
    environment = {**os.environ, "ARGOSY_TERMINATION_LOG": str(last_words)}
    command = [sys.executable, "-m", "argosy.step", target]
    assert subprocess.run(command, cwd=folder, capture_output=True, env=environment).returncode == 2
    assert last_words.read_text().startswith(f"argosy.step: there is no component '{target}'")


def test_where_no_termination_log_is_none_is_made(folder: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "ARGOSY_TERMINATION_LOG": str(tmp_path / "none")}
    command = [sys.executable, "-m", "shown", "--source=source", "--fail=step"]
    assert subprocess.run(command, cwd=folder, capture_output=True, env=environment).returncode == 1
    assert not (tmp_path / "none").exists()


def test_a_line_is_shown_at_once_where_the_output_is_no_terminal(folder: Path) -> None:
    (folder / "killed.py").write_text(
        "import os\nfrom argosy import component\n\n@component(image='a:1')\ndef step() -> None:\n"
        "    print('said before')\n    os.kill(os.getpid(), 9)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "argosy.step", "killed:step"]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (-9, b"said before\n")
